//! Converts between the SDK's values and ours. If a lifecycle rule has something that our type
//! cannot express, the result is a rule that never equals one of a manifest, so a difference is
//! never overlooked.

use std::collections::BTreeMap;

use aws_sdk_s3::types as sdk;
use aws_smithy_types::DateTime;

use crate::model::s3::{Encryption, LifecycleRule, PublicAccessBlock, Transition};

/// Returns the default encryption and the blocked encryption types.
pub(super) fn encryption_from_sdk(
    config: sdk::ServerSideEncryptionConfiguration,
) -> (Option<Encryption>, Vec<String>) {
    let Some(rule) = config.rules.into_iter().next() else {
        return (None, Vec::new());
    };
    let blocked = rule
        .blocked_encryption_types
        .and_then(|blocked| blocked.encryption_type);
    let blocked = blocked
        .into_iter()
        .flatten()
        .map(|kind| kind.as_str().to_owned())
        .collect();
    let bucket_key = rule.bucket_key_enabled.unwrap_or_default();
    let default = rule
        .apply_server_side_encryption_by_default
        .map(|default| Encryption {
            algorithm: default.sse_algorithm.as_str().to_owned(),
            kms_key: default.kms_master_key_id.filter(|key| !key.is_empty()),
            bucket_key,
        });
    (default, blocked)
}

