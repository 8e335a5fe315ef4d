//! `/v1/apps/{app}/certificates`: host names and whether the world already points them here.
//!
//! The simulated DNS is put in order a little after a name is added, so a certificate that waits becomes one that is
//! active, as it would after a person had set the records.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::world::{App, Certificate, SimulatedWorld};

/// How many a page holds without `limit`, and at most.
const PAGE_LIMITS: (i64, i64) = (25, 500);
/// When the records are set and the authority has signed.
const VALIDATION_MS: i64 = 10_000;
/// Certificates live for ninety days.
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
    json!({
        "hostname": certificate.hostname,
        "status": certificate.status(now),
        "configured": valid,
        "dns_provider": "",
        "acme_requested": certificate.acme,
        "acme_dns_configured": valid,
        "acme_alpn_configured": valid,
        "acme_http_configured": valid,
        "ownership_txt_configured": false,
        "has_custom_certificate": certificate.custom,
        "has_fly_certificate": certificate.acme && valid,
        "created_at": clock::format_seconds(certificate.created_ms),
        "updated_at": clock::format_seconds(certificate.updated_ms),
    })
}

fn detail(app: &App, certificate: &Certificate, now: i64) -> Value {
    let valid = certificate.is_valid(now);
    let public = |v6: bool| {
        let ips = app
            .ips
            .iter()
            .filter(|ip| matches!(ip.kind.as_str(), "v4" | "v6" | "shared_v4"));
        ips.filter(|ip| (ip.kind == "v6") == v6)
            .map(|ip| ip.ip.clone())
            .collect::<Vec<_>>()
    };
    let host = &certificate.hostname;
    json!({
        "hostname": host,
        "status": certificate.status(now),
        "configured": valid,
        "acme_requested": certificate.acme,
        "dns_provider": "",
        "certificates": certificate_entries(certificate, now),
        "validation": {
            "dns_configured": valid,
            "alpn_configured": valid,
            "http_configured": valid,
            "ownership_txt_configured": false,
        },
        "dns_requirements": {
            "a": public(false),
            "aaaa": public(true),
            "cname": format!("{}.{}.fly.dev", &app.id[..7.min(app.id.len())], app.name),
            "acme_challenge": {
                "name": format!("_acme-challenge.{host}"),
                "target": format!("{host}.{}.flydns.net", &app.id[..7.min(app.id.len())]),
            },
            "ownership": {
                "name": format!("_fly-ownership.{host}"),
                "app_value": format!("app-{}", app.id),
                "org_value": format!("org-{}", app.org),
            },
        },
        "validation_errors": [],
    })
}

fn certificate_entries(certificate: &Certificate, now: i64) -> Vec<Value> {
    let mut all = Vec::new();
    let from = certificate.valid_from_ms.unwrap_or(certificate.created_ms);
    let expires = clock::format_seconds(from.saturating_add(LIFETIME_MS));
    if certificate.custom {
        all.push(json!({
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
            let of = |kind| json!({ "type": kind, "expires_at": expires, "certificate_authority": "lets_encrypt" });
            entry["expires_at"] = expires.clone().into();
            entry["issued"] = json!([of("ecdsa"), of("rsa")]);
        }
        all.push(entry);
    }
    all
}

/// Pages are counted by host name: the cursor is the last one shown.
fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let limit = call
        .query_number("limit")?
        .unwrap_or(PAGE_LIMITS.0)
        .clamp(1, PAGE_LIMITS.1)
        .unsigned_abs() as usize;
    let (after, filter) = (
        call.query("cursor"),
        call.query("filter").unwrap_or_default(),
    );
    let all = app
        .certificates
        .values()
        .filter(|c| c.hostname.contains(filter) && world.is_listed(c.created_ms));
    let all: Vec<&Certificate> = all.collect();
    let mut rest = all
        .iter()
        .filter(|c| after.is_none_or(|after| c.hostname.as_str() > after))
        .peekable();
    let page: Vec<&Certificate> = rest.by_ref().take(limit).copied().collect();
    let next = rest
        .peek()
        .and(page.last())
        .map_or("", |last| last.hostname.as_str());
    Ok(ApiResponse::ok(json!({
        "certificates": page.iter().map(|c| summary(c, world.now_ms)).collect::<Vec<_>>(),
        "next_cursor": next,
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
    let pem = |text: &Option<String>| {
        text.as_deref()
            .is_some_and(|text| text.contains("-----BEGIN"))
    };
    if custom && !(pem(&request.fullchain) && pem(&request.private_key)) {
        return Err(ApiError::new(
            422,
            "Validation failed: fullchain and private_key must be PEM",
        ));
    }
    let now = world.now_ms;
    let app = world.app_mut(call)?;
    let fresh = || Certificate {
        hostname: host.clone(),
        acme: false,
        custom: false,
        created_ms: now,
        updated_ms: now,
        valid_from_ms: None,
    };
    let certificate = app.certificates.entry(host.clone()).or_insert_with(fresh);
    if if custom {
        certificate.custom
    } else {
        certificate.acme
    } {
        return Err(ApiError::new(
            422,
            "Validation failed: Hostname has already been taken",
        ));
    }
    if custom {
        certificate.custom = true;
    } else {
        certificate.acme = true;
    }
    certificate.updated_ms = now;
    certificate.valid_from_ms = Some(certificate.valid_from_ms.unwrap_or(now + VALIDATION_MS));
    let certificate = certificate.clone();
    Ok(ApiResponse::json(201, detail(app, &certificate, now)))
}

/// A domain name with at least two labels; the first may be a star.
fn is_hostname(host: &str) -> bool {
    let plain = host.strip_prefix("*.").unwrap_or(host);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    plain.len() <= 253 && plain.contains('.') && plain.split('.').all(label)
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
    let mut shown = detail(app, certificate, world.now_ms);
    let seen = |key: &str| {
        if certificate.is_valid(world.now_ms) {
            shown["dns_requirements"][key].clone()
        } else {
            json!([])
        }
    };
    let (a, aaaa) = (seen("a"), seen("aaaa"));
    shown["dns_records"] = json!({
        "a": a,
        "aaaa": aaaa,
        "cname": [],
        "acme_challenge_cname": "",
        "ownership_txt": "",
        "resolved_addresses": a,
        "soa": "",
    });
    Ok(ApiResponse::ok(shown))
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
    let mut answer = remove_source(world, call, |certificate| certificate.custom = false)?;
    if let crate::api::ResponseBody::Json(shown) = &mut answer.body {
        shown["warning"] = "".into();
    }
    Ok(answer)
}

/// Takes one of the two sources away; without any the host name goes too.
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
    let shown = detail(app, &certificate, now);
    if certificate.acme || certificate.custom {
        app.certificates
            .insert(certificate.hostname.clone(), certificate);
    } else {
        app.certificates.remove(&certificate.hostname);
    }
    Ok(ApiResponse::ok(shown))
}
