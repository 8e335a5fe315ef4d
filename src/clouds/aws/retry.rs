//! The SDK's errors in our words, and what is tried again beyond what the SDK itself does: AWS's answers that mean "not
//! yet".

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

/// How long "not yet" is borne, and the pauses between tries. Bucket settings and roles spread over AWS within seconds,
/// sometimes within a minute; Terraform's AWS provider gives both two minutes.
const PROPAGATION_TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_DELAY: Duration = Duration::from_millis(500);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Answers of S3 to a write of a bucket's settings that mean "not yet": another such write is under way, or the bucket
/// is so new that not every server has heard of it.
pub(crate) const RETRYABLE_ON_BUCKET_SETTINGS: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
];
/// The same for a bucket's policy, which may name a role that was just made.
pub(crate) const RETRYABLE_ON_BUCKET_POLICY: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
    "MalformedPolicy:Invalid principal",
];
/// The same where the bucket is open to the public: that it is may not have reached every server either.
pub(crate) const RETRYABLE_ON_PUBLIC_BUCKET_POLICY: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
    "MalformedPolicy:Invalid principal",
    "AccessDenied:BlockPublicPolicy",
];
/// The same where the bucket must be there: it is no longer new, or is to go.
pub(crate) const RETRYABLE_ON_EXISTING_BUCKET: &[&str] =
    &["OperationAborted", "ConditionalRequestConflict"];
/// Answers of IAM that mean "not yet": a role that was just made, another change that is under way, or a policy that names
/// a principal which was just made (`Invalid principal in policy`).
pub(crate) const RETRYABLE_ON_NEW_ROLE: &[&str] = &[
    "NoSuchEntity",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "MalformedPolicyDocument:Invalid principal",
];
/// The same where a policy is named as well, which may be missing for good.
pub(crate) const RETRYABLE_ON_POLICY_ATTACHMENT: &[&str] = &[
    "NoSuchEntity:The role with name",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];
/// The same of a role that is to go: what it held a moment ago counts for some seconds more.
pub(crate) const RETRYABLE_ON_ROLE_DELETION: &[&str] = &[
    "DeleteConflict",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];
/// The same where the role need not be there.
pub(crate) const RETRYABLE_ON_IAM_WRITE: &[&str] = &[
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "MalformedPolicyDocument:Invalid principal",
];

/// An error of any operation.
pub(crate) trait OperationError:
    ProvideErrorMetadata + std::error::Error + Send + Sync + 'static
{
}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> OperationError for E {}

/// The code that AWS gives an error, such as `NoSuchBucket`; an answer without a body has none.
pub(crate) fn error_code<E: OperationError>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// The status of the answer, when there was one.
pub(crate) fn http_status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// An error in our words.
pub(crate) fn to_cloud_error<E: OperationError>(
    doing: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError {
    let Some(response) = error.raw_response() else {
        let error = no_response_error(doing, error);
        return CloudError {
            message: redact(&error.message),
            ..error
        };
    };
    let status = response.status().as_u16();
    let id = ["x-amzn-requestid", "x-amz-request-id"]
        .iter()
        .find_map(|name| response.headers().get(*name));
    let said = error.as_service_error();
    let code = said
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default();
    let message = said
        .and_then(ProvideErrorMetadata::message)
        .unwrap_or_default();
    // Of a wrong signature, what follows the first paragraph is the request as AWS signs it, session token included.
    let message = message.split("\n\n").next().unwrap_or_default();
    let answer = match (said, code.is_empty()) {
        (None, _) => format!(
            "{status}, and the answer cannot be read: {}",
            to_single_line(&redact(&format_error_chain(error)))
        ),
        (Some(_), true) => status.to_string(),
        (Some(_), false) => to_single_line(&redact(&format!("{status} {code}: {message}")))
            .trim_end_matches([':', ' '])
            .to_owned(),
    };
    let trouble = if said.is_none() && status < 300 {
        ErrorKind::InvalidResponse
    } else {
        classify_error(status, code)
    };
    CloudError {
        operation: doing.to_owned(),
        message: redact(&answer),
        kind: trouble,
        status: Some(status),
        request_id: id.map(redact),
        cloud: CloudProvider::Aws,
    }
}

/// The trouble that a status and a code mean. Some of AWS's codes come with statuses of their own.
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
        // Their status is that of a conflict, and waiting does not help.
        "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "BucketNotEmpty"
        | "EntityAlreadyExists"
        | "DeleteConflict"
        | "LimitExceeded" => ErrorKind::Rejected,
        _ => ErrorKind::from_status(status),
    }
}

