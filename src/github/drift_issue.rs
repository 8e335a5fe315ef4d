//! The one issue about drift: opened when something differs, updated while it does, closed when nothing does any more. A person
//! who closes it as not planned has accepted the drift that it shows: it stays silent until something new joins.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    comment::{is_author, viewer_login},
    mark::{CommentMark, MarkKind, without_mark},
};
use crate::clouds::{
    CloudError,
    github::{GitHubClient, Issue, IssueState, IssueStateReason},
};

/// The label by which the issue is found.
const LABEL: &str = "trimtab-drift";
const LABEL_COLOR: &str = "d93f0b";
const LABEL_DESCRIPTION: &str = "Live resources differ from the manifests";
/// Bytes of the hash of one difference. Sixteen digits are enough to tell some hundred differences apart.
const ITEM_HASH_LEN: usize = 8;
/// The most differences that have a hash of their own, so that the mark leaves room for the text. Of more, any change is news.
const MAX_ITEMS: usize = 800;

/// What a look at all environments found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftReport {
    /// One line for each difference, with the environment and the address. The order does not matter.
    pub items: BTreeSet<String>,
    /// The title of the issue.
    pub title: String,
    /// The text of the issue, without its mark.
    pub text: String,
    /// The project and the environments that were looked at.
    pub project: String,
    /// See `project`.
    pub environments: BTreeSet<String>,
    /// Whether every environment could be looked at. After an incomplete look the issue is not closed.
    pub is_complete: bool,
}

impl DriftReport {
    fn mark(&self, repository_id: u64, run_id: u64) -> CommentMark {
        CommentMark {
            project: self.project.clone(),
            environments: self.environments.clone(),
            items: item_hashes(&self.items),
            ..CommentMark::new(MarkKind::Drift, repository_id, run_id)
        }
    }
}

/// What became of the issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueOutcome {
    /// There is no drift, and no issue was open.
    NoDrift,
    /// It was opened.
    Opened(u64),
    /// It was updated.
    Updated(u64),
    /// It says the same already.
    Unchanged(u64),
    /// The drift is gone, so it was closed.
    Closed(u64),
    /// A person has closed it as not planned, and nothing new has joined since.
    Accepted(u64),
    /// Something could not be looked at, so it was left as it is.
    LeftOpen,
}

/// What has to be done about the issue.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Leave(IssueOutcome),
    Open,
    /// With a comment, which notifies, where something new has joined.
    Update {
        number: u64,
        is_news: bool,
    },
    Close(u64),
}

/// A short hash of each difference.
fn item_hashes(items: &BTreeSet<String>) -> Vec<String> {
    let hash = |item: &String| -> String {
        let digest = Sha256::digest(item.as_bytes());
        digest[..ITEM_HASH_LEN]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    if items.len() > MAX_ITEMS {
        let all: Vec<&str> = items.iter().map(String::as_str).collect();
        return vec![hash(&all.join("\n"))];
    }
    let mut hashes: Vec<String> = items.iter().map(hash).collect();
    hashes.sort();
    hashes
}

/// Our issues about drift in this repository, with their marks.
fn own_issues<'a>(
    issues: &'a [Issue],
    login: &str,
    mark: &CommentMark,
) -> Vec<(&'a Issue, CommentMark)> {
    issues
        .iter()
        .filter(|issue| is_author(issue.user.as_ref(), login))
        .filter_map(|issue| Some((issue, CommentMark::parse(issue.body.as_deref()?)?)))
        .filter(|(_, found)| found.is_about_same(mark))
        .collect()
}

fn decide(own: &[(&Issue, CommentMark)], report: &DriftReport, mark: &CommentMark) -> Decision {
    let is_open = |issue: &Issue| issue.state == IssueState::Open;
    let open = own
        .iter()
        .filter(|(issue, _)| is_open(issue))
        .min_by_key(|(issue, _)| issue.number);
    match open {
        Some(_) if report.items.is_empty() && !report.is_complete => {
            Decision::Leave(IssueOutcome::LeftOpen)
        }
        Some((issue, _)) if report.items.is_empty() => Decision::Close(issue.number),
        Some((issue, found)) => {
            let number = issue.number;
            let is_same = issue
                .body
                .as_deref()
                .is_some_and(|body| without_mark(body).trim_end() == report.text.trim_end());
            if is_same && found.items == mark.items {
                return Decision::Leave(IssueOutcome::Unchanged(number));
            }
            Decision::Update {
                number,
                is_news: mark.items.iter().any(|item| !found.items.contains(item)),
            }
        }
        None if report.items.is_empty() => Decision::Leave(IssueOutcome::NoDrift),
        None => {
            // A duplicate of a race was closed by a run, and says nothing about what people want.
            let newest = own
                .iter()
                .filter(|(issue, _)| issue.state_reason != Some(IssueStateReason::Duplicate))
                .max_by_key(|(issue, _)| issue.number);
            match newest {
                Some((issue, found))
                    if issue.state_reason == Some(IssueStateReason::NotPlanned)
                        && mark.items.iter().all(|item| found.items.contains(item)) =>
                {
                    Decision::Leave(IssueOutcome::Accepted(issue.number))
                }
                _ => Decision::Open,
            }
        }
    }
}

