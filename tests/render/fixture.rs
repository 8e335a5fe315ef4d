//! A small shop to make plans of: one app with machines, a volume, secrets, addresses and a cron
//! machine, as desired and live state.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use trimtab::{
    kinds::{
        Desired, EnvironmentMeta, World,
        fly::{
            App, Machine,
            app::{AppLive, AppSpec},
            cron::{CronLive, CronSpec},
            ip::{IpKind, IpLive, IpSpec},
            machine::{MachineLive, MachineSpec},
            secrets::{SecretLive, SecretSpec, SecretsLive, SecretsSpec},
            volume::{VolumeLive, VolumeSpec},
            workload::{Health, MachineConfig, Workload, WorkloadLive},
        },
    },
    model::{
        Address, Fingerprint, Gib, Image, Name, Ownership, OwnershipMark, Region, ResourceRef,
        Salt, Secret,
    },
    plan::{Limits, Plan, Refusal, plan, refusals},
    render::{Headline, TextOptions},
};

/// A secret value, which no output may contain.
pub(crate) const CANARY: &str = "canary-7f3a-value";
/// A secret's fingerprint, which no output may contain either.
pub(crate) const CANARY_FINGERPRINT: &str = "canary-7f3a-print";

pub(crate) const PLAIN: TextOptions = TextOptions {
    color: false,
    width: 100,
};

pub(crate) fn parse_name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn ref_to<K: trimtab::model::KindName>(text: &str) -> ResourceRef<K> {
    ResourceRef::new(parse_name(text))
}

pub(crate) fn headline(command: &'static str) -> Headline {
    Headline {
        command,
        environment: "staging".to_owned(),
        project: "shop".to_owned(),
        org: "shop-staging".to_owned(),
        target: String::new(),
        target_args: "production".to_owned(),
        requests: 6,
        elapsed: Some(Duration::from_millis(900)),
    }
}

fn owner_mark() -> OwnershipMark {
    OwnershipMark {
        project: "shop".to_owned(),
        environment: "staging".to_owned(),
    }
}

pub(crate) fn desired() -> Desired {
    let mut desired = Desired::empty(EnvironmentMeta {
        aws: None,
        rollback_on_failure: std::collections::BTreeSet::new(),
        mark: owner_mark(),
        org: "shop-staging".to_owned(),
        adopt: Default::default(),
        rotate: std::collections::BTreeSet::new(),
        deep: false,
        given_images: Default::default(),
        allow_destroy: Default::default(),
        warnings: Vec::new(),
    });
    let app = AppSpec {
        verify: None,
        ips_stated: false,
        name: "shop-web".to_owned(),
        org: "shop-staging".to_owned(),
        network: None,
        role: None,
        mark: owner_mark(),
        protected: false,
    };
    desired.fly_app.insert(parse_name("web"), app);
    for kind in [IpKind::SharedV4, IpKind::V6] {
        let spec = IpSpec {
            app: ref_to("web"),
            kind,
            region: None,
            declared: true,
        };
        desired
            .fly_ip
            .insert(parse_name(&format!("web/{kind}")), spec);
    }
    desired
        .fly_secrets
        .insert(parse_name("web"), secrets_spec());
    desired
        .fly_volume
        .insert(parse_name("web/data/ewr/0"), volume_spec("ewr"));
    for slot in ["ewr/0", "ewr/1", "iad/0"] {
        desired.fly_machine.insert(
            parse_name(&format!("web/app/{slot}")),
            machine_spec("app", slot),
        );
    }
    let mut keeper = machine_spec("keeper", "ewr/0");
    keeper.volume = Some(ref_to("web/data/ewr/0"));
    desired
        .fly_machine
        .insert(parse_name("web/keeper/ewr/0"), keeper);
    desired.fly_cron.insert(parse_name("web/news"), cron_spec());
    desired
}

pub(crate) fn secrets_spec() -> SecretsSpec {
    let secret = |variable: &str| SecretSpec {
        value: Some(Secret::new(CANARY)),
        generator: None,
        optional: false,
        fingerprint: Some(Fingerprint::from_stored(CANARY_FINGERPRINT)),
        source: format!("env {variable}"),
    };
    SecretsSpec {
        has_machines: true,
        app: ref_to("web"),
        values: ["DATABASE_URL", "SECRET_KEY"]
            .into_iter()
            .map(|name| (name.to_owned(), secret(name)))
            .collect(),
        optional_without_value: Default::default(),
        salt: Salt::for_app("shop", "staging", "web"),
    }
}

