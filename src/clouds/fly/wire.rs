//! The response types of the Machines API, after its OpenAPI document and flyctl's client. Only the
//! fields that are used. A field that may be missing has a default, because responses differ
//! between endpoints.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Deserializes `null` as the default: Go serializes empty lists and maps as `null`.
fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Deserializes the id of a machine or a volume. Ids go into the paths of later requests, so any other form is an error.
fn object_id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    /// The longest part of a wrong id that is repeated.
    const SHOWN: usize = 40;
    let id = String::deserialize(from)?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !id.is_empty() && id.chars().all(is_allowed) {
        return Ok(id);
    }
    let shown: String = id.chars().take(SHOWN).collect();
    Err(serde::de::Error::custom(format!(
        "{shown:?} is not an id: ids have letters, digits, `-` and `_` only"
    )))
}

/// `GET /apps/{app}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppResponse {
    /// Fly's id of the app.
    #[serde(deserialize_with = "null_as_default")]
    pub id: String,
    /// The app's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// `pending`, `deployed`, `suspended`.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// The app's 6PN network.
    #[serde(deserialize_with = "null_as_default")]
    pub network: String,
    /// The organization that the app belongs to.
    #[serde(deserialize_with = "null_as_default")]
    pub organization: Organization,
}

/// The organization of an app.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// The slug; for a personal organization the alias `personal`.
    #[serde(deserialize_with = "null_as_default")]
    pub slug: String,
}

/// A machine, as returned by lists, reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MachineResponse {
    /// Fly's id of the machine.
    #[serde(deserialize_with = "object_id")]
    pub id: String,
    /// The machine's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// The state, such as `started`.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    /// The region code.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// The time of creation, in RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub created_at: String,
    /// When it changed last, in RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub updated_at: String,
    /// The id of the current version of the configuration.
    #[serde(deserialize_with = "null_as_default")]
    pub instance_id: String,
    /// The image that the machine runs.
    #[serde(deserialize_with = "null_as_default")]
    pub image_ref: ImageRef,
    /// The configuration; missing while the host is unreachable.
    #[serde(deserialize_with = "null_as_default")]
    pub config: Value,
    /// The known part of the configuration while the host is unreachable.
    #[serde(deserialize_with = "null_as_default")]
    pub incomplete_config: Value,
    /// `ok`, `unknown` or `unreachable`; `ok` if absent.
    pub host_status: Option<String>,
    /// Whether Fly's proxy does not route to the machine.
    #[serde(deserialize_with = "null_as_default")]
    pub cordoned: bool,
    /// The status of the machine's checks.
    #[serde(deserialize_with = "null_as_default")]
    pub checks: Vec<CheckStatus>,
    /// The machine's events, newest first. Fly returns only the latest.
    #[serde(deserialize_with = "null_as_default")]
    pub events: Vec<MachineEvent>,
    /// The nonce of the lease that the machine was created with, if any.
    pub nonce: Option<String>,
}

/// A current or former configuration of a machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineVersion {
    /// The `instance_id` of this version.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
    /// The configuration as it was sent.
    #[serde(deserialize_with = "null_as_default")]
    pub user_config: Value,
}

/// The response to a lease request. The documentation and the service wrap the lease in an
/// envelope; the OpenAPI document does not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LeaseResponse {
    data: Option<MachineLease>,
    #[serde(flatten)]
    bare: MachineLease,
}

impl LeaseResponse {
    /// The lease, from whichever place the response has it in.
    #[must_use]
    pub fn into_lease(self) -> MachineLease {
        self.data.unwrap_or(self.bare)
    }
}

/// A lease on a machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineLease {
    /// The nonce that a write must carry. Only the lease holder gets it.
    #[serde(deserialize_with = "null_as_default")]
    pub nonce: String,
    /// The expiry, in Unix seconds.
    #[serde(deserialize_with = "null_as_default")]
    pub expires_at: i64,
    /// The identity whose token acquired the lease.
    #[serde(deserialize_with = "null_as_default")]
    pub owner: String,
    /// The description that the lease holder gave.
    #[serde(deserialize_with = "null_as_default")]
    pub description: String,
    /// The machine's `instance_id`.
    #[serde(deserialize_with = "null_as_default")]
    pub version: String,
}

