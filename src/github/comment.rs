//! The one comment of a kind on a pull request: made once, updated in place.
//!
//! Runs overlap. An older run must not write over a newer one, two first runs must not leave two comments, and a comment that
//! somebody deleted is made again.

use super::mark::{CommentMark, without_mark};
use crate::clouds::{
    CloudError, ErrorKind,
    github::{GitHubClient, IssueComment, User},
};

/// The author of comments that are made with the token of a job.
const ACTIONS_BOT: &str = "github-actions[bot]";

/// What became of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentOutcome {
    /// It was made.
    Created,
    /// It was updated.
    Updated,
    /// It says the same already.
    Unchanged,
    /// A newer commit was pushed since this run began, so it left the comment alone.
    NewerCommit,
    /// A newer run has written it for the same commit, so this one left it alone.
    NewerRun,
}

/// What has to be done about a comment.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Create,
    Update(u64),
    Leave(CommentOutcome),
}

/// The comments of this kind that are ours, oldest first.
fn own_comments<'a>(
    comments: &'a [IssueComment],
    login: &str,
    mark: &CommentMark,
) -> Vec<(&'a IssueComment, CommentMark)> {
    let mut own: Vec<(&IssueComment, CommentMark)> = comments
        .iter()
        .filter(|comment| is_author(comment.user.as_ref(), login))
        .filter_map(|comment| Some((comment, CommentMark::parse(comment.body.as_deref()?)?)))
        .filter(|(_, found)| found.is_about_same(mark))
        .collect();
    own.sort_by_key(|(comment, _)| comment.id);
    own
}

/// Whether a text was written by the owner of the token, or by the token of a job. Anybody can write a mark.
pub(super) fn is_author(author: Option<&User>, login: &str) -> bool {
    author.is_some_and(|author| author.login == login || author.login == ACTIONS_BOT)
}

/// Decides from the comments that are there. `body` begins with the line of `mark`.
fn decide(comments: &[IssueComment], login: &str, mark: &CommentMark, body: &str) -> Decision {
    let own = own_comments(comments, login, mark);
    let Some((comment, found)) = own.first() else {
        return Decision::Create;
    };
    let is_same_text = comment
        .body
        .as_deref()
        .is_some_and(|text| without_mark(text).trim_end() == without_mark(body).trim_end());
    let unchanged = CommentMark {
        run_id: mark.run_id,
        ..found.clone()
    };
    if is_same_text && unchanged == *mark {
        return Decision::Leave(CommentOutcome::Unchanged);
    }
    if found.head == mark.head && found.run_id > mark.run_id {
        return Decision::Leave(CommentOutcome::NewerRun);
    }
    Decision::Update(comment.id)
}

/// Makes the comment, or updates it. `text` is the comment without its mark.
///
/// # Errors
/// When GitHub refuses, or cannot be reached.
pub async fn post_comment(
    client: &GitHubClient,
    number: u64,
    mark: &CommentMark,
    text: &str,
) -> Result<CommentOutcome, CloudError> {
    let body = format!("{}\n{text}", mark.to_line());
    let (login, comments, request) = tokio::join!(
        viewer_login(client),
        client.comments(number),
        client.pull_request(number)
    );
    let (comments, request) = (comments?, request?);
    // Comments about an older commit would hide what the newer one does.
    if !mark.head.is_empty() && request.head.sha != mark.head {
        return Ok(CommentOutcome::NewerCommit);
    }
    match decide(&comments, &login, mark, &body) {
        Decision::Leave(outcome) => Ok(outcome),
        Decision::Update(id) => match client.update_comment(id, &body).await {
            // Somebody has deleted it meanwhile.
            Err(error) if error.is_not_found() => {
                create_once(client, number, &login, mark, &body).await
            }
            other => {
                other?;
                remove_others(client, id, own_comments(&comments, &login, mark)).await;
                Ok(CommentOutcome::Updated)
            }
        },
        Decision::Create => create_once(client, number, &login, mark, &body).await,
    }
}

