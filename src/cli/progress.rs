//! The progress of an apply: redrawn lines on a terminal, folded groups on GitHub, one line per change in other logs, or one
//! JSON event per line for programs. The first Ctrl-C gives the steps under way a moment to finish; the second one aborts them.

use std::{convert::Infallible, time::Duration};

use clap::Args;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{CommandContext, clock, session::Session, signals::SignalCounter};
use crate::{
    apply::{ApplyEvent, ApplyOptions, ApplyReport},
    lock::LockTimings,
    model::{Address, GoDuration},
    ops::{ApplyJob, RunOptions},
    plan::{ExpectedPlan, Limits},
    render,
};

mod lines;
mod live;

const DEFAULT_LEASE_TIMEOUT: GoDuration =
    GoDuration::from_secs(LockTimings::DEFAULT_ACQUIRE_TIMEOUT.as_secs());

/// GitHub's runner kills a job ten seconds after its first signal. To give back the leases takes three seconds at most, and the
/// lock two.
const DEFAULT_STOP_TIMEOUT: GoDuration = GoDuration::from_secs(3);

/// How an apply runs, and how its progress is shown.
#[derive(Clone, Debug, Args)]
pub(super) struct ProgressArgs {
    /// The output format: text, or one JSON event per line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ProgressFormat,
    /// The most steps that run at once, those that only wait for a machine included
    #[arg(long, value_name = "N", default_value_t = ApplyOptions::DEFAULT_CONCURRENCY, value_parser = parse_parallel)]
    parallel: usize,
    /// Start no step that cannot end within this time, such as 8m; the next run does the rest
    #[arg(long, value_name = "DURATION", value_parser = GoDuration::parse)]
    deadline: Option<GoDuration>,
    /// How long to wait for another run: for the environment lock, or for the lease of a machine
    #[arg(long, value_name = "DURATION", value_parser = GoDuration::parse, default_value_t = DEFAULT_LEASE_TIMEOUT)]
    lease_timeout: GoDuration,
    /// How long the steps under way may go on after a signal; the next run does the rest
    #[arg(long, value_name = "DURATION", value_parser = GoDuration::parse, default_value_t = DEFAULT_STOP_TIMEOUT)]
    stop_timeout: GoDuration,
}

/// The output format of an apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressFormat {
    /// Text, for people.
    #[default]
    Text,
    /// One JSON event per line.
    Json,
}

fn parse_parallel(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "it is a whole number, 1 or more".to_owned())
}

impl ProgressArgs {
    /// The options of an operation with this progress.
    pub(super) fn run_options(
        &self,
        command: &'static str,
        only: Vec<Address>,
        limits: Limits,
        expected: Option<ExpectedPlan>,
    ) -> RunOptions {
        let to_std = |duration: GoDuration| Duration::from_millis(duration.as_millis());
        RunOptions {
            command,
            only,
            limits,
            expected,
            concurrency: self.parallel,
            deadline: self.deadline.map(to_std),
            wait_timeout: to_std(self.lease_timeout),
        }
    }

    /// Whether the output is text, for people.
    pub(super) fn is_text(&self) -> bool {
        self.format == ProgressFormat::Text
    }

    /// Prints a notice on stderr, or as a JSON event.
    pub(super) fn print_notice(&self, context: &CommandContext<'_>, kind: &str, text: &str) {
        match self.format {
            ProgressFormat::Text => context.ui.eprint(text),
            ProgressFormat::Json => print_json_line(context, render::json::message(kind, text)),
        }
    }

    /// Prints a JSON event, if the output is JSON.
    pub(super) fn print_event(&self, context: &CommandContext<'_>, event: serde_json::Value) {
        if self.format == ProgressFormat::Json {
            print_json_line(context, event);
        }
    }

    /// Prints a message on stdout, or as a JSON event.
    pub(super) fn print_message(
        &self,
        context: &CommandContext<'_>,
        kind: &str,
        text: &str,
    ) -> std::io::Result<()> {
        match self.format {
            ProgressFormat::Text => context.ui.print(text),
            ProgressFormat::Json => {
                print_json_line(context, render::json::message(kind, text));
                Ok(())
            }
        }
    }
}

/// Applies a plan, shows its progress, and stops at signals.
pub(super) async fn apply_with_progress(
    context: &CommandContext<'_>,
    progress: &ProgressArgs,
    session: &Session,
    job: ApplyJob<'_>,
) -> ApplyReport {
    if progress.format == ProgressFormat::Json {
        print_json_line(context, render::json::summary(job.approved.plan()));
    }
    let (sender, receiver) = unbounded_channel();
    let options = job.options.clone();
    let stop_timeout = Duration::from_millis(progress.stop_timeout.as_millis());
    let steps = job.approved.plan().steps().map(|step| &step.address);
    let steps: Vec<_> = steps.collect();
    let show = async {
        match progress.format {
            ProgressFormat::Json => lines::show_json(context, receiver).await,
            ProgressFormat::Text if context.ui.is_github() => {
                lines::show_github_groups(context, receiver, &steps).await;
            }
            ProgressFormat::Text if context.ui.is_live() => {
                live::show_live(context, receiver, &steps).await;
            }
            ProgressFormat::Text => lines::show_plain(context, receiver, &steps).await,
        }
    };
    let work = async {
        let report = tokio::select! {
            // A signal that came before the job stops it before its first step.
            biased;
            never = pass_on_signals(session.signals(), &options, &sender, stop_timeout) => match never {},
            report = job.run(&sender) => report,
        };
        // The display ends when the last sender is gone.
        drop(sender);
        report
    };
    let (report, ()) = tokio::join!(work, show);
    if progress.format == ProgressFormat::Json {
        print_json_line(context, render::json::report(&report));
    }
    report
}

/// The first signal stops: no further step begins. The second one, or the end of `stop_timeout`, aborts the steps under way.
async fn pass_on_signals(
    signals: &SignalCounter,
    options: &ApplyOptions,
    events: &UnboundedSender<ApplyEvent>,
    stop_timeout: Duration,
) -> Infallible {
    signals.wait_for(1).await;
    options.stop.cancel();
    drop(events.send(ApplyEvent::Stopping));
    tokio::select! {
        () = signals.wait_for(2) => {}
        () = tokio::time::sleep(stop_timeout) => {}
    }
    options.abort.cancel();
    std::future::pending().await
}

/// Prints one line of JSON with a time stamp. A closed stdout does not stop the work.
fn print_json_line(context: &CommandContext<'_>, mut event: serde_json::Value) {
    event["@timestamp"] = clock::rfc3339_now().into();
    drop(context.ui.print_json_line(event));
}
