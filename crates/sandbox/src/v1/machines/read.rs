//! Reading machines: one, all of an application, events and versions.

use serde_json::{Value, json};

use super::{find, view};
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::machine::{Machine, State};
use crate::world::World;

/// How many events are shown without `limit`, and at most.
const EVENTS: (i64, i64) = (20, 50);

/// A destroyed machine stays readable: whoever waited for its end reads the exit code here.
pub(super) fn show(world: &mut World, call: &Call) -> Reply {
    let app = world.app(call)?;
    Ok(Answer::ok(view::view(world, app, find(world, call)?)))
}

pub(super) fn list(world: &mut World, call: &Call) -> Reply {
    let app = world.app(call)?;
    let filter = Filter::of(call)?;
    let machines = app
        .machines
        .values()
        .filter(|m| filter.passes(m) && world.listed(m.created_ms));
    let shown: Vec<Value> = if call.flag("summary") {
        machines.map(view::summary).collect()
    } else {
        machines
            .map(|machine| view::view(world, app, machine))
            .collect()
    };
    Ok(Answer::ok(shown.into()))
}

/// What a list leaves out; organisation-wide lists filter the same way.
pub(crate) struct Filter<'a> {
    include_deleted: bool,
    region: Option<&'a str>,
    states: Vec<&'a str>,
    metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> Filter<'a> {
    /// # Errors
    /// `400` for a state that cannot be asked for.
    pub(crate) fn of(call: &'a Call) -> Result<Self, Refusal> {
        const STATES: [&str; 6] = [
            "created",
            "started",
            "stopped",
            "suspended",
            "failed",
            "destroyed",
        ];
        let states = call.query_list("state");
        if let Some(wrong) = states.iter().find(|state| !STATES.contains(state)) {
            return Err(Refusal::invalid(format!("invalid state: {wrong:?}")));
        }
        let pairs = call.query.iter();
        let metadata =
            pairs.filter_map(|(key, value)| Some((key.strip_prefix("metadata.")?, value.as_str())));
        Ok(Self {
            include_deleted: call.flag("include_deleted") || states.contains(&"destroyed"),
            region: call.query("region"),
            states,
            metadata: metadata.collect(),
        })
    }

    pub(crate) fn passes(&self, machine: &Machine) -> bool {
        (self.include_deleted || machine.state != State::Destroyed)
            && self.region.is_none_or(|region| machine.region == region)
            && (self.states.is_empty() || self.states.contains(&machine.state.as_str()))
            && self
                .metadata
                .iter()
                .all(|(key, value)| machine.metadata(key) == Some(*value))
    }
}

pub(super) fn events(world: &mut World, call: &Call) -> Reply {
    let limit = call.number("limit")?.unwrap_or(EVENTS.0).clamp(1, EVENTS.1);
    let machine = find(world, call)?;
    Ok(Answer::ok(json!(
        machine
            .events
            .iter()
            .take(limit.unsigned_abs() as usize)
            .collect::<Vec<_>>()
    )))
}

pub(super) fn versions(world: &mut World, call: &Call) -> Reply {
    Ok(Answer::ok(json!(find(world, call)?.versions)))
}
