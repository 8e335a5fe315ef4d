//! The roots of mutations.

use serde_json::{Value, json};

use super::{Problem, fields, organizations, queries, text, tokens};
use crate::answer::Call;
use crate::uiex;
use crate::v1::ips::{self, Order};
use crate::v1::{NewApp, add_app, secrets};
use crate::world::{Object, World};

/// Resolves one root field. Newer mutations take everything in `input`, older ones side by side.
///
/// # Errors
/// What Fly puts into `errors`.
pub(super) fn resolve(
    world: &mut World,
    call: &Call,
    root: &str,
    arguments: &Object,
) -> Result<Value, Problem> {
    let input = arguments
        .get("input")
        .and_then(Value::as_object)
        .unwrap_or(arguments);
    let mut shown = match root {
        "allocateIpAddress" => allocate(world, call, input)?,
        "releaseIpAddress" => release(world, call, input)?,
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
        "removeAllowedReplaySourceOrgs" => organizations::forbid_replays(world, call, input)?,
        "setAllowAllCrossNetworkReplays" => organizations::cross_networks(world, call, input)?,
        "allocateEgressIpAddress" => allocate_egress(world, call, input)?,
        "releaseEgressIpAddress" => release_egress(world, call, input)?,
        "enablePostgresConsul" => consul(world, call, input)?,
        "attachPostgresCluster" => attach(world, call, input)?,
        _ => {
            let message = format!("Field '{root}' doesn't exist on type 'Mutation'");
            return Err(Problem::new(message, "undefinedField"));
        }
    };
    shown["__typename"] = format!("{root}Payload").into();
    shown["clientMutationId"] = input.get("clientMutationId").cloned().unwrap_or_default();
    Ok(shown)
}

/// The name of the application that a mutation means, which the caller may see.
fn app_of(world: &World, call: &Call, input: &Object, key: &str) -> Result<String, Problem> {
    queries::app(world, call, text(input, key)).map(|app| app.name.clone())
}

fn allocate(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    let kind = text(input, "type");
    let org = match text(input, "organizationId") {
        "" => world
            .apps
            .get(&name)
            .map(|app| app.org.clone())
            .unwrap_or_default(),
        id => queries::org(world, call, id)?.slug.clone(),
    };
    let shared = world
        .apps
        .get(&name)
        .and_then(|app| app.ips.iter().find(|ip| ip.kind == "shared_v4"));
    let ip = match shared.filter(|_| kind == "shared_v4").cloned() {
        Some(ip) => ip,
        None => {
            let order = Order {
                kind,
                region: Some(text(input, "region")).filter(|region| !region.is_empty()),
                service_name: text(input, "serviceName").to_owned(),
                network: (kind == "private_v6").then(|| (text(input, "network").to_owned(), org)),
            };
            ips::allocate(world, &name, call, order)?
        }
    };
    let app = queries::app(world, call, &name).map(fields::app)?;
    // The shared address is the application's, not an address of its own.
    let address = if kind == "shared_v4" {
        Value::Null
    } else {
        fields::ip(world, &ip)
    };
    Ok(json!({ "ipAddress": address, "app": app }))
}

fn release(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let ip = [text(input, "ip"), text(input, "ipAddressId")].concat();
    let apps = world.apps.values().filter(|app| call.who.sees_app(app));
    let mut owners = apps.filter(|app| app.ips.iter().any(|have| have.ip == ip || have.id == ip));
    let named = text(input, "appId");
    let owner = owners
        .find(|app| named.is_empty() || app.name == named)
        .map(|app| app.name.clone());
    let name = owner.ok_or_else(|| Problem::missing("IP Address"))?;
    world.dirty.insert(name.clone());
    if let Some(app) = world.apps.get_mut(&name) {
        ips::remove(app, &ip)?;
    }
    Ok(json!({ "app": queries::app(world, call, &name).map(fields::app)? }))
}

fn create_app(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let wanted = NewApp {
        org: queries::org(world, call, text(input, "organizationId"))?
            .slug
            .clone(),
        name: text(input, "name").to_owned(),
        network: Some(text(input, "network").to_owned()).filter(|network| !network.is_empty()),
        role: text(input, "appRoleId").to_owned(),
        idempotency_key: None,
    };
    Ok(json!({ "app": fields::app(&add_app(world, wanted)?) }))
}

