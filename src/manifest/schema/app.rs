//! What stands in `[apps.KEY]`: the keys of fly.toml under fly.toml's names, and what fly.toml cannot say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    CheckSection, CommandLine, CpuKind, DurationOrSeconds, DurationString, ExperimentalSection,
    FileSection, HttpServiceSection, MetricsSection, MountSection, OneOrMany, Preset, RegionCode,
    RestartSection, ServiceSection, Signal, Size, StaticSection, VmSection,
};

/// An app on Fly.io.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppSection {
    /// The app's name on Fly, unique over all of Fly. Default: PROJECT-KEY-ENVIRONMENT, such as `harbor-web-staging`.
    #[schemars(example = &"draft-app-prod")]
    pub name: Option<String>,
    /// Where machines run unless they say otherwise; the machines read it as `PRIMARY_REGION`.
    #[schemars(example = &"ewr")]
    pub primary_region: Option<RegionCode>,
    /// The image that machines run: a reference, or `{ var = "image" }`. `--image KEY=REFERENCE` wins over both. Without
    /// any, machines keep the image that they run. A plan looks up the digest of a tag, and that is what is applied.
    #[schemars(example = &"registry.fly.io/draft-app:main")]
    pub image: Option<ImageSource>,
    /// A fly.toml, relative to this file, whose keys apply wherever this table does not say otherwise.
    #[schemars(example = &"../fly.production.toml")]
    pub config: Option<String>,
    /// A private network of the app's own; fixed when the app is made.
    pub network: Option<String>,
    /// Refuses to destroy the app, its machines and its volumes, even after this block has left the manifest.
    pub protected: Option<bool>,
    /// Takes over an app of this name that was not made by trimtab.
    pub adopt: Option<bool>,
    /// Apps, by key, whose machines must be up before this app's machines change.
    #[serde(default)]
    #[schemars(example = ["api"])]
    pub depends_on: Vec<String>,
    /// Public and private addresses. Unstated: a shared IPv4 and an IPv6 when a service listens to the public; `[]`: none.
    #[schemars(example = ["shared_v4", "v6"])]
    pub ips: Option<Vec<IpEntry>>,
    /// Host names that the app answers to over TLS.
    #[serde(default)]
    #[schemars(example = ["example.com", "*.example.com"])]
    pub certificates: Vec<String>,
    /// Environment variables of all machines.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// Secrets by name: where each value comes from. Values never stand in a manifest.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
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
    /// When a machine whose process ended is started again.
    pub restart: Option<OneOrMany<RestartSection>>,
    /// Where Fly scrapes metrics.
    pub metrics: Option<OneOrMany<MetricsSection>>,
    /// The signal that asks a machine to stop. Default: SIGINT.
    #[schemars(example = &"SIGTERM")]
    pub kill_signal: Option<Signal>,
    /// How long a machine has between that signal and its end; at most 300 seconds, 5 unless stated.
    #[schemars(example = &"30s")]
    pub kill_timeout: Option<DurationOrSeconds>,
    /// Swap, in megabytes.
    #[schemars(range(min = 0, max = 65536))]
    pub swap_size_mb: Option<u32>,
    /// A dedicated host.
    pub host_dedication_id: Option<String>,
    /// How a new version is brought out.
    pub deploy: Option<DeploySection>,
    /// How many machines each process group has, where, and of which size.
    #[serde(default)]
    pub machines: BTreeMap<String, MachineGroupSection>,
    /// Machines that run on a schedule and stop when done. They follow the app's image.
    #[serde(default)]
    pub cron: BTreeMap<String, CronSection>,
    /// A machine in the Machines API's own words, beneath everything else that stands here: JSON, or the name of a .json
    /// file relative to this one. What it says of containers, DNS and other parts without a key here goes to Fly as it is.
    #[schemars(example = &"machine.json")]
    pub machine_config: Option<String>,
    /// Which container of `machine_config` runs the app's image. Default: the one called `app`, else the first.
    #[schemars(example = &"web")]
    pub container: Option<String>,
    /// fly.toml's way to replace the image's entrypoint and command.
    pub experimental: Option<ExperimentalSection>,
}

