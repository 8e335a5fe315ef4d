//! The behaviour of the simulated programs inside machines.
//!
//! No image runs in the sandbox. By default a program starts, listens, passes its checks and runs
//! until it is stopped; rules posted to `/_sandbox/rules` change this for the machines that they
//! match.

use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// How long a job runs. Unless a rule says otherwise, the program of a machine with a schedule or `auto_destroy`
/// exits with code 0 after this time; a release command that never ended would block every
/// deployment.
const JOB_DURATION_MS: i64 = 1_000;

/// Which machines a rule applies to: all fields that are set must match.
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

/// What the program of a matching machine does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramBehaviour {
    /// Exit code. Without `exit_code`, `signal` and `oom` the program runs until it is stopped, and a
    /// job (see [`JOB_DURATION_MS`]) exits with code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    /// How long it runs before it exits; `0` means that the machine never reaches `started`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<i64>,
    /// It is killed because it runs out of memory.
    #[serde(default)]
    pub(crate) oom: bool,
    /// It is killed by this signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<i64>,
    /// Result of its health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checks: Option<CheckOutcome>,
    /// Output of its health checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) check_output: Option<String>,
    /// What it prints, line by line, once it has started or before it exits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) logs: Vec<String>,
    /// Its response to HTTP requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<ProgramResponse>,
    /// How long a boot takes, in place of the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot_ms: Option<i64>,
}

/// The HTTP response of a program. Default: status 200 and a body that describes the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
}

/// The result of a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckOutcome {
    Passing,
    Warning,
    Critical,
}

impl CheckOutcome {
    /// The API's name of the result.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A rule. The first rule that matches a machine decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(rename = "match", default)]
    pub(crate) matches: MachineSelector,
    pub(crate) behave: ProgramBehaviour,
}

/// How a program ended: exit code, signal (-1 for none), and whether it ran out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SimulatedExit {
    pub(crate) code: i64,
    pub(crate) signal: i64,
    pub(crate) oom: bool,
}

impl SimulatedExit {
    /// A clean exit with code 0.
    pub(crate) const CLEAN: Self = Self {
        code: 0,
        signal: -1,
        oom: false,
    };
}

impl ProgramBehaviour {
    /// The behaviour of a machine's program: the first matching rule, or the default. A job ends by
    /// itself also under a rule that does not say how, such as one about its checks.
    pub(crate) fn for_machine(rules: &[Rule], app: &str, machine: &Machine) -> Self {
        let rule = rules
            .iter()
            .find(|rule| rule.matches.applies_to(app, machine));
        let mut behaviour = rule.map_or_else(Self::default, |rule| rule.behave.clone());
        let job = machine.config.contains_key("schedule") || machine.is_auto_destroyed();
        if job && !behaviour.says_how_it_ends() {
            behaviour.exit_code = Some(0);
            behaviour.after_ms.get_or_insert(JOB_DURATION_MS);
        }
        behaviour
    }

    fn says_how_it_ends(&self) -> bool {
        self.exit_code.is_some() || self.signal.is_some() || self.oom
    }

    /// How long after its start the program exits, in milliseconds, and how; `None` when it runs
    /// until it is stopped.
    pub(crate) fn planned_exit(&self) -> Option<(i64, SimulatedExit)> {
        if !self.says_how_it_ends() {
            return None;
        }
        // A shell reports death by signal n as exit code 128 + n; the out-of-memory killer sends
        // signal 9.
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
        let matches =
            |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
        matches(&self.app, app)
            && matches(&self.machine, &machine.id)
            && matches(&self.process_group, machine.process_group())
            && self
                .image_contains
                .as_deref()
                .is_none_or(|part| machine.image().contains(part))
    }
}
