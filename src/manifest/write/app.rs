//! A live app in the words of a manifest. What a manifest cannot say, or says once for several, becomes a note.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

use super::{
    document::{Entry, Node},
    groups::{self, LiveGroup, guest_entries},
    services,
};
use crate::{
    kinds::fly::{
        app::AppLive,
        ip::IpLive,
        volume::VolumeLive,
        workload::{WorkloadLive, config::MachineMount},
    },
    manifest::syntax::secret_detection::{is_variable_name, looks_like_secret},
};

/// The network of apps that were not made with another.
const DEFAULT_NETWORK: &str = "default";
/// Variables that follow from other keys of the manifest.
const DERIVED_VARIABLES: [&str; 2] = ["FLY_PROCESS_GROUP", "PRIMARY_REGION"];

/// What a live app is made of.
#[derive(Clone, Copy, Debug)]
pub struct LiveAppText<'a> {
    /// The app itself.
    pub app: &'a AppLive,
    /// Whether it belongs to the environment already.
    pub is_owned: bool,
    /// Its machines, without temporary ones.
    pub machines: &'a [WorkloadLive],
    /// Its volumes.
    pub volumes: &'a [VolumeLive],
    /// The names of its secrets.
    pub secrets: &'a [String],
    /// Its addresses.
    pub ips: &'a [IpLive],
    /// The host names that it has certificates for.
    pub certificates: &'a [String],
}

/// The text of an app, and what is not in it.
#[derive(Clone, Debug)]
pub struct WrittenApp {
    pub(super) entries: Vec<Entry>,
    /// What a plan will show or what a reader has to know, one sentence each.
    pub notes: Vec<String>,
}

