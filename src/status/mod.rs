//! The live state of an environment as one value: for `status`, for the summary of running versions
//! after a failed apply, and for programs. It does not say what should be done; that is the plan's
//! business.

use schemars::JsonSchema;
use serde::Serialize;

mod aws;
mod from_world;
mod urls;
mod versions;

pub use urls::public_urls;
pub use versions::{GroupVersions, RunningVersion};

/// The version of the JSON document. The minor version grows when fields are added, the major
/// version when the meaning of a field changes.
pub const FORMAT_VERSION: &str = "1.2";

/// The live state of one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EnvironmentStatus {
    /// The version of this format. Readers should reject an unknown major version and ignore
    /// unknown fields.
    pub format_version: &'static str,
    /// The project named in the manifest.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// The Fly organization.
    pub organization: String,
    /// The apps of the manifest, and the apps that the environment still owns but the manifest no
    /// longer has.
    pub apps: Vec<AppSummary>,
    /// Buckets, identity providers and roles on AWS.
    pub aws: Vec<AwsResourceSummary>,
    /// Successors that have not taken over, because a rollout stopped. They are hidden, and named like the machines that they are to
    /// replace. The document has a warning for each.
    #[serde(skip)]
    #[schemars(skip)]
    pub waiting: Vec<MachineSummary>,
    /// Resources that exist but are not managed.
    pub unmanaged: Vec<UnmanagedSummary>,
    /// Warnings to the user.
    pub warnings: Vec<String>,
}

/// An AWS resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AwsResourceSummary {
    /// The resource address, such as `aws.bucket/backups`.
    pub address: String,
    /// The name on AWS.
    pub name: String,
    /// Whether it exists.
    pub exists: bool,
    /// Whether the manifest declares it.
    pub wanted: bool,
    /// A short description.
    pub about: String,
}

/// An app and everything in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppSummary {
    /// The app's key in the manifest.
    pub app: String,
    /// The app's name on Fly.
    pub fly_name: String,
    /// Whether it exists.
    pub exists: bool,
    /// The process groups, one entry for each region.
    pub groups: Vec<GroupSummary>,
    /// The cron machines.
    pub cron: Vec<CronSummary>,
    /// The volumes.
    pub volumes: Vec<VolumeSummary>,
    /// The IP addresses.
    pub ips: Vec<IpSummary>,
    /// The certificates.
    pub certificates: Vec<CertificateStatus>,
    /// The databases of the app in Postgres clusters, as the last apply recorded them.
    pub databases: Vec<DatabaseSummary>,
    /// The names of the secrets.
    pub secrets: Vec<String>,
    /// The addresses of resources that the manifest has but that do not exist.
    pub missing: Vec<String>,
}

/// The machines of one process group in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GroupSummary {
    /// The process group.
    pub group: String,
    /// The region.
    pub region: String,
    /// The number of machines that the manifest declares here.
    pub desired: usize,
    /// The number of running machines.
    pub running: usize,
    /// The number of machines that are stopped until a request starts them.
    pub asleep: usize,
    /// Whether the machines of this process group, in any region, run different images or releases:
    /// a rollout is incomplete.
    pub mixed: bool,
    /// The machines.
    pub machines: Vec<MachineSummary>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MachineSummary {
    /// The name within its kind, such as `web/app/ewr/0`.
    pub name: String,
    /// Fly's id.
    pub id: String,
    /// The region.
    pub region: String,
    /// The state, as named by Fly.
    pub state: String,
    /// What the state means.
    pub activity: Activity,
    /// The role of a node of a Postgres cluster, such as `primary`, while its check passes.
    pub role: Option<String>,
    /// The status of the checks.
    pub checks: CheckCounts,
    /// The image.
    pub image: Option<ImageSummary>,
    /// The release that the machine was started with.
    pub release: Option<String>,
    /// Whether Fly's proxy does not route to the machine.
    pub cordoned: bool,
    /// Whether its host is reachable.
    pub reachable: bool,
    /// Whether its last start is known to have succeeded.
    pub proven: bool,
    /// Whether the manifest declares it.
    pub wanted: bool,
    /// Whether a new machine has taken over from it. It is cordoned; the next apply deletes it, and
    /// a rollback puts it back into service.
    pub retired: bool,
    /// Fly's id of the attached volume.
    pub volume: Option<String>,
    /// How its program last exited.
    pub last_run: Option<LastRun>,
}

