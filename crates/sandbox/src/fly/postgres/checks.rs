//! The health checks of a node, which its program serves on port 5500.

use serde_json::Value;

use super::super::behaviour::CheckOutcome;
use super::super::machine::Machine;
use super::{NodeStage, running_node, server};
use crate::json;
use crate::world::App;

/// The port of the program's own API.
const API_PORT: i64 = 5500;
/// Above this fill level of the disk, the program makes the databases read-only.
const READ_ONLY_PERCENT: u64 = 90;
/// How full a new volume is.
const EMPTY_PERCENT: u64 = 1;

/// The result of a check that the program of a node answers: outcome, output, and since when. `None`
/// for other checks and machines.
pub(crate) fn check_result(
    app: &App,
    machine: &Machine,
    check: &Value,
) -> Option<(CheckOutcome, String, i64)> {
    let kind = json::string(check.get("path")).strip_prefix("/flycheck/")?;
    super::major_version(machine)?;
    if check.get("port").and_then(Value::as_i64) != Some(API_PORT) {
        return Some((
            CheckOutcome::Critical,
            "connection refused".to_owned(),
            machine.updated_ms,
        ));
    }
    let Some(node) = running_node(machine) else {
        return Some((
            CheckOutcome::Critical,
            "connection refused".to_owned(),
            machine.updated_ms,
        ));
    };
    let (outcome, output) = match (&node.stage, kind) {
        (_, "vm") => vm_check(app, machine),
        (NodeStage::Ready, "role") => {
            let standby = server(app, machine).is_some_and(|server| server.standby);
            let role = if standby { "replica" } else { "primary" };
            (CheckOutcome::Passing, role.to_owned())
        }
        (NodeStage::Ready, "pg") => pg_check(app, machine),
        (_, "role" | "pg") => (
            CheckOutcome::Critical,
            "500 Internal Server Error Output: \"failed to connect to local node: context deadline exceeded\""
                .to_owned(),
        ),
        _ => (CheckOutcome::Critical, "404 page not found".to_owned()),
    };
    Some((outcome, output, node.ready_ms))
}

fn fill_percent(app: &App, machine: &Machine) -> u64 {
    let volume = machine.mounted_volume().and_then(|id| app.volumes.get(id));
    volume
        .and_then(|volume| volume.fill_percent)
        .unwrap_or(EMPTY_PERCENT)
}

fn pg_check(app: &App, machine: &Machine) -> (CheckOutcome, String) {
    let percent = fill_percent(app, machine);
    // The program's own processes keep seven connections open.
    let used = 7 + server(app, machine).map_or(0, |server| server.sessions.len());
    let connections = format!("[✓] connections: {used} used, 3 reserved, 300 max");
    let locks = "[✓] cluster-locks: No active locks detected";
    if percent > READ_ONLY_PERCENT {
        let disk =
            format!("[✗] disk-capacity: {percent}.0% - extend your volume to re-enable writes");
        let output = format!("500 Internal Server Error\n{connections}\n{locks}\n{disk}");
        return (CheckOutcome::Critical, output);
    }
    let disk = format!(
        "[✓] disk-capacity: {percent}.0% - readonly mode will be enabled at {READ_ONLY_PERCENT}.0%"
    );
    (
        CheckOutcome::Passing,
        format!("{connections}\n{locks}\n{disk}"),
    )
}

fn vm_check(app: &App, machine: &Machine) -> (CheckOutcome, String) {
    let free = 100_u64.saturating_sub(fill_percent(app, machine));
    let load = "[✓] checkLoad: load averages: 0.00 0.00 0.00\n[✓] memory: system spent 0s of the last 60s waiting on \
                memory\n[✓] cpu: system spent 0s of the last 60s waiting on cpu\n[✓] io: system spent 0s of the last \
                60s waiting on io";
    if free < 10 {
        let output = format!(
            "500 Internal Server Error\n[✗] checkDisk: {free}.0% free space on /data/\n{load}"
        );
        (CheckOutcome::Critical, output)
    } else {
        (
            CheckOutcome::Passing,
            format!("[✓] checkDisk: {free}.0% free space on /data/\n{load}"),
        )
    }
}

/// Makes the databases on a volume read-only while its disk is almost full, and writable again after.
pub(super) fn apply_disk_limit(app: &mut App, volume: &str) {
    let Some(volume) = app.volumes.get_mut(volume) else {
        return;
    };
    let is_full = volume.fill_percent.unwrap_or(EMPTY_PERCENT) > READ_ONLY_PERCENT;
    if let Some(server) = volume
        .postgres
        .as_deref_mut()
        .filter(|server| !server.standby)
    {
        server.set_read_only(is_full);
    }
}
