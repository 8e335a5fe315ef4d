//! The reads. Every list is complete or an error: a page that is missing would read as "these are gone".

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::wire;
use crate::clouds::{
    Action, CloudError, Http, Probe, Trouble,
    http::{Call, Repeat, Settings},
    probe::Visitor,
};

/// A client of the Machines API that cannot write.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) http: Http,
    /// The client of the API that has the logs.
    pub(super) logs: Option<Http>,
    /// The client of the API that has the organizations.
    uiex: Option<Http>,
    visitor: Visitor,
}

/// The most machines that a page of an organization's list may hold.
const ORG_PAGE: u32 = 1000;
/// The most certificates that a page may hold.
const CERTIFICATE_PAGE: u32 = 500;

impl Reader {
    /// A client for one base URL and token.
    ///
    /// # Errors
    /// When the token cannot be sent, or TLS cannot be set up.
    pub fn new(settings: &Settings) -> Result<Self, CloudError> {
        let http = Http::new(settings)?;
        let logs = settings.logs.as_deref().map(|base| http.at(base));
        let uiex = settings.uiex.as_deref().map(|base| http.bearing(base));
        Ok(Self {
            http,
            logs,
            uiex,
            visitor: Visitor::new(settings)?,
        })
    }

    /// The count of this run's requests.
    pub(in crate::clouds) fn gauge(&self) -> &crate::clouds::gauge::Gauge {
        self.http.gauge()
    }

    /// Rests between two looks, scaled by the speed.
    pub async fn rest(&self, length: std::time::Duration) {
        self.http.pause(length).await;
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.http.sent()
    }

