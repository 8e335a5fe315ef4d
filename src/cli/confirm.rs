//! Asking before something is done, and refusing to guess when nobody can be asked.

use super::{Context, Failure, exit};

/// Asks for a yes.
pub(super) fn yes(context: &Context<'_>, yes: bool, question: &str) -> Result<(), Failure> {
    ask(context, yes, &format!("{question} [y/N]"), |answer| {
        matches!(answer.to_lowercase().as_str(), "y" | "yes")
    })
}

/// Asks for a word to be typed.
pub(super) fn word(
    context: &Context<'_>,
    yes: bool,
    question: &str,
    word: &str,
) -> Result<(), Failure> {
    ask(
        context,
        yes,
        &format!("{question} Type `{word}` to confirm:"),
        |answer| answer == word,
    )
}

fn ask(
    context: &Context<'_>,
    yes: bool,
    question: &str,
    agrees: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !context.ui.can_ask() {
        return Err(
            Failure::new("nobody can be asked here; nothing was changed")
                .hint("say --yes, or --expect with the id of the plan that was reviewed")
                .code(exit::REFUSED),
        );
    }
    let answer = context.ui.ask(question)?;
    if agrees(&answer) {
        Ok(())
    } else {
        Err(Failure::new("not confirmed; nothing was changed").code(exit::REFUSED))
    }
}
