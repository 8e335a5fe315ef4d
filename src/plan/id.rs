//! A hash to review by. Equal plans have equal ids; and because the id also carries a short hash of every step, a later
//! plan can be recognised as a part of the reviewed one, without storing the plan anywhere.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::{Action, Plan, Step};
use crate::model::{DiffLine, DisplayValue};

/// Bytes of the hash of the whole plan.
const PLAN_HASH_LEN: usize = 6;
/// Bytes of each step's hash. Six bytes make a false match of one step in a plan of a thousand rarer than one in
/// 10^11, and keep the id of ten steps at about 90 characters.
const STEP_HASH_LEN: usize = 6;
/// Above so many steps the id names the plan as a whole only: it has to fit into a line of a log.
const MAX_STEPS: usize = 200;

/// The id of a plan: `3f2c1ab09d4e` or `3f2c1ab09d4e.BASE64`, where the second part holds the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanId {
    plan_hash: [u8; PLAN_HASH_LEN],
    step_hashes: BTreeSet<[u8; STEP_HASH_LEN]>,
}

/// Text that is not the id of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a plan: copy the whole `expect` value that `plan` printed")]
pub struct InvalidPlanId(String);

impl Plan {
    /// The id of this plan: over the address, action, lines and live version of every step.
    #[must_use]
    pub fn id(&self) -> PlanId {
        let mut whole = Sha256::new();
        whole.update(format!("{}/{}", self.mark.project, self.mark.environment));
        let mut steps: BTreeSet<[u8; STEP_HASH_LEN]> = BTreeSet::new();
        for step in self.steps().filter(|step| !step.completes_earlier_apply) {
            steps.insert(self.step_hash(step));
        }
        for step in &steps {
            whole.update(step);
        }
        for blocked in &self.blocked {
            whole.update(blocked.address.to_string());
        }
        let mut id = PlanId {
            plan_hash: [0; PLAN_HASH_LEN],
            step_hashes: steps,
        };
        id.plan_hash
            .copy_from_slice(&whole.finalize()[..PLAN_HASH_LEN]);
        if id.step_hashes.len() > MAX_STEPS {
            id.step_hashes.clear();
        }
        id
    }
}

impl Plan {
    /// What a reviewer agreed to in one step. It stays the same when a run that was interrupted goes on: the second half
    /// of a replacement is a creation, a volume that was made meanwhile does not change the machine that asks for it,
    /// and why a secret is set is of no interest.
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
        match step.action {
            // Secrets that were set before anything could remember them are set again: that is the same agreement.
            Action::Create | Action::Update
                if step.lines.iter().all(is_secret_line) && !step.lines.is_empty() =>
            {
                add(&format!("set {}", step.identity));
                step.lines
                    .iter()
                    .map(reviewed_text)
                    .for_each(|line| add(&line));
            }
            Action::Create | Action::ReplaceCreate => add(&format!("make {:?}", step.spec_hash)),
            Action::Run => {
                add("run");
                step.lines
                    .iter()
                    .map(reviewed_text)
                    .for_each(|line| add(&line));
            }
            Action::Succeed => add(&format!("succeed {} {:?}", step.identity, step.spec_hash)),
            Action::HandOver => add("hand over"),
            Action::Retire => add(&format!("retire {}", step.identity)),
            Action::Prove => add("prove"),
            Action::Update => {
                add(&format!("change {}", step.identity));
                step.lines
                    .iter()
                    .map(reviewed_text)
                    .for_each(|line| add(&line));
            }
            Action::Delete | Action::ReplaceDelete => {
                add(&format!("remove {}", step.identity));
                let along = self
                    .cascade_deletes
                    .iter()
                    .filter(|folded| folded.with == step.address);
                along.for_each(|folded| add(&format!("{} {}", folded.address, folded.identity)));
            }
        }
        let mut out = [0; STEP_HASH_LEN];
        out.copy_from_slice(&hash.finalize()[..STEP_HASH_LEN]);
        out
    }
}

fn is_secret_line(line: &DiffLine) -> bool {
    let secret = |shown: &Option<DisplayValue>| *shown == Some(DisplayValue::Sensitive);
    secret(&line.from) || secret(&line.to)
}

/// What of a line a reviewer agrees to. Of a secret that is its name, and whether it is set or goes.
fn reviewed_text(line: &DiffLine) -> String {
    if is_secret_line(line) {
        return format!("{} {}", line.path, line.to.is_some());
    }
    serde_json::to_string(line).unwrap_or_default()
}

impl PlanId {
    /// The short form, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.plan_hash
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether `now` is this plan, or a part of it.
    #[must_use]
    pub fn covers(&self, now: &Self) -> bool {
        self.plan_hash == now.plan_hash
            || (!self.step_hashes.is_empty() && now.step_hashes.is_subset(&self.step_hashes))
    }

    /// Whether the id names the steps, so that a part of the plan can be recognised.
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
        let wrong = || InvalidPlanId(text.to_owned());
        let (head, tail) = text.split_once('.').unwrap_or((text, ""));
        let mut whole = [0; PLAN_HASH_LEN];
        if head.len() != PLAN_HASH_LEN * 2 || !head.is_ascii() {
            return Err(wrong());
        }
        for (at, byte) in whole.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&head[at * 2..at * 2 + 2], 16).map_err(|_| wrong())?;
        }
        let bytes = URL_SAFE_NO_PAD.decode(tail).map_err(|_| wrong())?;
        let (chunks, rest) = bytes.as_chunks::<STEP_HASH_LEN>();
        if rest.is_empty() {
            Ok(Self {
                plan_hash: whole,
                step_hashes: chunks.iter().copied().collect(),
            })
        } else {
            Err(wrong())
        }
    }
}

impl Serialize for PlanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
