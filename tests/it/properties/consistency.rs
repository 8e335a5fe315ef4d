//! Constraints between parts of a manifest: groups that exist, one volume for each machine, ports
//! with a service. A generated manifest that violates them is changed as little as possible.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::aws;

type JsonTable = Map<String, Value>;

/// A machine configuration as the Machines API writes it.
pub(super) const MACHINE_CONFIG: &str =
    r#"{"dns":{"skip_registration":true},"env":{"RAW":"1"},"metadata":{"own":"label"}}"#;
/// A machine configuration with containers.
pub(super) const CONTAINERS_CONFIG: &str =
    r#"{"containers":[{"name":"app","image":"any:1"},{"name":"side","image":"side:1"}]}"#;

/// Makes a manifest consistent.
pub(super) fn make_consistent(document: &mut JsonTable) {
    let apps = document["apps"].as_object_mut().unwrap();
    let keys: Vec<String> = apps.keys().cloned().collect();
    let mut hosts = BTreeSet::new();
    for (key, app) in apps.iter_mut() {
        let app = app.as_object_mut().unwrap();
        fix_app(key, app, &keys);
        remove_taken(app, "certificates", &mut hosts);
    }
    let first = keys[0].clone();
    if document.contains_key("buckets") {
        fix_aws(document, &first, &keys);
    }
}

/// Removes items that another app already has.
fn remove_taken(app: &mut JsonTable, key: &str, taken: &mut BTreeSet<String>) {
    if let Some(list) = app.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| taken.insert(item.to_string()));
    }
}

fn fix_app(key: &str, app: &mut JsonTable, keys: &[String]) {
    if app.contains_key("name") {
        app.insert(
            "name".to_owned(),
            format!("any-named-{}", key.replace('_', "-")).into(),
        );
    }
    // Only apps that sort before this one, so that there is no cycle.
    retain_items(app, "depends_on", |other| {
        other
            .as_str()
            .is_some_and(|other| other < key && keys.iter().any(|key| key == other))
    });
    let groups = fix_groups(app);
    for (part, demands) in [
        ("services", true),
        ("http_service", true),
        ("vm", false),
        ("files", false),
        ("restart", false),
        ("metrics", false),
    ] {
        for_each_table(app, part, |part| fix_processes(part, &groups, demands));
    }
    for (_, check) in app
        .get_mut("checks")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        fix_processes(check.as_object_mut().unwrap(), &groups, false);
    }
    fix_mounts(app, &groups);
    fix_machines(app);
    fix_services(app);
    for_each_table(app, "restart", |restart| {
        if restart["policy"] != "on-failure" {
            restart.remove("retries");
        }
    });
    fix_files(app);
    fix_deploy(app);
    fix_container(app);
    fix_env(app);
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
    fix_regions(app);
}

fn retain_items(table: &mut JsonTable, key: &str, fits: impl Fn(&Value) -> bool) {
    if let Some(list) = table.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| fits(item));
    }
}

/// Calls `change` for each table of a key that holds one table or several.
fn for_each_table(app: &mut JsonTable, key: &str, mut change: impl FnMut(&mut JsonTable)) {
    match app.get_mut(key) {
        Some(Value::Object(one)) => change(one),
        Some(Value::Array(many)) => many
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(change),
        _ => {}
    }
}