/// A resolved image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ImageRef {
    /// `sha256:…`.
    pub digest: Option<String>,
}

/// The status of a check.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CheckStatus {
    /// The check's name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// `passing`, `warning`, `critical`.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// The output of the latest run.
    #[serde(deserialize_with = "null_as_default")]
    pub output: String,
}

/// `POST /apps/{app}/machines/{id}/exec`: how the command ended.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ExecResponse {
    /// The exit code; -1 or absent when a signal ended the command.
    #[serde(deserialize_with = "null_as_default")]
    pub exit_code: i64,
    /// The signal that ended the command.
    #[serde(deserialize_with = "null_as_default")]
    pub exit_signal: i64,
    /// The standard output as text.
    #[serde(deserialize_with = "null_as_default")]
    pub stdout: String,
    /// The standard error as text.
    #[serde(deserialize_with = "null_as_default")]
    pub stderr: String,
}

/// Without the output, which may hold data of the database.
impl std::fmt::Debug for ExecResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            exit_code,
            exit_signal,
            stdout,
            stderr,
        } = self;
        f.debug_struct("ExecResponse")
            .field("exit_code", exit_code)
            .field("exit_signal", exit_signal)
            .field("stdout_bytes", &stdout.len())
            .field("stderr_bytes", &stderr.len())
            .finish()
    }
}

/// An event of a machine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MachineEvent {
    /// `launch`, `start`, `exit`, …
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: String,
    /// The state that the event led to.
    #[serde(deserialize_with = "null_as_default")]
    pub status: String,
    /// The actor: `user`, `proxy`, or `flyd`, which is the host.
    #[serde(deserialize_with = "null_as_default")]
    pub source: String,
    /// The time, in Unix milliseconds.
    #[serde(deserialize_with = "null_as_default")]
    pub timestamp: i64,
    /// Details that depend on the event type.
    #[serde(deserialize_with = "null_as_default")]
    pub request: Value,
}

impl MachineEvent {
    /// The details of an `exit` event, from either place where the API puts them.
    #[must_use]
    pub fn exit_event(&self) -> Option<&Value> {
        self.request
            .pointer("/MonitorEvent/exit_event")
            .or_else(|| self.request.get("exit_event"))
    }
}

/// A machine in the list of an organization's machines (`GET /orgs/{slug}/machines`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrgMachine {
    /// Fly's id of the machine.
    pub id: String,
    /// The name of the machine's app.
    #[serde(deserialize_with = "null_as_default")]
    pub app_name: String,
    /// The part of the configuration that the list contains.
    #[serde(deserialize_with = "null_as_default")]
    pub config: OrgMachineConfig,
}

/// The part of a machine's configuration in the list of an organization.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrgMachineConfig {
    /// The machine's metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: BTreeMap<String, String>,
}

/// A page of an organization's machines.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OrgMachinesResponse {
    /// The machines of this page.
    #[serde(deserialize_with = "null_as_default")]
    pub machines: Vec<OrgMachine>,
    /// The cursor of the next page; empty on the last page.
    #[serde(deserialize_with = "null_as_default")]
    pub next_cursor: String,
    /// Regions that did not respond, so that the list is incomplete.
    #[serde(deserialize_with = "null_as_default")]
    pub error_regions: Vec<String>,
}

/// A volume, as returned by lists, creates and updates.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VolumeResponse {
    /// Fly's id of the volume.
    #[serde(deserialize_with = "object_id")]
    pub id: String,
    /// The name; several volumes may share one.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// The state, such as `created`.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    /// The size in GiB.
    #[serde(deserialize_with = "null_as_default")]
    pub size_gb: u32,
    /// The region code.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// Whether the volume is encrypted.
    #[serde(deserialize_with = "null_as_default")]
    pub encrypted: bool,
    /// The time of creation, in RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub created_at: String,
    /// The id of the machine that has the volume attached.
    pub attached_machine_id: Option<String>,
    /// How many days snapshots are kept.
    pub snapshot_retention: Option<u32>,
    /// Whether daily snapshots are taken.
    pub auto_backup_enabled: Option<bool>,
    /// The used space in bytes; only set while the volume is attached.
    #[serde(deserialize_with = "null_as_default")]
    pub bytes_used: u64,
    /// The capacity in bytes; only set while the volume is attached.
    #[serde(deserialize_with = "null_as_default")]
    pub bytes_total: u64,
    /// `ok`, `unknown` or `unreachable`; `ok` if absent.
    pub host_status: Option<String>,
}