/// Opens, updates or closes the issue.
///
/// # Errors
/// When GitHub refuses, issues are switched off, or it cannot be reached.
pub async fn update_drift_issue(
    client: &GitHubClient,
    repository_id: u64,
    run_id: u64,
    report: &DriftReport,
) -> Result<IssueOutcome, CloudError> {
    let mark = report.mark(repository_id, run_id);
    let body = format!("{}\n{}", mark.to_line(), report.text);
    let (login, issues) = tokio::join!(viewer_login(client), client.issues_with_label(LABEL));
    let issues = issues?;
    let own = own_issues(&issues, &login, &mark);
    close_duplicates(client, &own).await;
    match decide(&own, report, &mark) {
        Decision::Leave(outcome) => Ok(outcome),
        Decision::Open => {
            client
                .ensure_label(LABEL, LABEL_COLOR, LABEL_DESCRIPTION)
                .await?;
            let issue = client.create_issue(&report.title, &body, LABEL).await?;
            Ok(IssueOutcome::Opened(issue.number))
        }
        Decision::Update { number, is_news } => {
            client
                .update_issue(number, json!({ "title": report.title, "body": body }))
                .await?;
            if is_news {
                client
                    .create_comment(
                        number,
                        "More differs than before: the text above is up to date.",
                    )
                    .await?;
            }
            Ok(IssueOutcome::Updated(number))
        }
        Decision::Close(number) => {
            client
                .create_comment(number, "Nothing differs any more.")
                .await?;
            client
                .update_issue(
                    number,
                    json!({ "state": "closed", "state_reason": "completed" }),
                )
                .await?;
            Ok(IssueOutcome::Closed(number))
        }
    }
}

/// Two runs at once can open two issues. The oldest one stays.
async fn close_duplicates(client: &GitHubClient, own: &[(&Issue, CommentMark)]) {
    let mut open: Vec<u64> = own
        .iter()
        .filter(|(issue, _)| issue.state == IssueState::Open)
        .map(|(issue, _)| issue.number)
        .collect();
    open.sort_unstable();
    for number in open.into_iter().skip(1) {
        let closed = client
            .update_issue(
                number,
                json!({ "state": "closed", "state_reason": "duplicate" }),
            )
            .await;
        if let Err(error) = closed {
            tracing::debug!(%error, "a second issue about drift stays open");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clouds::github::User;

    fn report(items: &[&str]) -> DriftReport {
        DriftReport {
            items: items.iter().map(ToString::to_string).collect(),
            title: "drift".to_owned(),
            text: items.join("\n"),
            project: "shop".to_owned(),
            environments: ["staging".to_owned()].into(),
            is_complete: true,
        }
    }

    fn mark(report: &DriftReport) -> CommentMark {
        report.mark(7, 1)
    }

    fn issue(number: u64, shown: &DriftReport, reason: Option<IssueStateReason>) -> Issue {
        let state = match reason {
            None | Some(IssueStateReason::Reopened) => IssueState::Open,
            Some(_) => IssueState::Closed,
        };
        Issue {
            number,
            body: Some(format!("{}\n{}", mark(shown).to_line(), shown.text)),
            state,
            state_reason: reason,
            user: Some(User {
                login: "github-actions[bot]".to_owned(),
            }),
            pull_request: None,
        }
    }

    fn decide_over(issues: &[Issue], report: &DriftReport) -> Decision {
        decide(
            &own_issues(issues, "me", &mark(report)),
            report,
            &mark(report),
        )
    }

    #[test]
    fn issue_follows_the_drift() {
        let (none, a, ab) = (report(&[]), report(&["a"]), report(&["a", "b"]));
        assert_eq!(
            decide_over(&[], &none),
            Decision::Leave(IssueOutcome::NoDrift)
        );
        assert_eq!(decide_over(&[], &a), Decision::Open);
        let open = [issue(4, &a, None)];
        assert_eq!(
            decide_over(&open, &a),
            Decision::Leave(IssueOutcome::Unchanged(4))
        );
        let update = |is_news| Decision::Update { number: 4, is_news };
        assert_eq!(decide_over(&open, &ab), update(true));
        assert_eq!(decide_over(&[issue(4, &ab, None)], &a), update(false));
        assert_eq!(decide_over(&open, &none), Decision::Close(4));
        let unsure = DriftReport {
            is_complete: false,
            ..none
        };
        assert_eq!(
            decide_over(&open, &unsure),
            Decision::Leave(IssueOutcome::LeftOpen)
        );
    }

    #[test]
    fn accepted_drift_stays_silent_until_something_joins() {
        let (a, ab) = (report(&["a"]), report(&["a", "b"]));
        let accepted = [issue(4, &ab, Some(IssueStateReason::NotPlanned))];
        for shown in [&a, &ab] {
            assert_eq!(
                decide_over(&accepted, shown),
                Decision::Leave(IssueOutcome::Accepted(4))
            );
        }
        let abc = report(&["a", "b", "c"]);
        assert_eq!(decide_over(&accepted, &abc), Decision::Open);
        // It was gone in between, so it is news again.
        let repaired = [
            issue(4, &ab, Some(IssueStateReason::NotPlanned)),
            issue(5, &a, Some(IssueStateReason::Completed)),
        ];
        assert_eq!(decide_over(&repaired, &a), Decision::Open);
    }

    #[test]
    fn issues_of_others_do_not_count() {
        let a = report(&["a"]);
        let mut foreign = issue(4, &a, None);
        foreign.user = Some(User {
            login: "eve".to_owned(),
        });
        assert_eq!(decide_over(&[foreign], &a), Decision::Open);
    }
}
