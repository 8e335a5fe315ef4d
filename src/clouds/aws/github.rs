//! Credentials from the identity of a GitHub Actions job, without a step of its own in the workflow. Unlike keys that
//! such a step exports, these are renewed: a job may run for longer than a session.
//!
//! Source of the protocol: GitHub's documentation of OpenID Connect for Actions (`ACTIONS_ID_TOKEN_REQUEST_URL`).

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

/// The audience that AWS expects; its own action asks for the same.
const AUDIENCE: &str = "sts.amazonaws.com";

/// A job that may ask for its identity: `permissions: id-token: write`.
#[derive(Clone, Debug)]
pub struct GitHubJob {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub request_url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub request_token: Secret,
    /// The role to take, `AWS_ROLE_ARN`.
    pub role_arn: String,
    /// What the session is called in AWS's logs.
    pub session_name: String,
}

/// Trades the job's identity for credentials, anew whenever they run out.
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
    /// `sts` asks without credentials: that a role is given to whoever has the identity is the point.
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
        let doing = "ask GitHub for the job's identity";
        let wrong = |trouble, what: String| CloudError::new_aws(doing, trouble, what);
        let GitHubJob {
            request_url: url,
            request_token: token,
            ..
        } = &self.job;
        let place = url.split('?').next().unwrap_or_default();
        endpoint::parse_token_url(place).map_err(|why| wrong(ErrorKind::Rejected, why))?;
        let asked = self
            .clients
            .for_url(url)
            .get(url)
            .query(&[("audience", AUDIENCE)]);
        let asked = asked.bearer_auth(token.expose()).send().await;
        // The address may hold more than a log should.
        let answer = asked.map_err(|error| CloudError {
            cloud: CloudProvider::Aws,
            ..http::connection_error(doing, &error.without_url())
        })?;
        let status = answer.status();
        if !status.is_success() {
            let trouble = ErrorKind::from_status(status.as_u16());
            return Err(CloudError {
                status: Some(status.as_u16()),
                ..wrong(trouble, status.as_u16().to_string())
            });
        }
        let body = endpoint::read_body(doing, answer).await?;
        let identity: IdTokenResponse = serde_json::from_slice(&body).map_err(|_| {
            wrong(
                ErrorKind::InvalidResponse,
                "the answer is something else".to_owned(),
            )
        })?;
        register_secret(&identity.value);
        Ok(identity.value)
    }

    async fn assume_role(&self) -> Result<Credentials, CloudError> {
        let identity = http::retry_with_backoff(self.speed, Idempotency::Idempotent, || {
            self.request_id_token()
        })
        .await?;
        let GitHubJob {
            role_arn: role,
            session_name: session,
            ..
        } = &self.job;
        let doing = format!("take the role {role} as this job");
        let asked = self.sts.assume_role_with_web_identity();
        let asked = asked
            .role_arn(role)
            .role_session_name(session)
            .web_identity_token(identity);
        let answer = asked
            .send()
            .await
            .map_err(|error| to_cloud_error(&doing, &error))?;
        let none = || {
            CloudError::new_aws(
                &doing,
                ErrorKind::InvalidResponse,
                "STS answered without credentials",
            )
        };
        let given = answer.credentials().ok_or_else(none)?;
        let until = std::time::SystemTime::try_from(*given.expiration()).ok();
        for secret in [given.secret_access_key(), given.session_token()] {
            register_secret(secret);
        }
        let session = Some(given.session_token().to_owned());
        Ok(Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            session,
            until,
            "GitHubJob",
        ))
    }
}

impl ProvideCredentials for GitHubCredentialsProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let given = async {
            self.assume_role()
                .await
                .map_err(CredentialsError::provider_error)
        };
        future::ProvideCredentials::new(given)
    }
}
