//! The root fields of mutations.

use serde_json::{Value, json};

use super::{GraphqlError, fields, organizations, queries, ssh, string_argument, tokens};
use crate::api::ApiCall;
use crate::fly::uiex;
use crate::fly::v1::ips::{self, NewIp};
use crate::fly::v1::{NewApp, add_app, secrets};
use crate::ids;
use crate::json;
use crate::world::{App, JsonObject, SimulatedWorld};

/// Resolves a root field. Newer mutations take their arguments in `input`, older ones directly.
///
/// # Errors
/// The error that Fly returns in `errors`.
pub(super) fn resolve(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    root: &str,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    let input = arguments
        .get("input")
        .and_then(Value::as_object)
        .unwrap_or(arguments);
    let mut payload = match root {
        "allocateIpAddress" => allocate_ip(world, call, input)?,
        "releaseIpAddress" => release_ip(world, call, input)?,
        "createApp" => create_app(world, call, input)?,
        "deleteApp" => delete_app(world, call, input)?,
        "setSecrets" => set_secrets(world, call, input)?,
        "unsetSecrets" => unset_secrets(world, call, input)?,
        "createRelease" => create_release(world, call, input)?,
        "updateRelease" => update_release(world, call, input)?,
        "createLimitedAccessToken" => tokens::create(world, call, input)?,
        "deleteLimitedAccessToken" => tokens::delete(world, call, input)?,
        "createOrganization" => organizations::create(world, call, input)?,
        "deleteOrganization" => organizations::delete(world, call, input)?,
        "addAllowedReplaySourceOrgs" => organizations::allow_replays(world, call, input)?,
        "removeAllowedReplaySourceOrgs" => organizations::disallow_replays(world, call, input)?,
        "setAllowAllCrossNetworkReplays" => {
            organizations::set_cross_network_replays(world, call, input)?
        }
        "allocateEgressIpAddress" => allocate_egress(world, call, input)?,
        "releaseEgressIpAddress" => release_egress(world, call, input)?,
        "enablePostgresConsul" => enable_postgres_consul(world, call, input)?,
        "issueCertificate" => ssh::issue_certificate(world, call, input)?,
        "attachPostgresCluster" => attach_postgres_cluster(world, call, input)?,
        _ => {
            let message = format!("Field '{root}' doesn't exist on type 'Mutation'");
            return Err(GraphqlError::new(message, "undefinedField"));
        }
    };
    payload["__typename"] = format!("{root}Payload").into();
    payload["clientMutationId"] = input.get("clientMutationId").cloned().unwrap_or_default();
    Ok(payload)
}

/// The name of the app that a mutation refers to, if the caller may see it.
fn app_name(
    world: &SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
    key: &str,
) -> Result<String, GraphqlError> {
    queries::find_app(world, call, string_argument(input, key)).map(|app| app.name.clone())
}

fn allocate_ip(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    let kind = string_argument(input, "type");
    let org = match string_argument(input, "organizationId") {
        "" => world
            .apps
            .get(&name)
            .map(|app| app.org.clone())
            .unwrap_or_default(),
        id => queries::find_org(world, call, id)?.slug.clone(),
    };
    let shared = world
        .apps
        .get(&name)
        .and_then(|app| app.ips.iter().find(|ip| ip.kind == "shared_v4"));
    // An app has at most one shared address; a second request returns the same one.
    let ip = match shared.filter(|_| kind == "shared_v4").cloned() {
        Some(ip) => ip,
        None => {
            let new_ip = NewIp {
                kind,
                region: Some(string_argument(input, "region")).filter(|region| !region.is_empty()),
                service_name: string_argument(input, "serviceName").to_owned(),
                network: (kind == "private_v6")
                    .then(|| (string_argument(input, "network").to_owned(), org)),
            };
            ips::allocate_ip(world, &name, call, new_ip)?
        }
    };
    let app = queries::find_app(world, call, &name).map(fields::app_object)?;
    // A shared address is a property of the app, not an IP address object.
    let address = if kind == "shared_v4" {
        Value::Null
    } else {
        fields::ip_object(world, &ip)
    };
    Ok(json!({ "ipAddress": address, "app": app }))
}

fn release_ip(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let ip = [
        string_argument(input, "ip"),
        string_argument(input, "ipAddressId"),
    ]
    .concat();
    // `appId` is optional, so the app is searched among those that the caller may see.
    let app_id = string_argument(input, "appId");
    let has_ip = |app: &App| {
        app.ips
            .iter()
            .any(|assigned| assigned.ip == ip || assigned.id == ip)
    };
    let name = world
        .visible_apps(&call.caller)
        .find(|app| has_ip(app) && (app_id.is_empty() || app.name == app_id))
        .map(|app| app.name.clone())
        .ok_or_else(|| GraphqlError::not_found("IP Address"))?;
    if let Some(app) = world.changed_app(&name) {
        ips::remove_ip(app, &ip)?;
    }
    Ok(json!({ "app": queries::find_app(world, call, &name).map(fields::app_object)? }))
}