    /// Whether a [`Fuse`](crate::clouds::Fuse) has burnt in this run: it has fallen silent.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.http.is_silent()
    }

    /// Looks at a page as any visitor would, without our token: a path of a host such as `draft-app.fly.dev`, over HTTPS.
    ///
    /// # Errors
    /// When there is no answer within ten seconds, or no page at the end of five redirects. A page that says 503 is an
    /// answer.
    pub async fn probe(&self, host: &str, path: &str) -> Result<Probe, CloudError> {
        self.visitor.look(host, path).await
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        action: Action,
        identifier: &str,
        path: String,
        doing: String,
    ) -> Result<T, CloudError> {
        Self::get_from(&self.http, action, identifier, path, doing).await
    }

    pub(super) async fn get_from<T: DeserializeOwned>(
        http: &Http,
        action: Action,
        identifier: &str,
        path: String,
        doing: String,
    ) -> Result<T, CloudError> {
        let body = None;
        let repeat = Repeat::Safe;
        http.send(&Call {
            method: Method::GET,
            path,
            body,
            action,
            identifier,
            repeat,
            doing,
        })
        .await
    }

    /// One app. A name that another organization holds is [`Trouble::Denied`]; a free name is not found.
    ///
    /// # Errors
    /// As every request.
    pub async fn app(&self, app: &str) -> Result<wire::App, CloudError> {
        let doing = format!("look up app {app}");
        self.get(
            Action::Other("app get"),
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
    pub async fn own_slug(&self, org: &str) -> Result<String, CloudError> {
        let doing = format!("look up the organization {org}");
        let none = || CloudError::new(&doing, Trouble::Refused, "there is no address to ask");
        let http = self.uiex.as_ref().ok_or_else(none)?;
        let path = format!("/api/v1/organizations/{org}");
        let answer: wire::OrgAnswer =
            Self::get_from(http, Action::Other("org get"), org, path, doing.clone()).await?;
        Ok(answer.organization.raw_slug)
    }

    /// The machines of an app, without those that are gone.
    ///
    /// # Errors
    /// As every request.
    pub async fn machines(&self, app: &str) -> Result<Vec<wire::Machine>, CloudError> {
        let doing = format!("list the machines of {app}");
        let path = format!("/v1/apps/{app}/machines");
        let all: Option<Vec<wire::Machine>> = self
            .get(Action::Other("machine list"), app, path, doing)
            .await?;
        let there =
            |machine: &wire::Machine| !matches!(machine.state.as_str(), "destroyed" | "destroying");
        Ok(all.unwrap_or_default().into_iter().filter(there).collect())
    }

    /// One machine.
    ///
    /// # Errors
    /// As every request.
    pub async fn machine(&self, app: &str, id: &str) -> Result<wire::Machine, CloudError> {
        let doing = format!("look up machine {id} of {app}");
        self.get(
            Action::GetMachine,
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
    pub async fn versions(&self, app: &str, id: &str) -> Result<Vec<wire::Version>, CloudError> {
        let doing = format!("list the versions of machine {id} of {app}");
        let path = format!("/v1/apps/{app}/machines/{id}/versions");
        let all: Option<Vec<wire::Version>> = self
            .get(Action::Other("machine versions"), id, path, doing)
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
    pub async fn volumes(&self, app: &str) -> Result<Vec<wire::Volume>, CloudError> {
        let doing = format!("list the volumes of {app}");
        let path = format!("/v1/apps/{app}/volumes");
        let all: Option<Vec<wire::Volume>> = self
            .get(Action::Other("volume list"), app, path, doing)
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
    pub async fn secrets(&self, app: &str) -> Result<Vec<wire::Secret>, CloudError> {
        let doing = format!("list the secrets of {app}");
        let path = format!("/v1/apps/{app}/secrets");
        self.get(Action::Other("secret list"), app, path, doing)
            .await
            .map(|list: wire::Secrets| list.secrets)
    }

    /// The addresses of an app.
    ///
    /// # Errors
    /// As every request.
    pub async fn ips(&self, app: &str) -> Result<Vec<wire::Ip>, CloudError> {
        let doing = format!("list the IP addresses of {app}");
        let path = format!("/v1/apps/{app}/ip_assignments");
        self.get(Action::Other("ip list"), app, path, doing)
            .await
            .map(|list: wire::Ips| list.ips)
    }

    /// The certificates of an app, all pages.
    ///
    /// # Errors
    /// As every request.
    pub async fn certificates(&self, app: &str) -> Result<Vec<wire::Certificate>, CloudError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let doing = format!("list the certificates of {app}");
            let from = if cursor.is_empty() {
                String::new()
            } else {
                format!("&cursor={}", escape(&cursor))
            };
            let path = format!("/v1/apps/{app}/certificates?limit={CERTIFICATE_PAGE}{from}");
            let page: wire::Certificates = self
                .get(Action::Other("certificate list"), app, path, doing.clone())
                .await?;
            all.extend(page.certificates);
            match page.next_cursor {
                end if end.is_empty() => return Ok(all),
                same if same == cursor => return Err(endless(&doing)),
                next => cursor = next,
            }
        }
    }

    /// Every machine of an organization, in overview, all pages.
    ///
    /// # Errors
    /// As every request; also when a region did not answer, since the list is then not complete.
    pub async fn org_machines(&self, org: &str) -> Result<Vec<wire::OrgMachine>, CloudError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let doing = format!("list the machines of the organization {org}");
            let from = if cursor.is_empty() {
                String::new()
            } else {
                format!("&cursor={}", escape(&cursor))
            };
            let path = format!("/v1/orgs/{org}/machines?limit={ORG_PAGE}{from}");
            let page: wire::OrgMachines = self
                .get(Action::Other("org machine list"), org, path, doing.clone())
                .await?;
            if !page.error_regions.is_empty() {
                let what = format!(
                    "these regions did not answer: {}",
                    page.error_regions.join(", ")
                );
                return Err(CloudError::new(doing, Trouble::Ambiguous, what));
            }
            all.extend(page.machines);
            match page.next_cursor {
                end if end.is_empty() => return Ok(all),
                same if same == cursor => return Err(endless(&doing)),
                next => cursor = next,
            }
        }
    }
}

fn endless(doing: &str) -> CloudError {
    CloudError::new(
        doing,
        Trouble::Unreadable,
        "the server answered the same page twice",
    )
}

/// Escapes a value for a query.
fn escape(text: &str) -> String {
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
