//! The rollout as a person reads it who is tired: each app in numbered steps, and what has no number of its own goes
//! beside what is above it.

use unicode_width::UnicodeWidthStr as _;

use super::{Page, pad};
use crate::{
    plan::Plan,
    render::{
        rollout::{Course, Row, Say, courses},
        style::paint,
        value::cut,
    },
};

/// A label longer than this pushes its own line to the right, and nobody else's.
const WIDEST_LABEL: usize = 16;
/// Lines are not laid out narrower than this.
const LEAST: usize = 24;
/// The columns of a number and the gap behind it: there are never ten stages.
const NUMBER: usize = 3;
/// So many names of a list are always shown.
const LEAST_NAMES: usize = 2;

impl Page {
    /// Each app that is rolled out, in the order in which they come.
    pub(super) fn rollout(&mut self, plan: &Plan) {
        for course in courses(plan) {
            self.gap();
            self.course(&course);
        }
    }

    fn course(&mut self, course: &Course) {
        self.line(paint(
            self.style.title,
            format!("Rollout of {}", course.app),
        ));
        let labels = course.stages.iter().flatten().map(|row| row.label.width());
        let width = labels
            .filter(|width| *width <= WIDEST_LABEL)
            .max()
            .unwrap_or(0);
        for (at, stage) in course.stages.iter().enumerate() {
            // Where everything goes side by side there is nothing to count.
            let mut number = match course.stages.len() {
                1 => String::new(),
                _ => format!("{}  ", paint(self.style.quiet, at + 1)),
            };
            for row in stage {
                self.stage_row(&number, row, width);
                number = " ".repeat(if course.stages.len() > 1 { NUMBER } else { 0 });
            }
        }
    }

    fn stage_row(&mut self, number: &str, row: &Row, width: usize) {
        let numbered = if number.is_empty() { 0 } else { NUMBER };
        let indent = " ".repeat(2 + numbered + width + 2);
        let room = self.width.saturating_sub(indent.len()).max(LEAST);
        let mut head = format!("  {number}{}  ", pad(&row.label, width));
        for line in row.says.iter().flat_map(|say| said(say, room)) {
            self.line(format!("{head}{line}"));
            head.clone_from(&indent);
        }
    }
}

/// A part of a row in lines that fit.
fn said(say: &Say, room: usize) -> Vec<String> {
    match say {
        Say::Words(words) => wrapped(words, room),
        Say::List(lead, items) => wrapped(&list(lead, items, room), room),
        Say::Code(code, words) => wrapped(&format!("{}{words}", cut(code, room)), room),
    }
}

/// As many as fit, and how many more there are.
fn list(lead: &str, items: &[String], room: usize) -> String {
    let shown = |number: usize| {
        let more = match items.len() - number {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{lead}: {}{more}", items[..number].join(", "))
    };
    let least = items.len().min(LEAST_NAMES);
    (least..=items.len())
        .rev()
        .map(&shown)
        .find(|text| text.width() <= room)
        .unwrap_or_else(|| shown(least))
}

/// The words in lines that fit.
fn wrapped(words: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_much_of_it_is_left_out() {
        let items: Vec<String> = (0..30).map(|at| format!("ewr/{at}")).collect();
        let text = list("at most 5 at once", &items, 50);
        assert_eq!(text, "at most 5 at once: ewr/0, ewr/1, ewr/2 and 27 more");
        assert_eq!(
            list("one at a time", &items[..3], 1),
            "one at a time: ewr/0, ewr/1 and 1 more"
        );
    }

    #[test]
    fn words_are_never_torn() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible", 3), ["incomprehensible"]);
    }
}
