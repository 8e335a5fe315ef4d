//! Creates, changes and deletes buckets.

use super::{
    Bucket, BucketEdit, BucketLive, BucketSpec, RequestSender, compute_edits, find_denial,
};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        aws::{AwsWriter, BucketRef, types},
    },
    iam::policy::{LivePolicy, PolicyDocument},
    kinds::{CloudWriters, Drive, World},
    lock::{self, LockLocation},
    model::{Name, OwnershipMark, s3::PublicAccessBlock},
};

impl BucketLive {
    /// The live state from what S3 reports. `holds` is the key of an object that is not trimtab's own.
    #[must_use]
    pub fn from_s3(name: &str, bucket: &types::BucketDescription, holds: Option<String>) -> Self {
        let types::BucketDescription {
            region,
            encryption,
            blocked_encryption,
            public_access,
            ownership,
            versioning,
            lifecycle,
            policy,
            tags,
            sharing,
        } = bucket;
        let mut lifecycle = lifecycle.clone();
        lifecycle.sort_by(|a, b| a.id.cmp(&b.id));
        Self {
            name: name.to_owned(),
            region: region.clone(),
            encryption: encryption.clone(),
            blocked_encryption: blocked_encryption.clone(),
            // A bucket without a public access block blocks nothing.
            public_access: public_access.unwrap_or(PublicAccessBlock::all(false)),
            ownership: ownership.clone(),
            versioning: versioning.clone(),
            lifecycle,
            policy: policy.as_deref().map(LivePolicy::parse),
            tags: tags.clone(),
            holds,
            acl_grants: sharing.acl_grants.clone(),
        }
    }
}

impl Drive for Bucket {
    /// If the response to an earlier creation was lost, the bucket is found by its name. What is
    /// still missing in its settings is added by the edits.
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &BucketSpec,
        world: &World,
    ) -> Result<BucketLive, CloudError> {
        let aws = clouds.aws()?;
        let bucket_ref = BucketRef {
            name: &spec.name,
            region: &spec.region,
        };
        if let Some(policy) = &spec.policy {
            let lock_key = spec.uses.lock_key.as_deref();
            refuse_own_denial(aws, &spec.name, policy, lock_key).await?;
        }
        let is_new = aws
            .create_bucket(bucket_ref, &spec.ownership, &spec.tags)
            .await?;
        let created = aws.read_new_bucket(bucket_ref).await?;
        let owner = OwnershipMark::from_metadata(&created.tags);
        // Some S3-compatible stores ignore tags in the creation request, so a new bucket may have
        // none. A bucket that existed before must have our ownership mark.
        if owner != OwnershipMark::from_metadata(&spec.tags) && !(is_new && owner.is_none()) {
            let operation = format!("make bucket {}", bucket_ref.name);
            return Err(CloudError::new_aws(
                operation,
                ErrorKind::Conflict,
                "somebody else has made it meanwhile",
            ));
        }
        let mut live = BucketLive::from_s3(bucket_ref.name, &created, None);
        for edit in compute_edits(spec, &live) {
            live = Self::edit(clouds, &live, &edit, world).await?;
        }
        Ok(live)
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &BucketLive,
        edit: &BucketEdit,
        _: &World,
    ) -> Result<BucketLive, CloudError> {
        let (aws, bucket_ref) = (
            clouds.aws()?,
            BucketRef {
                name: &live.name,
                region: &live.region,
            },
        );
        let mut after = live.clone();
        match edit {
            BucketEdit::Tags(change) => {
                // S3 replaces all tags at once, so tags that somebody added since the plan must be
                // included.
                after.tags = change.apply_to(
                    &aws.read_bucket_tags(bucket_ref.name, bucket_ref.region)
                        .await?,
                );
                aws.put_bucket_tags(bucket_ref, &after.tags).await?;
            }
            BucketEdit::PublicAccessBlock(_, to) => {
                aws.put_public_access_block(bucket_ref, *to).await?;
                after.public_access = *to;
            }
            BucketEdit::Ownership(_, to) => {
                aws.put_ownership_controls(bucket_ref, to).await?;
                after.ownership = Some(to.clone());
            }
            BucketEdit::Encryption(_, to) => {
                after.blocked_encryption = aws
                    .read_bucket_encryption(bucket_ref.name, bucket_ref.region)
                    .await?
                    .1;
                aws.put_bucket_encryption(bucket_ref, to, &after.blocked_encryption)
                    .await?;
                after.encryption = Some(to.clone());
            }
            BucketEdit::Versioning(on) => {
                aws.put_bucket_versioning(bucket_ref, *on).await?;
                after.versioning = Some(if *on { "Enabled" } else { "Suspended" }.to_owned());
            }
            BucketEdit::Lifecycle(_, to) => {
                aws.put_lifecycle_rules(bucket_ref, to).await?;
                after.lifecycle.clone_from(to);
            }
            BucketEdit::Policy(_, to) => {
                if let Some(policy) = to {
                    let lease = clouds.lock.as_ref();
                    let lock_key = lease.and_then(|lease| lease.object_key_in(&live.name));
                    refuse_own_denial(aws, &live.name, policy, lock_key.as_deref()).await?;
                }
                let document = to.as_ref().map(|to| to.to_json_string());
                let is_equivalent =
                    |current: &str| PolicyDocument::parse(current).ok().as_ref() == to.as_deref();
                let is_open = !live.public_access.block_public_policy;
                aws.put_bucket_policy(bucket_ref, document.as_deref(), is_open, is_equivalent)
                    .await?;
                after.policy = to.as_deref().cloned().map(LivePolicy::from);
            }
        }
        Ok(after)
    }

    /// A bucket with other objects than our own is not deleted: S3 would refuse, and this checks it
    /// before our own objects are touched. The lock is deleted last, and only if this run holds it
    /// or nobody does; otherwise the bucket stays.
    async fn delete(clouds: &CloudWriters, live: &BucketLive, _: &World) -> Result<(), CloudError> {
        let (aws, bucket_ref) = (
            clouds.aws()?,
            BucketRef {
                name: &live.name,
                region: &live.region,
            },
        );
        let mark = OwnershipMark::from_metadata(&live.tags);
        let lock_key = mark
            .as_ref()
            .map(OwnershipMark::lock_key)
            .unwrap_or_default();
        match aws
            .find_other_key(bucket_ref.name, bucket_ref.region, &lock_key)
            .await
        {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
            Ok(Some(key)) => {
                let operation = format!("remove bucket {}", live.name);
                let message = format!("it holds objects, such as {key:?}");
                return Err(CloudError::new_aws(operation, ErrorKind::Rejected, message));
            }
            Ok(None) => {}
        }
        if let Some(mark) = mark {
            let location = LockLocation {
                bucket: live.name.clone(),
                region: live.region.clone(),
                mark,
            };
            delete_lock_object(clouds, bucket_ref, &location).await?;
        }
        aws.delete_bucket(bucket_ref).await
    }
}

