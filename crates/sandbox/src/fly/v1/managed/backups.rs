//! Backups of a cluster, and new clusters made of them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Route, route};
use super::{clusters, data, error, find_cluster, find_cluster_mut};
use crate::api::{ApiCall, ApiResponse, ApiResult, non_empty};
use crate::clock;
use crate::ids;
use crate::world::SimulatedWorld;

/// How long a backup runs.
const BACKUP_MS: i64 = 30_000;
/// How far back a point in time may lie.
const RECOVERY_WINDOW_MS: i64 = 7 * 24 * 3_600_000;
const BACKUP_BYTES: u64 = 16 << 20;

/// A backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManagedBackup {
    id: String,
    kind: String,
    started_ms: i64,
}

impl ManagedBackup {
    fn is_running(&self, now: i64) -> bool {
        now < self.started_ms + BACKUP_MS
    }

    fn view(&self, now: i64) -> Value {
        let is_running = self.is_running(now);
        json!({
            "id": self.id,
            "type": self.kind,
            "status": if is_running { "running" } else { "completed" },
            "size_bytes": (!is_running).then_some(BACKUP_BYTES),
            "started_at": clock::format_seconds(self.started_ms),
            "finished_at": (!is_running).then(|| clock::format_seconds(self.started_ms + BACKUP_MS)),
        })
    }
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("GET", "/v1/postgres/{cluster}/backups", list),
        route("POST", "/v1/postgres/{cluster}/backups", create),
        route("POST", "/v1/postgres/{cluster}/restore", restore),
    ]
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    let backups = find_cluster(world, call)?.backups.iter();
    Ok(data(200, backups.map(|backup| backup.view(now)).collect()))
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct BackupRequest {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let request: BackupRequest = call.body()?;
    let kind = request.kind.unwrap_or_default();
    if !matches!(kind.as_str(), "full" | "incr" | "diff") {
        return Err(error(422, "type must be full, incr or diff"));
    }
    let now = world.now_ms;
    let cluster = find_cluster_mut(world, call)?;
    cluster.require_existing(now)?;
    if cluster.backups.iter().any(|backup| backup.is_running(now)) {
        return Err(error(409, "A backup is currently running"));
    }
    let id = ids::base32_id(&cluster.next_bytes("backup"));
    cluster.backups.push(ManagedBackup {
        id,
        kind,
        started_ms: now,
    });
    Ok(ApiResponse::empty(202))
}

/// Makes a new cluster of a backup or of a point in time.
fn restore(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct RestoreRequest {
        backup_id: Option<String>,
        pitr_time: Option<String>,
        name: Option<String>,
    }
    let request: RestoreRequest = call.body()?;
    let now = world.now_ms;
    let cluster = find_cluster(world, call)?;
    match (non_empty(request.backup_id), non_empty(request.pitr_time)) {
        (Some(id), None) => {
            let mut backups = cluster.backups.iter();
            if !backups.any(|backup| backup.id == id && !backup.is_running(now)) {
                let message = format!("Backup {id} not found for cluster {}", cluster.id);
                return Err(error(404, message));
            }
        }
        (None, Some(time)) => {
            let earliest = cluster.created_ms.max(now - RECOVERY_WINDOW_MS);
            let is_inside =
                clock::parse_timestamp(&time).is_some_and(|time| (earliest..=now).contains(&time));
            if !is_inside {
                let message = "pitr_time is outside of the recovery window";
                return Err(error(422, message));
            }
        }
        (None, None) => return Err(error(422, "backup_id or pitr_time is required")),
        (Some(_), Some(_)) => {
            let message = "backup_id and pitr_time are mutually exclusive";
            return Err(error(422, message));
        }
    }
    clusters::copy(world, call, request.name)
}
