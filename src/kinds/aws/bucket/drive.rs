//! The calls of a bucket.

use super::{Bucket, BucketEdit, BucketLive, BucketSpec, compute_edits};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        aws::{BucketRef, types},
    },
    iam::policy::PolicyDocument,
    kinds::{CloudWriters, Drive, World},
    lock::{self, LockLocation},
    model::{Name, OwnershipMark, s3::PublicAccessBlock},
};

impl BucketLive {
    /// A bucket as S3 reports it. `holds` is a key that it holds beside our own.
    ///
    /// # Errors
    /// When its policy is none.
    pub fn from_s3(
        name: &str,
        bucket: &types::BucketDescription,
        holds: Option<String>,
    ) -> Result<Self, CloudError> {
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
        } = bucket;
        let policy = policy
            .as_deref()
            .map(PolicyDocument::parse)
            .transpose()
            .map_err(|error| {
                let doing = format!("read the policy of bucket {name}");
                CloudError::new_aws(doing, ErrorKind::InvalidResponse, error.to_string())
            })?;
        let mut lifecycle = lifecycle.clone();
        lifecycle.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self {
            name: name.to_owned(),
            region: region.clone(),
            encryption: encryption.clone(),
            blocked_encryption: blocked_encryption.clone(),
            // Without a block nothing is blocked.
            public_access: public_access.unwrap_or(PublicAccessBlock::all(false)),
            ownership: ownership.clone(),
            versioning: versioning.clone(),
            lifecycle,
            policy,
            tags: tags.clone(),
            holds,
        })
    }
}

impl Drive for Bucket {
    /// A creation whose answer was lost is found again by its name. Its settings are then what a plan would find missing.
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &BucketSpec,
        world: &World,
    ) -> Result<BucketLive, CloudError> {
        let aws = clouds.aws()?;
        let at = BucketRef {
            name: &spec.name,
            region: &spec.region,
        };
        let is_new = aws.create_bucket(at, &spec.ownership, &spec.tags).await?;
        let made = aws.read_new_bucket(at).await?;
        let owner = OwnershipMark::from_metadata(&made.tags);
        // Some stores drop tags that come with a creation. What was there before must bear our mark.
        if owner != OwnershipMark::from_metadata(&spec.tags) && !(is_new && owner.is_none()) {
            let doing = format!("make bucket {}", at.name);
            return Err(CloudError::new_aws(
                doing,
                ErrorKind::Conflict,
                "somebody else has made it meanwhile",
            ));
        }
        let mut live = BucketLive::from_s3(at.name, &made, None)?;
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
        let (aws, at) = (
            clouds.aws()?,
            BucketRef {
                name: &live.name,
                region: &live.region,
            },
        );
        let mut after = live.clone();
        match edit {
            BucketEdit::Tags(change) => {
                // All tags are replaced at once, so what others put there since the plan was made counts.
                after.tags = change.apply_to(&aws.read_bucket_tags(at.name, at.region).await?);
                aws.put_bucket_tags(at, &after.tags).await?;
            }
            BucketEdit::PublicAccessBlock(_, to) => {
                aws.put_public_access_block(at, *to).await?;
                after.public_access = *to;
            }
            BucketEdit::Ownership(_, to) => {
                aws.put_ownership_controls(at, to).await?;
                after.ownership = Some(to.clone());
            }
            BucketEdit::Encryption(_, to) => {
                after.blocked_encryption = aws.read_bucket_encryption(at.name, at.region).await?.1;
                aws.put_bucket_encryption(at, to, &after.blocked_encryption)
                    .await?;
                after.encryption = Some(to.clone());
            }
            BucketEdit::Versioning(on) => {
                aws.put_bucket_versioning(at, *on).await?;
                after.versioning = Some(if *on { "Enabled" } else { "Suspended" }.to_owned());
            }
            BucketEdit::Lifecycle(_, to) => {
                aws.put_lifecycle_rules(at, to).await?;
                after.lifecycle.clone_from(to);
            }
            BucketEdit::Policy(_, to) => {
                let text = to.as_ref().map(|to| to.to_json_string());
                let same =
                    |there: &str| PolicyDocument::parse(there).ok().as_ref() == to.as_deref();
                let is_open = !live.public_access.block_public_policy;
                aws.put_bucket_policy(at, text.as_deref(), is_open, same)
                    .await?;
                after.policy = to.as_deref().cloned();
            }
        }
        Ok(after)
    }

    /// What holds anything beside our own stays: S3 refuses to remove it, and so do we before we touch our own. The lock
    /// goes last, if it is this run's; another's stays, and then the bucket does.
    async fn delete(clouds: &CloudWriters, live: &BucketLive, _: &World) -> Result<(), CloudError> {
        let (aws, at) = (
            clouds.aws()?,
            BucketRef {
                name: &live.name,
                region: &live.region,
            },
        );
        let mark = OwnershipMark::from_metadata(&live.tags);
        let own = mark
            .as_ref()
            .map(OwnershipMark::lock_key)
            .unwrap_or_default();
        match aws.find_other_key(at.name, at.region, &own).await {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
            Ok(Some(key)) => {
                let doing = format!("remove bucket {}", live.name);
                let what = format!("it holds objects, such as {key:?}");
                return Err(CloudError::new_aws(doing, ErrorKind::Rejected, what));
            }
            Ok(None) => {}
        }
        if let Some(mark) = mark {
            let place = LockLocation {
                bucket: live.name.clone(),
                region: live.region.clone(),
                mark,
            };
            delete_lock_object(clouds, at, &place).await?;
        }
        aws.delete_bucket(at).await
    }
}

/// Removes the lock from the bucket that it is kept in, with all its versions.
async fn delete_lock_object(
    clouds: &CloudWriters,
    at: BucketRef<'_>,
    place: &LockLocation,
) -> Result<(), CloudError> {
    let (aws, own) = (clouds.aws()?, place.object_key());
    // As long as this takes, the lock is still renewed.
    aws.delete_old_versions(at, &own).await?;
    match clouds
        .lock
        .as_ref()
        .filter(|lease| lease.is_in_bucket(at.name))
    {
        Some(lease) => lease.delete_object().await?,
        None => lock::delete_lock(aws, place).await?,
    }
    // What came to it meanwhile, and the mark of its removal.
    aws.delete_old_versions(at, &own).await
}
