//! The comment on a pull request and the issue about drift, under every fault of GitHub and in races: in the end there is one of
//! each, with the newest text.

use std::time::Duration;

use serde_json::json;
use trimtab::{
    clouds::github::{GitHubClient, GitHubConfig},
    github::{
        CommentMark, CommentOutcome, DriftReport, MarkKind, ReviewedPlan, find_reviewed_plan,
        post_comment, update_drift_issue,
    },
    model::Secret,
};
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions};

use crate::support::sample;

const REPOSITORY: &str = "acme/shop";
/// The id of some plan.
const PLAN: &str = "000000000001";

/// A repository with an open pull request.
struct Fixture {
    sandbox: RunningSandbox,
    client: GitHubClient,
    repository_id: u64,
    number: u64,
    head: String,
}

impl Fixture {
    async fn new() -> Self {
        let mut options = SandboxOptions::in_memory();
        // Limits on the creation of comments pass quickly.
        options.speed = 1_000.0;
        let sandbox = sandbox::start(options).await.unwrap();
        let play =
            json!({ "event": "pull_request.opened", "repository": REPOSITORY, "branch": "topic" });
        let played = sandbox.github().run("play", &play).unwrap();
        let rights = [
            ("contents", "read"),
            ("issues", "write"),
            ("pull_requests", "write"),
        ];
        let token = sandbox.github().actions_token(REPOSITORY, &rights).unwrap();
        let url = sandbox.github_url();
        let client = GitHubClient::new(&GitHubConfig {
            graphql_url: format!("{url}/graphql"),
            api_url: url,
            repository: REPOSITORY.to_owned(),
            token: Secret::new(token),
        })
        .unwrap();
        let payload = &played["payload"];
        Self {
            client,
            repository_id: payload["repository"]["id"].as_u64().unwrap(),
            number: payload["number"].as_u64().unwrap(),
            head: payload["pull_request"]["head"]["sha"]
                .as_str()
                .unwrap()
                .to_owned(),
            sandbox,
        }
    }

    /// The mark of a run.
    fn mark(&self, run_id: u64) -> CommentMark {
        let mut mark = CommentMark::new(MarkKind::Plan, self.repository_id, run_id);
        mark.head.clone_from(&self.head);
        mark.project = "shop".to_owned();
        mark.environments.insert("dev".to_owned());
        mark.expect.insert("dev".to_owned(), PLAN.to_owned());
        mark
    }

