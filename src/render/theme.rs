//! The one place that knows colours. Every style stands beside a word or a symbol that says the same.

use std::fmt::Display;

use anstyle::{AnsiColor, Style as Paint};

use crate::plan::Verb;

/// What each part of the text looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Titles and totals.
    pub title: Paint,
    /// What is made.
    pub create: Paint,
    /// What changes.
    pub change: Paint,
    /// What goes.
    pub destroy: Paint,
    /// What must be read before anything else.
    pub error: Paint,
    /// How far something is.
    pub progress: Paint,
    /// What may be skipped.
    pub dim: Paint,
}

impl Theme {
    /// No colours at all.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// The sixteen colours that every terminal has and every theme sets, so that a light one stays readable.
    #[must_use]
    pub fn colored() -> Self {
        let of = |color: AnsiColor| Paint::new().fg_color(Some(color.into()));
        Self {
            title: Paint::new().bold(),
            create: of(AnsiColor::Green),
            change: of(AnsiColor::Yellow),
            destroy: of(AnsiColor::Red),
            error: of(AnsiColor::Red).bold(),
            progress: of(AnsiColor::Cyan),
            dim: Paint::new().dimmed(),
        }
    }

    /// The style of a change.
    pub(super) fn verb_style(&self, verb: Verb) -> Paint {
        match verb {
            Verb::Destroy | Verb::Replace => self.destroy,
            Verb::Succeed | Verb::Restart | Verb::Update => self.change,
            Verb::Create | Verb::Run => self.create,
        }
    }
}

/// The text in this style, and the terminal as it was after it.
pub(super) fn paint(style: Paint, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
