//! What an operation drives an environment towards, and how it plans the way.

use super::{OperationError, Workspace, workspace};
use crate::{
    kinds::{Desired, World},
    model::Address,
    plan::{self, Approved, ExpectedPlan, Limits, Plan, PreviousStates},
};

/// What an operation drives the environment towards.
#[derive(Debug)]
pub enum Goal {
    /// What the manifest asks for.
    Manifest,
    /// Nothing: the environment is removed. The value is a [`Desired`] that asks for nothing.
    Nothing(Box<Desired>),
    /// The configurations that machines had before.
    Previous(PreviousStates),
}

/// A plan, and the world it was made from. For a rollback the world has the earlier versions in it.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) world: World,
}

impl Goal {
    /// The goal of removing an environment.
    #[must_use]
    pub fn nothing(manifest: &Desired) -> Self {
        let mut meta = manifest.meta.clone();
        // Warnings about the manifest do not matter to an environment that goes.
        meta.warnings.clear();
        Self::Nothing(Box::new(Desired::empty(meta)))
    }

    /// What is asked for.
    pub(super) fn desired<'a>(&'a self, workspace: &'a Workspace) -> &'a Desired {
        match self {
            Self::Nothing(desired) => desired,
            Self::Manifest | Self::Previous(_) => workspace.desired(),
        }
    }

    /// Reads what a plan needs to know. A rollback takes images from the history of machines, so no registry is asked.
    pub(super) async fn observe(&self, workspace: &Workspace) -> Result<World, OperationError> {
        Ok(match self {
            Self::Manifest | Self::Nothing(_) => {
                workspace
                    .observe_with_images(self.desired(workspace))
                    .await?
            }
            Self::Previous(_) => workspace.observe().await?,
        })
    }

    /// Plans from `world` to the goal.
    pub(super) fn plan(
        &self,
        workspace: &Workspace,
        world: World,
        only: &[Address],
    ) -> Result<Planned, OperationError> {
        let desired = self.desired(workspace);
        Ok(match self {
            Self::Manifest => Planned {
                plan: workspace.plan(desired, &world, only)?,
                world,
            },
            // What somebody else owns is in nobody's way when our own resources go.
            Self::Nothing(_) => Planned {
                plan: workspace
                    .plan(desired, &world, only)?
                    .without_ownership_conflicts(),
                world,
            },
            Self::Previous(states) => {
                let (plan, world) = plan::plan_rollback(desired, &world, states)?;
                Planned {
                    plan: workspace::select(plan, only),
                    world,
                }
            }
        })
    }

    /// Plans once more after everything was done. What was to be done once, such as a new password, is not asked for again.
    pub(super) fn plan_verification(
        &self,
        workspace: &Workspace,
        world: World,
        only: &[Address],
    ) -> Result<Planned, OperationError> {
        let desired = self.desired(workspace);
        if desired.meta.rotate.is_empty() || !matches!(self, Self::Manifest) {
            return self.plan(workspace, world, only);
        }
        let mut desired = desired.clone();
        desired.meta.rotate.clear();
        Ok(Planned {
            plan: workspace.plan(&desired, &world, only)?,
            world,
        })
    }

    /// The limits of the guard. A rollback replaces exactly what it names, so nothing of it is refused.
    pub(super) fn limits(&self, asked: &Limits, plan: &Plan) -> Limits {
        match self {
            Self::Manifest | Self::Nothing(_) => asked.clone(),
            Self::Previous(_) => Limits {
                allow_destroy: plan.steps().map(|step| step.address.clone()).collect(),
                destroy_all: true,
                max_destroy: 100,
            },
        }
    }

    /// Checks that a plan made again holds nothing that was not confirmed.
    pub(super) fn check_unchanged(
        &self,
        confirmed: &Approved,
        again: &Plan,
    ) -> Result<(), OperationError> {
        let id = confirmed.plan().id();
        match self {
            Self::Manifest | Self::Nothing(_) => {
                check_expected(again, Some(&ExpectedPlan::Saved(id))).map_err(|error| match error {
                    OperationError::PlanChanged { .. } => OperationError::PlanChanged {
                        message: "somebody else has changed something here meanwhile, and a new plan holds steps that were not \
                                  confirmed; nothing was changed"
                            .to_owned(),
                        hint: "look at the new plan: run the same command again".to_owned(),
                    },
                    other => other,
                })
            }
            // The rest of a rollback would mix releases, so it runs as it was shown or not at all.
            Self::Previous(_) if again.is_empty() || again.id() == id => Ok(()),
            Self::Previous(_) => Err(OperationError::invalid(
                "another run has changed these machines since the rollback was shown, so it would not be what was confirmed; \
                 nothing was changed",
                "look what runs now, and what a rollback would do: run the same command again",
            )),
        }
    }
}

/// Checks that `plan` is the one that was reviewed, or what is left of it.
///
/// # Errors
/// When it holds anything else.
pub(super) fn check_expected(
    plan: &Plan,
    expected: Option<&ExpectedPlan>,
) -> Result<(), OperationError> {
    let Some(expected) = expected.filter(|expected| !expected.covers(plan)) else {
        return Ok(());
    };
    let unexpected = expected.unexpected(plan);
    let addresses = list_addresses(&unexpected);
    let (now, reviewed) = match expected {
        ExpectedPlan::Saved(id) => (plan.id(), id),
        ExpectedPlan::Reviewed(id) => (plan.review_id(), id),
        ExpectedPlan::Unreviewed(why) => {
            return Err(OperationError::PlanChanged {
                message: format!(
                    "{why}, so nobody has reviewed what it does to {addresses}; nothing was changed"
                ),
                hint: "review the plan above, then apply it with --expect and its id".to_owned(),
            });
        }
    };
    let why = if unexpected.is_empty() {
        "the ids differ".to_owned()
    } else {
        format!("nobody has reviewed what it does to {addresses}")
    };
    Err(OperationError::PlanChanged {
        message: format!(
            "this is plan {}, and {} was reviewed: {why}; nothing was changed",
            now.short(),
            reviewed.short()
        ),
        hint: "review the plan above, then apply it with its own id".to_owned(),
    })
}

/// The first few addresses, and how many others there are.
fn list_addresses(addresses: &[Address]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = addresses
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    let rest = addresses.len().saturating_sub(SHOWN);
    match rest {
        0 => shown.join(", "),
        _ => format!("{} and {rest} more", shown.join(", ")),
    }
}
