//! The configuration of a machine in the Machines API's own vocabulary, normalised: durations parsed, `autostop` one
//! spelling, nothing that equals its default.
//!
//! These types are also the list of what trimtab manages. A key of a live configuration that they do not know is kept
//! when the machine is updated. Field names, defaults and quirks are those of the Machines API's OpenAPI document.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::model::{GoDuration, Image, Mib};

/// Leaves a field out when it says nothing.
fn unsaid<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads `null` as the default: Go servers write it for empty lists and maps.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// The configuration of a machine, as far as trimtab manages it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineConfig {
    /// The image. `None` in a manifest keeps what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Environment variables.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub env: BTreeMap<String, String>,
    /// What the machine runs.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub init: MachineInit,
    /// CPUs and memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<MachineGuest>,
    /// What the proxy reaches.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub services: Vec<MachineService>,
    /// Checks of the machine itself, by name.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub checks: BTreeMap<String, MachineCheck>,
    /// The mounted volume; Fly allows one.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub mounts: Vec<MachineMount>,
    /// Where Fly scrapes metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MachineMetrics>,
    /// Files that the proxy serves by itself.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub statics: Vec<MachineStatic>,
    /// Files written into the machine.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub files: Vec<MachineFile>,
    /// When it is started again. `None` keeps what is there.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "restart")]
    pub restart: Option<MachineRestart>,
    /// How it is stopped.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub stop_config: StopConfig,
    /// `hourly`, `daily`, `weekly` or `monthly`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub schedule: Option<String>,
    /// The machines in whose stead Fly starts this one, by id.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub standbys: Vec<String>,
    /// Containers and other parts that a manifest takes over verbatim from a `machine_config` document, by key.
    #[serde(skip_serializing_if = "unsaid")]
    pub verbatim: BTreeMap<String, Value>,
}

/// Fly answers `{"policy":""}` when nothing was said.
fn restart<'de, D: Deserializer<'de>>(from: D) -> Result<Option<MachineRestart>, D::Error> {
    Ok(Option::<MachineRestart>::deserialize(from)?.filter(|restart| !restart.policy.is_empty()))
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

/// The process a machine runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineInit {
    /// Replaces entrypoint and command together.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub exec: Vec<String>,
    /// Replaces the image's entrypoint.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub entrypoint: Vec<String>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// Whether it gets a terminal.
    #[serde(skip_serializing_if = "unsaid")]
    pub tty: bool,
    /// Swap in megabytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_size_mb: Option<u32>,
    /// Arguments for the kernel.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub kernel_args: Vec<String>,
}

/// CPUs and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineGuest {
    /// `shared` or `performance`.
    pub cpu_kind: String,
    /// How many.
    pub cpus: u32,
    /// Memory in megabytes.
    pub memory_mb: Mib,
    /// A dedicated host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_dedication_id: Option<String>,
    /// Whether the root file system survives a restart: `never`, `restart`, `always`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persist_rootfs: Option<String>,
    /// Arguments for the kernel.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub kernel_args: Vec<String>,
    /// The kind of GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_kind: Option<String>,
    /// How many GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
}

impl Default for MachineGuest {
    /// `shared-cpu-1x`, the platform's default.
    fn default() -> Self {
        Self {
            cpu_kind: "shared".to_owned(),
            cpus: 1,
            memory_mb: Mib(256),
            host_dedication_id: None,
            persist_rootfs: None,
            kernel_args: Vec::new(),
            gpu_kind: None,
            gpus: None,
        }
    }
}

/// Whether the proxy stops idle machines. The server answers booleans for the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Autostop {
    /// Never.
    #[default]
    Off,
    /// Stops them.
    Stop,
    /// Suspends them, memory included.
    Suspend,
}

impl<'de> Deserialize<'de> for Autostop {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::Null | Value::Bool(false) => Ok(Self::Off),
            Value::Bool(true) => Ok(Self::Stop),
            Value::String(text) if text == "off" => Ok(Self::Off),
            Value::String(text) if text == "stop" => Ok(Self::Stop),
            Value::String(text) if text == "suspend" => Ok(Self::Suspend),
            other => Err(serde::de::Error::custom(format!(
                "`{other}` is no autostop setting"
            ))),
        }
    }
}

/// A port that the proxy forwards to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineService {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Where the app listens.
    pub internal_port: u16,
    /// Whether idle machines stop.
    #[serde(skip_serializing_if = "unsaid")]
    pub autostop: Autostop,
    /// Whether a request starts a machine. `None` leaves it to the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// How many keep running in the primary region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_machines_running: Option<u32>,
    /// Where the world connects.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub ports: Vec<MachinePort>,
    /// How much load one machine takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<MachineConcurrency>,
    /// Whether the service answers.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub checks: Vec<MachineCheck>,
}

