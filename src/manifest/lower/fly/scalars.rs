//! Durations, sizes, commands and regions as the manifest writes them, to values.

use crate::manifest::lower::Diagnostics;
use crate::{
    manifest::{
        schema::{CommandLine, DurationOrSeconds, DurationString, EnvValue, RegionCode, Size},
        syntax::cursor::Cursor,
    },
    model::{self, Gib, Mib, Region},
};

/// A duration.
pub(crate) fn parse_duration(
    span: Option<&DurationString>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<model::GoDuration> {
    let DurationString(text) = span?;
    match model::GoDuration::parse(text) {
        Ok(span) => Some(span),
        Err(error) => {
            sink.error(at.diagnostic(error.to_string()));
            None
        }
    }
}

/// A duration, or a number of seconds.
pub(crate) fn parse_duration_or_seconds(
    value: Option<&DurationOrSeconds>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<model::GoDuration> {
    match value? {
        DurationOrSeconds::Span(text) => parse_duration(Some(text), at, sink),
        DurationOrSeconds::Number(seconds) => {
            Some(model::GoDuration::from_secs(u64::from(*seconds)))
        }
    }
}

/// An amount of memory.
pub(crate) fn parse_memory(size: &Size, at: Cursor<'_>, sink: &mut Diagnostics) -> Option<Mib> {
    let parsed = match size {
        Size::Text(text) => Mib::parse(text),
        Size::Number(megabytes) => Ok(Mib(*megabytes)),
    };
    parsed
        .map_err(|error| sink.error(at.diagnostic(error.to_string())))
        .ok()
}

/// The size of a volume.
pub(crate) fn parse_volume_size(
    size: &Size,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<Gib> {
    let parsed = match size {
        Size::Text(text) => Gib::parse(text),
        Size::Number(gigabytes) => Ok(Gib(*gigabytes)),
    };
    match parsed {
        Ok(size) => Some(size),
        Err(_) => {
            let problem = at.diagnostic(format!("`{size}` is not a volume's size"));
            sink.error(problem.with_help("write whole gigabytes, such as `10gb`"));
            None
        }
    }
}

/// The words of a command.
pub(crate) fn parse_command(
    command: &CommandLine,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<String> {
    let words = match command {
        CommandLine::Words(words) => Ok(words.clone()),
        CommandLine::Text(text) => shell_words::split(text),
    };
    words.unwrap_or_else(|_| {
        sink.error(
            at.diagnostic("this command has a quote without its end")
                .with_help("write a list of words instead"),
        );
        Vec::new()
    })
}

/// A region that passed the check of the shape.
pub(crate) fn to_region(code: &RegionCode) -> Region {
    Region::from_api(&code.0)
}

/// A value of an environment variable as text.
pub(crate) fn format_env_value(value: &EnvValue) -> String {
    match value {
        EnvValue::Text(text) => text.clone(),
        EnvValue::Boolean(truth) => truth.to_string(),
        EnvValue::Integer(number) => number.to_string(),
        EnvValue::Float(number) => number.to_string(),
    }
}
