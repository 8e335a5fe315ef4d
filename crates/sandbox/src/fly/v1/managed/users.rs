//! Users of a cluster. Their passwords can be read back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Route, route};
use super::{ManagedCluster, data, error, is_name, manage};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::fly::access::forbidden;
use crate::ids;
use crate::world::SimulatedWorld;

const ROLES: [&str; 3] = ["schema_admin", "writer", "reader"];

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManagedUser {
    role: String,
    password: String,
}

impl ManagedUser {
    /// A user with a new password.
    pub(super) fn new(cluster: &mut ManagedCluster, role: &str) -> Self {
        Self {
            role: role.to_owned(),
            password: new_password(cluster),
        }
    }
}

fn new_password(cluster: &mut ManagedCluster) -> String {
    ids::hex(&cluster.next_bytes("password")[..16])
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("GET", "/v1/postgres/{cluster}/users", list),
        route("POST", "/v1/postgres/{cluster}/users", create),
        route("PATCH", "/v1/postgres/{cluster}/users/{user}", change_role),
        route("DELETE", "/v1/postgres/{cluster}/users/{user}", delete),
        route(
            "GET",
            "/v1/postgres/{cluster}/users/{user}/credentials",
            show_credentials,
        ),
        route(
            "POST",
            "/v1/postgres/{cluster}/users/{user}/rotate_password",
            rotate_password,
        ),
    ]
}

fn user_view(name: &str, user: &ManagedUser) -> Value {
    json!({ "username": name, "role": user.role })
}

fn credentials_view(name: &str, user: &ManagedUser) -> Value {
    json!({ "username": name, "password": user.password })
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    manage(world, call, |cluster| {
        let users = cluster.users.iter();
        Ok(data(
            200,
            users.map(|(name, user)| user_view(name, user)).collect(),
        ))
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserRequest {
    username: Option<String>,
    role: Option<String>,
}

fn check_role(role: Option<String>) -> Result<String, ApiError> {
    let role = non_empty(role).ok_or_else(|| error(422, "role is required"))?;
    if ROLES.contains(&role.as_str()) {
        Ok(role)
    } else {
        Err(error(422, "role must be schema_admin, writer or reader"))
    }
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: UserRequest = call.body()?;
    let name = non_empty(request.username).ok_or_else(|| error(422, "username is required"))?;
    if !is_name(&name, false) {
        return Err(error(422, "username is malformed"));
    }
    let role = check_role(request.role)?;
    manage(world, call, |cluster| {
        if cluster.users.contains_key(&name) {
            return Err(error(409, format!("User {name} already exists")));
        }
        let user = ManagedUser::new(cluster, &role);
        let body = user_view(&name, &user);
        cluster.users.insert(name, user);
        Ok(data(201, body))
    })
}

fn user_mut<'a>(
    cluster: &'a mut ManagedCluster,
    call: &ApiCall,
) -> Result<&'a mut ManagedUser, ApiError> {
    cluster
        .users
        .get_mut(call.path_param("user"))
        .ok_or_else(|| error(404, "User not found"))
}

fn change_role(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: UserRequest = call.body()?;
    let role = check_role(request.role)?;
    manage(world, call, |cluster| {
        user_mut(cluster, call)?.role = role;
        Ok(ApiResponse::empty(204))
    })
}

fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    manage(world, call, |cluster| {
        user_mut(cluster, call)?;
        cluster.users.remove(call.path_param("user"));
        Ok(ApiResponse::empty(204))
    })
}

/// Whether a token that only reads may see passwords is not documented; here it may not.
fn show_credentials(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    if !call.caller.can_write() {
        return Err(forbidden());
    }
    manage(world, call, |cluster| {
        let user = user_mut(cluster, call)?;
        Ok(data(200, credentials_view(call.path_param("user"), user)))
    })
}

fn rotate_password(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct RotateRequest {
        #[serde(rename = "kill_sessions")]
        _kill_sessions: Option<bool>,
    }
    let _: RotateRequest = call.body()?;
    manage(world, call, |cluster| {
        user_mut(cluster, call)?;
        let password = new_password(cluster);
        let user = user_mut(cluster, call)?;
        user.password = password;
        Ok(data(200, credentials_view(call.path_param("user"), user)))
    })
}
