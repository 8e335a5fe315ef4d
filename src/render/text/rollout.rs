//! The rollout as numbered stages for each app. Rows without a number of their own happen at the same time as the row
//! above.

use unicode_width::UnicodeWidthStr as _;

use super::{TextWriter, pad_to_width};
use crate::{
    plan::Plan,
    render::{
        rollout::{Phrase, RolloutRow, RolloutSummary, summarize_rollouts},
        theme::paint,
        value::{truncate_middle, wrap_words},
    },
};

/// Longer labels do not widen the column: they push only their own line to the right.
const MAX_LABEL_WIDTH: usize = 16;
/// Phrases get at least this many columns.
const MIN_LINE_WIDTH: usize = 24;
/// The width of a stage number and the gap after it. One digit is enough: an app has at most five stages.
const NUMBER_WIDTH: usize = 3;
/// At least this many items of a list are shown.
const MIN_NAMES: usize = 2;

impl TextWriter {
    /// The rollouts of all apps, in order.
    pub(super) fn write_rollouts(&mut self, plan: &Plan) {
        for rollout in summarize_rollouts(plan) {
            self.write_gap();
            self.write_app_rollout(&rollout);
        }
    }

    fn write_app_rollout(&mut self, rollout: &RolloutSummary) {
        self.write_line(paint(
            self.theme.title,
            format!("Rollout of {}", rollout.app),
        ));
        let labels = rollout.stages.iter().flatten().map(|row| row.label.width());
        let width = labels
            .filter(|width| *width <= MAX_LABEL_WIDTH)
            .max()
            .unwrap_or(0);
        for (index, stage) in rollout.stages.iter().enumerate() {
            // A single stage needs no number.
            let mut number = match rollout.stages.len() {
                1 => String::new(),
                _ => format!("{}  ", paint(self.theme.dim, index + 1)),
            };
            for row in stage {
                self.write_stage_row(&number, row, width);
                number = " ".repeat(if rollout.stages.len() > 1 {
                    NUMBER_WIDTH
                } else {
                    0
                });
            }
        }
    }

    fn write_stage_row(&mut self, number: &str, row: &RolloutRow, width: usize) {
        let number_width = if number.is_empty() { 0 } else { NUMBER_WIDTH };
        let indent = " ".repeat(2 + number_width + width + 2);
        let available_width = self.width.saturating_sub(indent.len()).max(MIN_LINE_WIDTH);
        let mut prefix = format!("  {number}{}  ", pad_to_width(&row.label, width));
        for line in row
            .phrases
            .iter()
            .flat_map(|phrase| phrase_lines(phrase, available_width))
        {
            self.write_line(format!("{prefix}{line}"));
            prefix.clone_from(&indent);
        }
    }
}

/// A phrase, wrapped into lines.
fn phrase_lines(phrase: &Phrase, available_width: usize) -> Vec<String> {
    match phrase {
        Phrase::Text(text) => wrap_words(text, available_width),
        Phrase::List(lead, items) => {
            wrap_words(&fit_list(lead, items, available_width), available_width)
        }
        Phrase::Code(code, text) => wrap_words(
            &format!("{}{text}", truncate_middle(code, available_width)),
            available_width,
        ),
    }
}

/// A list with as many items as fit into `width`, and how many more there are.
fn fit_list(lead: &str, items: &[String], available_width: usize) -> String {
    let with_items = |number: usize| {
        let hidden_count = match items.len() - number {
            0 => String::new(),
            hidden_count => format!(" and {hidden_count} more"),
        };
        format!("{lead}: {}{hidden_count}", items[..number].join(", "))
    };
    let min_shown = items.len().min(MIN_NAMES);
    (min_shown..=items.len())
        .rev()
        .map(&with_items)
        .find(|text| text.width() <= available_width)
        .unwrap_or_else(|| with_items(min_shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_list_counts_what_it_leaves_out() {
        let items: Vec<String> = (0..30).map(|index| format!("ewr/{index}")).collect();
        let text = fit_list("at most 5 at once", &items, 50);
        assert_eq!(text, "at most 5 at once: ewr/0, ewr/1, ewr/2 and 27 more");
        assert_eq!(
            fit_list("one at a time", &items[..3], 1),
            "one at a time: ewr/0, ewr/1 and 1 more"
        );
    }
}
