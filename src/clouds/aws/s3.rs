//! Write operations on buckets. S3 refuses concurrent changes of one bucket with
//! `OperationAborted`, so the caller makes one change at a time. Settings spread with a delay, so
//! every write returns only when reading shows it.
//!
//! Sources: the S3 User Guide, and what Terraform's AWS provider waits for.

use std::collections::BTreeMap;

use aws_sdk_s3::{config::http::HttpResponse, error::SdkError, types as sdk};

use super::{
    AwsWriter, convert,
    retry::{
        self, PropagationBackoff, RETRYABLE_ON_BUCKET_POLICY, RETRYABLE_ON_BUCKET_SETTINGS,
        RETRYABLE_ON_EXISTING_BUCKET, retry, to_cloud_error,
    },
    types::{BucketDescription, BucketLookup},
};
use crate::{
    clouds::{CloudError, ErrorKind},
    model::s3::{Encryption, LifecycleRule, PublicAccessBlock},
};

/// The name and region of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct BucketRef<'a> {
    /// The name, unique in all of AWS.
    pub name: &'a str,
    /// The region, such as `eu-west-1`.
    pub region: &'a str,
}

impl AwsWriter {
    pub(super) fn speed(&self) -> f64 {
        self.settings().speed
    }

    /// Writes settings of a bucket, and retries while S3 cannot take them yet.
    async fn write_settings<
        T,
        E: retry::SdkServiceError,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    >(
        &self,
        operation: &str,
        call: impl Fn() -> F,
    ) -> Result<(), CloudError> {
        retry(self.speed(), operation, RETRYABLE_ON_BUCKET_SETTINGS, call)
            .await
            .map(drop)
    }

    /// Waits until reading returns what was written, see [`retry::wait_until`].
    async fn wait_until_visible<T: PartialEq, F: Future<Output = Result<T, CloudError>>>(
        &self,
        operation: &str,
        expected: T,
        read: impl Fn() -> F,
    ) -> Result<(), CloudError> {
        let (read, expected) = (&read, &expected);
        let is_visible = || async move { Ok::<_, CloudError>(read().await? == *expected) };
        retry::wait_until(self.speed(), operation, is_visible).await
    }

