//! The guard between plan and apply: a plan with dangerous changes is approved only when the user has allowed each of them by
//! name.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Action, CascadeDelete, Plan, Step};
use crate::{
    kinds::{DataLoss, KindInfo},
    model::Address,
};

/// What the user allows an apply to do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Resources that may be destroyed or replaced although something is lost for good.
    pub allow_destroy: BTreeSet<Address>,
    /// Whether the user asked to destroy the whole environment. Apps then need not be named one by one.
    pub destroy_all: bool,
    /// The largest share of the resources, in percent, that one apply may delete.
    pub max_destroy: u32,
}

impl Limits {
    /// 30 %, as in octoDNS: enough for daily work, and little enough to stop an apply of the wrong file.
    pub const DEFAULT_MAX_DESTROY: u32 = 30;
    /// The number of deletions below which the share is not checked: one of three is already 33 %.
    const MIN_REMOVALS: usize = 3;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allow_destroy: BTreeSet::new(),
            destroy_all: false,
            max_destroy: Self::DEFAULT_MAX_DESTROY,
        }
    }
}

/// Why a plan is not approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The resource; `None` when the plan as a whole is refused.
    pub address: Option<Address>,
    /// What is dangerous, with number and limit.
    pub reason: String,
    /// The flag or the change that allows it.
    pub hint: String,
}

/// A plan that may be applied. Only [`guard`] creates one.
#[derive(Clone, Debug)]
pub struct Approved(Plan);

impl Approved {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// Approves a plan.
///
/// # Errors
/// All refusals, so that the user can deal with them in one go.
pub fn guard(plan: Plan, limits: &Limits) -> Result<Approved, Vec<Refusal>> {
    let refusals = refusals(&plan, limits);
    if refusals.is_empty() {
        Ok(Approved(plan))
    } else {
        Err(refusals)
    }
}

/// Every reason why a plan is not approved.
#[must_use]
pub fn refusals(plan: &Plan, limits: &Limits) -> Vec<Refusal> {
    let mut all: Vec<Refusal> = plan
        .blocked
        .iter()
        .map(|blocked| Refusal {
            address: Some(blocked.address.clone()),
            reason: blocked.blocker.reason.clone(),
            hint: blocked.blocker.hint.clone(),
        })
        .collect();
    let steps = plan
        .steps()
        .filter(|step| matches!(step.action, Action::Delete | Action::ReplaceDelete));
    for step in steps {
        all.extend(check_deletion(&step.into(), limits));
    }
    all.extend(plan.steps().filter_map(|step| check_edit(step, limits)));
    for cascade in &plan.cascade_deletes {
        all.extend(check_deletion(&cascade.into(), limits));
    }
    all.extend(check_removed_share(plan, limits));
    all
}

/// What the guard checks of a resource that is deleted, with a step of its own or with its container.
struct Removal<'a> {
    address: &'a Address,
    description: &'a str,
    data_loss: Option<DataLoss>,
    recovery_hint: Option<&'a str>,
    protected: bool,
}

impl<'a> From<&'a Step> for Removal<'a> {
    fn from(step: &'a Step) -> Self {
        let Step {
            address,
            description,
            data_loss,
            recovery_hint,
            protected,
            ..
        } = step;
        Self {
            address,
            description,
            data_loss: *data_loss,
            recovery_hint: recovery_hint.as_deref(),
            protected: *protected,
        }
    }
}

impl<'a> From<&'a CascadeDelete> for Removal<'a> {
    fn from(cascade: &'a CascadeDelete) -> Self {
        let CascadeDelete {
            address,
            with: _,
            identity: _,
            description,
            data_loss,
            recovery_hint,
            protected,
        } = cascade;
        Self {
            address,
            description,
            data_loss: *data_loss,
            recovery_hint: recovery_hint.as_deref(),
            protected: *protected,
        }
    }
}

/// Refuses the deletion of a protected resource, or of one that loses something for good and is not allowed by name.
fn check_deletion(removed: &Removal<'_>, limits: &Limits) -> Option<Refusal> {
    let Removal {
        address,
        description,
        data_loss,
        recovery_hint,
        protected,
    } = removed;
    let refuse = |reason: String, hint: String| {
        Some(Refusal {
            address: Some((*address).clone()),
            reason,
            hint,
        })
    };
    if *protected {
        return refuse(
            format!("{address} ({description}) is protected"),
            "set `protected = false` for it or for its app, apply that, and then remove it"
                .to_owned(),
        );
    }
    // Whoever destroys the environment wants its apps to stop. Data in volumes and buckets must still be named, and so must
    // a machine of another owner inside an app.
    let is_app = KindInfo::lookup(address).is_some_and(KindInfo::is_container);
    let is_allowed = limits.destroy_all && *data_loss == Some(DataLoss::App) && is_app;
    let data_loss =
        data_loss.filter(|_| !is_allowed && !limits.allow_destroy.contains(*address))?;
    let consequence = data_loss.consequence();
    let recovery_hint = recovery_hint
        .map(|recovery_hint| format!("; {recovery_hint}"))
        .unwrap_or_default();
    refuse(
        format!("{address} ({description}) would be destroyed, and {consequence}"),
        format!("--allow-destroy {address}{recovery_hint}"),
    )
}

/// Refuses a change in place after which data is lost, where it is not allowed by name.
fn check_edit(step: &Step, limits: &Limits) -> Option<Refusal> {
    let Step {
        address,
        description,
        action: Action::Update,
        data_loss: Some(_),
        ..
    } = step
    else {
        return None;
    };
    (!limits.allow_destroy.contains(address)).then(|| Refusal {
        address: Some(address.clone()),
        reason: format!(
            "{address} ({description}) would be changed so that data in it is deleted for good"
        ),
        hint: format!("--allow-destroy {address}"),
    })
}

/// Refuses a plan that deletes too large a share of the environment: probably the manifest is the wrong one.
fn check_removed_share(plan: &Plan, limits: &Limits) -> Option<Refusal> {
    let removed = plan
        .steps()
        .filter(|step| step.action == Action::Delete && !step.completes_earlier_apply)
        .count()
        + plan.cascade_deletes.len();
    let percent = (removed * 100)
        .checked_div(plan.existing_count)
        .unwrap_or(0);
    let limit = usize::try_from(limits.max_destroy).unwrap_or(100);
    let too_much = removed >= Limits::MIN_REMOVALS && percent > limit;
    too_much.then(|| Refusal {
        address: None,
        reason: format!(
            "{removed} of {} resources ({percent} %) would be removed; the limit is {limit} %",
            plan.existing_count
        ),
        hint: format!("--max-destroy {percent}"),
    })
}