/// No answer: no credentials, no connection, or nobody knows what happened.
fn no_response_error<E: OperationError>(
    doing: &str,
    error: &SdkError<E, HttpResponse>,
) -> CloudError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<CloudError>() {
            return CloudError {
                operation: doing.to_owned(),
                ..ours.clone()
            };
        }
        if cause.is::<CredentialsError>() {
            if let Some(ours) = cause
                .source()
                .and_then(|why| why.downcast_ref::<CloudError>())
            {
                let answer = format!(
                    "no credentials for AWS: {}: {}",
                    ours.operation, ours.message
                );
                return CloudError {
                    operation: doing.to_owned(),
                    message: answer,
                    ..ours.clone()
                };
            }
            let why = cause
                .source()
                .map(|why| format!(" ({})", format_error_chain(why)))
                .unwrap_or_default();
            let what = format!(
                "no credentials for AWS: not in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in a profile, and none \
                 from a role{why}"
            );
            return CloudError::new_aws(doing, ErrorKind::PermissionDenied, what);
        }
        source = cause.source();
    }
    match error {
        SdkError::TimeoutError(_) => {
            CloudError::new_aws(doing, ErrorKind::Ambiguous, "no answer in time")
        }
        SdkError::DispatchFailure(failure) => {
            let connector = failure.as_connector_error();
            let never = connector.is_some_and(|error| error.is_io() || error.is_user());
            let trouble = if never {
                ErrorKind::Unreachable
            } else {
                ErrorKind::Ambiguous
            };
            CloudError::new_aws(
                doing,
                trouble,
                connector.map_or_else(
                    || format_error_chain(error),
                    |error| format_error_chain(error),
                ),
            )
        }
        SdkError::ConstructionFailure(_) => {
            CloudError::new_aws(doing, ErrorKind::Rejected, format_error_chain(error))
        }
        _ => CloudError::new_aws(doing, ErrorKind::Ambiguous, format_error_chain(error)),
    }
}

/// Whether an error is one of these: codes, or a code and words of its message.
fn matches_any<E: OperationError>(error: &SdkError<E, HttpResponse>, these: &[&str]) -> bool {
    let Some(said) = error.as_service_error() else {
        return false;
    };
    let (code, message) = (
        said.code().unwrap_or_default(),
        said.message().unwrap_or_default(),
    );
    these.iter().any(|one| match one.split_once(':') {
        None => *one == code,
        Some((only, words)) => only == code && message.contains(words),
    })
}

/// Pauses that double, until patience ends. Scaled by the speed of an imitation.
pub(crate) struct PropagationBackoff {
    speed: f64,
    next_delay: Duration,
    remaining: Duration,
}

impl PropagationBackoff {
    pub(crate) fn new(speed: f64) -> Self {
        Self {
            speed: clamp_speed(speed),
            next_delay: FIRST_DELAY,
            remaining: PROPAGATION_TIMEOUT,
        }
    }

    /// Waits for the next try; false when patience is over.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.remaining.is_zero() {
            return false;
        }
        let pause = self.next_delay.min(self.remaining);
        tokio::time::sleep(pause.div_f64(self.speed)).await;
        self.remaining -= pause;
        self.next_delay = (self.next_delay * 2).min(MAX_DELAY);
        true
    }
}

/// Carries a call out, and again while the answer is one of these.
pub(crate) async fn retry<
    T,
    E: OperationError,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
>(
    speed: f64,
    doing: &str,
    these: &[&str],
    call: impl Fn() -> F,
) -> Result<T, CloudError> {
    let mut pauses = PropagationBackoff::new(speed);
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if matches_any(&error, these) && pauses.wait().await => {
                tracing::debug!(doing, code = error_code(&error), "not yet, trying again");
            }
            Err(error) => return Err(to_cloud_error(doing, &error)),
        }
    }
}
