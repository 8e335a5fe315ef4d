//! The requests of the lock protocol: reading its object, writing it on a condition, and deleting
//! it. Every outcome that the protocol has to distinguish is a value; errors are what it cannot
//! handle.
//!
//! Source: S3 User Guide, "Add preconditions to S3 operations with conditional requests": 412 if
//! the condition does not hold, 409 `ConditionalRequestConflict` if another write is in progress,
//! 404 `NoSuchKey` for `If-Match` on an object that does not exist.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    config::http::HttpResponse, error::SdkError, primitives::ByteStream,
    types::ServerSideEncryption,
};
use jiff::Timestamp;

use super::LockLocation;
use crate::{
    clouds::{
        CloudError, ErrorKind,
        aws::{
            AwsReader,
            retry::{SdkServiceError, error_code, http_status, to_cloud_error},
        },
    },
    model::s3::LockEncryption,
};

/// The largest object that is read as a lock, in bytes. A record has a few hundred.
const MAX_OBJECT_BYTES: i64 = 64 * 1024;
/// How long the body may take to arrive after the headers, in real time: the SDK's timeouts end
/// with the headers.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WriteCondition {
    /// Only if the object does not exist (`If-None-Match: *`).
    IfAbsent,
    /// Only if the object has this `ETag` (`If-Match`).
    IfMatch(String),
}

/// A response, and the server time in its `Date` header.
#[derive(Clone, Debug)]
pub(super) struct StoreResponse<T> {
    pub(super) value: T,
    pub(super) server_date: Option<Timestamp>,
}

/// The outcome of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GetOutcome {
    Found {
        body: Vec<u8>,
        etag: String,
    },
    /// A lifecycle rule has moved the object to an archive, where it can be overwritten and not read.
    Archived {
        etag: String,
        written_at: Timestamp,
    },
    ObjectNotFound,
    BucketNotFound,
}

/// The outcome of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PutOutcome {
    /// The object was written and has this `ETag`.
    Written { etag: String },
    /// The condition does not hold (412), or the object of an `If-Match` does not exist (404).
    PreconditionFailed,
    /// Another write was in progress (409): read again before deciding.
    Conflict,
    /// The bucket does not exist.
    BucketNotFound,
}

/// The outcome of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeleteOutcome {
    /// The object, or its current version, was deleted.
    Deleted,
    /// The object has another `ETag` by now (412), or does not exist (404).
    PreconditionFailed,
}

/// The storage of a lock's object. Implemented by S3, and by a simulation in the tests.
pub(super) trait LockStore: Send + Sync + 'static {
    /// Reads the object. Strongly consistent: sees every write that was answered before.
    fn get(&self) -> impl Future<Output = Result<StoreResponse<GetOutcome>, CloudError>> + Send;

    /// Writes the object on a condition. After an error, it may have been written all the same.
    fn put(
        &self,
        body: Vec<u8>,
        condition: WriteCondition,
    ) -> impl Future<Output = Result<StoreResponse<PutOutcome>, CloudError>> + Send;

    /// Deletes the object if it has this `ETag`. Older versions stay.
    fn delete(&self, etag: &str) -> impl Future<Output = Result<DeleteOutcome, CloudError>> + Send;
}

/// Whether a request that failed with this error may succeed if it is sent again.
pub(super) fn is_transient(error: &CloudError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Ambiguous
            | ErrorKind::Throttled
            | ErrorKind::Unreachable
            | ErrorKind::InvalidResponse
    )
}

/// A lock's object in S3.
#[derive(Clone, Debug)]
pub(super) struct S3LockStore {
    reader: AwsReader,
    bucket: String,
    region: String,
    key: String,
    /// The index of the encryption with which the bucket's policy let the object be written.
    admitted_encryption: Arc<AtomicUsize>,
}

impl S3LockStore {
    /// Takes a reader, which is enough to read the lock. Callers that write have an
    /// [`AwsWriter`](crate::clouds::aws::AwsWriter), which dereferences to one.
    pub(super) fn new(reader: &AwsReader, location: &LockLocation) -> Self {
        let LockLocation { bucket, region, .. } = location;
        Self {
            reader: reader.clone(),
            bucket: bucket.clone(),
            region: region.clone(),
            key: location.object_key(),
            admitted_encryption: Arc::default(),
        }
    }