impl LiveAppText<'_> {
    /// Writes the app.
    #[must_use]
    pub fn write(&self) -> WrittenApp {
        let mut notes = Vec::new();
        if self.is_owned {
            notes.push(
                "the app belongs to this environment already: a plan deletes what else belongs to it and is not in this manifest"
                    .to_owned(),
            );
        }
        let groups = LiveGroup::of(self.machines);
        let region = self.primary_region(&groups);
        let mut entries = vec![
            Entry::value("name", json!(self.app.name)),
            Entry::value("adopt", json!((!self.is_owned).then_some(true))).with_comment(
                "The app exists and was not made by trimtab. The first apply marks it as its own; after that this line may go.",
            ),
            Entry::value("protected", json!(self.app.is_protected().then_some(true)))
                .with_comment("Refuses to destroy the app and its volumes."),
            Entry::value("primary_region", json!(region))
                .with_comment("Where machines run unless they say otherwise."),
            Entry::value(
                "network",
                json!(Some(&self.app.network)
                    .filter(|network| !network.is_empty() && *network != DEFAULT_NETWORK)),
            ),
        ];
        entries.extend(self.ips(&mut notes));
        entries.push(
            Entry::value("certificates", json!(self.certificates))
                .with_comment("Host names with a certificate."),
        );
        entries.extend(Self::settings(&groups, &mut notes));
        let (env, in_the_open) = Self::env(&groups, &mut notes);
        entries.push(env);
        entries.push(self.secrets(&in_the_open, &mut notes));
        let parts = groups::merge_parts(&groups, |config| &config.services);
        entries.extend(services::entries(&parts));
        entries.push(Self::checks(&groups));
        entries.push(self.mounts(&groups, &mut notes));
        entries.extend(Self::files(&groups, &mut notes));
        let machines: Vec<Entry> = groups.iter().map(LiveGroup::entry).collect();
        entries.push(
            Entry::new("machines", Node::Table(machines))
                .with_comment("Process groups: how many machines, in which region, how large."),
        );
        entries.push(self.crons(&region));
        note_differences(&groups, &mut notes);
        WrittenApp { entries, notes }
    }

    /// The region that machines call the primary one, or else the one with the most machines.
    fn primary_region(&self, groups: &[LiveGroup<'_>]) -> Option<String> {
        let named = groups
            .iter()
            .find_map(|group| group.config().env.get("PRIMARY_REGION"));
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for machine in self.machines {
            *counts.entry(machine.region.to_string()).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        named.cloned().or_else(|| most.map(|(region, _)| region))
    }

    fn ips(&self, notes: &mut Vec<String>) -> Option<Entry> {
        let ip = |ip: &IpLive| match ip.region.as_str() {
            "" | "global" => json!(ip.kind.as_str()),
            region => json!({ "type": ip.kind.as_str(), "region": region }),
        };
        let ips: Vec<Json> = self.ips.iter().map(ip).collect();
        let distinct: BTreeSet<String> = ips.iter().map(ToString::to_string).collect();
        if distinct.len() < ips.len() {
            notes.push(
                "the app has several addresses of one type, which `ips` cannot list: they are left out, and kept".to_owned(),
            );
            return None;
        }
        Some(
            Entry::value("ips", Json::Array(ips))
                .with_comment("The app's addresses. One that is taken out here is released."),
        )
    }

    /// What a manifest says once for the app.
    fn settings(groups: &[LiveGroup<'_>], notes: &mut Vec<String>) -> Vec<Entry> {
        let signal = groups::common(groups, "the stop signal", notes, |config| {
            config.stop_config.signal.clone()
        });
        let timeout = groups::common(groups, "the stop timeout", notes, |config| {
            config.stop_config.timeout
        });
        let swap = groups::common(groups, "swap", notes, |config| config.init.swap_size_mb);
        let init = groups::common(groups, "the entrypoint", notes, |config| {
            (&config.init.entrypoint, &config.init.exec)
        });
        let mut entries = vec![
            Entry::value("kill_signal", json!(signal.flatten())),
            Entry::value(
                "kill_timeout",
                json!(timeout.flatten().map(|timeout| timeout.to_string())),
            ),
            Entry::value("swap_size_mb", json!(swap.flatten())),
        ];
        if let Some((entrypoint, exec)) = init {
            entries.push(Entry::table(
                "experimental",
                vec![
                    Entry::value("entrypoint", json!(entrypoint)),
                    Entry::value("exec", json!(exec)),
                ],
            ));
        }
        entries
    }

    /// The variables, and the names of those that look like secrets.
    fn env(groups: &[LiveGroup<'_>], notes: &mut Vec<String>) -> (Entry, Vec<String>) {
        let own = |env: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let env = env.iter();
            env.filter(|(name, _)| !DERIVED_VARIABLES.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        let env = groups::common(groups, "variables", notes, |config| own(&config.env));
        let (secret, open): (BTreeMap<String, String>, BTreeMap<String, String>) = env
            .unwrap_or_default()
            .into_iter()
            .partition(|(name, value)| looks_like_secret(name, value));
        let entries = open.into_iter();
        let entries = entries.map(|(name, value)| Entry::value(&name, json!(value)));
        let entry = Entry::table("env", entries.collect())
            .with_comment("Variables of all machines, in the open: what is secret belongs below.");
        (entry, secret.into_keys().collect())
    }

    fn secrets(&self, in_the_open: &[String], notes: &mut Vec<String>) -> Entry {
        let (named, others): (Vec<&String>, Vec<&String>) = self
            .secrets
            .iter()
            .partition(|name| is_variable_name(name) && !name.starts_with("FLY_"));
        if !others.is_empty() {
            let others: Vec<&str> = others.into_iter().map(String::as_str).collect();
            notes.push(format!(
                "these secrets cannot be named in a manifest, and are kept: {}",
                others.join(", ")
            ));
        }
        let entries = named
            .into_iter()
            .map(|name| Entry::value(name, json!({ "env": name, "optional": true })));
        // Without its value the machines would lose it, so it is not optional.
        let others = in_the_open
            .iter()
            .filter(|name| !self.secrets.contains(name));
        let entries = entries.chain(others.map(|name| {
            notes.push(format!(
                "the variable {name} is in the open and looks like a secret: its value is not written, and a plan needs it in \
                 {name}, to make it one"
            ));
            Entry::value(name, json!({ "env": name }))
        }));
        Entry::table("secrets", entries.collect()).with_comment(
            "Secrets, and the variable that has each value when trimtab runs. Fly does not give them back, so they are optional:\n\
             one without a value stays as it is. Take `optional` out where the app must not run without it.",
        )
    }

    fn checks(groups: &[LiveGroup<'_>]) -> Entry {
        let mut tables: BTreeMap<&String, (Map<String, Json>, Vec<&str>)> = BTreeMap::new();
        for group in groups {
            for (name, check) in &group.config().checks {
                let table = tables.entry(name).or_default();
                if table.1.is_empty() {
                    table.0 = services::check_object(check);
                }
                table.1.push(&group.name);
            }
        }
        let tables = tables.into_iter().map(|(name, (mut table, names))| {
            if groups.len() > 1 {
                table.insert("processes".to_owned(), json!(names));
            }
            Entry::table(name, services::object_entries(&Json::Object(table)))
        });
        Entry::new("checks", Node::Table(tables.collect()))
    }

    fn mounts(&self, groups: &[LiveGroup<'_>], notes: &mut Vec<String>) -> Entry {
        let mut tables = Vec::new();
        for group in groups {
            let Some(mount) = group.config().mounts.first() else {
                continue;
            };
            let ids: BTreeSet<&str> = group
                .machines
                .iter()
                .flat_map(|machine| &machine.config.mounts)
                .map(|mount| mount.volume.as_str())
                .collect();
            let volumes: Vec<&VolumeLive> = self
                .volumes
                .iter()
                .filter(|volume| ids.contains(volume.id.as_str()))
                .collect();
            let mut table = mount_object(mount, &volumes, &group.name, notes);
            if groups.len() > 1 {
                table.insert("processes".to_owned(), json!([group.name]));
            }
            tables.push(services::object_entries(&Json::Object(table)));
        }
        Entry::new("mounts", Node::List(tables))
            .with_comment("A volume for each machine of a process group.")
    }

    fn files(groups: &[LiveGroup<'_>], notes: &mut Vec<String>) -> Vec<Entry> {
        let with_groups = |value: Json, names: &[String]| {
            let mut entries = services::object_entries(&value);
            if !names.is_empty() {
                entries.push(Entry::value("processes", json!(names)));
            }
            entries
        };
        let statics = groups::common(groups, "static files", notes, |config| &config.statics);
        let statics = statics.into_iter().flatten();
        let statics = statics.map(|one| services::object_entries(&json!(one)));
        let metrics = groups::merge_parts(groups, |config| config.metrics.as_slice());
        let metrics = metrics
            .iter()
            .map(|(one, names)| with_groups(json!(one), names));
        let mut files = Vec::new();
        for (file, names) in groups::merge_parts(groups, |config| &config.files) {
            let mut value = json!(file);
            if let Some(encoded) = &file.raw_value {
                let content = STANDARD.decode(encoded).ok();
                let Some(content) = content.and_then(|bytes| String::from_utf8(bytes).ok()) else {
                    notes.push(format!(
                        "the file {} is not text: write it with `local_path` in `files`",
                        file.guest_path
                    ));
                    continue;
                };
                value["raw_value"] = json!(content);
            }
            files.push(with_groups(value, &names));
        }
        vec![
            Entry::new("statics", Node::List(statics.collect())),
            Entry::new("metrics", Node::List(metrics.collect())),
            Entry::new("files", Node::List(files)),
        ]
    }

    /// Machines on a schedule.
    fn crons(&self, primary_region: &Option<String>) -> Entry {
        let crons = self.machines.iter().filter_map(|machine| {
            let schedule = machine.config.schedule.as_ref()?;
            let config = &machine.config;
            let region = machine.region.to_string();
            let region = Some(region).filter(|region| Some(region) != primary_region.as_ref());
            let mut entries = vec![
                Entry::value("schedule", json!(schedule)),
                Entry::value("region", json!(region)),
                Entry::value("entrypoint", json!(config.init.entrypoint)),
                Entry::value("command", json!(config.init.cmd)),
            ];
            entries.extend(config.guest.iter().flat_map(guest_entries));
            Some(Entry::table(&machine.machine, entries))
        });
        Entry::new("cron", Node::Table(crons.collect())).with_comment(
            "Machines on a schedule. The first apply gives them the app's image and variables, and the restart policy of all such\n\
             machines; it never starts them.",
        )
    }
}

/// A mount with what its volumes have in common.
fn mount_object(
    mount: &MachineMount,
    volumes: &[&VolumeLive],
    group: &str,
    notes: &mut Vec<String>,
) -> Map<String, Json> {
    let mut table = Map::new();
    let mut set = |key: &str, value: Json| {
        if !value.is_null() {
            table.insert(key.to_owned(), value);
        }
    };
    let first = volumes.first();
    let source = first.map_or(mount.name.as_str(), |volume| volume.volume.as_str());
    set("source", json!(source));
    set("destination", json!(mount.path));
    let sizes: BTreeSet<u32> = volumes.iter().map(|volume| volume.size.0).collect();
    match sizes.first() {
        Some(size) if sizes.len() == 1 => set("size", json!(format!("{size}gb"))),
        Some(_) => notes.push(format!(
            "the volumes of `{group}` have different sizes, so none is written, and none changes"
        )),
        None => {}
    }
    let mut same = |key: &str, value: fn(&VolumeLive) -> Json| {
        let values: BTreeSet<String> = volumes
            .iter()
            .map(|volume| value(volume).to_string())
            .collect();
        if let (1, Some(first)) = (values.len(), first) {
            set(key, value(first));
        }
    };
    same("snapshot_retention", |volume| {
        json!(volume.snapshot_retention)
    });
    same("scheduled_snapshots", |volume| {
        json!(volume.scheduled_snapshots)
    });
    same("encrypted", |volume| {
        if volume.encrypted {
            Json::Null
        } else {
            json!(false)
        }
    });
    let gigabytes = |size: Option<u32>| json!(size.map(|size| format!("{size}gb")));
    set(
        "auto_extend_size_threshold",
        json!(mount.extend_threshold_percent),
    );
    set("auto_extend_size_increment", gigabytes(mount.add_size_gb));
    set("auto_extend_size_limit", gigabytes(mount.size_gb_limit));
    table
}

/// Notes what machines of one group do not have in common, and what a manifest has no word for.
fn note_differences(groups: &[LiveGroup<'_>], notes: &mut Vec<String>) {
    for group in groups {
        let first = group.machines[0];
        for machine in &group.machines[1..] {
            let keys = groups::differing_keys(group.config(), &machine.config);
            if !keys.is_empty() {
                notes.push(format!(
                    "machine {} differs from {} of the same group `{}` in {}: the next apply makes them alike",
                    machine.id,
                    first.id,
                    group.name,
                    keys.join(", ")
                ));
            }
        }
        let verbatim = group.config().verbatim.keys();
        let unknown: BTreeSet<&String> = verbatim.chain(&first.unknown).collect();
        if !unknown.is_empty() {
            let unknown: Vec<&str> = unknown.into_iter().map(String::as_str).collect();
            notes.push(format!(
                "machines of `{}` have settings that are not written, and are kept: {}",
                group.name,
                unknown.join(", ")
            ));
        }
    }
}
