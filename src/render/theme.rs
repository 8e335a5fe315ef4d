//! The colours and text styles of terminal output. Every styled part also carries a word or symbol with the same
//! meaning, so output without colours loses nothing.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use crate::plan::Verb;

/// The style of each part of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Titles and totals.
    pub title: Style,
    /// Creations and successes.
    pub create: Style,
    /// Changes and warnings.
    pub change: Style,
    /// Deletions.
    pub destroy: Style,
    /// Failures, refusals and other things that need attention first.
    pub error: Style,
    /// Progress bar and spinner.
    pub progress: Style,
    /// Secondary information.
    pub dim: Style,
}

impl Theme {
    /// A theme without any styling.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// A theme of the standard ANSI colours. Terminal themes define those themselves, so the text stays readable on light
    /// and dark backgrounds.
    #[must_use]
    pub fn colored() -> Self {
        let foreground = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        Self {
            title: Style::new().bold(),
            create: foreground(AnsiColor::Green),
            change: foreground(AnsiColor::Yellow),
            destroy: foreground(AnsiColor::Red),
            error: foreground(AnsiColor::Red).bold(),
            progress: foreground(AnsiColor::Cyan),
            dim: Style::new().dimmed(),
        }
    }

    /// The style for a kind of change.
    pub(super) fn verb_style(&self, verb: Verb) -> Style {
        match verb {
            Verb::Destroy | Verb::Replace => self.destroy,
            Verb::Succeed | Verb::Restart | Verb::Update => self.change,
            Verb::Create | Verb::Run => self.create,
        }
    }
}

/// Wraps the text in the escape sequences that set and reset a style.
pub(super) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
