//! The changes of a plan as annotations: GitHub shows each at the line of the manifest that it comes from.
//!
//! GitHub keeps ten annotations of each type per step (`_maxCountPerIssueType` in actions/runner), so the most dangerous come
//! first, and the last one says how many others there are.

use std::collections::BTreeMap;

use super::{
    attribute_rows::{DiffWording, attribute_rows},
    change_groups::{ChangeGroup, all_refusals, group_changes},
    github::{AnnotationLevel, annotation_command},
    risk::Risk,
    wording,
};
use crate::{
    model::{Address, DiffLine},
    plan::{Plan, Refusal},
};

/// How many annotations of one type GitHub keeps per step.
const MAX_PER_LEVEL: usize = 10;
/// How wide a line of a message is. GitHub breaks longer ones.
const MESSAGE_WIDTH: usize = 140;

/// The line of a file that an annotation is for. The path is relative to the root of the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnnotationPlace {
    /// The file.
    pub file: String,
    /// The line, counted from one.
    pub line: usize,
}

/// Collects the annotations of one or several plans.
#[derive(Debug, Default)]
pub struct Annotations(Vec<Annotation>);

#[derive(Debug)]
struct Annotation {
    level: AnnotationLevel,
    risk: Risk,
    place: Option<AnnotationPlace>,
    title: String,
    message: String,
}

impl Annotations {
    /// Adds the changes of a plan. `locate` says where the manifest has the value behind a line of the diff.
    pub fn add_plan(
        &mut self,
        environment: &str,
        plan: &Plan,
        refusals: &[Refusal],
        locate: impl Fn(&Address, &str) -> Option<AnnotationPlace>,
    ) {
        let refusals = all_refusals(plan, refusals);
        for refusal in &refusals {
            let place = refusal
                .address
                .as_ref()
                .and_then(|address| locate(address, ""));
            let subject = refusal.address.as_ref().map(ToString::to_string);
            self.0.push(Annotation {
                level: AnnotationLevel::Error,
                risk: Risk::LosesData,
                place,
                title: format!("{environment}: blocked {}", subject.unwrap_or_default())
                    .trim_end()
                    .to_owned(),
                message: format!("{}\n{}", refusal.reason, refusal.hint),
            });
        }
        for group in group_changes(plan) {
            self.add_group(environment, &group, &refusals, &locate);
        }
    }

    /// One annotation for each place that the lines of a change come from.
    fn add_group(
        &mut self,
        environment: &str,
        group: &ChangeGroup,
        refusals: &[Refusal],
        locate: impl Fn(&Address, &str) -> Option<AnnotationPlace>,
    ) {
        let Some(change) = group.members().first() else {
            return;
        };
        // A refusal has an annotation of its own.
        if group.is_refused(refusals) {
            return;
        }
        let mut lines_by_place: BTreeMap<Option<AnnotationPlace>, Vec<DiffLine>> = BTreeMap::new();
        for line in &group.lines {
            let place = locate(&change.address, &line.path);
            lines_by_place.entry(place).or_default().push(line.clone());
        }
        if lines_by_place.is_empty() {
            lines_by_place.insert(locate(&change.address, ""), Vec::new());
        }
        let risk = group.risk();
        let level = match risk {
            risk if risk <= Risk::Deletes => AnnotationLevel::Warning,
            _ => AnnotationLevel::Notice,
        };
        for (place, lines) in lines_by_place {
            let rows = attribute_rows(&lines, MESSAGE_WIDTH, DiffWording::Plan);
            let rows: Vec<String> = rows
                .iter()
                .map(|row| {
                    let text = format!(
                        "{} {}  {} {}",
                        row.marker.symbol(),
                        row.path,
                        row.text,
                        row.remark
                    );
                    text.trim_end().to_owned()
                })
                .collect();
            let remarks = group.remarks(refusals);
            let message = match rows.as_slice() {
                [] if remarks.is_empty() => group.description(),
                [] => remarks.join(", "),
                rows => rows.join("\n"),
            };
            self.0.push(Annotation {
                level,
                risk,
                place,
                title: format!("{environment}: {} {}", group.verb().word(), group.address()),
                message,
            });
        }
    }

    /// The workflow commands, the most dangerous first. They are escaped already.
    #[must_use]
    pub fn into_commands(mut self) -> Vec<String> {
        self.0.sort_by_key(|annotation| annotation.risk);
        let mut commands = Vec::new();
        for level in [
            AnnotationLevel::Error,
            AnnotationLevel::Warning,
            AnnotationLevel::Notice,
        ] {
            let of_level: Vec<&Annotation> = self
                .0
                .iter()
                .filter(|annotation| annotation.level == level)
                .collect();
            let shown = if of_level.len() > MAX_PER_LEVEL {
                MAX_PER_LEVEL - 1
            } else {
                of_level.len()
            };
            for annotation in &of_level[..shown] {
                let place = annotation.place.as_ref();
                commands.push(annotation_command(
                    level,
                    place.map(|place| (place.file.as_str(), place.line)),
                    &annotation.title,
                    &annotation.message,
                ));
            }
            let rest = u64::try_from(of_level.len() - shown).unwrap_or(u64::MAX);
            if rest > 0 {
                let count = wording::format_count(rest, "more change");
                commands.push(annotation_command(
                    level,
                    None,
                    &format!("and {count}"),
                    "The summary of the run has all of them.",
                ));
            }
        }
        commands
    }
}
