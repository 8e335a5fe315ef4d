//! A run on a terminal: what is under way is redrawn in place, and what is done leaves one line.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval},
};

use super::{Context, lines};
use crate::{
    apply::Event,
    model::Address,
    render::{harmless, text::Board},
};

/// How often it is redrawn at most.
const TICK: Duration = Duration::from_millis(100);
/// The terminal may draw a little more often than we do, so that it never drops a picture of ours.
const HERTZ: u8 = 20;
/// So many steps are shown at most; more are counted. A board that is higher than the terminal could not be redrawn.
const MOST: usize = 16;
/// Lines of the terminal that are kept free: the bar, the count of more steps, and the cursor's.
const KEPT: usize = 3;

/// Shows the run until its last event.
pub(super) async fn show(
    context: &Context<'_>,
    mut events: UnboundedReceiver<Event>,
    steps: &[&Address],
) {
    let screen = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(HERTZ));
    let style = ProgressStyle::with_template("{msg}");
    let (Ok(style), false) = (style, screen.is_hidden()) else {
        // A terminal that cannot move its cursor is a log.
        return lines::plain(context, events, steps).await;
    };
    screen.set_style(style);
    let begun = Instant::now();
    let mut board = Board::new(steps.iter().copied());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Lines that stay are written with the next picture: a burst of steps is one redraw.
    let mut behind: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                board.tell(&event, begun.elapsed());
                behind.extend(board.left_behind(&event, &context.ui.talk_look()));
            }
            _ = tick.tick() => {
                let most = context.ui.height().saturating_sub(KEPT).clamp(1, MOST);
                let lines = board.lines(begun.elapsed(), &context.ui.talk_look(), most);
                screen.set_message(harmless(&lines.join("\n")).into_owned());
                leave(&screen, &mut behind);
            }
        }
    }
    screen.finish_and_clear();
    context.ui.talk_all(&behind);
}

/// Writes what stays above what is redrawn.
fn leave(screen: &ProgressBar, behind: &mut Vec<String>) {
    if !behind.is_empty() {
        screen.println(harmless(&std::mem::take(behind).join("\n")));
    }
}
