//! Lowers a cluster: writes down, as the section of an app, what the image needs.

use std::collections::BTreeMap;

use super::managed::lower_managed_cluster;
use crate::{
    kinds::{
        fly::secrets::{SecretGenerator, SecretSpec},
        postgres::cluster::{ROLE_CHECK, SCALE_TO_ZERO_ENV},
    },
    manifest::{
        lower::{
            Context, Diagnostics, Lowered,
            aws::AppAwsBindings,
            fly::{
                app::AppContext, scalars, secret_sources::SecretReader, secrets::generated_secret,
            },
            names,
        },
        schema::{
            AppSection, BoundedMachineCount, CheckSection, CheckType, ConcurrencySection,
            ConcurrencyType, DeploySection, DurationOrSeconds, DurationString, EnvValue,
            ImageSource, IpEntry, IpType, MachineCount, MachineGroupSection, Manifest,
            MetricsSection, MountSection, OneOrMany, PortHandler, PortSection, PostgresEngine,
            PostgresSection, Preset, Protocol, RestartPolicy, RestartSection, ServiceSection,
            Signal, Size,
        },
        syntax::cursor::Cursor,
    },
    model::{Image, Mib},
};

/// The process group of the nodes: flyctl writes none, which means this one.
pub(super) const GROUP: &str = "app";

/// The ports of a node: that of its proxy, which leads to the primary, and that of the server itself.
const PORTS: [u16; 2] = [5432, 5433];
/// The port of the image's checks, and that of its metrics.
const CHECK_PORT: u16 = 5500;
const METRICS_PORT: u16 = 9187;
/// How many connections one node accepts.
const CONNECTIONS: u32 = 1000;
/// How often a node that went to sleep or crashed is started again, as flyctl writes it.
const RESTARTS: u32 = 50;
/// How long a node may take to stop. The image gives Postgres five seconds by itself, which is Fly's default for the whole machine.
const STOP_TIMEOUT_SECS: u32 = 30;
/// Below this much memory the image is killed under load: it runs Postgres, repmgr, a proxy and an exporter.
const LEAST_MEMORY: Mib = Mib(512);
const DEFAULT_SIZE: &str = "shared-cpu-1x";
const DEFAULT_MEMORY: &str = "1gb";
/// The length of the passwords of the three superusers of the image.
const PASSWORD_CHARS: u32 = 32;

/// Adds the resources of all clusters that this environment owns.
pub(in crate::manifest::lower) fn lower_clusters(
    manifest: &Manifest,
    context: &Context<'_>,
    aws: &AppAwsBindings,
    cursor: Cursor<'_>,
    lowered: &mut Lowered,
    secret_reader: &mut SecretReader<'_>,
    diagnostics: &mut Diagnostics,
) {
    for (key, section) in &manifest.postgres {
        let cursor = cursor.key("postgres").key(key);
        if !names::check_app_key(key, cursor, diagnostics) {
            continue;
        }
        if manifest.apps.contains_key(key) {
            let diagnostic = cursor.diagnostic(format!("`{key}` is an app and a Postgres cluster"));
            diagnostics
                .error(diagnostic.with_help("a cluster is an app as well: give it another key"));
            continue;
        }
        if section.external.is_some() {
            check_external(section, cursor, diagnostics);
            continue;
        }
        if section.engine == Some(PostgresEngine::Managed) {
            lower_managed_cluster(key, section, context, cursor, lowered, diagnostics);
            continue;
        }
        check_cluster(section, cursor, diagnostics);
        let app = app_section(section);
        let app = AppContext::new(
            context,
            key,
            &app,
            cursor,
            &lowered.desired.meta,
            aws,
            diagnostics,
        );
        if let Some(app) = app {
            app.lower(lowered, secret_reader, diagnostics);
        }
    }
}

/// The number of nodes of a cluster.
pub(super) fn node_count(section: &PostgresSection) -> u32 {
    section.nodes.unwrap_or(1)
}

/// The secrets of a cluster. The image reads its passwords at every start and writes them into the database only when the volume is
/// new, so they are made once and never change (fly-apps/postgres-flex, `internal/flypg/node.go`).
pub(in crate::manifest::lower) fn cluster_secrets() -> Vec<(String, SecretSpec)> {
    let password = || SecretGenerator::Random(PASSWORD_CHARS);
    let secrets = [
        ("SU_PASSWORD", password(), "generated"),
        ("OPERATOR_PASSWORD", password(), "generated"),
        ("REPL_PASSWORD", password(), "generated"),
        ("FLY_CONSUL_URL", SecretGenerator::Consul, "Fly's Consul"),
        ("SSH_KEY", SecretGenerator::SshKey, "generated"),
        ("SSH_CERT", SecretGenerator::SshCertificate, "issued by Fly"),
    ];
    let to_spec = |(name, generator, source): (&str, SecretGenerator, &str)| {
        (
            name.to_owned(),
            generated_secret(generator, source.to_owned()),
        )
    };
    secrets.into_iter().map(to_spec).collect()
}

