//! What one part of a manifest demands of another: groups that are there, one volume a machine, ports with their
//! service. Whatever contradicts itself is changed as little as possible.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::aws;

type Table = Map<String, Value>;

/// A machine in the API's own words.
pub(super) const MACHINE: &str =
    r#"{"dns":{"skip_registration":true},"env":{"RAW":"1"},"metadata":{"own":"label"}}"#;
/// One with containers.
pub(super) const CONTAINERS: &str =
    r#"{"containers":[{"name":"app","image":"any:1"},{"name":"side","image":"side:1"}]}"#;

/// Puts a manifest right.
pub(super) fn fit(whole: &mut Table) {
    let apps = whole["apps"].as_object_mut().unwrap();
    let keys: Vec<String> = apps.keys().cloned().collect();
    let mut hosts = BTreeSet::new();
    for (key, app) in apps.iter_mut() {
        let app = app.as_object_mut().unwrap();
        self::app(key, app, &keys);
        unique(app, "certificates", &mut hosts);
    }
    let first = keys[0].clone();
    if whole.contains_key("buckets") {
        clouds(whole, &first, &keys);
    }
}

/// Leaves out what others have.
fn unique(app: &mut Table, key: &str, taken: &mut BTreeSet<String>) {
    if let Some(list) = app.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| taken.insert(item.to_string()));
    }
}

fn app(key: &str, app: &mut Table, keys: &[String]) {
    if app.contains_key("name") {
        app.insert(
            "name".to_owned(),
            format!("any-named-{}", key.replace('_', "-")).into(),
        );
    }
    // Only what sorts before: so there is no circle.
    keep(app, "depends_on", |other| {
        other
            .as_str()
            .is_some_and(|other| other < key && keys.iter().any(|key| key == other))
    });
    let groups = groups(app);
    for (part, demands) in [
        ("services", true),
        ("http_service", true),
        ("vm", false),
        ("files", false),
        ("restart", false),
        ("metrics", false),
    ] {
        each(app, part, |part| processes(part, &groups, demands));
    }
    for (_, check) in app
        .get_mut("checks")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        processes(check.as_object_mut().unwrap(), &groups, false);
    }
    mounts(app, &groups);
    machines(app);
    services(app);
    each(app, "restart", |restart| {
        if restart["policy"] != "on-failure" {
            restart.remove("retries");
        }
    });
    files(app);
    deploy(app);
    containers(app);
    env(app);
    for (name, cron) in app
        .get_mut("cron")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        if let Some(stated) = cron.get_mut("name") {
            *stated = format!("{name}-job").into();
        }
    }
    places(app);
}

fn keep(table: &mut Table, key: &str, fits: impl Fn(&Value) -> bool) {
    if let Some(list) = table.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| fits(item));
    }
}

/// Each table of a key that holds one or many.
fn each(app: &mut Table, key: &str, mut change: impl FnMut(&mut Table)) {
    match app.get_mut(key) {
        Some(Value::Object(one)) => change(one),
        Some(Value::Array(many)) => many
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(change),
        _ => {}
    }
}

/// The process groups, once every one of them has one command.
fn groups(app: &mut Table) -> Vec<String> {
    let commands: BTreeSet<String> = app
        .get("processes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    let mut all = commands.clone();
    for (name, group) in app
        .get_mut("machines")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let group = group.as_object_mut().unwrap();
        if commands.contains(name) {
            group.remove("command");
        } else if !commands.is_empty() {
            group.entry("command").or_insert_with(|| json!("run"));
        }
        all.insert(name.clone());
    }
    if all.is_empty() {
        vec!["app".to_owned()]
    } else {
        all.into_iter().collect()
    }
}

/// The group that parts belong to which name none.
fn default(groups: &[String]) -> String {
    groups
        .iter()
        .find(|group| *group == "app")
        .unwrap_or(&groups[0])
        .clone()
}

