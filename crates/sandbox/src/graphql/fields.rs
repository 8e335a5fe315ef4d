//! Objects of the GraphQL schema, and those of their fields that are not simply there.

use serde_json::{Value, json};

use super::{GraphqlError, connection, string_argument, tokens};
use crate::access::TokenGrant;
use crate::api::ApiCall;
use crate::clock;
use crate::images::ImageReference;
use crate::machine::Machine;
use crate::world::{App, Ip, JsonObject, Org, Release, SimulatedWorld, Volume};

/// What an image of unknown size is said to weigh: a number that any client can show.
const IMAGE_SIZE_BYTES: &str = "52428800";

/// An application. Its identifier is its name, as Fly's is.
pub(super) fn app_object(app: &App) -> Value {
    let newest = app.releases.last();
    json!({
        "__typename": "App",
        "id": app.name,
        "internalNumericId": app.number,
        "name": app.name,
        "hostname": format!("{}.fly.dev", app.name),
        "appUrl": format!("https://{}.fly.dev", app.name),
        "cnameTarget": format!("{}.{}.fly.dev", &app.id[..7.min(app.id.len())], app.name),
        "deployed": app.status() != "pending",
        "status": app.status(),
        "version": newest.map_or(0, |release| release.version),
        "network": app.network,
        "networkId": null,
        "platformVersion": "machines",
        "createdAt": clock::format_seconds(app.created_ms),
        "services": [],
        "regions": [],
        "imageDetails": null,
        "config": { "__typename": "AppConfig", "definition": newest.map(|release| release.definition.clone()) },
        "sharedIpAddress": app.ips.iter().find(|ip| ip.kind == "shared_v4").map(|ip| ip.ip.clone()),
        "hostIssues": connection([]),
        "addOns": connection([]),
        "role": (!app.role.is_empty()).then(|| json!({ "__typename": "AppRole", "name": app.role })),
    })
}

/// An organisation. Its number is a string here and a number for applications; clients rely on both.
pub(super) fn org_object(org: &Org) -> Value {
    json!({
        "__typename": "Organization",
        "id": org.id,
        "internalNumericId": org.number.to_string(),
        "slug": org.slug,
        "rawSlug": org.raw_slug,
        "name": org.name,
        "type": if org.slug == "personal" { "PERSONAL" } else { "SHARED" },
        "paidPlan": true,
        "billable": true,
        "billingStatus": "CURRENT",
        "viewerRole": "admin",
        "addOnSsoLink": null,
        "provisionsBetaExtensions": false,
        "remoteBuilderImage": "",
        "remoteBuilderApp": null,
        "allowedReplaySourceOrgSlugs": org.replay_sources,
        "allowAllCrossNetworkReplays": org.cross_network_replays,
        "addOns": connection([]),
        "members": members_connection(),
    })
}

/// Everybody who is in an organisation: the one person that the sandbox knows.
fn members_connection() -> Value {
    let person = json!({ "__typename": "User", "id": "user-1", "name": "Sandbox", "email": "me@example.com" });
    let edge = json!({
        "__typename": "OrganizationMembershipEdge",
        "cursor": "MQ",
        "node": person,
        "joinedAt": "2020-01-01T00:00:00Z",
        "role": "ADMIN",
    });
    json!({ "__typename": "OrganizationMembershipConnection", "nodes": [person], "edges": [edge] })
}

/// A volume with its snapshots, whose sizes are text here.
pub(super) fn volume_object(app: &App, volume: &Volume) -> Value {
    let snapshots = volume.snapshots.iter().map(|snapshot| {
        json!({
            "__typename": "VolumeSnapshot",
            "id": snapshot.id,
            "size": snapshot.size.to_string(),
            "digest": snapshot.digest,
            "createdAt": clock::format_seconds(snapshot.created_ms),
            "retentionDays": snapshot.retention_days,
        })
    });
    json!({
        "__typename": "Volume",
        "id": volume.id,
        "internalId": volume.id,
        "name": volume.name,
        "state": volume.state,
        "region": volume.region,
        "sizeGb": volume.size_gb,
        "encrypted": volume.encrypted,
        "createdAt": clock::format_seconds(volume.created_ms),
        "app": app_object(app),
        "snapshots": connection(snapshots),
    })
}

/// A machine as GraphQL shows it.
pub(super) fn machine_object(app: &App, machine: &Machine) -> Value {
    let ip = json!({
        "__typename": "MachineIP",
        "family": "v6",
        "kind": "privatenet",
        "ip": machine.private_ip,
        "maskSize": 112,
    });
    json!({
        "__typename": "Machine",
        "id": machine.id,
        "name": machine.name,
        "state": machine.state.as_str(),
        "region": machine.region,
        "instanceId": machine.instance_id,
        "config": machine.config,
        "createdAt": clock::format_seconds(machine.created_ms),
        "updatedAt": clock::format_seconds(machine.updated_ms),
        "app": app_object(app),
        "ips": connection([ip]),
        "host": { "__typename": "Host", "id": "host-1" },
    })
}

/// A release, finished or not.
pub(super) fn release_object(release: &Release) -> Value {
    let complete = release.status == "complete";
    json!({
        "__typename": "Release",
        "id": release.id,
        "version": release.version,
        "description": "Release",
        "reason": "deploy",
        "status": release.status,
        "stable": complete,
        "inProgress": matches!(release.status.as_str(), "pending" | "running"),
        "evaluationId": "",
        "deploymentStrategy": release.strategy,
        "imageRef": release.image,
        "configDefinition": release.definition,
        "metadata": release.metadata,
        "user": { "__typename": "User", "id": "user-1", "name": "Sandbox", "email": release.user },
        "createdAt": clock::format_seconds(release.created_ms),
    })
}

