//! Deployments, statuses of commits, and environments.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

fn review(pull: u64) -> Value {
    json!({
        "ref": "feature", "task": format!("review:{pull}"), "environment": "review", "auto_merge": false,
        "required_contexts": [], "transient_environment": true, "production_environment": false,
        "payload": { "pr": pull },
    })
}

#[tokio::test]
async fn a_deployment_is_made_found_and_ended() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let path = format!("{R}/deployments");
    let made = github
        .call("POST", &path, review(pull))
        .await
        .assert_status(201);
    assert_eq!(made["payload"], json!({ "pr": pull }));
    assert_eq!(made["ref"], "feature");
    let statuses = format!("{path}/{}/statuses", made["id"]);
    let success = json!({ "state": "success", "environment_url": "https://a.fly.dev", "auto_inactive": false });
    let status = github
        .call("POST", &statuses, success)
        .await
        .assert_status(201);
    assert_eq!(status["environment"], "review");
    let found = github
        .get(&format!("{path}?environment=review&task=review:{pull}"))
        .await;
    assert_eq!(found.assert_status(200)[0]["id"], made["id"]);
    let none = github
        .get(&format!("{path}?environment=review&task=review:99"))
        .await;
    assert_eq!(none.assert_status(200), json!([]));
    let second = github
        .call("POST", &path, review(pull))
        .await
        .assert_status(201);
    let refused = github
        .call("DELETE", &format!("{path}/{}", second["id"]), Value::Null)
        .await;
    refused.assert_error(422, "active deployment");
    github
        .call("POST", &statuses, json!({ "state": "inactive" }))
        .await
        .assert_status(201);
    let listed = github.get(&statuses).await.assert_status(200);
    assert_eq!(
        (&listed[0]["state"], &listed[1]["state"]),
        (&json!("inactive"), &json!("success"))
    );
    let one = format!("{path}/{}", made["id"]);
    assert_eq!(
        github.get(&one).await.assert_status(200)["environment"],
        "review"
    );
    github
        .call("DELETE", &one, Value::Null)
        .await
        .assert_status(204);
    github
        .call("DELETE", &one, Value::Null)
        .await
        .assert_error(404, "Not Found");
    // The environment that the deployment made is not for the token of a job to delete.
    let environment = format!("{R}/environments/review");
    github.get(&environment).await.assert_status(200);
    let all = github
        .get(&format!("{R}/environments"))
        .await
        .assert_status(200);
    assert_eq!(all["environments"][0]["name"], "review");
    let refused = github.call("DELETE", &environment, Value::Null).await;
    assert_eq!(
        refused.header("x-accepted-github-permissions"),
        "administration=write"
    );
    refused.assert_error(403, "Resource not accessible by integration");
}

#[tokio::test]
async fn a_branch_that_is_behind_is_merged_and_not_deployed() {
    let github = GithubSandbox::new().await;
    github.open_pull("feature");
    github.setup(
        "push",
        json!({ "repository": REPOSITORY, "commits": [{ "message": "more" }] }),
    );
    let path = format!("{R}/deployments");
    let asked = json!({ "ref": "feature", "required_contexts": [] });
    let merged = github
        .call("POST", &path, asked.clone())
        .await
        .assert_status(202);
    assert_eq!(
        merged,
        json!({ "message": "Auto-merged main into feature on deployment." })
    );
    assert_eq!(github.get(&path).await.assert_status(200), json!([]));
    let behind = github
        .get(&format!("{R}/compare/feature...main"))
        .await
        .assert_status(200);
    assert_eq!(behind["ahead_by"], 0);
    let made = github.call("POST", &path, asked).await.assert_status(201);
    assert_eq!(
        (&made["environment"], &made["production_environment"]),
        (&json!("production"), &json!(true))
    );
}

#[tokio::test]
async fn checks_that_are_not_green_block_a_deployment() {
    let github = GithubSandbox::new().await;
    let head = github
        .get(&format!("{R}/branches/main"))
        .await
        .assert_status(200);
    let sha = head["commit"]["sha"].as_str().unwrap().to_owned();
    let path = format!("{R}/statuses/{sha}");
    let pending = json!({ "state": "pending", "context": "ci" });
    github.call("POST", &path, pending).await.assert_status(201);
    let deployments = format!("{R}/deployments");
    let refused = github
        .call("POST", &deployments, json!({ "ref": "main" }))
        .await;
    let refused = refused.assert_status(409);
    assert_eq!(refused["errors"][0]["contexts"], json!(["ci"]));
    let named = json!({ "ref": "main", "required_contexts": ["other"] });
    github
        .call("POST", &deployments, named)
        .await
        .assert_error(409, "other");
    github
        .call(
            "POST",
            &path,
            json!({ "state": "success", "context": "ci" }),
        )
        .await
        .assert_status(201);
    github
        .call("POST", &deployments, json!({ "ref": "main" }))
        .await
        .assert_status(201);
    let unknown = github
        .call("POST", &deployments, json!({ "ref": "nothing" }))
        .await;
    unknown.assert_error(422, "No ref found for: nothing");
    let long = json!({ "state": "success", "description": "x".repeat(141) });
    github
        .call("POST", &path, long)
        .await
        .assert_error(422, "description is too long");
}

#[tokio::test]
async fn a_success_ends_earlier_deployments_of_the_environment() {
    let github = GithubSandbox::new().await;
    let path = format!("{R}/deployments");
    let mut ids = Vec::new();
    for environment in ["staging", "staging", "production", "production"] {
        let asked = json!({ "ref": "main", "environment": environment });
        let made = github.call("POST", &path, asked).await.assert_status(201);
        let statuses = format!("{path}/{}/statuses", made["id"]);
        github
            .call("POST", &statuses, json!({ "state": "success" }))
            .await
            .assert_status(201);
        ids.push(statuses);
    }
    let mut states = Vec::new();
    for statuses in ids {
        states.push(github.get(&statuses).await.assert_status(200)[0]["state"].clone());
    }
    // Production environments keep theirs.
    assert_eq!(
        json!(states),
        json!(["inactive", "success", "success", "success"])
    );
}

#[tokio::test]
async fn annotations_are_added_and_limited() {
    let github = GithubSandbox::new().await;
    let head = github
        .get(&format!("{R}/branches/main"))
        .await
        .assert_status(200);
    let output = |count: usize| {
        let one = json!({ "path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m" });
        json!({ "title": "t", "summary": "s", "annotations": vec![one; count] })
    };
    let path = format!("{R}/check-runs");
    let body = |count| json!({ "name": "plan", "head_sha": head["commit"]["sha"], "output": output(count) });
    github
        .call("POST", &path, body(51))
        .await
        .assert_error(422, "50");
    let run = github
        .call("POST", &path, body(50))
        .await
        .assert_status(201);
    let more = json!({ "conclusion": "success", "output": output(2) });
    let run = github
        .call("PATCH", &format!("{path}/{}", run["id"]), more)
        .await
        .assert_status(200);
    assert_eq!(run["output"]["annotations_count"], 52);
    assert_eq!(run["status"], "completed");
    let listed = github
        .get(&format!("{R}/commits/main/check-runs"))
        .await
        .assert_status(200);
    assert_eq!(listed["check_runs"][0]["id"], run["id"]);
}
