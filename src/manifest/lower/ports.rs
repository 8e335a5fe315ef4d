//! Public ports, and how the proxy treats what arrives at them.

use serde_json::Value;

use super::Sink;
use crate::{
    kinds::fly::workload::config::{
        HttpOptions, HttpResponse, Port, ProxyProtoOptions, ReplayCache, TlsOptions,
    },
    manifest::{
        shape::{self, Alpn, Handler, HeaderValue, ProxyProto, TlsVersion},
        spot::Spot,
    },
};

/// A public port, checked.
pub(super) fn port(port: &shape::Port, at: Spot<'_>, sink: &mut Sink) -> Port {
    range(port, at, sink);
    handlers(port, at, sink);
    let proxy_proto = port
        .proxy_proto_options
        .as_ref()
        .map(|options| ProxyProtoOptions {
            version: options.version.map(|version| match version {
                ProxyProto::V1 => "v1".to_owned(),
                ProxyProto::V2 => "v2".to_owned(),
            }),
        });
    Port {
        port: port.port,
        start_port: port.start_port,
        end_port: port.end_port,
        handlers: port
            .handlers
            .iter()
            .map(|handler| handler_word(*handler).to_owned())
            .collect(),
        force_https: port.force_https.unwrap_or_default(),
        tls_options: port.tls_options.as_ref().map(tls_options),
        http_options: port.http_options.as_ref().map(http_options),
        proxy_proto_options: proxy_proto,
    }
}

/// One port or a range, not both and not neither.
fn range(port: &shape::Port, at: Spot<'_>, sink: &mut Sink) {
    match (port.port, port.start_port, port.end_port) {
        (Some(_), None, None) => {}
        (None, Some(start), Some(end)) if start <= end => {}
        (None, Some(start), Some(end)) => {
            sink.error(at.key("start_port").problem(format!(
                "this range ends before it starts: {start} to {end}"
            )));
        }
        (Some(_), _, _) => {
            sink.error(
                at.key("port")
                    .problem("a port is either one number or a range")
                    .help("leave out `port`, or `start_port` and `end_port`"),
            );
        }
        _ => {
            sink.error(
                at.problem("this does not say which port")
                    .help("say `port`, or `start_port` and `end_port`"),
            );
        }
    }
}

fn handlers(port: &shape::Port, at: Spot<'_>, sink: &mut Sink) {
    let has = |handler| port.handlers.contains(&handler);
    let spot = at.key("handlers");
    if has(Handler::Tls) && has(Handler::PgTls) {
        sink.error(spot.problem("`tls` and `pg_tls` exclude each other"));
    }
    if port.force_https == Some(true) && !has(Handler::Http) {
        sink.error(
            at.key("force_https")
                .problem("only a port with the `http` handler can redirect to HTTPS"),
        );
    }
    if port.tls_options.is_some() && !has(Handler::Tls) && !has(Handler::PgTls) {
        sink.error(
            at.key("tls_options")
                .problem("TLS settings need the `tls` handler"),
        );
    }
    if port.http_options.is_some() && !has(Handler::Http) {
        sink.error(
            at.key("http_options")
                .problem("HTTP settings need the `http` handler"),
        );
    }
    if port.proxy_proto_options.is_some() && !has(Handler::ProxyProto) {
        sink.error(
            at.key("proxy_proto_options")
                .problem("PROXY protocol settings need the `proxy_proto` handler"),
        );
    }
    for (index, handler) in port.handlers.iter().enumerate() {
        if port.handlers[..index].contains(handler) {
            sink.error(spot.item(index).problem(format!(
                "handler `{}` stands here twice",
                handler_word(*handler)
            )));
        }
    }
}

fn handler_word(handler: Handler) -> &'static str {
    match handler {
        Handler::Http => "http",
        Handler::Tls => "tls",
        Handler::PgTls => "pg_tls",
        Handler::ProxyProto => "proxy_proto",
        Handler::EdgeHttp => "edge_http",
    }
}

/// TLS settings.
pub(super) fn tls_options(options: &shape::TlsOptions) -> TlsOptions {
    let alpn = |alpn: &Alpn| match alpn {
        Alpn::H2 => "h2".to_owned(),
        Alpn::Http11 => "http/1.1".to_owned(),
    };
    let version = |version: &TlsVersion| match version {
        TlsVersion::V12 => "TLSv1.2".to_owned(),
        TlsVersion::V13 => "TLSv1.3".to_owned(),
    };
    TlsOptions {
        alpn: options.alpn.iter().map(alpn).collect(),
        versions: options.versions.iter().map(version).collect(),
        default_self_signed: options.default_self_signed,
    }
}

fn replay_cache(stated: &shape::ReplayCache) -> ReplayCache {
    let shape::ReplayCache {
        path_prefix,
        ttl_seconds,
        kind,
        name,
        allow_bypass,
    } = stated;
    ReplayCache {
        path_prefix: path_prefix.clone().unwrap_or_default(),
        ttl_seconds: ttl_seconds.unwrap_or_default(),
        kind: kind.clone().unwrap_or_default(),
        name: name.clone().unwrap_or_default(),
        allow_bypass: allow_bypass.unwrap_or_default(),
    }
}

/// HTTP settings.
pub(super) fn http_options(options: &shape::HttpOptions) -> HttpOptions {
    let value = |value: &HeaderValue| match value {
        HeaderValue::Flag(flag) => Value::from(*flag),
        HeaderValue::Text(text) => Value::from(text.as_str()),
        HeaderValue::Many(texts) => Value::from(texts.clone()),
    };
    let response = options.response.as_ref().map(|response| HttpResponse {
        headers: response
            .headers
            .iter()
            .map(|(name, header)| (name.clone(), value(header)))
            .collect(),
        pristine: response.pristine,
    });
    HttpOptions {
        compress: options.compress,
        response,
        h2_backend: options.h2_backend,
        idle_timeout: options.idle_timeout,
        headers_read_timeout: options.headers_read_timeout,
        replay_cache: options.replay_cache.iter().map(replay_cache).collect(),
    }
}