/// An address.
pub(super) fn ip_object(world: &SimulatedWorld, ip: &Ip) -> Value {
    let network = ip.network.as_ref().map(|(name, slug)| {
        let org = world.find_org(slug).map(org_object);
        json!({ "__typename": "Network", "name": name, "organization": org })
    });
    json!({
        "__typename": "IPAddress",
        "id": ip.id,
        "address": ip.ip,
        "ip": ip.ip,
        "type": ip.kind,
        "version": if ip.kind.ends_with("v6") { 6 } else { 4 },
        "region": ip.region,
        "createdAt": clock::format_seconds(ip.created_ms),
        "updatedAt": clock::format_seconds(ip.created_ms),
        "serviceName": ip.service_name,
        "network": network,
    })
}

/// Resolves a field of an object.
///
/// # Errors
/// When its type has no such field.
pub(super) fn resolve(
    world: &SimulatedWorld,
    call: &ApiCall,
    object: &JsonObject,
    name: &str,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    let kind = object
        .get("__typename")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if kind == "App"
        && let Some(app) = object
            .get("name")
            .and_then(Value::as_str)
            .and_then(|name| world.apps.get(name))
        && let Some(value) = resolve_app_field(world, app, name, arguments)
    {
        return Ok(value);
    }
    if name == "limitedAccessTokens" {
        let own = |key: &str, value: &str| object.get(key).and_then(Value::as_str) == Some(value);
        return Ok(tokens::list(world, call, |grant| match grant {
            TokenGrant::App { app, .. } => kind == "App" && own("name", app),
            TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => {
                kind == "Organization" && own("slug", org)
            }
            TokenGrant::User => false,
        }));
    }
    if kind == "Organization" && name == "apps" {
        let slug = object
            .get("slug")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let apps = world
            .apps
            .values()
            .filter(|app| app.org == slug && call.caller.can_see_app(app));
        return Ok(connection(apps.map(app_object)));
    }
    match object.get(name) {
        Some(value) => Ok(value.clone()),
        None => Err(GraphqlError::new(
            format!("Field '{name}' doesn't exist on type '{kind}'"),
            "undefinedField",
        )),
    }
}

fn resolve_app_field(
    world: &SimulatedWorld,
    app: &App,
    name: &str,
    arguments: &JsonObject,
) -> Option<Value> {
    let ips = |wanted: fn(&Ip) -> bool| {
        let ips = app
            .ips
            .iter()
            .filter(|ip| wanted(ip) && world.is_listed(ip.created_ms));
        connection(ips.map(|ip| ip_object(world, ip)))
    };
    Some(match name {
        "organization" => world.global.orgs.get(&app.org).map(org_object).into(),
        "image" => image_object(world, string_argument(arguments, "ref")),
        "ipAddresses" => ips(|ip| ip.kind != "shared_v4" && !ip.kind.starts_with("egress")),
        "egressIpAddresses" => ips(|ip| ip.kind.starts_with("egress")),
        "machines" => {
            let machines = app.machines.values().filter(|machine| !machine.is_gone());
            connection(machines.map(|machine| machine_object(app, machine)))
        }
        "secrets" => secret_objects(app),
        "currentRelease" => app
            .releases
            .iter()
            .rev()
            .find(|r| r.status == "complete")
            .map(release_object)
            .into(),
        "currentReleaseUnprocessed" => app.releases.last().map(release_object).into(),
        "releases" | "releasesUnprocessed" => {
            let first = arguments.get("first").and_then(Value::as_u64).unwrap_or(25);
            let newest = app
                .releases
                .iter()
                .rev()
                .take(usize::try_from(first).unwrap_or(usize::MAX));
            connection(newest.map(release_object))
        }
        _ => return None,
    })
}

/// An image that can be pulled.
///
/// `ref` carries a digest only when there is no tag: flyctl itself writes `{ref}@{digest}`.
fn image_object(world: &SimulatedWorld, reference: &str) -> Value {
    let reference = ImageReference::parse(reference.trim());
    let found = reference
        .current_digest(&world.global.images)
        .filter(|_| !reference.repository.ends_with('/'));
    let Some(digest) = found else {
        return Value::Null;
    };
    let ImageReference {
        registry,
        repository,
        tag,
        digest: _,
    } = reference;
    let version = if tag.is_empty() {
        format!("@{digest}")
    } else {
        format!(":{tag}")
    };
    json!({
        "__typename": "Image",
        "id": format!("img_{}", digest.get(7..23).unwrap_or_default()),
        "digest": digest,
        "ref": format!("{registry}/{repository}{version}"),
        "compressedSize": 52_428_800,
        "compressedSizeFull": IMAGE_SIZE_BYTES,
        "manifest": null,
        "config": null,
        "label": "",
    })
}

fn secret_objects(app: &App) -> Value {
    let all = app.secrets.iter().map(|(name, secret)| {
        json!({
            "__typename": "Secret",
            "name": name,
            "digest": secret.digest,
            "createdAt": clock::format_millis(secret.created_ms),
        })
    });
    all.collect()
}