fn processes(part: &mut Table, groups: &[String], demands: bool) {
    keep(part, "processes", |name| {
        groups.iter().any(|group| name == group.as_str())
    });
    if demands
        && groups.len() > 1
        && part
            .get("processes")
            .is_none_or(|named| named == &json!([]))
    {
        part.insert("processes".to_owned(), json!([groups[0]]));
    }
}

/// The groups that a part is for.
fn members(part: &Table, groups: &[String]) -> Vec<String> {
    match part.get("processes").and_then(Value::as_array) {
        Some(named) if !named.is_empty() => named
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect(),
        _ => vec![default(groups)],
    }
}

/// One volume for a machine.
fn mounts(app: &mut Table, groups: &[String]) {
    each(app, "mounts", |mount| processes(mount, groups, false));
    let mut taken = BTreeSet::new();
    if let Some(many) = app.get_mut("mounts").and_then(Value::as_array_mut) {
        many.retain(|mount| {
            let members = members(mount.as_object().unwrap(), groups);
            let free = members.iter().all(|group| !taken.contains(group));
            taken.extend(members);
            free
        });
    }
}

/// Machines stand by only where nothing is served or mounted.
fn machines(app: &mut Table) {
    let busy = ["services", "http_service", "mounts", "machine_config"]
        .iter()
        .any(|key| app.contains_key(*key));
    for (_, group) in app
        .get_mut("machines")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        if busy {
            group.as_object_mut().unwrap().remove("standby");
        }
    }
}

/// No two services on one port, and no minimum above what there is.
fn services(app: &mut Table) {
    let mut taken: BTreeSet<u64> = BTreeSet::new();
    if app.contains_key("http_service") {
        taken.extend([80, 443]);
    }
    let counted = app.contains_key("machines");
    for part in ["services", "http_service"] {
        each(app, part, |service| {
            if counted || service.get("processes").is_some() {
                service.remove("min_machines_running");
            }
            if let Some(ports) = service.get_mut("ports").and_then(Value::as_array_mut) {
                ports.retain(|port| {
                    taken.insert(
                        port.get("port")
                            .or(port.get("start_port"))
                            .unwrap()
                            .as_u64()
                            .unwrap(),
                    )
                });
                // A UDP service has no handlers.
                if service.get("protocol") == Some(&json!("udp")) {
                    service.insert("ports".to_owned(), json!([{ "port": 5353 }]));
                }
            }
        });
    }
}

/// A file is written once, and its secret is there.
fn files(app: &mut Table) {
    let secret = app
        .get("secrets")
        .is_some_and(|secrets| secrets.get("SECRET_KEY").is_some());
    let mut taken = BTreeSet::new();
    keep_mut(app, "files", |file| {
        (secret || file.get("secret_name").is_none())
            && taken.insert(file["guest_path"].to_string())
    });
}

fn keep_mut(table: &mut Table, key: &str, mut fits: impl FnMut(&Value) -> bool) {
    if let Some(list) = table.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| fits(item));
    }
}

/// Blue-green needs machines beside the others, and a proof needs what answers.
fn deploy(app: &mut Table) {
    let mounts = app.contains_key("mounts");
    let serves = app.contains_key("http_service");
    if serves
        && app
            .get("deploy")
            .is_some_and(|deploy| deploy.get("verify").is_some())
    {
        // The public reaches some machine.
        app.remove("ips");
        app.remove("machine_config");
        for (_, group) in app
            .get_mut("machines")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            group["count"] = json!(1);
        }
    }
    let name = app.get("name").cloned();
    let Some(deploy) = app.get_mut("deploy").and_then(Value::as_object_mut) else {
        return;
    };
    if mounts && deploy.get("strategy") == Some(&json!("bluegreen")) {
        deploy.remove("strategy");
    }
    if !serves {
        deploy.remove("verify");
    }
    if let Some(host) = deploy
        .get_mut("verify")
        .and_then(|verify| verify.get_mut("host"))
    {
        match name {
            Some(Value::String(name)) => *host = format!("{name}.fly.dev").into(),
            _ => drop(deploy["verify"].as_object_mut().unwrap().remove("host")),
        }
    }
    if let Some(vm) = deploy
        .get_mut("release_command_vm")
        .and_then(Value::as_object_mut)
    {
        vm.remove("processes");
    }
    if !deploy.contains_key("release_command") {
        deploy.remove("release_command_vm");
        deploy.remove("release_command_timeout");
    }
}

