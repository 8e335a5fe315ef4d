//! AWS credentials from the identity of a GitHub Actions job, without an extra step in the
//! workflow. Credentials that a step exports expire in the middle of a long job; these are renewed.
//!
//! Protocol: GitHub's documentation of OpenID Connect for Actions (`ACTIONS_ID_TOKEN_REQUEST_URL`).

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use serde::Deserialize;

use super::retry::to_cloud_error;
use crate::{
    clouds::{
        CloudError, CloudProvider, ErrorKind, endpoint,
        http::{self, HttpClients, Idempotency},
    },
    model::{Secret, register_secret},
};

/// The audience of the ID token. AWS's own GitHub action requests the same one.
const AUDIENCE: &str = "sts.amazonaws.com";

/// A job with `permissions: id-token: write`, which may request ID tokens.
#[derive(Clone, Debug)]
pub struct GitHubJob {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub request_url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub request_token: Secret,
    /// The role to assume, `AWS_ROLE_ARN`.
    pub role_arn: String,
    /// The session name, as it appears in CloudTrail.
    pub session_name: String,
}

/// Exchanges the job's ID token for credentials of the role. The SDK asks again when they are about
/// to expire.
#[derive(Debug)]
pub(super) struct GitHubCredentialsProvider {
    job: GitHubJob,
    clients: HttpClients,
    sts: aws_sdk_sts::Client,
    speed: f64,
}

#[derive(Deserialize)]
struct IdTokenResponse {
    value: String,
}

impl GitHubJob {
    /// `sts` must be a client without credentials: `AssumeRoleWithWebIdentity` is authenticated by
    /// the token alone.
    pub(super) fn credentials_provider(
        &self,
        sts: aws_sdk_sts::Client,
        speed: f64,
    ) -> Result<GitHubCredentialsProvider, String> {
        Ok(GitHubCredentialsProvider {
            job: self.clone(),
            clients: HttpClients::new([self.request_url.as_str()])?,
            sts,
            speed,
        })
    }
}

impl GitHubCredentialsProvider {
    async fn request_id_token(&self) -> Result<String, CloudError> {
        let operation = "ask GitHub for the job's identity";
        let request_error = |kind, what: String| CloudError::new_aws(operation, kind, what);
        let GitHubJob {
            request_url,
            request_token,
            ..
        } = &self.job;
        let base_url = request_url.split('?').next().unwrap_or_default();
        endpoint::parse_token_url(base_url)
            .map_err(|message| request_error(ErrorKind::Rejected, message))?;
        let request = self
            .clients
            .for_url(request_url)
            .get(request_url)
            .query(&[("audience", AUDIENCE)]);
        let request = request.bearer_auth(request_token.expose()).send().await;
        // The query string of the URL may be confidential, so it must not get into the error.
        let response = request.map_err(|error| CloudError {
            cloud: CloudProvider::Aws,
            ..http::connection_error(operation, &error.without_url())
        })?;
        let status = response.status();
        if !status.is_success() {
            let kind = ErrorKind::from_status(status.as_u16());
            return Err(CloudError {
                status: Some(status.as_u16()),
                ..request_error(kind, status.as_u16().to_string())
            });
        }
        let body = endpoint::read_body(operation, response).await?;
        let id_token: IdTokenResponse = serde_json::from_slice(&body).map_err(|_| {
            request_error(
                ErrorKind::InvalidResponse,
                "GitHub's response has no ID token".to_owned(),
            )
        })?;
        register_secret(&id_token.value);
        Ok(id_token.value)
    }

    async fn assume_role(&self) -> Result<Credentials, CloudError> {
        let id_token = http::retry_with_backoff(self.speed, Idempotency::Idempotent, || {
            self.request_id_token()
        })
        .await?;
        let GitHubJob {
            role_arn: role,
            session_name: session,
            ..
        } = &self.job;
        let operation = format!("take the role {role} as this job");
        let request = self.sts.assume_role_with_web_identity();
        let request = request
            .role_arn(role)
            .role_session_name(session)
            .web_identity_token(id_token);
        let response = request
            .send()
            .await
            .map_err(|error| to_cloud_error(&operation, &error))?;
        let missing = || {
            CloudError::new_aws(
                &operation,
                ErrorKind::InvalidResponse,
                "STS answered without credentials",
            )
        };
        let credentials = response.credentials().ok_or_else(missing)?;
        let expires = std::time::SystemTime::try_from(*credentials.expiration()).ok();
        for secret in [credentials.secret_access_key(), credentials.session_token()] {
            register_secret(secret);
        }
        let session = Some(credentials.session_token().to_owned());
        Ok(Credentials::new(
            credentials.access_key_id(),
            credentials.secret_access_key(),
            session,
            expires,
            "GitHubJob",
        ))
    }
}

impl ProvideCredentials for GitHubCredentialsProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let credentials = async {
            self.assume_role()
                .await
                .map_err(CredentialsError::provider_error)
        };
        future::ProvideCredentials::new(credentials)
    }
}
