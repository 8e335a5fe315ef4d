//! Credentials from the identity of a GitHub Actions job, without a step of its own in the workflow. Unlike keys that
//! such a step exports, these are renewed: a job may run for longer than a session.
//!
//! Source of the protocol: GitHub's documentation of OpenID Connect for Actions (`ACTIONS_ID_TOKEN_REQUEST_URL`).

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use serde::Deserialize;

use super::again::failed;
use crate::{
    clouds::{
        Cloud, CloudError, Trouble,
        http::{self, Clients, Repeat},
        reach,
    },
    model::{Secret, know},
};

/// The audience that AWS expects; its own action asks for the same.
const AUDIENCE: &str = "sts.amazonaws.com";

/// A job that may ask for its identity: `permissions: id-token: write`.
#[derive(Clone, Debug)]
pub struct GitHubJob {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub token: Secret,
    /// The role to take, `AWS_ROLE_ARN`.
    pub role: String,
    /// What the session is called in AWS's logs.
    pub session: String,
}

/// Trades the job's identity for credentials, anew whenever they run out.
#[derive(Debug)]
pub(super) struct Exchange {
    job: GitHubJob,
    clients: Clients,
    sts: aws_sdk_sts::Client,
    speed: f64,
}

#[derive(Deserialize)]
struct Identity {
    value: String,
}

impl GitHubJob {
    /// `sts` asks without credentials: that a role is given to whoever has the identity is the point.
    pub(super) fn exchange(
        &self,
        sts: aws_sdk_sts::Client,
        speed: f64,
    ) -> Result<Exchange, String> {
        Ok(Exchange {
            job: self.clone(),
            clients: Clients::new([self.url.as_str()])?,
            sts,
            speed,
        })
    }
}

impl Exchange {
    async fn identity(&self) -> Result<String, CloudError> {
        let doing = "ask GitHub for the job's identity";
        let wrong = |trouble, what: String| CloudError::aws(doing, trouble, what);
        let GitHubJob { url, token, .. } = &self.job;
        let place = url.split('?').next().unwrap_or_default();
        reach::safe(place).map_err(|why| wrong(Trouble::Refused, why))?;
        let asked = self
            .clients
            .to(url)
            .get(url)
            .query(&[("audience", AUDIENCE)]);
        let asked = asked.bearer_auth(token.expose()).send().await;
        // The address may hold more than a log should.
        let answer = asked.map_err(|error| CloudError {
            cloud: Cloud::Aws,
            ..http::lost(doing, &error.without_url())
        })?;
        let status = answer.status();
        if !status.is_success() {
            let trouble = Trouble::of_status(status.as_u16());
            return Err(CloudError {
                status: Some(status.as_u16()),
                ..wrong(trouble, status.as_u16().to_string())
            });
        }
        let body = reach::body(doing, answer).await?;
        let identity: Identity = serde_json::from_slice(&body).map_err(|_| {
            wrong(
                Trouble::Unreadable,
                "the answer is something else".to_owned(),
            )
        })?;
        know(&identity.value);
        Ok(identity.value)
    }

    async fn credentials(&self) -> Result<Credentials, CloudError> {
        let identity = http::patiently(self.speed, Repeat::Safe, || self.identity()).await?;
        let GitHubJob { role, session, .. } = &self.job;
        let doing = format!("take the role {role} as this job");
        let asked = self.sts.assume_role_with_web_identity();
        let asked = asked
            .role_arn(role)
            .role_session_name(session)
            .web_identity_token(identity);
        let answer = asked.send().await.map_err(|error| failed(&doing, &error))?;
        let none = || {
            CloudError::aws(
                &doing,
                Trouble::Unreadable,
                "STS answered without credentials",
            )
        };
        let given = answer.credentials().ok_or_else(none)?;
        let until = std::time::SystemTime::try_from(*given.expiration()).ok();
        for secret in [given.secret_access_key(), given.session_token()] {
            know(secret);
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

impl ProvideCredentials for Exchange {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let given = async {
            self.credentials()
                .await
                .map_err(CredentialsError::provider_error)
        };
        future::ProvideCredentials::new(given)
    }
}
