//! A run in a log, where nothing can be redrawn: one line when a step begins and one when it ends, and a word about what
//! is waited for when nothing was said for long.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::{Context, line};
use crate::{
    apply::Event,
    model::Address,
    render::{self, github::Groups, text::Board},
};

/// How long a log may be silent: a pipeline's reader soon takes a silent job for one that hangs.
const SILENCE: Duration = Duration::from_secs(30);

/// One JSON event a line.
pub(super) async fn json(context: &Context<'_>, mut events: UnboundedReceiver<Event>) {
    while let Some(event) = events.recv().await {
        line(context, render::json::event(&event));
    }
}

/// One line a change.
pub(super) async fn plain(
    context: &Context<'_>,
    events: UnboundedReceiver<Event>,
    steps: &[&Address],
) {
    let look = context.ui.talk_look();
    each(context, events, steps, |event| {
        if let Some(line) = render::text::event(event, &look) {
            context.ui.talk(&line);
            return true;
        }
        false
    })
    .await;
}

/// The same for GitHub's log: the lines of an app or a process group fold, and are written when it is complete, so that
/// those of others never stand between them.
pub(super) async fn groups(
    context: &Context<'_>,
    events: UnboundedReceiver<Event>,
    steps: &[&Address],
) {
    let mut groups = Groups::new(steps.iter().copied());
    each(context, events, steps, |event| {
        let lines = groups.tell(event);
        context.ui.commands(&lines);
        !lines.is_empty()
    })
    .await;
    context.ui.commands(&groups.rest());
}

/// Hands on every event, and explains every silence. `show` says whether it said anything.
async fn each(
    context: &Context<'_>,
    mut events: UnboundedReceiver<Event>,
    steps: &[&Address],
    mut show: impl FnMut(&Event) -> bool,
) {
    let begun = Instant::now();
    let mut board = Board::new(steps.iter().copied());
    let mut said = begun;
    loop {
        match timeout(SILENCE.saturating_sub(said.elapsed()), events.recv()).await {
            Ok(None) => return,
            Ok(Some(event)) => {
                board.tell(&event, begun.elapsed());
                if show(&event) {
                    said = Instant::now();
                }
            }
            Err(_) => {
                if let Some(line) = board.waits_for(begun.elapsed()) {
                    context.ui.talk(&line);
                }
                said = Instant::now();
            }
        }
    }
}
