//! A run as the user watches it: lines that are redrawn on a terminal, lines that fold on GitHub, one line a change
//! elsewhere, or one JSON event a line for programs. Ctrl-C once finishes what is under way; twice stops at once.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::unbounded_channel,
};

use super::{CommandContext, clock, exit, run_identity::lease_holder, session::Session};
use crate::{
    apply::{ApplyEvent, ApplyOptions, ApplyReport, apply},
    clouds::{
        aws,
        fly::{FlyWriter, Leases},
    },
    kinds::{CloudWriters, World},
    model::GoDuration,
    plan::Approved,
    render,
};

mod lines;
mod live;

/// How a run is shown.
#[derive(Clone, Debug, Args)]
pub(super) struct ProgressArgs {
    /// How the run is written: text, or one JSON event a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ProgressFormat,
    /// How many steps run at once
    #[arg(long, value_name = "N", default_value_t = ApplyOptions::DEFAULT_CONCURRENCY)]
    parallel: usize,
    /// Begin nothing that cannot end within this time, such as 8m; what is left is for the next run
    #[arg(long, value_name = "DURATION", value_parser = GoDuration::parse)]
    deadline: Option<GoDuration>,
    /// How long to wait for another run: for the lock of the environment, or for a machine that it is changing
    #[arg(long, value_name = "DURATION", value_parser = GoDuration::parse, default_value = "160s")]
    lease_timeout: GoDuration,
}

/// How a run is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON event a line.
    Json,
}

impl ProgressArgs {
    /// The same with all the time there is.
    pub(super) fn without_deadline(&self) -> Self {
        Self {
            deadline: None,
            ..self.clone()
        }
    }

    /// Whether it is for people.
    pub(super) fn is_text(&self) -> bool {
        self.format == ProgressFormat::Text
    }

    /// How long to wait for another run.
    pub(super) fn wait_timeout(&self) -> Duration {
        Duration::from_millis(self.lease_timeout.as_millis())
    }

    /// When the run has to have ended, counted from its beginning.
    pub(super) fn deadline_at(&self, begun: Instant) -> Option<Instant> {
        self.deadline
            .map(|deadline| begun + Duration::from_millis(deadline.as_millis()))
    }

    /// Says something beside the data, in the format that was asked for.
    pub(super) fn print_notice(&self, context: &CommandContext<'_>, kind: &str, text: &str) {
        match self.format {
            ProgressFormat::Text => context.ui.eprint(text),
            ProgressFormat::Json => print_json_line(context, render::json::message(kind, text)),
        }
    }

    /// Says something in the format that was asked for.
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

/// What is carried out, and by whom.
pub(super) struct ApplyJob<'a> {
    pub(super) session: &'a Session,
    pub(super) approved: &'a Approved,
    pub(super) world: World,
    pub(super) command: &'static str,
}

impl ApplyJob<'_> {
    /// The clients that can write, with leases that say who holds them.
    fn clouds(&self, context: &CommandContext<'_>) -> CloudWriters {
        let mark = &self.session.loaded.desired.meta.mark;
        let place = format!("{}/{}", mark.project, mark.environment);
        let leases = Leases::new(lease_holder(self.command, &place, &context.environment));
        CloudWriters {
            fly: FlyWriter::with_leases(self.session.readers.fly.clone(), leases),
            aws: self.session.readers.aws.clone().map(aws::AwsWriter::new),
            lock: self.session.lock(),
            progress: crate::clouds::ProgressSink::disabled(),
        }
    }

    fn apply_options(&self, show: &ProgressArgs) -> ApplyOptions {
        let (begun, speed) = (self.session.started_at, self.session.speed);
        let until = show.deadline_at(begun);
        let patience = show.wait_timeout();
        ApplyOptions {
            concurrency: show.parallel.max(1),
            deadline: until,
            speed,
            lock_timeout: patience,
            ..ApplyOptions::default()
        }
    }
}