/// A public port, or a range of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachinePort {
    /// The port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The first of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_port: Option<u16>,
    /// The last of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_port: Option<u16>,
    /// `http`, `tls`, `pg_tls`, `proxy_proto`, in order.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub handlers: Vec<String>,
    /// Whether HTTP is redirected to HTTPS.
    #[serde(skip_serializing_if = "unsaid")]
    pub force_https: bool,
    /// TLS settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_options: Option<MachineTlsOptions>,
    /// HTTP settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_options: Option<MachineHttpOptions>,
    /// PROXY protocol settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_proto_options: Option<MachineProxyProtoOptions>,
}

/// How the proxy terminates TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineTlsOptions {
    /// Protocols offered.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub alpn: Vec<String>,
    /// TLS versions offered.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub versions: Vec<String>,
    /// Whether a self-signed certificate serves unknown hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_self_signed: Option<bool>,
}

/// How the proxy speaks HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineHttpOptions {
    /// Whether answers are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
    /// What is done to answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<MachineHttpResponse>,
    /// Whether the app speaks HTTP/2 in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h2_backend: Option<bool>,
    /// Seconds an idle connection lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u32>,
    /// Seconds a client has for its headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_read_timeout: Option<u32>,
    /// Cached `fly-replay` decisions.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub replay_cache: Vec<MachineReplayCache>,
}

/// A `fly-replay` decision that the proxy remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineReplayCache {
    /// The paths that it is for.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub path_prefix: String,
    /// For how many seconds.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub ttl_seconds: u32,
    /// `cookie` or `header`.
    #[serde(
        rename = "type",
        skip_serializing_if = "unsaid",
        deserialize_with = "nullable"
    )]
    pub kind: String,
    /// The name of that cookie or header.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub name: String,
    /// Whether a client may ask for a fresh answer. The API leaves `false` out.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub allow_bypass: bool,
}

/// What the proxy does to answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineHttpResponse {
    /// Headers to add (a text or a list) or to remove (`false`).
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub headers: BTreeMap<String, Value>,
    /// Whether Fly's own headers are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pristine: Option<bool>,
}

/// Which PROXY protocol is spoken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineProxyProtoOptions {
    /// `v1` or `v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How much load one machine takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineConcurrency {
    /// `connections` or `requests`.
    #[serde(rename = "type", skip_serializing_if = "unsaid")]
    pub kind: String,
    /// Above it the proxy prefers other machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_limit: Option<u32>,
    /// Above it the proxy sends nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_limit: Option<u32>,
}

/// A health check, of a service or of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineCheck {
    /// `tcp` or `http`.
    #[serde(rename = "type", skip_serializing_if = "unsaid")]
    pub kind: String,
    /// `informational` or `readiness`, for checks of the machine.
    #[serde(rename = "kind", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The port; a service's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<GoDuration>,
    /// How long an answer may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
    /// How long failures do not count after a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<GoDuration>,
    /// The HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The HTTP path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Whether any certificate will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_skip_verify: Option<bool>,
    /// The name asked for in TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Headers sent.
    #[serde(skip_serializing_if = "unsaid", deserialize_with = "nullable")]
    pub headers: Vec<CheckHeader>,
}

/// A header of a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckHeader {
    /// Its name.
    pub name: String,
    /// Its values.
    #[serde(deserialize_with = "nullable")]
    pub values: Vec<String>,
}

/// A mounted volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineMount {
    /// The volume's id; empty in a manifest, where a reference stands for it.
    #[serde(skip_serializing_if = "unsaid")]
    pub volume: String,
    /// The volume's name.
    #[serde(skip_serializing_if = "unsaid")]
    pub name: String,
    /// Where it is mounted.
    pub path: String,
    /// At how many percent it grows by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_threshold_percent: Option<u32>,
    /// By how many gigabytes it grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_size_gb: Option<u32>,
    /// Up to how many gigabytes it grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gb_limit: Option<u32>,
}

/// Where Fly scrapes metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineMetrics {
    /// The port.
    pub port: u16,
    /// The path.
    pub path: String,
    /// Whether over TLS.
    #[serde(skip_serializing_if = "unsaid")]
    pub https: bool,
}

/// Files that the proxy serves by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineStatic {
    /// Where they are in the machine.
    pub guest_path: String,
    /// Where they are on the web.
    pub url_prefix: String,
    /// A Tigris bucket that holds them.
    #[serde(skip_serializing_if = "unsaid")]
    pub tigris_bucket: String,
    /// What a folder answers.
    #[serde(skip_serializing_if = "unsaid")]
    pub index_document: String,
}

/// A file written into the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFile {
    /// Where.
    pub guest_path: String,
    /// Its content in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
    /// The secret that holds its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Its permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// When a machine is started again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineRestart {
    /// `no`, `on-failure` or `always`.
    pub policy: String,
    /// How often, with `on-failure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// How a machine is stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StopConfig {
    /// The signal.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub signal: Option<String>,
    /// How long it has before it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}
