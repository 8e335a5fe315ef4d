//! The writes to a bucket. AWS refuses two at a time with `OperationAborted`, so the caller makes one after another; a
//! write is done when reading shows it, because the settings of a bucket spread with a delay.
//!
//! Facts are from the S3 user guide and from what Terraform's AWS provider waits for.

use std::collections::BTreeMap;

use aws_sdk_s3::types as sdk;

use super::{
    AwsWriter, convert,
    retry::{
        self, PropagationBackoff, RETRYABLE_ON_BUCKET_POLICY, RETRYABLE_ON_BUCKET_SETTINGS,
        RETRYABLE_ON_EXISTING_BUCKET, RETRYABLE_ON_PUBLIC_BUCKET_POLICY, retry, to_cloud_error,
    },
    types::{BucketDescription, BucketLookup},
};
use crate::{
    clouds::{CloudError, ErrorKind},
    model::s3::{Encryption, LifecycleRule, PublicAccessBlock},
};

/// Where a bucket is: its name and its region.
#[derive(Clone, Copy, Debug)]
pub struct BucketRef<'a> {
    /// The name, unique in all of AWS.
    pub name: &'a str,
    /// The region.
    pub region: &'a str,
}

impl AwsWriter {
    fn speed(&self) -> f64 {
        self.settings().speed
    }

