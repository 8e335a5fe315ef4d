//! Lowers a cluster that Fly manages.

use crate::{
    kinds::postgres::{ManagedCluster, managed_cluster::ManagedClusterSpec},
    manifest::{
        lower::{Context, Diagnostics, Lowered, default_app_name, fly::scalars},
        schema::{PoolMode, PostgresSection},
        syntax::cursor::Cursor,
    },
    model::{Address, Name},
};

/// The plans (fly.io/docs/mpg).
const PLANS: [&str; 5] = ["basic", "starter", "launch", "scale", "performance"];
/// The major versions that the API creates.
const VERSIONS: [u32; 2] = [16, 17];
/// The disk of a new cluster, as with `fly mpg create`, and the largest one, in GB.
const DEFAULT_DISK_GB: u32 = 10;
const LARGEST_DISK_GB: u32 = 500;
const DEFAULT_VERSION: u32 = 17;

/// Adds a managed cluster.
pub(super) fn lower_managed_cluster(
    key: &str,
    section: &PostgresSection,
    context: &Context<'_>,
    cursor: Cursor<'_>,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    check_keys(section, cursor, diagnostics);
    let Ok(name) = Name::parse(key) else {
        return;
    };
    let field = cursor.key("disk_size");
    let disk = section
        .disk_size
        .as_ref()
        .and_then(|size| scalars::parse_volume_size(size, field, diagnostics));
    let disk_gb = disk.map_or(DEFAULT_DISK_GB, |disk| disk.0);
    if disk_gb > LARGEST_DISK_GB {
        let diagnostic =
            field.diagnostic(format!("a new cluster has at most {LARGEST_DISK_GB} GB"));
        diagnostics
            .error(diagnostic.with_help("create it with less, and enlarge it in Fly's dashboard"));
    }
    let version = section.version.unwrap_or(DEFAULT_VERSION);
    if !VERSIONS.contains(&version) {
        let diagnostic = cursor
            .key("version")
            .diagnostic(format!("managed Postgres has no version {version}"));
        diagnostics.error(diagnostic.with_help("use 16 or 17"));
    }
    let plan = section.plan.clone().unwrap_or_default();
    if !PLANS.contains(&plan.to_lowercase().as_str()) {
        let field = cursor.key("plan");
        let diagnostic = match field.is_present() {
            true => field.diagnostic(format!("there is no plan `{plan}`")),
            false => cursor.diagnostic("this managed cluster has no plan"),
        };
        diagnostics
            .error(diagnostic.with_help(format!("set `plan` to one of {}", PLANS.join(", "))));
    }
    let Some(region) = &section.region else {
        let diagnostic = cursor.diagnostic("this cluster has no region");
        diagnostics
            .error(diagnostic.with_help("set `region = \"fra\"`; it cannot be changed later"));
        return;
    };
    let meta = &lowered.desired.meta;
    let default_name = default_app_name(&meta.mark.project, key, &context.environment);
    let spec = ManagedClusterSpec {
        name: section.name.clone().unwrap_or(default_name),
        org: meta.org.clone(),
        region: region.0.clone(),
        plan,
        disk_gb,
        version: version.to_string(),
        pool_mode: match section.pool_mode {
            None | Some(PoolMode::Session) => "session",
            Some(PoolMode::Transaction) => "transaction",
        }
        .to_owned(),
    };
    if let Some(location) = cursor.location() {
        let address = Address::new::<ManagedCluster>(&name);
        lowered.locations.insert(address, location.clone());
    }
    lowered.desired.postgres_managed_cluster.insert(name, spec);
}

/// Refuses the keys of a cluster on machines of one's own.
fn check_keys(section: &PostgresSection, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let stated = [
        ("image", section.image.is_some()),
        ("nodes", section.nodes.is_some()),
        ("size", section.size.is_some()),
        ("memory", section.memory.is_some()),
        ("cpus", section.cpus.is_some()),
        ("cpu_kind", section.cpu_kind.is_some()),
        ("volume_size", section.volume_size.is_some()),
        ("snapshot_retention", section.snapshot_retention.is_some()),
        ("scheduled_snapshots", section.scheduled_snapshots.is_some()),
        ("auto_sleep", section.auto_sleep.is_some()),
        ("network", section.network.is_some()),
        ("adopt", section.adopt.is_some()),
        ("protected", section.protected.is_some()),
    ];
    for (key, _) in stated.into_iter().filter(|(_, is_stated)| *is_stated) {
        let diagnostic = cursor
            .key(key)
            .diagnostic(format!("`{key}` is for a cluster on machines of your own"));
        let help = match key {
            "auto_sleep" => "a managed cluster never sleeps",
            "protected" => "a managed cluster is never deleted",
            "adopt" => "a managed cluster of this name is used as it is",
            _ => "a managed cluster has `plan`, `disk_size`, `version` and `pool_mode`",
        };
        diagnostics.error(diagnostic.with_help(help));
    }
}
