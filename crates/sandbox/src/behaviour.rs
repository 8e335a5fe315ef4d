//! How the programs inside simulated machines behave.
//!
//! No image runs here. By default a program starts, listens, passes its checks and runs until it is stopped; rules
//! posted to `/_sandbox/rules` say otherwise for the machines that they match.

use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// A job ends by itself: without a rule, a machine that is scheduled or destroys itself when done exits with 0 after
/// this long, because a release command that never ended would hold up every deployment.
const JOB_DURATION_MS: i64 = 1_000;

/// What a rule applies to: everything that it names must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MachineSelector {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) app: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) machine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_contains: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process_group: Option<String>,
}

/// What a matching machine's program does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramBehaviour {
    /// The program exits with this code; without `exit_code`, `signal` and `oom` it runs for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// How long it runs before it exits; `0` means that the machine never reaches `started`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<i64>,
    /// It dies because memory ran out.
    #[serde(default)]
    pub(crate) oom: bool,
    /// It dies from this signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<i64>,
    /// What its health checks say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<CheckOutcome>,
    /// What its health checks print.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_output: Option<String>,
    /// What it prints, line by line, before it ends or once it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) logs: Vec<String>,
    /// What it answers over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<ProgramResponse>,
    /// How long a boot takes instead of the ordinary time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot_ms: Option<i64>,
}

/// What a program answers over HTTP; what it leaves out is 200, and a body that names the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
}

/// The outcome of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckOutcome {
    Passing,
    Warning,
    Critical,
}

impl CheckOutcome {
    /// As the API spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One rule; the first that matches a machine decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(rename = "match", default)]
    pub(crate) matches: MachineSelector,
    pub(crate) behave: ProgramBehaviour,
}

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SimulatedExit {
    pub(crate) code: i64,
    pub(crate) signal: i64,
    pub(crate) oom: bool,
}

impl SimulatedExit {
    /// A program that ended because it wanted to.
    pub(crate) const CLEAN: Self = Self {
        code: 0,
        signal: -1,
        oom: false,
    };
}

impl ProgramBehaviour {
    /// What a machine's program does: the first matching rule, or the default.
    pub(crate) fn for_machine(rules: &[Rule], app: &str, machine: &Machine) -> Self {
        let rule = rules
            .iter()
            .find(|rule| rule.matches.applies_to(app, machine));
        rule.map_or_else(|| Self::default_for(machine), |rule| rule.behave.clone())
    }

    fn default_for(machine: &Machine) -> Self {
        let job = machine.config.contains_key("schedule") || machine.is_auto_destroyed();
        if job {
            Self {
                exit_code: Some(0),
                after_ms: Some(JOB_DURATION_MS),
                ..Self::default()
            }
        } else {
            Self::default()
        }
    }

    /// When and how the program ends, if it does.
    pub(crate) fn planned_exit(&self) -> Option<(i64, SimulatedExit)> {
        if self.exit_code.is_none() && self.signal.is_none() && !self.oom {
            return None;
        }
        // A shell reports death by signal n as 128 + n; running out of memory is death by signal 9.
        let signal = self.signal.or(self.oom.then_some(9));
        let code = self.exit_code.unwrap_or_else(|| 128 + signal.unwrap_or(0));
        Some((
            self.after_ms.unwrap_or(0).max(0),
            SimulatedExit {
                code,
                signal: signal.unwrap_or(-1),
                oom: self.oom,
            },
        ))
    }
}

impl MachineSelector {
    fn applies_to(&self, app: &str, machine: &Machine) -> bool {
        let is =
            |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
        is(&self.app, app)
            && is(&self.machine, &machine.id)
            && is(&self.process_group, machine.process_group())
            && self
                .image_contains
                .as_deref()
                .is_none_or(|part| machine.image().contains(part))
    }
}
