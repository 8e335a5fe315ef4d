//! The resource kinds: what a resource is, and the one place that lists them all.
//!
//! A kind is one folder. `spec.rs` says what a manifest asks for and what the cloud reports, `diff.rs` compares the
//! two, and `drive.rs`, the only file that may name a client, reads live records and carries operations out. To add a kind: make its folder, add one line to the list at the end of this file,
//! and follow the compiler.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use serde::Serialize;

use crate::model::{Address, DiffLine, KindName, Name, OwnershipMark, ResourceMap, RolloutPolicy};

pub mod aws;
mod drive;
pub mod fly;
mod writers;
#[macro_use]
mod list;

pub use drive::Drive;
pub use list::{KindVisitor, RegisteredKind};
pub use writers::CloudWriters;

/// A kind of resource, described without touching a cloud.
pub trait Kind: KindName + Sized + 'static {
    /// What a manifest asks for.
    type Spec: References + Serialize + Clone + Debug + PartialEq + Send + Sync;
    /// What the cloud reports, normalised once when it is read.
    type Live: References + Serialize + Clone + Debug + Send + Sync;
    /// One in-place API call. The lines that announce it and the call that does it are one value.
    type Edit: DescribeEdit + Clone + Debug + Send + Sync;

    /// Whether creations in one lane go one after the other, because one whose answer was lost could not be told from
    /// another that is made at the same time.
    const SERIAL_CREATE: bool = false;

    /// Whether the first part of a name is the app that it is in.
    const IN_APP: bool = true;

    /// When in a rollout changes of this kind come.
    const PHASE: Phase = Phase::Anytime;

    /// Compares what is asked for with what is there.
    fn diff(spec: &Self::Spec, live: &Self::Live, around: &DiffContext<'_>) -> Diff<Self::Edit>;

    /// Completes what the manifest leaves open before a creation, from what is there already.
    ///
    /// # Errors
    /// When it stays open.
    fn resolve_defaults(
        spec: &Self::Spec,
        around: &DiffContext<'_>,
    ) -> Result<Self::Spec, Blocker> {
        let _ = around;
        Ok(spec.clone())
    }

    /// What a creation shows: the attributes that matter to a reader.
    fn creation_lines(spec: &Self::Spec, around: &DiffContext<'_>) -> Vec<DiffLine>;

    /// The id of the live object: what tells it from another of the same name.
    fn identity(live: &Self::Live) -> String;

    /// Why nothing can be said of the live object or done to it now.
    fn unavailable(live: &Self::Live) -> Option<Blocker> {
        let _ = live;
        None
    }

    /// Whether it does not work as it is, so that changing it takes nothing from what serves.
    fn is_down(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// Whether a proof that it works was begun and has not succeeded.
    fn is_unverified(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// Whether its successor has taken over: its removal only finishes what an earlier apply began.
    fn is_retired(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// A short description of a live object for a line of output: its id, size, place.
    fn describe(live: &Self::Live) -> String;

    /// Whether the manifest changed or somebody changed the object outside, where the object can tell.
    fn cause(spec: &Self::Spec, live: &Self::Live) -> Cause {
        let _ = (spec, live);
        Cause::Unknown
    }

    /// The resource whose deletion takes this one with it, so that no step of its own is needed.
    fn deleted_with(live: &Self::Live) -> Option<Address> {
        let _ = live;
        None
    }

    /// Steps of one lane take turns: the machines of a process group, say.
    fn rollout_group(name: &Name) -> Option<RolloutGroup> {
        let _ = name;
        None
    }

    /// How the members of its lane take turns.
    fn rollout_policy(spec: &Self::Spec) -> RolloutPolicy {
        let _ = spec;
        RolloutPolicy::SERIAL
    }

    /// Whether there is something that proves, at the end of a rollout, that it works.
    fn has_verification(spec: &Self::Spec) -> bool {
        let _ = spec;
        false
    }

    /// The machine to lease while the live object is changed.
    fn lease_target(live: &Self::Live) -> Option<LeaseTarget> {
        let _ = live;
        None
    }

    /// How long an operation takes, as far as can be told beforehand.
    fn cost(op: &Op<Self>) -> Cost {
        let _ = op;
        Cost::CALL
    }

    /// Why the live object cannot be removed as it is.
    fn deletion_blocker(live: &Self::Live) -> Option<Blocker> {
        let _ = live;
        None
    }

    /// What would be lost for good if the live object were destroyed.
    fn data_loss(live: &Self::Live) -> Option<DataLoss> {
        let _ = live;
        None
    }

    /// How to keep what would be lost, where there is a way.
    fn recovery_hint(live: &Self::Live) -> Option<String> {
        let _ = live;
        None
    }

    /// Whether the live object is marked as not to be destroyed.
    fn is_protected(live: &Self::Live) -> bool {
        let _ = live;
        false
    }
}

/// What a deletion loses for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataLoss {
    /// Data: no later apply brings it back.
    Data,
    /// A whole app: whatever it serves stops.
    App,
    /// An address that the world may know, and that cannot be had again.
    Address,
}

/// The name of a lane, see [`Kind::lane`].
pub type RolloutGroup = Name;

/// A machine that nobody else may change meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseTarget {
    /// The app it belongs to.
    pub app: Name,
    /// Fly's id.
    pub id: String,
    /// The version that the plan was made against.
    pub version: String,
}

/// When in a rollout of an app the changes of a kind come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Whenever its references allow.
    Anytime,
    /// It is done once, before anything is rolled out.
    PreRollout,
    /// It is what is rolled out.
    Rollout,
    /// It follows when everything that is rolled out is healthy.
    PostRollout,
}

/// How long an operation takes by experience, and which of the API's limits it counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Seconds from its beginning to its end.
    pub secs: u64,
    /// Whether it counts for the one request a second that Fly allows for making things in an app.
    pub is_create: bool,
}

