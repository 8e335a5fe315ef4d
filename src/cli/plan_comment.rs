//! The comment with the plans of a pull request, and the annotations on the lines of its manifests.

use super::{
    CommandContext, CommandError,
    github::{self, annotation_place},
    look::{self, EnvironmentLook, with_results},
};
use crate::{
    github::{CommentMark, CommentOutcome, GitHubRun, MarkKind, post_comment},
    render::{
        annotations::Annotations,
        markdown::{COMMENT_BUDGET, environments_comment},
    },
};

/// Writes the comment and the annotations. Outside GitHub the text of the comment is printed.
///
/// # Errors
/// When the run itself cannot be read. What GitHub refuses is only a warning: the plan is in the log and in the summary.
pub(super) async fn write(
    context: &CommandContext<'_>,
    outcomes: &[EnvironmentLook],
) -> Result<(), CommandError> {
    let run = github::current_run(&context.env_vars)?;
    let more = run.as_ref().map(|run| run.run_url.as_str());
    let mark_budget = run
        .as_ref()
        .map_or(0, |run| plan_mark(run, "", outcomes).to_line().len() + 64);
    let text = with_results(outcomes, |results| {
        environments_comment(
            results,
            false,
            more,
            COMMENT_BUDGET.saturating_sub(mark_budget),
        )
    });
    let text = github::clean(&text);
    let Some(run) = run else {
        context.ui.print(&text)?;
        return Ok(());
    };
    annotate(context, outcomes);
    let request = match run.commentable() {
        Ok(request) => request,
        Err(why) => {
            context.ui.eprint(&format!(
                "No comment: {}. The summary of the run has the plan.",
                why.text()
            ));
            return Ok(());
        }
    };
    let mark = plan_mark(&run, &request.head_sha, outcomes);
    let outcome = async {
        let client = github::client(context, &run, look::sandbox_url(outcomes))?;
        Ok::<_, CommandError>(post_comment(&client, request.number, &mark, &text).await?)
    };
    match outcome.await {
        Ok(outcome) => context.ui.eprint(&format!(
            "Pull request {}: {}.",
            request.number,
            describe(outcome)
        )),
        Err(error) => context.ui.eprint(&format!(
            "warning: the plan is not in a comment: {}; the summary of the run has it",
            error.summary()
        )),
    }
    Ok(())
}

fn describe(outcome: CommentOutcome) -> &'static str {
    match outcome {
        CommentOutcome::Created => "the plan is in a new comment",
        CommentOutcome::Updated => "the comment is up to date",
        CommentOutcome::Unchanged => "the comment says the same already",
        CommentOutcome::NewerCommit => {
            "the comment is left to a newer run, because a newer commit was pushed"
        }
        CommentOutcome::NewerRun => "the comment is left as a newer run has written it",
    }
}

/// The mark, with the ids of the plans that `apply` would accept.
fn plan_mark(run: &GitHubRun, head_sha: &str, outcomes: &[EnvironmentLook]) -> CommentMark {
    let mut mark = CommentMark::new(MarkKind::Plan, run.repository_id, run.run_id);
    mark.head = head_sha.to_owned();
    mark.project = look::project(outcomes);
    for outcome in outcomes {
        mark.environments.insert(outcome.environment().to_owned());
        if let Some(planned) = outcome.planned() {
            let id = planned.plan.review_id().to_string();
            mark.expect.insert(planned.headline.environment.clone(), id);
        }
    }
    mark
}

/// Shows the changes at the lines that they come from.
fn annotate(context: &CommandContext<'_>, outcomes: &[EnvironmentLook]) {
    let mut annotations = Annotations::default();
    for outcome in outcomes {
        if let Some(planned) = outcome.planned() {
            let loaded = &planned.session.workspace.loaded;
            annotations.add_plan(
                &planned.headline.environment,
                &planned.plan,
                &planned.refusals,
                |address, path| annotation_place(context, loaded, address, path),
            );
        }
    }
    context
        .ui
        .eprint_workflow_commands(&annotations.into_commands());
}
