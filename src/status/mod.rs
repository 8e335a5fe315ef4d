//! What runs, as one value: for `status`, for the question what runs which version after an apply that failed, and for
//! programs. It says nothing of what should be done; that is a plan's business.

use schemars::JsonSchema;
use serde::Serialize;

mod aws;
mod from_world;
mod versions;

pub use versions::{GroupVersions, RunningVersion};

/// The version of the fleet as a document. The second part grows when fields are added, the first when any changes
/// meaning.
pub const FORMAT_VERSION: &str = "1.1";

/// Everything of one environment, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EnvironmentStatus {
    /// The version of this shape. Readers should refuse another first part and ignore fields they do not know.
    pub format_version: &'static str,
    /// The project that the manifest names.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// The organization on Fly.
    pub organization: String,
    /// Every app of the manifest, and every app of ours that has left it.
    pub apps: Vec<AppSummary>,
    /// Buckets, identity providers and roles on AWS.
    pub aws: Vec<AwsResourceSummary>,
    /// What is there and left alone.
    pub unmanaged: Vec<UnmanagedSummary>,
    /// Facts that the user should know.
    pub warnings: Vec<String>,
}

/// Something on AWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AwsResourceSummary {
    /// Its address, such as `aws.bucket/backups`.
    pub address: String,
    /// What AWS calls it.
    pub name: String,
    /// Whether it is there.
    pub exists: bool,
    /// Whether the manifest asks for it.
    pub wanted: bool,
    /// What it is like, in a few words.
    pub about: String,
}

/// One app and everything in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AppSummary {
    /// Its key in the manifest.
    pub app: String,
    /// Its name on Fly.
    pub fly_name: String,
    /// Whether it is there.
    pub exists: bool,
    /// Its process groups, one for each region.
    pub groups: Vec<GroupSummary>,
    /// Its machines that run by schedule.
    pub cron: Vec<CronSummary>,
    /// Its volumes.
    pub volumes: Vec<VolumeSummary>,
    /// Its addresses.
    pub ips: Vec<IpSummary>,
    /// Its certificates.
    pub certificates: Vec<CertificateStatus>,
    /// The names of its secrets.
    pub secrets: Vec<String>,
    /// Addresses that the manifest names and that are not there.
    pub missing: Vec<String>,
}

/// The machines of one process group in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GroupSummary {
    /// The process group.
    pub group: String,
    /// The region.
    pub region: String,
    /// How many machines the manifest asks for here.
    pub desired: usize,
    /// How many are started.
    pub running: usize,
    /// How many sleep until a request wakes them.
    pub asleep: usize,
    /// Whether the machines of this process group, here and in other regions, run different images or releases: a
    /// rollout is half done.
    pub mixed: bool,
    /// The machines.
    pub machines: Vec<MachineSummary>,
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MachineSummary {
    /// Its name within its kind, such as `web/app/ewr/0`.
    pub name: String,
    /// Fly's id of it.
    pub id: String,
    /// Its region.
    pub region: String,
    /// Its state in Fly's words.
    pub state: String,
    /// What that means.
    pub activity: Activity,
    /// Its checks.
    pub checks: CheckCounts,
    /// What it runs.
    pub image: Option<ImageSummary>,
    /// The release that it belongs to.
    pub release: Option<String>,
    /// Whether the proxy leaves it out.
    pub cordoned: bool,
    /// Whether its host answers.
    pub reachable: bool,
    /// Whether its last start was seen to succeed.
    pub proven: bool,
    /// Whether the manifest asks for it.
    pub wanted: bool,
    /// Whether a new machine has taken over from it: it is hidden from the proxy, and goes with the next apply, or takes
    /// over again with a rollback.
    pub retired: bool,
    /// Fly's id of the volume that it holds.
    pub volume: Option<String>,
    /// How its program ended last.
    pub last_run: Option<LastRun>,
}

/// What a machine's state means to those who wait for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It runs.
    Running,
    /// It is between two states.
    Changing,
    /// It is stopped or suspended, and wakes on request.
    Asleep,
    /// It is stopped, and Fly starts it when the host of another fails.
    Standby,
    /// It is stopped, and only a person or a schedule starts it.
    Stopped,
    /// Its start failed.
    Failed,
    /// Its host does not answer, so nobody knows.
    Unreachable,
}

/// The checks of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct CheckCounts {
    /// How many pass.
    pub passing: usize,
    /// How many there are.
    pub total: usize,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ImageSummary {
    /// The reference that the machine was made with.
    pub reference: String,
    /// The digest that it stood for.
    pub digest: Option<String>,
}

/// The end of a run of a machine's program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct LastRun {
    /// When it ended, in RFC 3339 and UTC.
    pub ended_at: String,
    /// The code that it exited with.
    pub exit_code: Option<i64>,
    /// Whether it ran out of memory.
    pub oom_killed: bool,
    /// Whether it was asked to end.
    pub requested: bool,
}

/// A machine that runs by schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CronSummary {
    /// How often it runs; nothing when somebody took the schedule away.
    pub schedule: Option<String>,
    /// Whether it runs another image than the rest of its app, although the manifest does not say so.
    pub other_image: bool,
    /// The machine itself.
    #[serde(flatten)]
    pub machine: MachineSummary,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VolumeSummary {
    /// Its name within its kind, such as `web/data/ewr/0`.
    pub name: String,
    /// Fly's id of it.
    pub id: String,
    /// Its state in Fly's words.
    pub state: String,
    /// Its region.
    pub region: String,
    /// Its size in gigabytes.
    pub size_gb: u32,
    /// Bytes used, where Fly tells.
    pub bytes_used: Option<u64>,
    /// Bytes in all, where Fly tells.
    pub bytes_total: Option<u64>,
    /// The id of the machine that holds it.
    pub held_by: Option<String>,
    /// The name of that machine, when it is one of the environment's.
    pub held_by_name: Option<String>,
    /// Whether its host answers.
    pub reachable: bool,
    /// Whether the manifest asks for it.
    pub wanted: bool,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IpSummary {
    /// Its name within its kind, such as `web/v6`.
    pub name: String,
    /// The address itself.
    pub address: String,
    /// `shared_v4`, `v4`, `v6` or `private_v6`.
    pub kind: String,
    /// Its region, or `global`.
    pub region: String,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateStatus {
    /// Its name within its kind.
    pub name: String,
    /// The host.
    pub hostname: String,
    /// Whether DNS is set up for it.
    pub configured: bool,
}

/// Something that is there but not ours to manage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnmanagedSummary {
    /// What it is.
    pub what: String,
    /// The app that it is in, by its key in the manifest.
    pub within: String,
    /// Why it is left alone.
    pub why: String,
}

impl MachineSummary {
    /// Whether it runs and all its checks pass.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.activity == Activity::Running && self.checks.passing == self.checks.total
    }

    /// Whether it does not do what it should: one that sleeps, or was stopped by somebody, does.
    #[must_use]
    pub fn has_problem(&self) -> bool {
        let fails = self.activity == Activity::Running && !self.is_healthy();
        fails || !self.proven || matches!(self.activity, Activity::Failed | Activity::Unreachable)
    }
}

impl EnvironmentStatus {
    /// Every machine of a process group.
    pub fn machines(&self) -> impl Iterator<Item = &MachineSummary> {
        self.apps
            .iter()
            .flat_map(|app| &app.groups)
            .flat_map(|group| &group.machines)
    }

    /// The fleet as a document for programs, described by [`schema`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Every type in it serialises: no map has keys that are not text.
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
