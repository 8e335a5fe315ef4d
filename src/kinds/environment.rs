//! What concerns an environment as a whole: the settings of its manifest, and what observing the clouds found besides the
//! resources.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Blocker, DataLoss, World};
use crate::model::{Address, Image, Name, OwnershipMark};

/// A live object that trimtab does not manage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnmanagedResource {
    /// What it is, such as `volume scratch (vol_x, ewr)`.
    pub description: String,
    /// The app that contains it or the role that it is attached to, under its key in the manifest; under its path when the
    /// role has no key.
    pub container: Address,
    /// Why it is not managed.
    pub why: String,
    /// What is lost when the app that contains it is deleted.
    pub data_loss: Option<DataLoss>,
    /// The address under which a plan lists it when the app that contains it is deleted. `None` for what is no object of its
    /// own, such as a setting of a machine.
    pub address: Option<Address>,
    /// The cloud's id; empty when it has none.
    pub identity: String,
}

/// A live object that the manifest names but that belongs to another owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnershipConflict {
    /// The address that the manifest gives it.
    pub address: Address,
    /// Who owns it, as a sentence.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
    /// Whether `--adopt ADDRESS` resolves the conflict. It does for an object without an ownership mark, and never for one
    /// with the mark of another owner.
    pub adoptable: bool,
    /// Whether it belongs to this environment and would be forgotten. Then not even a removal of the environment passes it over.
    #[serde(skip)]
    pub is_own: bool,
}

/// What was found besides the resources themselves. Observing the clouds fills it; planning adds warnings.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Live objects that are not managed.
    pub unmanaged: Vec<UnmanagedResource>,
    /// Live objects that the manifest names and that belong to another owner.
    pub ownership_conflicts: Vec<OwnershipConflict>,
    /// Warnings for the user, such as of a host that cannot be reached.
    pub warnings: Vec<String>,
    /// The names of buckets that these credentials may not look at, though they may belong to the environment.
    pub unreadable_buckets: Vec<String>,
    /// The real slug of the organization on Fly, under which OIDC tokens are issued. It differs from `personal`, which every
    /// user may write for the own organization.
    pub fly_org_slug: Option<String>,
}

impl World {
    /// The real slug of the organization on Fly, see [`Findings::fly_org_slug`].
    ///
    /// # Errors
    /// When the token may not read it.
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

/// The settings of a manifest that concern the environment as a whole.
#[derive(Clone, Debug)]
pub struct EnvironmentMeta {
    /// The ownership mark that is written on everything that is created.
    pub mark: OwnershipMark,
    /// The organization on Fly, as the manifest writes it.
    pub org: String,
    /// The settings of AWS, where the manifest names an account.
    pub aws: Option<AwsMeta>,
    /// Resources without an ownership mark that the user allowed to take over with `--adopt`.
    pub adopt: BTreeSet<Address>,
    /// Resources whose data the user allowed to lose with `--allow-destroy`. A spare volume is deleted only when it is here.
    pub allow_destroy: BTreeSet<Address>,
    /// Databases and generated secrets that the user asked a new password or value for with `--rotate`.
    pub rotate: BTreeSet<Address>,
    /// Whether Postgres clusters that run are asked for their roles and databases, beyond what is recorded (`--deep`).
    pub deep: bool,
    /// Apps whose image the command line gives, and the image. The id of a plan does not cover them: a release is expected to
    /// bring another image than the one that ran when the plan was reviewed.
    pub given_images: BTreeMap<Name, Image>,
    /// Apps that are rolled back automatically when their rollout fails.
    pub rollback_on_failure: BTreeSet<Name>,
    /// Warnings about the manifest, such as of a key without effect.
    pub warnings: Vec<String>,
}

/// The settings of AWS in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsMeta {
    /// The account id: twelve digits.
    pub account: String,
    /// The region of resources that state none.
    pub region: String,
    /// The bucket that holds the environment's lock: its name and region.
    pub lock_bucket: Option<(String, String)>,
    /// The prefix of the names of buckets that state none.
    pub bucket_prefix: String,
    /// Whether the environment is being destroyed. Its own roles then do not keep the identity provider from being deleted.
    pub is_destroying: bool,
}
