//! An apply as JSON Lines. Message types and fields are those of Terraform's machine-readable UI where it has them
//! (<https://developer.hashicorp.com/terraform/internals/machine-readable-ui>), so that its readers work here. The caller
//! adds `@timestamp`, because nothing in this module reads a clock.

use serde_json::{Value, json};

use crate::{
    apply::event::{ApplyEvent, ApplyFailure, ApplyReport},
    model::Address,
    plan::{Action, Plan},
    render::{TextOptions, change_groups::ChangeCounts, text, tfjson::naming, wording},
    status::EnvironmentStatus,
};

/// Renders one apply event.
#[must_use]
pub fn event(event: &ApplyEvent) -> Value {
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
    log_line(event_level(event), &message, event_body(event))
}

/// The body of an event. Types that Terraform does not have are named in its style.
fn event_body(event: &ApplyEvent) -> Value {
    match event {
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
            estimate_millis: _,
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
        ApplyEvent::WaitingForLease {
            app,
            machine,
            holder,
            expires_at,
        } => json!({
            "type": "lease_wait", "app": app, "machine": machine, "holder": holder, "expires_at": expires_at,
        }),
        ApplyEvent::Stopping => json!({ "type": "stopping" }),
        ApplyEvent::OutOfTime => json!({ "type": "out_of_time" }),
    }
}

fn event_level(event: &ApplyEvent) -> &'static str {
    match event {
        ApplyEvent::Failed { .. } => "error",
        ApplyEvent::Skipped { .. }
        | ApplyEvent::HeldBack { .. }
        | ApplyEvent::Stopping
        | ApplyEvent::OutOfTime => "warn",
        ApplyEvent::Begun { .. }
        | ApplyEvent::WaitingForLease { .. }
        | ApplyEvent::Started { .. }
        | ApplyEvent::Progress { .. }
        | ApplyEvent::Output { .. }
        | ApplyEvent::Finished { .. } => "info",
    }
}

/// Renders the summary line of a plan.
#[must_use]
pub fn summary(plan: &Plan) -> Value {
    let counts = ChangeCounts::from_plan(plan);
    let (add, remove) = (counts.add + counts.replace, counts.destroy + counts.replace);
    let message = format!("Plan: {}.", counts.summary());
    log_line(
        "info",
        &message,
        change_summary(add, counts.change, remove, "plan"),
    )
}

/// Renders the summary line of an apply.
#[must_use]
pub fn report(report: &ApplyReport) -> Value {
    use crate::apply::event::Outcome;
    let count = |actions: &[Action]| {
        let done = report
            .outcomes
            .iter()
            .filter(|step| step.outcome == Outcome::Done);
        done.filter(|step| actions.contains(&step.action)).count()
    };
    let add = count(&[Action::Create, Action::ReplaceCreate]);
    let remove = count(&[Action::Delete, Action::ReplaceDelete]);
    let mut body = change_summary(add, count(&[Action::Update]), remove, "apply");
    let (done, failed, skipped, not_run) = report.counts();
    if let Some(body) = body.as_object_mut() {
        let unknown = report.outcomes.iter();
        let unknown = unknown
            .filter(|step| step.outcome == Outcome::Unknown)
            .count();
        let outcomes = json!({
            "done": done, "failed": failed, "skipped": skipped, "not_run": not_run, "unknown": unknown,
        });
        body.insert("outcomes".to_owned(), outcomes);
    }
    let level = if report.is_complete() {
        "info"
    } else {
        "error"
    };
    // The message is the last line of the text report, without the details that precede it.
    let message = text::report(report, &TextOptions::LOG);
    let summary_line = message
        .lines()
        .find(|line| line.starts_with("Applied") || line.starts_with("Incomplete"));
    log_line(level, summary_line.unwrap_or_default(), body)
}

/// Renders what runs now, after a rollback or a failed rollout. `failed` says that the rollout failed, and whether it was rolled back.
#[must_use]
pub fn running(status: &EnvironmentStatus, failed: Option<RolledBack>) -> Value {
    let groups = status.versions();
    let versions = groups.iter().flat_map(|group| {
        group.versions.iter().map(|version| {
            let image = version.image.as_ref();
            json!({
                "group": group.group,
                "machines": version.machines,
                "release": version.release,
                "image": image.map(|image| &image.reference),
                "digest": image.and_then(|image| image.digest.as_ref()),
                "unhealthy": version.unhealthy,
                "in_service": version.is_in_service(),
            })
        })
    });
    let (level, message, kind) = match failed {
        None => ("info", "This runs after the rollback.", "running"),
        Some(RolledBack(true)) => (
            "error",
            "The rollout failed, and was rolled back.",
            "rollout_failed",
        ),
        Some(RolledBack(false)) => ("error", "The rollout failed.", "rollout_failed"),
    };
    let mut body = json!({ "type": kind, "running": versions.collect::<Vec<_>>() });
    if let Some(RolledBack(rolled_back)) = failed {
        body["rolled_back"] = rolled_back.into();
    }
    log_line(level, message, body)
}

/// Whether a failed rollout was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack(pub bool);

/// Renders a message that is not an apply event; `kind` becomes its `type`.
#[must_use]
pub fn message(kind: &str, text: &str) -> Value {
    log_line("info", text, json!({ "type": kind }))
}

/// The body of Terraform's `change_summary` message.
fn change_summary(add: usize, change: usize, remove: usize, operation: &str) -> Value {
    json!({
        "type": "change_summary",
        "changes": { "add": add, "change": change, "import": 0, "remove": remove, "operation": operation },
    })
}

/// A line in Terraform's envelope: level, message and module, then the body.
fn log_line(level: &str, message: &str, body: Value) -> Value {
    let mut line = json!({ "@level": level, "@message": message, "@module": "trimtab.ui" });
    if let (Some(line), Value::Object(body)) = (line.as_object_mut(), body) {
        line.extend(body);
    }
    line
}

/// Terraform's description of a resource, plus the address of trimtab.
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

/// The Terraform action that is closest to a step.
fn terraform_action(action: Action) -> &'static str {
    match action {
        Action::Create | Action::ReplaceCreate | Action::CreateSuccessor => "create",
        Action::Update | Action::Run | Action::HandOver => "update",
        Action::Delete | Action::ReplaceDelete | Action::Retire => "delete",
        Action::Verify => "read",
    }
}

/// Terraform's description of an error, plus the id of the failed request.
fn diagnostic(failure: &ApplyFailure) -> Value {
    json!({
        "severity": "error",
        "summary": failure.reason,
        "detail": failure.hint.as_deref().unwrap_or_default(),
        "request_id": failure.request_id,
    })
}