/// The process groups, after making sure that each of them has exactly one command.
fn fix_groups(app: &mut JsonTable) -> Vec<String> {
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

/// The group of sections that name none.
fn default_group(groups: &[String]) -> String {
    groups
        .iter()
        .find(|group| *group == "app")
        .unwrap_or(&groups[0])
        .clone()
}

fn fix_processes(part: &mut JsonTable, groups: &[String], demands: bool) {
    retain_items(part, "processes", |name| {
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

/// The groups that a section applies to.
fn groups_of(part: &JsonTable, groups: &[String]) -> Vec<String> {
    match part.get("processes").and_then(Value::as_array) {
        Some(named) if !named.is_empty() => named
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect(),
        _ => vec![default_group(groups)],
    }
}

/// Leaves one volume for each machine.
fn fix_mounts(app: &mut JsonTable, groups: &[String]) {
    for_each_table(app, "mounts", |mount| fix_processes(mount, groups, false));
    let mut taken = BTreeSet::new();
    if let Some(many) = app.get_mut("mounts").and_then(Value::as_array_mut) {
        many.retain(|mount| {
            let members = groups_of(mount.as_object().unwrap(), groups);
            let free = members.iter().all(|group| !taken.contains(group));
            taken.extend(members);
            free
        });
    }
}

/// Standby machines are allowed only without services, mounts and `machine_config`.
fn fix_machines(app: &mut JsonTable) {
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

/// Removes duplicate ports, and minimums above the number of machines.
fn fix_services(app: &mut JsonTable) {
    let mut taken: BTreeSet<u64> = BTreeSet::new();
    if app.contains_key("http_service") {
        taken.extend([80, 443]);
    }
    let counted = app.contains_key("machines");
    for part in ["services", "http_service"] {
        for_each_table(app, part, |service| {
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
                // UDP services have no handlers.
                if service.get("protocol") == Some(&json!("udp")) {
                    service.insert("ports".to_owned(), json!([{ "port": 5353 }]));
                }
            }
        });
    }
}

/// A path is written once, and a secret that a file names must exist.
fn fix_files(app: &mut JsonTable) {
    let secret = app
        .get("secrets")
        .is_some_and(|secrets| secrets.get("SECRET_KEY").is_some());
    let mut taken = BTreeSet::new();
    retain_items_mut(app, "files", |file| {
        (secret || file.get("secret_name").is_none())
            && taken.insert(file["guest_path"].to_string())
    });
}

fn retain_items_mut(table: &mut JsonTable, key: &str, mut fits: impl FnMut(&Value) -> bool) {
    if let Some(list) = table.get_mut(key).and_then(Value::as_array_mut) {
        list.retain(|item| fits(item));
    }
}

/// Blue-green does not work with volumes, and verification needs an HTTP service.
fn fix_deploy(app: &mut JsonTable) {
    let mounts = app.contains_key("mounts");
    let serves = app.contains_key("http_service");
    if serves
        && app
            .get("deploy")
            .is_some_and(|deploy| deploy.get("verify").is_some())
    {
        // Verification needs public addresses and at least one machine.
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

/// `container` must name a container of `machine_config`.
fn fix_container(app: &mut JsonTable) {
    if app.get("machine_config") != Some(&json!(CONTAINERS_CONFIG)) {
        app.remove("container");
    }
}

/// A name is either a secret or a variable.
fn fix_env(app: &mut JsonTable) {
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

/// Without a primary region, every group and every cron machine needs a region.
fn fix_regions(app: &mut JsonTable) {
    if app.contains_key("primary_region") {
        return;
    }
    let groups = fix_groups(app);
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

/// Names, references and limits of the AWS sections.
fn fix_aws(document: &mut JsonTable, app: &str, apps: &[String]) {
    let region = document["aws"]["region"].clone();
    let buckets = document["buckets"].as_object_mut().unwrap();
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
            *key = aws::kms_key_arn(&region).into();
        }
        if bucket.contains_key("statements") {
            let name = bucket
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or(&default)
                .to_owned();
            bucket.insert("statements".to_owned(), aws::bucket_policy_statement(&name));
        }
    }
    if keys.len() > 1 || document["aws"].get("lock").is_some_and(Value::is_string) {
        let lock = document["aws"]
            .get("lock")
            .filter(|lock| lock.is_object())
            .cloned();
        document["aws"]["lock"] = lock.unwrap_or_else(|| json!(keys[0]));
    }
    let mut served = BTreeSet::new();
    for (key, identity) in document
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
        // Fly exchanges tokens for one role per app.
        if identity.get("env") != Some(&json!(false)) && !served.insert(identity["app"].to_string())
        {
            identity.insert("env".to_owned(), false.into());
        }
        if let Some(granted) = identity.get_mut("buckets").and_then(Value::as_object_mut) {
            granted.retain(|key, _| keys.contains(key));
        }
    }
    for (key, role) in document
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
            role.entry("trust").or_insert_with(aws::trust_policy);
        }
    }
}
