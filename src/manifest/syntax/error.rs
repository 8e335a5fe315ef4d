//! Everything that is wrong with a manifest, at once, each with its place.

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

/// So many are shown: whoever has more has one mistake that is everywhere.
const MAX_SHOWN: usize = 100;
/// A line that is longer, in bytes, is not drawn.
const MAX_LINE_BYTES: usize = 2000;
/// How many characters of a message are shown. Ours have at most a third of it; the rest is the manifest's own words.
const MAX_MESSAGE_CHARS: usize = 1000;

/// What is wrong with a manifest, and the files to show it in.
#[derive(Clone, Debug, Default)]
pub struct ManifestError {
    /// The files that were read.
    pub files: SourceFiles,
    /// What is wrong, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::error::Error for ManifestError {}

impl ManifestError {
    /// The first `--var NAME=VALUE` that is missing, where that is among what is wrong: an environment made from a
    /// template, such as one for each pull request, is none without it.
    #[must_use]
    pub fn missing_variable(&self) -> Option<&str> {
        self.diagnostics.iter().find_map(|problem| {
            problem
                .help
                .as_deref()?
                .strip_prefix(crate::manifest::interpolate::PASS_VAR_HELP)
        })
    }

    /// Sorts by place, and drops what is said twice.
    pub(crate) fn new(files: SourceFiles, mut problems: Vec<Diagnostic>) -> Self {
        let key =
            |problem: &Diagnostic| problem.location.as_ref().map(|at| (at.file, at.span.start));
        problems.sort_by_key(key);
        problems.dedup_by(|a, b| a.location == b.location && a.message == b.message);
        Self {
            files,
            diagnostics: problems,
        }
    }

    /// Every problem in full: the message, the line with a mark below, and what to write instead.
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
            .filter_map(|problem| Some(problem.location.as_ref()?.file))
            .collect();
        let texts: BTreeMap<FileId, String> = files
            .into_iter()
            .map(|file| (file, mask::mask_secrets(&self.files, file)))
            .collect();
        let mut parts: Vec<String> = shown
            .iter()
            .map(|problem| self.render_diagnostic(problem, &texts, &renderer))
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

    /// Path, line, column, message and help of each.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, usize, usize, &str, Option<&str>)> {
        self.diagnostics.iter().map(|problem| {
            let (path, (line, column)) = match &problem.location {
                Some(at) => (
                    self.files.get(at.file).path.as_path(),
                    self.files.line_column(at),
                ),
                None => (Path::new(""), (0, 0)),
            };
            (
                path,
                line,
                column,
                problem.message.as_str(),
                problem.help.as_deref(),
            )
        })
    }

    /// One problem. Only the line that it is about is handed over, and of a line that is too long nothing but its place:
    /// what is drawn takes its time for every line that is there.
    fn render_diagnostic(
        &self,
        problem: &Diagnostic,
        texts: &BTreeMap<FileId, String>,
        renderer: &Renderer,
    ) -> String {
        let [message, label] =
            [&problem.message, &problem.label].map(|text| sanitize_message(text));
        let help = problem.help.as_deref().map(sanitize_message);
        let title = Level::ERROR.primary_title(message.as_str());
        let (path, line);
        let group = match &problem.location {
            Some(at) => {
                path = sanitize_message(&self.files.get(at.file).path.display().to_string());
                let (number, column) = self.files.line_column(at);
                let (text, begin) = self.files.line_at(at);
                let span = span_in_line(text, at, begin);
                line = texts
                    .get(&at.file)
                    .and_then(|shown| shown.get(begin..begin + text.len()))
                    .map(sanitize_line);
                match line.as_deref().filter(|line| line.len() <= MAX_LINE_BYTES) {
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

/// The part of a place that is worth marking: inside its line, which begins so far into the file, and on whole characters.
fn span_in_line(line: &str, at: &SourceLocation, begin: usize) -> Range<usize> {
    let floor = |index: usize| {
        let mut index = index.saturating_sub(begin).min(line.len());
        while !line.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(at.span.start);
    start..floor(at.span.end).max(start)
}

/// A line as it may be drawn: each character that a terminal obeys is as many signs for "something", so that places stay
/// where they are.
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

/// A text of ours, with words of others in it: in one line, without what a terminal obeys, and of bearable length.
fn sanitize_message(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == MAX_MESSAGE_CHARS {
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
