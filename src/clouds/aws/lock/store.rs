//! The two requests that a lock is made of: reading its object, and writing it under a condition. Everything that the
//! protocol must tell apart is a value; an error is what no protocol can help with.
//!
//! Facts are from the S3 user guide ("Add preconditions to S3 operations with conditional requests"): 412 when the
//! condition does not hold, 409 `ConditionalRequestConflict` when another write is under way, 404 `NoSuchKey` for an
//! `If-Match` on what is not there.

use std::time::{Duration, Instant};

use aws_sdk_s3::{config::http::HttpResponse, error::SdkError, primitives::ByteStream};
use jiff::Timestamp;

use super::Place;
use crate::clouds::{
    CloudError, Trouble,
    aws::{
        Reader,
        again::{Failed, code, failed, status},
    },
};

/// How long a lock's object may be, in bytes; ours have a few hundred.
const LONGEST: i64 = 64 * 1024;
/// How long such an object may take to arrive after its head, in seconds of our own: the SDK's limits end there.
const BODY: Duration = Duration::from_secs(15);

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// When there is none (`If-None-Match: *`).
    IfAbsent,
    /// When it is the one with this `ETag` (`If-Match`).
    IfStill(String),
}

/// An answer, and the server's time in it.
#[derive(Clone, Debug)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) date: Option<Timestamp>,
}

/// What reading found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    There { body: Vec<u8>, etag: String },
    NoObject,
    NoBucket,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It was done.
    Written { etag: String },
    /// The condition does not hold (412), or there is nothing that it could hold for (404).
    Refused,
    /// Another write was under way (409): look, and decide again.
    Busy,
    /// The bucket is gone.
    NoBucket,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// It is gone.
    Gone,
    /// It is another one by now (412).
    Refused,
}

/// Where a lock's object is kept.
pub(super) trait Store: Send + Sync + 'static {
    /// Reads the object. Strongly consistent: it sees every write that was answered.
    fn get(&self) -> impl Future<Output = Result<Answer<Look>, CloudError>> + Send;

    /// Writes the object under a condition. After an error it may have been written all the same.
    fn put(
        &self,
        body: Vec<u8>,
        only: Only,
    ) -> impl Future<Output = Result<Answer<Put>, CloudError>> + Send;

    /// Removes the object while it has this `ETag`. Older versions stay.
    fn remove(&self, etag: &str) -> impl Future<Output = Result<Removed, CloudError>> + Send;
}

/// Whether a request that failed so may be tried again: it was not refused for what it is.
pub(super) fn is_passing(error: &CloudError) -> bool {
    matches!(
        error.trouble,
        Trouble::Ambiguous | Trouble::Throttled | Trouble::Unreachable | Trouble::Unreadable
    )
}

/// An object of S3.
#[derive(Clone, Debug)]
pub(super) struct Object {
    reader: Reader,
    bucket: String,
    region: String,
    key: String,
}

impl Object {
    /// A reader is enough to look; who writes is given a [`crate::clouds::aws::Writer`] to pass on.
    pub(super) fn new(reader: &Reader, place: &Place) -> Self {
        let Place { bucket, region, .. } = place;
        Self {
            reader: reader.clone(),
            bucket: bucket.clone(),
            region: region.clone(),
            key: place.key(),
        }
    }

    fn client(&self) -> aws_sdk_s3::Client {
        self.reader.account.s3(&self.region)
    }

    /// An answer to what was sent at this moment. Another's may have come in between, by a clock of AWS all the same.
    fn answer<T>(&self, sent: Instant, value: T) -> Answer<T> {
        Answer {
            value,
            date: self.reader.account.watch().told_since(sent),
        }
    }
}

