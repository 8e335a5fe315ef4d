//! The rollout as a person reads it who is tired: each app in numbered steps, and what has no number of its own goes
//! beside what is above it.

use unicode_width::UnicodeWidthStr as _;

use super::{TextWriter, pad_to_width};
use crate::{
    plan::Plan,
    render::{
        rollout::{Phrase, RolloutRow, RolloutSummary, summarize_rollouts},
        theme::paint,
        value::truncate_middle,
    },
};

/// A label longer than this pushes its own line to the right, and nobody else's.
const MAX_LABEL_WIDTH: usize = 16;
/// Lines are not laid out narrower than this.
const MIN_LINE_WIDTH: usize = 24;
/// The columns of a number and the gap behind it: there are never ten stages.
const NUMBER_WIDTH: usize = 3;
/// So many names of a list are always shown.
const MIN_NAMES: usize = 2;

impl TextWriter {
    /// Each app that is rolled out, in the order in which they come.
    pub(super) fn write_rollouts(&mut self, plan: &Plan) {
        for course in summarize_rollouts(plan) {
            self.write_gap();
            self.write_app_rollout(&course);
        }
    }

    fn write_app_rollout(&mut self, course: &RolloutSummary) {
        self.write_line(paint(
            self.theme.title,
            format!("Rollout of {}", course.app),
        ));
        let labels = course.stages.iter().flatten().map(|row| row.label.width());
        let width = labels
            .filter(|width| *width <= MAX_LABEL_WIDTH)
            .max()
            .unwrap_or(0);
        for (at, stage) in course.stages.iter().enumerate() {
            // Where everything goes side by side there is nothing to count.
            let mut number = match course.stages.len() {
                1 => String::new(),
                _ => format!("{}  ", paint(self.theme.dim, at + 1)),
            };
            for row in stage {
                self.write_stage_row(&number, row, width);
                number = " ".repeat(if course.stages.len() > 1 {
                    NUMBER_WIDTH
                } else {
                    0
                });
            }
        }
    }

    fn write_stage_row(&mut self, number: &str, row: &RolloutRow, width: usize) {
        let numbered = if number.is_empty() { 0 } else { NUMBER_WIDTH };
        let indent = " ".repeat(2 + numbered + width + 2);
        let room = self.width.saturating_sub(indent.len()).max(MIN_LINE_WIDTH);
        let mut head = format!("  {number}{}  ", pad_to_width(&row.label, width));
        for line in row.phrases.iter().flat_map(|say| phrase_lines(say, room)) {
            self.write_line(format!("{head}{line}"));
            head.clone_from(&indent);
        }
    }
}

/// A part of a row in lines that fit.
fn phrase_lines(say: &Phrase, room: usize) -> Vec<String> {
    match say {
        Phrase::Text(words) => wrap_words(words, room),
        Phrase::List(lead, items) => wrap_words(&fit_list(lead, items, room), room),
        Phrase::Code(code, words) => {
            wrap_words(&format!("{}{words}", truncate_middle(code, room)), room)
        }
    }
}

/// As many as fit, and how many more there are.
fn fit_list(lead: &str, items: &[String], room: usize) -> String {
    let shown = |number: usize| {
        let more = match items.len() - number {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{lead}: {}{more}", items[..number].join(", "))
    };
    let least = items.len().min(MIN_NAMES);
    (least..=items.len())
        .rev()
        .map(&shown)
        .find(|text| text.width() <= room)
        .unwrap_or_else(|| shown(least))
}

/// The words in lines that fit.
fn wrap_words(words: &str, room: usize) -> Vec<String> {
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
        let text = fit_list("at most 5 at once", &items, 50);
        assert_eq!(text, "at most 5 at once: ewr/0, ewr/1, ewr/2 and 27 more");
        assert_eq!(
            fit_list("one at a time", &items[..3], 1),
            "one at a time: ewr/0, ewr/1 and 1 more"
        );
    }

    #[test]
    fn words_are_never_torn() {
        assert_eq!(wrap_words("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap_words("incomprehensible", 3), ["incomprehensible"]);
    }
}