/// Refuses to write a policy by which this very run could not change the bucket any more.
async fn refuse_own_denial(
    aws: &AwsWriter,
    bucket: &str,
    policy: &PolicyDocument,
    lock_key: Option<&str>,
) -> Result<(), CloudError> {
    let caller = aws.caller_identity().await?;
    let sender = RequestSender {
        account: &caller.account,
        caller: Some(&caller.arn),
    };
    let denial = find_denial(bucket, policy, lock_key, sender);
    let Some((index, action)) = denial else {
        return Ok(());
    };
    Err(CloudError::new_aws(
        format!("set the policy of bucket {bucket}"),
        ErrorKind::Rejected,
        format!(
            "its statement {} would deny {action} to {}, so no later run with these credentials could change it back; except them \
             in the statement, or apply with credentials that it does not deny",
            policy.statement_name(index),
            caller.arn
        ),
    ))
}

/// Deletes the lock's object, with all its versions, from the bucket in which it is stored.
async fn delete_lock_object(
    clouds: &CloudWriters,
    bucket_ref: BucketRef<'_>,
    location: &LockLocation,
) -> Result<(), CloudError> {
    let (aws, lock_key) = (clouds.aws()?, location.object_key());
    // Old versions first: while this takes time, the lock is still held and renewed.
    aws.delete_old_versions(bucket_ref, &lock_key).await?;
    match clouds
        .lock
        .as_ref()
        .filter(|lease| lease.is_in_bucket(bucket_ref.name))
    {
        Some(lease) => lease.delete_object().await?,
        None => lock::delete_lock(aws, location).await?,
    }
    // Versions that were written meanwhile, and the delete marker.
    aws.delete_old_versions(bucket_ref, &lock_key).await
}
