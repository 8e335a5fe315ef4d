//! A comment that is too long: filled up to the budget in the order of danger. A reviewer may miss a log level; what
//! deletes, opens or grants something has to be in the comment.

use super::{CommentKind, PlanComment, Scope, details, join_parts, table};
use crate::render::{change_groups::ChangeGroup, wording};

/// Room for the note that says what is left out, and for the markup around details.
const NOTE_BYTES: usize = 400;
/// The share of the room, in percent, that the details of grave changes get before the table.
const GRAVE_SHARE: usize = 40;

/// Renders a comment that fits.
pub(super) fn fill(comment: &PlanComment<'_>, budget: usize) -> String {
    let fixed = [
        comment.header(),
        comment.refusal_block().unwrap_or_default(),
        comment.narrowed_note().unwrap_or_default(),
        comment.warning_list().unwrap_or_default(),
        comment.footer(),
    ];
    let fixed_bytes: usize = fixed.iter().map(|part| part.len() + 1).sum();
    let Some(mut room) = budget.checked_sub(fixed_bytes + NOTE_BYTES) else {
        // Not even the warnings fit. That something is refused matters more than what.
        let short = join_parts([Some(comment.header()), Some(comment.footer())]);
        return if short.len() <= budget {
            short
        } else {
            comment.header()
        };
    };
    let mut groups: Vec<&ChangeGroup> = comment.groups.iter().collect();
    groups.sort_by_key(|group| group.risk());
    let mut blocks = DetailBlocks::new(groups.len());
    let (grave, others): (Vec<usize>, Vec<usize>) =
        (0..groups.len()).partition(|index| groups[*index].risk().is_grave());
    let grave_room = room * GRAVE_SHARE / 100;
    room -= blocks.add(comment, &groups, &grave, grave_room);
    let table = table::render_table(&groups, comment, room);
    room -= table.as_ref().map_or(0, |(text, _)| text.len() + 1);
    let rollouts = comment
        .rollouts()
        .filter(|text| text.len() < room)
        .inspect(|text| room -= text.len() + 1);
    let missing: Vec<usize> = grave
        .into_iter()
        .filter(|index| blocks.texts[*index].is_none())
        .chain(others)
        .collect();
    blocks.add(comment, &groups, &missing, room);
    let note = left_out_note(
        comment,
        &groups,
        table.as_ref().map_or(0, |(_, rows)| *rows),
        &blocks,
    );
    let [header, refusals, narrowed, warnings, footer] = fixed;
    let is_there = |text: String| Some(text).filter(|text| !text.is_empty());
    join_parts([
        Some(header),
        is_there(refusals),
        table.map(|(text, _)| text),
        rollouts,
        is_there(narrowed),
        details::fold(&blocks.texts.iter().flatten().cloned().collect::<String>()),
        note,
        is_there(warnings),
        Some(footer),
    ])
}

/// The details of the changes that have room, in the order of the changes.
struct DetailBlocks {
    texts: Vec<Option<String>>,
    /// How many of them show only their dangerous lines.
    shortened: usize,
}

impl DetailBlocks {
    fn new(count: usize) -> Self {
        Self {
            texts: vec![None; count],
            shortened: 0,
        }
    }

    /// Adds the details of some changes that fit, and returns how many bytes they take. Of a change that does not fit as a
    /// whole, its dangerous lines are added if it has any.
    fn add(
        &mut self,
        comment: &PlanComment<'_>,
        groups: &[&ChangeGroup],
        wanted: &[usize],
        room: usize,
    ) -> usize {
        let mut used = 0;
        for index in wanted {
            let group = groups[*index];
            let whole = details::change_block(group, &comment.refusals, comment.kind);
            if used + whole.len() <= room {
                used += whole.len();
                self.texts[*index] = Some(whole);
                continue;
            }
            let short = details::dangerous_block(group, &comment.refusals, comment.kind);
            if let Some(short) = short.filter(|short| used + short.len() <= room) {
                used += short.len();
                self.texts[*index] = Some(short);
                self.shortened += 1;
            }
        }
        used
    }
}

/// What is left out, in numbers.
fn left_out_note(
    comment: &PlanComment<'_>,
    groups: &[&ChangeGroup],
    rows: usize,
    blocks: &DetailBlocks,
) -> Option<String> {
    let without_details = blocks.texts.iter().filter(|text| text.is_none()).count();
    let count = |number: usize, noun: &str| {
        wording::format_count(u64::try_from(number).unwrap_or(u64::MAX), noun)
    };
    let parts = [
        (rows < groups.len())
            .then(|| format!("{} of the table", count(groups.len() - rows, "row"))),
        (without_details > 0)
            .then(|| format!("the details of {}", count(without_details, "change"))),
        (blocks.shortened > 0).then(|| {
            format!(
                "the harmless lines of {}",
                count(blocks.shortened, "further change")
            )
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let command = match comment.kind {
        CommentKind::Plan => "plan",
        CommentKind::Drift => "drift",
    };
    let everything = match comment.scope {
        Scope::Section { more: Some(url) } => {
            format!("[The summary of the run]({url}) has more, and its log everything.")
        }
        Scope::Section { more: None } | Scope::Whole => {
            format!("The text of `trimtab {command}` in the log has everything.")
        }
    };
    (!parts.is_empty()).then(|| {
        format!(
            "_Left out here, because the comment would be too long: {}. What deletes, opens or grants something comes \
             first. {everything}_\n",
            parts.join(", ")
        )
    })
}
