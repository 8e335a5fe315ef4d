//! A run as the user watches it: lines that are redrawn on a terminal, one line a change elsewhere, or NDJSON events
//! for programs. Ctrl-C once finishes what is under way; twice stops at once.

use std::collections::BTreeMap;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Context, clock, exit};
use crate::{
    apply::{Conduct, Event, Report, apply},
    clouds::{
        Clouds,
        fly::{Reader, Writer},
    },
    kinds::World,
    model::Address,
    plan::Approved,
    render,
};

/// How a run is shown.
#[derive(Clone, Debug, Args)]
pub(super) struct Show {
    /// How the run is written: text, or one JSON event a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// How many steps run at once
    #[arg(long, value_name = "N", default_value_t = Conduct::WIDTH)]
    parallel: usize,
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
    /// Whether it is for people.
    pub(super) fn is_text(&self) -> bool {
        self.format == Format::Text
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

/// Carries the plan out and shows how it goes.
pub(super) async fn watch(
    context: &Context<'_>,
    show: &Show,
    approved: &Approved,
    reader: &Reader,
    world: World,
) -> Report {
    let conduct = Conduct { width: show.parallel.max(1), ..Conduct::default() };
    let clouds = Clouds { fly: Writer::new(reader.clone()) };
    let (send, receive) = unbounded_channel();
    if show.format == Format::Json {
        line(context, render::json::summary(approved.plan()));
    }
    let signals = tokio::spawn(listen(conduct.clone(), send.clone()));
    let total = approved.plan().graph().node_count();
    let shown = async {
        match show.format {
            Format::Json => events(context, receive).await,
            Format::Text if context.ui.is_live() => live(context, receive, total).await,
            Format::Text => lines(context, receive).await,
        }
    };
    let work = async {
        let report = apply(approved, &clouds, world, &conduct, &send).await;
        signals.abort();
        // What follows only reads, so the next signal ends the process as it would have without us.
        tokio::spawn(async {
            signal().await;
            std::process::exit(i32::from(exit::INCOMPLETE));
        });
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
async fn listen(conduct: Conduct, events: tokio::sync::mpsc::UnboundedSender<Event>) {
    signal().await;
    conduct.stop.cancel();
    drop(events.send(Event::Stopping));
    signal().await;
    conduct.abort.cancel();
}

/// Ctrl-C, or the polite end that a pipeline's runner asks for.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return drop(tokio::signal::ctrl_c().await);
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// One line a change.
async fn lines(context: &Context<'_>, mut events: UnboundedReceiver<Event>) {
    while let Some(event) = events.recv().await {
        if let Some(line) = render::text::event(&event, &context.ui.talk_look()) {
            context.ui.talk(&line);
        }
    }
}

/// One JSON event a line.
async fn events(context: &Context<'_>, mut events: UnboundedReceiver<Event>) {
    while let Some(event) = events.recv().await {
        line(context, render::json::event(&event));
    }
}

/// One line of JSON with the time on it. A reader that has gone away does not stop the work.
fn line(context: &Context<'_>, mut event: serde_json::Value) {
    event["@timestamp"] = clock::now().into();
    drop(context.ui.data(&event.to_string()));
}

/// Lines that are redrawn: what is under way, and how far the whole is.
async fn live(context: &Context<'_>, mut events: UnboundedReceiver<Event>, total: usize) {
    let board = MultiProgress::new();
    let bar = board.add(ProgressBar::new(total.try_into().unwrap_or(u64::MAX)));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let mut running: BTreeMap<Address, ProgressBar> = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match &event {
            Event::Started { address, .. } => {
                let line = render::text::event(&event, &context.ui.talk_look()).unwrap_or_default();
                let row = board.insert_before(&bar, ProgressBar::new_spinner().with_message(line));
                row.enable_steady_tick(std::time::Duration::from_millis(100));
                if let Some(old) = running.insert(address.clone(), row) {
                    old.finish_and_clear();
                }
                continue;
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } => {
                if let Some(row) = running.remove(address) {
                    row.finish_and_clear();
                }
                bar.inc(1);
            }
            Event::Skipped { .. } => bar.inc(1),
            Event::Stopping => {}
        }
        if let Some(line) = render::text::event(&event, &context.ui.talk_look()) {
            board.suspend(|| context.ui.talk(&line));
        }
    }
    bar.finish_and_clear();
}
