//! The two requests that a lock is made of: reading its object, and writing it under a condition. Everything that the
//! protocol must tell apart is a value; an error is what no protocol can help with.
//!
//! Facts are from the S3 user guide ("Add preconditions to S3 operations with conditional requests"): 412 when the
//! condition does not hold, 409 `ConditionalRequestConflict` when another write is under way, 404 `NoSuchKey` for an
//! `If-Match` on what is not there.

use std::time::{Duration, Instant};

use aws_sdk_s3::{config::http::HttpResponse, error::SdkError, primitives::ByteStream};
use jiff::Timestamp;

use super::LockLocation;
use crate::clouds::{
    CloudError, ErrorKind,
    aws::{
        AwsReader,
        retry::{OperationError, error_code, http_status, to_cloud_error},
    },
};

/// How long a lock's object may be, in bytes; ours have a few hundred.
const MAX_OBJECT_BYTES: i64 = 64 * 1024;
/// How long such an object may take to arrive after its head, in seconds of our own: the SDK's limits end there.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WriteCondition {
    /// When there is none (`If-None-Match: *`).
    IfAbsent,
    /// When it is the one with this `ETag` (`If-Match`).
    IfMatch(String),
}

/// An answer, and the server's time in it.
#[derive(Clone, Debug)]
pub(super) struct StoreResponse<T> {
    pub(super) value: T,
    pub(super) server_date: Option<Timestamp>,
}

/// What reading found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GetOutcome {
    Found { body: Vec<u8>, etag: String },
    ObjectNotFound,
    BucketNotFound,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PutOutcome {
    /// It was done.
    Written { etag: String },
    /// The condition does not hold (412), or there is nothing that it could hold for (404).
    PreconditionFailed,
    /// Another write was under way (409): look, and decide again.
    Conflict,
    /// The bucket is gone.
    BucketNotFound,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeleteOutcome {
    /// It is gone.
    Deleted,
    /// It is another one by now (412).
    PreconditionFailed,
}

/// Where a lock's object is kept.
pub(super) trait LockStore: Send + Sync + 'static {
    /// Reads the object. Strongly consistent: it sees every write that was answered.
    fn get(&self) -> impl Future<Output = Result<StoreResponse<GetOutcome>, CloudError>> + Send;

    /// Writes the object under a condition. After an error it may have been written all the same.
    fn put(
        &self,
        body: Vec<u8>,
        only: WriteCondition,
    ) -> impl Future<Output = Result<StoreResponse<PutOutcome>, CloudError>> + Send;

    /// Removes the object while it has this `ETag`. Older versions stay.
    fn delete(&self, etag: &str) -> impl Future<Output = Result<DeleteOutcome, CloudError>> + Send;
}

/// Whether a request that failed so may be tried again: it was not refused for what it is.
pub(super) fn is_transient(error: &CloudError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Ambiguous
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::InvalidResponse
    )
}

/// An object of S3.
#[derive(Clone, Debug)]
pub(super) struct S3LockStore {
    reader: AwsReader,
    bucket: String,
    region: String,
    key: String,
}

impl S3LockStore {
    /// A reader is enough to look; who writes is given a [`crate::clouds::aws::Writer`] to pass on.
    pub(super) fn new(reader: &AwsReader, place: &LockLocation) -> Self {
        let LockLocation { bucket, region, .. } = place;
        Self {
            reader: reader.clone(),
            bucket: bucket.clone(),
            region: region.clone(),
            key: place.object_key(),
        }
    }

    fn s3_client(&self) -> aws_sdk_s3::Client {
        self.reader.s3_client(&self.region)
    }

    /// An answer to what was sent at this moment. Another's may have come in between, by a clock of AWS all the same.
    fn with_server_date<T>(&self, sent: Instant, value: T) -> StoreResponse<T> {
        StoreResponse {
            value,
            server_date: self.reader.server_date_since(sent),
        }
    }
}

impl LockStore for S3LockStore {
    async fn get(&self) -> Result<StoreResponse<GetOutcome>, CloudError> {
        let (doing, sent) = (
            format!("read s3://{}/{}", self.bucket, self.key),
            Instant::now(),
        );
        let asked = self
            .s3_client()
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let answer = match asked
            .expected_bucket_owner(self.reader.expected_bucket_owner())
            .send()
            .await
        {
            Ok(answer) => self.with_server_date(sent, answer),
            Err(error) => {
                let look = not_found_outcome(&error).map(|look| self.with_server_date(sent, look));
                return look.ok_or_else(|| read_error(&doing, &error));
            }
        };
        let wrong = |trouble, what: String| CloudError::new_aws(&doing, trouble, what);
        let StoreResponse {
            value: object,
            server_date: date,
        } = answer;
        if let Some(length) = object
            .content_length
            .filter(|length| *length > MAX_OBJECT_BYTES)
        {
            return Err(wrong(
                ErrorKind::Rejected,
                format!("it has {length} bytes and is no lock"),
            ));
        }
        let etag = object
            .e_tag
            .ok_or_else(|| wrong(ErrorKind::InvalidResponse, "it has no `ETag`".to_owned()))?;
        let body = tokio::time::timeout(BODY_TIMEOUT, object.body.collect())
            .await
            .map_err(|_| body_timeout_error(&doing))?;
        let body = body.map_err(|error| wrong(ErrorKind::Ambiguous, error.to_string()))?;
        Ok(StoreResponse {
            value: GetOutcome::Found {
                body: body.to_vec(),
                etag,
            },
            server_date: date,
        })
    }

