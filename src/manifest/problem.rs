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
    node::{FileId, Files, Place, Problem},
};
use crate::model::is_unseen;

/// So many are shown: whoever has more has one mistake that is everywhere.
const MOST: usize = 100;
/// A line that is longer, in bytes, is not drawn.
const LONGEST_LINE: usize = 2000;
/// How many characters of a message are shown. Ours have at most a third of it; the rest is the manifest's own words.
const LONGEST_TEXT: usize = 1000;

/// What is wrong with a manifest, and the files to show it in.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    /// The files that were read.
    pub files: Files,
    /// What is wrong, in the order of the files.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl Problems {
    /// The first `--var NAME=VALUE` that is missing, where that is among what is wrong: an environment made from a
    /// template, such as one for each pull request, is none without it.
    #[must_use]
    pub fn missing_variable(&self) -> Option<&str> {
        self.problems.iter().find_map(|problem| {
            problem
                .help
                .as_deref()?
                .strip_prefix(super::interpolate::PASS)
        })
    }

    /// Sorts by place, and drops what is said twice.
    pub(super) fn new(files: Files, mut problems: Vec<Problem>) -> Self {
        let key = |problem: &Problem| problem.at.as_ref().map(|at| (at.file, at.span.start));
        problems.sort_by_key(key);
        problems.dedup_by(|a, b| a.at == b.at && a.message == b.message);
        Self { files, problems }
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
        let shown = &self.problems[..self.problems.len().min(MOST)];
        let files: BTreeSet<FileId> = shown
            .iter()
            .filter_map(|problem| Some(problem.at.as_ref()?.file))
            .collect();
        let texts: BTreeMap<FileId, String> = files
            .into_iter()
            .map(|file| (file, mask::shown(&self.files, file)))
            .collect();
        let mut parts: Vec<String> = shown
            .iter()
            .map(|problem| self.one(problem, &texts, &renderer))
            .collect();
        if let Some(more) = self
            .problems
            .len()
            .checked_sub(MOST)
            .filter(|more| *more > 0)
        {
            parts.push(format!(
                "and {more} more of them; these are the first {MOST}"
            ));
        }
        parts.join("\n\n")
    }

    /// Path, line, column, message and help of each.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, usize, usize, &str, Option<&str>)> {
        self.problems.iter().map(|problem| {
            let (path, (line, column)) = match &problem.at {
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
    fn one(
        &self,
        problem: &Problem,
        texts: &BTreeMap<FileId, String>,
        renderer: &Renderer,
    ) -> String {
        let [message, label] = [&problem.message, &problem.label].map(|text| fit(text));
        let help = problem.help.as_deref().map(fit);
        let title = Level::ERROR.primary_title(message.as_str());
        let (path, line);
        let group = match &problem.at {
            Some(at) => {
                path = fit(&self.files.get(at.file).path.display().to_string());
                let (number, column) = self.files.line_column(at);
                let (text, begin) = self.files.line(at);
                let span = visible(text, at, begin);
                line = texts
                    .get(&at.file)
                    .and_then(|shown| shown.get(begin..begin + text.len()))
                    .map(drawable);
                match line.as_deref().filter(|line| line.len() <= LONGEST_LINE) {
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

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, 100))
    }
}

/// The part of a place that is worth marking: inside its line, which begins so far into the file, and on whole characters.
fn visible(line: &str, at: &Place, begin: usize) -> Range<usize> {
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
fn drawable(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\t' || !is_unseen(c) {
            out.push(c);
        } else {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        }
    }
    out
}

/// A text of ours, with words of others in it: in one line, without what a terminal obeys, and of bearable length.
fn fit(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == LONGEST_TEXT {
            out.push('…');
            break;
        }
        if is_unseen(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
