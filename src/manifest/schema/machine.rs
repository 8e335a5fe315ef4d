//! The schema of a machine's parts, under fly.toml's names: CPUs and memory, volumes, files,
//! restarts, metrics.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Preset;

/// A size in megabytes or with a unit, such as `512mb` or `1gb`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// With a unit.
    Text(String),
    /// Megabytes for memory, gigabytes for volumes, as in fly.toml.
    Number(u32),
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A command: a list of words, or one string that is split like in a shell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CommandLine {
    /// One string.
    Text(String),
    /// A list of words.
    Words(Vec<String>),
}

/// The type of CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CpuKind {
    /// A share of a CPU.
    Shared,
    /// Whole CPUs.
    Performance,
}

/// CPUs and memory: a preset, single values, or a preset with other values.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmSection {
    /// A preset.
    #[schemars(example = &"shared-cpu-1x")]
    pub size: Option<Preset>,
    /// Memory.
    #[schemars(example = &"1gb")]
    pub memory: Option<Size>,
    /// Memory in megabytes; wins over `memory`.
    pub memory_mb: Option<u32>,
    /// How many CPUs.
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
    /// The type of CPU.
    pub cpu_kind: Option<CpuKind>,
    /// Kernel arguments.
    #[serde(default)]
    pub kernel_args: Vec<String>,
    /// The id of a dedicated host.
    pub host_dedication_id: Option<String>,
    /// Whether the root file system survives a restart.
    pub persist_rootfs: Option<PersistRootfs>,
    /// The process groups it applies to. Default: all.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// Whether the root file system survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PersistRootfs {
    /// Never.
    Never,
    /// A restart.
    Restart,
    /// A restart and an update.
    Always,
}

/// A volume for each machine of a group, mounted into it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountSection {
    /// The volume's name: lower-case letters, digits and underscores.
    #[schemars(required, example = &"data")]
    pub source: Option<String>,
    /// Where it is mounted.
    #[schemars(required, example = &"/data")]
    pub destination: Option<String>,
    /// The size of new volumes in gigabytes; existing ones are extended to it. Default: 1 GB for
    /// new ones.
    #[schemars(example = &"10gb")]
    pub initial_size: Option<Size>,
    /// The same as `initial_size`.
    #[schemars(example = &"10gb")]
    pub size: Option<Size>,
    /// For how many days daily snapshots are kept.
    #[schemars(range(min = 1, max = 60))]
    pub snapshot_retention: Option<u32>,
    /// Whether Fly takes daily snapshots.
    pub scheduled_snapshots: Option<bool>,
    /// Whether the volume is encrypted at rest; it cannot be changed later. Fly's default: true.
    pub encrypted: Option<bool>,
    /// The usage in percent at which the volume is extended automatically.
    #[schemars(range(min = 50, max = 99))]
    pub auto_extend_size_threshold: Option<u32>,
    /// By how much it is extended.
    #[schemars(example = &"1gb")]
    pub auto_extend_size_increment: Option<Size>,
    /// The size up to which it is extended; Fly never extends a volume without one.
    #[schemars(example = &"20gb")]
    pub auto_extend_size_limit: Option<Size>,
    /// The process groups that mount it. Default: the first group.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// Files that the proxy serves by itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticSection {
    /// Their path in the machine.
    #[schemars(required, example = &"/app/static")]
    pub guest_path: Option<String>,
    /// The URL path under which they are served.
    #[schemars(required, example = &"/static")]
    pub url_prefix: Option<String>,
    /// A Tigris bucket that holds them.
    pub tigris_bucket: Option<String>,
    /// The file that is served for a folder.
    pub index_document: Option<String>,
}

/// A file written into the machines: from exactly one of `raw_value`, `local_path`, `secret_name`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSection {
    /// Its path in the machine.
    #[schemars(required, example = &"/app/config.yaml")]
    pub guest_path: Option<String>,
    /// Its content.
    pub raw_value: Option<String>,
    /// A file, relative to this one, that holds the content.
    pub local_path: Option<String>,
    /// A secret that holds the content, in base64.
    pub secret_name: Option<String>,
    /// Its permissions, such as 0o644.
    #[schemars(range(min = 0, max = 4095))]
    pub mode: Option<u32>,
    /// The process groups that get it. Default: all.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// When a machine is restarted after its process ended.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartSection {
    /// When it is restarted.
    #[schemars(required)]
    pub policy: Option<RestartPolicy>,
    /// How often at most; only with `on-failure`.
    pub retries: Option<u32>,
    /// The process groups it applies to. Default: the first group.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// When a machine is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Whenever its process ends.
    Always,
    /// Never.
    Never,
    /// When its process fails.
    OnFailure,
}

/// Where Fly scrapes metrics.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsSection {
    /// The port.
    #[schemars(required, range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The path, which a fly.toml may leave out.
    #[schemars(example = &"/metrics")]
    pub path: Option<String>,
    /// Whether TLS is used.
    pub https: Option<bool>,
    /// The process groups it applies to. Default: the first group.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// fly.toml's keys to replace what an image runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentalSection {
    /// Replaces the command, for groups that `processes` does not list.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Replaces the entrypoint.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Replaces both.
    #[serde(default)]
    pub exec: Vec<String>,
}
