//! Progress in a log, where nothing can be redrawn: one line when a step begins, one when it ends, and a reminder of what is
//! being waited for after a long silence.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::{CommandContext, print_json_line};
use crate::{
    apply::ApplyEvent,
    model::Address,
    render::{self, github::LogGroups, text::LiveProgress},
};

/// How long a log may be silent. Readers soon take a silent job for one that hangs.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// Prints one JSON event per line.
pub(super) async fn show_json(
    context: &CommandContext<'_>,
    mut events: UnboundedReceiver<ApplyEvent>,
) {
    while let Some(event) = events.recv().await {
        print_json_line(context, render::json::event(&event));
    }
}

/// Prints one line per event.
pub(super) async fn show_plain(
    context: &CommandContext<'_>,
    events: UnboundedReceiver<ApplyEvent>,
    steps: &[&Address],
) {
    let look = context.ui.stderr_options();
    for_each_event(context, events, steps, |event| {
        if let Some(line) = render::text::event(event, &look) {
            context.ui.eprint(&line);
            return true;
        }
        false
    })
    .await;
}

/// Prints groups for GitHub's log: the lines of an app or a process group fold. A group is written when it is complete, so
/// that lines of other groups never come in between.
pub(super) async fn show_github_groups(
    context: &CommandContext<'_>,
    events: UnboundedReceiver<ApplyEvent>,
    steps: &[&Address],
) {
    let mut groups = LogGroups::new(steps.iter().copied());
    for_each_event(context, events, steps, |event| {
        let lines = groups.push_event(event);
        context.ui.eprint_workflow_commands(&lines);
        !lines.is_empty()
    })
    .await;
    context.ui.eprint_workflow_commands(&groups.finish());
}

/// Passes every event to `show`, which returns whether it printed anything, and prints a reminder after a long silence.
async fn for_each_event(
    context: &CommandContext<'_>,
    mut events: UnboundedReceiver<ApplyEvent>,
    steps: &[&Address],
    mut show: impl FnMut(&ApplyEvent) -> bool,
) {
    let begun = Instant::now();
    let mut board = LiveProgress::new(steps.iter().copied());
    let mut said = begun;
    loop {
        match timeout(MAX_SILENCE.saturating_sub(said.elapsed()), events.recv()).await {
            Ok(None) => return,
            Ok(Some(event)) => {
                board.record_event(&event, begun.elapsed());
                if show(&event) {
                    said = Instant::now();
                }
            }
            Err(_) => {
                if let Some(line) = board.waiting_message(begun.elapsed()) {
                    context.ui.eprint(&line);
                }
                said = Instant::now();
            }
        }
    }
}
