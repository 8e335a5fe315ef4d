//! Issues and labels.

use serde_json::json;

use super::support::{GithubSandbox, R, REPOSITORY};

#[tokio::test]
async fn an_issue_is_opened_found_by_label_and_closed() {
    let github = GithubSandbox::new().await;
    let path = format!("{R}/issues");
    let label = json!({ "name": "Drift", "color": "d93f0b", "description": "differs" });
    github
        .call("POST", &format!("{R}/labels"), label.clone())
        .await
        .assert_status(201);
    let again = github
        .call("POST", &format!("{R}/labels"), label)
        .await
        .assert_status(422);
    assert_eq!(
        again["errors"],
        json!([{ "resource": "Label", "code": "already_exists", "field": "name" }])
    );
    let labels = github.get(&format!("{R}/labels")).await.assert_status(200);
    assert_eq!(labels[0]["name"], "Drift");
    let issue = json!({ "title": "It differs", "body": "…", "labels": ["drift"] });
    let issue = github.call("POST", &path, issue).await.assert_status(201);
    assert_eq!(issue["labels"][0]["name"], "Drift");
    // Pull requests are issues as well.
    let pull = json!({ "repository": REPOSITORY, "head": "feature", "labels": ["drift"] });
    github.setup("pulls", pull);
    let listed = github
        .get(&format!("{path}?state=open&labels=drift&per_page=100"))
        .await;
    let listed = listed.assert_status(200);
    assert_eq!(
        (listed[0]["number"].as_u64(), listed[1]["number"].as_u64()),
        (Some(2), Some(1))
    );
    assert!(listed[0]["pull_request"].is_object() && listed[1]["pull_request"].is_null());
    let mine = github
        .get(&format!("{path}?creator=github-actions%5Bbot%5D"))
        .await;
    assert_eq!(mine.assert_status(200).as_array().unwrap().len(), 1);
    let close = json!({ "state": "closed", "state_reason": "not_planned", "labels": [] });
    let closed = github
        .call("PATCH", &format!("{path}/1"), close)
        .await
        .assert_status(200);
    assert_eq!(closed["state_reason"], "not_planned");
    assert_eq!(closed["closed_by"]["login"], "github-actions[bot]");
    assert_eq!(closed["labels"], json!([]));
    let reopened = github
        .call("PATCH", &format!("{path}/1"), json!({ "state": "open" }))
        .await;
    assert_eq!(reopened.assert_status(200)["state_reason"], "reopened");
    let wrong = github
        .call("PATCH", &format!("{path}/1"), json!({ "state": "gone" }))
        .await;
    wrong.assert_error(422, "not a member");
    github
        .call("POST", &path, json!({ "body": "x" }))
        .await
        .assert_error(422, "wasn't supplied");
}

#[tokio::test]
async fn a_repository_can_have_no_issues() {
    let github = GithubSandbox::new().await;
    github.open_pull("feature");
    github.setup(
        "repositories",
        json!({ "name": REPOSITORY, "has_issues": false }),
    );
    let path = format!("{R}/issues");
    let refused = github.call("POST", &path, json!({ "title": "x" })).await;
    refused.assert_error(410, "Issues has been disabled in this repository.");
    // The list, and the conversations of pull requests, are still there.
    github.get(&path).await.assert_status(200);
    github.get(&format!("{path}/1")).await.assert_status(200);
}

#[tokio::test]
async fn labels_of_a_user_without_push_access_are_dropped() {
    let github = GithubSandbox::new().await;
    let reader = github.token(json!({
        "kind": "fine", "repositories": [REPOSITORY], "permissions": { "issues": "write" }, "can_push": false,
    }));
    let path = format!("{R}/issues");
    let issue = json!({ "title": "x", "labels": ["drift"] });
    let issue = github
        .as_token(&reader, "POST", &path, issue)
        .await
        .assert_status(201);
    assert_eq!(issue["labels"], json!([]));
    github
        .get(&format!("{R}/labels/drift"))
        .await
        .assert_error(404, "Not Found");
}
