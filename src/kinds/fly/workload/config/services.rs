//! The services of a machine: what Fly's proxy forwards to it, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Autostop, MachineCheck, is_default, null_as_default};

/// A port that the proxy forwards to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineService {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port that the app listens on.
    pub internal_port: u16,
    /// Whether idle machines stop.
    #[serde(skip_serializing_if = "is_default")]
    pub autostop: Autostop,
    /// Whether a request starts a machine. `None` leaves it to the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostart: Option<bool>,
    /// The number of machines that keep running in the primary region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_machines_running: Option<u32>,
    /// The public ports.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub ports: Vec<MachinePort>,
    /// How much load one machine takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<MachineConcurrency>,
    /// The health checks of the service.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
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
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub handlers: Vec<String>,
    /// Whether HTTP is redirected to HTTPS.
    #[serde(skip_serializing_if = "is_default")]
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
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub alpn: Vec<String>,
    /// TLS versions offered.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
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
    /// Changes to responses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<MachineHttpResponse>,
    /// Whether the app speaks HTTP/2 without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h2_backend: Option<bool>,
    /// Seconds an idle connection lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u32>,
    /// Seconds a client has for its headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_read_timeout: Option<u32>,
    /// Cached `fly-replay` decisions.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub replay_cache: Vec<MachineReplayCache>,
}

/// A `fly-replay` decision that the proxy remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineReplayCache {
    /// The path prefix that the decision applies to.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub path_prefix: String,
    /// For how many seconds.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub ttl_seconds: u32,
    /// `cookie` or `header`.
    #[serde(
        rename = "type",
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub kind: String,
    /// The name of that cookie or header.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub name: String,
    /// Whether a client may ask for a fresh answer. The API leaves `false` out.
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
    pub allow_bypass: bool,
}

/// How the proxy changes responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineHttpResponse {
    /// Headers to add (a text or a list) or to remove (`false`).
    #[serde(
        skip_serializing_if = "is_default",
        deserialize_with = "null_as_default"
    )]
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
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub kind: String,
    /// The load above which the proxy prefers other machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft_limit: Option<u32>,
    /// The load above which the proxy sends no more requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_limit: Option<u32>,
}
