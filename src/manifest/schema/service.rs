//! What the proxy reaches, and how it sees that a machine is well: services, ports and checks in fly.toml's words.

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
    /// A word.
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
    /// How many machines keep running in the primary region; without a `count` there are this many.
    #[schemars(range(min = 0, max = 1000))]
    pub min_machines_running: Option<u32>,
    /// The process groups that serve it. Must be said when there are several.
    #[serde(default)]
    pub processes: Vec<String>,
    /// How much load one machine takes.
    pub concurrency: Option<ConcurrencySection>,
    /// TLS settings.
    pub tls_options: Option<TlsOptionsSection>,
    /// HTTP settings.
    pub http_options: Option<HttpOptionsSection>,
    /// Whether the app answers: a machine that fails gets no requests, and stops a rollout.
    #[serde(default)]
    pub checks: Vec<CheckSection>,
}

/// A service on any port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection {
    /// `tcp` unless stated.
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
    /// The process groups that serve it. Must be said when there are several.
    #[serde(default)]
    pub processes: Vec<String>,
    /// Where the world connects.
    #[serde(default)]
    pub ports: Vec<PortSection>,
    /// How much load one machine takes.
    pub concurrency: Option<ConcurrencySection>,
    /// Whether the port accepts connections.
    #[serde(default)]
    pub tcp_checks: Vec<CheckSection>,
    /// Whether the app answers HTTP.
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
    /// What the proxy does before the app sees the connection, in order.
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

/// What the proxy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PortHandler {
    /// Speaks HTTP.
    Http,
    /// Ends TLS.
    Tls,
    /// Ends TLS as PostgreSQL does it.
    PgTls,
    /// Adds the PROXY protocol.
    ProxyProto,
    /// An older name of `http`.
    EdgeHttp,
}

/// How the proxy ends TLS.
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

/// A protocol spoken inside TLS.
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

/// How the proxy speaks HTTP.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOptionsSection {
    /// Whether answers are compressed.
    pub compress: Option<bool>,
    /// What is done to answers.
    pub response: Option<HttpResponseSection>,
    /// Whether the app speaks HTTP/2 in the clear.
    pub h2_backend: Option<bool>,
    /// Seconds an idle connection lives.
    pub idle_timeout: Option<u32>,
    /// Seconds a client has for its headers.
    pub headers_read_timeout: Option<u32>,
    /// Which `fly-replay` answers the proxy remembers.
    #[serde(default)]
    pub replay_cache: Vec<ReplayCacheSection>,
}

/// A `fly-replay` answer that the proxy remembers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayCacheSection {
    /// The paths that it is for.
    #[schemars(required, example = &"/users")]
    pub path_prefix: Option<String>,
    /// For how many seconds.
    pub ttl_seconds: Option<u32>,
    /// What tells two clients apart: `cookie` or `header`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The name of that cookie or header.
    pub name: Option<String>,
    /// Whether a client may ask for a fresh answer.
    pub allow_bypass: Option<bool>,
}

/// What the proxy does to answers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpResponseSection {
    /// Headers to add (a text or a list of texts), or to remove (`false`).
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

/// How much load one machine takes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencySection {
    /// What is counted. Default: connections.
    #[serde(rename = "type")]
    pub kind: Option<ConcurrencyType>,
    /// Above it the proxy prefers other machines, and starts stopped ones.
    pub soft_limit: Option<u32>,
    /// Above it the proxy sends nothing more.
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
    /// Whether a failing check only informs, or takes the machine out of service.
    #[serde(rename = "kind")]
    pub role: Option<CheckKind>,
    /// How often.
    #[schemars(example = &"15s")]
    pub interval: Option<DurationString>,
    /// How long an answer may take.
    #[schemars(example = &"2s")]
    pub timeout: Option<DurationString>,
    /// How long failures do not count after a start.
    #[schemars(example = &"10s")]
    pub grace_period: Option<DurationString>,
    /// The HTTP method. Default: GET.
    pub method: Option<String>,
    /// The HTTP path.
    #[schemars(example = &"/health")]
    pub path: Option<String>,
    /// `http` or `https`.
    pub protocol: Option<Scheme>,
    /// Whether any certificate will do.
    pub tls_skip_verify: Option<bool>,
    /// The name asked for in TLS.
    pub tls_server_name: Option<String>,
    /// Headers sent.
    #[serde(default)]
    pub headers: BTreeMap<String, OneOrMany<String>>,
    /// The process groups that are checked. Default: the first group.
    #[serde(default)]
    pub processes: Vec<String>,
}

/// The sorts of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckType {
    /// A connection.
    Tcp,
    /// A request.
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

/// How a check speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}
