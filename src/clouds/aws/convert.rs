//! The SDK's values to ours and back. What our words cannot say of a lifecycle rule makes it a rule that is never equal to
//! a manifest's, so that nothing is taken for unchanged that is not.

use std::collections::BTreeMap;

use aws_sdk_s3::types as sdk;
use aws_smithy_types::DateTime;

use crate::model::s3::{Encryption, LifecycleRule, PublicAccessBlock, Transition};

/// The default encryption and the blocked ways.
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
        .map(|way| way.as_str().to_owned())
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

/// The same to be written. The blocked ways are repeated: a configuration without them would lift the block.
pub(super) fn encryption_to_sdk(
    to: &Encryption,
    blocked: &[String],
) -> Result<sdk::ServerSideEncryptionConfiguration, String> {
    let Encryption {
        algorithm,
        kms_key,
        bucket_key,
    } = to;
    let default = sdk::ServerSideEncryptionByDefault::builder()
        .sse_algorithm(sdk::ServerSideEncryption::from(algorithm.as_str()))
        .set_kms_master_key_id(kms_key.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let ways: Vec<_> = blocked
        .iter()
        .map(|way| sdk::EncryptionType::from(way.as_str()))
        .collect();
    let ways = sdk::BlockedEncryptionTypes::builder()
        .set_encryption_type(Some(ways))
        .build();
    let rule = sdk::ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(default)
        .bucket_key_enabled(*bucket_key)
        .set_blocked_encryption_types((!blocked.is_empty()).then_some(ways))
        .build();
    let config = sdk::ServerSideEncryptionConfiguration::builder()
        .rules(rule)
        .build();
    config.map_err(|error| error.to_string())
}

/// The four switches; one that is not said is off.
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

/// The same to be written.
pub(super) fn public_access_block_to_sdk(
    to: &PublicAccessBlock,
) -> sdk::PublicAccessBlockConfiguration {
    let PublicAccessBlock {
        block_public_acls,
        ignore_public_acls,
        block_public_policy,
        restrict_public_buckets,
    } = *to;
    sdk::PublicAccessBlockConfiguration::builder()
        .block_public_acls(block_public_acls)
        .ignore_public_acls(ignore_public_acls)
        .block_public_policy(block_public_policy)
        .restrict_public_buckets(restrict_public_buckets)
        .build()
}

/// Tags as a table.
pub(super) fn tags_from_sdk(tags: Vec<sdk::Tag>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// The same to be written.
pub(super) fn tags_to_sdk(tags: &BTreeMap<String, String>) -> Result<Vec<sdk::Tag>, String> {
    let tag = |(key, value): (&String, &String)| sdk::Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(tag)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Dates of rules are days: AWS keeps midnight, UTC.
fn format_day(at: &DateTime) -> String {
    let seconds = jiff::Timestamp::from_second(at.secs());
    seconds
        .map(|at| at.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

fn parse_day(day: &str) -> Result<DateTime, String> {
    let day: jiff::civil::Date = day
        .parse()
        .map_err(|error| format!("`{day}` is no date: {error}"))?;
    let at = day
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_err(|error| error.to_string())?;
    Ok(DateTime::from_secs(at.timestamp().as_second()))
}

/// A rule as S3 returns it, whichever of the three forms of a filter it was written with.
pub(super) fn lifecycle_rule_from_sdk(rule: sdk::LifecycleRule) -> LifecycleRule {
    let mut out = LifecycleRule {
        id: rule.id.unwrap_or_default(),
        enabled: rule.status == sdk::ExpirationStatus::Enabled,
        ..LifecycleRule::default()
    };
    #[expect(deprecated, reason = "old rules have their prefix here")]
    let legacy = rule.prefix;
    out.prefix = legacy.unwrap_or_default();
    if let Some(filter) = rule.filter {
        let and = filter
            .and
            .unwrap_or_else(|| sdk::LifecycleRuleAndOperator::builder().build());
        let prefix = filter.prefix.or(and.prefix);
        out.prefix = prefix.unwrap_or(out.prefix);
        out.tags = tags_from_sdk(
            filter
                .tag
                .into_iter()
                .chain(and.tags.unwrap_or_default())
                .collect(),
        );
        out.larger_than = filter
            .object_size_greater_than
            .or(and.object_size_greater_than);
        out.smaller_than = filter.object_size_less_than.or(and.object_size_less_than);
    }
    if let Some(expiration) = rule.expiration {
        out.expire_days = expiration.days.filter(|days| *days > 0);
        out.expire_date = expiration.date.as_ref().map(format_day);
        out.expired_delete_markers = expiration.expired_object_delete_marker.unwrap_or_default();
    }
    if let Some(noncurrent) = rule.noncurrent_version_expiration {
        out.noncurrent_days = noncurrent.noncurrent_days;
        out.noncurrent_keep = noncurrent.newer_noncurrent_versions;
    }
    out.abort_multipart_days = rule
        .abort_incomplete_multipart_upload
        .and_then(|abort| abort.days_after_initiation);
    let class = |class: Option<sdk::TransitionStorageClass>| {
        class
            .map(|class| class.as_str().to_owned())
            .unwrap_or_default()
    };
    let moves = rule.transitions.unwrap_or_default().into_iter();
    let moves = moves.map(|one| Transition {
        days: one.days,
        date: one.date.as_ref().map(format_day),
        keep: None,
        storage_class: class(one.storage_class),
    });
    out.transitions = moves.collect();
    let moves = rule
        .noncurrent_version_transitions
        .unwrap_or_default()
        .into_iter();
    let moves = moves.map(|one| Transition {
        days: one.noncurrent_days,
        date: None,
        keep: one.newer_noncurrent_versions,
        storage_class: class(one.storage_class),
    });
    out.noncurrent_transitions = moves.collect();
    out.transitions.sort();
    out.noncurrent_transitions.sort();
    out
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
    let mut out = sdk::LifecycleRule::builder()
        .id(id)
        .status(status)
        .filter(lifecycle_filter_to_sdk(rule)?);
    if expire_days.is_some() || expire_date.is_some() || *expired_delete_markers {
        let expiration = sdk::LifecycleExpiration::builder()
            .set_days(*expire_days)
            .set_date(expire_date.as_deref().map(parse_day).transpose()?)
            .set_expired_object_delete_marker(expired_delete_markers.then_some(true));
        out = out.expiration(expiration.build());
    }
    if noncurrent_days.is_some() {
        let noncurrent = sdk::NoncurrentVersionExpiration::builder()
            .set_noncurrent_days(*noncurrent_days)
            .set_newer_noncurrent_versions(*noncurrent_keep);
        out = out.noncurrent_version_expiration(noncurrent.build());
    }
    if let Some(days) = abort_multipart_days {
        let abort = sdk::AbortIncompleteMultipartUpload::builder().days_after_initiation(*days);
        out = out.abort_incomplete_multipart_upload(abort.build());
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
        let one = sdk::Transition::builder()
            .set_days(*days)
            .set_date(date)
            .storage_class(class);
        out = out.transitions(one.build());
    }
    for Transition {
        days,
        date: _,
        keep,
        storage_class,
    } in noncurrent_transitions
    {
        let class = sdk::TransitionStorageClass::from(storage_class.as_str());
        let one = sdk::NoncurrentVersionTransition::builder()
            .set_noncurrent_days(*days)
            .set_newer_noncurrent_versions(*keep)
            .storage_class(class);
        out = out.noncurrent_version_transitions(one.build());
    }
    out.build().map_err(|error| error.to_string())
}

/// One condition stands alone; several stand in an `And`, which S3 refuses for one.
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

    fn round_trip(out: &LifecycleRule) -> LifecycleRule {
        lifecycle_rule_from_sdk(lifecycle_rule_to_sdk(out).unwrap())
    }

    #[test]
    fn a_rule_survives_the_way_there_and_back() {
        let one = LifecycleRule {
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
        assert_eq!(round_trip(&one), one);
        let many = LifecycleRule {
            tags: BTreeMap::from([("kind".to_owned(), "tmp".to_owned())]),
            larger_than: Some(1),
            expire_days: None,
            expired_delete_markers: true,
            ..one.clone()
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
    fn the_old_form_and_an_empty_filter_mean_a_prefix() {
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
    fn a_date_that_is_none_is_an_error() {
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
