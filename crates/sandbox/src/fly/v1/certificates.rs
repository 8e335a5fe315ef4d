//! `/v1/apps/{app}/certificates`: certificates for host names, and whether DNS points to the app.
//!
//! DNS validation succeeds a short time after a host name is added, so a pending certificate
//! becomes active, as it would after a user has set the DNS records.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::world::{App, Certificate, SimulatedWorld};

const DEFAULT_PAGE_SIZE: i64 = 25;
const MAX_PAGE_SIZE: i64 = 500;
/// How long until DNS validation succeeds and the certificate is issued.
const VALIDATION_MS: i64 = 10_000;
/// The lifetime of a certificate: ninety days.
const LIFETIME_MS: i64 = 90 * 24 * 3_600_000;

pub(super) fn routes() -> [Route; 8] {
    [
        route("GET", "/v1/apps/{app}/certificates", list),
        route("POST", "/v1/apps/{app}/certificates/acme", create_acme),
        route("POST", "/v1/apps/{app}/certificates/custom", create_custom),
        route("GET", "/v1/apps/{app}/certificates/{hostname}", show),
        route("DELETE", "/v1/apps/{app}/certificates/{hostname}", delete),
        route(
            "POST",
            "/v1/apps/{app}/certificates/{hostname}/check",
            check,
        ),
        route(
            "DELETE",
            "/v1/apps/{app}/certificates/{hostname}/acme",
            delete_acme,
        ),
        route(
            "DELETE",
            "/v1/apps/{app}/certificates/{hostname}/custom",
            delete_custom,
        ),
    ]
}

impl Certificate {
    fn is_valid(&self, now: i64) -> bool {
        self.valid_from_ms.is_some_and(|from| from <= now)
    }

    fn status(&self, now: i64) -> &'static str {
        if self.is_valid(now) {
            "active"
        } else {
            "pending_validation"
        }
    }
}

fn summary(certificate: &Certificate, now: i64) -> Value {
    let valid = certificate.is_valid(now);
    let is_wildcard = certificate.hostname.starts_with("*.");
    json!({
        "hostname": certificate.hostname,
        "status": certificate.status(now),
        "configured": valid,
        "dns_provider": "",
        "acme_requested": certificate.acme,
        "acme_dns_configured": valid,
        "acme_alpn_configured": valid && !is_wildcard,
        "acme_http_configured": valid && !is_wildcard,
        "ownership_txt_configured": false,
        "has_custom_certificate": certificate.custom,
        "has_fly_certificate": certificate.acme && valid,
        "created_at": clock::format_seconds(certificate.created_ms),
        "updated_at": clock::format_seconds(certificate.updated_ms),
    })
}

fn detail(app: &App, certificate: &Certificate, now: i64) -> Value {
    let valid = certificate.is_valid(now);
    let public_ips = |v6: bool| {
        let ips = app
            .ips
            .iter()
            .filter(|ip| matches!(ip.kind.as_str(), "v4" | "v6" | "shared_v4"));
        ips.filter(|ip| (ip.kind == "v6") == v6)
            .map(|ip| ip.ip.clone())
            .collect::<Vec<_>>()
    };
    let host = &certificate.hostname;
    // The challenge of a wildcard is that of the domain below the star, and only DNS proves that one
    // owns all its names: a certificate authority asks no server for them.
    let domain = host.strip_prefix("*.").unwrap_or(host);
    let is_wildcard = domain != host;
    json!({
        "hostname": host,
        "status": certificate.status(now),
        "configured": valid,
        "acme_requested": certificate.acme,
        "dns_provider": "",
        "certificates": certificate_entries(certificate, now),
        "validation": {
            "dns_configured": valid,
            "alpn_configured": valid && !is_wildcard,
            "http_configured": valid && !is_wildcard,
            "ownership_txt_configured": false,
        },
        "dns_requirements": {
            "a": public_ips(false),
            "aaaa": public_ips(true),
            "cname": app.cname_target(),
            "acme_challenge": {
                "name": format!("_acme-challenge.{domain}"),
                "target": format!("{domain}.{}.flydns.net", app.short_id()),
            },
            "ownership": {
                "name": format!("_fly-ownership.{domain}"),
                "app_value": format!("app-{}", app.id),
                "org_value": format!("org-{}", app.org),
            },
        },
        "validation_errors": [],
    })
}

fn certificate_entries(certificate: &Certificate, now: i64) -> Vec<Value> {
    let mut entries = Vec::new();
    let from = certificate.valid_from_ms.unwrap_or(certificate.created_ms);
    let expires = clock::format_seconds(from.saturating_add(LIFETIME_MS));
    if certificate.custom {
        entries.push(json!({
            "source": "custom",
            "status": "active",
            "created_at": clock::format_seconds(certificate.created_ms),
            "expires_at": expires,
            "issuer": "Sandbox Test Authority",
            "issued": [],
        }));
    }
    if certificate.acme {
        let mut entry = json!({
            "source": "fly",
            "status": certificate.status(now),
            "created_at": clock::format_seconds(certificate.created_ms),
            "issuer": "Let's Encrypt",
            "issued": [],
        });
        if certificate.is_valid(now) {
            let issued = |kind| json!({ "type": kind, "expires_at": expires, "certificate_authority": "lets_encrypt" });
            entry["expires_at"] = expires.clone().into();
            entry["issued"] = json!([issued("ecdsa"), issued("rsa")]);
        }
        entries.push(entry);
    }
    entries
}

