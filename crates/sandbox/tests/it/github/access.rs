//! Tokens, permissions, and what does not exist for a caller.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

#[tokio::test]
async fn unknown_and_expired_tokens_are_refused() {
    let github = GithubSandbox::new().await;
    let unknown = github.as_token("ghs_nothing", "GET", R, Value::Null).await;
    assert_eq!(
        unknown.assert_status(401),
        json!({
            "message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401",
        })
    );
    github.get(R).await.assert_status(200);
    github.setup("tokens/expire", json!({ "token": github.token }));
    github.get(R).await.assert_error(401, "Bad credentials");
    // Without a token a private repository does not exist; a public one does.
    let anonymous = github.send(github.request("GET", R)).await;
    anonymous.assert_error(404, "Not Found");
    github.setup(
        "repositories",
        json!({ "name": REPOSITORY, "private": false }),
    );
    let anonymous = github.send(github.request("GET", R)).await;
    assert_eq!(anonymous.header("x-ratelimit-limit"), "60");
    assert_eq!(anonymous.assert_status(200)["private"], false);
    let path = format!("{R}/issues");
    let write = github.request("POST", &path).json(&json!({ "title": "x" }));
    github
        .send(write)
        .await
        .assert_error(401, "Requires authentication");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let issue = github.setup("issues", json!({ "repository": REPOSITORY, "title": "x" }));
    let body = json!({ "body": "x" });
    let on_pull = format!("{R}/issues/{pull}/comments");
    let on_issue = format!("{R}/issues/{}/comments", issue["number"]);
    let reader = github.actions_token(&[("pull_requests", "read"), ("contents", "read")]);
    let refused = github
        .as_token(&reader, "POST", &on_pull, body.clone())
        .await;
    assert_eq!(
        refused.header("x-accepted-github-permissions"),
        "issues=write; pull_requests=write"
    );
    refused.assert_error(403, "Resource not accessible by integration");
    github
        .as_token(&reader, "GET", &on_pull, Value::Null)
        .await
        .assert_status(200);
    let writer = github.actions_token(&[("pull_requests", "write")]);
    github
        .as_token(&writer, "POST", &on_pull, body.clone())
        .await
        .assert_status(201);
    // The permission for pull requests does not suffice for an issue.
    let refused = github
        .as_token(&writer, "POST", &on_issue, body.clone())
        .await;
    refused.assert_error(403, "Resource not accessible by integration");
    let fine = github.token(json!({
        "kind": "fine", "repositories": [REPOSITORY], "permissions": { "issues": "read" },
    }));
    let refused = github.as_token(&fine, "POST", &on_issue, body).await;
    refused.assert_error(403, "Resource not accessible by personal access token");
}

#[tokio::test]
async fn the_token_of_a_job_sees_no_secrets_and_is_no_user() {
    let github = GithubSandbox::new().await;
    let secrets = format!("{R}/actions/secrets");
    let refused = github.get(&secrets).await;
    assert_eq!(
        refused.header("x-accepted-github-permissions"),
        "secrets=read"
    );
    refused.assert_error(403, "Resource not accessible by integration");
    github
        .get("/user")
        .await
        .assert_error(403, "Resource not accessible by integration");
    let made = github
        .sandbox
        .running
        .github()
        .actions_token(REPOSITORY, &[("secrets", "read")]);
    assert!(made.is_err(), "workflows cannot grant this permission");
    let person =
        github.token(json!({ "kind": "classic", "repositories": [REPOSITORY], "login": "mona" }));
    let user = github.as_token(&person, "GET", "/user", Value::Null).await;
    assert_eq!(user.assert_status(200)["login"], "mona");
    let seen = github.as_token(&person, "GET", &secrets, Value::Null).await;
    assert_eq!(seen.assert_status(200)["total_count"], 0);
}

#[tokio::test]
async fn another_private_repository_does_not_exist() {
    let github = GithubSandbox::new().await;
    github.setup("repositories", json!({ "name": "acme/other" }));
    github
        .get("/repos/acme/other")
        .await
        .assert_error(404, "Not Found");
    github
        .get("/repos/acme/nothing")
        .await
        .assert_error(404, "Not Found");
    github
        .get(&format!("{R}/"))
        .await
        .assert_error(404, "Not Found");
    github.get("/nothing").await.assert_error(404, "Not Found");
    github.setup(
        "repositories",
        json!({ "name": REPOSITORY, "archived": true }),
    );
    let refused = github
        .call("POST", &format!("{R}/issues"), json!({ "title": "x" }))
        .await;
    refused.assert_error(403, "archived");
}

#[tokio::test]
async fn headers_are_checked() {
    let github = GithubSandbox::new().await;
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{R}", github.sandbox.running.github_url());
    let refused = github
        .send(plain.get(&url).bearer_auth(&github.token))
        .await;
    refused.assert_error(403, "User-Agent header");
    let version = |version: &str| {
        let request = github.request("GET", R).bearer_auth(&github.token);
        github.send(request.header("x-github-api-version", version))
    };
    let answer = version("2022-11-28").await;
    assert_eq!(answer.header("x-github-api-version-selected"), "2022-11-28");
    version("2019-01-01").await.assert_error(400, "2019-01-01");
    let answer = github.get(R).await;
    let tag = answer.header("etag").to_owned();
    let used = answer.header("x-ratelimit-used").to_owned();
    let again = github.request("GET", R).bearer_auth(&github.token);
    let again = github.send(again.header("if-none-match", tag)).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(again.header("x-ratelimit-used"), used);
}

#[tokio::test]
async fn a_former_name_leads_to_the_repository() {
    let github = GithubSandbox::new().await;
    github.setup(
        "rename",
        json!({ "repository": REPOSITORY, "to": "acme/store" }),
    );
    let moved = github.get(&format!("{R}/pulls?state=all")).await;
    let location = moved.header("location").to_owned();
    moved.assert_error(301, "Moved Permanently");
    assert!(location.ends_with("/pulls?state=all"), "{location}");
    assert_eq!(github.get(&location).await.assert_status(200), json!([]));
    let moved = github
        .call("POST", &format!("{R}/issues"), json!({ "title": "x" }))
        .await;
    let location = moved.header("location").to_owned();
    assert_eq!(moved.status, 307);
    let made = github
        .call("POST", &location, json!({ "title": "x" }))
        .await;
    let url = made.assert_status(201)["url"].to_string();
    assert!(url.contains("/repos/acme/store/issues/1"), "{url}");
    // For others it does not exist under either name.
    github.setup("repositories", json!({ "name": "acme/other" }));
    let other = github.token(json!({ "kind": "fine", "repositories": ["acme/other"] }));
    github
        .as_token(&other, "GET", R, Value::Null)
        .await
        .assert_error(404, "Not Found");
}
