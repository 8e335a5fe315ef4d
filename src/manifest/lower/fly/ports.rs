//! Lowers public ports, and how the proxy handles their connections.

use serde_json::Value;

use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::fly::workload::config::{
        MachineHttpOptions, MachineHttpResponse, MachinePort, MachineProxyProtoOptions,
        MachineReplayCache, MachineTlsOptions,
    },
    manifest::{
        schema::{self, Alpn, PortHandler, ProxyProtoVersion, ResponseHeader, TlsVersion},
        syntax::cursor::Cursor,
    },
};

/// Lowers a public port.
pub(crate) fn lower_port(
    port: &schema::PortSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachinePort {
    check_port_range(port, cursor, diagnostics);
    check_handlers(port, cursor, diagnostics);
    let proxy_proto = port
        .proxy_proto_options
        .as_ref()
        .map(|options| MachineProxyProtoOptions {
            version: options.version.map(|version| match version {
                ProxyProtoVersion::V1 => "v1".to_owned(),
                ProxyProtoVersion::V2 => "v2".to_owned(),
            }),
        });
    MachinePort {
        port: port.port,
        start_port: port.start_port,
        end_port: port.end_port,
        handlers: port
            .handlers
            .iter()
            .map(|handler| handler_name(*handler).to_owned())
            .collect(),
        force_https: port.force_https.unwrap_or_default(),
        tls_options: port.tls_options.as_ref().map(lower_tls_options),
        http_options: port.http_options.as_ref().map(lower_http_options),
        proxy_proto_options: proxy_proto,
    }
}

/// Checks that there is either one port or a range.
fn check_port_range(port: &schema::PortSection, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    match (port.port, port.start_port, port.end_port) {
        (Some(_), None, None) => {}
        (None, Some(start), Some(end)) if start <= end => {}
        (None, Some(start), Some(end)) => {
            diagnostics.error(cursor.key("start_port").diagnostic(format!(
                "this range ends before it starts: {start} to {end}"
            )));
        }
        (Some(_), _, _) => {
            diagnostics.error(
                cursor
                    .key("port")
                    .diagnostic("a port is either one number or a range")
                    .with_help("leave out `port`, or `start_port` and `end_port`"),
            );
        }
        _ => {
            diagnostics.error(
                cursor
                    .diagnostic("the port is missing")
                    .with_help("set `port`, or `start_port` and `end_port`"),
            );
        }
    }
}

/// Checks that the settings of a port have their handler. flyctl passes such settings on to Fly.
fn check_handlers(port: &schema::PortSection, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let has = |handler| port.handlers.contains(&handler);
    let field = cursor.key("handlers");
    if has(PortHandler::Tls) && has(PortHandler::PgTls) {
        diagnostics.refuse_in_manifest(field.diagnostic("`tls` and `pg_tls` exclude each other"));
    }
    if port.force_https == Some(true) && !has(PortHandler::Http) {
        diagnostics.refuse_in_manifest(
            cursor
                .key("force_https")
                .diagnostic("only a port with the `http` handler can redirect to HTTPS"),
        );
    }
    if port.tls_options.is_some() && !has(PortHandler::Tls) && !has(PortHandler::PgTls) {
        diagnostics.refuse_in_manifest(
            cursor
                .key("tls_options")
                .diagnostic("TLS settings need the `tls` handler"),
        );
    }
    if port.http_options.is_some() && !has(PortHandler::Http) {
        diagnostics.refuse_in_manifest(
            cursor
                .key("http_options")
                .diagnostic("HTTP settings need the `http` handler"),
        );
    }
    if port.proxy_proto_options.is_some() && !has(PortHandler::ProxyProto) {
        diagnostics.refuse_in_manifest(
            cursor
                .key("proxy_proto_options")
                .diagnostic("PROXY protocol settings need the `proxy_proto` handler"),
        );
    }
    for (index, handler) in port.handlers.iter().enumerate() {
        if port.handlers[..index].contains(handler) {
            diagnostics.refuse_in_manifest(field.item(index).diagnostic(format!(
                "handler `{}` is listed twice",
                handler_name(*handler)
            )));
        }
    }
}

fn handler_name(handler: PortHandler) -> &'static str {
    match handler {
        PortHandler::Http => "http",
        PortHandler::Tls => "tls",
        PortHandler::PgTls => "pg_tls",
        PortHandler::ProxyProto => "proxy_proto",
        PortHandler::EdgeHttp => "edge_http",
    }
}

/// Lowers TLS settings.
pub(crate) fn lower_tls_options(options: &schema::TlsOptionsSection) -> MachineTlsOptions {
    let alpn = |alpn: &Alpn| match alpn {
        Alpn::H2 => "h2".to_owned(),
        Alpn::Http11 => "http/1.1".to_owned(),
    };
    let version = |version: &TlsVersion| match version {
        TlsVersion::V12 => "TLSv1.2".to_owned(),
        TlsVersion::V13 => "TLSv1.3".to_owned(),
    };
    MachineTlsOptions {
        alpn: options.alpn.iter().map(alpn).collect(),
        versions: options.versions.iter().map(version).collect(),
        default_self_signed: options.default_self_signed,
    }
}

fn lower_replay_cache(stated: &schema::ReplayCacheSection) -> MachineReplayCache {
    let schema::ReplayCacheSection {
        path_prefix,
        ttl_seconds,
        kind,
        name,
        allow_bypass,
    } = stated;
    MachineReplayCache {
        path_prefix: path_prefix.clone().unwrap_or_default(),
        ttl_seconds: ttl_seconds.unwrap_or_default(),
        kind: kind.clone().unwrap_or_default(),
        name: name.clone().unwrap_or_default(),
        allow_bypass: allow_bypass.unwrap_or_default(),
    }
}

/// Lowers HTTP settings.
pub(crate) fn lower_http_options(options: &schema::HttpOptionsSection) -> MachineHttpOptions {
    let value = |value: &ResponseHeader| match value {
        ResponseHeader::Flag(flag) => Value::from(*flag),
        ResponseHeader::Text(text) => Value::from(text.as_str()),
        ResponseHeader::Many(texts) => Value::from(texts.clone()),
    };
    let response = options
        .response
        .as_ref()
        .map(|response| MachineHttpResponse {
            headers: response
                .headers
                .iter()
                .map(|(name, header)| (name.clone(), value(header)))
                .collect(),
            pristine: response.pristine,
        });
    MachineHttpOptions {
        compress: options.compress,
        response,
        h2_backend: options.h2_backend,
        idle_timeout: options.idle_timeout,
        headers_read_timeout: options.headers_read_timeout,
        replay_cache: options
            .replay_cache
            .iter()
            .map(lower_replay_cache)
            .collect(),
    }
}