/// What a machine's state means for those who depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It is running.
    Running,
    /// It is changing its state.
    Changing,
    /// It is stopped or suspended, and a request starts it.
    Asleep,
    /// It is stopped, and Fly starts it when the host of another machine fails.
    Standby,
    /// It is stopped, and only a user or a schedule starts it.
    Stopped,
    /// Its start failed.
    Failed,
    /// Its host is unreachable, so its state is unknown.
    Unreachable,
}

/// The number of a machine's checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct CheckCounts {
    /// Passing checks.
    pub passing: usize,
    /// All checks.
    pub total: usize,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ImageSummary {
    /// The reference in the machine's configuration.
    pub reference: String,
    /// The digest that it resolved to.
    pub digest: Option<String>,
}

/// An exit of a machine's program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct LastRun {
    /// The time of the exit, in RFC 3339 and UTC.
    pub ended_at: String,
    /// The exit code.
    pub exit_code: Option<i64>,
    /// Whether it ran out of memory.
    pub oom_killed: bool,
    /// Whether it was stopped on request.
    pub requested: bool,
}

/// A cron machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CronSummary {
    /// The schedule; absent if somebody removed it.
    pub schedule: Option<String>,
    /// Whether it runs another image than the rest of its app although the manifest does not say
    /// so.
    pub other_image: bool,
    /// The machine itself.
    #[serde(flatten)]
    pub machine: MachineSummary,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VolumeSummary {
    /// The name within its kind, such as `web/data/ewr/0`.
    pub name: String,
    /// Fly's id.
    pub id: String,
    /// The state, as named by Fly.
    pub state: String,
    /// The region.
    pub region: String,
    /// The size in gigabytes.
    pub size_gb: u32,
    /// Used bytes, if known.
    pub bytes_used: Option<u64>,
    /// Capacity in bytes, if known.
    pub bytes_total: Option<u64>,
    /// The id of the machine that has it attached.
    pub held_by: Option<String>,
    /// The name of that machine, if the environment owns it.
    pub held_by_name: Option<String>,
    /// Whether its host is reachable.
    pub reachable: bool,
    /// Whether the manifest declares it.
    pub wanted: bool,
}

/// An IP address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IpSummary {
    /// The name within its kind, such as `web/v6`.
    pub name: String,
    /// The address.
    pub address: String,
    /// `shared_v4`, `v4`, `v6` or `private_v6`.
    pub kind: String,
    /// The region, or `global`.
    pub region: String,
}

/// A database of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DatabaseSummary {
    /// The name within its kind, such as `web/main`.
    pub name: String,
    /// The name of the cluster's app on Fly.
    pub cluster: String,
    /// The name of the database.
    pub database: String,
    /// The role that owns it.
    pub role: String,
    /// The secret of the app that has its URL.
    pub variable: String,
    /// Whether the manifest declares it.
    pub wanted: bool,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateStatus {
    /// The name within its kind.
    pub name: String,
    /// The host name.
    pub hostname: String,
    /// Whether its DNS records point to the app.
    pub configured: bool,
}

/// A resource that exists but is not managed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnmanagedSummary {
    /// The resource.
    pub what: String,
    /// The key of the app that it belongs to.
    pub within: String,
    /// Why it is not managed.
    pub why: String,
}

impl MachineSummary {
    /// Whether the machine is running and all its checks pass.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.activity == Activity::Running && self.checks.passing == self.checks.total
    }

    /// Whether the machine has a problem. Machines that are asleep or were stopped on purpose have
    /// none.
    #[must_use]
    pub fn has_problem(&self) -> bool {
        let is_unhealthy = self.activity == Activity::Running && !self.is_healthy();
        is_unhealthy
            || !self.proven
            || matches!(self.activity, Activity::Failed | Activity::Unreachable)
    }
}

impl EnvironmentStatus {
    /// All machines of process groups, without cron machines.
    pub fn machines(&self) -> impl Iterator<Item = &MachineSummary> {
        self.apps
            .iter()
            .flat_map(|app| &app.groups)
            .flat_map(|group| &group.machines)
    }

    /// The status as a JSON document, described by [`schema`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Serialization cannot fail: all map keys are strings.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(EnvironmentStatus).to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), "What runs, as trimtab sees it".into());
    }
    schema
}
