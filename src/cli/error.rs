//! Errors as the user sees them: the only place that turns them into a message, a hint and an exit code.

use std::fmt;

use super::{exit, ui::Terminal};
use crate::{
    clouds::{CloudError, format_error_chain},
    lock::LockError,
    manifest::ManifestError,
    ops::OperationError,
    plan::{CycleError, Refusal},
};
use trimtab_sandbox::StartError;

/// Why a command failed.
#[derive(Clone, Debug)]
pub(super) struct CommandError {
    message: String,
    hint: Option<String>,
    code: u8,
    /// An error of the manifest, which prints with source lines and without `error:` in front.
    rendered: Option<ManifestError>,
}

impl CommandError {
    /// An error with exit code 1.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            message: text.into(),
            hint: None,
            code: exit::ERROR,
            rendered: None,
        }
    }

    /// Adds what to do next.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the exit code.
    pub(super) fn with_exit_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The variable that the manifest lacks, when that is the error.
    pub(super) fn missing_variable(&self) -> Option<String> {
        self.rendered
            .as_ref()?
            .missing_variable()
            .map(str::to_owned)
    }

    /// What to do next.
    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The error in one line, for a place that has no room for source lines.
    pub(super) fn summary(&self) -> String {
        match &self.rendered {
            Some(problems) => problems.summary(),
            None => self.message.clone(),
        }
    }

    /// Prints it on stderr, and returns the exit code.
    pub(super) fn print(&self, ui: &Terminal) -> u8 {
        match &self.rendered {
            Some(problems) => {
                let look = ui.stderr_options();
                ui.eprint(&problems.render(look.color, look.width));
            }
            None => ui.eprint(&format!("error: {self}")),
        }
        if let Some(hint) = &self.hint {
            ui.eprint(&format!("\nhint: {hint}"));
        }
        self.code
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<CloudError> for CommandError {
    fn from(error: CloudError) -> Self {
        let id = error
            .request_id
            .as_ref()
            .map(|id| format!(" (request {id})"))
            .unwrap_or_default();
        let failure = Self::new(format!("cannot {error}{id}"));
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        let failure = Self::new(format!("cannot {error}"));
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<ManifestError> for CommandError {
    fn from(problems: ManifestError) -> Self {
        let rendered = Some(problems);
        Self {
            message: "the manifest is not valid".to_owned(),
            hint: None,
            code: exit::ERROR,
            rendered,
        }
    }
}

impl From<CycleError> for CommandError {
    fn from(cycle: CycleError) -> Self {
        Self::new(cycle.to_string()).with_hint("take out one of these references")
    }
}

impl From<StartError> for CommandError {
    fn from(error: StartError) -> Self {
        let failure = Self::new(format!(
            "cannot start the sandbox: {}",
            format_error_chain(&error)
        ));
        match error {
            StartError::InUse { .. } => failure.with_hint(
                "stop the other process, give this command another folder with --sandbox=DIR, or \
                 export the variables that the other one printed",
            ),
            _ => failure,
        }
    }
}

impl From<OperationError> for CommandError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Cloud(error) => error.into(),
            OperationError::Lock(error) => error.into(),
            OperationError::Manifest(error) => error.into(),
            OperationError::Cycle(error) => error.into(),
            OperationError::Refused(refusals) => refusals.into(),
            OperationError::Invalid { message, hint } => Self::new(message).with_hint(hint),
            OperationError::PlanChanged { message, hint } => Self::new(message)
                .with_hint(hint)
                .with_exit_code(exit::REFUSED),
            OperationError::Incomplete { message, hint } => Self::new(message)
                .with_hint(hint)
                .with_exit_code(exit::INCOMPLETE),
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Vec<Refusal>> for CommandError {
    fn from(refusals: Vec<Refusal>) -> Self {
        let line = |refusal: &Refusal| format!("  {}\n    hint: {}", refusal.reason, refusal.hint);
        let mut lines: Vec<String> = refusals.iter().map(line).collect();
        lines.dedup();
        Self::new(format!(
            "this plan is refused; nothing was changed\n{}",
            lines.join("\n")
        ))
        .with_exit_code(exit::REFUSED)
    }
}