/// Says beforehand when the plan takes longer than there is time.
fn warn_about_deadline(context: &CommandContext<'_>, show: &ProgressArgs, work: &ApplyJob<'_>) {
    let takes = work.approved.plan().estimate().div_f64(work.session.speed);
    let left = show
        .deadline
        .map(|deadline| Duration::from_millis(deadline.as_millis()));
    if let Some(left) =
        left.filter(|left| takes > left.saturating_sub(work.session.started_at.elapsed()))
    {
        context.ui.eprint(&format!(
            "This takes about {}, and the deadline is {}: what does not fit is left for the next run.",
            render::format_duration(takes),
            render::format_duration(left),
        ));
    }
}

/// Carries the plan out and shows how it goes.
pub(super) async fn apply_with_progress(
    context: &CommandContext<'_>,
    show: &ProgressArgs,
    work: ApplyJob<'_>,
) -> ApplyReport {
    let (conduct, clouds) = (work.apply_options(show), work.clouds(context));
    warn_about_deadline(context, show, &work);
    let ApplyJob {
        approved,
        world,
        session: work_session,
        ..
    } = work;
    let (send, receive) = unbounded_channel();
    if show.format == ProgressFormat::Json {
        print_json_line(context, render::json::summary(approved.plan()));
    }
    let signals = ShutdownSignals::new();
    work_session.set_exit_task(None);
    let signals = tokio::spawn(handle_signals(signals, conduct.clone(), send.clone()));
    let steps: Vec<_> = approved.plan().steps().map(|step| &step.address).collect();
    let shown = async {
        match show.format {
            ProgressFormat::Json => lines::show_json(context, receive).await,
            ProgressFormat::Text if context.ui.is_github() => {
                lines::show_github_groups(context, receive, &steps).await;
            }
            ProgressFormat::Text if context.ui.is_live() => {
                live::show_live(context, receive, &steps).await;
            }
            ProgressFormat::Text => lines::show_plain(context, receive, &steps).await,
        }
    };
    let work = async {
        let report = apply(approved, &clouds, world, &conduct, &send).await;
        let mut last = ShutdownSignals::new();
        signals.abort();
        // What follows only reads, so the next signal ends the process as it would have without us.
        let last = tokio::spawn(async move {
            last.recv().await;
            std::process::exit(i32::from(exit::INCOMPLETE));
        });
        work_session.set_exit_task(Some(last.abort_handle()));
        // The watcher ends when the last sender is gone; the other one went with the signals' task.
        drop(send);
        report
    };
    let report = tokio::join!(work, shown).0;
    if show.format == ProgressFormat::Json {
        print_json_line(context, render::json::report(&report));
    }
    report
}

/// The first signal asks to stop, the second one insists.
async fn handle_signals(
    mut signals: ShutdownSignals,
    conduct: ApplyOptions,
    events: tokio::sync::mpsc::UnboundedSender<ApplyEvent>,
) {
    signals.recv().await;
    conduct.stop.cancel();
    drop(events.send(ApplyEvent::Stopping));
    signals.recv().await;
    conduct.abort.cancel();
}

/// Ctrl-C, the polite end that a pipeline's runner asks for, and a terminal that is closed. None is missed from the moment this is made, which is
/// before the first write.
struct ShutdownSignals([Option<Signal>; 3]);

impl ShutdownSignals {
    fn new() -> Self {
        Self(
            [
                SignalKind::interrupt(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ]
            .map(|kind| signal(kind).ok()),
        )
    }

    /// The next of either.
    async fn recv(&mut self) {
        async fn one(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
            () = one(hangup) => {}
        }
    }
}

/// One line of JSON with the time on it. A reader that has gone away does not stop the work.
fn print_json_line(context: &CommandContext<'_>, mut event: serde_json::Value) {
    event["@timestamp"] = clock::rfc3339_now().into();
    drop(context.ui.print(&event.to_string()));
}