impl Store for Object {
    async fn get(&self) -> Result<Answer<Look>, CloudError> {
        let (doing, sent) = (
            format!("read s3://{}/{}", self.bucket, self.key),
            Instant::now(),
        );
        let asked = self
            .client()
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let answer = match asked
            .expected_bucket_owner(self.reader.owner())
            .send()
            .await
        {
            Ok(answer) => self.answer(sent, answer),
            Err(error) => {
                let look = missing(&error).map(|look| self.answer(sent, look));
                return look.ok_or_else(|| unread(&doing, &error));
            }
        };
        let wrong = |trouble, what: String| CloudError::aws(&doing, trouble, what);
        let Answer {
            value: object,
            date,
        } = answer;
        if let Some(length) = object.content_length.filter(|length| *length > LONGEST) {
            return Err(wrong(
                Trouble::Refused,
                format!("it has {length} bytes and is no lock"),
            ));
        }
        let etag = object
            .e_tag
            .ok_or_else(|| wrong(Trouble::Unreadable, "it has no `ETag`".to_owned()))?;
        let body = tokio::time::timeout(BODY, object.body.collect())
            .await
            .map_err(|_| late(&doing))?;
        let body = body.map_err(|error| wrong(Trouble::Ambiguous, error.to_string()))?;
        Ok(Answer {
            value: Look::There {
                body: body.to_vec(),
                etag,
            },
            date,
        })
    }

    async fn put(&self, body: Vec<u8>, only: Only) -> Result<Answer<Put>, CloudError> {
        let (doing, sent) = (
            format!("write s3://{}/{}", self.bucket, self.key),
            Instant::now(),
        );
        let asked = self
            .client()
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let asked = asked
            .expected_bucket_owner(self.reader.owner())
            .content_type("application/json");
        let asked = match only {
            Only::IfAbsent => asked.if_none_match("*"),
            Only::IfStill(etag) => asked.if_match(etag),
        };
        match asked.body(ByteStream::from(body)).send().await {
            Ok(answer) => match answer.e_tag {
                Some(etag) => Ok(self.answer(sent, Put::Written { etag })),
                None => Err(CloudError::aws(
                    doing,
                    Trouble::Unreadable,
                    "the answer has no `ETag`",
                )),
            },
            Err(error) => refused(&error)
                .map(|put| self.answer(sent, put))
                .ok_or_else(|| failed(&doing, &error)),
        }
    }

    /// A removal of a certain version leaves those before it, and none of them is newer: the condition would be needless.
    /// One without versions is removed as it is, so that a lock that somebody has taken meanwhile stays.
    async fn remove(&self, etag: &str) -> Result<Removed, CloudError> {
        let doing = format!("remove s3://{}/{}", self.bucket, self.key);
        let owner = self.reader.owner();
        let head = self
            .client()
            .head_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .if_match(etag);
        let version = match head.expected_bucket_owner(owner).send().await {
            Ok(head) => head.version_id.filter(|version| version != "null"),
            Err(error) if matches!(status(&error), Some(404 | 412)) => return Ok(Removed::Refused),
            Err(error) => return Err(failed(&doing, &error)),
        };
        let asked = self
            .client()
            .delete_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let asked = match version {
            Some(version) => asked.version_id(version),
            None => asked.if_match(etag),
        };
        match asked.expected_bucket_owner(owner).send().await {
            Ok(_) => Ok(Removed::Gone),
            Err(error) if matches!(status(&error), Some(404 | 412)) => Ok(Removed::Refused),
            Err(error) => Err(failed(&doing, &error)),
        }
    }
}

/// An answer that did not come in time.
fn late(doing: &str) -> CloudError {
    CloudError::aws(
        doing,
        Trouble::Ambiguous,
        format!("no whole answer within {} s", BODY.as_secs()),
    )
}

/// What a reading found that is no error.
fn missing<E: Failed>(error: &SdkError<E, HttpResponse>) -> Option<Look> {
    match (status(error)?, code(error)) {
        (404, Some("NoSuchBucket")) => Some(Look::NoBucket),
        (404, _) => Some(Look::NoObject),
        _ => None,
    }
}

/// An error of reading. Without the right to list a bucket, S3 says 403 of what is not there.
fn unread<E: Failed>(doing: &str, error: &SdkError<E, HttpResponse>) -> CloudError {
    let mut error = failed(doing, error);
    if error.trouble == Trouble::Denied {
        error.answer +=
            " (S3 also says this of a lock that is free, to whoever may not `s3:ListBucket`)";
    }
    error
}

/// What became of a write that was not done.
fn refused<E: Failed>(error: &SdkError<E, HttpResponse>) -> Option<Put> {
    match (status(error)?, code(error)) {
        (404, Some("NoSuchBucket")) => Some(Put::NoBucket),
        (404 | 412, _) => Some(Put::Refused),
        (409, _) => Some(Put::Busy),
        _ => None,
    }
}
