//! Errors as the user sees them: one place turns each into a text, a hint and an exit code.

use std::fmt;

use super::{exit, ui::Ui};
use crate::{clouds::{CloudError, aws::lock::LockError, chain}, manifest::Problems, plan::{Cycle, Refusal}};
use trimtab_sandbox::StartError;

/// Why a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
    hint: Option<String>,
    code: u8,
    /// Already rendered with places and carets: no `error:` in front.
    rendered: Option<Problems>,
}

impl Failure {
    /// Something the user can put right.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
            code: exit::ERROR,
            rendered: None,
        }
    }

    /// The same with what to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with another exit code.
    pub(super) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The variable that a manifest lacks, when that is why.
    pub(super) fn missing_variable(&self) -> Option<String> {
        self.rendered
            .as_ref()?
            .missing_variable()
            .map(str::to_owned)
    }

    /// Shows it, and says how to exit.
    pub(super) fn show(&self, ui: &Ui) -> u8 {
        match &self.rendered {
            Some(problems) => {
                let look = ui.talk_look();
                ui.talk(&problems.render(look.color, look.width));
            }
            None => ui.talk(&format!("error: {self}")),
        }
        if let Some(hint) = &self.hint {
            ui.talk(&format!("\nhint: {hint}"));
        }
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        let id = error
            .request_id
            .as_ref()
            .map(|id| format!(" (request {id})"))
            .unwrap_or_default();
        let failure = Self::new(format!("cannot {error}{id}"));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let failure = Self::new(format!("cannot {error}"));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let rendered = Some(problems);
        Self {
            text: "the manifest is not valid".to_owned(),
            hint: None,
            code: exit::ERROR,
            rendered,
        }
    }
}

impl From<Cycle> for Failure {
    fn from(cycle: Cycle) -> Self {
        Self::new(cycle.to_string()).hint("take out one of these references")
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let failure = Self::new(format!("cannot start the sandbox: {}", chain(&error)));
        match error {
            StartError::InUse { .. } => failure.hint(
                "stop the other process, give this command another folder with --sandbox=DIR, or \
                 export the variables that the other one printed",
            ),
            _ => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Vec<Refusal>> for Failure {
    fn from(refusals: Vec<Refusal>) -> Self {
        let line = |refusal: &Refusal| format!("  {}\n    hint: {}", refusal.reason, refusal.hint);
        let mut lines: Vec<String> = refusals.iter().map(line).collect();
        lines.dedup();
        Self::new(format!(
            "this plan is refused; nothing was changed\n{}",
            lines.join("\n")
        ))
        .code(exit::REFUSED)
    }
}
