//! A run as lines of JSON, in the words of Terraform's machine-readable UI where it has words, so that what reads that
//! reads this. The caller adds `@timestamp`: nothing here has a clock.

use serde_json::{Value, json};

use crate::{
    apply::event::{ApplyEvent, ApplyFailure, ApplyReport},
    model::Address,
    plan::{Action, Plan},
    render::{TextOptions, change_groups::ChangeCounts, text, tfjson::naming, wording},
};

/// One line for one event.
#[must_use]
pub fn event(event: &ApplyEvent) -> Value {
    let body = match event {
        ApplyEvent::Begun {
            total,
            estimate_secs,
        } => json!({
            "type": "apply_begin", "steps": total, "estimate_seconds": estimate_secs,
        }),
        ApplyEvent::Progress {
            address,
            state,
            passing,
            checks,
        } => json!({
            "type": "apply_progress",
            "hook": { "resource": resource_object(address), "state": state, "passing": passing, "checks": checks },
        }),
        ApplyEvent::Output { address, lines } => json!({
            "type": "apply_output",
            "hook": { "resource": resource_object(address), "lines": lines },
        }),
        ApplyEvent::Started { address, action } => json!({
            "type": "apply_start",
            "hook": { "resource": resource_object(address), "action": terraform_action(*action) },
        }),
        ApplyEvent::Finished {
            address,
            action,
            millis,
        } => json!({
            "type": "apply_complete",
            "hook": {
                "resource": resource_object(address), "action": terraform_action(*action), "elapsed_seconds": millis / 1000,
                "elapsed_ms": millis,
            },
        }),
        ApplyEvent::Failed {
            address,
            action,
            failure,
        } => json!({
            "type": "apply_errored",
            "hook": { "resource": resource_object(address), "action": terraform_action(*action) },
            "diagnostic": diagnostic(failure),
        }),
        ApplyEvent::Skipped {
            address,
            action,
            because,
        } => json!({
            "type": "apply_skipped",
            "hook": { "resource": resource_object(address), "action": terraform_action(*action), "because": because },
        }),
        ApplyEvent::HeldBack {
            address,
            action,
            failure,
        } => json!({
            "type": "apply_held_back",
            "hook": { "resource": resource_object(address), "action": terraform_action(*action) },
            "diagnostic": diagnostic(failure),
        }),
        ApplyEvent::Stopping => json!({ "type": "stopping" }),
        ApplyEvent::OutOfTime => json!({ "type": "out_of_time" }),
    };
    let level = match event {
        ApplyEvent::Failed { .. } => "error",
        ApplyEvent::Skipped { .. }
        | ApplyEvent::HeldBack { .. }
        | ApplyEvent::Stopping
        | ApplyEvent::OutOfTime => "warn",
        ApplyEvent::Begun { .. }
        | ApplyEvent::Started { .. }
        | ApplyEvent::Progress { .. }
        | ApplyEvent::Output { .. }
        | ApplyEvent::Finished { .. } => "info",
    };
    let message = match event {
        ApplyEvent::Begun {
            total,
            estimate_secs,
        } => text::begin_text(*total, *estimate_secs),
        ApplyEvent::Progress {
            address,
            state,
            passing,
            checks,
        } => {
            format!(
                "{address}: {}",
                wording::format_progress(state, *passing, *checks)
            )
        }
        other => text::event(other, &TextOptions::LOG).unwrap_or_default(),
    };
    log_line(level, &message, body)
}

/// The line that sums a plan up.
#[must_use]
pub fn summary(plan: &Plan) -> Value {
    let totals = ChangeCounts::from_plan(plan);
    let (add, remove) = (totals.add + totals.replace, totals.destroy + totals.replace);
    let message = format!("Plan: {}.", totals.summary());
    log_line(
        "info",
        &message,
        change_summary(add, totals.change, remove, "plan"),
    )
}

/// The line that sums a run up.
#[must_use]
pub fn report(report: &ApplyReport) -> Value {
    use crate::apply::event::Outcome;
    let count = |wanted: &[Action]| {
        let done = report
            .outcomes
            .iter()
            .filter(|ended| ended.outcome == Outcome::Done);
        done.filter(|ended| wanted.contains(&ended.action)).count()
    };
    let add = count(&[Action::Create, Action::ReplaceCreate]);
    let remove = count(&[Action::Delete, Action::ReplaceDelete]);
    let mut body = change_summary(add, count(&[Action::Update]), remove, "apply");
    let (done, failed, skipped, not_run) = report.counts();
    if let Some(body) = body.as_object_mut() {
        let outcomes =
            json!({ "done": done, "failed": failed, "skipped": skipped, "not_run": not_run });
        body.insert("outcomes".to_owned(), outcomes);
    }
    let level = if report.is_complete() {
        "info"
    } else {
        "error"
    };
    let message = text::report(report, &TextOptions::LOG);
    let last = message
        .lines()
        .find(|line| line.starts_with("Applied") || line.starts_with("Incomplete"));
    log_line(level, last.unwrap_or_default(), body)
}

/// A line that only says something.
#[must_use]
pub fn message(kind: &str, text: &str) -> Value {
    log_line("info", text, json!({ "type": kind }))
}

fn change_summary(add: usize, change: usize, remove: usize, operation: &str) -> Value {
    json!({
        "type": "change_summary",
        "changes": { "add": add, "change": change, "import": 0, "remove": remove, "operation": operation },
    })
}

fn log_line(level: &str, message: &str, body: Value) -> Value {
    let mut line = json!({ "@level": level, "@message": message, "@module": "trimtab.ui" });
    if let (Some(line), Value::Object(body)) = (line.as_object_mut(), body) {
        line.extend(body);
    }
    line
}

fn resource_object(address: &Address) -> Value {
    let (kind, name) = (
        naming::resource_type(address),
        naming::resource_name(address),
    );
    json!({
        "addr": format!("{kind}.{name}"),
        "module": "",
        "resource": format!("{kind}.{name}"),
        "implied_provider": "trimtab",
        "resource_type": kind,
        "resource_name": name,
        "resource_key": null,
        "trimtab_address": address,
    })
}

/// Terraform's word for a step.
fn terraform_action(action: Action) -> &'static str {
    match action {
        Action::Create | Action::ReplaceCreate | Action::Succeed => "create",
        Action::Update | Action::Run | Action::HandOver => "update",
        Action::Delete | Action::ReplaceDelete | Action::Retire => "delete",
        Action::Prove => "read",
    }
}

fn diagnostic(failure: &ApplyFailure) -> Value {
    json!({
        "severity": "error",
        "summary": failure.reason,
        "detail": failure.hint.as_deref().unwrap_or_default(),
        "request_id": failure.request_id,
    })
}