    /// Reads until the value is the one that was written. After two minutes the write counts all the same: the next plan
    /// tells whether it was lost.
    async fn wait_until_visible<T: PartialEq, F: Future<Output = Result<T, CloudError>>>(
        &self,
        doing: &str,
        wanted: T,
        read: impl Fn() -> F,
    ) -> Result<(), CloudError> {
        let mut pauses = PropagationBackoff::new(self.speed());
        loop {
            match read().await {
                Ok(there) if there == wanted => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::PermissionDenied | ErrorKind::Rejected
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
            if !pauses.wait().await {
                tracing::warn!(doing, "written, and not visible after two minutes");
                return Ok(());
            }
        }
    }

    /// Makes a bucket with its tags and without ACLs, in one call: there is no moment in which it bears no mark. One that
    /// this account has already is no error, and is not touched: says whether it was made. In us-east-1 S3 does not tell.
    ///
    /// # Errors
    /// As every request; a name that somebody else has is a conflict.
    pub async fn create_bucket(
        &self,
        at: BucketRef<'_>,
        ownership: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<bool, CloudError> {
        let doing = format!("make bucket {} in {}", at.name, at.region);
        let unfit = |why: String| CloudError::new_aws(&doing, ErrorKind::Rejected, why);
        // us-east-1 is where a bucket is when nothing is said, and saying so is refused.
        let place =
            (at.region != "us-east-1").then(|| sdk::BucketLocationConstraint::from(at.region));
        let config = sdk::CreateBucketConfiguration::builder()
            .set_location_constraint(place)
            .set_tags(Some(convert::tags_to_sdk(tags).map_err(unfit)?))
            .build();
        let client = self.account.s3(at.region);
        let made = retry(self.speed(), &doing, RETRYABLE_ON_EXISTING_BUCKET, || {
            let ownership = sdk::ObjectOwnership::from(ownership);
            let asked = client
                .create_bucket()
                .bucket(at.name)
                .object_ownership(ownership);
            asked.create_bucket_configuration(config.clone()).send()
        });
        let is_new = match made.await {
            Ok(_) => true,
            Err(error) if error.message.contains("BucketAlreadyOwnedByYou") => false,
            Err(error) => return Err(error),
        };
        self.wait_until_visible(&doing, true, || async {
            let asked = client
                .head_bucket()
                .bucket(at.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            match asked.send().await {
                Ok(_) => Ok(true),
                Err(error) if retry::http_status(&error) == Some(404) => Ok(false),
                Err(error) => Err(to_cloud_error(&doing, &error)),
            }
        })
        .await?;
        Ok(is_new)
    }

    /// A bucket that was just made: read until every server has heard of it.
    ///
    /// # Errors
    /// As every request, or when it does not show within two minutes.
    pub async fn read_new_bucket(
        &self,
        at: BucketRef<'_>,
    ) -> Result<BucketDescription, CloudError> {
        let mut pauses = PropagationBackoff::new(self.speed());
        loop {
            match self.read_bucket(at.name, at.region).await {
                Ok(BucketLookup::Found(bucket)) => return Ok(*bucket),
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
            if !pauses.wait().await {
                let doing = format!("make bucket {}", at.name);
                return Err(CloudError::new_aws(
                    doing,
                    ErrorKind::Ambiguous,
                    "it was made, and does not show",
                ));
            }
        }
    }

    /// Sets all tags of a bucket. S3 replaces the whole set and keeps AWS's own by itself.
    ///
    /// # Errors
    /// As every request.
    pub async fn put_bucket_tags(
        &self,
        at: BucketRef<'_>,
        to: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        let doing = format!("set the tags of bucket {}", at.name);
        let own = |tags: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let own = tags.iter().filter(|(key, _)| !key.starts_with("aws:"));
            own.map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let unfit = |why: String| CloudError::new_aws(&doing, ErrorKind::Rejected, why);
        let list = convert::tags_to_sdk(&own(to)).map_err(unfit)?;
        let tagging = sdk::Tagging::builder().set_tag_set(Some(list)).build();
        let tagging = tagging.map_err(|error| unfit(error.to_string()))?;
        let client = self.account.s3(at.region);
        retry(self.speed(), &doing, RETRYABLE_ON_BUCKET_SETTINGS, || {
            let asked = client
                .put_bucket_tagging()
                .bucket(at.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            asked.tagging(tagging.clone()).send()
        })
        .await?;
        self.wait_until_visible(&doing, own(to), async || {
            Ok(own(&self.read_bucket_tags(at.name, at.region).await?))
        })
        .await
    }

    /// Sets the public access block.
    ///
    /// # Errors
    /// As every request.
    pub async fn put_public_access_block(
        &self,
        at: BucketRef<'_>,
        to: PublicAccessBlock,
    ) -> Result<(), CloudError> {
        let doing = format!("set the public access block of bucket {}", at.name);
        let client = self.account.s3(at.region);
        retry(self.speed(), &doing, RETRYABLE_ON_BUCKET_SETTINGS, || {
            let asked = client
                .put_public_access_block()
                .bucket(at.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            asked
                .public_access_block_configuration(convert::public_access_block_to_sdk(&to))
                .send()
        })
        .await?;
        self.wait_until_visible(&doing, Some(to), || {
            self.read_public_access_block(at.name, at.region)
        })
        .await
    }

    /// Sets who owns what others write.
    ///
    /// # Errors
    /// As every request.
    pub async fn put_ownership_controls(
        &self,
        at: BucketRef<'_>,
        to: &str,
    ) -> Result<(), CloudError> {
        let doing = format!("set the ownership of bucket {}", at.name);
        let unfit = |error: aws_sdk_s3::error::BuildError| {
            CloudError::new_aws(&doing, ErrorKind::Rejected, error.to_string())
        };
        let rule = sdk::OwnershipControlsRule::builder();
        let rule = rule
            .object_ownership(sdk::ObjectOwnership::from(to))
            .build()
            .map_err(unfit)?;
        let controls = sdk::OwnershipControls::builder()
            .rules(rule)
            .build()
            .map_err(unfit)?;
        let client = self.account.s3(at.region);
        retry(self.speed(), &doing, RETRYABLE_ON_BUCKET_SETTINGS, || {
            let asked = client.put_bucket_ownership_controls().bucket(at.name);
            asked
                .expected_bucket_owner(self.expected_bucket_owner())
                .ownership_controls(controls.clone())
                .send()
        })
        .await?;
        self.wait_until_visible(&doing, Some(to.to_owned()), || {
            self.read_bucket_ownership(at.name, at.region)
        })
        .await
    }

    /// Sets the default encryption, and keeps blocked what is blocked.
    ///
    /// # Errors
    /// As every request.
    pub async fn put_bucket_encryption(
        &self,
        at: BucketRef<'_>,
        to: &Encryption,
        blocked: &[String],
    ) -> Result<(), CloudError> {
        let doing = format!("set the encryption of bucket {}", at.name);
        let config = convert::encryption_to_sdk(to, blocked)
            .map_err(|why| CloudError::new_aws(&doing, ErrorKind::Rejected, why))?;
        let client = self.account.s3(at.region);
        retry(self.speed(), &doing, RETRYABLE_ON_BUCKET_SETTINGS, || {
            let asked = client
                .put_bucket_encryption()
                .bucket(at.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            asked
                .server_side_encryption_configuration(config.clone())
                .send()
        })
        .await?;
        let wanted = Some(to.clone());
        self.wait_until_visible(&doing, wanted, async || {
            Ok(self.read_bucket_encryption(at.name, at.region).await?.0)
        })
        .await
    }

    /// Turns versioning on, or suspends it; it cannot be taken back to "never".
    ///
    /// # Errors
    /// As every request.
    pub async fn put_bucket_versioning(
        &self,
        at: BucketRef<'_>,
        on: bool,
    ) -> Result<(), CloudError> {
        let doing = format!("set the versioning of bucket {}", at.name);
        let status = if on {
            sdk::BucketVersioningStatus::Enabled
        } else {
            sdk::BucketVersioningStatus::Suspended
        };
        let config = sdk::VersioningConfiguration::builder()
            .status(status.clone())
            .build();
        let client = self.account.s3(at.region);
        retry(self.speed(), &doing, RETRYABLE_ON_BUCKET_SETTINGS, || {
            let asked = client
                .put_bucket_versioning()
                .bucket(at.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            asked.versioning_configuration(config.clone()).send()
        })
        .await?;
        let wanted = Some(status.as_str().to_owned());
        self.wait_until_visible(&doing, wanted, || {
            self.read_bucket_versioning(at.name, at.region)
        })
        .await
    }

    /// Sets all lifecycle rules; none takes the configuration away.
    ///
    /// # Errors
    /// As every request.
    pub async fn put_lifecycle_rules(
        &self,
        at: BucketRef<'_>,
        to: &[LifecycleRule],
    ) -> Result<(), CloudError> {
        let doing = format!("set the lifecycle of bucket {}", at.name);
        let unfit = |why: String| CloudError::new_aws(&doing, ErrorKind::Rejected, why);
        let client = self.account.s3(at.region);
        if to.is_empty() {
            retry(self.speed(), &doing, RETRYABLE_ON_EXISTING_BUCKET, || {
                client
                    .delete_bucket_lifecycle()
                    .bucket(at.name)
                    .expected_bucket_owner(self.expected_bucket_owner())
                    .send()
            })
            .await?;
        } else {
            let rules: Vec<_> = to
                .iter()
                .map(convert::lifecycle_rule_to_sdk)
                .collect::<Result<_, _>>()
                .map_err(unfit)?;
            let config = sdk::BucketLifecycleConfiguration::builder()
                .set_rules(Some(rules))
                .build();
            let config = config.map_err(|error| unfit(error.to_string()))?;
            // A write that does not say it sets it to S3's default, and small objects no longer move.
            let least = self
                .read_transition_minimum_size(at.name, at.region)
                .await?;
            retry(self.speed(), &doing, RETRYABLE_ON_BUCKET_SETTINGS, || {
                let asked = client.put_bucket_lifecycle_configuration().bucket(at.name);
                let asked = asked.set_transition_default_minimum_object_size(least.clone());
                asked
                    .expected_bucket_owner(self.expected_bucket_owner())
                    .lifecycle_configuration(config.clone())
                    .send()
            })
            .await?;
        }
        let sorted = |mut rules: Vec<LifecycleRule>| {
            rules.sort_by(|a, b| a.id.cmp(&b.id));
            rules
        };
        self.wait_until_visible(&doing, sorted(to.to_vec()), async || {
            Ok(sorted(self.read_lifecycle_rules(at.name, at.region).await?))
        })
        .await
    }

    /// Sets the policy, or takes it away. `is_open` says that nothing forbids public ones here, `same` whether what S3 returns means what was written: it may be written
    /// otherwise.
    ///
    /// # Errors
    /// As every request; a public policy is refused while the public access block forbids it.
    pub async fn put_bucket_policy(
        &self,
        at: BucketRef<'_>,
        to: Option<&str>,
        is_open: bool,
        same: impl Fn(&str) -> bool,
    ) -> Result<(), CloudError> {
        let doing = format!("set the policy of bucket {}", at.name);
        let client = self.account.s3(at.region);
        let not_yet = if is_open {
            RETRYABLE_ON_PUBLIC_BUCKET_POLICY
        } else {
            RETRYABLE_ON_BUCKET_POLICY
        };
        match to {
            None => {
                retry(self.speed(), &doing, RETRYABLE_ON_EXISTING_BUCKET, || {
                    client
                        .delete_bucket_policy()
                        .bucket(at.name)
                        .expected_bucket_owner(self.expected_bucket_owner())
                        .send()
                })
                .await?;
            }
            Some(text) => {
                retry(self.speed(), &doing, not_yet, || {
                    let asked = client.put_bucket_policy().bucket(at.name);
                    asked
                        .expected_bucket_owner(self.expected_bucket_owner())
                        .policy(text)
                        .send()
                })
                .await?;
            }
        }
        self.wait_until_visible(&doing, true, async || {
            let there = self.read_bucket_policy(at.name, at.region).await?;
            Ok(there.as_deref().map_or(to.is_none(), &same))
        })
        .await
    }

    /// Removes what an object of our own has left behind: the versions before the current one, and all marks of removals.
    /// The object as it is now stays. Nothing else is ever removed from a bucket.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_old_versions(
        &self,
        at: BucketRef<'_>,
        own: &str,
    ) -> Result<(), CloudError> {
        let doing = format!("remove old versions of {own} from bucket {}", at.name);
        let client = self.account.s3(at.region);
        loop {
            let asked = client.list_object_versions().bucket(at.name).prefix(own);
            let page = asked
                .expected_bucket_owner(self.expected_bucket_owner())
                .send()
                .await;
            let page = page.map_err(|error| to_cloud_error(&doing, &error))?;
            let versions = page.versions.unwrap_or_default().into_iter();
            let old = versions
                .filter(|one| !one.is_latest.unwrap_or(true))
                .map(|one| (one.key, one.version_id));
            let marks = page
                .delete_markers
                .unwrap_or_default()
                .into_iter()
                .map(|one| (one.key, one.version_id));
            // A prefix is also the beginning of other keys.
            let ours = old
                .chain(marks)
                .filter(|(key, _)| key.as_deref() == Some(own));
            let unfit = |error: aws_sdk_s3::error::BuildError| {
                CloudError::new_aws(&doing, ErrorKind::Rejected, error.to_string())
            };
            let one = |(key, version)| {
                sdk::ObjectIdentifier::builder()
                    .set_key(key)
                    .set_version_id(version)
                    .build()
                    .map_err(unfit)
            };
            let ours: Vec<_> = ours.map(one).collect::<Result<_, _>>()?;
            if ours.is_empty() {
                return Ok(());
            }
            let all = sdk::Delete::builder()
                .set_objects(Some(ours))
                .quiet(true)
                .build()
                .map_err(unfit)?;
            let asked = client.delete_objects().bucket(at.name).delete(all);
            let gone = asked
                .expected_bucket_owner(self.expected_bucket_owner())
                .send()
                .await;
            let gone = gone.map_err(|error| to_cloud_error(&doing, &error))?;
            if let Some(wrong) = gone.errors.unwrap_or_default().first() {
                let said = |text: &Option<String>| text.clone().unwrap_or_default();
                let what = format!("{}: {}", said(&wrong.code), said(&wrong.message));
                let denied = wrong.code.as_deref() == Some("AccessDenied");
                let trouble = if denied {
                    ErrorKind::PermissionDenied
                } else {
                    ErrorKind::Ambiguous
                };
                return Err(CloudError::new_aws(&doing, trouble, what));
            }
        }
    }

    /// Removes a bucket that holds nothing; it is no error when it is gone already.
    ///
    /// # Errors
    /// As every request; one that holds something is a conflict.
    pub async fn delete_bucket(&self, at: BucketRef<'_>) -> Result<(), CloudError> {
        let doing = format!("remove bucket {}", at.name);
        let client = self.account.s3(at.region);
        let gone = retry(self.speed(), &doing, RETRYABLE_ON_EXISTING_BUCKET, || {
            client
                .delete_bucket()
                .bucket(at.name)
                .expected_bucket_owner(self.expected_bucket_owner())
                .send()
        });
        match gone.await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
