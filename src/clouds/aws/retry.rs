//! Translates SDK errors to [`CloudError`], and retries what the SDK does not retry: errors that
//! AWS returns because a change has not reached all of its servers yet.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    clouds::{
        CloudError, CloudProvider, ErrorKind, endpoint::to_single_line, format_error_chain,
        http::clamp_speed,
    },
    model::redact,
};

/// How long such errors are retried, and the delays between attempts. Bucket settings and roles
/// usually spread within seconds, sometimes within a minute; Terraform's AWS provider allows two
/// minutes for both.
const PROPAGATION_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a public policy is tried again after the bucket's public access block was lifted. Shorter,
/// because S3 answers the same where the block of the whole account forbids it, and that never passes.
pub(super) const LIFTED_BLOCK_TIMEOUT: Duration = Duration::from_secs(15);
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Errors of a write of bucket settings that pass: another such write is in progress, or the bucket
/// is so new that not every server knows it. An entry is an error code, or `code:text` where the
/// message must contain the text as well.
pub(crate) const RETRYABLE_ON_BUCKET_SETTINGS: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
];
/// Errors of `PutBucketPolicy` that pass: also that the policy names a role which was just created.
pub(crate) const RETRYABLE_ON_BUCKET_POLICY: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
    "MalformedPolicy:Invalid principal",
];
/// Errors that pass on a bucket that is known to exist, or that is being deleted: `NoSuchBucket` is
/// final here.
pub(crate) const RETRYABLE_ON_EXISTING_BUCKET: &[&str] =
    &["OperationAborted", "ConditionalRequestConflict"];
/// Errors of a change of a role that pass: the role was just created, another change is in
/// progress, or the policy names a principal that was just created (`Invalid principal in policy`).
pub(crate) const RETRYABLE_ON_NEW_ROLE: &[&str] = &[
    "NoSuchEntity",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "MalformedPolicyDocument:Invalid principal",
];
/// The same for a request that also names a managed policy. If that one does not exist, the error
/// is final, so `NoSuchEntity` counts only for the role.
pub(crate) const RETRYABLE_ON_POLICY_ATTACHMENT: &[&str] = &[
    "NoSuchEntity:The role with name",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];
/// Errors of `DeleteRole` that pass: a policy that was just detached still counts for some seconds
/// ("Cannot delete entity, must detach all policies first"). An instance profile does not go by itself.
pub(crate) const RETRYABLE_ON_ROLE_DELETION: &[&str] = &[
    "DeleteConflict:policies",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];
/// Errors of IAM writes that pass, where `NoSuchEntity` is final or means success.
pub(crate) const RETRYABLE_ON_IAM_WRITE: &[&str] = &[
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "MalformedPolicyDocument:Invalid principal",
];

/// The error type of any SDK operation.
pub(crate) trait SdkServiceError:
    ProvideErrorMetadata + std::error::Error + Send + Sync + 'static
{
}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> SdkServiceError for E {}

/// AWS's error code, such as `NoSuchBucket`. A response without a body (to a `HEAD` request) has
/// none.
pub(crate) fn error_code<E: SdkServiceError>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// The HTTP status, if there was a response.
pub(crate) fn http_status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// Translates an SDK error. `operation` says what was being done, for the message.
pub(crate) fn to_cloud_error<E: SdkServiceError>(
    operation: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError {
    let Some(response) = error.raw_response() else {
        let error = no_response_error(operation, error);
        return CloudError {
            message: redact(&error.message),
            ..error
        };
    };
    let status = response.status().as_u16();
    let request_id = ["x-amzn-requestid", "x-amz-request-id"]
        .iter()
        .find_map(|name| response.headers().get(*name));
    let service_error = error.as_service_error();
    let code = service_error
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default();
    let message = service_error
        .and_then(ProvideErrorMetadata::message)
        .unwrap_or_default();
    // For a signature mismatch, AWS repeats the request as it was signed after the first paragraph,
    // including the session token. That must not be shown.
    let message = message.split("\n\n").next().unwrap_or_default();
    let message = match (service_error, code.is_empty()) {
        (None, _) => format!(
            "{status}, and the response cannot be read: {}",
            to_single_line(&redact(&format_error_chain(error)))
        ),
        (Some(_), true) => status.to_string(),
        (Some(_), false) => to_single_line(&redact(&format!("{status} {code}: {message}")))
            .trim_end_matches([':', ' '])
            .to_owned(),
    };
    let kind = if service_error.is_none() && status < 300 {
        ErrorKind::InvalidResponse
    } else {
        classify_error(status, code)
    };
    CloudError {
        operation: operation.to_owned(),
        message: redact(&message),
        kind,
        status: Some(status),
        request_id: request_id.map(redact),
        cloud: CloudProvider::Aws,
    }
}

/// Classifies an error by its code, and otherwise by its HTTP status. Some codes come with a status
/// that would be misleading.
fn classify_error(status: u16, code: &str) -> ErrorKind {
    match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests" => ErrorKind::Throttled,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidIdentityToken"
        | "InvalidClientTokenId" => ErrorKind::PermissionDenied,
        "RequestTimeout" => ErrorKind::Ambiguous,
        // These come with status 409, but retrying does not help.
        "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "BucketNotEmpty"
        | "EntityAlreadyExists"
        | "DeleteConflict"
        | "LimitExceeded" => ErrorKind::Rejected,
        _ => ErrorKind::from_status(status),
    }
}

