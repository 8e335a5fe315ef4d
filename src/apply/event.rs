//! What happens during a run, for whoever shows it.

use serde::Serialize;

use crate::{clouds::CloudError, model::Address, plan::Action};

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ApplyEvent {
    /// The run begins; told before anything else.
    Begun {
        /// How many steps there are.
        total: usize,
        /// How long all of them may take, where that can be guessed.
        estimate_secs: Option<u64>,
    },
    /// A step has begun.
    Started {
        /// The resource.
        address: Address,
        /// What happens to it.
        action: Action,
    },
    /// A step is on its way: what it waits for has come nearer.
    Progress {
        /// The resource.
        address: Address,
        /// The state that it is in, such as `starting`.
        state: String,
        /// How many checks pass.
        passing: usize,
        /// How many checks there are.
        checks: usize,
    },
    /// What a step's command printed last.
    Output {
        /// The resource.
        address: Address,
        /// The lines, fit to be shown.
        lines: Vec<String>,
    },
    /// A step is done.
    Finished {
        /// The resource.
        address: Address,
        /// What happened to it.
        action: Action,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A step failed.
    Failed {
        /// The resource.
        address: Address,
        /// What should have happened to it.
        action: Action,
        /// Why it failed.
        failure: ApplyFailure,
    },
    /// A step cannot be done now without harm, and is left for a later run.
    HeldBack {
        /// The resource.
        address: Address,
        /// What should have happened to it.
        action: Action,
        /// What is in its way.
        failure: ApplyFailure,
    },
    /// A step does not run, because one that it waits for failed.
    Skipped {
        /// The resource.
        address: Address,
        /// What should have happened to it.
        action: Action,
        /// The step that failed.
        because: Address,
    },
    /// The user asked to stop: nothing more begins.
    Stopping,
    /// A step was not begun, because it could not end before the deadline.
    OutOfTime,
}

/// Why a step failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplyFailure {
    /// What was being done, and what the server answered.
    pub reason: String,
    /// The cloud's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&CloudError> for ApplyFailure {
    fn from(error: &CloudError) -> Self {
        Self {
            reason: error.to_string(),
            request_id: error.request_id.clone(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It failed.
    Failed(ApplyFailure),
    /// It cannot be done now without harm, and is left for a later run.
    HeldBack(ApplyFailure),
    /// It did not run, because another failed.
    Skipped {
        /// The step that failed.
        because: Address,
    },
    /// It did not run, because the run was interrupted.
    NotRun,
    /// It was under way when the run was interrupted; the next plan finds out.
    Unknown,
}

/// How a run ended: one outcome for every step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ApplyReport {
    /// Resource, action and outcome, in the order in which they ended.
    pub outcomes: Vec<StepReport>,
    /// Why nothing was begun at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<ApplyFailure>,
    /// Why the run ended before its end: the lock was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<ApplyFailure>,
    /// Whether nothing was begun because somebody else has been at work since the plan was made. Nobody is any more, so a
    /// new look tells what is left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
    /// Whether the user asked to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Whether steps were not begun because they could not end before the deadline.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// How one step ended.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The resource.
    pub address: Address,
    /// What happened, or should have happened, to it.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
}

impl ApplyReport {
    /// Nothing has ended yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn record(&mut self, address: Address, action: Action, outcome: Outcome) {
        self.outcomes.push(StepReport {
            address,
            action,
            outcome,
        });
    }

    /// Whether every step was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcomes
            .iter()
            .all(|ended| ended.outcome == Outcome::Done)
    }

    /// How many steps were done, failed, were skipped, and did not run.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize, usize) {
        let count = |test: fn(&Outcome) -> bool| {
            self.outcomes
                .iter()
                .filter(|ended| test(&ended.outcome))
                .count()
        };
        (
            count(|outcome| *outcome == Outcome::Done),
            count(|outcome| matches!(outcome, Outcome::Failed(_))),
            count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
            count(|outcome| {
                matches!(
                    outcome,
                    Outcome::NotRun | Outcome::Unknown | Outcome::HeldBack(_)
                )
            }),
        )
    }
}
