//! A run as the user watches it: lines that are redrawn on a terminal, lines that fold on GitHub, one line a change
//! elsewhere, or one JSON event a line for programs. Ctrl-C once finishes what is under way; twice stops at once.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::unbounded_channel,
};

use super::{Context, clock, exit, holder::holder, session::Session};
use crate::{
    apply::{Conduct, Event, Report, apply},
    clouds::{
        Clouds, aws,
        fly::{Leases, Writer},
    },
    kinds::World,
    model::Span,
    plan::Approved,
    render,
};

mod lines;
mod live;

/// How a run is shown.
#[derive(Clone, Debug, Args)]
pub(super) struct Show {
    /// How the run is written: text, or one JSON event a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// How many steps run at once
    #[arg(long, value_name = "N", default_value_t = Conduct::WIDTH)]
    parallel: usize,
    /// Begin nothing that cannot end within this time, such as 8m; what is left is for the next run
    #[arg(long, value_name = "DURATION", value_parser = Span::parse)]
    deadline: Option<Span>,
    /// How long to wait for another run: for the lock of the environment, or for a machine that it is changing
    #[arg(long, value_name = "DURATION", value_parser = Span::parse, default_value = "160s")]
    lease_timeout: Span,
}

/// How a run is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON event a line.
    Json,
}

impl Show {
    /// The same with all the time there is.
    pub(super) fn without_deadline(&self) -> Self {
        Self {
            deadline: None,
            ..self.clone()
        }
    }

    /// Whether it is for people.
    pub(super) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// How long to wait for another run.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.lease_timeout.millis())
    }

    /// When the run has to have ended, counted from its beginning.
    pub(super) fn until(&self, begun: Instant) -> Option<Instant> {
        self.deadline
            .map(|deadline| begun + Duration::from_millis(deadline.millis()))
    }

    /// Says something beside the data, in the format that was asked for.
    pub(super) fn say_aside(&self, context: &Context<'_>, kind: &str, text: &str) {
        match self.format {
            Format::Text => context.ui.talk(text),
            Format::Json => line(context, render::json::message(kind, text)),
        }
    }

    /// Says something in the format that was asked for.
    pub(super) fn say(&self, context: &Context<'_>, kind: &str, text: &str) -> std::io::Result<()> {
        match self.format {
            Format::Text => context.ui.data(text),
            Format::Json => {
                line(context, render::json::message(kind, text));
                Ok(())
            }
        }
    }
}

/// What is carried out, and by whom.
pub(super) struct Work<'a> {
    pub(super) session: &'a Session,
    pub(super) approved: &'a Approved,
    pub(super) world: World,
    pub(super) command: &'static str,
}

impl Work<'_> {
    /// The clients that can write, with leases that say who holds them.
    fn clouds(&self, context: &Context<'_>) -> Clouds {
        let mark = &self.session.loaded.desired.meta.mark;
        let place = format!("{}/{}", mark.project, mark.environment);
        let leases = Leases::new(holder(self.command, &place, &context.environment));
        Clouds {
            fly: Writer::with_leases(self.session.readers.fly.clone(), leases),
            aws: self.session.readers.aws.clone().map(aws::Writer::new),
            lock: self.session.lock(),
            voice: crate::clouds::Voice::silent(),
        }
    }

    fn conduct(&self, show: &Show) -> Conduct {
        let (begun, speed) = (self.session.begun, self.session.speed);
        let until = show.until(begun);
        let patience = show.patience();
        Conduct {
            width: show.parallel.max(1),
            until,
            speed,
            patience,
            ..Conduct::default()
        }
    }
}

/// Says beforehand when the plan takes longer than there is time.
fn foretell(context: &Context<'_>, show: &Show, work: &Work<'_>) {
    let takes = work.approved.plan().estimate().div_f64(work.session.speed);
    let left = show
        .deadline
        .map(|deadline| Duration::from_millis(deadline.millis()));
    if let Some(left) =
        left.filter(|left| takes > left.saturating_sub(work.session.begun.elapsed()))
    {
        context.ui.talk(&format!(
            "This takes about {}, and the deadline is {}: what does not fit is left for the next run.",
            render::duration(takes),
            render::duration(left),
        ));
    }
}

/// Carries the plan out and shows how it goes.
pub(super) async fn watch(context: &Context<'_>, show: &Show, work: Work<'_>) -> Report {
    let (conduct, clouds) = (work.conduct(show), work.clouds(context));
    foretell(context, show, &work);
    let Work {
        approved,
        world,
        session: work_session,
        ..
    } = work;
    let (send, receive) = unbounded_channel();
    if show.format == Format::Json {
        line(context, render::json::summary(approved.plan()));
    }
    let signals = Signals::new();
    work_session.hear(None);
    let signals = tokio::spawn(listen(signals, conduct.clone(), send.clone()));
    let steps: Vec<_> = approved.plan().steps().map(|step| &step.address).collect();
    let shown = async {
        match show.format {
            Format::Json => lines::json(context, receive).await,
            Format::Text if context.ui.is_github() => lines::groups(context, receive, &steps).await,
            Format::Text if context.ui.is_live() => live::show(context, receive, &steps).await,
            Format::Text => lines::plain(context, receive, &steps).await,
        }
    };
    let work = async {
        let report = apply(approved, &clouds, world, &conduct, &send).await;
        let mut last = Signals::new();
        signals.abort();
        // What follows only reads, so the next signal ends the process as it would have without us.
        let last = tokio::spawn(async move {
            last.next().await;
            std::process::exit(i32::from(exit::INCOMPLETE));
        });
        work_session.hear(Some(last.abort_handle()));
        // The watcher ends when the last sender is gone; the other one went with the signals' task.
        drop(send);
        report
    };
    let report = tokio::join!(work, shown).0;
    if show.format == Format::Json {
        line(context, render::json::report(&report));
    }
    report
}

/// The first signal asks to stop, the second one insists.
async fn listen(
    mut signals: Signals,
    conduct: Conduct,
    events: tokio::sync::mpsc::UnboundedSender<Event>,
) {
    signals.next().await;
    conduct.stop.cancel();
    drop(events.send(Event::Stopping));
    signals.next().await;
    conduct.abort.cancel();
}

/// Ctrl-C, the polite end that a pipeline's runner asks for, and a terminal that is closed. None is missed from the moment this is made, which is
/// before the first write.
struct Signals([Option<Signal>; 3]);

impl Signals {
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
    async fn next(&mut self) {
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
fn line(context: &Context<'_>, mut event: serde_json::Value) {
    event["@timestamp"] = clock::now().into();
    drop(context.ui.data(&event.to_string()));
}
