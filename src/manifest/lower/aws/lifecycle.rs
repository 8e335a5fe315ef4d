//! The rules for what is old in a bucket, and what S3 refuses of them ("Lifecycle configuration elements" and
//! "Transitioning objects" in its user guide).

use super::limits;
use crate::kinds::aws::bucket::{BucketSpec, RESERVED_PREFIX};
use crate::{
    manifest::{
        lower::Diagnostics,
        schema::aws::{BucketSection, LifecycleRuleSection as Stated},
        syntax::{cursor::Cursor, suggest},
    },
    model::{
        ResourceMap,
        s3::{LifecycleRule, Transition},
    },
};

/// Days after which an unfinished upload is dropped when nothing is said: none takes a week, and what is left of it costs
/// money and is seen by nobody.
const DEFAULT_ABORT_MULTIPART_DAYS: u32 = 7;
/// The ids of our own rules.
const ABORT_UPLOADS_RULE_ID: &str = "trimtab-uploads";
const LOCK_VERSIONS_RULE_ID: &str = "trimtab-locks";
/// How many rules a bucket may have, ours included.
const MAX_RULES: usize = 1000;
/// The longest key, and so the longest beginning of one, in bytes.
const MAX_KEY_BYTES: usize = 1024;
/// The storage classes that objects can move to. They only move down this list.
const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
/// How many days objects are in S3 before they move to infrequent access, and how many they stay there.
const MIN_INFREQUENT_ACCESS_DAYS: u32 = 30;

