//! The schema of services, ports and checks, under fly.toml's names.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::OneOrMany;

/// A duration: a number with a unit, such as `15s`, `500ms` or `1m30s`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DurationString(pub String);

/// A duration, or a number of seconds as fly.toml's `kill_timeout` takes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DurationOrSeconds {
    /// With a unit.
    Span(DurationString),
    /// Seconds.
    Number(u32),
}

/// Whether the proxy stops idle machines. `true` is `"stop"`, `false` is `"off"`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AutoStopSetting {
    /// fly.toml's older spelling.
    Flag(bool),
    /// The mode.
    Word(AutoStopMode),
}

/// Whether the proxy stops idle machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutoStopMode {
    /// Never.
    Off,
    /// Stops them.
    Stop,
    /// Suspends them, memory included: they wake in less than a second.
    Suspend,
}

/// The HTTP service on ports 80 and 443.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpServiceSection {
    /// The port that the app listens on.
    #[schemars(required, range(min = 1, max = 65535), example = 8080)]
    pub internal_port: Option<u16>,
    /// Whether HTTP is redirected to HTTPS.
    pub force_https: Option<bool>,
    /// Whether idle machines stop. Default: off.
    #[schemars(example = &"stop")]
    pub auto_stop_machines: Option<AutoStopSetting>,
    /// Whether a request starts a machine.
    pub auto_start_machines: Option<bool>,
    /// How many machines keep running in the primary region; also the default `count`.
    #[schemars(range(min = 0, max = 1000))]
    pub min_machines_running: Option<u32>,
    /// The process groups that serve it. Required when there are several.
    #[serde(default)]
    pub processes: Vec<String>,
    /// How much load one machine accepts.
    pub concurrency: Option<ConcurrencySection>,
    /// TLS settings.
    pub tls_options: Option<TlsOptionsSection>,
    /// HTTP settings.
    pub http_options: Option<HttpOptionsSection>,
    /// Health checks: a machine that fails gets no requests, and stops a rollout.
    #[serde(default)]
    pub checks: Vec<CheckSection>,
}

/// A service on any port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection {
    /// Default: `tcp`.
    pub protocol: Option<Protocol>,
    /// The port that the app listens on.
    #[schemars(required, range(min = 1, max = 65535))]
    pub internal_port: Option<u16>,
    /// Whether idle machines stop. Default: off.
    pub auto_stop_machines: Option<AutoStopSetting>,
    /// Whether a request starts a machine.
    pub auto_start_machines: Option<bool>,
    /// How many machines keep running in the primary region; without a `count` there are this many.
    #[schemars(range(min = 0, max = 1000))]
    pub min_machines_running: Option<u32>,
    /// The process groups that serve it. Required when there are several.
    #[serde(default)]
    pub processes: Vec<String>,
    /// The public ports.
    #[serde(default)]
    pub ports: Vec<PortSection>,
    /// How much load one machine accepts.
    pub concurrency: Option<ConcurrencySection>,
    /// Checks that the port accepts connections.
    #[serde(default)]
    pub tcp_checks: Vec<CheckSection>,
    /// Checks that the app responds to HTTP requests.
    #[serde(default)]
    pub http_checks: Vec<CheckSection>,
}

/// The protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP; needs a dedicated IPv4.
    Udp,
}

/// A public port, or a range of them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortSection {
    /// The port.
    #[schemars(range(min = 1, max = 65535), example = 443)]
    pub port: Option<u16>,
    /// The first of a range.
    #[schemars(range(min = 1, max = 65535))]
    pub start_port: Option<u16>,
    /// The last of a range.
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<u16>,
    /// How the proxy handles the connection before the app gets it, in order.
    #[serde(default)]
    pub handlers: Vec<PortHandler>,
    /// Whether HTTP is redirected to HTTPS.
    pub force_https: Option<bool>,
    /// TLS settings.
    pub tls_options: Option<TlsOptionsSection>,
    /// HTTP settings.
    pub http_options: Option<HttpOptionsSection>,
    /// PROXY protocol settings.
    pub proxy_proto_options: Option<ProxyProtoSection>,
}

/// How the proxy handles a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortHandler {
    /// Speaks HTTP.
    Http,
    /// Terminates TLS.
    Tls,
    /// Terminates TLS in PostgreSQL's protocol.
    PgTls,
    /// Adds the PROXY protocol.
    ProxyProto,
    /// An older name of `http`.
    EdgeHttp,
}

