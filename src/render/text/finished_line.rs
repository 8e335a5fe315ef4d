//! The permanent line that a finished step leaves above the redrawn lines of [`LiveProgress`].

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::{
    event::failure_reason,
    live_progress::{LiveProgress, TIME_WIDTH},
    pad_to_width,
};
use crate::{
    apply::event::ApplyEvent,
    model::Address,
    render::{
        TextOptions, Theme,
        theme::paint,
        value::{prefix_of_width, truncate_middle},
        wording,
    },
};

impl LiveProgress {
    /// The permanent line for an event, in the same columns as the redrawn lines; `None` if the event has none.
    #[must_use]
    pub fn finished_line(&self, event: &ApplyEvent, options: &TextOptions) -> Option<String> {
        let theme = options.theme();
        if let ApplyEvent::Stopping | ApplyEvent::OutOfTime | ApplyEvent::Output { .. } = event {
            // Not about the end of a step, so there are no columns.
            return super::event(event, options);
        }
        let FinishedStep {
            address,
            symbol,
            activity,
            time,
        } = finished_step(event, theme)?;
        let (address_width, activity_width) = self.column_widths(options);
        let address = pad_to_width(
            &truncate_middle(&address.to_string(), address_width),
            address_width,
        );
        Some(match time {
            Some(time) => {
                let activity =
                    pad_to_width(&truncate_middle(&activity, activity_width), activity_width);
                format!(
                    "{symbol} {address}  {activity}  {}",
                    paint(theme.dim, format!("{time:>TIME_WIDTH$}"))
                )
            }
            None => {
                // Truncated, because the final report has the full text.
                let available_width = options.width.saturating_sub(2 + address_width + 2 + 1);
                let activity = if activity.width() <= available_width {
                    activity
                } else {
                    format!(
                        "{}…",
                        prefix_of_width(&activity, available_width.saturating_sub(1))
                    )
                };
                let line_style = if matches!(event, ApplyEvent::Failed { .. }) {
                    theme.error
                } else {
                    theme.change
                };
                format!("{symbol} {address}  {}", paint(line_style, activity))
            }
        })
    }
}

/// What the columns of a finished step say.
struct FinishedStep<'e> {
    address: &'e Address,
    symbol: String,
    activity: String,
    /// How long the step took; `None` unless it succeeded.
    time: Option<String>,
}

/// The columns for an event; `None` if it does not end a step.
fn finished_step(event: &ApplyEvent, theme: Theme) -> Option<FinishedStep<'_>> {
    let (address, symbol, activity, time) = match event {
        ApplyEvent::Begun { .. }
        | ApplyEvent::WaitingForLease { .. }
        | ApplyEvent::Started { .. }
        | ApplyEvent::Progress { .. }
        | ApplyEvent::Stopping
        | ApplyEvent::OutOfTime
        | ApplyEvent::Output { .. } => return None,
        ApplyEvent::HeldBack {
            address, failure, ..
        } => {
            let reason = failure_reason(failure, Theme::plain());
            (
                address,
                paint(theme.change, '–'),
                format!("held back: {reason}"),
                None,
            )
        }
        ApplyEvent::Finished {
            address,
            action,
            millis,
            estimate_millis: _,
        } => {
            let time = wording::format_duration(Duration::from_millis(*millis));
            (
                address,
                paint(theme.create, '✓'),
                wording::action_participles(*action).1.to_owned(),
                Some(time),
            )
        }
        ApplyEvent::Failed {
            address,
            action,
            failure,
        } => {
            let reason = failure_reason(failure, Theme::plain());
            let activity = format!("FAILED{}: {reason}", wording::failed_action(*action));
            (address, paint(theme.error, '✗'), activity, None)
        }
        ApplyEvent::Skipped {
            address, because, ..
        } => (
            address,
            paint(theme.change, '–'),
            format!("skipped, because {because} failed"),
            None,
        ),
    };
    Some(FinishedStep {
        address,
        symbol,
        activity,
        time,
    })
}
