//! `/v1/platform`: regions, and where machines would fit.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, route};
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::config;
use crate::world::World;

/// Where the imitated caller is, and so where machines without a region go.
pub(crate) const NEAREST: &str = "iad";
/// How many machines of one application are imagined to fit into a region: no real number is public.
const ROOM: u64 = 100;

/// A region as Fly lists it.
pub(crate) struct Region {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) gateway: bool,
    pub(crate) area: &'static str,
    /// Whether Managed Postgres runs there.
    pub(crate) mpg: bool,
}

const fn region(
    code: &'static str,
    name: &'static str,
    (latitude, longitude): (f64, f64),
    area: &'static str,
    (gateway, mpg): (bool, bool),
) -> Region {
    Region {
        code,
        name,
        latitude,
        longitude,
        gateway,
        area,
        mpg,
    }
}

/// The regions in service in 2026. Those that were closed are unknown, as they are to the real service.
pub(crate) const REGIONS: &[Region] = &[
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
        route("GET", "/v1/platform/regions", regions),
        route("POST", "/v1/platform/placements", placements).reading(),
    ]
}

/// Checks the code of a region.
///
/// # Errors
/// `400` when Fly has no such region.
pub(crate) fn known_region(code: &str) -> Result<(), Refusal> {
    let known = REGIONS.iter().any(|region| region.code == code);
    if known {
        Ok(())
    } else {
        Err(Refusal::invalid(format!("invalid region: {code:?}")))
    }
}

/// The region that an expression such as `lhr,eu` or `any` means: the first with room, in the order given.
///
/// # Errors
/// `400` when a part is neither a region nor an area.
pub(crate) fn choose(world: &World, expression: &str) -> Result<&'static str, Refusal> {
    let mut fits = Vec::new();
    for part in expression
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        fits.extend(
            area(part).ok_or_else(|| Refusal::invalid(format!("invalid region: {part:?}")))?,
        );
    }
    let room = |code: &&&str| !world.root.full_regions.contains(**code);
    // When nothing has room the first is named, and refused with the reason of whatever is to be placed there.
    Ok(fits
        .iter()
        .find(room)
        .or(fits.first())
        .copied()
        .unwrap_or(NEAREST))
}

/// The regions of a code or of an area's alias, the nearest first.
fn area(part: &str) -> Option<Vec<&'static str>> {
    let within = |wanted: &dyn Fn(&Region) -> bool| {
        let mut codes: Vec<&str> = REGIONS
            .iter()
            .filter(|r| wanted(r))
            .map(|r| r.code)
            .collect();
        codes.sort_by_key(|code| *code != NEAREST);
        codes
    };
    let codes = match part {
        "any" => within(&|_| true),
        "apac" => within(&|r| r.area == "asia_pacific"),
        "eu" => within(&|r| r.area == "europe"),
        "na" => within(&|r| r.area == "north_america"),
        "sa" => within(&|r| r.area == "south_america"),
        "us" | "usa" => within(&|r| r.name.ends_with("(US)")),
        code => within(&|r| r.code == code),
    };
    Some(codes).filter(|codes| !codes.is_empty())
}

fn regions(_: &mut World, _: &Call) -> Reply {
    let rows = REGIONS.iter().map(|region| {
        json!({
            "code": region.code,
            "name": region.name,
            "latitude": region.latitude,
            "longitude": region.longitude,
            "gateway_available": region.gateway,
            "requires_paid_plan": false,
            "deprecated": false,
            "geo_region": region.area,
            "mpg_available": region.mpg,
        })
    });
    Ok(Answer::ok(
        json!({ "nearest": NEAREST, "regions": rows.collect::<Vec<_>>() }),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Placement {
    org_slug: Option<String>,
    region: Option<String>,
    count: Option<u64>,
    compute: Option<Value>,
    volume_name: Option<String>,
}

/// Every known region takes what is asked for, unless it was declared full.
fn placements(world: &mut World, call: &Call) -> Reply {
    let request: Placement = call.body()?;
    let slug = request
        .org_slug
        .ok_or_else(|| Refusal::invalid("org_slug is required"))?;
    let org = world.org(&slug, &call.who)?.slug.clone();
    config::guest_of(None, request.compute.as_ref())?;
    let asked = request.region.unwrap_or_default();
    let asked: Vec<&str> = asked
        .split(',')
        .map(str::trim)
        .filter(|code| !code.is_empty() && *code != "any")
        .collect();
    let areas = asked.iter().map(|part| {
        area(part).ok_or_else(|| Refusal::invalid(format!("invalid region: {part:?}")))
    });
    let asked: Vec<&str> = areas.collect::<Result<Vec<_>, _>>()?.concat();
    let volume = request.volume_name.filter(|name| !name.is_empty());
    let holds = |code: &str| {
        let free = |app: &crate::world::App| {
            let mut volumes = app.volumes.values();
            volumes.any(|v| {
                Some(&v.name) == volume.as_ref() && v.region == code && v.attached.is_none()
            })
        };
        volume.is_none() || world.apps.values().any(|app| app.org == org && free(app))
    };
    let wanted = request.count.unwrap_or(1);
    let fits = REGIONS.iter().map(|region| region.code).filter(|code| {
        (asked.is_empty() || asked.contains(code))
            && !world.root.full_regions.contains(*code)
            && holds(code)
    });
    let rows =
        fits.map(|code| json!({ "region": code, "count": wanted.min(ROOM), "concurrency": 1 }));
    Ok(Answer::ok(json!({ "regions": rows.collect::<Vec<_>>() })))
}
