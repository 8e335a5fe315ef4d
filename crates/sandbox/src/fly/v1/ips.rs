//! `/v1/apps/{app}/ip_assignments`: public, shared, private and egress IP addresses.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, platform, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::clock;
use crate::ids;
use crate::world::{App, DEFAULT_NETWORK, Ip, SimulatedWorld};

pub(super) fn routes() -> [Route; 3] {
    [
        route("GET", "/v1/apps/{app}/ip_assignments", list),
        route("POST", "/v1/apps/{app}/ip_assignments", assign),
        route("DELETE", "/v1/apps/{app}/ip_assignments/{ip}", release),
    ]
}

fn ip_view(ip: &Ip) -> Value {
    let network = ip
        .network
        .as_ref()
        .map(|(name, org)| json!({ "name": name, "org_slug": org }));
    json!({
        "ip": ip.ip,
        "region": ip.region,
        "service_name": ip.service_name,
        "shared": ip.kind == "shared_v4",
        "egress": ip.kind.starts_with("egress"),
        "network": network,
        "created_at": clock::format_seconds(ip.created_ms),
    })
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let ips: Vec<Value> = app
        .ips
        .iter()
        .filter(|ip| world.is_listed(ip.created_ms))
        .map(ip_view)
        .collect();
    Ok(ApiResponse::ok(json!({ "ips": ips })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AssignIpRequest {
    #[serde(rename = "type")]
    kind: Option<String>,
    region: Option<String>,
    network: Option<String>,
    org_slug: Option<String>,
    service_name: Option<String>,
}

fn assign(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: AssignIpRequest = call.body()?;
    let kind = request.kind.unwrap_or_default();
    let region = non_empty(request.region);
    region
        .as_deref()
        .filter(|region| *region != "global")
        .map(platform::check_region)
        .transpose()?;
    let network = non_empty(request.network);
    let org = non_empty(request.org_slug)
        .map(|slug| world.org(&slug, &call.caller).map(|org| org.slug.clone()));
    let org = org.transpose()?.unwrap_or_else(|| {
        world
            .app(call)
            .map(|app| app.org.clone())
            .unwrap_or_default()
    });
    if let Some(name) = &network
        && !world.network_exists(&org, name)
    {
        return Err(network_not_found());
    }
    let app = world.app(call)?;
    if kind == "egress_pair" {
        return assign_egress_pair(world, call, region.as_deref().unwrap_or_default());
    }
    let new_ip = NewIp {
        kind: &kind,
        region: region.as_deref(),
        service_name: request.service_name.unwrap_or_default(),
        network: (kind == "private_v6").then(|| (network.unwrap_or_default(), org)),
    };
    // An app has at most one shared IPv4 address; a second request returns the same one.
    if let Some(shared) = app
        .ips
        .iter()
        .find(|ip| kind == "shared_v4" && ip.kind == kind)
    {
        return Ok(ApiResponse::ok(ip_view(shared)));
    }
    let ip = allocate_ip(world, call.path_param("app"), call, new_ip)?;
    Ok(ApiResponse::ok(ip_view(&ip)))
}

/// An IP address to be allocated.
#[derive(Debug)]
pub(crate) struct NewIp<'a> {
    pub(crate) kind: &'a str,
    pub(crate) region: Option<&'a str>,
    pub(crate) service_name: String,
    pub(crate) network: Option<(String, String)>,
}

fn network_not_found() -> ApiError {
    ApiError::bad_request("network not found")
}

/// Allocates an IP address. A private one belongs to the network that it names, else to the app's.
///
/// # Errors
/// `400` for an unknown type or network; otherwise as [`SimulatedWorld::app_named`].
pub(crate) fn allocate_ip(
    world: &mut SimulatedWorld,
    app: &str,
    call: &ApiCall,
    new_ip: NewIp<'_>,
) -> Result<Ip, ApiError> {
    let now = world.now_ms;
    let target = world.app_named(app, &call.caller)?;
    let (network, org) = match &new_ip.network {
        Some((network, org)) if !network.is_empty() => (network.as_str(), org.as_str()),
        Some((_, org)) if *org != target.org => (DEFAULT_NETWORK, org.as_str()),
        _ => (target.network.as_str(), target.org.as_str()),
    };
    if !world.network_exists(org, network) {
        return Err(network_not_found());
    }
    let network_number = world.network_number(org, network);
    let app = world
        .changed_app(app)
        .ok_or_else(|| ApiError::not_found("app"))?;
    let bytes = app.next_id_bytes("ip");
    let ip = generate_address(new_ip.kind, network_number, &bytes)
        .ok_or_else(|| ApiError::bad_request(format!("invalid ip type: {:?}", new_ip.kind)))?;
    // The API shows `global` for dedicated and private addresses, and no region for shared ones.
    let default_region = if matches!(new_ip.kind, "v4" | "v6" | "private_v6") {
        "global"
    } else {
        ""
    };
    let ip = Ip {
        id: format!("ip_{}", ids::base32_id(&bytes)),
        ip,
        kind: new_ip.kind.to_owned(),
        region: new_ip.region.unwrap_or(default_region).to_owned(),
        service_name: new_ip.service_name,
        network: new_ip.network,
        created_ms: now,
    };
    app.ips.push(ip.clone());
    Ok(ip)
}

/// An address from the ranges that Fly announces, or from its private network.
fn generate_address(kind: &str, network_number: u32, bytes: &[u8; 32]) -> Option<String> {
    let group = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Some(match kind {
        "v4" => format!("149.248.{}.{}", bytes[0], bytes[1].clamp(1, 254)),
        "shared_v4" => format!("66.241.{}.{}", 124 + bytes[0] % 2, bytes[1].clamp(1, 254)),
        "egress_v4" => format!("209.71.{}.{}", bytes[0], bytes[1].clamp(1, 254)),
        "v6" => format!("2a09:8280:1::{:x}:{:x}", group(0) & 0xff, group(2)),
        "egress_v6" => format!(
            "2605:4c40:{:x}:{:x}:0:{:x}:{:x}:1",
            group(0),
            group(2),
            group(4),
            group(6)
        ),
        "private_v6" => format!(
            "fdaa:{:x}:{:x}:0:1::{:x}",
            network_number >> 16,
            network_number & 0xffff,
            group(0)
        ),
        _ => return None,
    })
}

/// Allocates an IPv4 and an IPv6 egress address in a region.
///
/// # Errors
/// `400` for an unknown region; otherwise as [`allocate_ip`].
pub(crate) fn allocate_egress_pair(
    world: &mut SimulatedWorld,
    app: &str,
    call: &ApiCall,
    region: &str,
) -> Result<(Ip, Ip), ApiError> {
    platform::check_region(region)?;
    let mut allocate = |kind| {
        let new_ip = NewIp {
            kind,
            region: Some(region),
            service_name: String::new(),
            network: None,
        };
        allocate_ip(world, app, call, new_ip)
    };
    Ok((allocate("egress_v4")?, allocate("egress_v6")?))
}

fn assign_egress_pair(world: &mut SimulatedWorld, call: &ApiCall, region: &str) -> ApiResult {
    let app = call.path_param("app").to_owned();
    let (v4, v6) = allocate_egress_pair(world, &app, call, region)?;
    let mut body = ip_view(&v4);
    body["ip"] = Value::Null;
    body["ip_pair"] = json!({ "v4": v4.ip, "v6": v6.ip });
    Ok(ApiResponse::ok(body))
}

fn release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app_mut(call)?;
    remove_ip(app, call.path_param("ip"))?;
    Ok(ApiResponse::empty(204))
}

/// Releases an IP address.
///
/// # Errors
/// `404` when the app has no such address.
pub(crate) fn remove_ip(app: &mut App, ip: &str) -> Result<(), ApiError> {
    let index = app
        .ips
        .iter()
        .position(|assigned| assigned.ip == ip || assigned.id == ip);
    app.ips
        .remove(index.ok_or_else(|| ApiError::not_found("ip address"))?);
    Ok(())
}