fn create_app(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let new_app = NewApp {
        org: queries::find_org(world, call, string_argument(input, "organizationId"))?
            .slug
            .clone(),
        name: string_argument(input, "name").to_owned(),
        network: Some(string_argument(input, "network").to_owned())
            .filter(|network| !network.is_empty()),
        role: string_argument(input, "appRoleId").to_owned(),
        idempotency_key: None,
    };
    Ok(json!({ "app": fields::app_object(&add_app(world, new_app)?) }))
}

fn delete_app(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    world.dirty_apps.insert(name.clone());
    let app = world.apps.remove(&name);
    let org = app.and_then(|app| world.global.orgs.get(&app.org).map(fields::org_object));
    Ok(json!({ "organization": org }))
}

fn set_secrets(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    let now = world.now_ms;
    if let Some(app) = world.changed_app(&name) {
        if input.get("replaceAll").is_some_and(|all| *all == true) {
            app.secrets.clear();
        }
        for pair in json::items(input.get("secrets")) {
            let part = |key: &str| json::string(pair.get(key));
            secrets::set_secret(app, part("key"), part("value").to_owned(), now);
        }
        app.secrets_version += 1;
    }
    Ok(
        json!({ "app": queries::find_app(world, call, &name).map(fields::app_object)?, "release": null }),
    )
}

fn unset_secrets(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    if let Some(app) = world.changed_app(&name) {
        for key in json::items(input.get("keys")) {
            app.secrets.remove(key.as_str().unwrap_or_default());
        }
        app.secrets_version += 1;
    }
    Ok(
        json!({ "app": queries::find_app(world, call, &name).map(fields::app_object)?, "release": null }),
    )
}

fn create_release(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    let definition = input.get("definition").cloned().unwrap_or_default();
    let new_release = uiex::NewRelease {
        image: string_argument(input, "image"),
        strategy: string_argument(input, "strategy"),
        definition,
    };
    let release = uiex::add_release(world, call, &name, new_release);
    let app = queries::find_app(world, call, &name).map(fields::app_object)?;
    Ok(json!({ "release": release.as_ref().map(fields::release_object), "app": app }))
}

fn update_release(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let release = uiex::patch_release(world, call, string_argument(input, "releaseId"), input)?;
    Ok(json!({ "release": fields::release_object(&release) }))
}

/// Allocates an IPv4 and an IPv6 egress address of an app in one region.
fn allocate_egress(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    let region = string_argument(input, "region");
    if !string_argument(input, "machineId").is_empty() || region.is_empty() {
        return Err(GraphqlError::new(
            "Egress IPs of single machines are not supported anymore",
            "UNPROCESSABLE",
        ));
    }
    let (v4, v6) = ips::allocate_egress_pair(world, &name, call, region)?;
    Ok(json!({ "v4": v4.ip, "v6": v6.ip }))
}

fn release_egress(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    let ip = string_argument(input, "ip");
    let app = world
        .changed_app(&name)
        .ok_or_else(|| GraphqlError::not_found("App"))?;
    let kind = app
        .ips
        .iter()
        .find(|assigned| assigned.ip == ip)
        .map(|assigned| assigned.kind.clone())
        .unwrap_or_default();
    if !kind.starts_with("egress") {
        return Err(GraphqlError::not_found("Egress IP"));
    }
    ips::remove_ip(app, ip)?;
    let released = |wanted: &str| (kind == wanted).then_some(ip);
    Ok(json!({ "v4": released("egress_v4"), "v6": released("egress_v6") }))
}

/// Opens a place for an app in the consul cluster that keeps the state of Postgres clusters. Each
/// call opens a new, empty one: nodes that are given different addresses do not find each other. That
/// a token for one app may do this is not documented, so it may not.
fn enable_postgres_consul(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let app = queries::find_app(world, call, string_argument(input, "appId"))?;
    if !call.caller.can_see_org(&app.org) {
        return Err(GraphqlError::new(
            "Not authorized to access this enablePostgresConsul",
            "UNAUTHORIZED",
        ));
    }
    let name = app.name.clone();
    let bytes = world.next_id_bytes("consul");
    let (token, suffix) = (ids::hex(&bytes[..16]), ids::base32_id(&bytes));
    Ok(
        json!({ "consulUrl": format!("https://:{token}@consul-iad-1.fly-shared.net/{name}-{suffix}/") }),
    )
}

fn attach_postgres_cluster(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let name = app_name(world, call, input, "appId")?;
    let cluster = app_name(world, call, input, "postgresClusterAppId")?;
    // Unquoted SQL identifiers cannot contain dashes.
    let default_name = name.replace('-', "_");
    let value_or_default = |key: &str| {
        if string_argument(input, key).is_empty() {
            default_name.clone()
        } else {
            string_argument(input, key).to_owned()
        }
    };
    let (user, database) = (
        value_or_default("databaseUser"),
        value_or_default("databaseName"),
    );
    let variable = Some(string_argument(input, "variableName"))
        .filter(|name| !name.is_empty())
        .unwrap_or("DATABASE_URL");
    Ok(json!({
        "app": queries::find_app(world, call, &name).map(fields::app_object)?,
        "postgresClusterApp": queries::find_app(world, call, &cluster).map(fields::app_object)?,
        "environmentVariableName": variable,
        "connectionString": format!("postgres://{user}:sandbox@{cluster}.flycast:5432/{database}?sslmode=disable"),
    }))
}