/// How the proxy terminates TLS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsOptionsSection {
    /// Protocols offered.
    #[serde(default)]
    pub alpn: Vec<Alpn>,
    /// TLS versions offered.
    #[serde(default)]
    pub versions: Vec<TlsVersion>,
    /// Whether a self-signed certificate serves unknown hosts.
    pub default_self_signed: Option<bool>,
}

/// An application protocol negotiated in TLS (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Alpn {
    /// HTTP/2.
    #[serde(rename = "h2")]
    H2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http11,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "TLSv1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "TLSv1.3")]
    V13,
}

/// How the proxy handles HTTP.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOptionsSection {
    /// Whether responses are compressed.
    pub compress: Option<bool>,
    /// How responses are changed.
    pub response: Option<HttpResponseSection>,
    /// Whether the app accepts HTTP/2 without TLS (h2c).
    pub h2_backend: Option<bool>,
    /// After how many seconds an idle connection is closed.
    pub idle_timeout: Option<u32>,
    /// How many seconds a client has to send its headers.
    pub headers_read_timeout: Option<u32>,
    /// Which `fly-replay` responses the proxy caches.
    #[serde(default)]
    pub replay_cache: Vec<ReplayCacheSection>,
}

/// A rule to cache `fly-replay` responses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayCacheSection {
    /// The prefix of the paths it applies to.
    #[schemars(required, example = &"/users")]
    pub path_prefix: Option<String>,
    /// For how many seconds.
    pub ttl_seconds: Option<u32>,
    /// What the cache key is taken from: `cookie` or `header`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The name of that cookie or header.
    pub name: Option<String>,
    /// Whether a client may bypass the cache.
    pub allow_bypass: Option<bool>,
}

/// How the proxy changes responses.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpResponseSection {
    /// Headers to add (a string or a list of strings), or to remove (`false`).
    #[serde(default)]
    pub headers: BTreeMap<String, ResponseHeader>,
    /// Whether Fly's own headers are left out.
    pub pristine: Option<bool>,
}

/// A header to add or to remove.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ResponseHeader {
    /// `false` removes it.
    Flag(bool),
    /// Adds it.
    Text(String),
    /// Adds it several times.
    Many(Vec<String>),
}

/// PROXY protocol settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtoSection {
    /// Which version is spoken. Default: v1.
    pub version: Option<ProxyProtoVersion>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtoVersion {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// How much load one machine accepts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySection {
    /// What is counted. Default: connections.
    #[serde(rename = "type")]
    pub kind: Option<ConcurrencyType>,
    /// Above this load the proxy prefers other machines, and starts stopped ones.
    pub soft_limit: Option<u32>,
    /// Above this load the proxy sends nothing more.
    pub hard_limit: Option<u32>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConcurrencyType {
    /// Connections.
    Connections,
    /// Requests.
    Requests,
}

/// A check. `type`, `port`, `kind` and `processes` are for checks of the machine, in `[apps.KEY.checks.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSection {
    /// `tcp` or `http`.
    #[serde(rename = "type")]
    pub kind: Option<CheckType>,
    /// The port. Default: the HTTP service's.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Whether a failing check only informs, or also takes the machine out of service.
    #[serde(rename = "kind")]
    pub role: Option<CheckKind>,
    /// How often.
    #[schemars(example = &"15s")]
    pub interval: Option<DurationString>,
    /// How long a response may take.
    #[schemars(example = &"2s")]
    pub timeout: Option<DurationString>,
    /// How long after a start failures do not count; in a service's check at most a minute.
    #[schemars(example = &"10s")]
    pub grace_period: Option<DurationString>,
    /// The HTTP method. Default: GET.
    pub method: Option<String>,
    /// The HTTP path.
    #[schemars(example = &"/health")]
    pub path: Option<String>,
    /// `http` or `https`.
    pub protocol: Option<Scheme>,
    /// Whether invalid certificates are accepted.
    pub tls_skip_verify: Option<bool>,
    /// The server name in TLS (SNI).
    pub tls_server_name: Option<String>,
    /// Request headers.
    #[serde(default)]
    pub headers: BTreeMap<String, OneOrMany<String>>,
    /// The process groups that are checked. Default: the first group.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// The types of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckType {
    /// A TCP connection.
    Tcp,
    /// An HTTP request.
    Http,
}

/// What a failing check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// Informs.
    Informational,
    /// Takes the machine out of service.
    Readiness,
}

/// The protocol of an HTTP check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}
