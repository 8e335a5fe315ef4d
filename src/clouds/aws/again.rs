//! The SDK's errors in our words, and what is tried again beyond what the SDK itself does: AWS's answers that mean "not
//! yet".

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    clouds::{Cloud, CloudError, Trouble, chain, http::bounded, reach::one_line},
    model::veiled,
};

/// How long "not yet" is borne, and the pauses between tries. Bucket settings and roles spread over AWS within seconds,
/// sometimes within a minute; Terraform's AWS provider gives both two minutes.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Answers of S3 to a write of a bucket's settings that mean "not yet": another such write is under way, or the bucket
/// is so new that not every server has heard of it.
pub(super) const NEW_BUCKET: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
];
/// The same for a bucket's policy, which may name a role that was just made.
pub(super) const NEW_POLICY: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
    "MalformedPolicy:Invalid principal",
];
/// The same where the bucket is open to the public: that it is may not have reached every server either.
pub(super) const NEW_PUBLIC_POLICY: &[&str] = &[
    "OperationAborted",
    "ConditionalRequestConflict",
    "NoSuchBucket",
    "MalformedPolicy:Invalid principal",
    "AccessDenied:BlockPublicPolicy",
];
/// The same where the bucket must be there: it is no longer new, or is to go.
pub(super) const BUSY_BUCKET: &[&str] = &["OperationAborted", "ConditionalRequestConflict"];
/// Answers of IAM that mean "not yet": a role that was just made, another change that is under way, or a policy that names
/// a principal which was just made (`Invalid principal in policy`).
pub(super) const NEW_ROLE: &[&str] = &[
    "NoSuchEntity",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "MalformedPolicyDocument:Invalid principal",
];
/// The same where a policy is named as well, which may be missing for good.
pub(super) const NEW_HOLDER: &[&str] = &[
    "NoSuchEntity:The role with name",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];
/// The same of a role that is to go: what it held a moment ago counts for some seconds more.
pub(super) const LEAVING_ROLE: &[&str] = &[
    "DeleteConflict",
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
];
/// The same where the role need not be there.
pub(super) const BUSY_ROLE: &[&str] = &[
    "ConcurrentModification",
    "EntityTemporarilyUnmodifiable",
    "MalformedPolicyDocument:Invalid principal",
];

/// An error of any operation.
pub(super) trait Failed:
    ProvideErrorMetadata + std::error::Error + Send + Sync + 'static
{
}
impl<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static> Failed for E {}

/// The code that AWS gives an error, such as `NoSuchBucket`; an answer without a body has none.
pub(super) fn code<E: Failed>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// The status of the answer, when there was one.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// An error in our words.
pub(super) fn failed<E: Failed>(doing: &str, error: &SdkError<E, HttpResponse>) -> CloudError {
    let Some(response) = error.raw_response() else {
        let error = unanswered(doing, error);
        return CloudError {
            answer: veiled(&error.answer),
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
            one_line(&veiled(&chain(error)))
        ),
        (Some(_), true) => status.to_string(),
        (Some(_), false) => one_line(&veiled(&format!("{status} {code}: {message}")))
            .trim_end_matches([':', ' '])
            .to_owned(),
    };
    let trouble = if said.is_none() && status < 300 {
        Trouble::Unreadable
    } else {
        trouble(status, code)
    };
    CloudError {
        doing: doing.to_owned(),
        answer: veiled(&answer),
        trouble,
        status: Some(status),
        request_id: id.map(veiled),
        cloud: Cloud::Aws,
    }
}

/// The trouble that a status and a code mean. Some of AWS's codes come with statuses of their own.
fn trouble(status: u16, code: &str) -> Trouble {
    match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests" => Trouble::Throttled,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidIdentityToken"
        | "InvalidClientTokenId" => Trouble::Denied,
        "RequestTimeout" => Trouble::Ambiguous,
        // Their status is that of a conflict, and waiting does not help.
        "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "BucketNotEmpty"
        | "EntityAlreadyExists"
        | "DeleteConflict"
        | "LimitExceeded" => Trouble::Refused,
        _ => Trouble::of_status(status),
    }
}

/// No answer: no credentials, no connection, or nobody knows what happened.
fn unanswered<E: Failed>(doing: &str, error: &SdkError<E, HttpResponse>) -> CloudError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<CloudError>() {
            return CloudError {
                doing: doing.to_owned(),
                ..ours.clone()
            };
        }
        if cause.is::<CredentialsError>() {
            if let Some(ours) = cause
                .source()
                .and_then(|why| why.downcast_ref::<CloudError>())
            {
                let answer = format!("no credentials for AWS: {}: {}", ours.doing, ours.answer);
                return CloudError {
                    doing: doing.to_owned(),
                    answer,
                    ..ours.clone()
                };
            }
            let why = cause
                .source()
                .map(|why| format!(" ({})", chain(why)))
                .unwrap_or_default();
            let what = format!(
                "no credentials for AWS: not in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in a profile, and none \
                 from a role{why}"
            );
            return CloudError::aws(doing, Trouble::Denied, what);
        }
        source = cause.source();
    }
    match error {
        SdkError::TimeoutError(_) => {
            CloudError::aws(doing, Trouble::Ambiguous, "no answer in time")
        }
        SdkError::DispatchFailure(failure) => {
            let connector = failure.as_connector_error();
            let never = connector.is_some_and(|error| error.is_io() || error.is_user());
            let trouble = if never {
                Trouble::Unreachable
            } else {
                Trouble::Ambiguous
            };
            CloudError::aws(
                doing,
                trouble,
                connector.map_or_else(|| chain(error), |error| chain(error)),
            )
        }
        SdkError::ConstructionFailure(_) => CloudError::aws(doing, Trouble::Refused, chain(error)),
        _ => CloudError::aws(doing, Trouble::Ambiguous, chain(error)),
    }
}

/// Whether an error is one of these: codes, or a code and words of its message.
fn is_one_of<E: Failed>(error: &SdkError<E, HttpResponse>, these: &[&str]) -> bool {
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
pub(super) struct Pauses {
    speed: f64,
    next: Duration,
    left: Duration,
}

impl Pauses {
    pub(super) fn new(speed: f64) -> Self {
        Self {
            speed: bounded(speed),
            next: FIRST_PAUSE,
            left: PATIENCE,
        }
    }

    /// Waits for the next try; false when patience is over.
    pub(super) async fn wait(&mut self) -> bool {
        if self.left.is_zero() {
            return false;
        }
        let pause = self.next.min(self.left);
        tokio::time::sleep(pause.div_f64(self.speed)).await;
        self.left -= pause;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Carries a call out, and again while the answer is one of these.
pub(super) async fn again<
    T,
    E: Failed,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
>(
    speed: f64,
    doing: &str,
    these: &[&str],
    call: impl Fn() -> F,
) -> Result<T, CloudError> {
    let mut pauses = Pauses::new(speed);
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if is_one_of(&error, these) && pauses.wait().await => {
                tracing::debug!(doing, code = code(&error), "not yet, trying again");
            }
            Err(error) => return Err(failed(doing, &error)),
        }
    }
}
