//! Workflows, runs, environments, secrets and the other settings of a repository.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

const DRIFT: &str = ".github/workflows/trimtab-drift.yml";

#[tokio::test]
async fn a_disabled_workflow_is_enabled_and_started() {
    let github = GithubSandbox::new().await;
    let text = "name: 'drift'\non:\n  workflow_dispatch:\n";
    let commits = json!([{ "message": "workflow", "files": { DRIFT: text } }]);
    github.setup(
        "push",
        json!({ "repository": REPOSITORY, "commits": commits }),
    );
    let disabled =
        json!({ "repository": REPOSITORY, "path": DRIFT, "state": "disabled_inactivity" });
    github.setup("workflows", disabled);
    let one = format!("{R}/actions/workflows/trimtab-drift.yml");
    let seen = github.get(&one).await.assert_status(200);
    assert_eq!(
        (&seen["name"], &seen["state"]),
        (&json!("drift"), &json!("disabled_inactivity"))
    );
    let start = format!("{one}/dispatches");
    github
        .call("POST", &start, json!({ "ref": "main" }))
        .await
        .assert_error(422, "disabled workflow");
    github
        .call("PUT", &format!("{one}/enable"), Value::Null)
        .await
        .assert_status(204);
    github
        .call("POST", &start, json!({ "ref": "main" }))
        .await
        .assert_status(204);
    let asked = json!({ "ref": "main", "return_run_details": true, "inputs": { "ref": "v1" } });
    let started = github.call("POST", &start, asked).await.assert_status(200);
    let runs = github
        .get(&format!("{one}/runs?event=workflow_dispatch&branch=main"))
        .await;
    let runs = runs.assert_status(200);
    assert_eq!(
        (&runs["total_count"], &runs["workflow_runs"][0]["id"]),
        (&json!(2), &started["workflow_run_id"])
    );
    github
        .call("POST", &start, json!({ "ref": "gone" }))
        .await
        .assert_error(422, "No ref found");
    github
        .get(&format!("{R}/actions/workflows/none.yml"))
        .await
        .assert_error(404, "Not Found");
}

#[tokio::test]
async fn the_last_successful_run_is_found() {
    let github = GithubSandbox::new().await;
    github.setup(
        "workflows",
        json!({ "repository": REPOSITORY, "path": DRIFT }),
    );
    let run = |conclusion: &str| {
        let run = json!({ "repository": REPOSITORY, "workflow": DRIFT, "conclusion": conclusion });
        github.setup("runs", run)["id"].clone()
    };
    let success = run("success");
    run("failure");
    let path = format!("{R}/actions/workflows/trimtab-drift.yml/runs");
    let found = github
        .get(&format!("{path}?branch=main&status=success&per_page=1"))
        .await;
    let found = found.assert_status(200);
    assert_eq!(
        (&found["total_count"], &found["workflow_runs"][0]["id"]),
        (&json!(1), &success)
    );
    let all = github
        .get(&format!("{R}/actions/runs"))
        .await
        .assert_status(200);
    assert_eq!(all["total_count"], 2);
    let one = github.get(&format!("{R}/actions/runs/{success}")).await;
    assert_eq!(one.assert_status(200)["conclusion"], "success");
    let workflow = format!("{R}/actions/workflows/trimtab-drift.yml");
    let disable = github
        .call("PUT", &format!("{workflow}/disable"), Value::Null)
        .await;
    disable.assert_status(204);
    let disabled = github.get(&workflow).await.assert_status(200);
    assert_eq!(disabled["state"], "disabled_manually");
    let none = github
        .get(&format!("{path}?branch=other"))
        .await
        .assert_status(200);
    assert_eq!(none["total_count"], 0);
}

