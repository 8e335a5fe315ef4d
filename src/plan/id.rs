//! The id of a plan, by which a reviewed plan is recognised at apply.
//!
//! Equal plans have equal ids. The id also carries a short hash of every step, so a later plan can be recognised as a part of
//! the reviewed one, without the plan being stored anywhere.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::{Action, Plan, Step};
use crate::model::{Address, DiffLine, DisplayValue};

/// Bytes of the hash of the whole plan.
const PLAN_HASH_LEN: usize = 6;
/// Bytes of the hash of each step. With six bytes, a false match in a plan of a thousand steps is rarer than one in 10^11,
/// and the id of ten steps has about 90 characters.
const STEP_HASH_LEN: usize = 6;
/// The number of steps above which the id holds the hash of the whole plan only, so that it fits into one line of a log.
const MAX_STEPS: usize = 200;

/// The id of a plan: `3f2c1ab09d4e` or `3f2c1ab09d4e.BASE64`, where the second part holds the hashes of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanId {
    plan_hash: [u8; PLAN_HASH_LEN],
    step_hashes: BTreeSet<[u8; STEP_HASH_LEN]>,
}

/// A string that is not the id of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the id of a plan: copy it from the line `Plan id:` of `plan`, or from `expect` in its JSON"
)]
pub struct InvalidPlanId(String);

impl Plan {
    /// The id of this plan, computed from the address, action, lines and live object of its steps. Steps that only complete an
    /// earlier apply are left out.
    #[must_use]
    pub fn id(&self) -> PlanId {
        let mut plan_hash = Sha256::new();
        plan_hash.update(format!("{}/{}", self.mark.project, self.mark.environment));
        let mut steps: BTreeSet<[u8; STEP_HASH_LEN]> = BTreeSet::new();
        // A step that completes an earlier apply was covered by the review of that apply. It is left out, so that an
        // interrupted apply can continue under the same id.
        for step in self.steps().filter(|step| !step.completes_earlier_apply) {
            steps.insert(self.step_hash(step));
            steps.extend(self.creation_hash(step));
        }
        for step in &steps {
            plan_hash.update(step);
        }
        for blocked in &self.blocked {
            plan_hash.update(blocked.address.to_string());
        }
        let mut id = PlanId {
            plan_hash: [0; PLAN_HASH_LEN],
            step_hashes: steps,
        };
        id.plan_hash
            .copy_from_slice(&plan_hash.finalize()[..PLAN_HASH_LEN]);
        if id.step_hashes.len() > MAX_STEPS {
            id.step_hashes.clear();
        }
        id
    }
}

/// Whether a step may not run unless somebody has reviewed it, where reviews are optional.
fn needs_review(step: &Step) -> bool {
    let removes = matches!(
        step.action,
        Action::Delete | Action::ReplaceDelete | Action::ReplaceCreate
    );
    (removes || step.data_loss.is_some()) && !step.completes_earlier_apply
}

/// The plan that an apply was told to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedPlan {
    /// A saved plan: every step, with the images that it names.
    Saved(PlanId),
    /// A plan that was reviewed, by its [`Plan::review_id`]. Images of the command line and changed values of secrets are
    /// expected by definition.
    Reviewed(PlanId),
    /// No plan was reviewed, so that nothing may be deleted or replaced, and no data be lost. The text says why none was, as a
    /// sentence fragment.
    Unreviewed(String),
}

impl ExpectedPlan {
    /// The id that is expected, if one is.
    #[must_use]
    pub fn id(&self) -> Option<&PlanId> {
        match self {
            Self::Saved(id) | Self::Reviewed(id) => Some(id),
            Self::Unreviewed(_) => None,
        }
    }

    /// The part of a plan that has to be in the expected one.
    fn compared<'a>(&self, plan: &'a Plan) -> &'a Plan {
        match self {
            Self::Saved(_) => plan,
            Self::Reviewed(_) | Self::Unreviewed(_) => plan.reviewable_part(),
        }
    }

    /// Whether `plan` is the expected plan, or what is left of it.
    #[must_use]
    pub fn covers(&self, plan: &Plan) -> bool {
        let plan = self.compared(plan);
        match self.id() {
            Some(id) => plan.is_empty() || id.covers(&plan.id()),
            None => !plan.steps().any(needs_review),
        }
    }

    /// The resources whose steps are not in the expected plan. Empty where the expected id says nothing of single steps.
    #[must_use]
    pub fn unexpected(&self, plan: &Plan) -> Vec<Address> {
        let plan = self.compared(plan);
        let is_unexpected = |step: &&Step| match self.id() {
            // An id without the hashes of steps says nothing of single ones.
            Some(id) if id.step_hashes.is_empty() => false,
            Some(id) => {
                !step.completes_earlier_apply && !id.step_hashes.contains(&plan.step_hash(step))
            }
            None => needs_review(step),
        };
        let mut unexpected: Vec<Address> = plan
            .steps()
            .filter(is_unexpected)
            .map(|step| step.address.clone())
            .collect();
        unexpected.sort();
        unexpected.dedup();
        unexpected
    }
}

impl Plan {
    /// The id that a review of this plan is known by. It is that of the plan with the images that run, where the command line
    /// gives others, and without the values of secrets: a release brings a new image, and the job that shows a plan to reviewers has
    /// no secrets. Everything else must have been reviewed, the names of new secrets included.
    #[must_use]
    pub fn review_id(&self) -> PlanId {
        self.reviewable_part().id()
    }
}

