//! Read operations. What AWS reports as absent with an error code is a value here. Every other
//! failure is an error, because an incomplete read would look as if something had been deleted.

use std::collections::BTreeMap;

use aws_sdk_s3::{
    config::http::HttpResponse, error::SdkError,
    operation::get_bucket_lifecycle_configuration::GetBucketLifecycleConfigurationOutput,
    types::TransitionDefaultMinimumObjectSize,
};

use super::{
    AwsSettings,
    clients::AwsClients,
    convert,
    retry::{PropagationBackoff, SdkServiceError, error_code, http_status, to_cloud_error},
    types::{BucketDescription, BucketLookup, CallerIdentity},
};
use crate::{
    clouds::{
        CloudError, CloudProvider, ErrorKind, pages::PageLimit, request_counter::RequestCounter,
    },
    model::s3::{Encryption, LifecycleRule, PublicAccessBlock},
};

/// An AWS client that cannot write.
#[derive(Clone, Debug)]
pub struct AwsReader {
    pub(super) account: AwsClients,
}

/// The response, or `None` if AWS answered with one of these error codes, which mean that the thing
/// does not exist.
pub(super) fn absent_as_none<T, E: SdkServiceError>(
    operation: &str,
    response: Result<T, SdkError<E, HttpResponse>>,
    codes: &[&str],
) -> Result<Option<T>, CloudError> {
    match response {
        Ok(value) => Ok(Some(value)),
        Err(error) if error_code(&error).is_some_and(|code| codes.contains(&code)) => Ok(None),
        Err(error) => Err(to_cloud_error(operation, &error)),
    }
}

impl AwsReader {
    /// A client with these settings. It shares the request counter of `fly`.
    ///
    /// # Errors
    /// When TLS cannot be set up or an endpoint is not allowed. Wrong credentials show only in the
    /// first request.
    pub async fn new(
        settings: AwsSettings,
        fly: &crate::clouds::fly::FlyReader,
    ) -> Result<Self, CloudError> {
        Self::with_request_counter(settings, fly.request_counter()).await
    }

