//! The events and the final report of an apply, for whoever shows them.

use serde::Serialize;

use crate::{clouds::CloudError, model::Address, plan::Action};

/// Something that happened during an apply.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ApplyEvent {
    /// The apply starts; always the first event.
    Begun {
        /// How many steps there are.
        total: usize,
        /// The estimated duration of the whole apply, in seconds.
        estimate_secs: Option<u64>,
    },
    /// Another run holds the lease of a machine that this run changes. Sent once for each such machine, before any step.
    WaitingForLease {
        /// The app's name on Fly.
        app: String,
        /// Fly's id of the machine.
        machine: String,
        /// Who holds the lease, in the holder's own words, such as `trimtab apply staging by ci@host`.
        holder: String,
        /// When the lease ends unless it is renewed, in RFC 3339; absent when unknown.
        expires_at: Option<String>,
    },
    /// A step has started.
    Started {
        /// The resource.
        address: Address,
        /// What happens to it.
        action: Action,
    },
    /// The machine that a step waits for has changed its state or its checks.
    Progress {
        /// The resource.
        address: Address,
        /// The state of the machine as Fly calls it, such as `starting`.
        state: String,
        /// How many checks pass.
        passing: usize,
        /// How many checks there are.
        checks: usize,
    },
    /// The last lines that the command of a step printed.
    Output {
        /// The resource.
        address: Address,
        /// The lines, fit to be shown.
        lines: Vec<String>,
    },
    /// A step succeeded.
    Finished {
        /// The resource.
        address: Address,
        /// What happened to it.
        action: Action,
        /// How long it took, in milliseconds.
        millis: u64,
        /// How long the whole apply will probably take, in milliseconds, by the steps so far.
        estimate_millis: u64,
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
    /// A step would do harm at present, such as stop a running cron job. It is left to a later apply.
    HeldBack {
        /// The resource.
        address: Address,
        /// What should have happened to it.
        action: Action,
        /// What prevents it.
        failure: ApplyFailure,
    },
    /// A step does not run, because another step failed.
    Skipped {
        /// The resource.
        address: Address,
        /// What should have happened to it.
        action: Action,
        /// The step that failed.
        because: Address,
    },
    /// The user asked to stop: no further step starts.
    Stopping,
    /// A step was not started, because it would not end before the deadline. Sent once, for the first such step.
    OutOfTime,
}

/// Why a step failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplyFailure {
    /// What was being done, and what the server responded.
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
    /// It succeeded.
    Done,
    /// It failed.
    Failed(ApplyFailure),
    /// It would do harm at present and is left to a later apply.
    HeldBack(ApplyFailure),
    /// It did not run, because another step failed.
    Skipped {
        /// The step that failed.
        because: Address,
    },
    /// It did not run, because the apply was interrupted.
    NotRun,
    /// It was running when the apply was interrupted. The next plan shows how far it came.
    Unknown,
}

/// The result of an apply: one outcome for every step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ApplyReport {
    /// The outcomes, in the order in which the steps ended.
    pub outcomes: Vec<StepReport>,
    /// Why no step was started at all, such as a lease that another process holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<ApplyFailure>,
    /// Why the lock was lost, when that ended the apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<ApplyFailure>,
    /// Whether no step was started because another process held a lease or changed a machine after the plan was made. The caller can
    /// plan again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
    /// Whether the user asked to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Whether steps were not started because they would not end before the deadline.
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
    /// A report without outcomes.
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

    /// Whether every step succeeded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcomes
            .iter()
            .all(|ended| ended.outcome == Outcome::Done)
    }

    /// The numbers of steps that succeeded, failed, were skipped, and did not run to their end, in this order.
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
