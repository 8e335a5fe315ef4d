//! A run as lines of JSON, in the words of Terraform's machine-readable UI where it has words, so that what reads that
//! reads this. The caller adds `@timestamp`: nothing here has a clock.

use serde_json::{Value, json};

use crate::{
    apply::event::{Event, Failure, Report},
    model::Address,
    plan::{Action, Plan},
    render::{Look, entry::Totals, text, tfjson::naming, words},
};

/// One line for one event.
#[must_use]
pub fn event(event: &Event) -> Value {
    let body = match event {
        Event::Begun {
            total,
            estimate_secs,
        } => json!({
            "type": "apply_begin", "steps": total, "estimate_seconds": estimate_secs,
        }),
        Event::Progress {
            address,
            state,
            passing,
            checks,
        } => json!({
            "type": "apply_progress",
            "hook": { "resource": resource(address), "state": state, "passing": passing, "checks": checks },
        }),
        Event::Output { address, lines } => json!({
            "type": "apply_output",
            "hook": { "resource": resource(address), "lines": lines },
        }),
        Event::Started { address, action } => json!({
            "type": "apply_start",
            "hook": { "resource": resource(address), "action": verb(*action) },
        }),
        Event::Finished {
            address,
            action,
            millis,
        } => json!({
            "type": "apply_complete",
            "hook": {
                "resource": resource(address), "action": verb(*action), "elapsed_seconds": millis / 1000,
                "elapsed_ms": millis,
            },
        }),
        Event::Failed {
            address,
            action,
            failure,
        } => json!({
            "type": "apply_errored",
            "hook": { "resource": resource(address), "action": verb(*action) },
            "diagnostic": diagnostic(failure),
        }),
        Event::Skipped {
            address,
            action,
            because,
        } => json!({
            "type": "apply_skipped",
            "hook": { "resource": resource(address), "action": verb(*action), "because": because },
        }),
        Event::HeldBack {
            address,
            action,
            failure,
        } => json!({
            "type": "apply_held_back",
            "hook": { "resource": resource(address), "action": verb(*action) },
            "diagnostic": diagnostic(failure),
        }),
        Event::Stopping => json!({ "type": "stopping" }),
        Event::OutOfTime => json!({ "type": "out_of_time" }),
    };
    let level = match event {
        Event::Failed { .. } => "error",
        Event::Skipped { .. } | Event::HeldBack { .. } | Event::Stopping | Event::OutOfTime => {
            "warn"
        }
        Event::Begun { .. }
        | Event::Started { .. }
        | Event::Progress { .. }
        | Event::Output { .. }
        | Event::Finished { .. } => "info",
    };
    let message = match event {
        Event::Begun {
            total,
            estimate_secs,
        } => text::begun(*total, *estimate_secs),
        Event::Progress {
            address,
            state,
            passing,
            checks,
        } => {
            format!("{address}: {}", words::progress(state, *passing, *checks))
        }
        other => text::event(other, &Look::LOG).unwrap_or_default(),
    };
    enveloped(level, &message, body)
}

/// The line that sums a plan up.
#[must_use]
pub fn summary(plan: &Plan) -> Value {
    let totals = Totals::of(plan);
    let (add, remove) = (totals.add + totals.replace, totals.destroy + totals.replace);
    let message = format!("Plan: {}.", totals.sentence());
    enveloped(
        "info",
        &message,
        changes(add, totals.change, remove, "plan"),
    )
}

/// The line that sums a run up.
#[must_use]
pub fn report(report: &Report) -> Value {
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
    let mut body = changes(add, count(&[Action::Update]), remove, "apply");
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
    let message = text::report(report, &Look::LOG);
    let last = message
        .lines()
        .find(|line| line.starts_with("Applied") || line.starts_with("Incomplete"));
    enveloped(level, last.unwrap_or_default(), body)
}

/// A line that only says something.
#[must_use]
pub fn message(kind: &str, text: &str) -> Value {
    enveloped("info", text, json!({ "type": kind }))
}

fn changes(add: usize, change: usize, remove: usize, operation: &str) -> Value {
    json!({
        "type": "change_summary",
        "changes": { "add": add, "change": change, "import": 0, "remove": remove, "operation": operation },
    })
}

fn enveloped(level: &str, message: &str, body: Value) -> Value {
    let mut line = json!({ "@level": level, "@message": message, "@module": "trimtab.ui" });
    if let (Some(line), Value::Object(body)) = (line.as_object_mut(), body) {
        line.extend(body);
    }
    line
}

fn resource(address: &Address) -> Value {
    let (kind, name) = (naming::kind(address), naming::name(address));
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
fn verb(action: Action) -> &'static str {
    match action {
        Action::Create | Action::ReplaceCreate | Action::Succeed => "create",
        Action::Update | Action::Run | Action::HandOver => "update",
        Action::Delete | Action::ReplaceDelete | Action::Retire => "delete",
        Action::Prove => "read",
    }
}

fn diagnostic(failure: &Failure) -> Value {
    json!({
        "severity": "error",
        "summary": failure.reason,
        "detail": failure.hint.as_deref().unwrap_or_default(),
        "request_id": failure.request_id,
    })
}
