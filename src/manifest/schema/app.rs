//! The schema of `[apps.KEY]`: the keys of fly.toml under the same names, and what fly.toml cannot
//! express.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    BuildSection, CheckSection, CommandLine, CpuKind, DatabaseSection, DurationOrSeconds,
    DurationString, ExperimentalSection, FileSection, HttpServiceSection, MetricsSection,
    MountSection, OneOrMany, Preset, RegionCode, RestartSection, ServiceSection, Signal, Size,
    StaticSection, VmSection,
};

/// An app on Fly.io.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppSection {
    /// The app's name on Fly, unique over all of Fly. Default: PROJECT-KEY-ENVIRONMENT, such as `harbor-web-staging`.
    #[schemars(example = &"draft-app-prod")]
    pub name: Option<String>,
    /// Where machines run unless they set a region; they see it as `PRIMARY_REGION`.
    #[schemars(example = &"ewr")]
    pub primary_region: Option<RegionCode>,
    /// The image that machines run: a reference, or `{ var = "image" }`. `--image KEY=REFERENCE`
    /// overrides both. Without any, machines keep their current image. A plan resolves a tag to its
    /// digest, and that digest is applied.
    #[schemars(example = &"registry.fly.io/draft-app:main")]
    pub image: Option<ImageSource>,
    /// How `trimtab build` and `apply --build` make the image.
    pub build: Option<BuildSection>,
    /// A fly.toml, relative to this file; the keys of this table override its keys.
    #[schemars(example = &"../fly.production.toml")]
    pub config: Option<String>,
    /// The app's own private network; it cannot be changed later.
    pub network: Option<String>,
    /// Refuses to destroy the app, its machines and its volumes, even after this block is removed
    /// from the manifest.
    pub protected: Option<bool>,
    /// Adopts an existing app of this name that trimtab did not create.
    pub adopt: Option<bool>,
    /// Apps, by key, whose machines must be up before this app's machines change.
    #[serde(default)]
    #[schemars(example = ["api"])]
    pub depends_on: Vec<String>,
    /// Public and private addresses. Default: a shared IPv4 and an IPv6 when a service is public;
    /// `[]`: none.
    #[schemars(example = ["shared_v4", "v6"])]
    pub ips: Option<Vec<IpEntry>>,
    /// Host names with a TLS certificate for the app.
    #[serde(default)]
    #[schemars(example = ["example.com", "*.example.com"])]
    pub certificates: Vec<String>,
    /// Environment variables of all machines.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// Secrets by name: where each value comes from. A manifest never contains the values.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Databases of the app in Postgres clusters, by a key of your choice.
    #[serde(default)]
    pub databases: BTreeMap<String, DatabaseSection>,
    /// The HTTP service on ports 80 and 443.
    pub http_service: Option<HttpServiceSection>,
    /// Services on any port.
    #[serde(default)]
    pub services: Vec<ServiceSection>,
    /// Checks of the machine itself, by name.
    #[serde(default)]
    pub checks: BTreeMap<String, CheckSection>,
    /// Process groups: a name, and the command that its machines run.
    #[serde(default)]
    pub processes: BTreeMap<String, CommandLine>,
    /// CPUs and memory; a list to give each process group its own.
    pub vm: Option<OneOrMany<VmSection>>,
    /// Volumes: each machine of a mounting group gets one of its own.
    pub mounts: Option<OneOrMany<MountSection>>,
    /// Files that the proxy serves by itself.
    pub statics: Option<OneOrMany<StaticSection>>,
    /// Files written into the machines.
    #[serde(default)]
    pub files: Vec<FileSection>,
    /// When a machine is restarted after its process ended.
    pub restart: Option<OneOrMany<RestartSection>>,
    /// Where Fly scrapes metrics.
    pub metrics: Option<OneOrMany<MetricsSection>>,
    /// The signal that stops a machine. Default: SIGINT.
    #[schemars(example = &"SIGTERM")]
    pub kill_signal: Option<Signal>,
    /// How long a machine may take to stop after that signal, at most 300 seconds. Default: 5.
    #[schemars(example = &"30s")]
    pub kill_timeout: Option<DurationOrSeconds>,
    /// Swap, in megabytes.
    #[schemars(range(min = 0, max = 65536))]
    pub swap_size_mb: Option<u32>,
    /// The id of a dedicated host.
    pub host_dedication_id: Option<String>,
    /// How a new version is deployed.
    pub deploy: Option<DeploySection>,
    /// How many machines each process group has, where, and of which size.
    #[serde(default)]
    pub machines: BTreeMap<String, MachineGroupSection>,
    /// Machines that run on a schedule and stop when done. They follow the app's image.
    #[serde(default)]
    pub cron: BTreeMap<String, CronSection>,
    /// A machine in the JSON of the Machines API, which the other keys of this app override: the
    /// JSON itself, or the path of a .json file relative to this one. Containers, DNS and other
    /// parts that have no key here are sent to Fly unchanged.
    #[schemars(example = &"machine.json")]
    pub machine_config: Option<String>,
    /// Which container of `machine_config` runs the app's image. Default: the one called `app`, else the first.
    #[schemars(example = &"web")]
    pub container: Option<String>,
    /// fly.toml's keys to replace the image's entrypoint and command.
    pub experimental: Option<ExperimentalSection>,
}

