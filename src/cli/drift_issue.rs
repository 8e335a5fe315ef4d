//! The issue about drift: its text, and what counts as one difference.

use std::collections::BTreeSet;

use super::{
    CommandContext, CommandError, github,
    look::{self, EnvironmentLook, PlannedEnvironment, with_results},
};
use crate::{
    clouds::github::{GitHubClient, WorkflowState},
    github::{DriftReport, IssueOutcome, update_drift_issue},
    model::redact,
    render::markdown::{COMMENT_BUDGET, environments_comment},
};

/// The bytes of the issue's text. The rest of what GitHub takes is for the mark, which has a hash for each difference, and for the
/// list of workflows.
const ISSUE_BUDGET: usize = COMMENT_BUDGET - 20_000;
/// The bytes of the summary, of which GitHub takes 1 MiB.
pub(super) const SUMMARY_BUDGET: usize = 480_000;

/// One line for each difference, by which a later run tells whether something new has joined.
fn drift_items(planned: &PlannedEnvironment) -> Vec<String> {
    let PlannedEnvironment { plan, headline, .. } = planned;
    let environment = &headline.environment;
    let changes = plan.changes().into_iter().map(|change| {
        // What a value should be is part of a difference. A hash of it is public, so a known secret is no part of it.
        let lines: Vec<String> = change
            .lines
            .iter()
            .map(|line| redact(&serde_json::to_string(line).unwrap_or_default()))
            .collect();
        let (verb, address) = (change.verb.word(), &change.address);
        format!("{environment} {verb} {address} {}", lines.join(","))
    });
    let blocked = plan.blocked.iter().map(|blocked| &blocked.address);
    let deferred = plan.deferred.iter().map(|deferred| &deferred.address);
    let left = blocked
        .chain(deferred)
        .map(|address| format!("{environment} left {address}"));
    changes.chain(left).collect()
}

/// The looks as Markdown, of at most `budget` bytes.
pub(super) fn render_looks(looks: &[EnvironmentLook], more: Option<&str>, budget: usize) -> String {
    with_results(looks, |results| {
        environments_comment(results, true, more, budget)
    })
}

/// What the issue says besides the drift.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IssueResult {
    /// Whether a person has accepted everything that differs.
    pub(super) is_accepted: bool,
    /// Whether workflows are switched off.
    pub(super) has_disabled_workflows: bool,
}

/// Opens, updates or closes the issue. Outside GitHub the
/// text of the issue is printed. An issue that GitHub refuses is only a warning: the exit code and the summary say the same.
///
/// # Errors
/// When the run itself cannot be read.
pub(super) async fn update(
    context: &CommandContext<'_>,
    looks: &[EnvironmentLook],
) -> Result<IssueResult, CommandError> {
    let Some(run) = github::current_run(&context.env_vars)? else {
        context.ui.print(&render_looks(looks, None, ISSUE_BUDGET))?;
        return Ok(IssueResult::default());
    };
    let client = match github::client(context, &run, look::sandbox_url(looks)) {
        Ok(client) => client,
        Err(error) => {
            warn(context, &error);
            return Ok(IssueResult::default());
        }
    };
    let (disabled, knows_workflows) = match disabled_workflows(&client).await {
        Ok(disabled) => (disabled, true),
        Err(error) => {
            context.ui.eprint(&format!(
                "warning: whether the workflows are switched on is not known: {}",
                error.summary()
            ));
            (Vec::new(), false)
        }
    };
    let report = report(looks, &disabled, &run.run_url, knows_workflows);
    let outcome = update_drift_issue(&client, run.repository_id, run.run_id, &report).await;
    match &outcome {
        Ok(outcome) => context.ui.eprint(&describe(*outcome)),
        Err(error) => warn(context, &CommandError::from(error.clone())),
    }
    for workflow in &disabled {
        context.ui.eprint(&switched_off(workflow));
    }
    Ok(IssueResult {
        is_accepted: matches!(outcome, Ok(IssueOutcome::Accepted(_))),
        has_disabled_workflows: !disabled.is_empty(),
    })
}

