//! The same differences, worded as what a look found rather than as what an apply would do.

use super::{Page, pad};
use crate::{
    kinds::Cause,
    plan::{Plan, Verb},
    render::{
        Headline, Look,
        detail::{Wording, rows},
        entry::{Entry, Totals, all_refusals, entries},
        style::paint,
        value::clean,
        words,
    },
};

/// The differences as drift.
#[must_use]
pub fn drift(plan: &Plan, headline: &Headline, look: &Look) -> String {
    let mut page = Page::new(*look);
    page.headline(headline);
    page.gap();
    let blocked = all_refusals(plan, &[]);
    page.refusals(&blocked);
    let entries = entries(plan);
    // What only follows was not touched by anybody: it comes last, and is not counted.
    let (follow, differ): (Vec<_>, Vec<_>) = entries
        .iter()
        .partition(|entry| cause(entry) == Cause::Follows);
    for entry in differ {
        page.drifted(entry, plan.existing == 0);
    }
    for entry in follow {
        page.follower(entry);
    }
    page.gap();
    page.narrowed(plan);
    page.found(&plan.found);
    page.gap();
    page.verdict(plan, headline);
    page.done()
}

/// What is wrong with an object, in one word and in a few.
fn finding(verb: Verb, cause: Cause, never_applied: bool) -> (&'static str, &'static str) {
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
fn cause(entry: &Entry) -> Cause {
    entry
        .members()
        .first()
        .map_or(Cause::Unknown, |change| change.cause)
}

impl Page {
    fn follower(&mut self, entry: &Entry) {
        let (word, words) = finding(entry.verb(), Cause::Follows, false);
        let address = entry.address();
        self.line(paint(
            self.style.quiet,
            format!("· {}  {address}  {words}", pad(word, 7)),
        ));
    }

    fn drifted(&mut self, entry: &Entry, never_applied: bool) {
        let (word, words) = finding(entry.verb(), cause(entry), never_applied);
        let word = paint(self.style.verb(entry.verb()), format!("≠ {}", pad(word, 7)));
        let what = match entry.what().as_str() {
            "" => String::new(),
            what => paint(self.style.quiet, format!("  ({})", clean(what))),
        };
        self.line(format!("{word}  {}{what}  {words}", entry.address()));
        // What a missing object should be is said by the manifest; only differences are news.
        if entry.verb() != Verb::Create {
            let rows = rows(&entry.lines, self.detail_width(), Wording::ShouldBe);
            self.rows(&rows, true);
        }
        self.held(entry);
    }

    /// What an extra object holds.
    fn held(&mut self, entry: &Entry) {
        for folded in entry
            .members()
            .iter()
            .flat_map(|change| &change.takes_along)
        {
            let what = clean(&folded.what);
            self.line(format!("       with {} ({what})", folded.address));
        }
    }

    fn verdict(&mut self, plan: &Plan, headline: &Headline) {
        let title = self.style.title;
        if plan.is_empty() {
            return self.line(paint(
                title,
                "No drift. The environment matches its manifest.",
            ));
        }
        let totals = Totals::of(plan);
        let follow = plan
            .changes()
            .iter()
            .filter(|change| change.cause == Cause::Follows)
            .count();
        let differ = totals.change + totals.replace - follow;
        let of = |number: usize, words: &str| (number > 0).then(|| format!("{number} {words}"));
        let blocked = of(totals.blocked, "cannot be compared or repaired");
        let parts = [
            of(differ, words::verb_for(differ, "differ").as_str()),
            of(totals.add, "missing"),
            of(totals.destroy, "extra"),
            blocked,
            of(
                totals.unchanged + follow,
                words::match_for(totals.unchanged + follow),
            ),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        self.line(paint(title, format!("Drift: {}.", parts.join(", "))));
        if totals.any() {
            let first = if totals.blocked > 0 {
                "what is blocked first, then "
            } else {
                ""
            };
            self.line(format!(
                "To repair: {first}trimtab apply {}",
                clean(&headline.again)
            ));
        }
    }
}
