//! The objects of the GraphQL schema, and their fields that must be computed.

use serde_json::{Value, json};

use super::{GraphqlError, connection, string_argument, tokens};
use crate::api::ApiCall;
use crate::clock;
use crate::fly::access::TokenGrant;
use crate::fly::images::ImageReference;
use crate::fly::machine::Machine;
use crate::json;
use crate::world::{App, Ip, JsonObject, Org, Release, SimulatedWorld, Volume};

/// The reported size of every image, in bytes; the real size is not known.
const IMAGE_SIZE_BYTES: &str = "52428800";

/// An app. Its id is its name, as in Fly's API.
pub(super) fn app_object(app: &App) -> Value {
    let newest = app.releases.last();
    json!({
        "__typename": "App",
        "id": app.name,
        "internalNumericId": app.number,
        "name": app.name,
        "hostname": format!("{}.fly.dev", app.name),
        "appUrl": format!("https://{}.fly.dev", app.name),
        "cnameTarget": app.cname_target(),
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

/// An organization. `internalNumericId` is a string here and a number for apps; clients rely on
/// both.
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

/// The members of an organization: the sandbox's only user.
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

/// A volume with its snapshots, whose sizes are strings here.
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

/// A machine.
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
        // Addresses of single machines are no longer allocated; those of the app serve them all.
        "egressIpAddresses": connection([]),
        "host": { "__typename": "Host", "id": "host-1" },
    })
}

/// A release.
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

/// An IP address.
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

/// Resolves a field of an object: computed fields first, then what the object itself contains.
///
/// # Errors
/// When the type has no such field.
pub(super) fn resolve(
    world: &SimulatedWorld,
    call: &ApiCall,
    object: &JsonObject,
    name: &str,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    let type_name = json::string(object.get("__typename"));
    if type_name == "App"
        && let Some(app) = object
            .get("name")
            .and_then(Value::as_str)
            .and_then(|name| world.apps.get(name))
        && let Some(value) = resolve_app_field(world, app, name, arguments)
    {
        return Ok(value);
    }
    if name == "limitedAccessTokens" {
        let is = |key: &str, value: &str| json::string(object.get(key)) == value;
        return Ok(tokens::list(world, call, |grant| match grant {
            TokenGrant::App { app, .. } => type_name == "App" && is("name", app),
            TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => {
                type_name == "Organization" && is("slug", org)
            }
            TokenGrant::User => false,
        }));
    }
    if type_name == "Organization" && name == "apps" {
        let slug = json::string(object.get("slug"));
        let apps = world
            .visible_apps(&call.caller)
            .filter(|app| app.org == slug);
        return Ok(connection(apps.map(app_object)));
    }
    match object.get(name) {
        Some(value) => Ok(value.clone()),
        None => Err(GraphqlError::new(
            format!("Field '{name}' doesn't exist on type '{type_name}'"),
            "undefinedField",
        )),
    }
}

/// The fields of an app that depend on arguments or on other objects; `None` for all others.
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

/// An image, or null when it does not exist.
///
/// `ref` contains a digest only when there is no tag: flyctl itself builds `{ref}@{digest}`.
fn image_object(world: &SimulatedWorld, reference: &str) -> Value {
    let reference = ImageReference::parse(reference.trim());
    // A name that ends with a slash is a well-formed prefix of a reference, not an image.
    let digest = reference
        .current_digest(&world.global.images)
        .filter(|_| !reference.repository.ends_with('/'));
    let Some(digest) = digest else {
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
    let secrets = app.secrets.iter().map(|(name, secret)| {
        json!({
            "__typename": "Secret",
            "name": name,
            "digest": secret.digest,
            "createdAt": clock::format_millis(secret.created_ms),
        })
    });
    secrets.collect()
}
