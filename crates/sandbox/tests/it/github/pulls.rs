//! Pull requests, their commits, and the history around them.

use serde_json::{Value, json};

use super::support::{GithubSandbox, R, REPOSITORY};

#[tokio::test]
async fn open_pull_requests_are_listed() {
    let github = GithubSandbox::new().await;
    let first = github.open_pull("feature");
    let fork =
        json!({ "repository": REPOSITORY, "head": "feature", "fork": "mona", "draft": true });
    let second = github.setup("pulls", fork)["number"].as_u64().unwrap();
    let listed = github
        .get(&format!("{R}/pulls?state=open&per_page=100"))
        .await;
    let listed = listed.assert_status(200);
    assert_eq!(
        [&listed[0]["number"], &listed[1]["number"]],
        [second, first]
    );
    assert_eq!(listed[0]["head"]["repo"]["full_name"], "mona/shop");
    assert_eq!(listed[0]["head"]["repo"]["fork"], true);
    assert_eq!(listed[0]["draft"], true);
    let from_fork = github
        .get(&format!("{R}/pulls?head=mona:feature"))
        .await
        .assert_status(200);
    assert_eq!(from_fork[0]["number"], second);
    let lost = json!({ "repository": REPOSITORY, "number": second, "delete_fork": true });
    github.setup("pulls/update", lost);
    let pull = github
        .get(&format!("{R}/pulls/{second}"))
        .await
        .assert_status(200);
    assert_eq!(pull["head"]["repo"], Value::Null);
    let close = json!({ "repository": REPOSITORY, "number": first, "open": false });
    github.setup("issues/update", close);
    let closed = github
        .get(&format!("{R}/pulls?state=closed"))
        .await
        .assert_status(200);
    assert_eq!(closed[0]["number"], first);
    assert_eq!(closed[0]["merged_at"], Value::Null);
    github
        .get(&format!("{R}/pulls/99"))
        .await
        .assert_error(404, "Not Found");
}

#[tokio::test]
async fn a_push_moves_the_head() {
    let github = GithubSandbox::new().await;
    let pull = github.open_pull("feature");
    let path = format!("{R}/pulls/{pull}");
    let before = github.get(&path).await.assert_status(200);
    let pushed = github.setup(
        "push",
        json!({ "repository": REPOSITORY, "branch": "feature", "commits": [{ "message": "more" }] }),
    );
    assert_eq!(pushed["before"], before["head"]["sha"]);
    assert_eq!(pushed["pulls"], json!([pull]));
    let after = github.get(&path).await.assert_status(200);
    assert_eq!(after["head"]["sha"], pushed["after"]);
    assert_eq!(
        (&after["commits"], &after["mergeable_state"]),
        (&json!(2), &json!("clean"))
    );
    assert_ne!(after["merge_commit_sha"], before["merge_commit_sha"]);
    let conflict = json!({ "repository": REPOSITORY, "number": pull, "conflict": true });
    github.setup("pulls/update", conflict);
    let after = github.get(&path).await.assert_status(200);
    assert_eq!(
        (&after["mergeable"], &after["mergeable_state"]),
        (&json!(false), &json!("dirty"))
    );
}

