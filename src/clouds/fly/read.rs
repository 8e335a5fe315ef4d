//! The reads. Every list is complete or an error: a page that is missing would read as "these are gone".

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::wire;
use crate::clouds::{
    ApiClient, CloudError, ErrorKind, ProbeResponse, RateLimitedAction,
    http::{ApiRequest, ClientConfig, Idempotency},
    probe::ProbeClient,
};

/// A client of the Machines API that cannot write.
#[derive(Clone, Debug)]
pub struct FlyReader {
    pub(super) http: ApiClient,
    /// The client of the API that has the logs.
    pub(super) logs_client: Option<ApiClient>,
    /// The client of the API that has the organizations.
    uiex_client: Option<ApiClient>,
    probe_client: ProbeClient,
}

/// The most machines that a page of an organization's list may hold.
const ORG_MACHINES_PAGE_SIZE: u32 = 1000;
/// The most certificates that a page may hold.
const CERTIFICATES_PAGE_SIZE: u32 = 500;

impl FlyReader {
    /// A client for one base URL and token.
    ///
    /// # Errors
    /// When the token cannot be sent, or TLS cannot be set up.
    pub fn new(settings: &ClientConfig) -> Result<Self, CloudError> {
        let http = ApiClient::new(settings)?;
        let logs = settings
            .logs_url
            .as_deref()
            .map(|base| http.with_base_url(base));
        let uiex = settings
            .uiex_url
            .as_deref()
            .map(|base| http.with_bearer_auth(base));
        Ok(Self {
            http,
            logs_client: logs,
            uiex_client: uiex,
            probe_client: ProbeClient::new(settings)?,
        })
    }

    /// The count of this run's requests.
    pub(in crate::clouds) fn request_counter(
        &self,
    ) -> &crate::clouds::request_counter::RequestCounter {
        self.http.request_counter()
    }

    /// Rests between two looks, scaled by the speed.
    pub async fn sleep_scaled(&self, length: std::time::Duration) {
        self.http.sleep_scaled(length).await;
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.http.request_count()
    }

