//! Apply events as log lines, for output that cannot be redrawn.

use std::time::Duration;

use crate::{
    apply::event::{ApplyEvent, ApplyFailure},
    plan::Action,
    render::{TextOptions, Theme, theme::paint, value::sanitize, wording},
};

/// The number of steps and the estimated duration.
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

/// The log line for an event; `None` if the event is not worth one, such as progress of a step.
#[must_use]
pub fn event(event: &ApplyEvent, options: &TextOptions) -> Option<String> {
    let theme = options.theme();
    let line = match event {
        ApplyEvent::Begun {
            total,
            estimate_secs,
        } => {
            estimate_secs.filter(|secs| *secs > 0)?;
            begin_text(*total, *estimate_secs)
        }
        ApplyEvent::WaitingForLease {
            app,
            machine,
            holder,
            expires_at,
        } => lease_wait_text(app, machine, holder, expires_at.as_deref()),
        ApplyEvent::Progress { .. } => return None,
        ApplyEvent::Output { address, lines } => {
            let line = |line: &String| format!("{address} | {}", paint(theme.dim, sanitize(line)));
            lines.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        ApplyEvent::Started { address, action } => {
            format!("{address}: {}", wording::action_participles(*action).0)
        }
        ApplyEvent::Finished {
            address,
            action,
            millis,
            estimate_millis: _,
        } => {
            let duration = wording::format_duration(Duration::from_millis(*millis));
            let done = paint(theme.create, wording::action_participles(*action).1);
            format!("{address}: {done} in {duration}")
        }
        ApplyEvent::Failed {
            address,
            action,
            failure,
        } => {
            let label = paint(theme.error, "FAILED");
            let action = match action {
                Action::CreateSuccessor => " to start the new one beside the old".to_owned(),
                other => wording::failed_action(*other),
            };
            format!(
                "{address}: {label}{action}: {}",
                failure_reason(failure, theme)
            )
        }
        // The steps that an intermediate step belongs to are skipped as well, and have lines of their own.
        ApplyEvent::Skipped { action, .. } if action.is_intermediate() => return None,
        ApplyEvent::Skipped {
            address,
            because,
            action: _,
        } => {
            let label = paint(theme.change, "skipped");
            format!("{address}: {label}, because {because} failed")
        }
        ApplyEvent::HeldBack {
            address,
            failure,
            action: _,
        } => {
            let label = paint(theme.change, "held back");
            format!("{address}: {label}: {}", failure_reason(failure, theme))
        }
        ApplyEvent::OutOfTime => {
            "the deadline is near: no step is started that could not finish in time".to_owned()
        }
        ApplyEvent::Stopping => {
            "stopping: no new step is started; running steps have a moment to finish".to_owned()
        }
    };
    Some(line)
}

/// Who holds the lease that a run waits for.
fn lease_wait_text(app: &str, machine: &str, holder: &str, expires_at: Option<&str>) -> String {
    let until = expires_at.map(|until| format!(" until {} unless it is renewed", sanitize(until)));
    format!(
        "waiting for machine {} of {}: {} holds its lease{}",
        sanitize(machine),
        sanitize(app),
        sanitize(holder),
        until.unwrap_or_default()
    )
}

/// The reason of a failure in one line, with the request id, which the cloud's support asks for. Without the last lines of
/// a program's output, which only the report shows.
pub(super) fn failure_reason(failure: &ApplyFailure, theme: Theme) -> String {
    let lines = failure
        .reason
        .lines()
        .take_while(|line| !line.starts_with("  | "));
    let one_line: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let id = failure.request_id.as_ref().map(|id| {
        let text = format!(" (request id {})", sanitize(id));
        paint(theme.dim, text)
    });
    let one_line = one_line.join(" ");
    let one_line = one_line
        .strip_suffix("; its last lines:")
        .unwrap_or(&one_line);
    format!("{}{}", sanitize(one_line), id.unwrap_or_default())
}
