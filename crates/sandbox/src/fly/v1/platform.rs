//! `/v1/platform`: regions, and where machines can be placed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::fly::config;
use crate::world::{App, SimulatedWorld};

/// The region nearest to the simulated caller, where machines without a region are created.
pub(crate) const NEAREST_REGION: &str = "iad";
/// How many machines of one app a region can take: Fly publishes no real number.
const REGION_CAPACITY: u64 = 100;

/// A region as Fly lists it.
pub(crate) struct RegionInfo {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) gateway: bool,
    pub(crate) geo_region: &'static str,
    /// Whether Managed Postgres is available.
    pub(crate) managed_postgres: bool,
}

const fn region(
    code: &'static str,
    name: &'static str,
    (latitude, longitude): (f64, f64),
    area: &'static str,
    (gateway, mpg): (bool, bool),
) -> RegionInfo {
    RegionInfo {
        code,
        name,
        latitude,
        longitude,
        gateway,
        geo_region: area,
        managed_postgres: mpg,
    }
}

/// The regions in service in 2026. Closed regions are unknown, as in the real API.
pub(crate) const REGIONS: &[RegionInfo] = &[
    region(
        "ams",
        "Amsterdam, Netherlands",
        (52.37, 4.9),
        "europe",
        (true, true),
    ),
    region(
        "arn",
        "Stockholm, Sweden",
        (59.65, 17.92),
        "europe",
        (false, false),
    ),
    region(
        "bom",
        "Mumbai, India",
        (19.1, 72.87),
        "asia_pacific",
        (false, false),
    ),
    region(
        "cdg",
        "Paris, France",
        (48.86, 2.35),
        "europe",
        (true, false),
    ),
    region(
        "dfw",
        "Dallas, Texas (US)",
        (32.78, -96.8),
        "north_america",
        (true, false),
    ),
    region(
        "ewr",
        "Secaucus, NJ (US)",
        (40.79, -74.06),
        "north_america",
        (false, false),
    ),
    region(
        "fra",
        "Frankfurt, Germany",
        (50.12, 8.68),
        "europe",
        (true, true),
    ),
    region(
        "gru",
        "Sao Paulo, Brazil",
        (-23.55, -46.63),
        "south_america",
        (false, true),
    ),
    region(
        "iad",
        "Ashburn, Virginia (US)",
        (39.02, -77.54),
        "north_america",
        (true, true),
    ),
    region(
        "jnb",
        "Johannesburg, South Africa",
        (-26.2, 28.05),
        "africa",
        (false, false),
    ),
    region(
        "lax",
        "Los Angeles, California (US)",
        (33.94, -118.41),
        "north_america",
        (true, true),
    ),
    region(
        "lhr",
        "London, United Kingdom",
        (51.52, -0.1),
        "europe",
        (true, true),
    ),
    region(
        "nrt",
        "Tokyo, Japan",
        (35.62, 139.78),
        "asia_pacific",
        (true, true),
    ),
    region(
        "ord",
        "Chicago, Illinois (US)",
        (41.89, -87.64),
        "north_america",
        (true, true),
    ),
    region(
        "sin",
        "Singapore, Singapore",
        (1.36, 103.99),
        "asia_pacific",
        (true, true),
    ),
    region(
        "sjc",
        "San Jose, California (US)",
        (37.35, -121.96),
        "north_america",
        (true, true),
    ),
    region(
        "syd",
        "Sydney, Australia",
        (-33.87, 151.2),
        "asia_pacific",
        (true, true),
    ),
    region(
        "yyz",
        "Toronto, Canada",
        (43.65, -79.38),
        "north_america",
        (true, true),
    ),
];

pub(super) fn routes() -> [Route; 2] {
    [
        route("GET", "/v1/platform/regions", list_regions),
        route("POST", "/v1/platform/placements", list_placements).read_only(),
    ]
}

/// Checks a region code.
///
/// # Errors
/// `400` when there is no such region.
pub(crate) fn check_region(code: &str) -> Result<(), ApiError> {
    let known = REGIONS.iter().any(|region| region.code == code);
    if known {
        Ok(())
    } else {
        Err(ApiError::bad_request(format!("invalid region: {code:?}")))
    }
}

