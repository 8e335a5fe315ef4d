//! Logging for `-v`: on stderr, as text or as JSON.

use std::io::Write;

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    model::{redact_json, redact_output},
    render::{github, sanitize_output},
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// Text, for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. Only lines of our own crates are logged: those of dependencies may contain headers with secrets.
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
    // A second initialisation happens only in tests; the first one stays in effect.
    let _ = match format {
        LogFormat::Text => builder.without_time().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Replaces known secrets in a log line. One of JSON stays valid.
fn redact_line(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(document @ serde_json::Value::Object(_)) => format!("{}\n", redact_json(document)),
        _ => redact_output(line).into_owned(),
    }
}

/// Writes whole log lines to stderr, one at a time.
struct StderrWriter {
    /// Whether GitHub's runner reads the log. It must not obey what a server answered.
    github: bool,
}

impl Write for StderrWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let shown = redact_line(&String::from_utf8_lossy(line));
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
