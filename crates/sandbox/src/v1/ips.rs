//! `/v1/apps/{app}/ip_assignments`: public, shared, private and outgoing addresses.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, platform, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::ids;
use crate::world::{App, Ip, SimulatedWorld};

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
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let kind = request.kind.unwrap_or_default();
    let region = given(request.region);
    region
        .as_deref()
        .filter(|region| *region != "global")
        .map(platform::check_region)
        .transpose()?;
    let network = given(request.network);
    if network
        .as_deref()
        .is_some_and(|name| world.apps.values().all(|app| app.network != name))
    {
        return Err(ApiError::bad_request("network not found"));
    }
    let org = given(request.org_slug)
        .map(|slug| world.org(&slug, &call.caller).map(|org| org.slug.clone()));
    let org = org.transpose()?.unwrap_or_else(|| {
        world
            .app(call)
            .map(|app| app.org.clone())
            .unwrap_or_default()
    });
    let app = world.app(call)?;
    if kind == "egress_pair" {
        return assign_egress_pair(world, call, region.as_deref().unwrap_or_default());
    }
    let order = NewIp {
        kind: &kind,
        region: region.as_deref(),
        service_name: request.service_name.unwrap_or_default(),
        network: (kind == "private_v6").then(|| (network.unwrap_or_default(), org)),
    };
    // An application has one shared address; asking again gives the same.
    if let Some(shared) = app
        .ips
        .iter()
        .find(|ip| kind == "shared_v4" && ip.kind == kind)
    {
        return Ok(ApiResponse::ok(ip_view(shared)));
    }
    let ip = allocate_ip(world, call.path_param("app"), call, order)?;
    Ok(ApiResponse::ok(ip_view(&ip)))
}

/// What an address is to be.
#[derive(Debug)]
pub(crate) struct NewIp<'a> {
    pub(crate) kind: &'a str,
    pub(crate) region: Option<&'a str>,
    pub(crate) service_name: String,
    pub(crate) network: Option<(String, String)>,
}

/// Allocates one address.
///
/// # Errors
/// `400` for an unknown type; as [`World::app_mut`].
pub(crate) fn allocate_ip(
    world: &mut SimulatedWorld,
    app: &str,
    call: &ApiCall,
    order: NewIp<'_>,
) -> Result<Ip, ApiError> {
    let now = world.now_ms;
    let org = world.app_named(app, &call.caller)?.org.clone();
    let org = world.global.orgs.get(&org).map_or(0, |org| org.number);
    world.dirty_apps.insert(app.to_owned());
    let app = world
        .apps
        .get_mut(app)
        .ok_or_else(|| ApiError::not_found("app"))?;
    let draw = app.next_id_bytes("ip");
    let ip = generate_address(order.kind, org, &draw)
        .ok_or_else(|| ApiError::bad_request(format!("invalid ip type: {:?}", order.kind)))?;
    let global = if matches!(order.kind, "v4" | "v6" | "private_v6") {
        "global"
    } else {
        ""
    };
    let ip = Ip {
        id: format!("ip_{}", ids::base32_id(&draw)),
        ip,
        kind: order.kind.to_owned(),
        region: order.region.unwrap_or(global).to_owned(),
        service_name: order.service_name,
        network: order.network,
        created_ms: now,
    };
    app.ips.push(ip.clone());
    Ok(ip)
}

/// An address of the ranges that Fly announces, or of its private network.
fn generate_address(kind: &str, org: u32, draw: &[u8; 32]) -> Option<String> {
    let group = |at: usize| u16::from_be_bytes([draw[at], draw[at + 1]]);
    Some(match kind {
        "v4" => format!("149.248.{}.{}", draw[0], draw[1].clamp(1, 254)),
        "shared_v4" => format!("66.241.{}.{}", 124 + draw[0] % 2, draw[1].clamp(1, 254)),
        "egress_v4" => format!("209.71.{}.{}", draw[0], draw[1].clamp(1, 254)),
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
            org >> 16,
            org & 0xffff,
            group(0)
        ),
        _ => return None,
    })
}

/// Allocates an outgoing address of each family in a region.
///
/// # Errors
/// `400` for an unknown region; as [`allocate`].
pub(crate) fn allocate_egress_pair(
    world: &mut SimulatedWorld,
    app: &str,
    call: &ApiCall,
    region: &str,
) -> Result<(Ip, Ip), ApiError> {
    platform::check_region(region)?;
    let mut order = |kind| {
        let order = NewIp {
            kind,
            region: Some(region),
            service_name: String::new(),
            network: None,
        };
        allocate_ip(world, app, call, order)
    };
    Ok((order("egress_v4")?, order("egress_v6")?))
}

fn assign_egress_pair(world: &mut SimulatedWorld, call: &ApiCall, region: &str) -> ApiResult {
    let app = call.path_param("app").to_owned();
    let (v4, v6) = allocate_egress_pair(world, &app, call, region)?;
    let mut shown = ip_view(&v4);
    shown["ip"] = Value::Null;
    shown["ip_pair"] = json!({ "v4": v4.ip, "v6": v6.ip });
    Ok(ApiResponse::ok(shown))
}

fn release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app_mut(call)?;
    remove_ip(app, call.path_param("ip"))?;
    Ok(ApiResponse::empty(204))
}

/// Gives an address back.
///
/// # Errors
/// `404` when the application has no such address.
pub(crate) fn remove_ip(app: &mut App, ip: &str) -> Result<(), ApiError> {
    let at = app
        .ips
        .iter()
        .position(|have| have.ip == ip || have.id == ip);
    app.ips
        .remove(at.ok_or_else(|| ApiError::not_found("ip address"))?);
    Ok(())
}
