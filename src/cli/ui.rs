//! The only file that writes to the terminal: data to stdout, messages to stderr. No known secret passes here, whatever the
//! text is about.

use std::{
    borrow::Cow,
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use anstream::ColorChoice;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::env_vars::{EnvVars, names};
use crate::{
    model::{redact_json, redact_output},
    render::{TextOptions, github, sanitize_output},
};

/// The width of text in columns, where there is no terminal.
const DEFAULT_WIDTH: usize = 100;
/// The smallest width that text is laid out for.
const MIN_WIDTH: usize = 40;
/// The height of a terminal in lines, where it is unknown.
const DEFAULT_HEIGHT: usize = 24;

/// The terminal, or the streams that replace it.
#[derive(Debug)]
pub(super) struct Terminal {
    color: ColorChoice,
    /// Whether progress is redrawn in place.
    live: bool,
    /// Whether GitHub's runner reads the output, and obeys lines that look like workflow commands.
    github: bool,
    /// The width that the user asks for with `COLUMNS`.
    columns: Option<usize>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ColorMode {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Terminal {
    pub(super) fn new(color: ColorMode, environment: &EnvVars) -> Self {
        let color = match color {
            ColorMode::Auto => ColorChoice::Auto,
            ColorMode::Always => ColorChoice::AlwaysAnsi,
            ColorMode::Never => ColorChoice::Never,
        };
        color.write_global();
        Self {
            color,
            live: std::io::stderr().is_terminal() && environment.get(names::CI).is_none(),
            github: environment.get(names::GITHUB) == Some("true"),
            columns: environment
                .get(names::COLUMNS)
                .and_then(|text| text.parse().ok()),
        }
    }

    /// The width and colour of text on stdout.
    pub(super) fn stdout_options(&self) -> TextOptions {
        let stdout = std::io::stdout();
        TextOptions {
            color: self.uses_color(&stdout),
            width: self.width_of(&stdout),
        }
    }

    /// The width and colour of text on stderr.
    pub(super) fn stderr_options(&self) -> TextOptions {
        let stderr = std::io::stderr();
        TextOptions {
            color: self.uses_color(&stderr),
            width: self.width_of(&stderr),
        }
    }

    /// The width of a stream: what the user asks for, or that of its terminal. What is written to a pipe is not for the
    /// terminal that another stream may have.
    fn width_of(&self, stream: &impl std::os::fd::AsFd) -> usize {
        let terminal = || terminal_size::terminal_size_of(stream);
        self.columns
            .or_else(|| terminal().map(|(width, _)| usize::from(width.0)))
            .map_or(DEFAULT_WIDTH, |width| width.max(MIN_WIDTH))
    }

    fn uses_color<S: anstream::stream::RawStream>(&self, stream: &S) -> bool {
        let choice = match self.color {
            ColorChoice::Auto => anstream::AutoStream::choice(stream),
            other => other,
        };
        choice != ColorChoice::Never
    }

    /// Prints on stdout. A closed pipe is no error: its reader has seen enough.
    ///
    /// # Errors
    /// When stdout cannot be written to for any other reason, such as a full disk.
    pub(super) fn print(&self, text: &str) -> std::io::Result<()> {
        write_stdout(&self.sanitize(text))
    }

    /// Prints a JSON document on stdout.
    ///
    /// # Errors
    /// As [`Self::print`].
    pub(super) fn print_json(&self, document: Value) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(&redact_json(document)).unwrap_or_default();
        write_stdout(&self.escape(&text))
    }

    /// Prints a JSON document in one line on stdout.
    ///
    /// # Errors
    /// As [`Self::print`].
    pub(super) fn print_json_line(&self, document: Value) -> std::io::Result<()> {
        write_stdout(&self.escape(&redact_json(document).to_string()))
    }

    /// Prints credentials that the user asked for: those of the sandbox.
    ///
    /// # Errors
    /// As [`Self::print`].
    pub(super) fn print_credentials(&self, text: &str) -> std::io::Result<()> {
        write_stdout(&self.escape(text))
    }

    /// Prints a message on stderr. Errors are ignored.
    pub(super) fn eprint(&self, text: &str) {
        let text = self.sanitize(text);
        let mut err = anstream::stderr().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        drop(write!(err, "{text}{newline}"));
    }

    /// Prints lines on stderr, if there are any.
    pub(super) fn eprint_lines(&self, lines: &[String]) {
        if !lines.is_empty() {
            self.eprint(&lines.join("\n"));
        }
    }

    /// Prints lines that GitHub's runner obeys where they are workflow commands. They are written at once, so that no other
    /// line comes in between.
    #[expect(
        clippy::unused_self,
        reason = "whoever may say commands has been handed the terminal"
    )]
    pub(super) fn eprint_workflow_commands(&self, lines: &[String]) {
        if !lines.is_empty() {
            let mut err = anstream::stderr().lock();
            let text = lines.join("\n");
            drop(writeln!(err, "{}", sanitize_output(&redact_output(&text))));
        }
    }

    /// Removes known secrets, and what a terminal or GitHub's runner would obey, since part of the text comes from outside.
    pub(super) fn sanitize(&self, text: &str) -> String {
        self.escape(&redact_output(text)).into_owned()
    }

    fn escape<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = sanitize_output(text);
        if self.github {
            Cow::Owned(github::escape_workflow_commands(&text))
        } else {
            text
        }
    }

    /// Whether GitHub's runner reads the output.
    pub(super) fn is_github(&self) -> bool {
        self.github
    }

    /// The height of the terminal in lines.
    #[expect(
        clippy::unused_self,
        reason = "what is known of the terminal is asked here"
    )]
    pub(super) fn height(&self) -> usize {
        terminal_size::terminal_size().map_or(DEFAULT_HEIGHT, |(_, height)| usize::from(height.0))
    }

    /// Whether the user can be asked.
    pub(super) fn is_interactive(&self) -> bool {
        self.live && std::io::stdin().is_terminal()
    }

    /// Asks a question, and reads one line.
    pub(super) fn prompt(&self, question: &str) -> std::io::Result<String> {
        {
            let mut err = anstream::stderr().lock();
            write!(err, "{} ", self.sanitize(question))?;
            err.flush()?;
        }
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Whether progress is redrawn in place.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Shows a spinner on a terminal; nothing elsewhere.
    pub(super) fn start_spinner(&self, text: &str) -> Option<Spinner> {
        if !self.live {
            return None;
        }
        let bar = ProgressBar::new_spinner().with_message(self.sanitize(text));
        let style = ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Some(Spinner(bar))
    }
}

/// A spinner that is cleared when it is dropped.
pub(super) struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Writes a text, and a line break unless it ends with one.
fn write_stdout(text: &str) -> std::io::Result<()> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = anstream::stdout().lock();
    match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
        Err(error) if is_reader_gone(&error) => Ok(()),
        other => other,
    }
}

/// Whether nobody reads any more: a closed pipe, or a terminal that was closed. On Linux such a terminal answers with an
/// input/output error, which elsewhere is that of a disk.
fn is_reader_gone(error: &std::io::Error) -> bool {
    const EIO: i32 = 5;
    error.kind() == std::io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(EIO)
            && !std::fs::metadata("/dev/stdout").is_ok_and(|stdout| stdout.is_file())
}