fn volume_spec(region: &str) -> VolumeSpec {
    VolumeSpec {
        app: ref_to("web"),
        volume: "data".to_owned(),
        region: Region::from_api(region),
        size: Some(Gib(10)),
        size_key: "size",
        snapshot_retention: Some(5),
        scheduled_snapshots: Some(true),
        encrypted: Some(true),
        auto_extends: false,
    }
}

pub(crate) fn machine_spec(group: &str, slot: &str) -> MachineSpec {
    let region = slot.split('/').next().unwrap_or_default();
    MachineSpec {
        group: group.to_owned(),
        workload: workload(group, region),
        volume: None,
        rollout_policy: trimtab::model::RolloutPolicy::SERIAL,
        release_command: None,
    }
}

fn workload(group: &str, region: &str) -> Workload {
    let config = serde_json::json!({
        "env": { "LOG_LEVEL": "INFO", "PORT": "8080" },
        "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 512 },
        "files": [{ "guest_path": "/etc/app.key", "raw_value": "Y2FuYXJ5LTdmM2EtdmFsdWU=" }],
    });
    let mut config: MachineConfig = serde_json::from_value(config).unwrap();
    config.image = Some(image_with_digest("1a"));
    Workload {
        release: None,
        standby_for: None,
        app: ref_to("web"),
        region: Region::from_api(region),
        config,
        guest_stated: true,
        secrets: Some(ref_to("web")),
        needs: Default::default(),
        labels: BTreeMap::from([("fly_process_group".to_owned(), group.to_owned())]),
        mark: owner_mark(),
        wait_secs: 300,
    }
}

/// An image whose digest repeats these two digits.
pub(crate) fn image_with_digest(digits: &str) -> Image {
    Image::new(format!(
        "registry.fly.io/shop-web@sha256:{}",
        digits.repeat(32)
    ))
}

pub(crate) fn cron_spec() -> CronSpec {
    let mut workload = workload("cron", "ewr");
    workload.config.schedule = Some("hourly".to_owned());
    CronSpec {
        machine: "news".to_owned(),
        workload,
    }
}

/// The live state after exactly this was applied.
pub(crate) fn world_after_apply(desired: &Desired) -> World {
    let mut world = World::default();
    for (name, spec) in &desired.fly_app {
        let live = AppLive {
            name: spec.name.clone(),
            id: "app_1".to_owned(),
            org: spec.org.clone(),
            network: "default".to_owned(),
            labels: vec![owner_mark().app_label()],
        };
        world.fly_app.insert(name.clone(), live);
    }
    for (name, spec) in &desired.fly_ip {
        let live = IpLive {
            app: spec.app.clone(),
            address: if spec.kind == IpKind::V6 {
                "2a09::1"
            } else {
                "66.241.1.1"
            }
            .to_owned(),
            kind: spec.kind,
            region: "global".to_owned(),
        };
        world.fly_ip.insert(name.clone(), live);
    }
    for (name, spec) in &desired.fly_secrets {
        world.fly_secrets.insert(name.clone(), live_secrets(spec));
    }
    for (at, (name, spec)) in desired.fly_volume.iter().enumerate() {
        world.fly_volume.insert(name.clone(), live_volume(spec, at));
    }
    for (at, (name, spec)) in desired.fly_machine.iter().enumerate() {
        let volume = spec.volume.as_ref().and_then(|volume| {
            Some((
                world.fly_volume.get(volume.name())?.id.clone(),
                Some(volume.clone()),
            ))
        });
        let workload = live_workload(&spec.workload, &world, at, "started");
        world.fly_machine.insert(
            name.clone(),
            MachineLive {
                workload,
                volume,
                successor: None,
                retired: false,
            },
        );
    }
    for (at, (name, spec)) in desired.fly_cron.iter().enumerate() {
        let workload = live_workload(&spec.workload, &world, 900 + at, "stopped");
        world.fly_cron.insert(name.clone(), CronLive { workload });
    }
    world
}

fn live_secrets(spec: &SecretsSpec) -> SecretsLive {
    let secret = |spec: &SecretSpec| SecretLive {
        digest: "0123abcd".to_owned(),
        fingerprint: spec.fingerprint.clone(),
        known: true,
    };
    SecretsLive {
        app: spec.app.clone(),
        present: spec
            .values
            .iter()
            .map(|(name, value)| (name.clone(), secret(value)))
            .collect(),
        version: None,
        has_machines: true,
    }
}

