//! `apply --expect-reviewed`: which plan was reviewed, and what to do where none was.

use std::time::Duration;

use super::{CommandContext, CommandError, commit, exit, github, session::Session};
use crate::{
    github::{GitHubRun, ReviewedPlan, find_reviewed_plan},
    manifest::ReviewPolicy,
    plan::ExpectedPlan,
};

/// How long to wait for GitHub to know which pull request brought a commit, between two lookups.
const LOOKUP_PAUSE: Duration = Duration::from_secs(2);

/// What was found out about the review.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// The plan to expect; `None` where the manifest asks for no review.
    pub(super) expected: Option<ExpectedPlan>,
    /// The pull request that showed it.
    pub(super) pull_request: Option<(GitHubRun, u64)>,
}

/// Finds the plan that was reviewed in the pull request of the commit that is checked out.
///
/// # Errors
/// When the manifest requires a review and there is none.
pub(super) async fn find(
    context: &CommandContext<'_>,
    session: &Session,
) -> Result<Review, CommandError> {
    let policy = session.workspace.loaded.github.reviewed();
    if policy == ReviewPolicy::Off {
        context
            .ui
            .eprint("The plan needs no review: the manifest says `reviewed = \"off\"`.");
        return Ok(Review::default());
    }
    let (why, hint) = match look_up(context, session).await {
        Ok((run, ReviewedPlan::Found { pull_request, id })) => {
            context.ui.eprint(&format!(
                "Pull request {pull_request} showed plan {}.",
                id.short()
            ));
            return Ok(Review {
                expected: Some(ExpectedPlan::Reviewed(id)),
                pull_request: Some((run, pull_request)),
            });
        }
        Ok((_, ReviewedPlan::NotFound(why))) => (why, None),
        Err(error) => (error.summary(), error.hint().map(str::to_owned)),
    };
    if policy == ReviewPolicy::Required {
        return Err(CommandError::new(format!(
            "{why}, and the manifest requires a plan that was reviewed; nothing was changed"
        ))
        .with_hint(hint.unwrap_or_else(|| {
            "bring the change in a pull request whose check runs `plan --comment`, or review a plan by hand and pass its id with --expect"
                .to_owned()
        }))
        .with_exit_code(exit::REFUSED));
    }
    context.ui.eprint(&format!(
        "No plan was reviewed: {why}. Whatever deletes or replaces something is refused."
    ));
    Ok(Review {
        expected: Some(ExpectedPlan::Unreviewed(why)),
        pull_request: None,
    })
}

async fn look_up(
    context: &CommandContext<'_>,
    session: &Session,
) -> Result<(GitHubRun, ReviewedPlan), CommandError> {
    let run = github::current_run(&context.env_vars)?
        .ok_or_else(|| CommandError::new("this is no run of GitHub Actions"))?;
    let client = github::client(context, &run, session.sandbox_url())?;
    // A job may check out another commit than that of the event.
    let commit = commit::head_commit().unwrap_or_else(|_| run.sha.clone());
    let mark = &session.desired().meta.mark;
    let find = async |commit: &str| {
        find_reviewed_plan(
            &client,
            run.repository_id,
            commit,
            (&mark.project, &mark.environment),
            LOOKUP_PAUSE.div_f64(session.workspace.speed()),
        )
        .await
    };
    let reviewed = match find(&commit).await {
        // GitHub does not know a commit that was made in the job. Then the one that the run is for counts.
        Err(error) if error.status == Some(422) && commit != run.sha => find(&run.sha).await?,
        other => other?,
    };
    Ok((run, reviewed))
}
