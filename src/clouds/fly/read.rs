//! The read requests. Every list is complete or an error, because resources on a missing page would
//! look deleted.

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::{
    list_checks::{Listed, distinct},
    wire,
};
use crate::clouds::{
    ApiClient, CloudError, CloudProvider, ErrorKind, ProbeResponse, RateLimitedAction,
    endpoint::to_single_line,
    http::{ApiRequest, ClientConfig, Deadline, Idempotency},
    pages::PageLimit,
    probe::ProbeClient,
    url::{query_value, segment},
};

/// A client of the Machines API that cannot write.
#[derive(Clone, Debug)]
pub struct FlyReader {
    pub(super) http: ApiClient,
    /// The client of the logs API, if configured.
    pub(super) logs_client: Option<ApiClient>,
    /// The client of the GraphQL API, if configured.
    pub(super) graphql_client: Option<ApiClient>,
    /// The client of the organizations API, if configured.
    uiex_client: Option<ApiClient>,
    probe_client: ProbeClient,
}

/// The page size of an organization's machine list.
const ORG_MACHINES_PAGE_SIZE: u32 = 1000;
/// The page size of certificate lists.
const CERTIFICATES_PAGE_SIZE: u32 = 500;

impl FlyReader {
    /// A client of the Machines API.
    ///
    /// # Errors
    /// When the token cannot be sent, or TLS cannot be set up.
    pub fn new(config: &ClientConfig) -> Result<Self, CloudError> {
        let http = ApiClient::new(config)?;
        let logs_client = config
            .logs_url
            .as_deref()
            .map(|base_url| http.with_base_url(base_url));
        let graphql_client = config
            .logs_url
            .as_deref()
            .map(|base_url| http.with_bearer_auth(base_url));
        let uiex_client = config
            .uiex_url
            .as_deref()
            .map(|base_url| http.with_bearer_auth(base_url));
        Ok(Self {
            http,
            logs_client,
            graphql_client,
            uiex_client,
            probe_client: ProbeClient::new(config)?,
        })
    }

    /// The request counter of this run.
    pub(in crate::clouds) fn request_counter(
        &self,
    ) -> &crate::clouds::request_counter::RequestCounter {
        self.http.request_counter()
    }

    /// Sleeps for a duration of the server's clock, which a sandbox may run faster.
    pub async fn sleep_scaled(&self, duration: std::time::Duration) {
        self.http.sleep_scaled(duration).await;
    }

    /// The deadline in `secs` seconds of the server's clock.
    pub(crate) fn deadline_in(&self, secs: u64) -> Deadline {
        self.http.deadline_in(secs)
    }

