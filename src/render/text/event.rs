//! What happens during a run, one line a change, for logs that cannot be redrawn.

use std::time::Duration;

use crate::{
    apply::event::{Event, Failure},
    render::{Look, Style, style::paint, value::clean, words},
};

/// The event in one line. `None` when it is not worth one.
#[must_use]
pub fn event(event: &Event, look: &Look) -> Option<String> {
    let style = look.style();
    let line = match event {
        Event::Started { address, action } => format!("{address}: {}", words::action(*action).0),
        Event::Finished { address, action, millis } => {
            let took = words::duration(Duration::from_millis(*millis));
            let done = paint(style.create, words::action(*action).1);
            format!("{address}: {done} in {took}")
        }
        Event::Failed { address, action, failure } => {
            let word = paint(style.alarm, "FAILED");
            let action = words::imperative(*action);
            format!("{address}: {word} to {action}: {}", reason(failure, style))
        }
        Event::Skipped { address, because, action: _ } => {
            let word = paint(style.change, "skipped");
            format!("{address}: {word}, because {because} failed")
        }
        Event::Stopping => "stopping: nothing more begins; what is under way is finished".to_owned(),
    };
    Some(line)
}

/// The reason in one line, with the request's id for a question to support.
fn reason(failure: &Failure, style: Style) -> String {
    let one_line: Vec<&str> = failure.reason.split_whitespace().collect();
    let id = failure.request_id.as_ref().map(|id| {
        let text = format!(" (request id {})", clean(id));
        paint(style.quiet, text)
    });
    format!("{}{}", clean(&one_line.join(" ")), id.unwrap_or_default())
}
