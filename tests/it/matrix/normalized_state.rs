//! The state of the clouds without what differs from run to run: identifiers, times, version
//! counters. It is taken from the sandbox itself, not through our client, so that it sees what the
//! client misses.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde_json::{Value, json};
use trimtab_sandbox::RequestRecord;

/// The prefix of every secret value in these tests.
const CANARY: &str = "canary of";
/// An app of another team in the same organization.
pub(super) const FOREIGN_APP: &str = "of-another-team";
/// Metadata of a machine about the run that wrote it, not about its desired state.
const RUN_METADATA: [&str; 3] = [
    "trimtab_secrets",
    "trimtab_secrets_version",
    "trimtab_release",
];
/// Keys whose values AWS generates.
const AWS_GENERATED_KEYS: [&str; 6] = [
    "id",
    "created_ms",
    "used_ms",
    "objects",
    "history",
    "thumbprints",
];

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// All machines that are not destroyed, with the names of their apps.
pub(super) fn existing_machines(state: &Value) -> Vec<(&str, &Value)> {
    let own_apps = entries(&state["apps"]).filter(|(name, _)| *name != FOREIGN_APP);
    let existing =
        |(name, app)| entries(normalize(app, "machines")).map(move |(_, machine)| (name, machine));
    fn normalize<'v>(app: &'v Value, key: &str) -> &'v Value {
        &app[key]
    }
    own_apps
        .flat_map(existing)
        .filter(|(_, machine)| machine["state"] != "destroyed")
        .collect()
}

/// The app of the other team, in full.
pub(super) fn foreign_app(state: &Value) -> Value {
    let mut app = state["apps"][FOREIGN_APP].clone();
    // Its machines keep running and its volumes are snapshotted, so only their configuration is
    // compared.
    for machine in app["machines"]
        .as_object_mut()
        .into_iter()
        .flat_map(|all| all.values_mut())
    {
        *machine = json!({ "state": machine["state"], "config": machine["config"], "instance": machine["instance_id"] });
    }
    json!({ "machines": app["machines"], "volumes": app["volumes"], "secrets": app["secrets"], "ips": app["ips"] })
}

/// Everything else in the state.
pub(crate) fn normalize(state: &Value) -> Value {
    let own_apps = entries(&state["apps"]).filter(|(name, _)| *name != FOREIGN_APP);
    let apps: BTreeMap<&str, Value> = own_apps
        .map(|(name, all)| (name, normalize_app(all)))
        .collect();
    let mut aws = json!({ "accounts": state["aws"]["accounts"]["accounts"], "buckets": state["aws"]["buckets"] });
    strip_aws_generated(&mut aws);
    json!({ "apps": apps, "aws": aws })
}

fn strip_aws_generated(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !AWS_GENERATED_KEYS.contains(&key.as_str()));
            map.values_mut().for_each(strip_aws_generated);
        }
        Value::Array(list) => list.iter_mut().for_each(strip_aws_generated),
        _ => {}
    }
}

