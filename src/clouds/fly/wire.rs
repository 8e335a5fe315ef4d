//! What the Machines API says, as its OpenAPI document and flyctl's client describe it. Only what we read; a field
//! that may be missing has a default, because answers differ between endpoints.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Go writes `null` for empty lists and maps.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// `GET /apps/{app}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppResponse {
    /// Fly's id.
    #[serde(deserialize_with = "null_as_default")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// `pending`, `deployed`, `suspended`.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// Its 6PN network.
    #[serde(deserialize_with = "null_as_default")]
    pub network: String,
    /// Its organization.
    #[serde(deserialize_with = "null_as_default")]
    pub organization: Organization,
}

/// An organization.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// Its slug.
    #[serde(deserialize_with = "null_as_default")]
    pub slug: String,
}

/// A machine, as lists and single reads give it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineResponse {
    /// Fly's id.
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Its state.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    /// Its region.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// When it was made, in RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub created_at: String,
    /// The version of its configuration.
    #[serde(deserialize_with = "null_as_default")]
    pub instance_id: String,
    /// What it runs.
    #[serde(deserialize_with = "null_as_default")]
    pub image_ref: ImageRef,
    /// Its configuration; missing while the host cannot be reached.
    #[serde(deserialize_with = "null_as_default")]
    pub config: Value,
    /// What is known of the configuration while the host cannot be reached.
    #[serde(deserialize_with = "null_as_default")]
    pub incomplete_config: Value,
    /// `ok`, `unknown` or `unreachable`; taken for `ok` when absent.
    pub host_status: Option<String>,
    /// Whether the proxy leaves it out.
    #[serde(deserialize_with = "null_as_default")]
    pub cordoned: bool,
    /// Its checks.
    #[serde(deserialize_with = "null_as_default")]
    pub checks: Vec<CheckStatus>,
    /// What happened to it, newest first.
    #[serde(deserialize_with = "null_as_default")]
    pub events: Vec<MachineEvent>,
    /// The nonce of its lease, when it was made with one.
    pub nonce: Option<String>,
}

/// A configuration that a machine has or had (`MachineVersion` in the OpenAPI document).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineVersion {
    /// The `instance_id` of that time.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The configuration as it was sent.
    #[serde(deserialize_with = "null_as_default")]
    pub user_config: Value,
}

/// A lease. The documentation and the service put it into an envelope; the OpenAPI document does not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LeaseResponse {
    data: Option<MachineLease>,
    #[serde(flatten)]
    bare: MachineLease,
}

impl LeaseResponse {
    /// The lease itself.
    #[must_use]
    pub fn into_lease(self) -> MachineLease {
        self.data.unwrap_or(self.bare)
    }
}

/// Who may change a machine, and until when.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineLease {
    /// What a write must carry; only whoever took the lease sees it.
    #[serde(deserialize_with = "null_as_default")]
    pub nonce: String,
    /// When it ends, in Unix seconds.
    #[serde(deserialize_with = "null_as_default")]
    pub expires_at: i64,
    /// Whose token took it.
    #[serde(deserialize_with = "null_as_default")]
    pub owner: String,
    /// What they said about it.
    #[serde(deserialize_with = "null_as_default")]
    pub description: String,
    /// The machine's `instance_id`.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
}

/// A resolved image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImageRef {
    /// `sha256:…`.
    pub digest: Option<String>,
}

/// The state of a check.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CheckStatus {
    /// Its name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// `passing`, `warning`, `critical`.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// What it said.
    #[serde(deserialize_with = "null_as_default")]
    pub output: String,
}

/// Something that happened to a machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineEvent {
    /// `launch`, `start`, `exit`, …
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: String,
    /// The state it led to.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// Who did it: `user`, `proxy`, or `flyd`, which is the host.
    #[serde(deserialize_with = "null_as_default")]
    pub source: String,
    /// When, in Unix milliseconds.
    #[serde(deserialize_with = "null_as_default")]
    pub timestamp: i64,
    /// Details, by sort of event.
    #[serde(deserialize_with = "null_as_default")]
    pub request: Value,
}

impl MachineEvent {
    /// The details of an exit, at either place where the API puts them.
    #[must_use]
    pub fn exit_event(&self) -> Option<&Value> {
        self.request
            .pointer("/MonitorEvent/exit_event")
            .or_else(|| self.request.get("exit_event"))
    }
}

