//! Counts, durations, causes and consequences in words, so that every output format words them the same way.

use std::time::Duration;

use crate::{
    kinds::{Cause, Impact},
    plan::{Action, Verb},
};

/// A number and its noun: `1 change`, `2 changes`. Only for nouns whose plural ends in a plain `s`.
pub(super) fn format_count(number: u64, noun: &str) -> String {
    format!("{number} {}", inflect_noun(number, noun))
}

/// The singular or plural of a noun.
pub(super) fn inflect_noun(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{noun}{plural}")
}

/// The verb form for a number of subjects: `1 machine restarts`, `2 machines restart`.
pub(super) fn inflect_verb(number: usize, verb: &str) -> String {
    let singular = if number == 1 { "s" } else { "" };
    format!("{verb}{singular}")
}

pub(super) fn inflect_match(number: usize) -> &'static str {
    if number == 1 { "matches" } else { "match" }
}

/// A measured duration: `0.9 s`, `12 s`, `1m50s`.
pub(super) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// An estimated duration, rounded to what an estimate can claim: `12 s`, `1m50s`, `14 min`.
pub(super) fn format_estimate(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..600 => {
            let seconds = seconds.next_multiple_of(5);
            format!("{}m{:02}s", seconds / 60, seconds % 60)
        }
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

const MIN_SHOWN_ESTIMATE: Duration = Duration::from_secs(10);

/// How long applying takes, and what that assumes; unless it is too short to mention. Release commands take an unknown time.
pub(super) fn estimate_sentence(estimate: Duration, commands: usize) -> Option<String> {
    let suffix = if commands > 0 {
        ", plus the release command"
    } else {
        ""
    };
    (estimate >= MIN_SHOWN_ESTIMATE).then(|| {
        format!(
            "Takes about {} on Fly if programs start right away{suffix}.",
            format_estimate(estimate)
        )
    })
}

/// Why an object differs, if that is unusual: a changed manifest is the normal case and not mentioned.
pub(super) fn cause_remark(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Outside => Some("changed outside"),
        Cause::Manifest | Cause::Moved | Cause::Follows | Cause::Unknown => None,
    }
}

/// Whether a change restarts what runs, for a table cell.
pub(super) fn restart_text(verb: Verb, impact: Impact) -> &'static str {
    match (verb, impact) {
        (Verb::Replace, _) => "new object",
        (Verb::Succeed, _) => "new one takes over",
        (Verb::Restart, _) => "yes",
        (Verb::Update, Impact::Asleep) => "no, stays stopped",
        (Verb::Destroy | Verb::Create | Verb::Update | Verb::Run, _) => "no",
    }
}

/// An action as present and past participle: `creating`, `created`.
pub(super) fn action_participles(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Create => ("creating", "created"),
        Action::Update => ("updating", "updated"),
        Action::ReplaceDelete => ("removing the old one", "removed the old one"),
        Action::ReplaceCreate => ("creating the replacement", "created the replacement"),
        Action::Delete => ("destroying", "destroyed"),
        Action::CreateSuccessor => (
            "starting the new one beside the old",
            "started the new one beside the old",
        ),
        Action::HandOver => ("handing over", "handed over"),
        Action::Retire => (
            "removing the machine that was replaced",
            "removed the machine that was replaced",
        ),
        Action::Run => ("running", "ran"),
        Action::Verify => ("verifying", "verified"),
    }
}

/// The progress of a machine: `started, 1/2 checks`.
pub(super) fn format_progress(state: &str, passing: usize, checks: usize) -> String {
    let state = super::value::sanitize(state);
    if checks == 0 {
        state
    } else {
        format!("{state}, {passing}/{checks} checks")
    }
}

/// An action as a verb phrase that an address follows, for sentences such as `failed to update …`.
pub(super) fn action_imperative(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::ReplaceDelete => "remove the old one of",
        Action::ReplaceCreate => "create the replacement of",
        Action::Delete => "destroy",
        Action::CreateSuccessor => "start the successor of",
        Action::HandOver => "hand over",
        Action::Retire => "remove the machine that was replaced in",
        Action::Run => "run",
        Action::Verify => "verify",
    }
}

/// What could not be done, after `FAILED`: ` to create`. Nothing for a command or a verification, whose reason begins with it.
pub(super) fn failed_action(action: Action) -> String {
    match action {
        Action::Run | Action::Verify => String::new(),
        other => format!(" to {}", action_imperative(other)),
    }
}

/// At most `limit` items, and how many more there are: `a, b and 3 more`.
pub(super) fn join_limited(items: &[String], limit: usize) -> String {
    let (shown, rest) = items.split_at(items.len().min(limit));
    match rest.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(format_count(1, "object"), "1 object");
        assert_eq!(format_count(0, "object"), "0 objects");
        assert_eq!(inflect_verb(1, "restart"), "restarts");
        assert_eq!(inflect_verb(2, "restart"), "restart");
    }

    #[test]
    fn longer_durations_have_fewer_digits() {
        assert_eq!(format_duration(Duration::from_millis(940)), "0.9 s");
        assert_eq!(format_duration(Duration::from_millis(12_300)), "12 s");
        assert_eq!(format_duration(Duration::from_secs(110)), "1m50s");
        let estimates =
            [9, 59, 63, 599, 601].map(|secs| format_estimate(Duration::from_secs(secs)));
        assert_eq!(estimates, ["9 s", "59 s", "1m05s", "10m00s", "11 min"]);
    }
}
