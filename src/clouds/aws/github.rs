//! Credentials from the identity of a GitHub Actions job, without a step of its own in the workflow. Unlike keys that
//! such a step exports, these are renewed: a job may run for longer than a session.
//!
//! Source of the protocol: GitHub's documentation of OpenID Connect for Actions (`ACTIONS_ID_TOKEN_REQUEST_URL`).

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use serde::Deserialize;

use super::Settings;
use crate::{
    clouds::{chain, http::Certificates, reach},
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
    http: reqwest::Client,
    sts: aws_sdk_sts::Client,
}

#[derive(Deserialize)]
struct Identity {
    value: String,
}

impl GitHubJob {
    pub(super) fn exchange(&self, settings: &Settings) -> Result<Exchange, String> {
        let mut sts = aws_sdk_sts::config::Builder::new()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(settings.region.clone()));
        if let Some(url) = settings.endpoints.sts.as_ref().or(settings.endpoint.as_ref()) {
            sts = sts.endpoint_url(url);
        }
        let sts = aws_sdk_sts::Client::from_conf(sts.build());
        Ok(Exchange { job: self.clone(), http: crate::clouds::http::client(Certificates::System)?, sts })
    }
}

impl Exchange {
    async fn identity(&self) -> Result<String, String> {
        let GitHubJob { url, token, .. } = &self.job;
        reach::safe(url.split('?').next().unwrap_or_default())?;
        let asked = self.http.get(url).query(&[("audience", AUDIENCE)]).bearer_auth(token.expose());
        let answer = asked.send().await.map_err(|error| chain(&error.without_url()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("GitHub answered {} to the request for the job's identity", status.as_u16()));
        }
        let body = reach::body("", answer).await.map_err(|error| error.answer)?;
        let wrong = |_| "GitHub answered the request for the job's identity with something else".to_owned();
        let identity: Identity = serde_json::from_slice(&body).map_err(wrong)?;
        know(&identity.value);
        Ok(identity.value)
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let identity = self.identity().await?;
        let GitHubJob { role, session, .. } = &self.job;
        let asked = self.sts.assume_role_with_web_identity();
        let asked = asked.role_arn(role).role_session_name(session).web_identity_token(identity);
        let answer = asked.send().await.map_err(|error| {
            let error = super::again::failed("take a role", &error);
            format!("STS did not give the job the role {role}: {}", error.answer)
        })?;
        let given = answer.credentials().ok_or("STS answered without credentials")?;
        let until = std::time::SystemTime::try_from(*given.expiration()).ok();
        for secret in [given.secret_access_key(), given.session_token()] {
            know(secret);
        }
        let session = Some(given.session_token().to_owned());
        Ok(Credentials::new(given.access_key_id(), given.secret_access_key(), session, until, "GitHubJob"))
    }
}

impl ProvideCredentials for Exchange {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let given = async { self.credentials().await.map_err(CredentialsError::provider_error) };
        future::ProvideCredentials::new(given)
    }
}
