//! One request to S3 after its signature was checked: what it names, who asks, and the world that it changes.

use axum::body::Bytes;

use super::{BucketConfig, BucketState};
use crate::aws::caller::Caller;
use crate::aws::policy::{self, AuthorizationRequest, RequestContext, ResourcePolicy};
use crate::aws::request::AwsRequest;
use crate::aws::response::AwsError;
use crate::aws::xml::{self, XmlNode};
use crate::world::SimulatedWorld;

/// A request in progress.
#[derive(Debug)]
pub(crate) struct S3Call<'a> {
    pub(crate) world: &'a mut SimulatedWorld,
    pub(crate) request: &'a AwsRequest,
    pub(crate) caller: &'a Caller,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// What the body says, without its frame, and what followed it.
    pub(crate) body: Bytes,
    pub(crate) trailer: Vec<(String, String)>,
    /// The region that the request was signed for, which a single address takes as the one that was asked.
    pub(crate) region: String,
    pub(crate) context: RequestContext,
    /// Whether a fault makes the store ignore conditional headers.
    pub(crate) ignore_preconditions: bool,
}

/// `404 NoSuchBucket`.
pub(crate) fn no_such_bucket(name: &str) -> AwsError {
    AwsError::new(404, "NoSuchBucket", "The specified bucket does not exist")
        .with_element("BucketName", name)
}

impl S3Call<'_> {
    /// The bucket.
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

    /// The bucket, to change it; it will be written before the answer goes out.
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

    /// The bucket's configuration as a read shows it, which may lag behind.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn visible_config(&self) -> Result<&BucketConfig, AwsError> {
        Ok(self
            .bucket_state()?
            .config_at(self.world.now_ms - self.world.aws.config_lag_ms))
    }

    /// Changes the bucket's configuration.
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

    /// The body as a document with this root.
    ///
    /// # Errors
    /// `400 MalformedXML`.
    pub(crate) fn parse_document(&self, root: &str) -> Result<XmlNode, AwsError> {
        xml::parse(&self.body)
            .filter(|node| node.name == root)
            .ok_or_else(AwsError::malformed_xml)
    }

    /// What the request says under a name of a header, before or after its body.
    pub(crate) fn header_or_trailer(&self, name: &str) -> Option<&str> {
        let trailed = || {
            self.trailer
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        self.request.header(name).or_else(trailed)
    }

    /// Whether the request says what its body adds up to.
    pub(crate) fn has_body_digest(&self) -> bool {
        let sums = |name: &str| {
            // The algorithm and the type are no sums.
            let kind = name.strip_prefix("x-amz-checksum-");
            name == "content-md5"
                || kind.is_some_and(|kind| !matches!(kind, "algorithm" | "type" | "mode"))
        };
        self.request.headers.keys().any(|name| sums(name.as_str()))
            || self.trailer.iter().any(|(name, _)| sums(name))
    }

    /// `arn:aws:s3:::bucket/key`
    pub(crate) fn object_arn(&self, key: &str) -> String {
        format!("arn:aws:s3:::{}/{key}", self.bucket)
    }

    /// Whether the caller may do this to that.
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

    /// The same for a bucket that is to be made: whoever has the name already has no say in it.
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
        guard: &ResourcePolicy,
    ) -> Result<(), AwsError> {
        policy::authorize(
            self.world,
            &AuthorizationRequest {
                caller: self.caller,
                action,
                resource,
                context: &self.context,
            },
            guard,
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
        let text = bucket.config.policy.as_deref();
        let policy =
            text.and_then(|text| policy::parse_bucket_policy(text, &bucket.name, |_| true).ok());
        let restricts = bucket
            .config
            .public_access
            .is_some_and(|block| block.restrict_public_buckets);
        let restricted = restricts && policy.as_ref().is_some_and(policy::is_public);
        ResourcePolicy {
            owner_account: bucket.account.clone(),
            document: policy,
            restrict_public_buckets: restricted,
        }
    }
}
