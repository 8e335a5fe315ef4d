//! Where `-v` goes: stderr, as text or as JSON.

use std::io::Write;

use tracing_subscriber::{EnvFilter, fmt};

use crate::render::{github, harmless};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. Only our own lines: a dependency's may hold headers.
pub(super) fn start(verbose: u8, format: Format, color: bool, github: bool) {
    let level = match verbose {
        0 => "trimtab=warn",
        1 => "trimtab=info",
        _ => "trimtab=debug",
    };
    let builder = fmt()
        .with_ansi(color)
        .with_env_filter(EnvFilter::new(level))
        .with_writer(move || Lines { github })
        .with_target(false);
    // A second start in one process is a test's business; the first one stays.
    let _ = match format {
        Format::Text => builder.without_time().try_init(),
        Format::Json => builder.json().try_init(),
    };
}

/// Stderr, where lines come one at a time and in one piece each.
struct Lines {
    /// Whether GitHub's runner reads along, which must not obey what a server answered.
    github: bool,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let shown = String::from_utf8_lossy(line);
        let shown = harmless(&shown);
        if self.github {
            std::io::stderr().write_all(github::harmless(&shown).as_bytes())?;
        } else {
            std::io::stderr().write_all(shown.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
