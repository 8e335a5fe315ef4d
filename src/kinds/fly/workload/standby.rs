//! Standby machines: stopped machines that Fly starts when the host of another machine fails. The configuration of a standby names
//! the id of that machine, which may not exist yet when a plan is made.

use serde_json::{Value, json};

use super::{Workload, WorkloadLive};
use crate::{
    kinds::{DiffContext, World},
    model::{DiffLine, DisplayValue},
};

/// The variable in which the program of a standby finds the id of the machine that it replaces, as with flyctl.
const STANDBY_ENV: &str = "FLY_STANDBY_FOR";

/// Whether an update starts the machine: it runs, or it should. A former standby was stopped only because it was one, and a
/// machine that becomes one stops.
pub(super) fn starts_with_update(spec: &Workload, live: &WorkloadLive) -> bool {
    let was_standby = !live.config.standbys.is_empty();
    let runs = live.is_running() || live.is_start_unconfirmed() || was_standby;
    spec.standby_for.is_none() && runs
}

/// Removes the variable from a configuration that is compared: [`diff_line`] compares both settings of a standby.
pub(super) fn remove_env(config: &mut Value) {
    if let Some(env) = config.get_mut("env").and_then(Value::as_object_mut) {
        env.remove(STANDBY_ENV);
    }
}

/// The difference in the machine that a standby replaces.
pub(super) fn diff_line(
    spec: &Workload,
    live: &WorkloadLive,
    context: &DiffContext<'_>,
) -> Option<DiffLine> {
    let there = live.config.standbys.as_slice();
    let shown = || (!there.is_empty()).then(|| DisplayValue::Value(there.join(", ").into()));
    let Some(wanted) = &spec.standby_for else {
        return shown().map(|shown| DiffLine::new("standby", Some(shown), None));
    };
    let known = context
        .world
        .fly_machine
        .get(wanted.name())
        .map(|machine| &machine.workload.id);
    match known.filter(|_| !context.removed.contains(&wanted.address())) {
        Some(id)
            if there == std::slice::from_ref(id)
                && live
                    .config
                    .env
                    .get(STANDBY_ENV)
                    .is_some_and(|env| env == id) =>
        {
            None
        }
        Some(id) => Some(DiffLine::new(
            "standby",
            shown(),
            Some(DisplayValue::Value(id.as_str().into())),
        )),
        None => Some(DiffLine::new(
            "standby",
            shown(),
            Some(DisplayValue::KnownAfterApply),
        )),
    }
}

/// Sets the machine that a standby replaces, once its id is known.
pub(super) fn set_standby(spec: &Workload, world: &World, config: &mut Value) {
    let other = spec
        .standby_for
        .as_ref()
        .and_then(|other| world.fly_machine.get(other.name()));
    if let Some(other) = other {
        config["standbys"] = json!([other.workload.id]);
        config["env"][STANDBY_ENV] = other.workload.id.as_str().into();
    }
}