/// The rules of a bucket, our own among them.
pub(super) fn lower_lifecycle_rules(
    bucket: &BucketSection,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Vec<LifecycleRule> {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    let mut rules: Vec<LifecycleRule> = Vec::new();
    for (id, rule) in &bucket.lifecycle {
        let spot = at.key(id);
        check_rule(id, rule, spot, sink);
        check_transitions(rule, spot, sink);
        let moves = rule.transitions.iter().map(|(class, after)| Transition {
            days: days(Some(*after)),
            storage_class: class.clone(),
            ..Transition::default()
        });
        let mut transitions: Vec<Transition> = moves.collect();
        transitions.sort();
        rules.push(LifecycleRule {
            id: id.clone(),
            enabled: rule.enabled.unwrap_or(true),
            prefix: rule.prefix.clone().unwrap_or_default(),
            expire_days: days(rule.expire_days),
            expired_delete_markers: rule.expired_delete_markers.unwrap_or_default(),
            noncurrent_days: days(rule.noncurrent_days),
            noncurrent_keep: days(rule.noncurrent_keep),
            transitions,
            ..LifecycleRule::default()
        });
    }
    if bucket.versioning.unwrap_or(true) {
        warn_kept_versions(&rules, at, sink);
    }
    // The two that may be ours come on top.
    if rules.len() + 2 > MAX_RULES {
        sink.error(at.diagnostic(format!(
            "{} rules, and S3 takes {} beside trimtab's own",
            rules.len(),
            MAX_RULES - 2
        )));
    }
    let abort = bucket
        .abort_multipart_days
        .unwrap_or(DEFAULT_ABORT_MULTIPART_DAYS);
    if abort > 0 {
        let abort_multipart_days = days(Some(abort));
        let id = ABORT_UPLOADS_RULE_ID.to_owned();
        rules.push(LifecycleRule {
            id,
            enabled: true,
            abort_multipart_days,
            ..LifecycleRule::default()
        });
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    rules
}

/// Where versions are kept, what expires becomes an old version, and is paid for until that goes too.
fn warn_kept_versions(rules: &[LifecycleRule], at: Cursor<'_>, sink: &mut Diagnostics) {
    let ends = |prefix: &str| {
        let mut clears = rules
            .iter()
            .filter(|rule| rule.enabled && rule.noncurrent_days.is_some());
        clears.any(|rule| prefix.starts_with(&rule.prefix))
    };
    for rule in rules
        .iter()
        .filter(|rule| rule.enabled && rule.expire_days.is_some())
    {
        if !ends(&rule.prefix) {
            let spot = at.key(&rule.id).key("expire_days");
            let problem = spot
                .diagnostic("what expires stays as an old version, as this bucket keeps versions");
            sink.warn(
                problem.with_help("say after how many days those go as well: `noncurrent_days`"),
            );
        }
    }
}

/// Where the lock is rewritten with every run, its old versions go after a day.
pub(super) fn add_lock_versions_rule(
    buckets: &mut ResourceMap<BucketSpec>,
    lock: Option<&(String, String)>,
) {
    let holder = buckets
        .values_mut()
        .find(|spec| lock.is_some_and(|(name, _)| spec.name == *name));
    if let Some(spec) = holder.filter(|spec| spec.versioning) {
        spec.lifecycle.push(LifecycleRule {
            id: LOCK_VERSIONS_RULE_ID.to_owned(),
            enabled: true,
            prefix: RESERVED_PREFIX.to_owned(),
            noncurrent_days: Some(1),
            ..LifecycleRule::default()
        });
        spec.lifecycle.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

fn check_rule(id: &str, rule: &Stated, at: Cursor<'_>, sink: &mut Diagnostics) {
    let markers = rule.expired_delete_markers == Some(true);
    let nothing = rule.expire_days.is_none()
        && rule.noncurrent_days.is_none()
        && rule.transitions.is_empty()
        && !markers;
    if id.is_empty() || id.len() > 255 || id == ABORT_UPLOADS_RULE_ID || id == LOCK_VERSIONS_RULE_ID
    {
        sink.error(
            at.key_diagnostic(format!("`{id}` cannot be a rule's id"))
                .with_help("choose another"),
        );
    }
    if rule
        .prefix
        .as_ref()
        .is_some_and(|prefix| prefix.len() > MAX_KEY_BYTES)
    {
        sink.error(
            at.key("prefix")
                .diagnostic("no key of S3 is as long as this")
                .with_help("keys have up to 1024 bytes"),
        );
    }
    limits::check_prefix(rule.prefix.as_ref(), at, sink);
    if nothing {
        let problem = at.diagnostic(format!("rule `{id}` does nothing"));
        sink.error(problem.with_help(
            "say `expire_days`, `noncurrent_days`, `transitions` or `expired_delete_markers`",
        ));
    }
    if markers && rule.expire_days.is_some() {
        let problem = at
            .key("expired_delete_markers")
            .diagnostic("`expire_days` does this too, and S3 refuses both");
        sink.error(
            problem.with_help("leave `expired_delete_markers` out, or give it a rule of its own"),
        );
    }
    if rule.noncurrent_keep.is_some() && rule.noncurrent_days.is_none() {
        let problem = at
            .key("noncurrent_keep")
            .diagnostic("`noncurrent_keep` needs `noncurrent_days`");
        sink.error(problem.with_help("say after how many days the others go"));
    }
}

/// What is wrong with the moves of a rule: a class that there is not, too early, back up the list, or after the end.
fn check_transitions(rule: &Stated, at: Cursor<'_>, sink: &mut Diagnostics) {
    let spot = at.key("transitions");
    let mut in_order: Vec<(usize, &str, u32)> = Vec::new();
    for (class, days) in &rule.transitions {
        match STORAGE_CLASSES.iter().position(|known| known == class) {
            Some(rank) => in_order.push((rank, class, *days)),
            None => {
                let problem = spot
                    .key(class)
                    .key_diagnostic(format!("there is no storage class `{class}`"));
                sink.error(
                    problem.with_optional_help(suggest::did_you_mean(class, STORAGE_CLASSES)),
                );
            }
        }
    }
    in_order.sort_unstable();
    for (_, class, days) in in_order.iter().filter(|(_, class, days)| {
        is_infrequent_access(class) && *days < MIN_INFREQUENT_ACCESS_DAYS
    }) {
        let problem = spot
            .key(class)
            .diagnostic(format!("objects move to {class} after {days} days"));
        sink.error(problem.with_help(format!(
            "S3 takes {MIN_INFREQUENT_ACCESS_DAYS} days at least for this class"
        )));
    }
    for pair in in_order.windows(2) {
        let [(_, warm, before), (_, cold, after)] = pair else {
            continue;
        };
        let rest = if is_infrequent_access(warm) {
            MIN_INFREQUENT_ACCESS_DAYS
        } else {
            1
        };
        if *after < before.saturating_add(rest) {
            let message =
                format!("objects move to {cold} after {after} days, and to {warm} after {before}");
            let days = if rest == 1 {
                "1 day".to_owned()
            } else {
                format!("{rest} days")
            };
            let help = format!("S3 moves them from {warm} to {cold} only, {days} later or more");
            sink.error(spot.key(cold).diagnostic(message).with_help(help));
        }
        if (*warm, *cold) == ("ONEZONE_IA", "GLACIER_IR") {
            let problem = spot
                .key(cold)
                .diagnostic(format!("S3 moves nothing from {warm} to {cold}"));
            sink.error(problem.with_help("leave one of them out"));
        }
    }
    let late = rule
        .transitions
        .iter()
        .find(|(_, days)| rule.expire_days.is_some_and(|end| end <= **days));
    if let Some((class, _)) = late {
        let problem = at
            .key("expire_days")
            .diagnostic(format!("objects expire before they move to {class}"));
        sink.error(problem.with_help("let them expire later, or leave the move out"));
    }
}

fn is_infrequent_access(class: &str) -> bool {
    class.ends_with("_IA")
}