/// `container` chooses one of the containers that there are.
fn containers(app: &mut Table) {
    if app.get("machine_config") != Some(&json!(CONTAINERS)) {
        app.remove("container");
    }
}

/// A name is a secret or a variable, not both.
fn env(app: &mut Table) {
    let secrets: Vec<String> = app
        .get("secrets")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(env) = app.get_mut("env").and_then(Value::as_object_mut) {
        env.retain(|name, _| !secrets.contains(name));
    }
}

/// Without a primary region, everything says where it is.
fn places(app: &mut Table) {
    if app.contains_key("primary_region") {
        return;
    }
    let groups = groups(app);
    let machines = app
        .entry("machines")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .unwrap();
    for name in groups {
        let group = machines.entry(name).or_insert_with(|| json!({}));
        if !group["count"].is_object() {
            group["count"] = json!({ "iad": group["count"].as_u64().unwrap_or(1) });
        }
    }
    for (_, cron) in app
        .get_mut("cron")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        cron.as_object_mut()
            .unwrap()
            .entry("region")
            .or_insert_with(|| json!("iad"));
    }
}

/// Names, references and limits on AWS.
fn clouds(whole: &mut Table, app: &str, apps: &[String]) {
    let region = whole["aws"]["region"].clone();
    let buckets = whole["buckets"].as_object_mut().unwrap();
    let keys: Vec<String> = buckets.keys().cloned().collect();
    for (key, bucket) in buckets.iter_mut() {
        let bucket = bucket.as_object_mut().unwrap();
        let default = format!("any-test-{key}-{}", aws::ACCOUNT);
        if bucket.contains_key("name") {
            bucket.insert("name".to_owned(), format!("named-{key}").into());
        }
        let region = bucket
            .get("region")
            .unwrap_or(&region)
            .as_str()
            .unwrap()
            .to_owned();
        let key = bucket
            .get_mut("encryption")
            .and_then(|encryption| encryption.get_mut("kms"));
        if let Some(key) = key.filter(|key| key.as_str().is_some_and(|key| key.starts_with("arn:")))
        {
            *key = aws::kms(&region).into();
        }
        if bucket.contains_key("statements") {
            let name = bucket
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or(&default)
                .to_owned();
            bucket.insert("statements".to_owned(), aws::statement(&name));
        }
    }
    if keys.len() > 1 || whole["aws"].get("lock").is_some_and(Value::is_string) {
        let lock = whole["aws"]
            .get("lock")
            .filter(|lock| lock.is_object())
            .cloned();
        whole["aws"]["lock"] = lock.unwrap_or_else(|| json!(keys[0]));
    }
    let mut served = BTreeSet::new();
    for (key, identity) in whole
        .get_mut("identities")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let identity = identity.as_object_mut().unwrap();
        if identity.contains_key("name") {
            identity.insert("name".to_owned(), format!("named-{key}").into());
        }
        if !apps.iter().any(|app| identity["app"] == app.as_str()) {
            identity.insert("app".to_owned(), app.into());
        }
        // Fly exchanges one role for an app.
        if identity.get("env") != Some(&json!(false)) && !served.insert(identity["app"].to_string())
        {
            identity.insert("env".to_owned(), false.into());
        }
        if let Some(granted) = identity.get_mut("buckets").and_then(Value::as_object_mut) {
            granted.retain(|key, _| keys.contains(key));
        }
    }
    for (key, role) in whole
        .get_mut("roles")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        let role = role.as_object_mut().unwrap();
        if role.contains_key("name") {
            role.insert("name".to_owned(), format!("named-{key}").into());
        }
        if role.contains_key("app") {
            role.insert("app".to_owned(), app.into());
            role.remove("trust");
        } else {
            role.entry("trust").or_insert_with(aws::trust);
        }
    }
}
