//! The calls of a bucket.

use super::{Bucket, BucketEdit, BucketLive, BucketSpec, edits};
use crate::{
    clouds::{
        CloudError, Clouds, Trouble,
        aws::{
            At,
            lock::{self, Place},
            wire,
        },
    },
    kinds::{Drive, World, aws::policy::Policy},
    model::{Mark, Name, s3::PublicAccessBlock},
};

impl BucketLive {
    /// A bucket as S3 reports it. `holds` is a key that it holds beside our own.
    ///
    /// # Errors
    /// When its policy is none.
    pub fn read(
        name: &str,
        bucket: &wire::Bucket,
        holds: Option<String>,
    ) -> Result<Self, CloudError> {
        let wire::Bucket {
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
            .map(Policy::parse)
            .transpose()
            .map_err(|error| {
                let doing = format!("read the policy of bucket {name}");
                CloudError::aws(doing, Trouble::Unreadable, error.to_string())
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
        clouds: &Clouds,
        _: &Name,
        spec: &BucketSpec,
        world: &World,
    ) -> Result<BucketLive, CloudError> {
        let aws = clouds.aws()?;
        let at = At {
            name: &spec.name,
            region: &spec.region,
        };
        let is_new = aws.create_bucket(at, &spec.ownership, &spec.tags).await?;
        let made = aws.new_bucket(at).await?;
        let owner = Mark::read(&made.tags);
        // Some stores drop tags that come with a creation. What was there before must bear our mark.
        if owner != Mark::read(&spec.tags) && !(is_new && owner.is_none()) {
            let doing = format!("make bucket {}", at.name);
            return Err(CloudError::aws(
                doing,
                Trouble::Conflict,
                "somebody else has made it meanwhile",
            ));
        }
        let mut live = BucketLive::read(at.name, &made, None)?;
        for edit in edits(spec, &live) {
            live = Self::edit(clouds, &live, &edit, world).await?;
        }
        Ok(live)
    }

    async fn edit(
        clouds: &Clouds,
        live: &BucketLive,
        edit: &BucketEdit,
        _: &World,
    ) -> Result<BucketLive, CloudError> {
        let (aws, at) = (
            clouds.aws()?,
            At {
                name: &live.name,
                region: &live.region,
            },
        );
        let mut after = live.clone();
        match edit {
            BucketEdit::Tags(change) => {
                // All tags are replaced at once, so what others put there since the plan was made counts.
                after.tags = change.applied_to(&aws.tags(at.name, at.region).await?);
                aws.put_bucket_tags(at, &after.tags).await?;
            }
            BucketEdit::PublicAccess(_, to) => {
                aws.put_public_access(at, *to).await?;
                after.public_access = *to;
            }
            BucketEdit::Ownership(_, to) => {
                aws.put_ownership(at, to).await?;
                after.ownership = Some(to.clone());
            }
            BucketEdit::Encryption(_, to) => {
                after.blocked_encryption = aws.encryption(at.name, at.region).await?.1;
                aws.put_encryption(at, to, &after.blocked_encryption)
                    .await?;
                after.encryption = Some(to.clone());
            }
            BucketEdit::Versioning(on) => {
                aws.put_versioning(at, *on).await?;
                after.versioning = Some(if *on { "Enabled" } else { "Suspended" }.to_owned());
            }
            BucketEdit::Lifecycle(_, to) => {
                aws.put_lifecycle(at, to).await?;
                after.lifecycle.clone_from(to);
            }
            BucketEdit::Policy(_, to) => {
                let text = to.as_ref().map(|to| to.text());
                let same = |there: &str| Policy::parse(there).ok().as_ref() == to.as_deref();
                let is_open = !live.public_access.block_public_policy;
                aws.put_policy(at, text.as_deref(), is_open, same).await?;
                after.policy = to.as_deref().cloned();
            }
        }
        Ok(after)
    }

    /// What holds anything beside our own stays: S3 refuses to remove it, and so do we before we touch our own. The lock
    /// goes last, if it is this run's; another's stays, and then the bucket does.
    async fn delete(clouds: &Clouds, live: &BucketLive, _: &World) -> Result<(), CloudError> {
        let (aws, at) = (
            clouds.aws()?,
            At {
                name: &live.name,
                region: &live.region,
            },
        );
        let mark = Mark::read(&live.tags);
        let own = mark.as_ref().map(Mark::lock_key).unwrap_or_default();
        match aws.first_key(at.name, at.region, &own).await {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
            Ok(Some(key)) => {
                let doing = format!("remove bucket {}", live.name);
                let what = format!("it holds objects, such as {key:?}");
                return Err(CloudError::aws(doing, Trouble::Refused, what));
            }
            Ok(None) => {}
        }
        if let Some(mark) = mark {
            let place = Place {
                bucket: live.name.clone(),
                region: live.region.clone(),
                mark,
            };
            empty(clouds, at, &place).await?;
        }
        aws.delete_bucket(at).await
    }
}

/// Removes the lock from the bucket that it is kept in, with all its versions.
async fn empty(clouds: &Clouds, at: At<'_>, place: &Place) -> Result<(), CloudError> {
    let (aws, own) = (clouds.aws()?, place.key());
    // As long as this takes, the lock is still renewed.
    aws.sweep(at, &own).await?;
    match clouds.lock.as_ref().filter(|lease| lease.is_in(at.name)) {
        Some(lease) => lease.retire().await?,
        None => lock::remove(aws, place).await?,
    }
    // What came to it meanwhile, and the mark of its removal.
    aws.sweep(at, &own).await
}