impl Cost {
    /// A call and its answer.
    pub const CALL: Self = Self {
        secs: 1,
        is_create: false,
    };
    /// Making something that is there at once.
    pub const CREATE: Self = Self {
        secs: 1,
        is_create: true,
    };
}

/// Names the resources a value points at.
pub trait References {
    /// Every address pointed at; each becomes an edge of the plan.
    fn references(&self) -> Vec<Address>;
}

/// Says what a change does, in the words of the manifest.
pub trait DescribeEdit {
    /// The lines of the diff.
    fn lines(&self) -> Vec<DiffLine>;
    /// Whether it only follows a change of something that it refers to.
    fn follows_reference(&self) -> bool {
        false
    }
    /// Whether it only finishes what an earlier apply began, so that a review of that apply covers it.
    fn completes_earlier_apply(&self) -> bool {
        false
    }
    /// What it means for what runs.
    fn impact(&self) -> Impact {
        Impact::Quiet
    }
    /// Whether it serves only from then on.
    fn starts_serving(&self) -> bool {
        false
    }
    /// Whether such changes in one lane go one after the other.
    fn obeys_rollout_policy(&self) -> bool {
        self.impact() == Impact::Restart
    }
}

/// The edit of a kind that never changes in place: there is none.
#[derive(Clone, Copy, Debug)]
pub enum NoEdit {}

impl DescribeEdit for NoEdit {
    fn lines(&self) -> Vec<DiffLine> {
        match *self {}
    }
}

/// What a step means for what runs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Nothing restarts.
    Quiet,
    /// A machine that does not run is updated, and stays as it is.
    Asleep,
    /// A running machine restarts.
    Restart,
}

/// What differs between a spec and a live object.
#[derive(Clone, Debug, PartialEq)]
pub enum Diff<E> {
    /// Nothing.
    Same,
    /// These calls make it right.
    Edit(Vec<E>),
    /// Only a new object will do; the lines say why.
    Replace(Vec<DiffLine>),
    /// A new object comes up beside the old one and then takes its place; the lines say what is other about it.
    Successor(Vec<DiffLine>),
    /// It cannot be done, or not by us.
    Blocked(Blocker),
}

/// A change that is refused, and the way to do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// Why it is refused.
    pub reason: String,
    /// What to do instead.
    pub hint: String,
}

/// Who made the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The manifest changed since the last apply.
    Manifest,
    /// The object was changed outside since the last apply.
    Outside,
    /// Nobody touched it: the tag of its image means another image than when it was applied.
    Moved,
    /// Nobody touched it: something that it refers to changes, and it follows.
    Follows,
    /// The object cannot tell.
    Unknown,
}

/// What a diff may look at besides its own two sides.
pub struct DiffContext<'a> {
    /// The world as it was observed.
    pub world: &'a World,
    /// What of it this plan replaces or deletes, as far as it is known when the diff is made.
    pub removed: &'a BTreeSet<Address>,
    /// The resources that change in this plan, with their lines.
    pub changed: &'a BTreeMap<Address, Vec<DiffLine>>,
    /// The apps in which something is rolled out in this plan, as far as it is known when the diff is made.
    pub rolling_out: &'a BTreeSet<Name>,
    /// The release that the manifest asks for, by app.
    pub releases: &'a BTreeMap<Name, fly::Release>,
}

