//! The traits by which a kind describes itself to the planner and the apply loop. Neither of them ever tests for one kind by its
//! name, so adding a kind changes nothing there.

use std::{fmt::Debug, time::Duration};

use serde::Serialize;

use super::{Blocker, Cause, DescribeEdit, Diff, DiffContext, KINDS, Op, References};
use crate::model::{Address, DiffLine, KindName, Name, RolloutPolicy};

/// A kind of resource, described without touching a cloud.
///
/// This is all that an ordinary kind has to say of itself. What only some kinds have is in [`RolloutRules`],
/// [`DeletionRules`] and [`OperationRules`], each of which has a default for everything: a kind whose line in the list at
/// the end of `kinds/mod.rs` names such a trait takes all its defaults.
pub trait Kind: KindName + Sized + 'static {
    /// What a manifest asks for.
    type Spec: References + Serialize + Clone + Debug + PartialEq + Send + Sync;
    /// What the cloud reports, normalised once when it is read.
    type Live: References + Serialize + Clone + Debug + Send + Sync;
    /// One in-place API call. The same value is shown as lines of the diff and run as the call, so the two cannot differ.
    type Edit: DescribeEdit + Clone + Debug + Send + Sync;

    /// The name of the kind that contains every resource of this kind, such as `fly.app`. The first segment of a
    /// resource's name is then the name of its container.
    const CONTAINER: Option<&'static str> = None;

    /// The attributes of a new resource that only the cloud can know, such as its id.
    const KNOWN_AFTER_CREATE: &'static [&'static str] = &["id"];

    /// Compares the spec with the live object.
    fn diff(spec: &Self::Spec, live: &Self::Live, context: &DiffContext<'_>) -> Diff<Self::Edit>;

    /// Fills in what the manifest leaves open, before a creation.
    ///
    /// # Errors
    /// When the world does not say it either, such as when an app without an image has no machine yet.
    fn resolve_defaults(
        spec: &Self::Spec,
        context: &DiffContext<'_>,
    ) -> Result<Self::Spec, Blocker> {
        let _ = context;
        Ok(spec.clone())
    }

    /// The attributes of a new resource that matter to whoever reads the plan.
    fn creation_lines(spec: &Self::Spec, context: &DiffContext<'_>) -> Vec<DiffLine>;

    /// The cloud's id of the live object. It tells the object from another of the same name; empty when the cloud has none.
    fn identity(live: &Self::Live) -> String;

    /// A short description of a live object for one line of output: its id, size, region.
    fn describe(live: &Self::Live) -> String;

    /// Why the live object cannot be changed at present, such as a host that does not answer. The plan then defers its change.
    fn unavailable(live: &Self::Live) -> Option<Blocker> {
        let _ = live;
        None
    }

    /// A difference that trimtab leaves to the user, such as a volume that is larger than the manifest asks for. The plan reports it
    /// and changes the rest; [`Kind::diff`] leaves it out.
    fn manual_change(spec: &Self::Spec, live: &Self::Live) -> Option<Blocker> {
        let _ = (spec, live);
        None
    }

    /// Whether the manifest or the live object has changed since the last apply, where the object can tell.
    fn cause(spec: &Self::Spec, live: &Self::Live) -> Cause {
        let _ = (spec, live);
        Cause::Unknown
    }
}

/// How changes of a kind take part in the rollout of an app.
pub trait RolloutRules: Kind {
    /// When in a rollout changes of this kind come.
    const PHASE: Phase = Phase::Anytime;

    /// Whether creations in one rollout group run one after the other. A kind that bears no ownership mark needs this:
    /// when an answer is lost, two objects that are created at the same time could not be told apart.
    fn creates_serially(spec: &Self::Spec) -> bool {
        let _ = spec;
        false
    }

    /// The group in which changes run in order, such as the process group of a machine.
    fn rollout_group(name: &Name) -> Option<RolloutGroup> {
        let _ = name;
        None
    }

    /// In which order, and how many at once, the members of its group change.
    fn rollout_policy(spec: &Self::Spec) -> RolloutPolicy {
        let _ = spec;
        RolloutPolicy::SERIAL
    }

    /// Whether it is unavailable already, so that changing it makes nothing worse.
    fn is_down(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// Whether it changes after the other members of its group, as the primary of a Postgres cluster does.
    fn changes_last(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// Whether its successor has taken over. Deleting it only completes an earlier apply.
    fn is_retired(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// Whether the verification of its app has begun and has not succeeded.
    fn is_unverified(live: &Self::Live) -> bool {
        let _ = live;
        false
    }

    /// Whether it is verified at the end of a rollout.
    fn has_verification(spec: &Self::Spec) -> bool {
        let _ = spec;
        false
    }

    /// What an operation means in the description of a rollout.
    fn rollout_note(op: &Op<Self>) -> Option<RolloutNote> {
        let _ = op;
        None
    }
}

/// What the deletion of a resource does, and what it must wait for.
pub trait DeletionRules: Kind {
    /// Whether only one resource at a time can use a resource of this kind, as one machine mounts a volume. A new user
    /// then waits until the old one is deleted.
    const EXCLUSIVE: bool = false;

    /// Whether deletions wait until every change of other kinds is done, because resources depend on this kind in ways that
    /// no reference shows. A machine, for example, knows its bucket only from an environment variable.
    const DELETED_LAST: bool = false;

    /// The resource whose deletion deletes this one too, so that it needs no step of its own.
    fn deleted_with(live: &Self::Live) -> Option<Address> {
        let _ = live;
        None
    }

    /// Why the live object cannot be deleted in its present state.
    fn deletion_blocker(live: &Self::Live) -> Option<Blocker> {
        let _ = live;
        None
    }

    /// What would be lost for good if the live object were deleted.
    fn data_loss(live: &Self::Live) -> Option<DataLoss> {
        let _ = live;
        None
    }

    /// What would be lost for good if it were deleted together with its container.
    fn data_loss_with_container(live: &Self::Live) -> Option<DataLoss> {
        Self::data_loss(live)
    }

    /// Whether there is anything to delete. A live value may only be what is known of something that is no object.
    fn is_object(live: &Self::Live) -> bool {
        let _ = live;
        true
    }

    /// What would be lost for good if these edits were made.
    fn edit_loss(live: &Self::Live, edits: &[Self::Edit]) -> Option<DataLoss> {
        let _ = (live, edits);
        None
    }

    /// How to keep what would be lost.
    fn recovery_hint(live: &Self::Live) -> Option<String> {
        let _ = live;
        None
    }

    /// Whether the live object is marked as protected from deletion.
    fn is_protected(live: &Self::Live) -> bool {
        let _ = live;
        false
    }
}

/// What an operation needs while it runs.
pub trait OperationRules: Kind {
    /// The machine to lease while the live object changes.
    fn lease_target(live: &Self::Live) -> Option<LeaseTarget> {
        let _ = live;
        None
    }

    /// How long an operation is expected to take.
    fn cost(op: &Op<Self>) -> Cost {
        let _ = op;
        Cost::CALL
    }
}

/// What the description of a rollout says of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutNote {
    /// Secrets are set or unset; each line of the step names one.
    Secrets,
    /// A release command runs: the command line, as a shell would read it.
    ReleaseCommand(String),
    /// A request verifies that the app works.
    Verification {
        /// The URL without its query, which may hold credentials.
        url: String,
        /// The status that the response must have.
        status: u16,
        /// Whether the response body must match a pattern as well.
        checks_body: bool,
    },
}

/// What is the same for all resources of a kind, for code that holds only an address.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// The kind's name in addresses, such as `fly.volume`.
    pub name: &'static str,
    /// See [`Kind::CONTAINER`].
    pub container: Option<&'static str>,
    /// See [`Kind::KNOWN_AFTER_CREATE`].
    pub known_after_create: &'static [&'static str],
    /// See [`RolloutRules::PHASE`].
    pub phase: Phase,
    /// See [`DeletionRules::EXCLUSIVE`].
    pub exclusive: bool,
    /// See [`DeletionRules::DELETED_LAST`].
    pub deleted_last: bool,
}

impl KindInfo {
    pub(super) const fn new<K: Kind + RolloutRules + DeletionRules>() -> Self {
        Self {
            name: K::NAME,
            container: K::CONTAINER,
            known_after_create: K::KNOWN_AFTER_CREATE,
            phase: K::PHASE,
            exclusive: K::EXCLUSIVE,
            deleted_last: K::DELETED_LAST,
        }
    }

    /// The kind of an address; `None` when the address, which a user may have typed, names no kind.
    #[must_use]
    pub fn lookup(address: &Address) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == address.kind())
    }

    /// Whether resources of other kinds live inside resources of this kind.
    #[must_use]
    pub fn is_container(&self) -> bool {
        KINDS.iter().any(|kind| kind.container == Some(self.name))
    }
}