/// A value of an environment variable; numbers and booleans are converted to strings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    /// A string.
    Text(String),
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
}

/// Where the image comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ImageSource {
    /// A reference.
    Reference(String),
    /// A variable.
    Variable(ImageVar),
}

/// A variable that names the image.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageVar {
    /// The variable, given with `--var`. Unlike other variables it is optional: without a value
    /// machines keep their image.
    #[schemars(required, example = &"image")]
    pub var: Option<String>,
}

/// An IP address: its type, or a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IpEntry {
    /// Its type.
    Kind(IpType),
    /// In one region.
    Regional(RegionalIp),
}

/// The types of IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IpType {
    /// An IPv4 address shared with other apps; free.
    SharedV4,
    /// An IPv4 address of the app's own; costs a little.
    V4,
    /// An IPv6 address of the app's own; free.
    V6,
    /// A private address (Flycast), reachable inside the organization only.
    PrivateV6,
}

/// An IP address in one region.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionalIp {
    /// The type of address.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub kind: Option<IpType>,
    /// The region. Default: the address is announced in all regions.
    pub region: Option<RegionCode>,
}

/// Where a secret's value comes from: exactly one of `env`, `file`, `dotenv`, `generate`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSource {
    /// An environment variable of the process that runs trimtab.
    #[schemars(example = &"STAGE_DATABASE_URL")]
    pub env: Option<String>,
    /// A file, relative to this one; a final newline is not part of the value.
    pub file: Option<String>,
    /// A dotenv file, relative to this one.
    #[schemars(example = &".env")]
    pub dotenv: Option<String>,
    /// The name in the dotenv file. Default: the secret's own.
    pub key: Option<String>,
    /// Makes a value of this many random letters and digits, once, when the secret does not exist. Nobody ever sees it.
    #[schemars(range(min = 16, max = 256), example = 32)]
    pub generate: Option<u32>,
    /// Whether the app works without it. An optional secret without a value is left as it is on
    /// Fly.
    pub optional: Option<bool>,
}

/// How a new version is brought out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploySection {
    /// `rolling` unless stated.
    pub strategy: Option<DeployStrategy>,
    /// How many machines of a process group may be unavailable at once: a number from 1, or a
    /// fraction below 1, rounded up. Default: 0.33.
    pub max_unavailable: Option<f64>,
    /// How long a machine may take to start and pass its checks. Default: 5 minutes.
    #[schemars(example = &"5m")]
    pub wait_timeout: Option<DurationString>,
    /// A command that runs once, on a machine of its own, before a new version is deployed.
    #[schemars(example = &"alembic upgrade head")]
    pub release_command: Option<CommandLine>,
    /// How long that command may take. Default: 5 minutes.
    pub release_command_timeout: Option<DurationString>,
    /// CPUs and memory for that command.
    pub release_command_vm: Option<VmSection>,
    /// A request to the app's public address that must succeed at the end of a rollout.
    pub verify: Option<VerifySection>,
    /// What to do when a rollout fails: `stop` leaves everything as it is; `rollback` restores the
    /// previous configuration of machines that have changed. Default: `stop`.
    pub on_failure: Option<OnFailure>,
}

