//! Asks the user to confirm, and refuses to guess where there is no terminal to ask on.

use super::{CommandContext, CommandError, exit};

/// Asks a yes-or-no question.
pub(super) fn confirm(
    context: &CommandContext<'_>,
    yes: bool,
    question: &str,
) -> Result<(), CommandError> {
    confirm_answer(context, yes, &format!("{question} [y/N]"), |answer| {
        matches!(answer.to_lowercase().as_str(), "y" | "yes")
    })
}

/// Asks the user to type a word, for what cannot be undone.
pub(super) fn confirm_by_name(
    context: &CommandContext<'_>,
    yes: bool,
    question: &str,
    word: &str,
) -> Result<(), CommandError> {
    confirm_answer(
        context,
        yes,
        &format!("{question} Type `{word}` to confirm:"),
        |answer| answer == word,
    )
}

fn confirm_answer(
    context: &CommandContext<'_>,
    yes: bool,
    question: &str,
    agrees: impl Fn(&str) -> bool,
) -> Result<(), CommandError> {
    if yes {
        return Ok(());
    }
    if !context.ui.is_interactive() {
        return Err(
            CommandError::new("nobody can be asked here; nothing was changed")
                .with_hint("say --yes, or --expect with the id of the plan that was reviewed")
                .with_exit_code(exit::REFUSED),
        );
    }
    let answer = context.ui.prompt(question)?;
    if agrees(&answer) {
        Ok(())
    } else {
        Err(CommandError::new("not confirmed; nothing was changed").with_exit_code(exit::REFUSED))
    }
}