/// A value of an environment variable; numbers and truth values are written out as text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EnvValue {
    /// A text.
    Text(String),
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
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
    /// The variable, given with `--var`. Unlike others it need not be given: machines then keep their image.
    #[schemars(required, example = &"image")]
    pub var: Option<String>,
}

/// An address: its sort, or a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IpEntry {
    /// Its sort.
    Kind(IpType),
    /// In one region.
    Regional(RegionalIp),
}

/// The sorts of address.
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

/// An address in one region.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionalIp {
    /// The sort of address.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub kind: Option<IpType>,
    /// The region; without one the address is announced everywhere.
    pub region: Option<RegionCode>,
}

/// Where a secret's value comes from: exactly one of `env`, `file`, `dotenv`.
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
    /// Whether the app can do without. An optional secret without a value is left as it is on Fly.
    pub optional: Option<bool>,
}

/// How a new version is brought out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploySection {
    /// `rolling` unless stated.
    pub strategy: Option<DeployStrategy>,
    /// How many machines of a process group may be unavailable at once: a count from 1, or a share below 1, rounded up.
    /// Default: 0.33.
    pub max_unavailable: Option<f64>,
    /// How long a machine may take to start and pass its checks. Default: 5 minutes.
    #[schemars(example = &"5m")]
    pub wait_timeout: Option<DurationString>,
    /// A command run once, on a machine of its own, before a new version comes out.
    #[schemars(example = &"alembic upgrade head")]
    pub release_command: Option<CommandLine>,
    /// How long that command may take. Default: 5 minutes.
    pub release_command_timeout: Option<DurationString>,
    /// CPUs and memory for that command.
    pub release_command_vm: Option<VmSection>,
    /// A request to the app's public address that must succeed at the end of a rollout.
    pub verify: Option<VerifySection>,
    /// What to do when a rollout fails: `stop`, which leaves everything as it is then, or `rollback`, which takes the
    /// machines that have changed back to what they were. Default: `stop`.
    pub on_failure: Option<OnFailure>,
}

/// What to do when a rollout fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Leave everything as it is.
    Stop,
    /// Take what has changed back to what it was.
    Rollback,
}

/// A request that shows whether the app works.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifySection {
    /// The path, with a query if need be.
    #[schemars(example = &"/health")]
    pub path: Option<String>,
    /// The host name. Default: the app's own under `fly.dev`.
    #[schemars(example = &"www.example.com")]
    pub host: Option<String>,
    /// The status that the answer must have. Default: 200.
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// A regular expression that must match somewhere in the body.
    #[schemars(example = &"\"status\": *\"ok\"")]
    pub body: Option<String>,
    /// How often it is tried again. Default: 5.
    pub retries: Option<u32>,
    /// How long to wait between two tries. Default: 5 seconds.
    pub interval: Option<DurationString>,
}

/// How a new version comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeployStrategy {
    /// So many at once as may be unavailable.
    Rolling,
    /// All at once.
    Immediate,
    /// One first; when it is healthy, the others as in `rolling`.
    Canary,
    /// New ones beside the old; when all are healthy, they take over at once, and the old ones go.
    Bluegreen,
}

/// The machines of a process group.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineGroupSection {
    /// How many: a number (in the primary region), or a number for each region. Default: 1, or
    /// as many as `min_machines_running` says.
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
    /// Which sort of CPU.
    pub cpu_kind: Option<CpuKind>,
    /// What the machines run, when `processes` does not say.
    pub command: Option<CommandLine>,
    /// Whether there is one more machine in each region that sleeps until Fly starts it, because the host of the first one
    /// has failed. For groups without services and without volumes.
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

/// A number of machines. The bound is ours: whoever writes more has most likely mistyped.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BoundedMachineCount(#[schemars(range(min = 0, max = 1000))] pub u32);

/// A machine that runs on a schedule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronSection {
    /// How often it runs. Fly picks the minute, and counts from the machine's first start.
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
    /// Environment variables besides the app's own, and in place of them.
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
    /// Which sort of CPU.
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
