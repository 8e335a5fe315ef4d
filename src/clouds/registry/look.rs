//! One look at one manifest: the redirects, the challenge, and the digest in the answer.

use std::sync::atomic::Ordering;

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Inner, challenge::Challenge};
use crate::clouds::{
    CloudError, Trouble,
    http::lost,
    reach::{self, is_loopback},
};

/// What a manifest may be. A registry that is not told would answer with a form that has another digest.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Where registries put the digest of what they answer with.
const DIGEST: &str = "docker-content-digest";
/// Redirects and challenges before a registry counts as broken. The longest known way is a redirect to a region and
/// a challenge there.
const HOPS: usize = 5;
/// The largest manifest that registries take (distribution specification, "pushing manifests").
const LARGEST: usize = 4 << 20;

/// One look.
pub(super) struct Look<'a> {
    inner: &'a Inner,
    doing: &'a str,
    home: &'a Url,
    /// For where it may be sent, and for nowhere else.
    authorization: Option<(Url, HeaderValue)>,
    /// The same as it was at first: a token may be asked for with it, at the same place.
    account: Option<&'a HeaderValue>,
    challenged: bool,
}

/// What a realm gives out; registries differ in the key.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        inner: &'a Inner,
        doing: &'a str,
        home: &'a Url,
        account: Option<&'a HeaderValue>,
    ) -> Self {
        let authorization = account.map(|header| (home.clone(), header.clone()));
        Self {
            inner,
            doing,
            home,
            authorization,
            account,
            challenged: false,
        }
    }

    /// The digest: from the header, or of the manifest itself where a registry sends no header.
    pub(super) async fn digest(mut self) -> Result<String, CloudError> {
        let answer = self.send(&Method::HEAD).await?;
        let headless = matches!(
            answer.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        if !headless {
            let answer = self.accepted(answer)?;
            if let Some(digest) = digest(answer.headers()) {
                return Ok(digest);
            }
        }
        let answer = self.send(&Method::GET).await?;
        let answer = self.accepted(answer)?;
        match digest(answer.headers()) {
            Some(digest) => Ok(digest),
            None => self.hash(answer).await,
        }
    }

    async fn hash(&self, mut answer: Response) -> Result<String, CloudError> {
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|error| lost(self.doing, &error))?
        {
            size += part.len();
            if size > LARGEST {
                return Err(self.wrong(
                    Trouble::Unreadable,
                    "the answer is too large for a manifest",
                ));
            }
            hash.update(&part);
        }
        let digits: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(format!("sha256:{digits}"))
    }

    /// Sends a request, goes where it is pointed to, and gets a token where one is asked for.
    async fn send(&mut self, method: &Method) -> Result<Response, CloudError> {
        let mut url = self.home.clone();
        for _ in 0..HOPS {
            let answer = self.ask(method, &url, self.authorization_for(&url)).await?;
            if let Some(next) = self.pointed(&answer, &url)? {
                url = next;
                continue;
            }
            match challenge(&answer).filter(|_| !self.challenged) {
                Some(challenge) => self.challenged(&challenge, &url).await?,
                None => return Ok(answer),
            }
        }
        Err(self.wrong(
            Trouble::Unreadable,
            "the registry points from one place to the next without end",
        ))
    }

    fn authorization_for(&self, url: &Url) -> Option<HeaderValue> {
        let here = self
            .authorization
            .as_ref()
            .filter(|(place, _)| place.origin() == url.origin());
        here.map(|(_, header)| header.clone())
    }

    async fn ask(
        &self,
        method: &Method,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, CloudError> {
        self.inner.sent.fetch_add(1, Ordering::Relaxed);
        let mut request = self
            .inner
            .clients
            .to(url.as_str())
            .request(method.clone(), url.clone())
            .header(ACCEPT, ACCEPTED);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| lost(self.doing, &error))?;
        tracing::debug!(%method, host = url.host_str(), path = url.path(), status = answer.status().as_u16());
        Ok(answer)
    }

    /// Where a redirect points.
    fn pointed(&self, answer: &Response, from: &Url) -> Result<Option<Url>, CloudError> {
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        match location.filter(|_| answer.status().is_redirection()) {
            None => Ok(None),
            Some(location) => self.safe(from.join(location).ok()).map(Some),
        }
    }

    /// An address that may be asked: over TLS, or on this machine where the registry itself is.
    fn safe(&self, url: Option<Url>) -> Result<Url, CloudError> {
        let local =
            |url: &Url| url.scheme() == "http" && is_loopback(url) && is_loopback(self.home);
        url.filter(|url| url.scheme() == "https" || local(url))
            .ok_or_else(|| {
                self.wrong(
                    Trouble::Refused,
                    "the registry points to an address that is not safe to ask",
                )
            })
    }

    /// Gets the token that a challenge asks for; it counts where the challenge came from.
    async fn challenged(&mut self, challenge: &Challenge, at: &Url) -> Result<(), CloudError> {
        self.challenged = true;
        let mut realm = self.safe(Url::parse(&challenge.realm).ok())?;
        for (name, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                realm.query_pairs_mut().append_pair(name, value);
            }
        }
        let at_home = at.origin() == self.home.origin() && realm.origin() == self.home.origin();
        let account = self.account.filter(|_| at_home).cloned();
        let answer = self.ask(&Method::GET, &realm, account).await?;
        let answer = self.accepted(answer)?;
        let given = reach::body(self.doing, answer).await?;
        let given: Given = serde_json::from_slice(&given).map_err(|_| {
            self.wrong(
                Trouble::Unreadable,
                "the registry gave no token where it points to",
            )
        })?;
        let token = given.token.or(given.access_token).unwrap_or_default();
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            self.wrong(
                Trouble::Unreadable,
                "the registry gave a token that cannot be sent",
            )
        })?;
        header.set_sensitive(true);
        self.authorization = Some((at.clone(), header));
        Ok(())
    }

    /// An answer that says yes.
    fn accepted(&self, answer: Response) -> Result<Response, CloudError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let words = status.canonical_reason().unwrap_or_default().to_lowercase();
        let request_id = answer
            .headers()
            .get("fly-request-id")
            .and_then(|id| id.to_str().ok());
        Err(CloudError {
            status: Some(status.as_u16()),
            request_id: request_id.map(str::to_owned),
            cloud: crate::clouds::Cloud::Fly,
            ..self.wrong(
                Trouble::of_status(status.as_u16()),
                format!("{} {words}", status.as_u16()).trim_end(),
            )
        })
    }

    fn wrong(&self, trouble: Trouble, what: &str) -> CloudError {
        CloudError::new(self.doing, trouble, what)
    }
}

fn digest(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get(DIGEST)?.to_str().ok()?;
    crate::model::Image::parse(&format!("x@{digest}"))
        .ok()
        .map(|_| digest.to_owned())
}

fn challenge(answer: &Response) -> Option<Challenge> {
    if answer.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let headers = answer.headers().get_all(WWW_AUTHENTICATE).into_iter();
    headers
        .filter_map(|header| header.to_str().ok())
        .find_map(Challenge::read)
}
