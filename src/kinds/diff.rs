//! Differences, the edits that remove them, and the operations that a plan is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Kind, Releases, World};
use crate::model::{Address, DiffLine, Name};

/// Lists the resources that a value refers to.
pub trait References {
    /// The address of every resource that it refers to. Each becomes an edge of the plan.
    fn references(&self) -> Vec<Address>;
}

/// Describes an edit: its lines in the diff, and what it means for a rollout.
pub trait DescribeEdit {
    /// The lines of the diff, with the keys of the manifest.
    fn lines(&self) -> Vec<DiffLine>;
    /// Whether the resource itself is unchanged and only follows something that it refers to, such as new secrets.
    fn follows_reference(&self) -> bool {
        false
    }
    /// Whether it only completes what an earlier apply began, so that the review of that apply covers it.
    fn completes_earlier_apply(&self) -> bool {
        false
    }
    /// What it does to a running machine.
    fn impact(&self) -> Impact {
        Impact::Quiet
    }
    /// Whether the resource serves requests from then on and did not before.
    fn starts_serving(&self) -> bool {
        false
    }
    /// Whether the policy of the rollout group limits how many such edits run at the same time.
    fn obeys_rollout_policy(&self) -> bool {
        self.impact() == Impact::Restart
    }
}

/// The edit type of kinds that never change in place. It has no values.
#[derive(Clone, Copy, Debug)]
pub enum NoEdit {}

impl DescribeEdit for NoEdit {
    fn lines(&self) -> Vec<DiffLine> {
        match *self {}
    }
}

/// What a step does to running machines. The serialised names are part of the plan document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Nothing restarts.
    Quiet,
    /// A stopped machine is updated and stays stopped.
    Asleep,
    /// A running machine restarts.
    Restart,
}

/// The difference between a spec and a live object, and how to remove it.
#[derive(Clone, Debug, PartialEq)]
pub enum Diff<E> {
    /// There is no difference.
    Same,
    /// These edits remove it, in this order.
    Edit(Vec<E>),
    /// Only a new object can remove it; the lines say why.
    Replace(Vec<DiffLine>),
    /// Blue-green: a new object is created beside the old one and takes over from it. The lines say what differs.
    Successor(Vec<DiffLine>),
    /// It cannot be removed, or only by the user.
    Blocked(Blocker),
}

/// Why something cannot be done, and what the user can do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// Why it cannot be done.
    pub reason: String,
    /// What to do instead, in the imperative.
    pub hint: String,
}

/// What caused a difference. The serialised names are part of the plan document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The manifest changed since the last apply.
    Manifest,
    /// The live object was changed outside of trimtab since the last apply (drift).
    Outside,
    /// The tag of its image points at another image than at the last apply.
    Moved,
    /// Something that it refers to changes, and it follows.
    Follows,
    /// The live object holds no record of the last apply.
    Unknown,
}

/// What a diff may use besides the spec and the live object.
pub struct DiffContext<'a> {
    /// The world as it was observed.
    pub world: &'a World,
    /// The resources that this plan replaces or deletes, among those of the kinds compared so far.
    pub removed: &'a BTreeSet<Address>,
    /// The resources that change in this plan, with their lines.
    pub changed: &'a BTreeMap<Address, Vec<DiffLine>>,
    /// The apps in which this plan rolls something out, among the kinds compared so far.
    pub rolling_out: &'a BTreeSet<Name>,
    /// The release that the manifest asks for, by app.
    pub releases: &'a Releases,
    /// What gets a new password or value, see [`EnvironmentMeta::rotate`](super::EnvironmentMeta::rotate).
    pub rotate: &'a BTreeSet<Address>,
}

/// An operation of one kind. The type parameter makes it impossible to apply the edit of a volume to an app.
#[derive(Clone, Debug)]
pub enum Op<K: Kind> {
    /// Creates the resource.
    Create(K::Spec),
    /// Makes edits in place, one call after the other.
    Edit(K::Live, Vec<K::Edit>),
    /// Deletes the object.
    Delete(K::Live),
    /// Blue-green: creates a successor beside the object, which continues to serve.
    CreateSuccessor(K::Spec, K::Live),
    /// Blue-green: switches traffic from these objects to their successors, all at once. Objects that are deleted without a
    /// successor are among them.
    HandOver(Vec<(Name, K::Live)>),
    /// Blue-green: deletes an object whose successor has taken over.
    Retire(K::Live),
    /// Verifies that the resource works.
    Verify(K::Spec),
}