    /// The number of requests sent so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.http.request_count()
    }

    /// The speed of the server's clock relative to Fly.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.http.speed()
    }

    /// Whether this run has reached a simulated crash, see
    /// [`CrashPoint`](crate::clouds::CrashPoint).
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.http.has_crashed()
    }

    /// Requests a page over HTTPS as any visitor would, without our token: `path` of a host such as
    /// `draft-app.fly.dev`.
    ///
    /// # Errors
    /// When there is no response within ten seconds, or after more than five redirects. A response
    /// with an error status is a response.
    pub async fn probe(&self, host: &str, path: &str) -> Result<ProbeResponse, CloudError> {
        self.probe_client.probe(host, path).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        action: RateLimitedAction,
        identifier: &str,
        path: String,
        operation: String,
    ) -> Result<T, CloudError> {
        Self::get_from(&self.http, action, identifier, path, operation).await
    }

    pub(super) async fn get_from<T: DeserializeOwned>(
        http: &ApiClient,
        action: RateLimitedAction,
        identifier: &str,
        path: String,
        operation: String,
    ) -> Result<T, CloudError> {
        let body = None;
        let idempotency = Idempotency::Idempotent;
        http.send(&ApiRequest {
            method: Method::GET,
            path,
            body,
            action,
            identifier,
            idempotency,
            operation,
        })
        .await
    }

    /// Reads a list of objects that comes in one piece.
    pub(super) async fn get_list<T: DeserializeOwned + Listed>(
        &self,
        action: &'static str,
        identifier: &str,
        path: String,
        operation: &str,
    ) -> Result<Vec<T>, CloudError> {
        let list = self.get_entries(action, identifier, path, operation.to_owned());
        distinct(operation, list.await?)
    }

    /// The same for a list whose entries need not differ. Fly serialises an empty one as `null`.
    async fn get_entries<T: DeserializeOwned>(
        &self,
        action: &'static str,
        identifier: &str,
        path: String,
        operation: String,
    ) -> Result<Vec<T>, CloudError> {
        let action = RateLimitedAction::Other(action);
        let list: Option<Vec<T>> = self.get(action, identifier, path, operation).await?;
        Ok(list.unwrap_or_default())
    }

    /// Reads all pages of a list. `path` ends in a query to which the cursor can be added, and
    /// `split_page` returns the items of a page and the cursor of the next one, which is empty on
    /// the last page.
    async fn get_pages<P: DeserializeOwned, T>(
        &self,
        action: &'static str,
        identifier: &str,
        path: &str,
        operation: &str,
        split_page: impl Fn(P) -> Result<(Vec<T>, String), CloudError>,
    ) -> Result<Vec<T>, CloudError> {
        let (mut list, mut cursor) = (Vec::new(), String::new());
        let mut limit = PageLimit::new(CloudProvider::Fly);
        loop {
            limit.begin_page(operation)?;
            let page_path = if cursor.is_empty() {
                path.to_owned()
            } else {
                format!("{path}&cursor={}", query_value(&cursor))
            };
            let page: P = self
                .get(
                    RateLimitedAction::Other(action),
                    identifier,
                    page_path,
                    operation.to_owned(),
                )
                .await?;
            let (items, next_cursor) = split_page(page)?;
            list.extend(items);
            if next_cursor.is_empty() {
                return Ok(list);
            }
            // The same cursor again would make this loop endless.
            if next_cursor == cursor {
                return Err(CloudError::new(
                    operation,
                    ErrorKind::InvalidResponse,
                    "the server answered the same page twice",
                ));
            }
            cursor = next_cursor;
        }
    }

    /// Reads an app. The error is [`ErrorKind::PermissionDenied`] if another organization owns the
    /// name, and [`ErrorKind::NotFound`] if the name is free.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn get_app(&self, app: &str) -> Result<wire::AppResponse, CloudError> {
        let operation = format!("look up app {app}");
        let mut response: wire::AppResponse = self
            .get(
                RateLimitedAction::Other("app get"),
                app,
                format!("/v1/apps/{}", segment(app)),
                operation.clone(),
            )
            .await?;
        // Later requests take the name from here.
        if response.name.is_empty() {
            app.clone_into(&mut response.name);
        }
        if response.name != app {
            let message = format!(
                "the answer is about another app, {}",
                to_single_line(&response.name)
            );
            return Err(CloudError::new(
                operation,
                ErrorKind::InvalidResponse,
                message,
            ));
        }
        Ok(response)
    }

    /// Reads the canonical slug of an organization (`raw_slug`). A personal organization is
    /// commonly addressed by the alias `personal`, but its tokens are issued under the canonical
    /// slug.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn get_org_raw_slug(&self, org: &str) -> Result<String, CloudError> {
        let operation = format!("look up the organization {org}");
        let not_configured = || {
            CloudError::new(
                &operation,
                ErrorKind::Rejected,
                "there is no address to ask",
            )
        };
        let http = self.uiex_client.as_ref().ok_or_else(not_configured)?;
        let path = format!("/api/v1/organizations/{}", segment(org));
        let response: wire::OrganizationResponse = Self::get_from(
            http,
            RateLimitedAction::Other("org get"),
            org,
            path,
            operation.clone(),
        )
        .await?;
        Ok(response.organization.raw_slug)
    }

    /// Lists the machines of an app that are not destroyed.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_machines(&self, app: &str) -> Result<Vec<wire::MachineResponse>, CloudError> {
        let operation = format!("list the machines of {app}");
        let path = format!("/v1/apps/{}/machines", segment(app));
        let mut list: Vec<wire::MachineResponse> =
            self.get_list("machine list", app, path, &operation).await?;
        list.retain(|machine| !machine.is_destroyed());
        Ok(list)
    }

    /// Reads a machine.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn get_machine(
        &self,
        app: &str,
        id: &str,
    ) -> Result<wire::MachineResponse, CloudError> {
        let operation = format!("look up machine {id} of {app}");
        self.get(
            RateLimitedAction::GetMachine,
            id,
            format!("/v1/apps/{}/machines/{}", segment(app), segment(id)),
            operation,
        )
        .await
    }

    /// Lists the versions of a machine's configuration, newest first.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_machine_versions(
        &self,
        app: &str,
        id: &str,
    ) -> Result<Vec<wire::MachineVersion>, CloudError> {
        let operation = format!("list the versions of machine {id} of {app}");
        let path = format!(
            "/v1/apps/{}/machines/{}/versions",
            segment(app),
            segment(id)
        );
        let mut list: Vec<wire::MachineVersion> = self
            .get_entries("machine versions", id, path, operation)
            .await?;
        // The documentation promises no order. A version is a ULID, whose first ten characters are
        // its timestamp.
        list.sort_by(|a, b| b.version.get(..10).cmp(&a.version.get(..10)));
        Ok(list)
    }

    /// Lists the volumes of an app that are not destroyed or being destroyed.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_volumes(&self, app: &str) -> Result<Vec<wire::VolumeResponse>, CloudError> {
        let mut list = self.list_volumes_with_destroyed(app).await?;
        list.retain(|volume| !volume.is_destroyed());
        Ok(list)
    }

    /// The same with those that are being destroyed.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_volumes_with_destroyed(
        &self,
        app: &str,
    ) -> Result<Vec<wire::VolumeResponse>, CloudError> {
        let operation = format!("list the volumes of {app}");
        let path = format!("/v1/apps/{}/volumes", segment(app));
        self.get_list("volume list", app, path, &operation).await
    }

    /// Lists the names and digests of an app's secrets.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_secrets(&self, app: &str) -> Result<Vec<wire::AppSecret>, CloudError> {
        let operation = format!("list the secrets of {app}");
        let path = format!("/v1/apps/{}/secrets", segment(app));
        let list: wire::AppSecrets = self
            .get(
                RateLimitedAction::Other("secret list"),
                app,
                path,
                operation.clone(),
            )
            .await?;
        distinct(&operation, list.secrets)
    }

    /// Lists the IP addresses of an app.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_ips(&self, app: &str) -> Result<Vec<wire::IpAssignment>, CloudError> {
        let operation = format!("list the IP addresses of {app}");
        let path = format!("/v1/apps/{}/ip_assignments", segment(app));
        let action = RateLimitedAction::Other("ip list");
        let list: wire::IpAssignmentsResponse =
            self.get(action, app, path, operation.clone()).await?;
        distinct(&operation, list.ips)
    }

    /// Lists the certificates of an app, all pages.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn list_certificates(
        &self,
        app: &str,
    ) -> Result<Vec<wire::CertificateSummary>, CloudError> {
        let operation = format!("list the certificates of {app}");
        let path = format!(
            "/v1/apps/{}/certificates?limit={CERTIFICATES_PAGE_SIZE}",
            segment(app)
        );
        let split_page =
            |page: wire::CertificatesResponse| Ok((page.certificates, page.next_cursor));
        let list = self.get_pages("certificate list", app, &path, &operation, split_page);
        distinct(&operation, list.await?)
    }

    /// Lists all machines of an organization with their metadata, all pages.
    ///
    /// # Errors
    /// When a request fails, or a region did not respond, which would make the list incomplete.
    pub async fn list_org_machines(&self, org: &str) -> Result<Vec<wire::OrgMachine>, CloudError> {
        let operation = format!("list the machines of the organization {org}");
        let path = format!(
            "/v1/orgs/{}/machines?limit={ORG_MACHINES_PAGE_SIZE}",
            segment(org)
        );
        let split_page = |page: wire::OrgMachinesResponse| {
            if page.error_regions.is_empty() {
                return Ok((page.machines, page.next_cursor));
            }
            let message = format!(
                "these regions did not answer: {}",
                page.error_regions.join(", ")
            );
            Err(CloudError::new(&operation, ErrorKind::Ambiguous, message))
        };
        self.get_pages("org machine list", org, &path, &operation, split_page)
            .await
    }
}
