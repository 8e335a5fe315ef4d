//! One request to S3 after its signature was checked: what it names, who asks, and the world that it changes.

use axum::body::Bytes;

use super::{Bucket, Config};
use crate::aws::answer::Problem;
use crate::aws::policy::{self, Ask, Context, Guard};
use crate::aws::request::Request;
use crate::aws::who::Who;
use crate::aws::xml::{self, Node};
use crate::world::World;

/// A request in progress.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) request: &'a Request,
    pub(crate) who: &'a Who,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// What the body says, without its frame, and what followed it.
    pub(crate) content: Bytes,
    pub(crate) trailer: Vec<(String, String)>,
    /// The region that the request was signed for, which a single address takes as the one that was asked.
    pub(crate) region: String,
    pub(crate) context: Context,
    /// Whether a fault makes the store ignore conditional headers.
    pub(crate) unconditional: bool,
}

/// `404 NoSuchBucket`.
pub(crate) fn no_bucket(name: &str) -> Problem {
    Problem::new(404, "NoSuchBucket", "The specified bucket does not exist")
        .field("BucketName", name)
}

impl Call<'_> {
    /// The bucket.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn look(&self) -> Result<&Bucket, Problem> {
        self.world
            .aws
            .buckets
            .get(&self.bucket)
            .ok_or_else(|| no_bucket(&self.bucket))
    }

    /// The bucket, to change it; it will be written before the answer goes out.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn change(&mut self) -> Result<&mut Bucket, Problem> {
        let bucket = self
            .world
            .aws
            .buckets
            .get_mut(&self.bucket)
            .ok_or_else(|| no_bucket(&self.bucket))?;
        self.world.aws.dirty.insert(self.bucket.clone());
        Ok(bucket)
    }

    /// The bucket's configuration as a read shows it, which may lag behind.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn config(&self) -> Result<&Config, Problem> {
        Ok(self
            .look()?
            .config_at(self.world.now - self.world.aws.stale_ms))
    }

    /// Changes the bucket's configuration.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), Problem> {
        let now = self.world.now;
        self.change()?.configure(now, change);
        Ok(())
    }

    /// The body as a document with this root.
    ///
    /// # Errors
    /// `400 MalformedXML`.
    pub(crate) fn document(&self, root: &str) -> Result<Node, Problem> {
        xml::parse(&self.content)
            .filter(|node| node.name == root)
            .ok_or_else(Problem::malformed_xml)
    }

    /// What the request says under a name of a header, before or after its body.
    pub(crate) fn said(&self, name: &str) -> Option<&str> {
        let trailed = || {
            self.trailer
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        self.request.header(name).or_else(trailed)
    }

    /// Whether the request says what its body adds up to.
    pub(crate) fn has_digest(&self) -> bool {
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
    pub(crate) fn may(&self, action: &str, resource: &str) -> Result<(), Problem> {
        let name = resource.strip_prefix("arn:aws:s3:::").unwrap_or_default();
        self.decide(
            action,
            resource,
            &self.guard(name.split('/').next().unwrap_or_default()),
        )
    }

    /// The same for a bucket that is to be made: whoever has the name already has no say in it.
    ///
    /// # Errors
    /// `403 AccessDenied`.
    pub(crate) fn may_make(&self, action: &str, resource: &str) -> Result<(), Problem> {
        self.decide(action, resource, &self.unguarded())
    }

    fn decide(&self, action: &str, resource: &str, guard: &Guard) -> Result<(), Problem> {
        policy::decide(
            self.world,
            &Ask {
                who: self.who,
                action,
                resource,
                context: &self.context,
            },
            guard,
        )
    }

    fn unguarded(&self) -> Guard {
        Guard {
            account: self.who.account().to_owned(),
            ..Guard::default()
        }
    }

    fn guard(&self, bucket: &str) -> Guard {
        let Some(bucket) = self.world.aws.buckets.get(bucket) else {
            return self.unguarded();
        };
        let text = bucket.config.policy.as_deref();
        let policy = text.and_then(|text| policy::bucket(text, &bucket.name, |_| true).ok());
        let restricts = bucket
            .config
            .public_access
            .is_some_and(|block| block.restrict_public_buckets);
        let restricted = restricts && policy.as_ref().is_some_and(policy::is_public);
        Guard {
            account: bucket.account.clone(),
            policy,
            restricted,
        }
    }
}