fn live_volume(spec: &VolumeSpec, at: usize) -> VolumeLive {
    VolumeLive {
        app: spec.app.clone(),
        id: format!("vol_{at}4qk"),
        volume: spec.volume.clone(),
        region: spec.region.clone(),
        size: spec.size.unwrap_or(Gib(1)),
        snapshot_retention: spec.snapshot_retention,
        scheduled_snapshots: spec.scheduled_snapshots,
        encrypted: true,
        state: "created".to_owned(),
        attached_machine: None,
        usage: Some((3 << 30, 10 << 30)),
        host_ok: true,
        protected: false,
    }
}

fn live_workload(spec: &Workload, world: &World, at: usize, state: &str) -> WorkloadLive {
    let mut metadata = spec.base_metadata();
    if let Some(secrets) = spec
        .secrets
        .as_ref()
        .and_then(|secrets| world.fly_secrets.get(secrets.name()))
    {
        metadata.insert(
            OwnershipMark::SECRET_FINGERPRINTS_KEY.to_owned(),
            secrets.record().to_string(),
        );
    }
    WorkloadLive {
        created: String::new(),
        unknown: Vec::new(),
        app: spec.app.clone(),
        id: format!("9080{at:04}"),
        machine: format!("machine-{at}"),
        region: spec.region.clone(),
        state: state.to_owned(),
        version: "01J".to_owned(),
        config: spec.config.clone(),
        raw: spec.create_body(),
        metadata,
        ownership: Ownership::Ours,
        digest: None,
        health: Health {
            host_ok: true,
            cordoned: false,
            postgres_role: None,
            checks: (1, 1),
        },
        last_run: None,
    }
}

/// A plan, and why the guard refuses it.
pub(crate) fn plan_with_refusals(desired: &Desired, world: &World) -> (Plan, Vec<Refusal>) {
    let plan = plan(desired, world).unwrap();
    let refusals = refusals(&plan, &Limits::default());
    (plan, refusals)
}

/// A plan with every kind of change; the stored output shows which.
pub(crate) fn every_kind_of_change() -> (Desired, World) {
    let mut desired = desired();
    let mut world = world_after_apply(&desired);
    // A rollout: another image, a variable, a new and a changed secret.
    for spec in desired.fly_machine.values_mut() {
        if spec.group == "app" {
            spec.workload.config.image = Some(image_with_digest("2b"));
            spec.workload
                .config
                .env
                .insert("LOG_LEVEL".to_owned(), "WARN".to_owned());
        }
    }
    if let Some(cron) = desired.fly_cron.get_mut("web/news") {
        cron.workload.config.image = Some(image_with_digest("2b"));
    }
    let values = &mut desired.fly_secrets.get_mut("web").unwrap().values;
    let mut sentry = values["SECRET_KEY"].clone();
    values.insert("SENTRY_DSN".to_owned(), sentry.clone());
    sentry.fingerprint = Some(Fingerprint::from_stored(format!(
        "{CANARY_FINGERPRINT}-new"
    )));
    values.insert("DATABASE_URL".to_owned(), sentry);
    // A changed memory size.
    let keeper = world.fly_machine.get_mut("web/keeper/ewr/0").unwrap();
    keeper.workload.config.guest.as_mut().unwrap().memory_mb = trimtab::model::Mib(1024);
    keeper.workload.raw = serde_json::to_value(&keeper.workload.config).unwrap();
    // A machine and a volume that the manifest does not name, and a missing address.
    let (ours, orphan) = (
        world.fly_machine["web/app/iad/0"].clone(),
        live_volume(&volume_spec("iad"), 7),
    );
    world.fly_machine.insert(parse_name("web/app/sjc/0"), ours);
    world
        .fly_volume
        .insert(parse_name("web/data/iad/0"), orphan);
    world.fly_ip.remove("web/v6");
    world
        .findings
        .unmanaged
        .push(trimtab::kinds::UnmanagedResource {
            data_loss: None,
            description: "volume scratch (vol_x, ewr)".to_owned(),
            container: Address::new::<App>(&parse_name("web")),
            why: "it bears no mark of ours".to_owned(),
            address: None,
            identity: "vol_x".to_owned(),
        });
    world
        .findings
        .warnings
        .push("the host of machine 9080 answers slowly".to_owned());
    (desired, world)
}