/// What a deletion loses for good. The serialised names are part of the plan document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataLoss {
    /// The data in a volume or a bucket.
    Data,
    /// A whole app: everything that it serves stops.
    App,
    /// An IP address that clients or DNS records may use, and that Fly does not assign a second time.
    Address,
    /// The value of a secret, which Fly never returns.
    Secret,
}

impl DataLoss {
    /// What it means for the user, as the end of a sentence about the object.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Data => "its data is lost",
            Self::App => "whatever it serves stops",
            Self::Address => "its address cannot be obtained again",
            Self::Secret => "its value is lost",
        }
    }
}

/// The name of a rollout group, such as `web/app`; see [`RolloutRules::rollout_group`].
pub type RolloutGroup = Name;

/// A machine to lease, so that no other process changes it at the same time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseTarget {
    /// The app it belongs to.
    pub app: Name,
    /// Fly's id of the machine.
    pub id: String,
    /// The version of its configuration that the plan was made against.
    pub version: String,
}

/// When in the rollout of an app the changes of a kind come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Whenever references allow: the kind takes no part in rollouts.
    Anytime,
    /// Once, before the rollout: a release command.
    PreRollout,
    /// The rollout itself: machines of process groups.
    Rollout,
    /// When everything that is rolled out is healthy: cron machines.
    PostRollout,
}

/// The expected duration of an operation, and whether Fly's rate limit for creations counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The typical duration: of a program that starts without delay, and with its image on the host already.
    pub duration: Duration,
    /// Whether it counts for the one creation per second that Fly allows in an app.
    pub is_create: bool,
}

impl Cost {
    /// One API call that takes effect at once.
    pub const CALL: Self = Self {
        duration: Duration::from_millis(300),
        is_create: false,
    };

    /// A change or deletion that takes `secs` seconds.
    #[must_use]
    pub const fn change(secs: u64) -> Self {
        Self {
            duration: Duration::from_secs(secs),
            is_create: false,
        }
    }

    /// A creation that takes `secs` seconds and counts for the rate limit.
    #[must_use]
    pub const fn creation(secs: u64) -> Self {
        Self {
            duration: Duration::from_secs(secs),
            is_create: true,
        }
    }
}
