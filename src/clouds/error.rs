//! What can go wrong on the wire, sorted by what the caller can do about it.

/// A request that did not do what it was sent for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    /// What was being done, such as `create a machine in draft-app`.
    pub operation: String,
    /// What the server answered, or why there was no answer.
    pub message: String,
    /// The sort of trouble.
    pub kind: ErrorKind,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The cloud's id of the request, to quote to support.
    pub request_id: Option<String>,
    /// Which cloud it was.
    pub cloud: CloudProvider,
}

/// The clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloudProvider {
    /// Fly.io, and the registries beside it.
    #[default]
    Fly,
    /// AWS.
    Aws,
}

/// The sorts of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is not there (404).
    NotFound,
    /// Somebody else holds it or changed it first (409, 412).
    Conflict,
    /// The request is not acceptable as it is (400, 422 and other 4xx).
    Rejected,
    /// The token is missing, wrong, or not for this (401, 403).
    PermissionDenied,
    /// Too many requests, even after waiting (429).
    Throttled,
    /// The server failed or did not answer, and may have done it (408, 5xx, a lost connection).
    Ambiguous,
    /// No connection could be made, so nothing was done.
    Unreachable,
    /// The answer could not be understood.
    InvalidResponse,
    /// It was done, and did not come to what it should: a machine that does not start.
    Failed,
    /// It cannot be done now without harm: a job is running. A later apply does it.
    Busy,
}

impl ErrorKind {
    /// The trouble that a status means.
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
    /// An error without an answer from a server.
    #[must_use]
    pub fn new(doing: impl Into<String>, trouble: ErrorKind, answer: impl Into<String>) -> Self {
        let (status, request_id, cloud) = (None, None, CloudProvider::Fly);
        Self {
            operation: doing.into(),
            message: answer.into(),
            kind: trouble,
            status,
            request_id,
            cloud,
        }
    }

    /// The same for AWS.
    #[must_use]
    pub fn new_aws(
        doing: impl Into<String>,
        trouble: ErrorKind,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            cloud: CloudProvider::Aws,
            ..Self::new(doing, trouble, answer)
        }
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Whether the operation may have been done all the same.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.kind == ErrorKind::Ambiguous
    }

    /// What the user can do next, where the sort of trouble says it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::PermissionDenied if self.message.contains("no credentials for AWS") => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE after `aws sso login`; a GitHub job needs \
                 `permissions: id-token: write` and AWS_ROLE_ARN",
            ),
            ErrorKind::PermissionDenied if self.message.contains("ExpiredToken") => {
                Some("these credentials have run out: get new ones, such as by `aws sso login`")
            }
            ErrorKind::PermissionDenied if self.cloud == CloudProvider::Aws => Some(
                "check whose credentials these are: `aws sts get-caller-identity`; `trimtab permissions ENV` prints what they must allow",
            ),
            ErrorKind::PermissionDenied => {
                Some("check which token is used and what it may do: `fly tokens list`")
            }
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

/// An error and its causes in one line.
pub(crate) fn format_error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
