//! The differences of a plan, worded as drift that was found rather than as changes that an apply would make.

use super::{TextWriter, pad_to_width};
use crate::{
    kinds::Cause,
    plan::{Plan, Verb},
    render::{
        Headline, TextOptions,
        attribute_rows::{DiffWording, attribute_rows},
        change_groups::{ChangeGroup, all_refusals, group_changes},
        findings::{self, describe_finding, group_cause},
        theme::paint,
        value::sanitize,
    },
};

/// Renders a plan as a drift report.
#[must_use]
pub fn drift(plan: &Plan, headline: &Headline, options: &TextOptions) -> String {
    let mut writer = TextWriter::new(*options);
    writer.write_headline(headline);
    writer.write_gap();
    let blocked = all_refusals(plan, &[]);
    writer.write_refusals(&blocked);
    let groups = group_changes(plan);
    // Resources that only differ because something they refer to drifted come last and are not counted.
    let (followers, drifted): (Vec<_>, Vec<_>) = groups
        .iter()
        .partition(|group| group_cause(group) == Cause::Follows);
    for group in drifted {
        writer.write_drifted(group);
    }
    for group in followers {
        writer.write_follower(group);
    }
    writer.write_gap();
    writer.write_narrowed(plan);
    writer.write_found(&plan.findings);
    writer.write_gap();
    writer.write_verdict(plan, headline);
    writer.finish()
}

impl TextWriter {
    /// A resource that only differs because something it refers to drifted.
    fn write_follower(&mut self, group: &ChangeGroup) {
        let (word, detail) = describe_finding(group.verb(), Cause::Follows);
        let address = group.address();
        self.write_line(paint(
            self.theme.dim,
            format!("· {}  {address}  {detail}", pad_to_width(word, 7)),
        ));
    }

    fn write_drifted(&mut self, group: &ChangeGroup) {
        let (word, detail) = describe_finding(group.verb(), group_cause(group));
        let word = paint(
            self.theme.verb_style(group.verb()),
            format!("≠ {}", pad_to_width(word, 7)),
        );
        let description = match group.description().as_str() {
            "" => String::new(),
            description => paint(self.theme.dim, format!("  ({})", sanitize(description))),
        };
        self.write_line(format!(
            "{word}  {}{description}  {detail}",
            group.address()
        ));
        // The attributes of a missing object are all in the manifest, so they are not repeated here.
        if group.verb() != Verb::Create {
            let rows = attribute_rows(&group.lines, self.detail_width(), DiffWording::Drift);
            self.write_attribute_rows(&rows, true);
        }
        self.write_contained(group);
    }

    /// What an extra object contains.
    fn write_contained(&mut self, group: &ChangeGroup) {
        for deletion in group
            .members()
            .iter()
            .flat_map(|change| &change.takes_along)
        {
            let contained = sanitize(&deletion.description);
            self.write_line(format!("       with {} ({contained})", deletion.address));
        }
    }

    /// The result in one sentence, and the command that repairs the drift.
    fn write_verdict(&mut self, plan: &Plan, headline: &Headline) {
        let title_style = self.theme.title;
        if plan.is_converged() {
            return self.write_line(paint(
                title_style,
                "No drift. The environment matches its manifest.",
            ));
        }
        let summary = format!("Drift: {}.", findings::summarize(plan));
        self.write_line(paint(title_style, summary));
        let target = sanitize(&headline.target_args);
        if let Some((condition, command)) = findings::repair_command(plan, &target) {
            self.write_line(format!("To repair: {condition}{command}"));
        }
    }
}