    fn s3_client(&self) -> aws_sdk_s3::Client {
        self.reader.s3_client(&self.region)
    }

    /// Writes the object with this encryption.
    async fn put_encrypted(
        &self,
        body: Vec<u8>,
        condition: WriteCondition,
        encryption: LockEncryption,
    ) -> Result<StoreResponse<PutOutcome>, CloudError> {
        let (operation, sent) = (
            format!("write s3://{}/{}", self.bucket, self.key),
            Instant::now(),
        );
        let request = self
            .s3_client()
            .put_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let request = request
            .expected_bucket_owner(self.reader.expected_bucket_owner())
            .set_server_side_encryption(encryption.header().map(ServerSideEncryption::from))
            .content_type("application/json");
        let request = match condition {
            WriteCondition::IfAbsent => request.if_none_match("*"),
            WriteCondition::IfMatch(etag) => request.if_match(etag),
        };
        match request.body(ByteStream::from(body)).send().await {
            Ok(response) => match response.e_tag {
                Some(etag) => Ok(self.with_server_date(sent, PutOutcome::Written { etag })),
                None => Err(CloudError::new_aws(
                    operation,
                    ErrorKind::InvalidResponse,
                    "the answer has no `ETag`",
                )),
            },
            Err(error) => rejected_write_outcome(&error)
                .map(|outcome| self.with_server_date(sent, outcome))
                .ok_or_else(|| to_cloud_error(&operation, &error)),
        }
    }

    /// What is known of an object in an archive: S3 User Guide, "Working with archived objects", and
    /// `HeadObject`, which reads no content.
    async fn get_archived(
        &self,
        operation: &str,
        sent: Instant,
    ) -> Result<StoreResponse<GetOutcome>, CloudError> {
        let head = self
            .s3_client()
            .head_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let head = match head
            .expected_bucket_owner(self.reader.expected_bucket_owner())
            .send()
            .await
        {
            Ok(head) => head,
            Err(error) => {
                let outcome =
                    not_found_outcome(&error).map(|outcome| self.with_server_date(sent, outcome));
                return outcome.ok_or_else(|| read_error(operation, &error));
            }
        };
        let written_at = head
            .last_modified
            .and_then(|date| Timestamp::from_second(date.secs()).ok());
        let (Some(etag), Some(written_at)) = (head.e_tag, written_at) else {
            return Err(CloudError::new_aws(
                operation,
                ErrorKind::InvalidResponse,
                "it has no `ETag` or no `Last-Modified`",
            ));
        };
        Ok(self.with_server_date(sent, GetOutcome::Archived { etag, written_at }))
    }

    /// Adds the server date of the response to a request that was sent at `sent`. It may be the
    /// date of another response that arrived in the meantime, but that is AWS's clock as well.
    fn with_server_date<T>(&self, sent: Instant, value: T) -> StoreResponse<T> {
        StoreResponse {
            value,
            server_date: self.reader.server_date_since(sent),
        }
    }
}

impl LockStore for S3LockStore {
    async fn get(&self) -> Result<StoreResponse<GetOutcome>, CloudError> {
        let (operation, sent) = (
            format!("read s3://{}/{}", self.bucket, self.key),
            Instant::now(),
        );
        let request = self
            .s3_client()
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let response = match request
            .expected_bucket_owner(self.reader.expected_bucket_owner())
            .send()
            .await
        {
            Ok(response) => self.with_server_date(sent, response),
            Err(error) if error_code(&error) == Some("InvalidObjectState") => {
                return self.get_archived(&operation, sent).await;
            }
            Err(error) => {
                let outcome =
                    not_found_outcome(&error).map(|outcome| self.with_server_date(sent, outcome));
                return outcome.ok_or_else(|| read_error(&operation, &error));
            }
        };
        let object_error = |kind, what: String| CloudError::new_aws(&operation, kind, what);
        let StoreResponse {
            value: object,
            server_date: date,
        } = response;
        if let Some(length) = object
            .content_length
            .filter(|length| *length > MAX_OBJECT_BYTES)
        {
            return Err(object_error(
                ErrorKind::Rejected,
                format!("it has {length} bytes and is no lock"),
            ));
        }
        let etag = object.e_tag.ok_or_else(|| {
            object_error(ErrorKind::InvalidResponse, "it has no `ETag`".to_owned())
        })?;
        let body = tokio::time::timeout(BODY_TIMEOUT, object.body.collect())
            .await
            .map_err(|_| body_timeout_error(&operation))?;
        let body = body.map_err(|error| object_error(ErrorKind::Ambiguous, error.to_string()))?;
        Ok(StoreResponse {
            value: GetOutcome::Found {
                body: body.to_vec(),
                etag,
            },
            server_date: date,
        })
    }