/// An app that must be replaced because its network changes, with everything in it.
pub(crate) fn app_replacement() -> (Desired, World) {
    let mut desired = desired();
    let world = world_after_apply(&desired);
    desired.fly_app.get_mut("web").unwrap().network = Some("private".to_owned());
    (desired, world)
}

/// Values that try to break out of every format.
pub(crate) fn hostile_values() -> (Desired, World) {
    let mut desired = desired();
    let mut world = world_after_apply(&desired);
    let evil = [
        ("PIPE", "a|b\\|c"),
        ("FENCE", "```\n````diff\n</details>\n+ not a line"),
        (
            "MENTION",
            "@everyone #1 <script>alert(1)</script> <!-- x -->",
        ),
        ("ESCAPE", "\u{1b}[31mred\u{1b}[0m\u{202e}txet"),
        ("LONG", &"日本".repeat(300)),
        ("TEXT", "one\ntwo\nthree\nfour\nfive\n"),
    ];
    for spec in desired.fly_machine.values_mut() {
        let evil = evil
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        spec.workload.config.env.extend(evil);
    }
    for live in world.fly_machine.values_mut() {
        let there = "one\ntwo\n3\nfour\nfive\n";
        live.workload
            .config
            .env
            .insert("TEXT".to_owned(), there.to_owned());
        live.workload.raw = Value::Null;
    }
    world
        .findings
        .warnings
        .push("a ` | \u{1b}[2J @here <b>\n## heading".to_owned());
    (desired, world)
}

/// Many apps, each with a change of its own, so that the changes cannot be grouped.
pub(crate) fn many_apps(apps: usize) -> (Desired, World) {
    let mut desired = desired();
    for at in 0..apps {
        let spec = AppSpec {
            verify: None,
            ips_stated: false,
            name: format!("shop-{at}"),
            org: "shop-staging".to_owned(),
            network: None,
            role: None,
            mark: owner_mark(),
            protected: false,
        };
        desired
            .fly_app
            .insert(parse_name(&format!("app-{at}")), spec);
    }
    let (_, world) = every_kind_of_change();
    (desired, world)
}

/// A document as it is stored.
pub(crate) fn pretty_json(document: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(document).unwrap())
}

/// Four apps: each depends on the one before it, and the last also on the first.
pub(crate) fn dependent_apps() -> Desired {
    let mut desired = Desired::empty(desired().meta);
    let apps = ["database", "api", "web", "worker"];
    for (at, app) in apps.iter().enumerate() {
        let spec = AppSpec {
            verify: None,
            ips_stated: false,
            name: format!("shop-{app}"),
            org: "shop-staging".to_owned(),
            network: None,
            role: None,
            mark: owner_mark(),
            protected: false,
        };
        desired.fly_app.insert(parse_name(app), spec);
        let mut secrets = secrets_spec();
        secrets.app = ref_to(app);
        desired.fly_secrets.insert(parse_name(app), secrets);
        for slot in ["ewr/0", "ewr/1", "iad/0"] {
            let mut spec = machine_spec("app", slot);
            spec.workload.app = ref_to(app);
            spec.workload.secrets = Some(ref_to(app));
            let needed = apps
                .get(at.wrapping_sub(1))
                .map(|before| ref_to::<Machine>(&format!("{before}/app/{slot}")));
            spec.workload.needs = needed.iter().map(ResourceRef::address).collect();
            if at == 3 {
                spec.workload
                    .needs
                    .insert(ref_to::<Machine>("database/app/ewr/0").address());
            }
            if at == 0 {
                let mut volume = volume_spec(spec.workload.region.as_str());
                volume.app = ref_to(app);
                let at = format!("{app}/data/{slot}");
                desired.fly_volume.insert(parse_name(&at), volume);
                spec.volume = Some(ref_to(&at));
            }
            desired
                .fly_machine
                .insert(parse_name(&format!("{app}/app/{slot}")), spec);
        }
    }
    for kind in [IpKind::SharedV4, IpKind::V6] {
        let spec = IpSpec {
            app: ref_to("web"),
            kind,
            region: None,
            declared: true,
        };
        desired
            .fly_ip
            .insert(parse_name(&format!("web/{kind}")), spec);
    }
    desired
}
