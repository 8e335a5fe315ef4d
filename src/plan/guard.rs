//! Danger is a stage: a plan runs only when nothing in it is dangerous, or when the user said so by name.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Action, CascadeDelete, Plan, Step};
use crate::{
    kinds::{DataLoss, UnmanagedResource},
    model::Address,
};

/// What the user allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Resources that may be destroyed or replaced although data is lost.
    pub allow_destroy: BTreeSet<Address>,
    /// Whether the user asked to remove the whole environment, so that apps may go without being named.
    pub destroy_all: bool,
    /// The largest share of an environment, in percent, that one run may remove.
    pub max_destroy: u32,
}

impl Limits {
    /// octoDNS uses 30 % and has done so for years: enough for daily work, little enough to stop a wrong file.
    pub const DEFAULT_MAX_DESTROY: u32 = 30;
    /// Below this many removals the share says nothing: one of three is 33 %.
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

/// Why a plan does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The resource, unless it is the plan as a whole.
    pub address: Option<Address>,
    /// What is dangerous, with number and limit.
    pub reason: String,
    /// The flag or the change that allows it.
    pub hint: String,
}

/// A plan that may run. Only [`guard`] makes one.
#[derive(Clone, Debug)]
pub struct Approved(Plan);

impl Approved {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// Lets a plan pass, or says everything that speaks against it.
///
/// # Errors
/// Every reason, so that the user can answer all of them at once.
pub fn guard(plan: Plan, limits: &Limits) -> Result<Approved, Vec<Refusal>> {
    let refusals = refusals(&plan, limits);
    if refusals.is_empty() {
        Ok(Approved(plan))
    } else {
        Err(refusals)
    }
}

/// Everything that speaks against a plan.
#[must_use]
pub fn refusals(plan: &Plan, limits: &Limits) -> Vec<Refusal> {
    let mut all: Vec<Refusal> = plan
        .blocked
        .iter()
        .map(|blocked| Refusal {
            address: Some(blocked.address.clone()),
            reason: blocked.refused.reason.clone(),
            hint: blocked.refused.hint.clone(),
        })
        .collect();
    let steps = plan
        .steps()
        .filter(|step| matches!(step.action, Action::Delete | Action::ReplaceDelete));
    for step in steps {
        all.extend(check_deletion(&step.into(), limits));
    }
    for folded in &plan.cascade_deletes {
        all.extend(check_deletion(&folded.into(), limits));
    }
    all.extend(check_unmanaged(plan, limits));
    all.extend(check_removed_share(plan, limits));
    all
}

/// What the guard looks at when something is removed.
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
            description: what,
            data_loss: loss,
            recovery_hint: rescue,
            protected,
            ..
        } = step;
        Self {
            address,
            description: what,
            data_loss: *loss,
            recovery_hint: rescue.as_deref(),
            protected: *protected,
        }
    }
}

impl<'a> From<&'a CascadeDelete> for Removal<'a> {
    fn from(folded: &'a CascadeDelete) -> Self {
        let CascadeDelete {
            address,
            with: _,
            identity: _,
            what,
            loss,
            rescue,
            protected,
        } = folded;
        Self {
            address,
            description: what,
            data_loss: *loss,
            recovery_hint: rescue.as_deref(),
            protected: *protected,
        }
    }
}

fn check_deletion(removed: &Removal<'_>, limits: &Limits) -> Option<Refusal> {
    let Removal {
        address,
        description: what,
        data_loss: loss,
        recovery_hint: rescue,
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
            format!("{address} ({what}) is protected"),
            "say `protected = false` for it, or for its app, apply that first, then remove it"
                .to_owned(),
        );
    }
    let asked = limits.destroy_all && *loss == Some(DataLoss::App);
    let loss = loss.filter(|_| !asked && !limits.allow_destroy.contains(*address))?;
    let lost = match loss {
        DataLoss::Data => "its data is lost",
        DataLoss::App => "whatever it serves stops",
        DataLoss::Address => "its address cannot be had again",
    };
    let rescue = rescue
        .map(|rescue| format!("; {rescue}"))
        .unwrap_or_default();
    refuse(
        format!("{address} ({what}) would be destroyed, and {lost}"),
        format!("--allow-destroy {address}{rescue}"),
    )
}

/// What is not ours and would go with an app of ours.
fn check_unmanaged<'p>(plan: &'p Plan, limits: &'p Limits) -> impl Iterator<Item = Refusal> + 'p {
    let goes = plan
        .steps()
        .filter(|step| step.address.kind() == "fly.app" && step.action != Action::Update);
    let goes: BTreeSet<&Address> = goes
        .filter(|step| step.action != Action::Create)
        .map(|step| &step.address)
        .collect();
    let inside = move |item: &UnmanagedResource| {
        goes.iter()
            .find(|app| *app.name() == item.within)
            .map(|app| (*app).clone())
    };
    let lost = plan
        .findings
        .unmanaged
        .iter()
        .filter(|item| item.loss.is_some());
    lost.filter_map(move |item| Some((item, inside(item)?)))
        .filter(|(_, app)| !limits.allow_destroy.contains(app))
        .map(|(item, app)| Refusal {
            reason: format!("{} is not ours, and would go with {app}", item.what),
            hint: format!("move it away first, or say --allow-destroy {app}"),
            address: Some(app),
        })
}

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