impl Plan {
    /// A hash of what a reviewer agreed to in one step.
    ///
    /// It stays the same when an interrupted apply continues, although the plan then looks different: the second half of a
    /// replacement has become a plain creation, a new volume has an id by now, and a secret is set for another reason.
    fn step_hash(&self, step: &Step) -> [u8; STEP_HASH_LEN] {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text);
            hash.update([0]);
        };
        add(&format!(
            "{}/{} {}",
            self.mark.project, self.mark.environment, step.address
        ));
        let (agreement, includes_lines) = match step.action {
            // Secrets are set again when the first attempt left no machine that records them. The plan then says "update"
            // instead of "create", so both hash alike; see `creation_hash`.
            Action::Create | Action::Update if sets_secrets(step) => {
                (format!("set {}", step.identity), true)
            }
            // The same text for both, so that the second half of an interrupted replacement is recognised. The hash of the
            // whole spec is included, because the lines show only a part of it.
            Action::Create | Action::ReplaceCreate => (format!("make {:?}", step.spec_hash), false),
            Action::Run => ("run".to_owned(), true),
            Action::CreateSuccessor => {
                let text = format!("succeed {} {:?}", step.identity, step.spec_hash);
                (text, false)
            }
            Action::HandOver => ("hand over".to_owned(), false),
            Action::Retire => (format!("retire {}", step.identity), false),
            Action::Verify => ("prove".to_owned(), false),
            Action::Update => (format!("change {}", step.identity), true),
            Action::Delete | Action::ReplaceDelete => (format!("remove {}", step.identity), false),
        };
        add(&agreement);
        for line in step.lines.iter().filter(|_| includes_lines) {
            add(&reviewed_text(line));
        }
        if matches!(step.action, Action::Delete | Action::ReplaceDelete) {
            // What disappears with it is a part of the agreement.
            let cascades = self.cascade_deletes.iter();
            for cascade in cascades.filter(|cascade| cascade.with == step.address) {
                add(&format!("{} {}", cascade.address, cascade.identity));
            }
        }
        shorten(hash)
    }

    /// A second hash of a step that creates secrets, with the names of those that do not exist. Whoever agreed to create a secret
    /// agreed to set it again. Whoever agreed to change one did not agree to create it: somebody has deleted it since.
    fn creation_hash(&self, step: &Step) -> Option<[u8; STEP_HASH_LEN]> {
        let created = || step.lines.iter().filter(|line| line.from.is_none());
        // The set of secrets has no identity of its own; a machine has one, and follows it.
        if !sets_secrets(step) || !step.identity.is_empty() || created().next().is_none() {
            return None;
        }
        let mut hash = Sha256::new();
        hash.update(format!(
            "{}/{} {} create",
            self.mark.project, self.mark.environment, step.address
        ));
        for line in created() {
            hash.update([0]);
            hash.update(&line.path);
        }
        Some(shorten(hash))
    }
}

fn shorten(hash: Sha256) -> [u8; STEP_HASH_LEN] {
    let mut short = [0; STEP_HASH_LEN];
    short.copy_from_slice(&hash.finalize()[..STEP_HASH_LEN]);
    short
}

/// Whether a step sets secrets, or starts a machine with other secrets, and does nothing else.
fn sets_secrets(step: &Step) -> bool {
    matches!(step.action, Action::Create | Action::Update)
        && !step.lines.is_empty()
        && step.lines.iter().all(is_secret_line)
}

fn is_secret_line(line: &DiffLine) -> bool {
    let secret = |shown: &Option<DisplayValue>| *shown == Some(DisplayValue::Sensitive);
    secret(&line.from) || secret(&line.to)
}

/// The part of a line that a reviewer agrees to. Of a secret it is the name, and whether it is set or unset.
fn reviewed_text(line: &DiffLine) -> String {
    if is_secret_line(line) {
        return format!("{} {}", line.path, line.to.is_some());
    }
    serde_json::to_string(line).unwrap_or_default()
}

impl PlanId {
    /// The first part, twelve hexadecimal digits.
    #[must_use]
    pub fn short(&self) -> String {
        self.plan_hash
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether `now` is the id of this plan or of a part of it.
    #[must_use]
    pub fn covers(&self, now: &Self) -> bool {
        self.plan_hash == now.plan_hash
            || (!self.step_hashes.is_empty() && now.step_hashes.is_subset(&self.step_hashes))
    }

    /// Whether the id holds the hashes of the steps. Only then can a part of the plan be recognised.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        !self.step_hashes.is_empty()
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())?;
        if self.step_hashes.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.step_hashes.iter().flatten().copied().collect();
        write!(f, ".{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for PlanId {
    type Err = InvalidPlanId;

    fn from_str(text: &str) -> Result<Self, InvalidPlanId> {
        let invalid = || InvalidPlanId(text.to_owned());
        let (head, tail) = text.split_once('.').unwrap_or((text, ""));
        let mut plan_hash = [0; PLAN_HASH_LEN];
        if head.len() != PLAN_HASH_LEN * 2 || !head.is_ascii() {
            return Err(invalid());
        }
        for (index, byte) in plan_hash.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&head[index * 2..index * 2 + 2], 16).map_err(|_| invalid())?;
        }
        let bytes = URL_SAFE_NO_PAD.decode(tail).map_err(|_| invalid())?;
        let (chunks, rest) = bytes.as_chunks::<STEP_HASH_LEN>();
        if rest.is_empty() {
            Ok(Self {
                plan_hash,
                step_hashes: chunks.iter().copied().collect(),
            })
        } else {
            Err(invalid())
        }
    }
}

impl Serialize for PlanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
