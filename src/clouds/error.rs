//! Errors of requests to a cloud, classified by what the caller can do about them.

/// A failed request to a cloud.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    /// The operation, such as `create a machine in draft-app`.
    pub operation: String,
    /// The server's error message, or why there was no response.
    pub message: String,
    /// The class of the error.
    pub kind: ErrorKind,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The cloud's request id, to quote to its support.
    pub request_id: Option<String>,
    /// The cloud that the request was sent to.
    pub cloud: CloudProvider,
}

/// Messages of AWS that say more than the class of the error, and what to do about them.
const AWS_HINTS: [(&str, &str); 8] = [
    (
        "no credentials for AWS",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE after `aws sso login`; a GitHub job needs \
         `permissions: id-token: write` and AWS_ROLE_ARN",
    ),
    (
        "ExpiredToken",
        "these credentials have run out: get new ones, such as by `aws sso login`",
    ),
    // Trimtab writes a public policy only where the bucket's own block allows it.
    (
        "BlockPublicPolicy",
        "the account's own public access block forbids it, and not the rights of these credentials: see \
         `aws s3control get-public-access-block --account-id ACCOUNT`; lift it there, or take the public statement out",
    ),
    (
        "InvalidBucketAclWithObjectOwnership",
        "the bucket's ACL grants something to others: set `ownership = \"ObjectWriter\"` in its block, or take the grants \
         off with `aws s3api put-bucket-acl --acl private --bucket NAME`",
    ),
    (
        "Invalid principal",
        "a principal of this policy does not exist: create it first, or name its account and restrict `aws:PrincipalArn` in \
         a condition",
    ),
    (
        "explicit deny in a resource-based policy",
        "the bucket's own policy denies this, whatever these credentials may do: see `aws s3api get-bucket-policy --bucket \
         NAME`; use credentials that it does not deny, or take the statement out there, and run the same command again",
    ),
    (
        "remove roles from instance profile",
        "take the role out of the profile first: `aws iam remove-role-from-instance-profile`",
    ),
    (
        "kms:Decrypt",
        "the object is encrypted with a KMS key that these credentials may not use: grant `kms:Decrypt` on the key that the \
         message names",
    ),
];

/// The cloud providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloudProvider {
    /// Fly.io, and image registries.
    #[default]
    Fly,
    /// AWS.
    Aws,
    /// GitHub.
    GitHub,
}

/// The classes of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object does not exist (404).
    NotFound,
    /// Somebody else holds the object or changed it first (409, 412).
    Conflict,
    /// The request was invalid (400, 422 and other 4xx), or could not be sent as configured.
    Rejected,
    /// The token is missing, invalid, or lacks the permission (401, 403).
    PermissionDenied,
    /// Too many requests, even after retries (429).
    Throttled,
    /// The server failed or did not answer; the operation may or may not have been performed (408,
    /// 5xx, a lost connection).
    Ambiguous,
    /// No connection could be made, so nothing was changed.
    Unreachable,
    /// The response could not be parsed.
    InvalidResponse,
    /// The operation was performed but had the wrong result, such as a machine that does not start.
    Failed,
    /// The operation would interrupt a running job. A later apply performs it.
    Busy,
}

impl ErrorKind {
    /// The class of an HTTP status.
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        match status {
            404 => Self::NotFound,
            409 | 412 => Self::Conflict,
            401 | 403 => Self::PermissionDenied,
            429 => Self::Throttled,
            408 | 500.. => Self::Ambiguous,
            _ => Self::Rejected,
        }
    }
}

impl CloudError {
    /// An error without a status or request id.
    #[must_use]
    pub fn new(operation: impl Into<String>, kind: ErrorKind, message: impl Into<String>) -> Self {
        let (status, request_id, cloud) = (None, None, CloudProvider::Fly);
        Self {
            operation: operation.into(),
            message: message.into(),
            kind,
            status,
            request_id,
            cloud,
        }
    }

    /// The same for a request to AWS.
    #[must_use]
    pub fn new_aws(
        operation: impl Into<String>,
        kind: ErrorKind,
        message: impl Into<String>,
    ) -> Self {
        Self {
            cloud: CloudProvider::Aws,
            ..Self::new(operation, kind, message)
        }
    }

    /// Whether the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// What stands before the permission that a token lacks, in the messages of GitHub.
    pub(super) const NEEDED_PERMISSION: &str = "the token needs ";

    /// The permission that the token lacks, where GitHub has named it, such as `secrets=read`.
    #[must_use]
    pub fn needed_permission(&self) -> Option<&str> {
        let (_, permission) = self.message.rsplit_once(Self::NEEDED_PERMISSION)?;
        Some(permission)
    }

    /// Whether it is unknown if the operation was performed.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.kind == ErrorKind::Ambiguous
    }

    /// What the user can do about an error of GitHub.
    fn github_hint(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::PermissionDenied if self.message.contains("locked") => {
                Some("unlock the conversation; the summary of the run has the same text")
            }
            ErrorKind::PermissionDenied => Some(
                "give the job the permission in its `permissions:`; a pull request from a fork or from Dependabot has only a token that \
                 reads",
            ),
            ErrorKind::NotFound => {
                Some("GitHub also says this of what the token may not see: check its rights")
            }
            ErrorKind::Throttled => Some("wait until GitHub's limit allows more, and run it again"),
            ErrorKind::Ambiguous | ErrorKind::Unreachable => Some("run the same command again"),
            _ => None,
        }
    }

    /// What the user can do about errors of this class, if anything.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        if self.cloud == CloudProvider::Aws
            && let Some((_, hint)) = AWS_HINTS
                .iter()
                .find(|(text, _)| self.message.contains(text))
        {
            return Some(hint);
        }
        if self.cloud == CloudProvider::GitHub {
            return self.github_hint();
        }
        match self.kind {
            ErrorKind::PermissionDenied if self.cloud == CloudProvider::Aws => Some(
                "check whose credentials these are: `aws sts get-caller-identity`; `trimtab permissions ENV` prints what they must allow",
            ),
            ErrorKind::PermissionDenied => {
                Some("check which token is used and what it may do: `fly tokens list`")
            }
            ErrorKind::Unreachable if self.message.contains("refused") => Some(
                "nothing listens there: check the address, or start the sandbox again, and run the same command again",
            ),
            ErrorKind::Throttled | ErrorKind::Ambiguous | ErrorKind::Unreachable => {
                Some("run the same command again: what was done is not done twice")
            }
            ErrorKind::Conflict => Some(
                "something else is changing it: wait until it has ended, then run the same command again",
            ),
            ErrorKind::Busy => Some("run the same command again when the job has ended"),
            _ => None,
        }
    }
}

/// Formats an error and its chain of causes in one line.
pub(crate) fn format_error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
