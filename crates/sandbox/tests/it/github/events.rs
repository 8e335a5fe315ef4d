//! Events, as a job gets them.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

fn play(github: &GithubSandbox, event: &str, more: Value) -> (Value, Value) {
    let mut body = json!({ "event": event, "repository": REPOSITORY });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    let played = github.setup("play", body);
    (played["payload"].clone(), played["variables"].clone())
}

#[tokio::test]
async fn a_pull_request_is_opened_pushed_to_and_merged() {
    let github = GithubSandbox::new().await;
    let (opened, job) = play(&github, "pull_request.opened", json!({}));
    assert_eq!(
        (&opened["action"], &opened["number"]),
        (&json!("opened"), &json!(1))
    );
    assert_eq!(job["GITHUB_EVENT_NAME"], "pull_request");
    assert_eq!(job["GITHUB_REF"], "refs/pull/1/merge");
    assert_eq!(
        job["GITHUB_SHA"],
        opened["pull_request"]["merge_commit_sha"]
    );
    assert_eq!(
        (&job["GITHUB_HEAD_REF"], &job["GITHUB_BASE_REF"]),
        (&json!("feature"), &json!("main"))
    );
    assert_eq!(
        job["GITHUB_REPOSITORY_ID"],
        opened["repository"]["id"].to_string()
    );
    let token = job["GITHUB_TOKEN"].as_str().unwrap();
    let comment = format!("{R}/issues/1/comments");
    let made = github
        .as_token(token, "POST", &comment, json!({ "body": "x" }))
        .await;
    made.assert_status(201);
    let (pushed, _) = play(&github, "pull_request.synchronize", json!({ "number": 1 }));
    assert_eq!(pushed["before"], opened["pull_request"]["head"]["sha"]);
    assert_eq!(pushed["after"], pushed["pull_request"]["head"]["sha"]);
    let (closed, job) = play(
        &github,
        "pull_request.closed",
        json!({ "number": 1, "merged": true }),
    );
    assert_eq!(closed["pull_request"]["merged"], true);
    // A merged pull request leaves the base branch as the ref.
    assert_eq!(job["GITHUB_REF"], "refs/heads/main");
    assert_eq!(job["GITHUB_REF_NAME"], "main");
    let main = github
        .get(&format!("{R}/branches/main"))
        .await
        .assert_status(200);
    assert_eq!(job["GITHUB_SHA"], main["commit"]["sha"]);
}

#[tokio::test]
async fn forks_and_dependabot_get_a_token_that_only_reads() {
    let github = GithubSandbox::new().await;
    for more in [
        json!({ "fork": "mona" }),
        json!({ "user": "dependabot[bot]", "branch": "bump" }),
    ] {
        let (opened, job) = play(&github, "pull_request.opened", more);
        let token = job["GITHUB_TOKEN"].as_str().unwrap();
        let path = format!("{R}/issues/{}/comments", opened["number"]);
        let refused = github
            .as_token(token, "POST", &path, json!({ "body": "x" }))
            .await;
        refused.assert_error(403, "Resource not accessible by integration");
        github
            .as_token(token, "GET", &path, Value::Null)
            .await
            .assert_status(200);
    }
}

#[tokio::test]
async fn a_push_has_all_its_commits() {
    let github = GithubSandbox::new().await;
    let messages = json!({ "commits": ["Code", "Create persona: X"] });
    let (push, job) = play(&github, "push", messages);
    assert_eq!(push["commits"][0]["message"], "Code");
    assert_eq!(push["head_commit"]["message"], "Create persona: X");
    assert_eq!(
        (&job["GITHUB_REF"], &job["GITHUB_SHA"]),
        (&json!("refs/heads/main"), &push["after"])
    );
    let (push, _) = play(&github, "push", json!({ "branch": "new" }));
    assert_eq!(
        (&push["created"], &push["before"]),
        (&json!(true), &json!("0".repeat(40)))
    );
}

#[tokio::test]
async fn other_events_start_at_a_branch() {
    let github = GithubSandbox::new().await;
    play(&github, "pull_request.opened", json!({}));
    let (group, job) = play(&github, "merge_group", json!({ "number": 1 }));
    assert_eq!(group["merge_group"]["head_ref"], job["GITHUB_REF"]);
    let git_ref = job["GITHUB_REF"].as_str().unwrap();
    assert!(
        git_ref.starts_with("refs/heads/gh-readonly-queue/main/pr-1-"),
        "{git_ref}"
    );
    let (schedule, job) = play(&github, "schedule", json!({ "schedule": "43 3 * * *" }));
    assert_eq!(
        (&schedule["schedule"], &job["GITHUB_REF"]),
        (&json!("43 3 * * *"), &json!("refs/heads/main"))
    );
    let (start, _) = play(
        &github,
        "workflow_dispatch",
        json!({ "inputs": { "ref": "v1" } }),
    );
    assert_eq!(
        (&start["inputs"]["ref"], &start["ref"]),
        (&json!("v1"), &json!("refs/heads/main"))
    );
    let unknown = json!({ "event": "issues.opened", "repository": REPOSITORY });
    assert!(
        github
            .sandbox
            .running
            .github()
            .run("play", &unknown)
            .is_err()
    );
}