/// The login of the token. Where GitHub does not say, it is that of a job.
pub(super) async fn viewer_login(client: &GitHubClient) -> String {
    client.viewer_login().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the token's owner is unknown");
        ACTIONS_BOT.to_owned()
    })
}

/// Makes the comment, and looks again: another run may have made one at the same time, or the answer of a comment that was made
/// may have been lost. Then the oldest one stays, with our text.
async fn create_once(
    client: &GitHubClient,
    number: u64,
    login: &str,
    mark: &CommentMark,
    body: &str,
) -> Result<CommentOutcome, CloudError> {
    let created = client.create_comment(number, body).await;
    if let Err(error) = &created
        && error.kind != ErrorKind::Ambiguous
    {
        return Err(error.clone());
    }
    let comments = client.comments(number).await?;
    let own = own_comments(&comments, login, mark);
    let Some((oldest, _)) = own.first() else {
        // GitHub may list it a moment later. Only an unknown outcome is an error.
        return created.map(|_| CommentOutcome::Created);
    };
    let id = oldest.id;
    if let Decision::Update(id) = decide(&comments, login, mark, body) {
        client.update_comment(id, body).await?;
    }
    remove_others(client, id, own).await;
    Ok(CommentOutcome::Created)
}

/// Deletes every comment of ours but one. One that stays is only untidy, so errors are no reason to stop.
async fn remove_others(client: &GitHubClient, keep: u64, own: Vec<(&IssueComment, CommentMark)>) {
    for (comment, _) in own.into_iter().filter(|(comment, _)| comment.id != keep) {
        if let Err(error) = client.delete_comment(comment.id).await {
            tracing::debug!(%error, "a second comment stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::mark::MarkKind, *};

    fn mark(head: &str, run_id: u64) -> CommentMark {
        CommentMark {
            head: head.to_owned(),
            ..CommentMark::new(MarkKind::Plan, 7, run_id)
        }
    }

    fn comment(id: u64, login: &str, body: String) -> IssueComment {
        IssueComment {
            id,
            body: Some(body),
            user: Some(User {
                login: login.to_owned(),
            }),
        }
    }

    fn body(mark: &CommentMark, text: &str) -> String {
        format!("{}\n{text}", mark.to_line())
    }

    #[test]
    fn only_own_comments_of_the_kind_count() {
        let wanted = mark("b", 2);
        let copied = CommentMark {
            repository_id: 8,
            ..mark("a", 1)
        };
        let drift = CommentMark {
            kind: MarkKind::Drift,
            ..mark("a", 1)
        };
        let comments = [
            comment(1, "eve", body(&mark("a", 1), "x")),
            comment(2, ACTIONS_BOT, "hello".to_owned()),
            comment(3, ACTIONS_BOT, body(&copied, "x")),
            comment(4, ACTIONS_BOT, body(&drift, "x")),
        ];
        let decide_with =
            |comments: &[IssueComment]| decide(comments, "me", &wanted, &body(&wanted, "x"));
        assert_eq!(decide_with(&comments), Decision::Create);
        let mut mine = comments.to_vec();
        mine.push(comment(6, "me", body(&mark("a", 1), "x")));
        mine.push(comment(5, ACTIONS_BOT, body(&mark("a", 1), "x")));
        assert_eq!(decide_with(&mine), Decision::Update(5));
    }

    #[test]
    fn same_text_of_the_same_commit_is_left_alone() {
        let wanted = mark("a", 2);
        let decide_over = |old: &CommentMark, text: &str| {
            let comments = [comment(1, ACTIONS_BOT, body(old, text))];
            decide(&comments, ACTIONS_BOT, &wanted, &body(&wanted, "x"))
        };
        assert_eq!(
            decide_over(&mark("a", 1), "x\n"),
            Decision::Leave(CommentOutcome::Unchanged)
        );
        assert_eq!(decide_over(&mark("a", 1), "y"), Decision::Update(1));
        // The ids are only valid for the commit in the mark.
        assert_eq!(decide_over(&mark("b", 1), "x"), Decision::Update(1));
        assert_eq!(
            decide_over(&mark("a", 3), "y"),
            Decision::Leave(CommentOutcome::NewerRun)
        );
    }
}
