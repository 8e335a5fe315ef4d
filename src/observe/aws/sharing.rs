//! What else opens or closes a bucket: settings that let others in and that no manifest has, and
//! policies of the manifest that would shut out whoever applies them.

use std::collections::BTreeSet;

use super::collect::{AwsSnapshot, BucketSnapshot};
use crate::{
    clouds::aws::types::{BucketDescription, BucketLookup},
    kinds::{
        Desired, UnmanagedResource, World,
        aws::{
            Bucket,
            bucket::{BUCKET_OWNER_ENFORCED, RequestSender, find_denial},
        },
    },
    model::{Address, Name},
};

/// Reports replication and ACLs, which let data out and others in. Somebody made them by hand, since no
/// manifest has them.
pub(super) fn report(world: &mut World, snapshot: &AwsSnapshot) {
    let mut missing: BTreeSet<&str> = BTreeSet::new();
    for (key, BucketSnapshot { name, lookup, .. }) in &snapshot.buckets {
        let BucketLookup::Found(bucket) = lookup else {
            continue;
        };
        missing.extend(&bucket.sharing.missing_permissions);
        let found = unmanaged_settings(key, name, bucket);
        world.findings.unmanaged.extend(found);
    }
    if !missing.is_empty() {
        let actions = missing.into_iter().collect::<Vec<_>>().join(" and ");
        world.findings.warnings.push(format!(
            "these credentials lack {actions}, so replication and ACLs that were made by hand do not show"
        ));
    }
}

fn unmanaged_settings(
    key: &Name,
    name: &str,
    bucket: &BucketDescription,
) -> Vec<UnmanagedResource> {
    let unmanaged = |what: String, why: &str| UnmanagedResource {
        description: what,
        container: Address::new::<Bucket>(key),
        why: why.to_owned(),
        data_loss: None,
        address: None,
        identity: String::new(),
    };
    let sharing = &bucket.sharing;
    let replication = sharing.replicates_to.iter().map(|target| {
        unmanaged(
            format!("replication of bucket {name} to {target}"),
            "the manifest does not say it; what is written here is copied there",
        )
    });
    let has_acl = bucket.ownership.as_deref() != Some(BUCKET_OWNER_ENFORCED);
    let grants = sharing.acl_grants.iter().filter(|_| has_acl).map(|grant| {
        unmanaged(
            format!("ACL of bucket {name}: {grant}"),
            "the manifest does not say it; an ACL admits somebody whatever the policy says",
        )
    });
    replication.chain(grants).collect()
}

/// Warns of policies of the manifest that are not in force yet and would deny these credentials what
/// every run does. Other credentials may apply them, so this alone stops nothing.
pub(super) fn warn_denials(world: &mut World, snapshot: &AwsSnapshot, desired: &Desired) {
    let (Some(caller), Some(meta)) = (&snapshot.caller, &desired.meta.aws) else {
        return;
    };
    for (key, spec) in &desired.aws_bucket {
        let live = world
            .aws_bucket
            .get(key)
            .and_then(|live| live.policy.as_ref());
        let Some(policy) = spec.policy.as_ref() else {
            continue;
        };
        if live.is_some_and(|live| live == policy) {
            continue;
        }
        let lock_key = spec.uses.lock_key.as_deref();
        let sender = RequestSender {
            account: &meta.account,
            caller: Some(caller),
        };
        let denial = find_denial(&spec.name, policy, lock_key, sender);
        if let Some((index, action)) = denial {
            world.findings.warnings.push(format!(
                "statement {} of the policy of bucket {} would deny {action} to {caller}: apply it with other credentials, or \
                 except these in the statement",
                policy.statement_name(index),
                spec.name
            ));
        }
    }
}
