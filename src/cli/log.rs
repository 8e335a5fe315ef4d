//! Where `-v` goes: stderr, as text or as JSON.

use tracing_subscriber::{EnvFilter, fmt};

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
pub(super) fn start(verbose: u8, format: Format, color: bool) {
    let level = match verbose {
        0 => "trimtab=warn",
        1 => "trimtab=info",
        _ => "trimtab=debug",
    };
    let builder = fmt()
        .with_ansi(color)
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second start in one process is a test's business; the first one stays.
    let _ = match format {
        Format::Text => builder.without_time().try_init(),
        Format::Json => builder.json().try_init(),
    };
}
