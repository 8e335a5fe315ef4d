//! Lowers lifecycle rules, and checks what S3 refuses of them ("Lifecycle configuration elements"
//! and "Transitioning objects" in its user guide).

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

/// The default for `abort_multipart_days`, in days. No upload takes a week, and the parts of an
/// unfinished one cost money although no listing shows them.
const DEFAULT_ABORT_MULTIPART_DAYS: u32 = 7;
/// The ids of trimtab's own rules.
const ABORT_UPLOADS_RULE_ID: &str = "trimtab-uploads";
const LOCK_VERSIONS_RULE_ID: &str = "trimtab-locks";
/// How many rules a bucket may have, including trimtab's own.
const MAX_RULES: usize = 1000;
/// The longest key of an object, and so the longest prefix, in bytes.
const MAX_KEY_BYTES: usize = 1024;
/// The storage classes that objects can move to. Transitions only go down this list.
const STORAGE_CLASSES: [&str; 6] = [
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];
/// The minimum age, in days, of objects that move to infrequent access, and the minimum time they
/// stay there.
const MIN_INFREQUENT_ACCESS_DAYS: u32 = 30;

/// The lifecycle rules of a bucket, including trimtab's own.
pub(super) fn lower_lifecycle_rules(
    bucket: &BucketSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<LifecycleRule> {
    let days = |days: Option<u32>| days.and_then(|days| i32::try_from(days).ok());
    let mut rules: Vec<LifecycleRule> = Vec::new();
    for (id, rule) in &bucket.lifecycle {
        let field = cursor.key(id);
        check_rule(id, rule, field, diagnostics);
        check_transitions(rule, field, diagnostics);
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
        warn_kept_versions(&rules, cursor, diagnostics);
    }
    // Trimtab's own two rules count towards the limit.
    if rules.len() + 2 > MAX_RULES {
        diagnostics.error(cursor.diagnostic(format!(
            "{} rules, but S3 accepts at most {} in addition to trimtab's own",
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

/// Warns of rules without effect on cost: where versions are kept, an object that expires becomes a
/// noncurrent version, which is paid for until it is deleted too.
fn warn_kept_versions(rules: &[LifecycleRule], cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
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
            let field = cursor.key(&rule.id).key("expire_days");
            let diagnostic = field.diagnostic(
                "expired objects remain as noncurrent versions, because this bucket keeps versions",
            );
            diagnostics.warn(diagnostic.with_help("set `noncurrent_days` to delete those as well"));
        }
    }
}

/// Adds a rule that deletes old versions of the lock after a day, because every run writes new
/// ones.
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

fn check_rule(id: &str, rule: &Stated, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let markers = rule.expired_delete_markers == Some(true);
    let nothing = rule.expire_days.is_none()
        && rule.noncurrent_days.is_none()
        && rule.transitions.is_empty()
        && !markers;
    if id.is_empty() || id.len() > 255 || id == ABORT_UPLOADS_RULE_ID || id == LOCK_VERSIONS_RULE_ID
    {
        diagnostics.error(
            cursor
                .key_diagnostic(format!("`{id}` cannot be a rule's id"))
                .with_help("choose another"),
        );
    }
    if rule
        .prefix
        .as_ref()
        .is_some_and(|prefix| prefix.len() > MAX_KEY_BYTES)
    {
        diagnostics.error(
            cursor
                .key("prefix")
                .diagnostic("this prefix is longer than any S3 key")
                .with_help("keys have up to 1024 bytes"),
        );
    }
    limits::check_prefix(rule.prefix.as_ref(), cursor, diagnostics);
    if nothing {
        let diagnostic = cursor.diagnostic(format!("rule `{id}` does nothing"));
        diagnostics.error(diagnostic.with_help(
            "set `expire_days`, `noncurrent_days`, `transitions` or `expired_delete_markers`",
        ));
    }
    if markers && rule.expire_days.is_some() {
        let diagnostic = cursor
            .key("expired_delete_markers")
            .diagnostic("`expire_days` does this too, and S3 refuses both");
        diagnostics.error(
            diagnostic
                .with_help("leave `expired_delete_markers` out, or give it a rule of its own"),
        );
    }
    if rule.noncurrent_keep.is_some() && rule.noncurrent_days.is_none() {
        let diagnostic = cursor
            .key("noncurrent_keep")
            .diagnostic("`noncurrent_keep` needs `noncurrent_days`");
        diagnostics
            .error(diagnostic.with_help("set after how many days the other versions are deleted"));
    }
}

/// Checks the transitions of a rule: unknown classes, moves that are too early or up the list, and
/// moves after expiry.
fn check_transitions(rule: &Stated, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let field = cursor.key("transitions");
    let mut in_order: Vec<(usize, &str, u32)> = Vec::new();
    for (class, days) in &rule.transitions {
        match STORAGE_CLASSES.iter().position(|known| known == class) {
            Some(rank) => in_order.push((rank, class, *days)),
            None => {
                let diagnostic = field
                    .key(class)
                    .key_diagnostic(format!("there is no storage class `{class}`"));
                diagnostics.error(
                    diagnostic.with_optional_help(suggest::did_you_mean(class, STORAGE_CLASSES)),
                );
            }
        }
    }
    in_order.sort_unstable();
    for (_, class, days) in in_order.iter().filter(|(_, class, days)| {
        is_infrequent_access(class) && *days < MIN_INFREQUENT_ACCESS_DAYS
    }) {
        let diagnostic = field
            .key(class)
            .diagnostic(format!("objects move to {class} after {days} days"));
        diagnostics.error(diagnostic.with_help(format!(
            "S3 requires at least {MIN_INFREQUENT_ACCESS_DAYS} days for this class"
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
            diagnostics.error(field.key(cold).diagnostic(message).with_help(help));
        }
        if (*warm, *cold) == ("ONEZONE_IA", "GLACIER_IR") {
            let diagnostic = field
                .key(cold)
                .diagnostic(format!("S3 moves nothing from {warm} to {cold}"));
            diagnostics.error(diagnostic.with_help("leave one of them out"));
        }
    }
    let late = rule
        .transitions
        .iter()
        .find(|(_, days)| rule.expire_days.is_some_and(|end| end <= **days));
    if let Some((class, _)) = late {
        let diagnostic = cursor
            .key("expire_days")
            .diagnostic(format!("objects expire before they move to {class}"));
        diagnostics.error(diagnostic.with_help("let them expire later, or leave the move out"));
    }
}

fn is_infrequent_access(class: &str) -> bool {
    class.ends_with("_IA")
}
