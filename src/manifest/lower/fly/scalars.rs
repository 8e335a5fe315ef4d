//! Parses durations, sizes, commands and regions of the manifest.

use crate::manifest::lower::Diagnostics;
use crate::{
    manifest::{
        schema::{CommandLine, DurationOrSeconds, DurationString, EnvValue, RegionCode, Size},
        syntax::cursor::Cursor,
    },
    model::{self, Gib, Mib, Region},
};

/// Parses a duration.
pub(crate) fn parse_duration(
    span: Option<&DurationString>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<model::GoDuration> {
    let DurationString(text) = span?;
    match model::GoDuration::parse(text) {
        Ok(span) => Some(span),
        Err(error) => {
            diagnostics.error(cursor.diagnostic(error.to_string()));
            None
        }
    }
}

/// Parses a duration, or a number of seconds.
pub(crate) fn parse_duration_or_seconds(
    value: Option<&DurationOrSeconds>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<model::GoDuration> {
    match value? {
        DurationOrSeconds::Span(text) => parse_duration(Some(text), cursor, diagnostics),
        DurationOrSeconds::Number(seconds) => {
            Some(model::GoDuration::from_secs(u64::from(*seconds)))
        }
    }
}

/// Parses an amount of memory; a bare number counts megabytes.
pub(crate) fn parse_memory(
    size: &Size,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Mib> {
    let parsed = match size {
        Size::Text(text) => Mib::parse(text),
        Size::Number(megabytes) => Ok(Mib(*megabytes)),
    };
    parsed
        .map_err(|error| diagnostics.error(cursor.diagnostic(error.to_string())))
        .ok()
}

/// Parses the size of a volume; a bare number counts gigabytes.
pub(crate) fn parse_volume_size(
    size: &Size,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Gib> {
    let parsed = match size {
        Size::Text(text) => Gib::parse(text),
        Size::Number(gigabytes) => Ok(Gib(*gigabytes)),
    };
    match parsed {
        Ok(size) => Some(size),
        Err(_) => {
            let diagnostic = cursor.diagnostic(format!("`{size}` is not a volume's size"));
            diagnostics.error(diagnostic.with_help("write whole gigabytes, such as `10gb`"));
            None
        }
    }
}

/// Splits a command into words.
pub(crate) fn parse_command(
    command: &CommandLine,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<String> {
    let words = match command {
        CommandLine::Words(words) => Ok(words.clone()),
        CommandLine::Text(text) => shell_words::split(text),
    };
    words.unwrap_or_else(|_| {
        diagnostics.error(
            cursor
                .diagnostic("this command has a quote without its end")
                .with_help("write a list of words instead"),
        );
        Vec::new()
    })
}

/// Converts a region, which the schema has already checked.
pub(crate) fn to_region(code: &RegionCode) -> Region {
    Region::from_api(&code.0)
}

/// Formats the value of an environment variable.
pub(crate) fn format_env_value(value: &EnvValue) -> String {
    match value {
        EnvValue::Text(text) => text.clone(),
        EnvValue::Boolean(boolean) => boolean.to_string(),
        EnvValue::Integer(number) => number.to_string(),
        EnvValue::Float(number) => number.to_string(),
    }
}