/// Resolves a region expression such as `lhr,eu` or `any` to the first region with capacity, in the
/// given order.
///
/// # Errors
/// `400` when a part is neither a region code nor an area.
pub(crate) fn choose_region(
    world: &SimulatedWorld,
    expression: &str,
) -> Result<&'static str, ApiError> {
    let mut candidates = Vec::new();
    for part in expression
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        candidates.extend(
            resolve_area(part)
                .ok_or_else(|| ApiError::bad_request(format!("invalid region: {part:?}")))?,
        );
    }
    let has_capacity = |code: &&&str| !world.global.full_regions.contains(**code);
    // Without capacity anywhere, the first region is returned; creating the machine or volume there
    // then fails with the proper error.
    Ok(candidates
        .iter()
        .find(has_capacity)
        .or(candidates.first())
        .copied()
        .unwrap_or(NEAREST_REGION))
}

/// The regions of a region code or an area, the nearest first.
fn resolve_area(part: &str) -> Option<Vec<&'static str>> {
    let within = |wanted: &dyn Fn(&RegionInfo) -> bool| {
        let mut codes: Vec<&str> = REGIONS
            .iter()
            .filter(|r| wanted(r))
            .map(|r| r.code)
            .collect();
        // A stable sort: the nearest region first, the others in the order of the table.
        codes.sort_by_key(|code| *code != NEAREST_REGION);
        codes
    };
    let codes = match part {
        "any" => within(&|_| true),
        "apac" => within(&|r| r.geo_region == "asia_pacific"),
        "eu" => within(&|r| r.geo_region == "europe"),
        "na" => within(&|r| r.geo_region == "north_america"),
        "sa" => within(&|r| r.geo_region == "south_america"),
        "us" | "usa" => within(&|r| r.name.ends_with("(US)")),
        code => within(&|r| r.code == code),
    };
    Some(codes).filter(|codes| !codes.is_empty())
}

fn list_regions(_: &mut SimulatedWorld, _: &ApiCall) -> ApiResult {
    let rows = REGIONS.iter().map(|region| {
        json!({
            "code": region.code,
            "name": region.name,
            "latitude": region.latitude,
            "longitude": region.longitude,
            "gateway_available": region.gateway,
            "requires_paid_plan": false,
            "deprecated": false,
            "geo_region": region.geo_region,
            "mpg_available": region.managed_postgres,
        })
    });
    Ok(ApiResponse::ok(
        json!({ "nearest": NEAREST_REGION, "regions": rows.collect::<Vec<_>>() }),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PlacementRequest {
    org_slug: Option<String>,
    region: Option<String>,
    count: Option<u64>,
    compute: Option<Value>,
    volume_name: Option<String>,
}

/// Every region has capacity, unless it was declared full.
fn list_placements(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: PlacementRequest = call.body()?;
    let slug = request
        .org_slug
        .ok_or_else(|| ApiError::bad_request("org_slug is required"))?;
    let org = world.org(&slug, &call.caller)?.slug.clone();
    // The guest does not matter for capacity here, but an invalid one is an error.
    config::resolve_guest(None, request.compute.as_ref())?;
    let requested = request.region.unwrap_or_default();
    let requested: Vec<&str> = requested
        .split(',')
        .map(str::trim)
        .filter(|code| !code.is_empty() && *code != "any")
        .collect();
    let areas = requested.iter().map(|part| {
        resolve_area(part).ok_or_else(|| ApiError::bad_request(format!("invalid region: {part:?}")))
    });
    let requested: Vec<&str> = areas.collect::<Result<Vec<_>, _>>()?.concat();
    // With a volume name, only regions count where a volume of that name is free.
    let volume_name = non_empty(request.volume_name);
    let has_volume = |code: &str| {
        let has_free_volume = |app: &App| {
            let mut volumes = app.volumes.values();
            volumes.any(|v| {
                Some(&v.name) == volume_name.as_ref() && v.region == code && v.attached.is_none()
            })
        };
        volume_name.is_none()
            || world
                .apps
                .values()
                .any(|app| app.org == org && has_free_volume(app))
    };
    let wanted = request.count.unwrap_or(1);
    let candidates = REGIONS.iter().map(|region| region.code).filter(|code| {
        (requested.is_empty() || requested.contains(code))
            && !world.global.full_regions.contains(*code)
            && has_volume(code)
    });
    let rows = candidates.map(
        |code| json!({ "region": code, "count": wanted.min(REGION_CAPACITY), "concurrency": 1 }),
    );
    Ok(ApiResponse::ok(
        json!({ "regions": rows.collect::<Vec<_>>() }),
    ))
}
