//! What an apply leaves behind on GitHub: its result in the summary of the run and in a comment of the merged pull request, and the
//! address of the first app as an output.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{CommandContext, CommandError, github, session::Session};
use crate::{
    apply::ApplyReport,
    github::{CommentMark, GitHubRun, MarkKind, post_comment},
    ops::Completion,
    render::{
        self, TextOptions,
        markdown::{ApplyResult, apply_result},
    },
    status::{EnvironmentStatus, public_urls},
};

/// The width of the list of what runs, in columns.
const RUNNING_WIDTH: usize = 100;

/// How long the comment may take. It is the least important thing of a run.
const COMMENT_TIMEOUT: Duration = Duration::from_secs(20);

/// Collects what happens in an apply.
#[derive(Debug, Default)]
pub(super) struct ApplyRecorder(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    report: Option<ApplyReport>,
    running: Option<String>,
}

impl ApplyRecorder {
    fn with(&self, record: impl FnOnce(&mut Recorded)) {
        record(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn record_report(&self, report: &ApplyReport) {
        self.with(|recorded| recorded.report = Some(report.clone()));
    }

    fn was_stopped(&self) -> bool {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded
            .report
            .as_ref()
            .is_some_and(|report| report.stopped)
    }

    pub(super) fn record_running(&self, status: &EnvironmentStatus) {
        let options = TextOptions {
            color: false,
            width: RUNNING_WIDTH,
        };
        let text = render::text::versions(status, &options);
        self.with(|recorded| recorded.running = Some(text));
    }

    /// The result as Markdown.
    fn render(&self, session: &Session, result: &Result<Completion, CommandError>) -> String {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = render::format_duration(session.workspace.started_at().elapsed());
        let title = match (result, &recorded.report) {
            (Ok(Completion::Complete), None) => "nothing to do".to_owned(),
            (Ok(Completion::Complete), Some(_)) => format!("complete in {elapsed}"),
            (Ok(Completion::Incomplete), _) => {
                format!("incomplete after {elapsed}: run the same command again")
            }
            (Err(_), Some(_)) => format!("failed after {elapsed}"),
            (Err(_), None) => "nothing was done".to_owned(),
        };
        let message = result.as_ref().err().map(CommandError::summary);
        // The manifest's addresses, so only where it was applied.
        let urls = recorded
            .running
            .as_ref()
            .map(|_| public_urls(session.desired()));
        let urls: Vec<(String, String)> = urls
            .unwrap_or_default()
            .into_iter()
            .map(|(app, url)| (app.to_string(), url))
            .collect();
        apply_result(&ApplyResult {
            environment: &session.desired().meta.mark.environment,
            title: &title,
            report: recorded.report.as_ref(),
            message: message.as_deref(),
            running: recorded.running.as_deref(),
            urls: &urls,
        })
    }
}

/// Writes the result to the summary of the run, sets the output `url`, and comments on the pull request that brought the change.
pub(super) async fn write(
    context: &CommandContext<'_>,
    session: &Session,
    recorder: &ApplyRecorder,
    result: &Result<Completion, CommandError>,
    merged: Option<(&GitHubRun, u64)>,
) {
    if !context.ui.is_github() {
        return;
    }
    let text = github::clean(&recorder.render(session, result));
    github::append_summary(context, &text);
    let url = public_urls(session.desired()).into_iter().next();
    if let Some((_, url)) = url.filter(|_| result.is_ok()) {
        github::set_outputs(context, &BTreeMap::from([("url".to_owned(), url)]));
    }
    // GitHub kills a run ten seconds after it was cancelled: no time for a comment.
    let Some((run, number)) = merged.filter(|_| !recorder.was_stopped()) else {
        return;
    };
    let mark = CommentMark {
        project: session.desired().meta.mark.project.clone(),
        environments: [session.desired().meta.mark.environment.clone()].into(),
        ..CommentMark::new(MarkKind::Apply, run.repository_id, run.run_id)
    };
    let text = format!("{text}\n<sub>[the run]({})</sub>\n", run.run_url);
    let post = async {
        let client = github::client(context, run, session.sandbox_url())?;
        post_comment(&client, number, &mark, &text).await?;
        Ok::<_, CommandError>(())
    };
    let posted = tokio::time::timeout(COMMENT_TIMEOUT, post)
        .await
        .unwrap_or_else(|_| Err(CommandError::new("GitHub does not answer in time")));
    if let Err(error) = posted {
        context.ui.eprint(&format!(
            "warning: the result is not in a comment on pull request {number}: {}; the summary of the run has it",
            error.summary()
        ));
    }
}