fn delete_app(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    world.dirty.insert(name.clone());
    let app = world.apps.remove(&name);
    let org = app.and_then(|app| world.root.orgs.get(&app.org).map(fields::org));
    Ok(json!({ "organization": org }))
}

fn set_secrets(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    let now = world.now;
    world.dirty.insert(name.clone());
    if let Some(app) = world.apps.get_mut(&name) {
        if input.get("replaceAll").is_some_and(|all| *all == true) {
            app.secrets.clear();
        }
        for pair in input
            .get("secrets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let part = |key: &str| pair.get(key).and_then(Value::as_str).unwrap_or_default();
            secrets::put(app, part("key"), part("value").to_owned(), now);
        }
        app.secrets_version += 1;
    }
    Ok(json!({ "app": queries::app(world, call, &name).map(fields::app)?, "release": null }))
}

fn unset_secrets(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    world.dirty.insert(name.clone());
    if let Some(app) = world.apps.get_mut(&name) {
        for key in input
            .get("keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            app.secrets.remove(key.as_str().unwrap_or_default());
        }
        app.secrets_version += 1;
    }
    Ok(json!({ "app": queries::app(world, call, &name).map(fields::app)?, "release": null }))
}

fn create_release(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    let definition = input.get("definition").cloned().unwrap_or_default();
    let draft = uiex::Draft {
        image: text(input, "image"),
        strategy: text(input, "strategy"),
        definition,
    };
    let release = uiex::add_release(world, call, &name, draft);
    let app = queries::app(world, call, &name).map(fields::app)?;
    Ok(json!({ "release": release.as_ref().map(fields::release), "app": app }))
}

fn update_release(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let release = uiex::change_release(world, call, text(input, "releaseId"), input)?;
    Ok(json!({ "release": fields::release(&release) }))
}

/// Two addresses for what leaves the machines of an application in one region.
fn allocate_egress(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    let region = text(input, "region");
    if !text(input, "machineId").is_empty() || region.is_empty() {
        return Err(Problem::new(
            "Egress IPs of single machines are not supported anymore",
            "UNPROCESSABLE",
        ));
    }
    let (v4, v6) = ips::egress(world, &name, call, region)?;
    Ok(json!({ "v4": v4.ip, "v6": v6.ip }))
}

fn release_egress(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    let ip = text(input, "ip");
    world.dirty.insert(name.clone());
    let app = world
        .apps
        .get_mut(&name)
        .ok_or_else(|| Problem::missing("App"))?;
    let kind = app
        .ips
        .iter()
        .find(|have| have.ip == ip)
        .map(|have| have.kind.clone())
        .unwrap_or_default();
    if !kind.starts_with("egress") {
        return Err(Problem::missing("Egress IP"));
    }
    ips::remove(app, ip)?;
    let gone = |wanted: &str| (kind == wanted).then_some(ip);
    Ok(json!({ "v4": gone("egress_v4"), "v6": gone("egress_v6") }))
}

fn consul(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    Ok(json!({ "consulUrl": format!("https://:sandbox@consul-{name}.fly-shared.net/{name}/") }))
}

fn attach(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let name = app_of(world, call, input, "appId")?;
    let cluster = app_of(world, call, input, "postgresClusterAppId")?;
    let plain = name.replace('-', "_");
    let or = |key: &str| {
        if text(input, key).is_empty() {
            plain.clone()
        } else {
            text(input, key).to_owned()
        }
    };
    let (user, database) = (or("databaseUser"), or("databaseName"));
    let variable = Some(text(input, "variableName"))
        .filter(|name| !name.is_empty())
        .unwrap_or("DATABASE_URL");
    Ok(json!({
        "app": queries::app(world, call, &name).map(fields::app)?,
        "postgresClusterApp": queries::app(world, call, &cluster).map(fields::app)?,
        "environmentVariableName": variable,
        "connectionString": format!("postgres://{user}:sandbox@{cluster}.flycast:5432/{database}?sslmode=disable"),
    }))
}
