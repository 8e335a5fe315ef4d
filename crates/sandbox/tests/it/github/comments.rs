//! Comments on pull requests.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

#[tokio::test]
async fn a_comment_is_made_changed_and_deleted() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let path = format!("{R}/issues/{pull}/comments");
    let made = github.call("POST", &path, json!({ "body": "first" })).await;
    let comment = made.assert_status(201);
    assert_eq!(comment["user"]["login"], "github-actions[bot]");
    assert_eq!(made.header("location"), comment["url"].as_str().unwrap());
    let one = format!("{R}/issues/comments/{}", comment["id"]);
    let changed = github
        .call("PATCH", &one, json!({ "body": "second" }))
        .await;
    assert_eq!(changed.assert_status(200)["body"], "second");
    assert_eq!(
        github.get(&path).await.assert_status(200)[0]["body"],
        "second"
    );
    github
        .call("DELETE", &one, Value::Null)
        .await
        .assert_status(204);
    github.get(&one).await.assert_error(404, "Not Found");
    github
        .call("PATCH", &one, json!({ "body": "x" }))
        .await
        .assert_error(404, "Not Found");
    assert_eq!(github.get(&path).await.assert_status(200), json!([]));
}

#[tokio::test]
async fn bodies_have_a_limit_and_are_required() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let path = format!("{R}/issues/{pull}/comments");
    let longest = json!({ "body": "ü".repeat(65_536) });
    github.call("POST", &path, longest).await.assert_status(201);
    let too_long = json!({ "body": "x".repeat(65_537) });
    let error = github
        .call("POST", &path, too_long)
        .await
        .assert_status(422);
    assert_eq!(
        error,
        json!({
            "message": "Validation Failed",
            "errors": [{
                "resource": "IssueComment", "code": "unprocessable", "field": "data",
                "message": "Body is too long (maximum is 65536 characters)",
            }],
            "documentation_url": "https://docs.github.com/rest/issues/comments#create-an-issue-comment",
            "status": "422",
        })
    );
    let empty = github.call("POST", &path, json!({ "body": "" })).await;
    assert_eq!(
        empty.assert_status(422)["errors"][0]["code"],
        "missing_field"
    );
    github
        .call("POST", &path, json!({}))
        .await
        .assert_error(422, "wasn't supplied");
    github
        .call("POST", &path, json!({ "body": 1 }))
        .await
        .assert_error(422, "is not a string");
    let broken = github.request("POST", &format!("{R}/issues/{pull}/comments"));
    let broken = broken.bearer_auth(&github.token).body("{");
    github
        .send(broken)
        .await
        .assert_error(400, "Problems parsing JSON");
}

#[tokio::test]
async fn locked_and_deleted_conversations_take_no_comment() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let lock = json!({ "repository": REPOSITORY, "number": pull, "locked": true });
    github.setup("issues/update", lock);
    let path = format!("{R}/issues/{pull}/comments");
    let refused = github.call("POST", &path, json!({ "body": "x" })).await;
    let refused = refused.assert_status(403);
    assert_eq!(
        refused["message"],
        "Unable to create comment because issue is locked."
    );
    assert_eq!(
        refused["documentation_url"],
        "https://help.github.com/articles/locking-conversations/"
    );
    // A person who may push still comments.
    let person = github.token(json!({ "kind": "classic", "repositories": [REPOSITORY] }));
    let written = github
        .as_token(&person, "POST", &path, json!({ "body": "x" }))
        .await;
    assert_eq!(written.assert_status(201)["user"]["login"], "octocat");
    let delete = json!({ "repository": REPOSITORY, "number": pull, "deleted": true });
    github.setup("issues/update", delete);
    github
        .call("POST", &path, json!({ "body": "x" }))
        .await
        .assert_error(410, "deleted");
    github.get(&path).await.assert_error(410, "deleted");
    github
        .get(&format!("{R}/issues/99/comments"))
        .await
        .assert_error(404, "Not Found");
}

#[tokio::test]
async fn a_comment_can_be_hidden_through_graphql() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let path = format!("{R}/issues/{pull}/comments");
    let comment = github
        .call("POST", &path, json!({ "body": "x" }))
        .await
        .assert_status(201);
    let query = "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) \
                 { hidden: minimizedComment { isMinimized minimizedReason } } }";
    let body = json!({ "query": query, "variables": { "id": comment["node_id"] } });
    let answer = github
        .call("POST", "/graphql", body)
        .await
        .assert_status(200);
    let hidden = json!({ "isMinimized": true, "minimizedReason": "outdated" });
    assert_eq!(
        answer,
        json!({ "data": { "minimizeComment": { "hidden": hidden } } })
    );
    let body = json!({ "query": query, "variables": { "id": "IC_nothing" } });
    let answer = github
        .call("POST", "/graphql", body)
        .await
        .assert_status(200);
    assert_eq!(answer["errors"][0]["type"], "NOT_FOUND");
    let viewer = json!({ "query": "{ viewer { login } }" });
    let answer = github
        .call("POST", "/graphql", viewer)
        .await
        .assert_status(200);
    assert_eq!(
        answer,
        json!({ "data": { "viewer": { "login": "github-actions[bot]" } } })
    );
}

#[tokio::test]
async fn faults_that_lose_an_answer_leave_the_comment() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let path = format!("{R}/issues/{pull}/comments");
    for (fault, comments) in [
        ("status-after:w1:502", 1),
        ("twice:w1", 3),
        ("status:w1:500", 3),
    ] {
        github
            .sandbox
            .running
            .set_faults(vec![fault.parse().unwrap()]);
        github.call("POST", &path, json!({ "body": fault })).await;
        let listed = github.get(&path).await.assert_status(200);
        assert_eq!(listed.as_array().unwrap().len(), comments, "{fault}");
    }
    assert_eq!(github.sandbox.running.write_count(), 1);
}
