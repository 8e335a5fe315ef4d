//! Databases of a cluster, and the extensions in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Route, route};
use super::{ManagedCluster, data, error, is_name, manage};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::world::SimulatedWorld;

/// Databases that the service keeps for itself.
const RESERVED: [&str; 4] = ["postgres", "template0", "template1", "repmgr"];
/// Extensions that can be enabled, with their default versions.
const EXTENSIONS: [(&str, &str); 10] = [
    ("btree_gin", "1.3"),
    ("citext", "1.6"),
    ("hstore", "1.8"),
    ("pg_stat_statements", "1.11"),
    ("pg_trgm", "1.6"),
    ("pgcrypto", "1.3"),
    ("postgis", "3.5.0"),
    ("unaccent", "1.1"),
    ("uuid-ossp", "1.1"),
    ("vector", "0.8.0"),
];
/// The extension that every database has.
const SYSTEM_EXTENSION: (&str, &str) = ("plpgsql", "1.0");

/// A database: its extensions with their schemas.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ManagedDatabase {
    extensions: BTreeMap<String, String>,
}

pub(super) fn routes() -> Vec<Route> {
    const EXTENSIONS_PATH: &str = "/v1/postgres/{cluster}/databases/{database}/extensions";
    vec![
        route("GET", "/v1/postgres/{cluster}/databases", list),
        route("POST", "/v1/postgres/{cluster}/databases", create),
        route(
            "DELETE",
            "/v1/postgres/{cluster}/databases/{database}",
            delete,
        ),
        route("GET", EXTENSIONS_PATH, list_extensions),
        route("POST", EXTENSIONS_PATH, enable_extension),
        route(
            "DELETE",
            "/v1/postgres/{cluster}/databases/{database}/extensions/{extension}",
            disable_extension,
        ),
    ]
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    manage(world, call, |cluster| {
        let names = cluster.databases.keys();
        Ok(data(
            200,
            names.map(|name| json!({ "name": name })).collect(),
        ))
    })
}

fn check_database_name(name: &str) -> Result<(), ApiError> {
    if RESERVED.contains(&name) {
        return Err(error(400, format!("Database name {name} is reserved")));
    }
    if !is_name(name, true) {
        return Err(error(400, "Database name is malformed"));
    }
    Ok(())
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct NewDatabaseRequest {
        name: Option<String>,
    }
    let request: NewDatabaseRequest = call.body()?;
    let name = non_empty(request.name).ok_or_else(|| error(422, "name is required"))?;
    check_database_name(&name)?;
    manage(world, call, |cluster| {
        // The documentation has no status for this.
        if cluster.databases.contains_key(&name) {
            return Err(error(400, format!("Database {name} already exists")));
        }
        let body = json!({ "name": name });
        cluster.databases.insert(name, ManagedDatabase::default());
        Ok(data(201, body))
    })
}

fn database_mut<'a>(
    cluster: &'a mut ManagedCluster,
    name: &str,
) -> Result<&'a mut ManagedDatabase, ApiError> {
    cluster
        .databases
        .get_mut(name)
        .ok_or_else(|| error(404, "Database not found"))
}

fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let name = call.path_param("database").to_owned();
    check_database_name(&name)?;
    manage(world, call, |cluster| {
        database_mut(cluster, &name)?;
        cluster.databases.remove(&name);
        Ok(data(200, json!({ "name": name })))
    })
}

fn list_extensions(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let name = call.path_param("database").to_owned();
    manage(world, call, |cluster| {
        let database = database_mut(cluster, &name)?;
        let view = |extension: &str, version: &str, schema: Option<&str>, system: bool| {
            let installed = schema.map(|schema| json!({ "schema": schema, "version": version }));
            json!({
                "name": extension,
                "default_version": version,
                "description": "",
                "installed": installed,
                "system": system,
            })
        };
        let (system, version) = SYSTEM_EXTENSION;
        let mut all: Vec<Value> = vec![view(system, version, Some("pg_catalog"), true)];
        all.extend(EXTENSIONS.iter().map(|(extension, version)| {
            let schema = database.extensions.get(*extension).map(String::as_str);
            view(extension, version, schema, false)
        }));
        Ok(data(200, all.into()))
    })
}

fn enable_extension(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct ExtensionRequest {
        name: Option<String>,
        schema: Option<String>,
    }
    let request: ExtensionRequest = call.body()?;
    let extension = request.name.unwrap_or_default();
    let schema = non_empty(request.schema).unwrap_or_else(|| "public".to_owned());
    let name = call.path_param("database").to_owned();
    manage(world, call, |cluster| {
        let has_postgis = cluster.postgis_enabled;
        let database = database_mut(cluster, &name)?;
        if !EXTENSIONS.iter().any(|(known, _)| *known == extension) {
            return Err(error(422, "Unknown or unsupported extension"));
        }
        if extension == "postgis" && !has_postgis {
            return Err(error(409, "PostGIS is not enabled on this cluster"));
        }
        if let Some(schema) = database.extensions.get(&extension) {
            let message = format!("Extension {extension} is already installed in schema {schema}");
            return Err(error(409, message));
        }
        database.extensions.insert(extension, schema);
        Ok(ApiResponse::empty(204))
    })
}

fn disable_extension(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let (name, extension) = (
        call.path_param("database").to_owned(),
        call.path_param("extension").to_owned(),
    );
    manage(world, call, |cluster| {
        let database = database_mut(cluster, &name)?;
        if extension == SYSTEM_EXTENSION.0 {
            return Err(error(400, "System extensions cannot be disabled"));
        }
        match database.extensions.remove(&extension) {
            Some(_) => Ok(ApiResponse::empty(204)),
            None => Err(error(422, "Invalid extension name")),
        }
    })
}