    /// Creates a bucket with its tags and without ACLs. It is one request, so the bucket never
    /// exists without our tags. A bucket that this account owns already is left alone and is not an
    /// error. Returns whether the bucket was created; in us-east-1, S3 does not tell and the result
    /// is always true.
    ///
    /// # Errors
    /// When a request fails, or the name is taken by another account.
    pub async fn create_bucket(
        &self,
        bucket: BucketRef<'_>,
        ownership: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<bool, CloudError> {
        let operation = format!("make bucket {} in {}", bucket.name, bucket.region);
        let invalid = |why: String| CloudError::new_aws(&operation, ErrorKind::Rejected, why);
        // us-east-1 is the default location, and S3 rejects it as an explicit one.
        let location = (bucket.region != "us-east-1")
            .then(|| sdk::BucketLocationConstraint::from(bucket.region));
        let config = sdk::CreateBucketConfiguration::builder()
            .set_location_constraint(location)
            .set_tags(Some(convert::tags_to_sdk(tags).map_err(invalid)?))
            .build();
        let client = self.account.s3(bucket.region);
        let result = retry(
            self.speed(),
            &operation,
            RETRYABLE_ON_EXISTING_BUCKET,
            || {
                let ownership = sdk::ObjectOwnership::from(ownership);
                let request = client
                    .create_bucket()
                    .bucket(bucket.name)
                    .object_ownership(ownership);
                request.create_bucket_configuration(config.clone()).send()
            },
        );
        let is_new = match result.await {
            Ok(_) => true,
            Err(error) if error.message.contains("BucketAlreadyOwnedByYou") => false,
            Err(error) => return Err(error),
        };
        self.wait_until_visible(&operation, true, || async {
            let request = client
                .head_bucket()
                .bucket(bucket.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            match request.send().await {
                Ok(_) => Ok(true),
                Err(error) if retry::http_status(&error) == Some(404) => Ok(false),
                Err(error) => Err(to_cloud_error(&operation, &error)),
            }
        })
        .await?;
        Ok(is_new)
    }

    /// Reads a bucket that was just created, as soon as every server knows it.
    ///
    /// # Errors
    /// When a request fails, or the bucket is not visible within two minutes.
    pub async fn read_new_bucket(
        &self,
        bucket: BucketRef<'_>,
    ) -> Result<BucketDescription, CloudError> {
        let mut backoff = PropagationBackoff::new(self.speed());
        loop {
            match self.read_bucket(bucket.name, bucket.region).await {
                Ok(BucketLookup::Found(bucket)) => return Ok(*bucket),
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
            if !backoff.wait().await {
                let operation = format!("make bucket {}", bucket.name);
                return Err(CloudError::new_aws(
                    operation,
                    ErrorKind::Ambiguous,
                    "it was made, and does not show",
                ));
            }
        }
    }

    /// Replaces all tags of a bucket. AWS's own tags (`aws:…`) must be among them as they were read:
    /// S3 refuses a request that leaves one out or changes it, with `InvalidTag` ("System tags cannot
    /// be removed by requester").
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_bucket_tags(
        &self,
        bucket: BucketRef<'_>,
        to: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        let operation = format!("set the tags of bucket {}", bucket.name);
        let invalid = |why: String| CloudError::new_aws(&operation, ErrorKind::Rejected, why);
        let list = convert::tags_to_sdk(to).map_err(invalid)?;
        let tagging = sdk::Tagging::builder().set_tag_set(Some(list)).build();
        let tagging = tagging.map_err(|error| invalid(error.to_string()))?;
        let client = self.account.s3(bucket.region);
        self.write_settings(&operation, || {
            let request = client
                .put_bucket_tagging()
                .bucket(bucket.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            request.tagging(tagging.clone()).send()
        })
        .await?;
        // A service may set tags of its own at any time, so they do not count in the comparison.
        let without_aws_tags = |tags: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            tags.iter()
                .filter(|(key, _)| !key.starts_with("aws:"))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        self.wait_until_visible(&operation, without_aws_tags(to), async || {
            Ok(without_aws_tags(
                &self.read_bucket_tags(bucket.name, bucket.region).await?,
            ))
        })
        .await
    }

    /// Sets the public access block of a bucket.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_public_access_block(
        &self,
        bucket: BucketRef<'_>,
        to: PublicAccessBlock,
    ) -> Result<(), CloudError> {
        let operation = format!("set the public access block of bucket {}", bucket.name);
        let client = self.account.s3(bucket.region);
        self.write_settings(&operation, || {
            let request = client
                .put_public_access_block()
                .bucket(bucket.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            request
                .public_access_block_configuration(convert::public_access_block_to_sdk(&to))
                .send()
        })
        .await?;
        self.wait_until_visible(&operation, Some(to), || {
            self.read_public_access_block(bucket.name, bucket.region)
        })
        .await
    }

    /// Sets the object ownership of a bucket.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_ownership_controls(
        &self,
        bucket: BucketRef<'_>,
        to: &str,
    ) -> Result<(), CloudError> {
        let operation = format!("set the ownership of bucket {}", bucket.name);
        let invalid = |error: aws_sdk_s3::error::BuildError| {
            CloudError::new_aws(&operation, ErrorKind::Rejected, error.to_string())
        };
        let rule = sdk::OwnershipControlsRule::builder();
        let rule = rule
            .object_ownership(sdk::ObjectOwnership::from(to))
            .build()
            .map_err(invalid)?;
        let controls = sdk::OwnershipControls::builder()
            .rules(rule)
            .build()
            .map_err(invalid)?;
        let client = self.account.s3(bucket.region);
        self.write_settings(&operation, || {
            let request = client.put_bucket_ownership_controls().bucket(bucket.name);
            request
                .expected_bucket_owner(self.expected_bucket_owner())
                .ownership_controls(controls.clone())
                .send()
        })
        .await?;
        self.wait_until_visible(&operation, Some(to.to_owned()), || {
            self.read_bucket_ownership(bucket.name, bucket.region)
        })
        .await
    }

    /// Sets the default encryption, and keeps the encryption types in `blocked` blocked.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_bucket_encryption(
        &self,
        bucket: BucketRef<'_>,
        to: &Encryption,
        blocked: &[String],
    ) -> Result<(), CloudError> {
        let operation = format!("set the encryption of bucket {}", bucket.name);
        let config = convert::encryption_to_sdk(to, blocked)
            .map_err(|why| CloudError::new_aws(&operation, ErrorKind::Rejected, why))?;
        let client = self.account.s3(bucket.region);
        self.write_settings(&operation, || {
            let request = client
                .put_bucket_encryption()
                .bucket(bucket.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            request
                .server_side_encryption_configuration(config.clone())
                .send()
        })
        .await?;
        let expected = Some(to.clone());
        self.wait_until_visible(&operation, expected, async || {
            Ok(self
                .read_bucket_encryption(bucket.name, bucket.region)
                .await?
                .0)
        })
        .await
    }

    /// Enables or suspends versioning; a bucket cannot return to "never enabled".
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_bucket_versioning(
        &self,
        bucket: BucketRef<'_>,
        on: bool,
    ) -> Result<(), CloudError> {
        let operation = format!("set the versioning of bucket {}", bucket.name);
        let status = if on {
            sdk::BucketVersioningStatus::Enabled
        } else {
            sdk::BucketVersioningStatus::Suspended
        };
        let config = sdk::VersioningConfiguration::builder()
            .status(status.clone())
            .build();
        let client = self.account.s3(bucket.region);
        self.write_settings(&operation, || {
            let request = client
                .put_bucket_versioning()
                .bucket(bucket.name)
                .expected_bucket_owner(self.expected_bucket_owner());
            request.versioning_configuration(config.clone()).send()
        })
        .await?;
        let expected = Some(status.as_str().to_owned());
        self.wait_until_visible(&operation, expected, || {
            self.read_bucket_versioning(bucket.name, bucket.region)
        })
        .await
    }

    /// Replaces all lifecycle rules. An empty list deletes the configuration.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn put_lifecycle_rules(
        &self,
        bucket: BucketRef<'_>,
        to: &[LifecycleRule],
    ) -> Result<(), CloudError> {
        let operation = format!("set the lifecycle of bucket {}", bucket.name);
        let invalid = |why: String| CloudError::new_aws(&operation, ErrorKind::Rejected, why);
        let client = self.account.s3(bucket.region);
        if to.is_empty() {
            retry(
                self.speed(),
                &operation,
                RETRYABLE_ON_EXISTING_BUCKET,
                || {
                    client
                        .delete_bucket_lifecycle()
                        .bucket(bucket.name)
                        .expected_bucket_owner(self.expected_bucket_owner())
                        .send()
                },
            )
            .await?;
        } else {
            let rules: Vec<_> = to
                .iter()
                .map(convert::lifecycle_rule_to_sdk)
                .collect::<Result<_, _>>()
                .map_err(invalid)?;
            let config = sdk::BucketLifecycleConfiguration::builder()
                .set_rules(Some(rules))
                .build();
            let config = config.map_err(|error| invalid(error.to_string()))?;
            // The request would reset the minimum transition size to S3's default if it left it
            // out, and small objects would no longer move.
            let minimum_size = self
                .read_transition_minimum_size(bucket.name, bucket.region)
                .await?;
            self.write_settings(&operation, || {
                let request = client
                    .put_bucket_lifecycle_configuration()
                    .bucket(bucket.name);
                let request =
                    request.set_transition_default_minimum_object_size(minimum_size.clone());
                request
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
        self.wait_until_visible(&operation, sorted(to.to_vec()), async || {
            Ok(sorted(
                self.read_lifecycle_rules(bucket.name, bucket.region)
                    .await?,
            ))
        })
        .await
    }

    /// Sets the bucket policy, or deletes it if `to` is `None`. `is_open` says that the public
    /// access block allows public policies. `is_equivalent` compares what S3 returns with what was
    /// written, since S3 may return it in another form.
    ///
    /// # Errors
    /// When a request fails. S3 rejects a public policy while the public access block forbids it.
    pub async fn put_bucket_policy(
        &self,
        bucket: BucketRef<'_>,
        to: Option<&str>,
        is_open: bool,
        is_equivalent: impl Fn(&str) -> bool,
    ) -> Result<(), CloudError> {
        let operation = format!("set the policy of bucket {}", bucket.name);
        let client = self.account.s3(bucket.region);
        match to {
            None => {
                retry(
                    self.speed(),
                    &operation,
                    RETRYABLE_ON_EXISTING_BUCKET,
                    || {
                        client
                            .delete_bucket_policy()
                            .bucket(bucket.name)
                            .expected_bucket_owner(self.expected_bucket_owner())
                            .send()
                    },
                )
                .await?;
            }
            Some(text) => {
                let mut backoff =
                    PropagationBackoff::with_timeout(self.speed(), retry::LIFTED_BLOCK_TIMEOUT);
                let put = || {
                    retry(self.speed(), &operation, RETRYABLE_ON_BUCKET_POLICY, || {
                        let request = client.put_bucket_policy().bucket(bucket.name);
                        request
                            .expected_bucket_owner(self.expected_bucket_owner())
                            .policy(text)
                            .send()
                    })
                };
                while let Err(error) = put().await {
                    // A block that was just lifted may still be in force on some servers.
                    let may_pass = is_open && error.message.contains("BlockPublicPolicy");
                    if !may_pass || !backoff.wait().await {
                        return Err(error);
                    }
                }
            }
        }
        self.wait_until_visible(&operation, true, async || {
            let live_policy = self.read_bucket_policy(bucket.name, bucket.region).await?;
            Ok(live_policy.as_deref().map_or(to.is_none(), &is_equivalent))
        })
        .await
    }
}
