//! What happens during a run, one line a change, for logs that cannot be redrawn.

use std::time::Duration;

use crate::{
    apply::event::{ApplyEvent, ApplyFailure},
    plan::Action,
    render::{TextOptions, Theme, theme::paint, value::sanitize, wording},
};

/// How much there is to do, and how long it may take.
#[must_use]
pub fn begin_text(total: usize, estimate_secs: Option<u64>) -> String {
    let steps = wording::format_count(u64::try_from(total).unwrap_or(u64::MAX), "step");
    match estimate_secs {
        Some(secs) if secs > 0 => {
            format!(
                "{steps}, about {}",
                wording::format_estimate(Duration::from_secs(secs))
            )
        }
        _ => steps,
    }
}

/// The event in one line. `None` when it is not worth one: what goes well on its way is not.
#[must_use]
pub fn event(event: &ApplyEvent, look: &TextOptions) -> Option<String> {
    let style = look.theme();
    let line = match event {
        ApplyEvent::Begun {
            total,
            estimate_secs,
        } => {
            estimate_secs.filter(|secs| *secs > 0)?;
            begin_text(*total, *estimate_secs)
        }
        ApplyEvent::Progress { .. } => return None,
        ApplyEvent::Output { address, lines } => {
            let line = |line: &String| format!("{address} | {}", paint(style.dim, sanitize(line)));
            lines.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        ApplyEvent::Started { address, action } => {
            format!("{address}: {}", wording::action_participles(*action).0)
        }
        ApplyEvent::Finished {
            address,
            action,
            millis,
        } => {
            let took = wording::format_duration(Duration::from_millis(*millis));
            let done = paint(style.create, wording::action_participles(*action).1);
            format!("{address}: {done} in {took}")
        }
        ApplyEvent::Failed {
            address,
            action,
            failure,
        } => {
            let word = paint(style.error, "FAILED");
            let action = match action {
                Action::Succeed => "start the new one beside the old",
                other => wording::action_imperative(*other),
            };
            format!(
                "{address}: {word} to {action}: {}",
                failure_reason(failure, style)
            )
        }
        // The new one beside it, or the whole group, is skipped as well, and says so.
        ApplyEvent::Skipped { action, .. } if action.is_intermediate() => return None,
        ApplyEvent::Skipped {
            address,
            because,
            action: _,
        } => {
            let word = paint(style.change, "skipped");
            format!("{address}: {word}, because {because} failed")
        }
        ApplyEvent::HeldBack {
            address,
            failure,
            action: _,
        } => {
            let word = paint(style.change, "held back");
            format!("{address}: {word}: {}", failure_reason(failure, style))
        }
        ApplyEvent::OutOfTime => {
            "the deadline is near: what cannot end in time is not begun".to_owned()
        }
        ApplyEvent::Stopping => {
            "stopping: nothing more begins; what is under way is finished".to_owned()
        }
    };
    Some(line)
}

/// The reason of a failure in one line, with the request's id for a question to support. The last lines of a program
/// are left to the report.
pub(super) fn failure_reason(failure: &ApplyFailure, style: Theme) -> String {
    let words = failure
        .reason
        .lines()
        .take_while(|line| !line.starts_with("  | "));
    let one_line: Vec<&str> = words.flat_map(str::split_whitespace).collect();
    let id = failure.request_id.as_ref().map(|id| {
        let text = format!(" (request id {})", sanitize(id));
        paint(style.dim, text)
    });
    let one_line = one_line.join(" ");
    let one_line = one_line
        .strip_suffix("; its last lines:")
        .unwrap_or(&one_line);
    format!("{}{}", sanitize(one_line), id.unwrap_or_default())
}