    /// Tries one encryption after the other while the bucket's policy may be what denies it.
    async fn put(
        &self,
        body: Vec<u8>,
        condition: WriteCondition,
    ) -> Result<StoreResponse<PutOutcome>, CloudError> {
        let admitted = self.admitted_encryption.load(Ordering::Relaxed);
        let mut first_denial = None;
        for (index, encryption) in LockEncryption::ALL.into_iter().enumerate().skip(admitted) {
            let sent = self.put_encrypted(body.clone(), condition.clone(), encryption);
            match sent.await {
                Err(error) if error.message.contains("AccessDenied") => {
                    first_denial.get_or_insert(error);
                }
                outcome => {
                    self.admitted_encryption.store(index, Ordering::Relaxed);
                    return outcome;
                }
            }
        }
        Err(first_denial.unwrap_or_else(|| {
            let operation = format!("write s3://{}/{}", self.bucket, self.key);
            CloudError::new_aws(operation, ErrorKind::PermissionDenied, "it is denied")
        }))
    }

    /// In a bucket with versioning, deletes exactly the version that has the `ETag`; what was
    /// written later is not touched, so no condition is needed. Without versioning, the deletion
    /// itself is conditional, so a lock that another run has just acquired is not deleted.
    async fn delete(&self, etag: &str) -> Result<DeleteOutcome, CloudError> {
        let operation = format!("delete s3://{}/{}", self.bucket, self.key);
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
            Err(error) => return Err(to_cloud_error(&operation, &error)),
        };
        let request = self
            .s3_client()
            .delete_object()
            .bucket(&self.bucket)
            .key(&self.key);
        let request = match version {
            Some(version) => request.version_id(version),
            None => request.if_match(etag),
        };
        match request.expected_bucket_owner(owner).send().await {
            Ok(_) => Ok(DeleteOutcome::Deleted),
            Err(error) if matches!(http_status(&error), Some(404 | 412)) => {
                Ok(DeleteOutcome::PreconditionFailed)
            }
            Err(error) => Err(to_cloud_error(&operation, &error)),
        }
    }
}

/// The error for a body that did not arrive in time.
fn body_timeout_error(operation: &str) -> CloudError {
    CloudError::new_aws(
        operation,
        ErrorKind::Ambiguous,
        format!("no whole answer within {} s", BODY_TIMEOUT.as_secs()),
    )
}

/// The outcome of a failed read that only means "not found".
fn not_found_outcome<E: SdkServiceError>(error: &SdkError<E, HttpResponse>) -> Option<GetOutcome> {
    match (http_status(error)?, error_code(error)) {
        (404, Some("NoSuchBucket")) => Some(GetOutcome::BucketNotFound),
        (404, _) => Some(GetOutcome::ObjectNotFound),
        _ => None,
    }
}

/// The error of a failed read. Without the permission to list the bucket, S3 answers 403 for an
/// object that does not exist.
fn read_error<E: SdkServiceError>(
    operation: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError {
    let mut error = to_cloud_error(operation, error);
    if error.kind == ErrorKind::PermissionDenied {
        error.message += " (without the permission `s3:ListBucket`, S3 also answers this for a lock that is free)";
    }
    error
}

/// The outcome of a write that S3 rejected because of its condition.
fn rejected_write_outcome<E: SdkServiceError>(
    error: &SdkError<E, HttpResponse>,
) -> Option<PutOutcome> {
    match (http_status(error)?, error_code(error)) {
        (404, Some("NoSuchBucket")) => Some(PutOutcome::BucketNotFound),
        (404 | 412, _) => Some(PutOutcome::PreconditionFailed),
        (409, _) => Some(PutOutcome::Conflict),
        _ => None,
    }
}