fn warn(context: &CommandContext<'_>, error: &CommandError) {
    context.ui.eprint(&format!(
        "warning: the drift is not in an issue: {}; the summary of the run has it",
        error.summary()
    ));
}

/// The workflows of trimtab that do not run: GitHub switches off those with a schedule after 60 days without activity in a
/// public repository.
async fn disabled_workflows(client: &GitHubClient) -> Result<Vec<WorkflowState>, CommandError> {
    let workflows = client.workflows().await?;
    let is_ours =
        |workflow: &WorkflowState| workflow.path.starts_with(".github/workflows/trimtab-");
    Ok(workflows
        .into_iter()
        .filter(|workflow| is_ours(workflow) && workflow.state.starts_with("disabled"))
        .collect())
}

/// What to do about a workflow that is switched off.
fn switched_off(workflow: &WorkflowState) -> String {
    let why = match workflow.state.as_str() {
        "disabled_inactivity" => "GitHub has switched it off after 60 days without activity",
        "disabled_fork" => "it is switched off, as in every fork",
        _ => "somebody has switched it off",
    };
    let file = workflow.path.rsplit('/').next().unwrap_or_default();
    format!("{file} does not run: {why}; switch it on with `gh workflow enable {file}`")
}

fn report(
    looks: &[EnvironmentLook],
    disabled: &[WorkflowState],
    run_url: &str,
    knows_workflows: bool,
) -> DriftReport {
    let planned: Vec<&PlannedEnvironment> =
        looks.iter().filter_map(EnvironmentLook::planned).collect();
    let mut items: BTreeSet<String> = planned.iter().flat_map(|one| drift_items(one)).collect();
    items.extend(
        disabled
            .iter()
            .map(|workflow| format!("workflow {} {}", workflow.path, workflow.state)),
    );
    let drifted: Vec<&str> = planned
        .iter()
        .filter(|one| !one.plan.is_converged())
        .map(|one| one.headline.environment.as_str())
        .collect();
    let title = match (drifted.as_slice(), disabled) {
        ([], [_, ..]) => "Workflows are switched off".to_owned(),
        (environments, _) => format!("Drift in {}", environments.join(", ")),
    };
    let workflows: String = disabled
        .iter()
        .map(|workflow| format!("- {}\n", switched_off(workflow)))
        .collect();
    let separator = if workflows.is_empty() { "" } else { "\n" };
    let text = format!(
        "{workflows}{separator}{}\n<sub>Close this issue as not planned to accept what it shows.</sub>\n",
        render_looks(looks, Some(run_url), ISSUE_BUDGET)
    );
    DriftReport {
        items,
        title: github::clean(&title),
        text: github::clean(&text),
        project: look::project(looks),
        environments: looks
            .iter()
            .map(|look| look.environment().to_owned())
            .collect(),
        is_complete: knows_workflows && planned.len() == looks.len(),
    }
}

fn describe(outcome: IssueOutcome) -> String {
    match outcome {
        IssueOutcome::NoDrift => "Nothing differs, and no issue is open.".to_owned(),
        IssueOutcome::Opened(number) => format!("Issue {number} was opened."),
        IssueOutcome::Updated(number) => format!("Issue {number} is up to date."),
        IssueOutcome::Unchanged(number) => format!("Issue {number} says the same already."),
        IssueOutcome::Closed(number) => {
            format!("Nothing differs any more: issue {number} was closed.")
        }
        IssueOutcome::Accepted(number) => format!(
            "Issue {number} was closed as not planned and shows the same, so no other one is opened."
        ),
        IssueOutcome::LeftOpen => {
            "Not everything could be looked at, so the issue stays open.".to_owned()
        }
    }
}