/// The section of the app that a cluster is.
fn app_section(section: &PostgresSection) -> AppSection {
    let PostgresSection {
        engine: _,
        name,
        external: _,
        region,
        image,
        nodes: _,
        size: _,
        memory: _,
        cpus: _,
        cpu_kind: _,
        volume_size: _,
        snapshot_retention: _,
        scheduled_snapshots: _,
        auto_sleep,
        network,
        protected,
        adopt,
        plan: _,
        disk_size: _,
        version: _,
        pool_mode: _,
    } = section;
    // A node that sleeps has ended by itself, with success: it must not be started again at once.
    let restart = RestartSection {
        policy: Some(if auto_sleep.is_some() {
            RestartPolicy::OnFailure
        } else {
            RestartPolicy::Always
        }),
        retries: auto_sleep.is_some().then_some(RESTARTS),
        ..RestartSection::default()
    };
    let sleep = auto_sleep
        .iter()
        .map(|DurationString(after)| (SCALE_TO_ZERO_ENV.to_owned(), EnvValue::Text(after.clone())));
    AppSection {
        name: name.clone(),
        primary_region: region.clone(),
        image: image.clone().map(ImageSource::Reference),
        network: network.clone(),
        protected: *protected,
        adopt: *adopt,
        ips: Some(vec![IpEntry::Kind(IpType::PrivateV6)]),
        env: sleep.collect(),
        services: PORTS.map(service).into(),
        checks: ["pg", ROLE_CHECK, "vm"]
            .map(|name| (name.to_owned(), check(name)))
            .into(),
        mounts: Some(OneOrMany::One(volume(section))),
        restart: Some(OneOrMany::One(restart)),
        metrics: Some(OneOrMany::One(MetricsSection {
            port: Some(METRICS_PORT),
            path: Some("/metrics".to_owned()),
            ..MetricsSection::default()
        })),
        kill_signal: Some(Signal("SIGINT".to_owned())),
        kill_timeout: Some(DurationOrSeconds::Number(STOP_TIMEOUT_SECS)),
        // One node after the other, so that the others keep their quorum.
        deploy: Some(DeploySection {
            max_unavailable: Some(1.0),
            ..DeploySection::default()
        }),
        machines: BTreeMap::from([(GROUP.to_owned(), node_group(section))]),
        ..AppSection::default()
    }
}

/// How many nodes there are, and of which size.
fn node_group(section: &PostgresSection) -> MachineGroupSection {
    let PostgresSection {
        region,
        size,
        memory,
        cpus,
        cpu_kind,
        ..
    } = section;
    let count = BoundedMachineCount(node_count(section));
    let regions = region.iter().map(|region| (region.clone(), count));
    // A preset has its own memory; our default is larger than that of the smallest one.
    let states_size = size.is_some() || cpus.is_some() || cpu_kind.is_some();
    let default_size = || (!states_size).then(|| Preset(DEFAULT_SIZE.to_owned()));
    let default_memory = || (!states_size).then(|| Size::Text(DEFAULT_MEMORY.to_owned()));
    MachineGroupSection {
        count: Some(MachineCount::Regions(regions.collect())),
        size: size.clone().or_else(default_size),
        memory: memory.clone().or_else(default_memory),
        cpus: *cpus,
        cpu_kind: *cpu_kind,
        ..MachineGroupSection::default()
    }
}

/// The volume of each node.
fn volume(section: &PostgresSection) -> MountSection {
    MountSection {
        source: Some("pg_data".to_owned()),
        destination: Some("/data".to_owned()),
        initial_size: section.volume_size.clone(),
        snapshot_retention: section.snapshot_retention,
        scheduled_snapshots: section.scheduled_snapshots,
        encrypted: Some(true),
        ..MountSection::default()
    }
}

fn service(port: u16) -> ServiceSection {
    ServiceSection {
        protocol: Some(Protocol::Tcp),
        internal_port: Some(port),
        auto_start_machines: Some(true),
        ports: vec![PortSection {
            port: Some(port),
            handlers: vec![PortHandler::PgTls],
            ..PortSection::default()
        }],
        concurrency: Some(ConcurrencySection {
            kind: Some(ConcurrencyType::Connections),
            soft_limit: Some(CONNECTIONS),
            hard_limit: Some(CONNECTIONS),
        }),
        ..ServiceSection::default()
    }
}

fn check(name: &str) -> CheckSection {
    CheckSection {
        kind: Some(CheckType::Http),
        port: Some(CHECK_PORT),
        path: Some(format!("/flycheck/{name}")),
        interval: Some(DurationString("15s".to_owned())),
        timeout: Some(DurationString("10s".to_owned())),
        ..CheckSection::default()
    }
}

