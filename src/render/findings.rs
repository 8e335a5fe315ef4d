//! The differences of a plan as findings: what is wrong with each resource, where that comes from, and how many there are.

use super::{
    change_groups::{ChangeCounts, ChangeGroup},
    wording,
};
use crate::{
    kinds::Cause,
    plan::{Plan, Verb},
};

/// What is wrong with a resource, in one word and in detail.
pub(super) fn describe_finding(verb: Verb, cause: Cause) -> (&'static str, &'static str) {
    match (verb, cause) {
        (_, Cause::Follows) => ("follows", "changes when that is repaired"),
        // Without a state file, nobody knows whether a missing object ever existed, not even when nothing is there.
        (Verb::Create, _) => ("missing", "is gone, or was not applied yet"),
        (Verb::Destroy, _) => ("extra", "is not in the manifest"),
        (_, Cause::Outside) => ("differs", "changed outside"),
        (_, Cause::Manifest) => (
            "differs",
            "the manifest was not applied yet, or rolled back",
        ),
        (_, Cause::Moved) => ("differs", "its image's tag has moved"),
        (_, Cause::Unknown) => ("differs", "differs from the manifest"),
    }
}

/// What caused a difference. All members of a group share it.
pub(super) fn group_cause(group: &ChangeGroup) -> Cause {
    group
        .members()
        .first()
        .map_or(Cause::Unknown, |change| change.cause)
}

/// The counts of findings: `1 differs, 2 missing, 5 match`.
pub(super) fn summarize(plan: &Plan) -> String {
    let counts = ChangeCounts::from_plan(plan);
    let follower_count = plan
        .changes()
        .iter()
        .filter(|change| change.cause == Cause::Follows)
        .count();
    let differ_count = (counts.change + counts.replace).saturating_sub(follower_count);
    let match_count = counts.unchanged + follower_count;
    let count = |number: usize, text: &str| (number > 0).then(|| format!("{number} {text}"));
    let parts = [
        count(
            differ_count,
            wording::inflect_verb(differ_count, "differ").as_str(),
        ),
        count(counts.add, "missing"),
        count(counts.destroy, "extra"),
        count(
            counts.blocked + plan.deferred.len(),
            "cannot be compared or repaired",
        ),
        count(match_count, wording::inflect_match(match_count)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The command that repairs, after a condition where something is blocked; `None` when there is nothing to repair.
pub(super) fn repair_command(plan: &Plan, target_args: &str) -> Option<(&'static str, String)> {
    let counts = ChangeCounts::from_plan(plan);
    let condition = if counts.blocked > 0 {
        "what is blocked first, then "
    } else {
        ""
    };
    counts
        .has_changes()
        .then(|| (condition, format!("trimtab apply {target_args}")))
}