/// The cursor is the last host name of the page before.
fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let limit = call.query_limit(DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)?;
    let (after, filter) = (
        call.query("cursor"),
        call.query("filter").unwrap_or_default(),
    );
    let all = app
        .certificates
        .values()
        .filter(|c| c.hostname.contains(filter) && world.is_listed(c.created_ms));
    let all: Vec<&Certificate> = all.collect();
    let mut remaining = all
        .iter()
        .filter(|c| after.is_none_or(|after| c.hostname.as_str() > after))
        .peekable();
    let page: Vec<&Certificate> = remaining.by_ref().take(limit).copied().collect();
    // The cursor is set only when another page follows.
    let next_cursor = remaining
        .peek()
        .and(page.last())
        .map_or("", |last| last.hostname.as_str());
    Ok(ApiResponse::ok(json!({
        "certificates": page.iter().map(|c| summary(c, world.now_ms)).collect::<Vec<_>>(),
        "next_cursor": next_cursor,
        "total_count": all.len(),
    })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateCertificateRequest {
    hostname: Option<String>,
    fullchain: Option<String>,
    private_key: Option<String>,
}

fn create_acme(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    add_certificate(world, call, false)
}

fn create_custom(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    add_certificate(world, call, true)
}

fn add_certificate(world: &mut SimulatedWorld, call: &ApiCall, custom: bool) -> ApiResult {
    let request: CreateCertificateRequest = call.body()?;
    let host = request.hostname.unwrap_or_default().to_ascii_lowercase();
    if !is_hostname(&host) {
        return Err(ApiError::new(422, "Validation failed: Hostname is invalid"));
    }
    let is_pem = |text: &Option<String>| {
        text.as_deref()
            .is_some_and(|text| text.contains("-----BEGIN"))
    };
    if custom && !(is_pem(&request.fullchain) && is_pem(&request.private_key)) {
        return Err(ApiError::new(
            422,
            "Validation failed: fullchain and private_key must be PEM",
        ));
    }
    let now = world.now_ms;
    let app = world.app_mut(call)?;
    let new_certificate = || Certificate {
        hostname: host.clone(),
        acme: false,
        custom: false,
        created_ms: now,
        updated_ms: now,
        valid_from_ms: None,
    };
    let certificate = app
        .certificates
        .entry(host.clone())
        .or_insert_with(new_certificate);
    let source = if custom {
        &mut certificate.custom
    } else {
        &mut certificate.acme
    };
    if std::mem::replace(source, true) {
        return Err(ApiError::new(
            422,
            "Validation failed: Hostname has already been taken",
        ));
    }
    certificate.updated_ms = now;
    certificate.valid_from_ms = Some(certificate.valid_from_ms.unwrap_or(now + VALIDATION_MS));
    let certificate = certificate.clone();
    Ok(ApiResponse::json(201, detail(app, &certificate, now)))
}

/// A domain name with at least two labels; the first may be `*`.
fn is_hostname(host: &str) -> bool {
    let domain = host.strip_prefix("*.").unwrap_or(host);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label)
}

fn find_certificate<'a>(app: &'a App, call: &ApiCall) -> Result<&'a Certificate, ApiError> {
    let found = app
        .certificates
        .get(&call.path_param("hostname").to_ascii_lowercase());
    found.ok_or_else(|| ApiError::not_found("certificate"))
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    Ok(ApiResponse::ok(detail(
        app,
        find_certificate(app, call)?,
        world.now_ms,
    )))
}

fn check(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let certificate = find_certificate(app, call)?;
    let mut body = detail(app, certificate, world.now_ms);
    // Once validation succeeds, DNS contains exactly the required records.
    let resolved = |key: &str| {
        if certificate.is_valid(world.now_ms) {
            body["dns_requirements"][key].clone()
        } else {
            json!([])
        }
    };
    let (a, aaaa) = (resolved("a"), resolved("aaaa"));
    body["dns_records"] = json!({
        "a": a,
        "aaaa": aaaa,
        "cname": [],
        "acme_challenge_cname": "",
        "ownership_txt": "",
        "resolved_addresses": a,
        "soa": "",
    });
    Ok(ApiResponse::ok(body))
}

fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    find_certificate(world.app(call)?, call)?;
    world
        .app_mut(call)?
        .certificates
        .remove(&call.path_param("hostname").to_ascii_lowercase());
    Ok(ApiResponse::empty(204))
}

fn delete_acme(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    remove_source(world, call, |certificate| certificate.acme = false)
}

fn delete_custom(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let mut response = remove_source(world, call, |certificate| certificate.custom = false)?;
    if let crate::api::ResponseBody::Json(body) = &mut response.body {
        body["warning"] = "".into();
    }
    Ok(response)
}

/// Removes one of the two certificate sources; the host name is removed with the last one.
fn remove_source(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    edit: fn(&mut Certificate),
) -> ApiResult {
    let now = world.now_ms;
    let mut certificate = find_certificate(world.app(call)?, call)?.clone();
    let before = (certificate.acme, certificate.custom);
    edit(&mut certificate);
    if before == (certificate.acme, certificate.custom) {
        return Err(ApiError::not_found("certificate"));
    }
    let app = world.app_mut(call)?;
    let body = detail(app, &certificate, now);
    if certificate.acme || certificate.custom {
        app.certificates
            .insert(certificate.hostname.clone(), certificate);
    } else {
        app.certificates.remove(&certificate.hostname);
    }
    Ok(ApiResponse::ok(body))
}
