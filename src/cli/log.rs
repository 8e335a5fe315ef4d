//! Where `-v` goes: stderr, as text or as JSON.

use std::io::Write;

use tracing_subscriber::{EnvFilter, fmt};

use crate::render::{github, sanitize_output};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. Only our own lines: a dependency's may hold headers.
pub(super) fn init_logging(verbose: u8, format: LogFormat, color: bool, github: bool) {
    let level = match verbose {
        0 => "trimtab=warn",
        1 => "trimtab=info",
        _ => "trimtab=debug",
    };
    let builder = fmt()
        .with_ansi(color)
        .with_env_filter(EnvFilter::new(level))
        .with_writer(move || StderrWriter { github })
        .with_target(false);
    // A second start in one process is a test's business; the first one stays.
    let _ = match format {
        LogFormat::Text => builder.without_time().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Stderr, where lines come one at a time and in one piece each.
struct StderrWriter {
    /// Whether GitHub's runner reads along, which must not obey what a server answered.
    github: bool,
}

impl Write for StderrWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let shown = String::from_utf8_lossy(line);
        let shown = sanitize_output(&shown);
        if self.github {
            std::io::stderr().write_all(github::escape_workflow_commands(&shown).as_bytes())?;
        } else {
            std::io::stderr().write_all(shown.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