    /// A client with these settings and a request counter of its own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn connect(settings: AwsSettings) -> Result<Self, CloudError> {
        Self::with_request_counter(settings, &RequestCounter::default()).await
    }

    async fn with_request_counter(
        settings: AwsSettings,
        request_counter: &RequestCounter,
    ) -> Result<Self, CloudError> {
        Ok(Self {
            account: AwsClients::new(settings, request_counter).await?,
        })
    }

    /// The settings of the clients.
    #[must_use]
    pub fn settings(&self) -> &AwsSettings {
        self.account.settings()
    }

    /// How many requests this run has sent, to any cloud.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.account.interceptor().request_count()
    }

    /// The S3 client of a region, for the environment lock.
    pub(crate) fn s3_client(&self, region: &str) -> aws_sdk_s3::Client {
        self.account.s3(region)
    }

    /// The newest `Date` header that AWS sent in a response to a request sent at or after `sent`.
    pub(crate) fn server_date_since(&self, sent: std::time::Instant) -> Option<jiff::Timestamp> {
        self.account.interceptor().server_date_since(sent)
    }

    /// The account that is expected to own every bucket, twelve digits.
    pub(crate) fn expected_bucket_owner(&self) -> &str {
        &self.account.settings().account
    }

    /// Whom the credentials belong to (`sts:GetCallerIdentity`, which needs no permission).
    ///
    /// # Errors
    /// When a request fails.
    pub async fn caller_identity(&self) -> Result<CallerIdentity, CloudError> {
        let operation = "look up whose the AWS credentials are";
        let response = self.account.sts().get_caller_identity().send().await;
        let response = response.map_err(|error| to_cloud_error(operation, &error))?;
        let (account, arn) = (
            response.account.unwrap_or_default(),
            response.arn.unwrap_or_default(),
        );
        Ok(CallerIdentity { account, arn })
    }

    /// Repeats a read while it fails with "not found". For a bucket that is just being created or
    /// deleted, one request finds it and the next does not, so a read that consists of several
    /// requests can contradict itself.
    ///
    /// # Errors
    /// When a request fails, or is still "not found" after two minutes.
    pub async fn retry_while_not_found<T, F: Future<Output = Result<T, CloudError>>>(
        &self,
        read: impl Fn() -> F,
    ) -> Result<T, CloudError> {
        let mut backoff = PropagationBackoff::new(self.settings().speed);
        loop {
            match read().await {
                Err(error) if error.is_not_found() && backoff.wait().await => {}
                result => return result,
            }
        }
    }

    /// A bucket with all its settings. Sends all requests at once to the expected region; if the
    /// bucket turns out to be in another region, the settings are read again there.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn read_bucket(&self, name: &str, region: &str) -> Result<BucketLookup, CloudError> {
        // The common case is one round trip: the settings are requested before the region is
        // confirmed, and their result is dropped if the bucket is elsewhere.
        let (region, settings) = tokio::join!(
            self.locate_bucket(name, region),
            self.read_bucket_settings(name, region)
        );
        match region? {
            BucketLocation::NotFound => Ok(BucketLookup::NotFound),
            BucketLocation::AccessDenied => Ok(BucketLookup::AccessDenied),
            BucketLocation::SameRegion => {
                settings.map(|bucket| BucketLookup::Found(Box::new(bucket)))
            }
            BucketLocation::OtherRegion(other) => self
                .read_bucket_settings(name, &other)
                .await
                .map(|bucket| BucketLookup::Found(Box::new(bucket))),
        }
    }

    async fn locate_bucket(&self, name: &str, region: &str) -> Result<BucketLocation, CloudError> {
        let operation = format!("look up bucket {name}");
        let request = self
            .account
            .s3(region)
            .head_bucket()
            .bucket(name)
            .expected_bucket_owner(self.expected_bucket_owner());
        match request.send().await {
            Ok(response) => Ok(match response.bucket_region {
                Some(other) if other != region && !other.is_empty() => {
                    BucketLocation::OtherRegion(other)
                }
                _ => BucketLocation::SameRegion,
            }),
            Err(error) => {
                // S3 names the right region in the redirect (301), and some regions answer 400.
                let actual_region = error
                    .raw_response()
                    .and_then(|response| response.headers().get("x-amz-bucket-region"));
                match (http_status(&error), actual_region) {
                    (Some(404), _) => Ok(BucketLocation::NotFound),
                    (Some(301 | 400), Some(other)) if other != region => {
                        Ok(BucketLocation::OtherRegion(other.to_owned()))
                    }
                    (Some(403), _) => Ok(BucketLocation::AccessDenied),
                    _ => Err(to_cloud_error(&operation, &error)),
                }
            }
        }
    }

    async fn read_bucket_settings(
        &self,
        name: &str,
        region: &str,
    ) -> Result<BucketDescription, CloudError> {
        let (encryption, public_access, ownership, versioning, lifecycle, policy, tags, sharing) =
            tokio::try_join!(
                self.read_bucket_encryption(name, region),
                self.read_public_access_block(name, region),
                self.read_bucket_ownership(name, region),
                self.read_bucket_versioning(name, region),
                self.read_lifecycle_rules(name, region),
                self.read_bucket_policy(name, region),
                self.read_bucket_tags(name, region),
                self.read_bucket_sharing(name, region),
            )?;
        let (encryption, blocked_encryption) = encryption;
        Ok(BucketDescription {
            region: region.to_owned(),
            encryption,
            blocked_encryption,
            public_access,
            ownership,
            versioning,
            lifecycle,
            policy,
            tags,
            sharing,
        })
    }

    /// The default encryption of a bucket, and the encryption types that are blocked.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn read_bucket_encryption(
        &self,
        name: &str,
        region: &str,
    ) -> Result<(Option<Encryption>, Vec<String>), CloudError> {
        let request = self.account.s3(region).get_bucket_encryption().bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let codes = ["ServerSideEncryptionConfigurationNotFoundError"];
        let response = absent_as_none(
            &format!("read the encryption of bucket {name}"),
            response,
            &codes,
        )?;
        let config = response.and_then(|response| response.server_side_encryption_configuration);
        Ok(config.map(convert::encryption_from_sdk).unwrap_or_default())
    }

    /// The public access block of a bucket.
    pub(super) async fn read_public_access_block(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<PublicAccessBlock>, CloudError> {
        let request = self
            .account
            .s3(region)
            .get_public_access_block()
            .bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let codes = ["NoSuchPublicAccessBlockConfiguration"];
        let response = absent_as_none(
            &format!("read the public access block of bucket {name}"),
            response,
            &codes,
        )?;
        let config = response.and_then(|response| response.public_access_block_configuration);
        Ok(config.as_ref().map(convert::public_access_block_from_sdk))
    }

    /// The object ownership setting of a bucket.
    pub(super) async fn read_bucket_ownership(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let request = self
            .account
            .s3(region)
            .get_bucket_ownership_controls()
            .bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let operation = format!("read the ownership of bucket {name}");
        let response = absent_as_none(&operation, response, &["OwnershipControlsNotFoundError"])?;
        let rules = response
            .and_then(|response| response.ownership_controls)
            .map(|controls| controls.rules);
        let rule = rules.unwrap_or_default().into_iter().next();
        Ok(rule.map(|rule| rule.object_ownership.as_str().to_owned()))
    }

    /// The versioning state of a bucket: `Enabled`, `Suspended`, or `None` if it was never enabled.
    pub(super) async fn read_bucket_versioning(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let request = self.account.s3(region).get_bucket_versioning().bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let response = response.map_err(|error| {
            to_cloud_error(&format!("read the versioning of bucket {name}"), &error)
        })?;
        Ok(response.status.map(|status| status.as_str().to_owned()))
    }

    /// The lifecycle rules of a bucket.
    pub(super) async fn read_lifecycle_rules(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Vec<LifecycleRule>, CloudError> {
        let rules = self
            .get_lifecycle_configuration(name, region)
            .await?
            .and_then(|response| response.rules);
        Ok(rules
            .unwrap_or_default()
            .into_iter()
            .map(convert::lifecycle_rule_from_sdk)
            .collect())
    }

    /// The minimum size of objects that move to another storage class, if the bucket has lifecycle
    /// rules.
    pub(super) async fn read_transition_minimum_size(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<TransitionDefaultMinimumObjectSize>, CloudError> {
        let response = self.get_lifecycle_configuration(name, region).await?;
        Ok(response.and_then(|response| response.transition_default_minimum_object_size))
    }

    async fn get_lifecycle_configuration(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<GetBucketLifecycleConfigurationOutput>, CloudError> {
        let request = self
            .account
            .s3(region)
            .get_bucket_lifecycle_configuration()
            .bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let operation = format!("read the lifecycle of bucket {name}");
        absent_as_none(&operation, response, &["NoSuchLifecycleConfiguration"])
    }

    /// The bucket policy, as S3 returns it.
    pub(super) async fn read_bucket_policy(
        &self,
        name: &str,
        region: &str,
    ) -> Result<Option<String>, CloudError> {
        let request = self.account.s3(region).get_bucket_policy().bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let operation = format!("read the policy of bucket {name}");
        Ok(
            absent_as_none(&operation, response, &["NoSuchBucketPolicy"])?
                .and_then(|response| response.policy),
        )
    }

    /// The tags of a bucket.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn read_bucket_tags(
        &self,
        name: &str,
        region: &str,
    ) -> Result<BTreeMap<String, String>, CloudError> {
        let request = self.account.s3(region).get_bucket_tagging().bucket(name);
        let response = request
            .expected_bucket_owner(self.expected_bucket_owner())
            .send()
            .await;
        let operation = format!("read the tags of bucket {name}");
        let response = absent_as_none(&operation, response, &["NoSuchTagSet"])?;
        Ok(response
            .map(|response| convert::tags_from_sdk(response.tag_set))
            .unwrap_or_default())
    }

    /// The names and regions of the account's buckets with this name prefix. The region is empty if
    /// the server does not report it.
    ///
    /// # Errors
    /// When a request fails. Missing permission to list is not an error: the result is `None`.
    pub async fn list_buckets(
        &self,
        prefix: &str,
    ) -> Result<Option<Vec<(String, String)>>, CloudError> {
        let client = self.account.s3(&self.account.settings().region);
        let mut pages = client.list_buckets().prefix(prefix).into_paginator().send();
        let mut results = Vec::new();
        let operation = "list the buckets of the account";
        let mut limit = PageLimit::new(CloudProvider::Aws);
        while let Some(page) = pages.next().await {
            limit.begin_page(operation)?;
            let page = match page {
                Err(error) if http_status(&error) == Some(403) => return Ok(None),
                other => other.map_err(|error| to_cloud_error(operation, &error))?,
            };
            let buckets = page.buckets.unwrap_or_default().into_iter();
            let buckets = buckets.map(|bucket| {
                (
                    bucket.name.unwrap_or_default(),
                    bucket.bucket_region.unwrap_or_default(),
                )
            });
            // Some S3-compatible servers ignore the prefix.
            results.extend(buckets.filter(|(name, _)| name.starts_with(prefix)));
        }
        Ok(Some(results))
    }

    /// Checks that the credentials belong to the manifest's account.
    ///
    /// # Errors
    /// When they belong to another account; the message names both.
    pub async fn check_account(&self) -> Result<CallerIdentity, CloudError> {
        let caller = self.caller_identity().await?;
        if caller.account == self.expected_bucket_owner() {
            return Ok(caller);
        }
        let (operation, CallerIdentity { account, arn }) = ("check the AWS account", &caller);
        let response = format!(
            "the manifest says {}, and the credentials are for {account} ({arn}); nothing was changed",
            self.expected_bucket_owner()
        );
        Err(CloudError::new_aws(
            operation,
            ErrorKind::PermissionDenied,
            response,
        ))
    }
}

/// Where a bucket was found.
enum BucketLocation {
    NotFound,
    AccessDenied,
    SameRegion,
    OtherRegion(String),
}
