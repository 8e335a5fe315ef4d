//! `…/metadata`: labels that change without a new version or a restart.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, find, find_mut, route};
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::machine::Machine;
use crate::world::World;

pub(super) fn routes() -> [Route; 6] {
    [
        route("GET", "/v1/apps/{app}/machines/{machine}/metadata", show),
        route("PUT", "/v1/apps/{app}/machines/{machine}/metadata", replace),
        route("PATCH", "/v1/apps/{app}/machines/{machine}/metadata", merge),
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/metadata/{key}",
            show_key,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/metadata/{key}",
            set_key,
        ),
        route(
            "DELETE",
            "/v1/apps/{app}/machines/{machine}/metadata/{key}",
            remove_key,
        ),
    ]
}

/// Leases do not guard metadata.
fn change(
    world: &mut World,
    call: &Call,
    edit: impl FnOnce(&mut Machine) -> Result<Vec<(String, Option<String>)>, Refusal>,
) -> Reply {
    let now = world.now;
    let machine = find_mut(world, call)?;
    let edits = edit(machine)?;
    let metadata = machine
        .config
        .entry("metadata")
        .or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        for (key, value) in edits {
            match value.filter(|value| !value.is_empty()) {
                Some(value) => metadata.insert(key, value.into()),
                None => metadata.remove(&key),
            };
        }
    }
    machine.updated_ms = now;
    Ok(Answer::empty(204))
}

fn show(world: &mut World, call: &Call) -> Reply {
    let metadata = find(world, call)?.config.get("metadata").cloned();
    Ok(Answer::ok(metadata.unwrap_or_else(|| json!({}))))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Update {
    metadata: Option<BTreeMap<String, Option<String>>>,
    machine_version: Option<String>,
}

impl Update {
    fn for_machine(self, machine: &Machine) -> Result<BTreeMap<String, Option<String>>, Refusal> {
        let version = self.machine_version.filter(|version| !version.is_empty());
        if version.is_some_and(|version| version != machine.instance_id) {
            return Err(Refusal::precondition("machine version mismatch"));
        }
        self.metadata
            .ok_or_else(|| Refusal::invalid("metadata is required"))
    }
}

/// `PUT` says all there is: keys that it leaves out go.
fn replace(world: &mut World, call: &Call) -> Reply {
    let request: Update = call.body()?;
    change(world, call, |machine| {
        let wanted = request.for_machine(machine)?;
        let have = machine
            .config
            .get("metadata")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let mut edits: Vec<_> = have.map(|(key, _)| (key.clone(), None)).collect();
        edits.extend(wanted);
        Ok(edits)
    })
}

/// `PATCH` says what changes; null or an empty string removes.
fn merge(world: &mut World, call: &Call) -> Reply {
    let request: Update = call.body()?;
    change(world, call, |machine| {
        Ok(request.for_machine(machine)?.into_iter().collect())
    })
}

fn show_key(world: &mut World, call: &Call) -> Reply {
    let value = find(world, call)?.metadata(call.param("key"));
    let value = value.ok_or_else(|| Refusal::not_found("metadata key"))?;
    Ok(Answer::ok(json!({ "value": value })))
}

fn set_key(world: &mut World, call: &Call) -> Reply {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        value: Option<String>,
    }
    let request: Request = call.body()?;
    let value = request
        .value
        .ok_or_else(|| Refusal::invalid("value is required"))?;
    change(world, call, |_| {
        Ok(vec![(call.param("key").to_owned(), Some(value))])
    })
}

fn remove_key(world: &mut World, call: &Call) -> Reply {
    change(world, call, |_| {
        Ok(vec![(call.param("key").to_owned(), None)])
    })
}