impl VolumeResponse {
    /// Whether the volume is destroyed or being destroyed.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        [
            "scheduling_destroy",
            "pending_destroy",
            "destroying",
            "destroyed",
            "fork_cleanup",
            "waiting_for_detach",
        ]
        .contains(&self.state.as_str())
    }
}

/// The response to extending a volume (`PUT …/extend`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExtendVolumeResponse {
    /// The extended volume.
    pub volume: VolumeResponse,
    /// Whether the machine must restart to see the new size.
    #[serde(deserialize_with = "null_as_default")]
    pub needs_restart: bool,
}

/// A list of secrets, or the response to a write of secrets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppSecrets {
    /// The app's secrets.
    #[serde(deserialize_with = "null_as_default")]
    pub secrets: Vec<AppSecret>,
    /// The version of the app's secrets; only set in the response to a write.
    pub version: Option<u64>,
}

/// A secret of an app, without its value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AppSecret {
    /// The name.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// An opaque digest of the value.
    #[serde(deserialize_with = "null_as_default")]
    pub digest: String,
}

/// The list of an app's IP addresses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IpAssignmentsResponse {
    /// The assigned addresses.
    #[serde(deserialize_with = "null_as_default")]
    pub ips: Vec<IpAssignment>,
}

/// An IP address that is assigned to an app.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IpAssignment {
    /// The address.
    #[serde(deserialize_with = "null_as_default")]
    pub ip: String,
    /// The region code, if the address is regional.
    #[serde(deserialize_with = "null_as_default")]
    pub region: String,
    /// Whether the address is shared with other apps.
    #[serde(deserialize_with = "null_as_default")]
    pub shared: bool,
    /// The time of assignment, in RFC 3339.
    #[serde(deserialize_with = "null_as_default")]
    pub created_at: String,
    /// Whether the address is used for outgoing connections only.
    #[serde(deserialize_with = "null_as_default")]
    pub egress: bool,
}

/// A page of an app's certificates.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CertificatesResponse {
    /// The certificates of this page.
    #[serde(deserialize_with = "null_as_default")]
    pub certificates: Vec<CertificateSummary>,
    /// The cursor of the next page; empty on the last page.
    #[serde(deserialize_with = "null_as_default")]
    pub next_cursor: String,
}

/// A certificate in a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CertificateSummary {
    /// The host name.
    #[serde(deserialize_with = "null_as_default")]
    pub hostname: String,
    /// Whether the host name's DNS records point to the app.
    #[serde(deserialize_with = "null_as_default")]
    pub configured: bool,
    /// The DNS records to set. Lists leave them out.
    #[serde(default, deserialize_with = "null_as_default")]
    pub dns_requirements: DnsRequirements,
}

/// The DNS records that a certificate needs (`DNSRequirements` of Fly's OpenAPI document).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DnsRequirements {
    /// The IPv4 addresses of the app.
    #[serde(deserialize_with = "null_as_default")]
    pub a: Vec<String>,
    /// The IPv6 addresses of the app.
    #[serde(deserialize_with = "null_as_default")]
    pub aaaa: Vec<String>,
    /// The name that a CNAME record may point to instead.
    #[serde(deserialize_with = "null_as_default")]
    pub cname: String,
    /// The record by which the certificate authority is shown who owns the name; a wildcard needs it.
    #[serde(deserialize_with = "null_as_default")]
    pub acme_challenge: AcmeChallenge,
}

/// A CNAME record for the certificate authority.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AcmeChallenge {
    /// The name of the record.
    #[serde(deserialize_with = "null_as_default")]
    pub name: String,
    /// What it points to.
    #[serde(deserialize_with = "null_as_default")]
    pub target: String,
}

/// The response to reading an organization.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationResponse {
    /// The organization.
    pub organization: OrganizationDetails,
}

/// The fields of an organization that are used.
#[derive(Clone, Debug, Deserialize)]
pub struct OrganizationDetails {
    /// The canonical slug, never the alias `personal`.
    pub raw_slug: String,
}