/// Builds the configuration to write. The blocked types must be repeated, because a configuration
/// without them lifts the block.
pub(super) fn encryption_to_sdk(
    settings: &Encryption,
    blocked: &[String],
) -> Result<sdk::ServerSideEncryptionConfiguration, String> {
    let Encryption {
        algorithm,
        kms_key,
        bucket_key,
    } = settings;
    let default = sdk::ServerSideEncryptionByDefault::builder()
        .sse_algorithm(sdk::ServerSideEncryption::from(algorithm.as_str()))
        .set_kms_master_key_id(kms_key.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let blocked_types: Vec<_> = blocked
        .iter()
        .map(|kind| sdk::EncryptionType::from(kind.as_str()))
        .collect();
    let blocked_types = sdk::BlockedEncryptionTypes::builder()
        .set_encryption_type(Some(blocked_types))
        .build();
    let rule = sdk::ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(default)
        .bucket_key_enabled(*bucket_key)
        .set_blocked_encryption_types((!blocked.is_empty()).then_some(blocked_types))
        .build();
    let config = sdk::ServerSideEncryptionConfiguration::builder()
        .rules(rule)
        .build();
    config.map_err(|error| error.to_string())
}

/// The four switches; one that is missing is off.
pub(super) fn public_access_block_from_sdk(
    config: &sdk::PublicAccessBlockConfiguration,
) -> PublicAccessBlock {
    PublicAccessBlock {
        block_public_acls: config.block_public_acls.unwrap_or_default(),
        ignore_public_acls: config.ignore_public_acls.unwrap_or_default(),
        block_public_policy: config.block_public_policy.unwrap_or_default(),
        restrict_public_buckets: config.restrict_public_buckets.unwrap_or_default(),
    }
}

/// The SDK's form of this value.
pub(super) fn public_access_block_to_sdk(
    settings: &PublicAccessBlock,
) -> sdk::PublicAccessBlockConfiguration {
    let PublicAccessBlock {
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    } = *settings;
    sdk::PublicAccessBlockConfiguration::builder()
        .block_public_acls(block_public_acls)
        .ignore_public_acls(ignore_public_acls)
        .block_public_policy(block_public_policy)
        .restrict_public_buckets(restrict_public_buckets)
        .build()
}

/// Tags as a map.
pub(super) fn tags_from_sdk(tags: Vec<sdk::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// The SDK's form of these tags.
pub(super) fn tags_to_sdk(tags: &BTreeMap<String, String>) -> Result<Vec<sdk::Tag>, String> {
    let tag = |(key, value): (&String, &String)| sdk::Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(tag)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Formats the date of a lifecycle rule as `YYYY-MM-DD`: AWS accepts only midnight UTC.
fn format_day(time: &DateTime) -> String {
    let seconds = jiff::Timestamp::from_second(time.secs());
    seconds
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

fn parse_day(day: &str) -> Result<DateTime, String> {
    let day: jiff::civil::Date = day
        .parse()
        .map_err(|error| format!("`{day}` is no date: {error}"))?;
    let time = day
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_err(|error| error.to_string())?;
    Ok(DateTime::from_secs(time.timestamp().as_second()))
}

/// Converts a rule that S3 returned. The filter may have any of its three forms: a prefix beside
/// the filter (deprecated), one condition, or several in an `And`.
pub(super) fn lifecycle_rule_from_sdk(rule: sdk::LifecycleRule) -> LifecycleRule {
    let mut converted = LifecycleRule {
        id: rule.id.unwrap_or_default(),
        enabled: rule.status == sdk::ExpirationStatus::Enabled,
        ..LifecycleRule::default()
    };
    #[expect(deprecated, reason = "old rules have their prefix here")]
    let legacy = rule.prefix;
    converted.prefix = legacy.unwrap_or_default();
    if let Some(filter) = rule.filter {
        let and = filter
            .and
            .unwrap_or_else(|| sdk::LifecycleRuleAndOperator::builder().build());
        let prefix = filter.prefix.or(and.prefix);
        converted.prefix = prefix.unwrap_or(converted.prefix);
        converted.tags = tags_from_sdk(
            filter
                .tag
                .into_iter()
                .chain(and.tags.unwrap_or_default())
                .collect(),
        );
        converted.larger_than = filter
            .object_size_greater_than
            .or(and.object_size_greater_than);
        converted.smaller_than = filter.object_size_less_than.or(and.object_size_less_than);
    }
    if let Some(expiration) = rule.expiration {
        converted.expire_days = expiration.days.filter(|days| *days > 0);
        converted.expire_date = expiration.date.as_ref().map(format_day);
        converted.expired_delete_markers =
            expiration.expired_object_delete_marker.unwrap_or_default();
    }
    if let Some(noncurrent) = rule.noncurrent_version_expiration {
        converted.noncurrent_days = noncurrent.noncurrent_days;
        converted.noncurrent_keep = noncurrent.newer_noncurrent_versions;
    }
    converted.abort_multipart_days = rule
        .abort_incomplete_multipart_upload
        .and_then(|abort| abort.days_after_initiation);
    let class = |class: Option<sdk::TransitionStorageClass>| {
        class
            .map(|class| class.as_str().to_owned())
            .unwrap_or_default()
    };
    let transitions = rule.transitions.unwrap_or_default().into_iter();
    let transitions = transitions.map(|transition| Transition {
        days: transition.days,
        date: transition.date.as_ref().map(format_day),
        keep: None,
        storage_class: class(transition.storage_class),
    });
    converted.transitions = transitions.collect();
    let transitions = rule
        .noncurrent_version_transitions
        .unwrap_or_default()
        .into_iter();
    let transitions = transitions.map(|transition| Transition {
        days: transition.noncurrent_days,
        date: None,
        keep: transition.newer_noncurrent_versions,
        storage_class: class(transition.storage_class),
    });
    converted.noncurrent_transitions = transitions.collect();
    converted.transitions.sort();
    converted.noncurrent_transitions.sort();
    converted
}

/// The same to be written.
pub(super) fn lifecycle_rule_to_sdk(rule: &LifecycleRule) -> Result<sdk::LifecycleRule, String> {
    let LifecycleRule {
        id,
        enabled,
        prefix: _,
        tags: _,
        larger_than: _,
        smaller_than: _,
        expire_days,
        expire_date,
        expired_delete_markers,
        noncurrent_days,
        noncurrent_keep,
        abort_multipart_days,
        transitions,
        noncurrent_transitions,
    } = rule;
    let status = if *enabled {
        sdk::ExpirationStatus::Enabled
    } else {
        sdk::ExpirationStatus::Disabled
    };
    let mut converted = sdk::LifecycleRule::builder()
        .id(id)
        .status(status)
        .filter(lifecycle_filter_to_sdk(rule)?);
    if expire_days.is_some() || expire_date.is_some() || *expired_delete_markers {
        let expiration = sdk::LifecycleExpiration::builder()
            .set_days(*expire_days)
            .set_date(expire_date.as_deref().map(parse_day).transpose()?)
            .set_expired_object_delete_marker(expired_delete_markers.then_some(true));
        converted = converted.expiration(expiration.build());
    }
    if noncurrent_days.is_some() {
        let noncurrent = sdk::NoncurrentVersionExpiration::builder()
            .set_noncurrent_days(*noncurrent_days)
            .set_newer_noncurrent_versions(*noncurrent_keep);
        converted = converted.noncurrent_version_expiration(noncurrent.build());
    }
    if let Some(days) = abort_multipart_days {
        let abort = sdk::AbortIncompleteMultipartUpload::builder().days_after_initiation(*days);
        converted = converted.abort_incomplete_multipart_upload(abort.build());
    }
    for Transition {
        days,
        date,
        keep: _,
        storage_class,
    } in transitions
    {
        let date = date.as_deref().map(parse_day).transpose()?;
        let class = sdk::TransitionStorageClass::from(storage_class.as_str());
        let transition = sdk::Transition::builder()
            .set_days(*days)
            .set_date(date)
            .storage_class(class);
        converted = converted.transitions(transition.build());
    }
    for Transition {
        days,
        date: _,
        keep,
        storage_class,
    } in noncurrent_transitions
    {
        let class = sdk::TransitionStorageClass::from(storage_class.as_str());
        let transition = sdk::NoncurrentVersionTransition::builder()
            .set_noncurrent_days(*days)
            .set_newer_noncurrent_versions(*keep)
            .storage_class(class);
        converted = converted.noncurrent_version_transitions(transition.build());
    }
    converted.build().map_err(|error| error.to_string())
}

/// One condition is written directly, several in an `And`; S3 rejects an `And` of one.
fn lifecycle_filter_to_sdk(rule: &LifecycleRule) -> Result<sdk::LifecycleRuleFilter, String> {
    let LifecycleRule {
        prefix,
        tags,
        larger_than,
        smaller_than,
        ..
    } = rule;
    let tags = tags_to_sdk(tags)?;
    let conditions = usize::from(!prefix.is_empty())
        + tags.len()
        + usize::from(larger_than.is_some())
        + usize::from(smaller_than.is_some());
    let filter = sdk::LifecycleRuleFilter::builder();
    if conditions > 1 {
        let and = sdk::LifecycleRuleAndOperator::builder()
            .set_prefix((!prefix.is_empty()).then(|| prefix.clone()))
            .set_tags((!tags.is_empty()).then_some(tags))
            .set_object_size_greater_than(*larger_than)
            .set_object_size_less_than(*smaller_than);
        return Ok(filter.and(and.build()).build());
    }
    let filter = match (tags.into_iter().next(), larger_than, smaller_than) {
        (Some(tag), _, _) => filter.tag(tag),
        (None, Some(bytes), _) => filter.object_size_greater_than(*bytes),
        (None, None, Some(bytes)) => filter.object_size_less_than(*bytes),
        (None, None, None) => filter.prefix(prefix),
    };
    Ok(filter.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(converted: &LifecycleRule) -> LifecycleRule {
        lifecycle_rule_from_sdk(lifecycle_rule_to_sdk(converted).unwrap())
    }

    #[test]
    fn lifecycle_rules_round_trip() {
        let transition = LifecycleRule {
            id: "expire".to_owned(),
            enabled: true,
            prefix: "db/".to_owned(),
            expire_days: Some(30),
            noncurrent_days: Some(7),
            noncurrent_keep: Some(3),
            abort_multipart_days: Some(2),
            transitions: vec![Transition {
                date: Some("2027-01-31".to_owned()),
                storage_class: "GLACIER_IR".to_owned(),
                ..Transition::default()
            }],
            ..LifecycleRule::default()
        };
        assert_eq!(round_trip(&transition), transition);
        let many = LifecycleRule {
            tags: BTreeMap::from([("kind".to_owned(), "tmp".to_owned())]),
            larger_than: Some(1),
            expire_days: None,
            expired_delete_markers: true,
            ..transition.clone()
        };
        assert_eq!(round_trip(&many), many);
        let tag = LifecycleRule {
            prefix: String::new(),
            larger_than: None,
            ..many
        };
        assert_eq!(round_trip(&tag), tag);
    }

    #[test]
    fn legacy_prefix_and_empty_filter_are_prefixes() {
        #[expect(deprecated, reason = "this is about the old form")]
        let old = sdk::LifecycleRule::builder().prefix("db/");
        let old = old.status(sdk::ExpirationStatus::Enabled).build().unwrap();
        assert_eq!(lifecycle_rule_from_sdk(old).prefix, "db/");
        let empty =
            sdk::LifecycleRule::builder().filter(sdk::LifecycleRuleFilter::builder().build());
        let empty = empty
            .status(sdk::ExpirationStatus::Disabled)
            .build()
            .unwrap();
        assert_eq!(
            (
                lifecycle_rule_from_sdk(empty.clone()).prefix.as_str(),
                lifecycle_rule_from_sdk(empty).enabled
            ),
            ("", false)
        );
    }

    #[test]
    fn an_invalid_date_is_an_error() {
        let bad = LifecycleRule {
            expire_date: Some("soon".to_owned()),
            ..LifecycleRule::default()
        };
        assert!(
            lifecycle_rule_to_sdk(&bad)
                .unwrap_err()
                .contains("`soon` is no date")
        );
    }
}