#[tokio::test]
async fn settings_are_shown_to_those_who_may_see_them() {
    let github = GithubSandbox::new().await;
    let with = |more: Value| {
        let mut body = json!({ "repository": REPOSITORY });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    github.setup(
        "environments",
        with(json!({
            "name": "a/b", "secrets": ["fly_api_token"], "variables": { "REGION": "fra" },
            "branch_policy": { "protected_branches": false, "custom_branch_policies": true },
            "branch_patterns": [["branch", "main"], ["branch", "refs/pull/*/merge"]],
        })),
    );
    github.setup("secrets", with(json!({ "names": ["ONE"] })));
    github.setup(
        "secrets",
        with(json!({ "names": ["SHARED"], "organization": true })),
    );
    github.setup(
        "actions",
        with(json!({ "allowed_actions": "selected", "sha_pinning_required": true, "patterns_allowed": ["superfly/*"] })),
    );
    github.setup(
        "variables",
        with(json!({ "variables": { "SHARED": "x" }, "organization": true })),
    );
    let rule = json!({ "type": "merge_queue", "ruleset_source_type": "Repository", "ruleset_source": REPOSITORY, "ruleset_id": 1 });
    github.setup("rules", with(json!({ "branch": "main", "rules": [rule] })));
    let person = github.token(json!({ "kind": "classic", "repositories": [REPOSITORY] }));
    let see = async |path: &str| {
        let answer = github
            .as_token(&person, "GET", &format!("{R}{path}"), Value::Null)
            .await;
        answer.assert_status(200)
    };
    assert_eq!(
        see("/environments/a%2Fb").await["protection_rules"][0]["type"],
        "branch_policy"
    );
    let patterns = see("/environments/a%2Fb/deployment-branch-policies").await;
    assert_eq!(patterns["branch_policies"][1]["name"], "refs/pull/*/merge");
    assert_eq!(
        see("/environments/a%2Fb/secrets").await["secrets"][0]["name"],
        "FLY_API_TOKEN"
    );
    assert_eq!(
        see("/environments/a%2Fb/variables").await["variables"][0]["value"],
        "fra"
    );
    assert_eq!(see("/actions/secrets").await["secrets"][0]["name"], "ONE");
    assert_eq!(
        see("/actions/organization-secrets").await["secrets"][0]["name"],
        "SHARED"
    );
    assert_eq!(
        see("/actions/permissions").await["sha_pinning_required"],
        true
    );
    let selected = see("/actions/permissions/selected-actions").await;
    assert_eq!(
        (
            &selected["github_owned_allowed"],
            &selected["patterns_allowed"]
        ),
        (&json!(true), &json!(["superfly/*"]))
    );
    assert_eq!(
        see("/actions/organization-variables").await["variables"][0]["name"],
        "SHARED"
    );
    assert_eq!(
        see("/actions/permissions/workflow").await["default_workflow_permissions"],
        "read"
    );
    assert_eq!(see("/rules/branches/main").await[0]["type"], "merge_queue");
    assert_eq!(see("/rules/branches/other").await, json!([]));
}

#[tokio::test]
async fn the_subject_of_identity_tokens_has_two_forms() {
    let github = GithubSandbox::new().await;
    let path = format!("{R}/actions/oidc/customization/sub");
    let old = github.get(&path).await.assert_status(200);
    assert_eq!(
        (&old["use_default"], &old["sub_claim_prefix"]),
        (&json!(true), &json!("repo:acme/shop"))
    );
    let made = json!({ "name": REPOSITORY, "immutable_subject": true });
    let ids = github.setup("repositories", made);
    let new = github.get(&path).await.assert_status(200);
    let prefix = format!("repo:acme@{}/shop@{}", ids["owner_id"], ids["id"]);
    assert_eq!(
        (&new["use_immutable_subject"], &new["sub_claim_prefix"]),
        (&json!(true), &json!(prefix))
    );
    let custom = json!({ "use_default": false, "include_claim_keys": ["repo", "context"] });
    github.call("PUT", &path, custom).await.assert_status(201);
    let custom = github.get(&path).await.assert_status(200);
    assert_eq!(custom["include_claim_keys"], json!(["repo", "context"]));
    let wrong = json!({ "use_default": false, "include_claim_keys": ["re po"] });
    github
        .call("PUT", &path, wrong)
        .await
        .assert_error(422, "alphanumeric");
}

#[tokio::test]
async fn the_state_outlives_a_restart_and_needs_a_token_to_change() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let sandbox = github.sandbox.restart(|_| {}).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .user_agent("octocat/1")
        .build()
        .unwrap();
    let url = format!("{}{R}/pulls/{pull}", sandbox.running.github_url());
    let seen = client
        .get(url)
        .bearer_auth(&github.token)
        .send()
        .await
        .unwrap();
    assert_eq!(seen.status(), 200);
    let url = format!("{}/_sandbox/github/repositories", sandbox.running.url());
    let body = json!({ "name": "acme/other" });
    let refused = client.post(&url).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let admin = sandbox.running.admin_token();
    let made = client
        .post(&url)
        .bearer_auth(&admin)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 200);
    let unknown = client
        .post(format!("{url}/x"))
        .bearer_auth(admin)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 404);
}
