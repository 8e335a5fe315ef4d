//! Durations, sizes, commands and regions as the manifest writes them, to values.

use super::Sink;
use crate::{
    manifest::{
        shape::{Command, RegionCode, Scalar, Seconds, Size, Span},
        spot::Spot,
    },
    model::{self, Gib, Mib, Region},
};

/// A duration.
pub(super) fn span(span: Option<&Span>, at: Spot<'_>, sink: &mut Sink) -> Option<model::Span> {
    let Span(text) = span?;
    match model::Span::parse(text) {
        Ok(span) => Some(span),
        Err(error) => {
            sink.error(at.problem(error.to_string()));
            None
        }
    }
}

/// A duration, or a number of seconds.
pub(super) fn seconds(
    value: Option<&Seconds>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Option<model::Span> {
    match value? {
        Seconds::Span(text) => span(Some(text), at, sink),
        Seconds::Number(seconds) => Some(model::Span::from_secs(u64::from(*seconds))),
    }
}

/// An amount of memory.
pub(super) fn memory(size: &Size, at: Spot<'_>, sink: &mut Sink) -> Option<Mib> {
    let parsed = match size {
        Size::Text(text) => Mib::parse(text),
        Size::Number(megabytes) => Ok(Mib(*megabytes)),
    };
    parsed
        .map_err(|error| sink.error(at.problem(error.to_string())))
        .ok()
}

/// The size of a volume.
pub(super) fn disk(size: &Size, at: Spot<'_>, sink: &mut Sink) -> Option<Gib> {
    let parsed = match size {
        Size::Text(text) => Gib::parse(text),
        Size::Number(gigabytes) => Ok(Gib(*gigabytes)),
    };
    match parsed {
        Ok(size) => Some(size),
        Err(_) => {
            let problem = at.problem(format!("`{size}` is not a volume's size"));
            sink.error(problem.help("write whole gigabytes, such as `10gb`"));
            None
        }
    }
}

/// The words of a command.
pub(super) fn command(command: &Command, at: Spot<'_>, sink: &mut Sink) -> Vec<String> {
    let words = match command {
        Command::Words(words) => Ok(words.clone()),
        Command::Text(text) => shell_words::split(text),
    };
    words.unwrap_or_else(|_| {
        sink.error(
            at.problem("this command has a quote without its end")
                .help("write a list of words instead"),
        );
        Vec::new()
    })
}

/// A region that passed the check of the shape.
pub(super) fn region(code: &RegionCode) -> Region {
    Region::reported(&code.0)
}

/// A value of an environment variable as text.
pub(super) fn text(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => text.clone(),
        Scalar::Boolean(truth) => truth.to_string(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
    }
}