fn normalize_app(app: &Value) -> Value {
    let machines = entries(&app["machines"]).filter(|(_, machine)| machine["state"] != "destroyed");
    let machines: Vec<_> = machines.collect();
    let named: BTreeMap<&str, &Value> = machines
        .iter()
        .map(|(id, machine)| (*id, &machine["config"]["metadata"]["trimtab_name"]))
        .collect();
    let volumes = entries(&app["volumes"]).filter(|(_, volume)| is_present(volume));
    let volumes: BTreeMap<&str, Value> = volumes
        .map(|(id, volume)| (id, normalize_volume(volume, &named)))
        .collect();
    let machines = machines
        .iter()
        .map(|(_, machine)| normalize_machine(machine, &volumes, &named));
    // The digest that Fly shows depends on the app's id, so it differs between runs. A generated value differs, too.
    let is_given = |value: &Value| {
        value
            .as_str()
            .is_some_and(|value| value.starts_with(CANARY))
    };
    let hash_given = |value: &Value| is_given(value).then(|| hash_value(value));
    let secrets: BTreeMap<&str, Option<u64>> = entries(&app["secrets"])
        .map(|(name, secret)| (name, hash_given(&secret["value"])))
        .collect();
    let ips = app["ips"].as_array().into_iter().flatten();
    json!({
        "org": app["org"],
        "network": app["network"],
        "machines": sorted(machines),
        "volumes": sorted(volumes.values().cloned()),
        "secrets": secrets,
        "ips": sorted(ips.map(|ip| json!([ip["kind"], ip["region"], ip["network"]]))),
        "certificates": entries(&app["certificates"]).map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

fn hash_value(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

fn is_present(volume: &Value) -> bool {
    !matches!(
        volume["state"].as_str(),
        Some("destroyed" | "pending_destroy" | "scheduling_destroy")
    )
}

fn normalize_volume(volume: &Value, machines: &BTreeMap<&str, &Value>) -> Value {
    let holder = volume["attached"].as_str().and_then(|id| machines.get(id));
    json!({
        "name": volume["name"],
        "region": volume["region"],
        "size": volume["size_gb"],
        "encrypted": volume["encrypted"],
        "retention": volume["snapshot_retention"],
        "holder": holder,
    })
}

fn normalize_machine(
    machine: &Value,
    volumes: &BTreeMap<&str, Value>,
    machines: &BTreeMap<&str, &Value>,
) -> Value {
    let mut config = machine["config"].clone();
    name_machines(&mut config, machines);
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        let volume = mount["volume"]
            .as_str()
            .and_then(|id| volumes.get(id))
            .cloned();
        mount["volume"] = volume.unwrap_or_else(|| json!("a volume that is not there"));
    }
    if let Some(metadata) = config["metadata"].as_object_mut() {
        let is_of_run =
            |key: &str| RUN_METADATA.contains(&key) || key.starts_with("trimtab_database_");
        metadata.retain(|key, _| !is_of_run(key));
    }
    // A scheduled machine may be running or stopped at this moment, and a Postgres cluster may sleep.
    let sleeps = !config["env"]["FLY_SCALE_TO_ZERO"].is_null();
    let state = if config["schedule"].is_null() && !sleeps {
        &machine["state"]
    } else {
        &Value::Null
    };
    // Whether a machine without services is cordoned has no effect.
    let serves = config["services"]
        .as_array()
        .is_some_and(|services| !services.is_empty());
    json!({
        "region": machine["region"],
        "state": state,
        "cordoned": serves && machine["cordoned"] == true,
        "image": machine["image_digest"],
        "config": config,
    })
}

/// Replaces the ids of machines by their names: a standby refers to another machine by its id.
fn name_machines(value: &mut Value, machines: &BTreeMap<&str, &Value>) {
    match value {
        Value::Object(table) => table
            .values_mut()
            .for_each(|value| name_machines(value, machines)),
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| name_machines(value, machines)),
        Value::String(id) => {
            if let Some(name) = machines.get(id.as_str()) {
                *value = (*name).clone();
            }
        }
        _ => {}
    }
}

fn sorted(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut values: Vec<Value> = values.collect();
    values.sort_by_cached_key(ToString::to_string);
    values
}

/// Must hold after every run, however it ended: our objects have ownership marks (unless a manual
/// change removed them), no volume has two machines, and foreign objects are unchanged.
pub(super) fn check_invariants(state: &Value, foreign: &Value, marked: bool) -> Result<(), String> {
    if foreign_app(state) != *foreign {
        return Err("something of another team has changed".to_owned());
    }
    let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
    for (app, machine) in existing_machines(state) {
        let id = machine["id"].as_str().unwrap_or_default();
        let mark = &machine["config"]["metadata"];
        if marked
            && ["trimtab_project", "trimtab_environment", "trimtab_name"]
                .iter()
                .any(|key| mark[key].is_null())
        {
            return Err(format!("machine {id} of {app} bears no mark"));
        }
        for mount in machine["config"]["mounts"].as_array().into_iter().flatten() {
            let volume = mount["volume"].as_str().unwrap_or_default();
            if let Some(other) = holders.insert(volume, id) {
                return Err(format!(
                    "the machines {other} and {id} hold the volume {volume}"
                ));
            }
        }
    }
    for (_, account) in entries(&state["aws"]["accounts"]["accounts"]) {
        check_tagged(
            "role",
            &account["roles"],
            |role| &role["tags"],
            "trimtab_project",
        )?;
        check_tagged(
            "provider",
            &account["providers"],
            |provider| &provider["tags"],
            "trimtab_shared",
        )?;
    }
    check_tagged(
        "bucket",
        &state["aws"]["buckets"],
        |bucket| &bucket["config"]["tags"],
        "trimtab_project",
    )
}

fn check_tagged(
    what: &str,
    all: &Value,
    tags: impl Fn(&Value) -> &Value,
    mark: &str,
) -> Result<(), String> {
    let unmarked = entries(all).find(|(_, one)| {
        !tags(one)
            .as_array()
            .into_iter()
            .flatten()
            .any(|tag| tag[0] == mark)
    });
    unmarked.map_or(Ok(()), |(name, _)| {
        Err(format!("the {what} {name} bears no mark"))
    })
}

/// Compares two states; the error is a diff.
pub(crate) fn compare(actual: &Value, expected: &Value) -> Result<(), String> {
    if actual == expected {
        return Ok(());
    }
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let (actual, expected) = (pretty(actual), pretty(expected));
    let diff = similar::TextDiff::from_lines(&expected, &actual);
    Err(format!(
        "the world differs from that of an undisturbed run:\n{}",
        diff.unified_diff().context_radius(2)
    ))
}

/// Checks that secret values appear nowhere but in the secrets themselves.
pub(super) fn check_no_secret_leaked(
    state: &Value,
    requests: &[RequestRecord],
    outputs: &[&str],
) -> Result<(), String> {
    if let Some(outputs) = outputs.iter().find(|outputs| outputs.contains(CANARY)) {
        return Err(format!("a secret was said: {outputs}"));
    }
    if let Some(request) = requests
        .iter()
        .find(|one| one.path.contains(CANARY) || one.query.contains(CANARY))
    {
        return Err(format!("a secret is in an address: {request:?}"));
    }
    let mut apps = state["apps"].clone();
    for app in apps
        .as_object_mut()
        .into_iter()
        .flat_map(|apps| apps.values_mut())
    {
        app["secrets"] = Value::Null;
    }
    match apps.to_string().contains(CANARY) || state["aws"].to_string().contains(CANARY) {
        true => Err("a secret is in the clouds' state, beside the secrets".to_owned()),
        false => Ok(()),
    }
}