/// The error when there was no response: no credentials, no connection, or the outcome is unknown.
fn no_response_error<E: SdkServiceError>(
    operation: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        // The interceptor fails with a `CloudError` of its own (a simulated crash, say): keep its
        // kind.
        if let Some(cloud_error) = cause.downcast_ref::<CloudError>() {
            return CloudError {
                operation: operation.to_owned(),
                ..cloud_error.clone()
            };
        }
        if cause.is::<CredentialsError>() {
            // The GitHub provider fails with a `CloudError`, which says more than the SDK's wrapper.
            if let Some(cloud_error) = cause
                .source()
                .and_then(|source_error| source_error.downcast_ref::<CloudError>())
            {
                let message = format!(
                    "no credentials for AWS: {}: {}",
                    cloud_error.operation, cloud_error.message
                );
                return CloudError {
                    operation: operation.to_owned(),
                    message,
                    ..cloud_error.clone()
                };
            }
            let source_error = cause
                .source()
                .map(|source_error| format!(" ({})", format_error_chain(source_error)))
                .unwrap_or_default();
            let message = format!(
                "no credentials for AWS: not in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in a profile, and none \
                 from a role{source_error}"
            );
            return CloudError::new_aws(operation, ErrorKind::PermissionDenied, message);
        }
        source = cause.source();
    }
    match error {
        SdkError::TimeoutError(_) => {
            CloudError::new_aws(operation, ErrorKind::Ambiguous, "no answer in time")
        }
        SdkError::DispatchFailure(failure) => {
            let connector = failure.as_connector_error();
            // An I/O error of the connector is treated as "never sent", so the request may be
            // repeated. After any other dispatch error the outcome is unknown.
            let was_never_sent = connector.is_some_and(|error| error.is_io() || error.is_user());
            let kind = if was_never_sent {
                ErrorKind::Unreachable
            } else {
                ErrorKind::Ambiguous
            };
            CloudError::new_aws(
                operation,
                kind,
                connector.map_or_else(
                    || format_error_chain(error),
                    |error| format_error_chain(error),
                ),
            )
        }
        SdkError::ConstructionFailure(_) => {
            CloudError::new_aws(operation, ErrorKind::Rejected, format_error_chain(error))
        }
        _ => CloudError::new_aws(operation, ErrorKind::Ambiguous, format_error_chain(error)),
    }
}

/// Whether an error matches one of the entries: `code`, or `code:text`.
fn matches_any<E: SdkServiceError>(
    error: &SdkError<E, HttpResponse>,
    retryable_errors: &[&str],
) -> bool {
    let Some(service_error) = error.as_service_error() else {
        return false;
    };
    let (code, message) = (
        service_error.code().unwrap_or_default(),
        service_error.message().unwrap_or_default(),
    );
    retryable_errors
        .iter()
        .any(|pattern| match pattern.split_once(':') {
            None => *pattern == code,
            Some((expected_code, expected_text)) => {
                expected_code == code && message.contains(expected_text)
            }
        })
}

/// Delays that double up to [`MAX_DELAY`] until a timeout ([`PROPAGATION_TIMEOUT`] by default) is used up. Against a
/// sandbox they are shortened by its speed.
pub(crate) struct PropagationBackoff {
    speed: f64,
    next_delay: Duration,
    remaining: Duration,
}

impl PropagationBackoff {
    pub(crate) fn new(speed: f64) -> Self {
        Self::with_timeout(speed, PROPAGATION_TIMEOUT)
    }

    pub(super) fn with_timeout(speed: f64, timeout: Duration) -> Self {
        Self {
            speed: clamp_speed(speed),
            next_delay: FIRST_DELAY,
            remaining: timeout,
        }
    }

    /// Waits before the next attempt. Returns false, without waiting, when the time is used up.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.remaining.is_zero() {
            return false;
        }
        let delay = self.next_delay.min(self.remaining);
        tokio::time::sleep(delay.div_f64(self.speed)).await;
        self.remaining -= delay;
        self.next_delay = (self.next_delay * 2).min(MAX_DELAY);
        true
    }
}

/// Sends a request, and sends it again while it fails with one of `retryable_errors` and the time
/// is not used up.
pub(crate) async fn retry<
    T,
    E: SdkServiceError,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
>(
    speed: f64,
    operation: &str,
    retryable_errors: &[&str],
    call: impl Fn() -> F,
) -> Result<T, CloudError> {
    let mut backoff = PropagationBackoff::new(speed);
    loop {
        match call().await {
            Ok(message) => return Ok(message),
            Err(error) if matches_any(&error, retryable_errors) && backoff.wait().await => {
                tracing::debug!(
                    operation,
                    code = error_code(&error),
                    "not visible everywhere yet, retrying"
                );
            }
            Err(error) => return Err(to_cloud_error(operation, &error)),
        }
    }
}

/// Reads until a change is visible. Errors that may pass count as "not visible yet". After
/// [`PROPAGATION_TIMEOUT`] this gives up without an error: the change was accepted, and if it was
/// lost, the next plan shows it.
pub(super) async fn wait_until<F: Future<Output = Result<bool, CloudError>>>(
    speed: f64,
    operation: &str,
    is_visible: impl Fn() -> F,
) -> Result<(), CloudError> {
    let mut backoff = PropagationBackoff::new(speed);
    loop {
        match is_visible().await {
            Ok(true) => return Ok(()),
            // Waiting does not help against these.
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
        if !backoff.wait().await {
            tracing::warn!(operation, "the change is not visible after two minutes");
            return Ok(());
        }
    }
}