    /// The texts of all comments.
    async fn comments(&self) -> Vec<String> {
        let comments = self.client.comments(self.number).await.unwrap();
        comments
            .into_iter()
            .filter_map(|comment| comment.body)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_is_there_once_after_any_fault() {
    let mut injected: u64 = 0;
    for fault in [
        "drop-before:N",
        "drop-after:N",
        "status:N:502",
        "status-after:N:502",
        "429:N:1",
        "truncate:N",
    ] {
        // The first run makes the comment with six requests, the second one updates it with four.
        for request in sample(1..=10, fault.len(), 3) {
            let fixture = Fixture::new().await;
            let text = fault.replace('N', &request.to_string());
            fixture.sandbox.set_faults(vec![text.parse().unwrap()]);
            for run in [1, 2] {
                let body = format!("text {run}");
                // A run that failed leaves a warning, and the next one does it.
                drop(
                    post_comment(&fixture.client, fixture.number, &fixture.mark(run), &body).await,
                );
            }
            injected += fixture.sandbox.injected_fault_count();
            fixture.sandbox.set_faults(Vec::new());
            let mark = fixture.mark(3);
            post_comment(&fixture.client, fixture.number, &mark, "the last text")
                .await
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            let comments = fixture.comments().await;
            assert_eq!(comments.len(), 1, "{text}: {comments:#?}");
            assert!(
                comments[0].ends_with("the last text"),
                "{text}: {comments:#?}"
            );
        }
    }
    assert!(injected > 10, "only {injected} faults took effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_leave_one_comment() {
    for _ in 0..8 {
        let fixture = Fixture::new().await;
        let (first, second) = (fixture.mark(1), fixture.mark(2));
        let post = |mark, text| post_comment(&fixture.client, fixture.number, mark, text);
        let (one, two) = tokio::join!(post(&first, "of one"), post(&second, "of two"));
        one.unwrap();
        two.unwrap();
        let comments = fixture.comments().await;
        assert_eq!(comments.len(), 1, "{comments:#?}");
        let late = post_comment(&fixture.client, fixture.number, &second, "of two").await;
        assert!(late.is_ok());
        assert!(fixture.comments().await[0].ends_with("of two"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_does_not_write_over_a_newer_one() {
    let fixture = Fixture::new().await;
    let post = async |mark: CommentMark, text| {
        post_comment(&fixture.client, fixture.number, &mark, text)
            .await
            .unwrap()
    };
    assert_eq!(
        post(fixture.mark(2), "newer").await,
        CommentOutcome::Created
    );
    assert_eq!(
        post(fixture.mark(1), "older").await,
        CommentOutcome::NewerRun
    );
    // The branch has moved since this run began.
    let push =
        json!({ "repository": REPOSITORY, "branch": "topic", "commits": [{ "message": "More" }] });
    fixture.sandbox.github().run("push", &push).unwrap();
    assert_eq!(
        post(fixture.mark(3), "older").await,
        CommentOutcome::NewerCommit
    );
    assert!(fixture.comments().await[0].ends_with("newer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_own_comment_on_the_last_commit_counts_as_a_review() {
    let fixture = Fixture::new().await;
    let find = async |commit: &str| {
        let pause = Duration::from_millis(1);
        find_reviewed_plan(
            &fixture.client,
            fixture.repository_id,
            commit,
            ("shop", "dev"),
            pause,
        )
        .await
        .unwrap()
    };
    post_comment(&fixture.client, fixture.number, &fixture.mark(1), "plan")
        .await
        .unwrap();
    // Somebody pastes a newer mark.
    let mut forged = fixture.mark(9);
    forged
        .expect
        .insert("dev".to_owned(), "0000000000ff".to_owned());
    let comment = json!({ "repository": REPOSITORY, "number": fixture.number, "user": "eve",
        "body": format!("{}\nplan", forged.to_line()) });
    fixture.sandbox.github().run("comments", &comment).unwrap();
    let merge = json!({ "event": "pull_request.closed", "repository": REPOSITORY,
        "number": fixture.number, "merged": true });
    let merged = fixture.sandbox.github().run("play", &merge).unwrap();
    let commit = merged["payload"]["pull_request"]["merge_commit_sha"].clone();
    let found = find(commit.as_str().unwrap()).await;
    assert!(
        matches!(&found, ReviewedPlan::Found { pull_request, id }
            if *pull_request == fixture.number && id.to_string() == PLAN),
        "{found:?}"
    );
    let push = json!({ "event": "push", "repository": REPOSITORY, "commits": ["By hand"] });
    let pushed = fixture.sandbox.github().run("play", &push).unwrap();
    let found = find(pushed["variables"]["GITHUB_SHA"].as_str().unwrap()).await;
    assert!(matches!(found, ReviewedPlan::NotFound(_)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn issue_is_there_once_after_any_fault() {
    let report = |items: &[&str]| DriftReport {
        items: items.iter().map(ToString::to_string).collect(),
        title: "Drift".to_owned(),
        text: items.join("\n"),
        project: "shop".to_owned(),
        environments: ["dev".to_owned()].into(),
        is_complete: true,
    };
    for fault in ["drop-after:N", "status-after:N:502", "status:N:502"] {
        for request in sample(1..=8, fault.len(), 3) {
            let fixture = Fixture::new().await;
            let text = fault.replace('N', &request.to_string());
            fixture.sandbox.set_faults(vec![text.parse().unwrap()]);
            let update = async |run, items: &[&str]| {
                update_drift_issue(&fixture.client, fixture.repository_id, run, &report(items))
                    .await
            };
            drop(update(1, &["a"]).await);
            fixture.sandbox.set_faults(Vec::new());
            update(2, &["a", "b"]).await.unwrap();
            let open = open_issues(&fixture).await;
            assert_eq!(open.len(), 1, "{text}: {open:#?}");
            assert!(open[0].ends_with("a\nb"), "{text}: {open:#?}");
            update(3, &[]).await.unwrap();
            assert_eq!(open_issues(&fixture).await, Vec::<String>::new(), "{text}");
        }
    }
}

/// The texts of the open issues.
async fn open_issues(fixture: &Fixture) -> Vec<String> {
    let issues = fixture.client.issues_with_label("trimtab-drift").await;
    issues
        .unwrap()
        .into_iter()
        .filter(|issue| issue.state == trimtab::clouds::github::IssueState::Open)
        .filter_map(|issue| issue.body)
        .collect()
}