    /// Whether a [`Fuse`](crate::clouds::Fuse) has burnt in this run: it has fallen silent.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.http.has_crashed()
    }

    /// Looks at a page as any visitor would, without our token: a path of a host such as `draft-app.fly.dev`, over HTTPS.
    ///
    /// # Errors
    /// When there is no answer within ten seconds, or no page at the end of five redirects. A page that says 503 is an
    /// answer.
    pub async fn probe(&self, host: &str, path: &str) -> Result<ProbeResponse, CloudError> {
        self.probe_client.probe(host, path).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        action: RateLimitedAction,
        identifier: &str,
        path: String,
        doing: String,
    ) -> Result<T, CloudError> {
        Self::get_from(&self.http, action, identifier, path, doing).await
    }

    pub(super) async fn get_from<T: DeserializeOwned>(
        http: &ApiClient,
        action: RateLimitedAction,
        identifier: &str,
        path: String,
        doing: String,
    ) -> Result<T, CloudError> {
        let body = None;
        let repeat = Idempotency::Idempotent;
        http.send(&ApiRequest {
            method: Method::GET,
            path,
            body,
            action,
            identifier,
            idempotency: repeat,
            operation: doing,
        })
        .await
    }

    /// One app. A name that another organization holds is [`Trouble::Denied`]; a free name is not found.
    ///
    /// # Errors
    /// As every request.
    pub async fn get_app(&self, app: &str) -> Result<wire::AppResponse, CloudError> {
        let doing = format!("look up app {app}");
        self.get(
            RateLimitedAction::Other("app get"),
            app,
            format!("/v1/apps/{app}"),
            doing,
        )
        .await
    }

    /// The own slug of an organization (`raw_slug`): for a personal one the common slug is only the alias `personal`, and
    /// tokens are issued under its own.
    ///
    /// # Errors
    /// As every request.
    pub async fn get_org_raw_slug(&self, org: &str) -> Result<String, CloudError> {
        let doing = format!("look up the organization {org}");
        let none = || CloudError::new(&doing, ErrorKind::Rejected, "there is no address to ask");
        let http = self.uiex_client.as_ref().ok_or_else(none)?;
        let path = format!("/api/v1/organizations/{org}");
        let answer: wire::OrganizationResponse = Self::get_from(
            http,
            RateLimitedAction::Other("org get"),
            org,
            path,
            doing.clone(),
        )
        .await?;
        Ok(answer.organization.raw_slug)
    }

    /// The machines of an app, without those that are gone.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_machines(&self, app: &str) -> Result<Vec<wire::MachineResponse>, CloudError> {
        let doing = format!("list the machines of {app}");
        let path = format!("/v1/apps/{app}/machines");
        let all: Option<Vec<wire::MachineResponse>> = self
            .get(RateLimitedAction::Other("machine list"), app, path, doing)
            .await?;
        let there = |machine: &wire::MachineResponse| {
            !matches!(machine.state.as_str(), "destroyed" | "destroying")
        };
        Ok(all.unwrap_or_default().into_iter().filter(there).collect())
    }

    /// One machine.
    ///
    /// # Errors
    /// As every request.
    pub async fn get_machine(
        &self,
        app: &str,
        id: &str,
    ) -> Result<wire::MachineResponse, CloudError> {
        let doing = format!("look up machine {id} of {app}");
        self.get(
            RateLimitedAction::GetMachine,
            id,
            format!("/v1/apps/{app}/machines/{id}"),
            doing,
        )
        .await
    }

    /// The configurations that a machine has had, newest first.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_machine_versions(
        &self,
        app: &str,
        id: &str,
    ) -> Result<Vec<wire::MachineVersion>, CloudError> {
        let doing = format!("list the versions of machine {id} of {app}");
        let path = format!("/v1/apps/{app}/machines/{id}/versions");
        let all: Option<Vec<wire::MachineVersion>> = self
            .get(
                RateLimitedAction::Other("machine versions"),
                id,
                path,
                doing,
            )
            .await?;
        let mut all = all.unwrap_or_default();
        // The documentation promises no order. A version is a ULID, whose first ten characters are its time.
        all.sort_by(|a, b| b.version.get(..10).cmp(&a.version.get(..10)));
        Ok(all)
    }

    /// The volumes of an app, without those that are gone or going.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_volumes(&self, app: &str) -> Result<Vec<wire::VolumeResponse>, CloudError> {
        let doing = format!("list the volumes of {app}");
        let path = format!("/v1/apps/{app}/volumes");
        let all: Option<Vec<wire::VolumeResponse>> = self
            .get(RateLimitedAction::Other("volume list"), app, path, doing)
            .await?;
        let going = [
            "scheduling_destroy",
            "pending_destroy",
            "destroying",
            "destroyed",
            "fork_cleanup",
            "waiting_for_detach",
        ];
        Ok(all
            .unwrap_or_default()
            .into_iter()
            .filter(|volume| !going.contains(&volume.state.as_str()))
            .collect())
    }

    /// The secrets of an app: names and digests.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_secrets(&self, app: &str) -> Result<Vec<wire::AppSecret>, CloudError> {
        let doing = format!("list the secrets of {app}");
        let path = format!("/v1/apps/{app}/secrets");
        self.get(RateLimitedAction::Other("secret list"), app, path, doing)
            .await
            .map(|list: wire::AppSecrets| list.secrets)
    }

    /// The addresses of an app.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_ips(&self, app: &str) -> Result<Vec<wire::IpAssignment>, CloudError> {
        let doing = format!("list the IP addresses of {app}");
        let path = format!("/v1/apps/{app}/ip_assignments");
        self.get(RateLimitedAction::Other("ip list"), app, path, doing)
            .await
            .map(|list: wire::IpAssignmentsResponse| list.ips)
    }

    /// The certificates of an app, all pages.
    ///
    /// # Errors
    /// As every request.
    pub async fn list_certificates(
        &self,
        app: &str,
    ) -> Result<Vec<wire::CertificateSummary>, CloudError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let doing = format!("list the certificates of {app}");
            let from = if cursor.is_empty() {
                String::new()
            } else {
                format!("&cursor={}", percent_encode(&cursor))
            };
            let path = format!("/v1/apps/{app}/certificates?limit={CERTIFICATES_PAGE_SIZE}{from}");
            let page: wire::CertificatesResponse = self
                .get(
                    RateLimitedAction::Other("certificate list"),
                    app,
                    path,
                    doing.clone(),
                )
                .await?;
            all.extend(page.certificates);
            match page.next_cursor {
                end if end.is_empty() => return Ok(all),
                same if same == cursor => return Err(repeated_page_error(&doing)),
                next => cursor = next,
            }
        }
    }

    /// Every machine of an organization, in overview, all pages.
    ///
    /// # Errors
    /// As every request; also when a region did not answer, since the list is then not complete.
    pub async fn list_org_machines(&self, org: &str) -> Result<Vec<wire::OrgMachine>, CloudError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let doing = format!("list the machines of the organization {org}");
            let from = if cursor.is_empty() {
                String::new()
            } else {
                format!("&cursor={}", percent_encode(&cursor))
            };
            let path = format!("/v1/orgs/{org}/machines?limit={ORG_MACHINES_PAGE_SIZE}{from}");
            let page: wire::OrgMachinesResponse = self
                .get(
                    RateLimitedAction::Other("org machine list"),
                    org,
                    path,
                    doing.clone(),
                )
                .await?;
            if !page.error_regions.is_empty() {
                let what = format!(
                    "these regions did not answer: {}",
                    page.error_regions.join(", ")
                );
                return Err(CloudError::new(doing, ErrorKind::Ambiguous, what));
            }
            all.extend(page.machines);
            match page.next_cursor {
                end if end.is_empty() => return Ok(all),
                same if same == cursor => return Err(repeated_page_error(&doing)),
                next => cursor = next,
            }
        }
    }
}

fn repeated_page_error(doing: &str) -> CloudError {
    CloudError::new(
        doing,
        ErrorKind::InvalidResponse,
        "the server answered the same page twice",
    )
}

/// Escapes a value for a query.
fn percent_encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes()
        .map(|byte| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
