//! The execution of one authenticated S3 request, which all operations get as their argument.

use axum::body::Bytes;

use super::config::PublicAccessBlockConfiguration;
use super::{BucketConfig, BucketState};
use crate::aws::caller::Caller;
use crate::aws::policy::{self, AuthorizationRequest, RequestContext, ResourcePolicy};
use crate::aws::request::AwsRequest;
use crate::aws::response::AwsError;
use crate::aws::xml::{self, XmlNode};
use crate::world::SimulatedWorld;

/// An authenticated request, and the world that it reads and changes.
#[derive(Debug)]
pub(crate) struct S3Call<'a> {
    pub(crate) world: &'a mut SimulatedWorld,
    pub(crate) request: &'a AwsRequest,
    pub(crate) caller: &'a Caller,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The body without `aws-chunked` framing.
    pub(crate) body: Bytes,
    /// The trailing headers of an `aws-chunked` body.
    pub(crate) trailer: Vec<(String, String)>,
    /// The region that the request was signed for. The sandbox has one endpoint for all regions, so it
    /// stands for the region of the endpoint that was called.
    pub(crate) region: String,
    pub(crate) context: RequestContext,
    /// Whether a fault makes S3 ignore `If-Match` and `If-None-Match` on writes.
    pub(crate) ignore_preconditions: bool,
}

/// `404 NoSuchBucket`.
pub(crate) fn no_such_bucket(name: &str) -> AwsError {
    AwsError::new(404, "NoSuchBucket", "The specified bucket does not exist")
        .with_element("BucketName", name)
}

impl S3Call<'_> {
    /// The bucket that the request names.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn bucket_state(&self) -> Result<&BucketState, AwsError> {
        self.world
            .aws
            .buckets
            .get(&self.bucket)
            .ok_or_else(|| no_such_bucket(&self.bucket))
    }

    /// The bucket that the request names, to change it. It is saved before the response is sent.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn bucket_state_mut(&mut self) -> Result<&mut BucketState, AwsError> {
        let bucket = self
            .world
            .aws
            .buckets
            .get_mut(&self.bucket)
            .ok_or_else(|| no_such_bucket(&self.bucket))?;
        self.world.aws.dirty_buckets.insert(self.bucket.clone());
        Ok(bucket)
    }

    /// The configuration of the bucket as reads show it. A fault can make them lag behind.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn visible_config(&self) -> Result<&BucketConfig, AwsError> {
        Ok(self
            .bucket_state()?
            .config_at(self.world.now_ms - self.world.aws.config_lag_ms))
    }

    /// The block of public access of a whole account. `None` if it was never set.
    pub(crate) fn account_public_access(
        &self,
        account: &str,
    ) -> Option<PublicAccessBlockConfiguration> {
        self.world.aws.global.accounts.get(account)?.public_access
    }

    /// The settings that apply to a bucket: its own and those of its account.
    pub(crate) fn public_access_block(&self, bucket: &str) -> PublicAccessBlockConfiguration {
        let Some(bucket) = self.world.aws.buckets.get(bucket) else {
            return PublicAccessBlockConfiguration::default();
        };
        let own = bucket.config.public_access.unwrap_or_default();
        own.or(self
            .account_public_access(&bucket.account)
            .unwrap_or_default())
    }

    /// Changes the configuration of the bucket.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn update_config(
        &mut self,
        change: impl FnOnce(&mut BucketConfig),
    ) -> Result<(), AwsError> {
        let now = self.world.now_ms;
        self.bucket_state_mut()?.update_config(now, change);
        Ok(())
    }

    /// Reads the content of an object version or a part.
    ///
    /// # Errors
    /// `500 InternalError` if its file cannot be read.
    pub(crate) fn read_content(&self, name: &str) -> Result<Bytes, AwsError> {
        self.world.aws.contents.get(name).map_err(|error| {
            let message = format!("the sandbox could not read the stored content {name}: {error}");
            AwsError::new(500, "InternalError", message)
        })
    }

    /// Parses the body as a document with this root element.
    ///
    /// # Errors
    /// `400 MalformedXML`.
    pub(crate) fn parse_document(&self, root: &str) -> Result<XmlNode, AwsError> {
        xml::parse(&self.body)
            .filter(|node| node.name == root)
            .ok_or_else(AwsError::malformed_xml)
    }

    /// The value of a header, or of a trailing header.
    pub(crate) fn header_or_trailer(&self, name: &str) -> Option<&str> {
        let trailing = || {
            self.trailer
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        self.request.header(name).or_else(trailing)
    }

    /// Whether the request has a digest or checksum of its body.
    pub(crate) fn has_body_digest(&self) -> bool {
        let is_digest = |name: &str| {
            // These headers describe a checksum and do not contain one.
            let suffix = name.strip_prefix("x-amz-checksum-");
            name == "content-md5"
                || suffix.is_some_and(|suffix| !matches!(suffix, "algorithm" | "type" | "mode"))
        };
        self.request
            .headers
            .keys()
            .any(|name| is_digest(name.as_str()))
            || self.trailer.iter().any(|(name, _)| is_digest(name))
    }

    /// The ARN of an object in the bucket that the request names.
    pub(crate) fn object_arn(&self, key: &str) -> String {
        format!("arn:aws:s3:::{}/{key}", self.bucket)
    }

    /// Authorizes an action on a resource in an existing bucket.
    ///
    /// # Errors
    /// `403 AccessDenied`.
    pub(crate) fn authorize(&self, action: &str, resource: &str) -> Result<(), AwsError> {
        let name = resource.strip_prefix("arn:aws:s3:::").unwrap_or_default();
        self.authorize_against(
            action,
            resource,
            &self.bucket_resource_policy(name.split('/').next().unwrap_or_default()),
        )
    }

    /// Authorizes an action on a bucket that does not exist yet. If another account has a bucket of this
    /// name, its policy does not count.
    ///
    /// # Errors
    /// `403 AccessDenied`.
    pub(crate) fn authorize_creation(&self, action: &str, resource: &str) -> Result<(), AwsError> {
        self.authorize_against(action, resource, &self.caller_owned_resource())
    }

    fn authorize_against(
        &self,
        action: &str,
        resource: &str,
        resource_policy: &ResourcePolicy,
    ) -> Result<(), AwsError> {
        policy::authorize(
            self.world,
            &AuthorizationRequest {
                caller: self.caller,
                action,
                resource,
                context: &self.context,
            },
            resource_policy,
        )
    }

    fn caller_owned_resource(&self) -> ResourcePolicy {
        ResourcePolicy {
            owner_account: self.caller.account().to_owned(),
            ..ResourcePolicy::default()
        }
    }

    fn bucket_resource_policy(&self, bucket: &str) -> ResourcePolicy {
        let Some(bucket) = self.world.aws.buckets.get(bucket) else {
            return self.caller_owned_resource();
        };
        let document = bucket.config.policy.as_deref();
        let policy = document.and_then(|document| {
            policy::parse_bucket_policy(document, &bucket.name, |_| true).ok()
        });
        let restricts = self
            .public_access_block(&bucket.name)
            .restrict_public_buckets;
        let restricted = restricts && policy.as_ref().is_some_and(policy::is_public);
        ResourcePolicy {
            owner_account: bucket.account.clone(),
            document: policy,
            restrict_public_buckets: restricted,
        }
    }
}