/// An operation of one kind. Typed, so that a volume's edit cannot meet an app.
#[derive(Clone, Debug)]
pub enum Op<K: Kind> {
    /// Make it.
    Create(K::Spec),
    /// Change it in place, call after call.
    Edit(K::Live, Vec<K::Edit>),
    /// Remove it.
    Delete(K::Live),
    /// Make one beside the one that is there, which goes on until its successor takes over.
    CreateSuccessor(K::Spec, K::Live),
    /// Let the successors take over from these, all at once. What goes without a successor is among them.
    HandOver(Vec<(Name, K::Live)>),
    /// Remove one whose successor has taken over.
    Retire(K::Live),
    /// Prove that it works.
    Verify(K::Spec),
}

/// Something that is there but not ours to manage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UnmanagedResource {
    /// What it is, such as `volume scratch (vol_x, ewr)`.
    pub what: String,
    /// The app it is in, or the role that it is attached to, by its key in the manifest; a role's path, where that is all.
    pub within: Name,
    /// Why it is left alone.
    pub why: String,
    /// What would be lost with its app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<DataLoss>,
}

/// An object that the manifest names but that somebody else made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnershipConflict {
    /// The address that the manifest gives it.
    pub address: Address,
    /// Whose it is.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
    /// Whether `--adopt ADDRESS` lifts the claim; another owner's mark is never lifted.
    pub adoptable: bool,
}

/// What observing found besides the resources themselves.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What is there and left alone.
    pub unmanaged: Vec<UnmanagedResource>,
    /// What the manifest names and somebody else owns.
    pub ownership_conflicts: Vec<OwnershipConflict>,
    /// Facts the user should know, such as a host that cannot be reached.
    pub warnings: Vec<String>,
    /// The own slug of the organization on Fly, which tokens are issued under, as Fly told it.
    pub fly_org_slug: Option<String>,
}

impl World {
    /// The own slug of the organization on Fly, see [`Found::fly_org`].
    ///
    /// # Errors
    /// When Fly has not told it.
    pub fn fly_org_slug(&self) -> Result<&str, Blocker> {
        self.findings
            .fly_org_slug
            .as_deref()
            .ok_or_else(|| {
                Blocker {
            reason:
                "the organization's own slug on Fly is not known, and tokens are issued under it"
                    .to_owned(),
            hint: "use a token that may read the organization: `fly tokens create org`".to_owned(),
        }
            })
    }
}

/// Which environment a [`Desired`] describes, and what its manifest says about itself.
#[derive(Clone, Debug)]
pub struct EnvironmentMeta {
    /// Written on everything that is made.
    pub mark: OwnershipMark,
    /// The organization on Fly.
    pub org: String,
    /// The account of AWS, where the manifest names one.
    pub aws: Option<AwsMeta>,
    /// Apps the user said may be taken over although they bear no mark.
    pub adopt: BTreeSet<Address>,
    /// Apps whose rollout is taken back when it fails.
    pub rollback_on_failure: BTreeSet<Name>,
    /// Facts the user should know about the manifest, such as a key without effect.
    pub warnings: Vec<String>,
}

/// What a manifest says of AWS as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsMeta {
    /// The account, twelve digits.
    pub account: String,
    /// The region of what states none.
    pub region: String,
    /// The bucket that holds the environment's lock: its name and region.
    pub lock_bucket: Option<(String, String)>,
    /// What the names of buckets that state none begin with.
    pub bucket_prefix: String,
    /// Whether the environment is being removed: then its own roles do not keep the identity provider.
    pub is_destroying: bool,
}

// Ground up: a kind refers only to kinds above it, or to its own.
define_kinds! {
    aws_provider: AwsProvider = aws::OidcProvider,
    aws_role: AwsRole = aws::Role,
    aws_bucket: AwsBucket = aws::Bucket,
    fly_app: FlyApp = fly::App,
    fly_ip: FlyIp = fly::Ip,
    fly_certificate: FlyCertificate = fly::Certificate,
    fly_secrets: FlySecrets = fly::Secrets,
    fly_volume: FlyVolume = fly::Volume,
    fly_machine: FlyMachine = fly::Machine,
    fly_release: FlyRelease = fly::ReleaseCommand,
    fly_cron: FlyCron = fly::Cron,
}