/// What to do when a rollout fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Leave everything as it is.
    Stop,
    /// Restore the previous configuration of what has changed.
    Rollback,
}

/// A request that verifies that the app works.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifySection {
    /// The path, with an optional query.
    #[schemars(example = &"/health")]
    pub path: Option<String>,
    /// The host name. Default: the app's own under `fly.dev`.
    #[schemars(example = &"www.example.com")]
    pub host: Option<String>,
    /// The status that the response must have. Default: 200.
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// A regular expression that must match somewhere in the body.
    #[schemars(example = &"\"status\": *\"ok\"")]
    pub body: Option<String>,
    /// How often it is retried. Default: 5.
    pub retries: Option<u32>,
    /// How long to wait between two attempts. Default: 5 seconds.
    pub interval: Option<DurationString>,
}

/// How a new version is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeployStrategy {
    /// As many at once as `max_unavailable` allows.
    Rolling,
    /// All at once.
    Immediate,
    /// One first; when it is healthy, the others as in `rolling`.
    Canary,
    /// New machines next to the old ones; when all are healthy, they take over at once, and the old
    /// ones are destroyed.
    Bluegreen,
}

/// The machines of a process group.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineGroupSection {
    /// How many: a number (in the primary region), or a number for each region. Default: 1, or as
    /// many as `min_machines_running` says if the group has no volume.
    #[schemars(example = count_example())]
    pub count: Option<MachineCount>,
    /// A preset of CPUs and memory.
    pub size: Option<Preset>,
    /// Memory.
    #[schemars(example = &"1gb")]
    pub memory: Option<Size>,
    /// How many CPUs.
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
    /// The type of CPU.
    pub cpu_kind: Option<CpuKind>,
    /// The command that the machines run, when `processes` has none.
    pub command: Option<CommandLine>,
    /// Whether there is one more machine in each region, which Fly starts when the host of the
    /// first one fails. For groups without services and without volumes.
    pub standby: Option<bool>,
}

fn count_example() -> BTreeMap<&'static str, u32> {
    BTreeMap::from([("iad", 1), ("sjc", 1)])
}

/// How many machines.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MachineCount {
    /// In the primary region.
    Primary(BoundedMachineCount),
    /// By region.
    Regions(BTreeMap<RegionCode, BoundedMachineCount>),
}

/// A number of machines. The limit is trimtab's own: a larger number is most likely a typo.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BoundedMachineCount(#[schemars(range(min = 0, max = 1000))] pub u32);

/// A machine that runs on a schedule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronSection {
    /// How often it runs. Fly chooses the minute, counting from the machine's first start.
    #[schemars(required)]
    pub schedule: Option<Schedule>,
    /// The machine's name on Fly. Default: the key.
    pub name: Option<String>,
    /// Where it runs. Default: the primary region.
    pub region: Option<RegionCode>,
    /// An image of its own. Default: whatever its app runs.
    pub image: Option<String>,
    /// Replaces the image's entrypoint.
    #[schemars(example = ["/app/.venv/bin/python"])]
    pub entrypoint: Option<CommandLine>,
    /// Replaces the image's command.
    #[schemars(example = ["-m", "app.cli.cron_runner"])]
    pub command: Option<CommandLine>,
    /// Environment variables in addition to the app's own, which they override.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// A preset of CPUs and memory.
    pub size: Option<Preset>,
    /// Memory.
    #[schemars(example = &"512mb")]
    pub memory: Option<Size>,
    /// How many CPUs.
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
    /// The type of CPU.
    pub cpu_kind: Option<CpuKind>,
}

/// How often a cron machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// About once an hour.
    Hourly,
    /// About once a day.
    Daily,
    /// About once a week.
    Weekly,
    /// About once a month.
    Monthly,
}