/// Refuses what the image or Fly would not survive.
fn check_cluster(section: &PostgresSection, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if section.region.is_none() {
        let diagnostic = cursor.diagnostic("this cluster has no region");
        diagnostics
            .error(diagnostic.with_help("set `region = \"ewr\"`; it cannot be changed later"));
    }
    let managed_keys = [
        ("plan", section.plan.is_some()),
        ("disk_size", section.disk_size.is_some()),
        ("version", section.version.is_some()),
        ("pool_mode", section.pool_mode.is_some()),
    ];
    for (key, _) in managed_keys.into_iter().filter(|(_, is_stated)| *is_stated) {
        let diagnostic = cursor
            .key(key)
            .diagnostic(format!("`{key}` is for a managed cluster"));
        diagnostics.error(diagnostic.with_help(match key {
            "disk_size" => "set `volume_size`, or `engine = \"managed\"`",
            "version" => "`image` says the version; or set `engine = \"managed\"`",
            _ => "leave it out, or set `engine = \"managed\"`",
        }));
    }
    check_image(section, cursor, diagnostics);
    let nodes = node_count(section);
    if nodes.is_multiple_of(2) {
        let diagnostic = cursor.key("nodes").diagnostic(format!(
            "a cluster of {nodes} nodes has no majority without one of them"
        ));
        diagnostics.error(diagnostic.with_help(
            "use 1 node, or 3 for failover: with 2 the loss of either stops all writes",
        ));
    }
    if nodes > 1 && section.auto_sleep.is_some() {
        let diagnostic = cursor
            .key("auto_sleep")
            .diagnostic("only a cluster of one node can sleep");
        diagnostics.error(diagnostic.with_help(
            "the nodes of a larger one lose their quorum: leave `auto_sleep` or `nodes` out",
        ));
    }
    let field = cursor.key("auto_sleep");
    let sleep = scalars::parse_duration(section.auto_sleep.as_ref(), field, diagnostics);
    if sleep.is_some_and(|sleep| sleep.as_millis() < 60_000) {
        let diagnostic =
            field.diagnostic("a node that sleeps after less than a minute is hardly ever up");
        diagnostics.error(diagnostic.with_help("use `10m` or `1h`"));
    }
    let field = cursor.key("memory");
    let memory = section.memory.as_ref().and_then(|size| match size {
        Size::Text(text) => Mib::parse(text).ok(),
        Size::Number(megabytes) => Some(Mib(*megabytes)),
    });
    if memory.is_some_and(|memory| memory < LEAST_MEMORY) {
        let diagnostic = field.diagnostic("the image is killed for lack of memory below 512 MB");
        diagnostics.warn(diagnostic.with_help("use `512mb` or more"));
    }
}

/// The image must name a version of Postgres: without one, a later plan would bring another.
fn check_image(section: &PostgresSection, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let field = cursor.key("image");
    let help = "pin it to a version, and best to a digest: `flyio/postgres-flex:17.7@sha256:…`";
    let Some(reference) = &section.image else {
        diagnostics.error(
            field
                .diagnostic("this cluster has no image")
                .with_help(help),
        );
        return;
    };
    let Ok(image) = Image::parse(reference) else {
        return;
    };
    let version = image
        .tag()
        .and_then(|tag| tag.split('.').next()?.parse::<u32>().ok());
    if version.is_none() {
        let diagnostic = field.diagnostic(format!(
            "`{reference}` does not say which version of Postgres it is"
        ));
        diagnostics.error(diagnostic.with_help(help));
    } else if image.digest().is_none() {
        let diagnostic =
            field.diagnostic("when this tag moves, the next apply restarts the database");
        diagnostics.warn(diagnostic.with_help(help));
    }
}

/// An external cluster has no other keys.
fn check_external(section: &PostgresSection, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let PostgresSection {
        engine,
        name,
        external: _,
        region,
        image,
        nodes,
        size,
        memory,
        cpus,
        cpu_kind,
        volume_size,
        snapshot_retention,
        scheduled_snapshots,
        auto_sleep,
        network,
        protected,
        adopt,
        plan,
        disk_size,
        version,
        pool_mode,
    } = section;
    let stated = [
        ("engine", engine.is_some()),
        ("plan", plan.is_some()),
        ("disk_size", disk_size.is_some()),
        ("version", version.is_some()),
        ("pool_mode", pool_mode.is_some()),
        ("name", name.is_some()),
        ("region", region.is_some()),
        ("image", image.is_some()),
        ("nodes", nodes.is_some()),
        ("size", size.is_some()),
        ("memory", memory.is_some()),
        ("cpus", cpus.is_some()),
        ("cpu_kind", cpu_kind.is_some()),
        ("volume_size", volume_size.is_some()),
        ("snapshot_retention", snapshot_retention.is_some()),
        ("scheduled_snapshots", scheduled_snapshots.is_some()),
        ("auto_sleep", auto_sleep.is_some()),
        ("network", network.is_some()),
        ("protected", protected.is_some()),
        ("adopt", adopt.is_some()),
    ];
    for (key, _) in stated.into_iter().filter(|(_, is_stated)| *is_stated) {
        let diagnostic = cursor
            .key(key)
            .diagnostic(format!("`{key}` has no effect on an external cluster"));
        diagnostics.error(
            diagnostic.with_help("leave it out, or leave `external` out to own the cluster"),
        );
    }
}
