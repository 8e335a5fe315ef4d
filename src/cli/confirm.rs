//! Asks the user to confirm, and refuses to guess where there is no terminal to ask on.

use super::{CommandContext, CommandError, exit};

/// The question before an operation, and how it is answered.
pub(super) struct Confirmation {
    pub(super) question: String,
    /// The name that the user has to type, for what cannot be undone. Without one, a yes is enough.
    pub(super) name_to_type: Option<String>,
    /// Whether the command line has answered it already, with `--yes` or `--expect`.
    pub(super) is_confirmed: bool,
    /// Whether the command takes `--expect`, so that a hint can name it.
    pub(super) has_expect_option: bool,
}

impl Confirmation {
    /// Asks the user, unless the command line has answered.
    pub(super) fn ask(&self, context: &CommandContext<'_>) -> Result<(), CommandError> {
        if self.is_confirmed {
            return Ok(());
        }
        if !context.ui.is_interactive() {
            let hint = if self.has_expect_option {
                "pass --yes, or --expect with the id of the plan that was reviewed"
            } else {
                "pass --yes"
            };
            return Err(CommandError::new(
                "there is no terminal to ask for confirmation; nothing was changed",
            )
            .with_hint(hint)
            .with_exit_code(exit::REFUSED));
        }
        let question = &self.question;
        // A terminal that was closed meanwhile has not agreed.
        let answer = |question: &str| context.ui.prompt(question).unwrap_or_default();
        let is_yes = match &self.name_to_type {
            Some(name) => {
                let question = format!("{question} Type `{name}` to confirm:");
                answer(&question) == *name
            }
            None => {
                let answer = answer(&format!("{question} [y/N]"));
                matches!(answer.to_lowercase().as_str(), "y" | "yes")
            }
        };
        if is_yes {
            Ok(())
        } else {
            Err(CommandError::new("not confirmed; nothing was changed")
                .with_exit_code(exit::REFUSED))
        }
    }
}
