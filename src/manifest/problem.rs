//! Everything that is wrong with a manifest, at once, each with its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    path::Path,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{
    mask,
    node::{FileId, Files, Place, Problem},
};

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
        self.problems
            .iter()
            .find_map(|problem| problem.help.as_deref()?.strip_prefix(super::interpolate::PASS))
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
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(width);
        let places = self.problems.iter().filter_map(|problem| problem.at.as_ref());
        let texts: BTreeMap<FileId, String> = places
            .map(|at| at.file)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|file| (file, mask::shown(&self.files, file)))
            .collect();
        let parts: Vec<String> =
            self.problems.iter().map(|problem| renderer.render(&[self.group(problem, &texts)])).collect();
        parts.join("\n\n")
    }

    /// Path, line, column, message and help of each.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, usize, usize, &str, Option<&str>)> {
        self.problems.iter().map(|problem| {
            let (path, (line, column)) = match &problem.at {
                Some(at) => (self.files.get(at.file).path.as_path(), self.files.line_column(at)),
                None => (Path::new(""), (0, 0)),
            };
            (path, line, column, problem.message.as_str(), problem.help.as_deref())
        })
    }

    fn group<'a>(&'a self, problem: &'a Problem, texts: &'a BTreeMap<FileId, String>) -> Group<'a> {
        let title = Level::ERROR.primary_title(problem.message.as_str());
        let group = match &problem.at {
            Some(at) => {
                let file = self.files.get(at.file);
                let mut mark = AnnotationKind::Primary.span(visible(&file.text, at));
                if !problem.label.is_empty() {
                    mark = mark.label(problem.label.as_str());
                }
                let path = file.path.display().to_string();
                let text = texts.get(&at.file).map(String::as_str).unwrap_or_default();
                title.element(Snippet::source(text).path(path).annotation(mark))
            }
            None => Group::with_title(title),
        };
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, 100))
    }
}

/// The part of a place that is worth marking: inside the text, on whole characters, and one line only.
fn visible(text: &str, at: &Place) -> Range<usize> {
    let floor = |mut index: usize| {
        index = index.min(text.len());
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(at.span.start);
    let end = floor(at.span.end).max(start);
    let line = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    start..end.min(line)
}
