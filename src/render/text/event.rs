//! What happens during a run, one line a change, for logs that cannot be redrawn.

use std::time::Duration;

use crate::{
    apply::event::{Event, Failure},
    plan::Action,
    render::{Look, Style, style::paint, value::clean, words},
};

/// How much there is to do, and how long it may take.
#[must_use]
pub fn begun(total: usize, estimate_secs: Option<u64>) -> String {
    let steps = words::count(u64::try_from(total).unwrap_or(u64::MAX), "step");
    match estimate_secs {
        Some(secs) if secs > 0 => {
            format!("{steps}, about {}", words::about(Duration::from_secs(secs)))
        }
        _ => steps,
    }
}

/// The event in one line. `None` when it is not worth one: what goes well on its way is not.
#[must_use]
pub fn event(event: &Event, look: &Look) -> Option<String> {
    let style = look.style();
    let line = match event {
        Event::Begun {
            total,
            estimate_secs,
        } => {
            estimate_secs.filter(|secs| *secs > 0)?;
            begun(*total, *estimate_secs)
        }
        Event::Progress { .. } => return None,
        Event::Output { address, lines } => {
            let line = |line: &String| format!("{address} | {}", paint(style.quiet, clean(line)));
            lines.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Event::Started { address, action } => format!("{address}: {}", words::action(*action).0),
        Event::Finished {
            address,
            action,
            millis,
        } => {
            let took = words::duration(Duration::from_millis(*millis));
            let done = paint(style.create, words::action(*action).1);
            format!("{address}: {done} in {took}")
        }
        Event::Failed {
            address,
            action,
            failure,
        } => {
            let word = paint(style.alarm, "FAILED");
            let action = match action {
                Action::Succeed => "start the new one beside the old",
                other => words::imperative(*other),
            };
            format!("{address}: {word} to {action}: {}", reason(failure, style))
        }
        // The new one beside it, or the whole group, is skipped as well, and says so.
        Event::Skipped { action, .. } if action.is_on_the_way() => return None,
        Event::Skipped {
            address,
            because,
            action: _,
        } => {
            let word = paint(style.change, "skipped");
            format!("{address}: {word}, because {because} failed")
        }
        Event::HeldBack {
            address,
            failure,
            action: _,
        } => {
            let word = paint(style.change, "held back");
            format!("{address}: {word}: {}", reason(failure, style))
        }
        Event::OutOfTime => "the deadline is near: what cannot end in time is not begun".to_owned(),
        Event::Stopping => {
            "stopping: nothing more begins; what is under way is finished".to_owned()
        }
    };
    Some(line)
}

/// The reason of a failure in one line, with the request's id for a question to support. The last lines of a program
/// are left to the report.
pub(super) fn reason(failure: &Failure, style: Style) -> String {
    let words = failure
        .reason
        .lines()
        .take_while(|line| !line.starts_with("  | "));
    let one_line: Vec<&str> = words.flat_map(str::split_whitespace).collect();
    let id = failure.request_id.as_ref().map(|id| {
        let text = format!(" (request id {})", clean(id));
        paint(style.quiet, text)
    });
    let one_line = one_line.join(" ");
    let one_line = one_line
        .strip_suffix("; its last lines:")
        .unwrap_or(&one_line);
    format!("{}{}", clean(one_line), id.unwrap_or_default())
}
