//! Finds the plan that was reviewed: the commit names its pull request, and the comment there the ids of the plans.

use std::time::Duration;

use super::{
    comment::{is_author, viewer_login},
    mark::{CommentMark, MarkKind},
};
use crate::{
    clouds::{
        CloudError,
        github::{GitHubClient, IssueComment, PullRequest},
    },
    plan::PlanId,
};

/// How often a commit is looked up again that belongs to no pull request: GitHub's index may lag behind a merge.
const LOOKUPS: u32 = 3;

/// What was reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReviewedPlan {
    /// The plan of this environment in the comment of a pull request.
    Found {
        /// The pull request.
        pull_request: u64,
        /// The id of the plan.
        id: PlanId,
    },
    /// Nothing was, for this reason: a sentence fragment.
    NotFound(String),
}

/// Finds the id of the plan of an environment, named with its project, that was shown in the pull request that brought `commit`. `pause` is the time
/// between two lookups of a commit without a pull request.
///
/// # Errors
/// When GitHub refuses, or cannot be reached.
pub async fn find_reviewed_plan(
    client: &GitHubClient,
    repository_id: u64,
    commit: &str,
    (project, environment): (&str, &str),
    pause: Duration,
) -> Result<ReviewedPlan, CloudError> {
    let Some(request) = find_merged_request(client, commit, pause).await? else {
        return Ok(ReviewedPlan::NotFound(
            "no merged pull request brought this commit".to_owned(),
        ));
    };
    let (login, comments) = tokio::join!(viewer_login(client), client.comments(request.number));
    Ok(choose(
        &comments?,
        &login,
        repository_id,
        &request,
        (project, environment),
    ))
}

async fn find_merged_request(
    client: &GitHubClient,
    commit: &str,
    pause: Duration,
) -> Result<Option<PullRequest>, CloudError> {
    for lookup in 1..=LOOKUPS {
        let requests = client.pull_requests_of_commit(commit).await?;
        let merged = requests.into_iter().filter(|one| one.merged_at.is_some());
        // Of several, the commit came with the one that was merged first; the others were based on it.
        if let Some(request) = merged.min_by(|a, b| a.merged_at.cmp(&b.merged_at)) {
            return Ok(Some(request));
        }
        if lookup < LOOKUPS {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(None)
}

/// The id in the newest comment about plans, if it is about the last commit of the pull request.
fn choose(
    comments: &[IssueComment],
    login: &str,
    repository_id: u64,
    request: &PullRequest,
    (project, environment): (&str, &str),
) -> ReviewedPlan {
    let number = request.number;
    let mut marks: Vec<(u64, CommentMark)> = comments
        .iter()
        .filter(|comment| is_author(comment.user.as_ref(), login))
        .filter_map(|comment| Some((comment.id, CommentMark::parse(comment.body.as_deref()?)?)))
        .filter(|(_, mark)| mark.kind == MarkKind::Plan && mark.repository_id == repository_id)
        .filter(|(_, mark)| mark.project == project)
        .collect();
    marks.sort_by_key(|(id, _)| *id);
    let not_found = |why: &str| ReviewedPlan::NotFound(format!("pull request {number} {why}"));
    if marks.is_empty() {
        return not_found("has no comment with a plan");
    }
    marks.retain(|(_, mark)| mark.head == request.head.sha);
    if marks.is_empty() {
        return not_found("shows the plan of an older commit than its last");
    }
    // Different jobs may show different environments, each in a comment of its own.
    marks.retain(|(_, mark)| mark.expect.contains_key(environment));
    let Some((_, mark)) = marks.pop() else {
        return not_found("shows no plan of this environment");
    };
    match mark.expect.get(environment).and_then(|id| id.parse().ok()) {
        Some(id) => ReviewedPlan::Found {
            pull_request: number,
            id,
        },
        None => not_found("shows a plan whose id cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clouds::github::{PullRequestHead, User};

    fn request(head: &str) -> PullRequest {
        PullRequest {
            number: 42,
            merged_at: Some("2026-01-01T00:00:00Z".to_owned()),
            head: PullRequestHead {
                sha: head.to_owned(),
            },
        }
    }

    fn comment(id: u64, login: &str, head: &str, expect: &str) -> IssueComment {
        let mut mark = CommentMark::new(MarkKind::Plan, 7, id);
        mark.head = head.to_owned();
        mark.project = "shop".to_owned();
        mark.expect.insert("staging".to_owned(), expect.to_owned());
        IssueComment {
            id,
            body: Some(format!("{}\nplan", mark.to_line())),
            user: Some(User {
                login: login.to_owned(),
            }),
        }
    }

    #[test]
    fn the_newest_own_comment_about_the_last_commit_counts() {
        const BOT: &str = "github-actions[bot]";
        let (old, new) = ("000000000001", "000000000002");
        let find = |comments: &[IssueComment], environment: &str| {
            choose(comments, BOT, 7, &request("head"), ("shop", environment))
        };
        let own = comment(5, BOT, "head", new);
        let comments = [
            comment(4, BOT, "head", old),
            own.clone(),
            comment(6, "eve", "head", old),
        ];
        assert_eq!(
            find(&comments, "staging"),
            ReviewedPlan::Found {
                pull_request: 42,
                id: new.parse().unwrap()
            }
        );
        for (comments, environment, why) in [
            (vec![own], "production", "shows no plan of this environment"),
            (vec![], "staging", "has no comment"),
            (
                vec![comment(5, BOT, "older", new)],
                "staging",
                "older commit",
            ),
            (
                vec![comment(5, BOT, "head", "x")],
                "staging",
                "cannot be read",
            ),
        ] {
            let found = find(&comments, environment);
            assert!(
                matches!(&found, ReviewedPlan::NotFound(text) if text.contains(why)),
                "{found:?}"
            );
        }
    }
}