#[tokio::test]
async fn a_merged_commit_leads_to_its_pull_request() {
    for method in ["merge", "squash", "rebase"] {
        let github = GithubSandbox::new().await;
        github.setup("behaviour", json!({ "merged_pulls_lag": 1 }));
        let pull = github.open_pull("feature");
        let head = github
            .get(&format!("{R}/pulls/{pull}"))
            .await
            .assert_status(200);
        let head = head["head"]["sha"].as_str().unwrap().to_owned();
        let open = github
            .get(&format!("{R}/commits/{head}/pulls"))
            .await
            .assert_status(200);
        assert_eq!(open[0]["number"], pull);
        let merge = json!({ "repository": REPOSITORY, "number": pull, "method": method });
        let merged = github.setup("pulls/merge", merge)["sha"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!("{R}/commits/{merged}/pulls");
        assert_eq!(
            github.get(&path).await.assert_status(200),
            json!([]),
            "{method}"
        );
        let found = github.get(&path).await.assert_status(200);
        assert_eq!(found[0]["number"], pull, "{method}");
        assert_eq!(found[0]["merge_commit_sha"], merged);
        assert_eq!(found[0]["state"], "closed");
        // A push to the default branch belongs to no pull request.
        let push = json!({ "repository": REPOSITORY, "commits": [{ "message": "direct" }] });
        let direct = github.setup("push", push)["after"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!("{R}/commits/{direct}/pulls");
        assert_eq!(github.get(&path).await.assert_status(200), json!([]));
    }
    let github = GithubSandbox::new().await;
    let unknown = format!("{R}/commits/{}/pulls", "0".repeat(40));
    github
        .get(&unknown)
        .await
        .assert_error(422, "No commit found for SHA");
}

#[tokio::test]
async fn histories_are_compared() {
    let github = GithubSandbox::new().await;
    let messages = [json!({ "message": "one" }), json!({ "message": "two" })];
    let push = json!({ "repository": REPOSITORY, "branch": "feature", "commits": messages });
    let pushed = github.setup("push", push);
    let ahead = github
        .get(&format!("{R}/compare/main...feature"))
        .await
        .assert_status(200);
    assert_eq!(
        (&ahead["status"], &ahead["ahead_by"]),
        (&json!("ahead"), &json!(2))
    );
    assert_eq!(ahead["commits"][0]["commit"]["message"], "one");
    assert_eq!(ahead["commits"][1]["sha"], pushed["after"]);
    let behind = github
        .get(&format!("{R}/compare/feature...main"))
        .await
        .assert_status(200);
    assert_eq!(
        (&behind["status"], &behind["behind_by"]),
        (&json!("behind"), &json!(2))
    );
    let tip = github
        .get(&format!("{R}/commits/feature"))
        .await
        .assert_status(200);
    assert_eq!(tip["sha"], pushed["after"]);
    github.setup(
        "push",
        json!({ "repository": REPOSITORY, "commits": [{ "message": "three" }] }),
    );
    let both = github
        .get(&format!("{R}/compare/main...feature?per_page=1"))
        .await;
    assert!(both.header("link").contains("rel=\"next\""));
    let both = both.assert_status(200);
    assert_eq!(
        (&both["status"], &both["total_commits"]),
        (&json!("diverged"), &json!(2))
    );
    github
        .get(&format!("{R}/compare/main...nothing"))
        .await
        .assert_error(404, "Not Found");
}

#[tokio::test]
async fn files_are_read_at_a_ref() {
    let github = GithubSandbox::new().await;
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": "name: CI\n" });
    let commits = json!([{ "message": "files", "files": files }]);
    let push = json!({ "repository": REPOSITORY, "branch": "feature", "commits": commits });
    github.setup("push", push);
    github
        .get(&format!("{R}/contents/README.md"))
        .await
        .assert_error(404, "Not Found");
    let path = format!("{R}/contents/README.md?ref=feature");
    let file = github.get(&path).await.assert_status(200);
    assert_eq!(
        (&file["content"], &file["encoding"]),
        (&json!("aGVsbG8="), &json!("base64"))
    );
    let raw = github.request("GET", &path).bearer_auth(&github.token);
    let raw = github
        .send(raw.header("accept", "application/vnd.github.raw+json"))
        .await;
    assert_eq!(raw.text, "hello");
    let folder = github
        .get(&format!("{R}/contents/.github?ref=feature"))
        .await
        .assert_status(200);
    assert_eq!(
        (&folder[0]["name"], &folder[0]["type"]),
        (&json!("workflows"), &json!("dir"))
    );
    // Workflows are known once they are on the default branch.
    let workflows = format!("{R}/actions/workflows");
    assert_eq!(
        github.get(&workflows).await.assert_status(200)["total_count"],
        0
    );
    let pull = github.open_pull("feature");
    github.setup(
        "pulls/merge",
        json!({ "repository": REPOSITORY, "number": pull }),
    );
    let known = github
        .get(&format!("{workflows}/ci.yml"))
        .await
        .assert_status(200);
    assert_eq!(
        (&known["name"], &known["state"]),
        (&json!("CI"), &json!("active"))
    );
}
