//! The same differences, worded as what a look found rather than as what an apply would do.

use super::{TextWriter, pad_to_width};
use crate::{
    kinds::Cause,
    plan::{Plan, Verb},
    render::{
        Headline, TextOptions,
        attribute_rows::{DiffWording, attribute_rows},
        change_groups::{ChangeCounts, ChangeGroup, all_refusals, group_changes},
        theme::paint,
        value::sanitize,
        wording,
    },
};

/// The differences as drift.
#[must_use]
pub fn drift(plan: &Plan, headline: &Headline, look: &TextOptions) -> String {
    let mut page = TextWriter::new(*look);
    page.write_headline(headline);
    page.write_gap();
    let blocked = all_refusals(plan, &[]);
    page.write_refusals(&blocked);
    let entries = group_changes(plan);
    // What only follows was not touched by anybody: it comes last, and is not counted.
    let (follow, differ): (Vec<_>, Vec<_>) = entries
        .iter()
        .partition(|entry| group_cause(entry) == Cause::Follows);
    for entry in differ {
        page.write_drifted(entry, plan.existing_count == 0);
    }
    for entry in follow {
        page.write_follower(entry);
    }
    page.write_gap();
    page.write_narrowed(plan);
    page.write_found(&plan.findings);
    page.write_gap();
    page.write_verdict(plan, headline);
    page.finish()
}

/// What is wrong with an object, in one word and in a few.
fn describe_finding(verb: Verb, cause: Cause, never_applied: bool) -> (&'static str, &'static str) {
    match (verb, cause) {
        (Verb::Create, _) if never_applied => ("missing", "not applied yet"),
        // An object that is not there cannot say whether it ever was.
        (Verb::Create, _) => ("missing", "is gone, or was not applied yet"),
        (Verb::Destroy, _) => ("extra", "is not in the manifest"),
        (_, Cause::Outside) => ("differs", "changed outside"),
        (_, Cause::Manifest) => ("differs", "the manifest changed, not applied yet"),
        (_, Cause::Moved) => ("differs", "its image's tag has moved"),
        (_, Cause::Follows) => ("follows", "takes it up when it is repaired"),
        (_, Cause::Unknown) => ("differs", "is other than the manifest says"),
    }
}

/// Who made a difference.
fn group_cause(entry: &ChangeGroup) -> Cause {
    entry
        .members()
        .first()
        .map_or(Cause::Unknown, |change| change.cause)
}

impl TextWriter {
    fn write_follower(&mut self, entry: &ChangeGroup) {
        let (word, words) = describe_finding(entry.verb(), Cause::Follows, false);
        let address = entry.address();
        self.write_line(paint(
            self.theme.dim,
            format!("· {}  {address}  {words}", pad_to_width(word, 7)),
        ));
    }

    fn write_drifted(&mut self, entry: &ChangeGroup, never_applied: bool) {
        let (word, words) = describe_finding(entry.verb(), group_cause(entry), never_applied);
        let word = paint(
            self.theme.verb_style(entry.verb()),
            format!("≠ {}", pad_to_width(word, 7)),
        );
        let what = match entry.description().as_str() {
            "" => String::new(),
            what => paint(self.theme.dim, format!("  ({})", sanitize(what))),
        };
        self.write_line(format!("{word}  {}{what}  {words}", entry.address()));
        // What a missing object should be is said by the manifest; only differences are news.
        if entry.verb() != Verb::Create {
            let rows = attribute_rows(&entry.lines, self.detail_width(), DiffWording::Drift);
            self.write_attribute_rows(&rows, true);
        }
        self.write_contained(entry);
    }

    /// What an extra object holds.
    fn write_contained(&mut self, entry: &ChangeGroup) {
        for folded in entry
            .members()
            .iter()
            .flat_map(|change| &change.takes_along)
        {
            let what = sanitize(&folded.what);
            self.write_line(format!("       with {} ({what})", folded.address));
        }
    }

    fn write_verdict(&mut self, plan: &Plan, headline: &Headline) {
        let title = self.theme.title;
        if plan.is_empty() {
            return self.write_line(paint(
                title,
                "No drift. The environment matches its manifest.",
            ));
        }
        let totals = ChangeCounts::from_plan(plan);
        let follow = plan
            .changes()
            .iter()
            .filter(|change| change.cause == Cause::Follows)
            .count();
        let differ = totals.change + totals.replace - follow;
        let of = |number: usize, words: &str| (number > 0).then(|| format!("{number} {words}"));
        let blocked = of(totals.blocked, "cannot be compared or repaired");
        let parts = [
            of(differ, wording::inflect_verb(differ, "differ").as_str()),
            of(totals.add, "missing"),
            of(totals.destroy, "extra"),
            blocked,
            of(
                totals.unchanged + follow,
                wording::inflect_match(totals.unchanged + follow),
            ),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        self.write_line(paint(title, format!("Drift: {}.", parts.join(", "))));
        if totals.has_changes() {
            let first = if totals.blocked > 0 {
                "what is blocked first, then "
            } else {
                ""
            };
            self.write_line(format!(
                "To repair: {first}trimtab apply {}",
                sanitize(&headline.target_args)
            ));
        }
    }
}