/// `GET /orgs/{slug}/machines`: an overview, enough to find what bears our mark.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrgMachine {
    /// Fly's id.
    pub id: String,
    /// The app it belongs to.
    #[serde(deserialize_with = "null_as_default")]
    pub app_name: String,
    /// Part of its configuration.
    #[serde(deserialize_with = "null_as_default")]
    pub config: OrgMachineConfig,
}

/// Part of a configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrgMachineConfig {
    /// Its metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: BTreeMap<String, String>,
}

/// A page of [`OrgMachine`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrgMachinesResponse {
    /// The machines.
    #[serde(deserialize_with = "null_as_default")]
    pub machines: Vec<OrgMachine>,
    /// Where the next page begins.
    #[serde(deserialize_with = "null_as_default")]
    pub next_cursor: String,
    /// Regions that did not answer: the list is not complete.
    #[serde(deserialize_with = "null_as_default")]
    pub error_regions: Vec<String>,
}

/// A volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeResponse {
    /// Fly's id.
    pub id: String,
    /// Its name; several share one.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// Its state.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    /// Its size.
    #[serde(deserialize_with = "null_as_default")]
    pub size_gb: u32,
    /// Its region.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// Whether it is encrypted.
    #[serde(deserialize_with = "null_as_default")]
    pub encrypted: bool,
    /// When it was made, as RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub created_at: String,
    /// The machine that holds it.
    pub attached_machine_id: Option<String>,
    /// For how many days snapshots are kept.
    pub snapshot_retention: Option<u32>,
    /// Whether snapshots are taken daily.
    pub auto_backup_enabled: Option<bool>,
    /// How much of it is used, in bytes; told of a volume that a machine holds.
    #[serde(deserialize_with = "null_as_default")]
    pub bytes_used: u64,
    /// How much it can hold, in bytes.
    #[serde(deserialize_with = "null_as_default")]
    pub bytes_total: u64,
    /// Whether its host answers.
    pub host_status: Option<String>,
}

/// `PUT …/extend`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExtendVolumeResponse {
    /// The volume as it is now.
    pub volume: VolumeResponse,
    /// Whether the machine must restart to see it.
    #[serde(deserialize_with = "null_as_default")]
    pub needs_restart: bool,
}

/// A list of secrets, and the version after a write.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppSecrets {
    /// The secrets.
    #[serde(deserialize_with = "null_as_default")]
    pub secrets: Vec<AppSecret>,
    /// Only in the answer to a write.
    pub version: Option<u64>,
}

/// A secret: never its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppSecret {
    /// Its name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// An opaque digest.
    #[serde(deserialize_with = "null_as_default")]
    pub digest: String,
}

/// A list of addresses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IpAssignmentsResponse {
    /// The addresses.
    #[serde(deserialize_with = "null_as_default")]
    pub ips: Vec<IpAssignment>,
}

/// An address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IpAssignment {
    /// The address itself.
    #[serde(deserialize_with = "null_as_default")]
    pub ip: String,
    /// Its region.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// Whether it is shared.
    #[serde(deserialize_with = "null_as_default")]
    pub shared: bool,
    /// When it was assigned, as RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub created_at: String,
    /// Whether it is for outgoing connections only.
    #[serde(deserialize_with = "null_as_default")]
    pub egress: bool,
}

/// A page of certificates.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CertificatesResponse {
    /// The certificates.
    #[serde(deserialize_with = "null_as_default")]
    pub certificates: Vec<CertificateSummary>,
    /// Where the next page begins.
    #[serde(deserialize_with = "null_as_default")]
    pub next_cursor: String,
}

/// A certificate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CertificateSummary {
    /// Its host.
    #[serde(deserialize_with = "null_as_default")]
    pub hostname: String,
    /// Whether DNS points here.
    #[serde(deserialize_with = "null_as_default")]
    pub configured: bool,
}

/// An organization, wrapped as the API answers.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationResponse {
    /// It.
    pub organization: OrganizationDetails,
}

/// What we need of an organization.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationDetails {
    /// Its own slug, never an alias.
    pub raw_slug: String,
}
