//! Rate limits.

use serde_json::json;

use super::support::{GithubSandbox, R, REPOSITORY};

#[tokio::test]
async fn the_requests_of_an_hour_are_limited() {
    let github = GithubSandbox::new().await;
    github.setup("behaviour", json!({ "actions_requests_per_hour": 2 }));
    let first = github.get(R).await;
    assert_eq!(first.header("x-ratelimit-limit"), "2");
    assert_eq!(first.header("x-ratelimit-remaining"), "1");
    assert_eq!(first.header("x-ratelimit-resource"), "core");
    github.get(R).await.assert_status(200);
    let refused = github.get(R).await;
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    let reset: u64 = refused.header("x-ratelimit-reset").parse().unwrap();
    refused.assert_error(403, "API rate limit exceeded");
    // This question is free, and says when the next hour begins.
    let free = github.get("/rate_limit").await.assert_status(200);
    assert_eq!(free["rate"]["reset"], reset);
    assert_eq!(free["resources"]["core"]["remaining"], 0);
    github.setup("behaviour", json!({ "rate_limit_status": 429 }));
    github
        .get(R)
        .await
        .assert_error(429, "API rate limit exceeded");
    github.sandbox.advance_ms(3_600_000);
    github.get(R).await.assert_status(200);
    let last = github.sandbox.running.requests();
    let limited: Vec<bool> = last.iter().map(|request| request.rate_limited).collect();
    assert_eq!(limited, [false, false, true, false, true, false]);
}

#[tokio::test]
async fn new_content_is_limited_per_minute() {
    let github = GithubSandbox::new().await;
    let path = format!("{R}/issues");
    for n in 0..80 {
        let issue = json!({ "title": n.to_string() });
        github.call("POST", &path, issue).await.assert_status(201);
    }
    let refused = github.call("POST", &path, json!({ "title": "x" })).await;
    assert_eq!(refused.header("retry-after"), "60");
    refused.assert_error(403, "You have exceeded a secondary rate limit");
    github.get(&path).await.assert_status(200);
    github.setup(
        "behaviour",
        json!({ "retry_after": false, "rate_limit_status": 429 }),
    );
    let refused = github.call("POST", &path, json!({ "title": "x" })).await;
    assert_eq!(refused.header("retry-after"), "");
    refused.assert_error(429, "secondary rate limit");
    github.sandbox.advance_ms(60_000);
    github
        .call("POST", &path, json!({ "title": "x" }))
        .await
        .assert_status(201);
}

#[tokio::test]
async fn injected_faults_have_githubs_words() {
    let github = GithubSandbox::new().await;
    for (fault, status, words) in [
        ("429:1:1", 403, "secondary rate limit"),
        ("status:1:502", 502, "Server Error"),
        ("expired:1", 401, "Bad credentials"),
    ] {
        github
            .sandbox
            .running
            .set_faults(vec![fault.parse().unwrap()]);
        github.get(R).await.assert_error(status, words);
    }
    github
        .sandbox
        .running
        .set_faults(vec!["drop-after:w1".parse().unwrap()]);
    let request = github
        .request("POST", &format!("{R}/issues"))
        .bearer_auth(&github.token);
    let lost = request.json(&json!({ "title": "x" })).send().await;
    assert!(lost.is_err());
    let listed = github.get(&format!("{R}/issues")).await.assert_status(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    github
        .sandbox
        .running
        .set_faults(vec!["stale-list:1000".parse().unwrap()]);
    let listed = github.get(&format!("{R}/issues")).await.assert_status(200);
    assert_eq!(listed, json!([]), "{REPOSITORY}");
}
