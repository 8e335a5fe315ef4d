//! The error of a manifest: all diagnostics at once, each rendered with its source line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::Path,
};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{
    mask,
    node::{Diagnostic, FileId, SourceFiles, SourceLocation},
};
use crate::model::is_unprintable;

/// The maximum number of diagnostics shown. More are nearly always one mistake that repeats.
const MAX_SHOWN: usize = 100;
/// The maximum length of a source line that is shown, in bytes.
const MAX_LINE_BYTES: usize = 2000;
/// The maximum length of a message, in characters. Our own text is at most a third of it; the rest
/// quotes the manifest.
const MAX_MESSAGE_CHARS: usize = 1000;

/// The errors of a manifest, and the files they point into.
#[derive(Clone, Debug, Default)]
pub struct ManifestError {
    /// The files that were read.
    pub files: SourceFiles,
    /// The errors, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::error::Error for ManifestError {}

impl ManifestError {
    /// The first missing `--var NAME=VALUE`, if that is one of the errors: an environment made from
    /// a template, such as one per pull request, cannot be loaded without it.
    #[must_use]
    pub fn missing_variable(&self) -> Option<&str> {
        self.diagnostics.iter().find_map(|diagnostic| {
            diagnostic
                .help
                .as_deref()?
                .strip_prefix(crate::manifest::interpolate::PASS_VAR_HELP)
        })
    }

    /// Sorts by location, and drops duplicates.
    pub(crate) fn new(files: SourceFiles, mut diagnostics: Vec<Diagnostic>) -> Self {
        let key = |diagnostic: &Diagnostic| {
            diagnostic
                .location
                .as_ref()
                .map(|location| (location.file, location.span.start))
        };
        diagnostics.sort_by_key(key);
        for diagnostic in &mut diagnostics {
            let help = diagnostic.help.iter_mut();
            for text in [&mut diagnostic.message, &mut diagnostic.label]
                .into_iter()
                .chain(help)
            {
                *text = mask::mask_message(text);
            }
        }
        diagnostics.dedup_by(|a, b| a.location == b.location && a.message == b.message);
        Self { files, diagnostics }
    }

    /// The first errors in one line, each with its place.
    #[must_use]
    pub fn summary(&self) -> String {
        const SHOWN: usize = 3;
        let describe = |diagnostic: &Diagnostic| match &diagnostic.location {
            Some(location) => {
                let (line, column) = self.files.line_column(location);
                let path = self.files.get(location.file).path.display();
                format!("{path}:{line}:{column}: {}", diagnostic.message)
            }
            None => diagnostic.message.clone(),
        };
        let mut shown: Vec<String> = self.diagnostics.iter().take(SHOWN).map(describe).collect();
        let rest = self.diagnostics.len().saturating_sub(SHOWN);
        if rest > 0 {
            shown.push(format!("and {rest} more"));
        }
        shown.join("; ")
    }

    /// Renders every error in full: the message, the source line with a mark below, and the help.
    #[must_use]
    pub fn render(&self, color: bool, width: usize) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.term_width(width);
        let shown = &self.diagnostics[..self.diagnostics.len().min(MAX_SHOWN)];
        let files: BTreeSet<FileId> = shown
            .iter()
            .filter_map(|diagnostic| Some(diagnostic.location.as_ref()?.file))
            .collect();
        let texts: BTreeMap<FileId, String> = files
            .into_iter()
            .map(|file| (file, mask::mask_secrets(&self.files, file)))
            .collect();
        let mut parts: Vec<String> = shown
            .iter()
            .map(|diagnostic| self.render_diagnostic(diagnostic, &texts, &renderer))
            .collect();
        if let Some(more) = self
            .diagnostics
            .len()
            .checked_sub(MAX_SHOWN)
            .filter(|more| *more > 0)
        {
            parts.push(format!(
                "and {more} more of them; these are the first {MAX_SHOWN}"
            ));
        }
        parts.join("\n\n")
    }

    /// The path, line, column, message and help of each error.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, usize, usize, &str, Option<&str>)> {
        self.diagnostics.iter().map(|diagnostic| {
            let (path, (line, column)) = match &diagnostic.location {
                Some(location) => (
                    self.files.get(location.file).path.as_path(),
                    self.files.line_column(location),
                ),
                None => (Path::new(""), (0, 0)),
            };
            (
                path,
                line,
                column,
                diagnostic.message.as_str(),
                diagnostic.help.as_deref(),
            )
        })
    }

    /// Renders one error. The renderer gets only the line in question, and none if that is too
    /// long, because its running time grows with the text it is given.
    fn render_diagnostic(
        &self,
        diagnostic: &Diagnostic,
        texts: &BTreeMap<FileId, String>,
        renderer: &Renderer,
    ) -> String {
        let [message, label] =
            [&diagnostic.message, &diagnostic.label].map(|text| sanitize_message(text));
        let help = diagnostic.help.as_deref().map(sanitize_message);
        let title = Level::ERROR.primary_title(message.as_str());
        let (path, line);
        let group = match &diagnostic.location {
            Some(location) => {
                path = sanitize_message(&self.files.get(location.file).path.display().to_string());
                let (number, column) = self.files.line_column(location);
                let (text, begin) = self.files.line_at(location);
                let span = span_in_line(text, location, begin);
                line = texts
                    .get(&location.file)
                    .and_then(|shown| shown.get(begin..begin + text.len()))
                    .map(sanitize_line);
                match line.as_deref().filter(|line| line.len() <= MAX_LINE_BYTES) {
                    // What concerns the file as a whole has no line to show.
                    Some(_) if location.span == (0..0) => {
                        title.element(Origin::path(path.as_str()))
                    }
                    Some(line) => {
                        let mut mark = AnnotationKind::Primary.span(span);
                        if !label.is_empty() {
                            mark = mark.label(label.as_str());
                        }
                        let snippet = Snippet::source(line).line_start(number).path(path.as_str());
                        title.element(snippet.annotation(mark))
                    }
                    None => {
                        title.element(Origin::path(path.as_str()).line(number).char_column(column))
                    }
                }
            }
            None => Group::with_title(title),
        };
        match &help {
            Some(help) => renderer.render(&[group.element(Level::HELP.message(help.as_str()))]),
            None => renderer.render(&[group]),
        }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, 100))
    }
}

/// The part of a location to mark: limited to its line, which begins at `begin` in the file, and to
/// whole characters.
fn span_in_line(line: &str, location: &SourceLocation, begin: usize) -> Range<usize> {
    let floor = |index: usize| {
        let mut index = index.saturating_sub(begin).min(line.len());
        while !line.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(location.span.start);
    start..floor(location.span.end).max(start)
}

/// Replaces every control character by as many `?` as it has bytes, so that offsets stay the same.
fn sanitize_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\t' || !is_unprintable(c) {
            out.push(c);
        } else {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        }
    }
    out
}

/// Escapes control characters in a message, which may quote the manifest, and limits its length.
fn sanitize_message(text: &str) -> String {
    let mut out = String::new();
    for (location, c) in text.chars().enumerate() {
        if location == MAX_MESSAGE_CHARS {
            out.push('…');
            break;
        }
        if is_unprintable(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