    async fn put(
        &self,
        body: Vec<u8>,
        only: WriteCondition,
    ) -> Result<StoreResponse<PutOutcome>, CloudError> {
        let (doing, sent) = (
            format!("write s3://{}/{}", self.bucket, self.key),
            Instant::now(),
        );
        let asked = self
            .s3_client()
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let asked = asked
            .expected_bucket_owner(self.reader.expected_bucket_owner())
            .content_type("application/json");
        let asked = match only {
            WriteCondition::IfAbsent => asked.if_none_match("*"),
            WriteCondition::IfMatch(etag) => asked.if_match(etag),
        };
        match asked.body(ByteStream::from(body)).send().await {
            Ok(answer) => match answer.e_tag {
                Some(etag) => Ok(self.with_server_date(sent, PutOutcome::Written { etag })),
                None => Err(CloudError::new_aws(
                    doing,
                    ErrorKind::InvalidResponse,
                    "the answer has no `ETag`",
                )),
            },
            Err(error) => rejected_write_outcome(&error)
                .map(|put| self.with_server_date(sent, put))
                .ok_or_else(|| to_cloud_error(&doing, &error)),
        }
    }

    /// A removal of a certain version leaves those before it, and none of them is newer: the condition would be needless.
    /// One without versions is removed as it is, so that a lock that somebody has taken meanwhile stays.
    async fn delete(&self, etag: &str) -> Result<DeleteOutcome, CloudError> {
        let doing = format!("delete s3://{}/{}", self.bucket, self.key);
        let owner = self.reader.expected_bucket_owner();
        let head = self
            .s3_client()
            .head_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .if_match(etag);
        let version = match head.expected_bucket_owner(owner).send().await {
            Ok(head) => head.version_id.filter(|version| version != "null"),
            Err(error) if matches!(http_status(&error), Some(404 | 412)) => {
                return Ok(DeleteOutcome::PreconditionFailed);
            }
            Err(error) => return Err(to_cloud_error(&doing, &error)),
        };
        let asked = self
            .s3_client()
            .delete_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let asked = match version {
            Some(version) => asked.version_id(version),
            None => asked.if_match(etag),
        };
        match asked.expected_bucket_owner(owner).send().await {
            Ok(_) => Ok(DeleteOutcome::Deleted),
            Err(error) if matches!(http_status(&error), Some(404 | 412)) => {
                Ok(DeleteOutcome::PreconditionFailed)
            }
            Err(error) => Err(to_cloud_error(&doing, &error)),
        }
    }
}

/// An answer that did not come in time.
fn body_timeout_error(doing: &str) -> CloudError {
    CloudError::new_aws(
        doing,
        ErrorKind::Ambiguous,
        format!("no whole answer within {} s", BODY_TIMEOUT.as_secs()),
    )
}

/// What a reading found that is no error.
fn not_found_outcome<E: OperationError>(error: &SdkError<E, HttpResponse>) -> Option<GetOutcome> {
    match (http_status(error)?, error_code(error)) {
        (404, Some("NoSuchBucket")) => Some(GetOutcome::BucketNotFound),
        (404, _) => Some(GetOutcome::ObjectNotFound),
        _ => None,
    }
}

/// An error of reading. Without the right to list a bucket, S3 says 403 of what is not there.
fn read_error<E: OperationError>(doing: &str, error: &SdkError<E, HttpResponse>) -> CloudError {
    let mut error = to_cloud_error(doing, error);
    if error.kind == ErrorKind::PermissionDenied {
        error.message +=
            " (S3 also says this of a lock that is free, to whoever may not `s3:ListBucket`)";
    }
    error
}

/// What became of a write that was not done.
fn rejected_write_outcome<E: OperationError>(
    error: &SdkError<E, HttpResponse>,
) -> Option<PutOutcome> {
    match (http_status(error)?, error_code(error)) {
        (404, Some("NoSuchBucket")) => Some(PutOutcome::BucketNotFound),
        (404 | 412, _) => Some(PutOutcome::PreconditionFailed),
        (409, _) => Some(PutOutcome::Conflict),
        _ => None,
    }
}
