//! Progress on a terminal: steps under way are redrawn in place, and a finished step leaves one line.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval},
};

use super::{CommandContext, lines};
use crate::{apply::ApplyEvent, model::Address, render::text::LiveProgress};

/// The shortest time between two redraws.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// The draw rate of the progress bar, above our own rate so that it drops none of our redraws.
const DRAW_RATE_HZ: u8 = 20;
/// How many steps are shown; more are only counted. Lines above the top of the terminal could not be redrawn.
const MAX_STEPS: usize = 16;
/// Lines that stay free: for the bar, the count of further steps, and the cursor.
const RESERVED_LINES: usize = 3;

/// Shows progress until the last event.
pub(super) async fn show_live(
    context: &CommandContext<'_>,
    mut events: UnboundedReceiver<ApplyEvent>,
    steps: &[&Address],
) {
    let screen =
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAW_RATE_HZ));
    let style = ProgressStyle::with_template("{msg}");
    let (Ok(style), false) = (style, screen.is_hidden()) else {
        // A terminal that cannot move its cursor is treated as a log.
        return lines::show_plain(context, events, steps).await;
    };
    screen.set_style(style);
    let begun = Instant::now();
    let mut board = LiveProgress::new(steps.iter().copied());
    let mut tick = interval(REDRAW_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Finished lines are written with the next redraw, so that a burst of steps costs one redraw.
    let mut behind: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                board.record_event(&event, begun.elapsed());
                behind.extend(board.finished_line(&event, &context.ui.stderr_options()));
            }
            _ = tick.tick() => {
                let most = context.ui.height().saturating_sub(RESERVED_LINES).clamp(1, MAX_STEPS);
                let lines = board.render_lines(begun.elapsed(), &context.ui.stderr_options(), most);
                screen.set_message(context.ui.sanitize(&lines.join("\n")));
                if !behind.is_empty() {
                    // Above the part that is redrawn.
                    screen.println(context.ui.sanitize(&std::mem::take(&mut behind).join("\n")));
                }
            }
        }
    }
    screen.finish_and_clear();
    context.ui.eprint_lines(&behind);
}
