//! Machines with Fly's image for Postgres clusters, `flyio/postgres-flex`: how a node boots, finds its
//! cluster and goes to sleep. The server itself is modelled in [`crate::postgres`]; its data directory
//! lies on the volume that is mounted at `/data`.
//!
//! From the source of the image: it needs three passwords, `PRIMARY_REGION` and a place in consul. On an
//! empty volume it copies the primary of its cluster if consul says that there is one, else it makes a
//! new cluster. It says in consul that its cluster exists only once it has set it up, some seconds after
//! its machine has started. A second node that boots before makes a cluster of its own.

mod admin;
mod boot;
mod checks;
mod program;

use serde::{Deserialize, Serialize};

use super::behaviour::SimulatedExit;
use super::console;
use super::images::postgres_flex_version;
use super::machine::{Machine, MachineState, MachineTransition};
use crate::postgres::PgServer;
use crate::world::App;

pub(crate) use admin::handle_request;
pub(crate) use boot::INITIALIZE_MS;
pub(crate) use checks::check_result;
pub(crate) use program::{ProgramRun, run_psql_on_node};

/// Where the data directory must lie.
const DATA_MOUNT: &str = "/data";

/// What the program of a started Postgres node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PgNode {
    /// When it has set itself up.
    ready_ms: i64,
    stage: NodeStage,
    /// When it next counts its clients, and how often it does: `FLY_SCALE_TO_ZERO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sleep_check: Option<SleepCheck>,
    /// When and how a rule makes it exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    planned_exit: Option<(i64, SimulatedExit)>,
}

/// A check whether any client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct SleepCheck {
    next_ms: i64,
    every_ms: i64,
}

/// How far a node has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NodeStage {
    /// It made a new data directory.
    Initializing,
    /// It copies the data of the primary.
    Cloning,
    /// It starts on the data that were there.
    Restarting,
    Ready,
    /// It tries in vain to set itself up, for this reason.
    Failing(String),
}

/// The major version of PostgreSQL in the machine's image; `None` when it is no Postgres node.
pub(crate) fn major_version(machine: &Machine) -> Option<u32> {
    let version = postgres_flex_version(machine.image())?;
    version.split(['.', '-']).next()?.parse().ok()
}

/// What a started node does; `None` for other machines.
fn running_node(machine: &Machine) -> Option<&PgNode> {
    let node = machine.postgres.as_ref()?;
    (machine.state == MachineState::Started).then_some(node)
}

/// Whether the node has set itself up.
pub(crate) fn is_ready(machine: &Machine) -> bool {
    running_node(machine).is_some_and(|node| node.stage == NodeStage::Ready)
}

/// The server on the machine's volume.
fn server<'a>(app: &'a App, machine: &Machine) -> Option<&'a PgServer> {
    app.volumes
        .get(machine.mounted_volume()?)?
        .postgres
        .as_deref()
}

fn server_mut<'a>(app: &'a mut App, machine: &Machine) -> Option<&'a mut PgServer> {
    let volume = app.volumes.get_mut(machine.mounted_volume()?)?;
    volume.postgres.as_deref_mut()
}

/// Continues what the program does after a transition; returns how it exits by itself.
pub(super) fn after_transition(
    app: &mut App,
    machine: &mut Machine,
    at: i64,
    transition: MachineTransition,
) -> Option<SimulatedExit> {
    let is_node = major_version(machine).is_some();
    let exit = match transition {
        MachineTransition::Started if is_node => {
            boot::begin(app, machine, at);
            None
        }
        MachineTransition::Postgres => continue_node(app, machine, at),
        _ => None,
    };
    if machine.state != MachineState::Started {
        after_stop(app, machine);
    }
    exit
}

/// Ends what only a running program has.
pub(super) fn after_stop(app: &mut App, machine: &mut Machine) {
    if machine.postgres.take().is_some()
        && let Some(server) = server_mut(app, machine)
    {
        server.close_sessions();
    }
}

fn continue_node(app: &mut App, machine: &mut Machine, at: i64) -> Option<SimulatedExit> {
    let mut node = machine.postgres.take()?;
    let is_setting_up = !matches!(node.stage, NodeStage::Ready | NodeStage::Failing(_));
    if is_setting_up && node.ready_ms <= at {
        node.stage = boot::finish(app, machine, &node.stage, at);
    }
    if let Some((_, exit)) = node.planned_exit.filter(|(due, _)| *due <= at) {
        machine.postgres = Some(node);
        return Some(exit);
    }
    if let Some(check) = node
        .sleep_check
        .as_mut()
        .filter(|check| check.next_ms <= at)
    {
        check.next_ms += check.every_ms;
        let is_idle = server(app, machine).is_none_or(|server| server.sessions.is_empty());
        if is_idle {
            console::log_line(
                machine,
                at,
                "configured scale to zero has no active connections, exiting",
            );
            machine.postgres = Some(node);
            return Some(SimulatedExit::CLEAN);
        }
    }
    machine.postgres = Some(node);
    schedule_next_step(machine);
    None
}

/// Schedules whatever happens next in the program.
fn schedule_next_step(machine: &mut Machine) {
    let Some(node) = &machine.postgres else {
        return;
    };
    let setup = match node.stage {
        NodeStage::Ready | NodeStage::Failing(_) => None,
        _ => Some(node.ready_ms),
    };
    let sleep = node.sleep_check.map(|check| check.next_ms);
    let exit = node.planned_exit.map(|(at, _)| at);
    if let Some(at) = [setup, sleep, exit].into_iter().flatten().min() {
        machine.schedule_transition(at, MachineTransition::Postgres);
    }
}

/// The name of a node in replication slots and in `pg_stat_replication`.
fn slot_name(machine: &Machine) -> String {
    format!(
        "repmgr_slot_{}",
        u32::from_str_radix(&machine.id[..7.min(machine.id.len())], 16).unwrap_or(0)
    )
}

/// Copies what changed on each primary to its standbys that run, and notes on the primary which of
/// them receive it.
pub(crate) fn replicate(app: &mut App) {
    let running = |machine: &&Machine| is_ready(machine);
    let standbys: Vec<RunningStandby> = app
        .machines
        .values()
        .filter(running)
        .filter_map(|machine| {
            let server = server(app, machine).filter(|server| server.standby)?;
            Some(RunningStandby {
                volume: machine.mounted_volume()?.to_owned(),
                slot: slot_name(machine),
                address: machine.private_ip.clone(),
                system_id: server.system_id,
            })
        })
        .collect();
    let primaries: Vec<String> = app
        .machines
        .values()
        .filter(running)
        .filter(|machine| server(app, machine).is_some_and(|server| !server.standby))
        .filter_map(|machine| machine.mounted_volume().map(str::to_owned))
        .collect();
    let data = |app: &mut App, volume: &str| app.volumes.get_mut(volume)?.postgres.take();
    for volume in primaries {
        let Some(mut primary) = data(app, &volume) else {
            continue;
        };
        primary
            .slots
            .values_mut()
            .for_each(|slot| slot.active = false);
        let system_id = primary.system_id;
        for standby in standbys.iter().filter(|s| s.system_id == system_id) {
            primary.set_slot(&standby.slot, &standby.address, true);
            let copy = app.volumes.get_mut(&standby.volume);
            if let Some(copy) = copy.and_then(|volume| volume.postgres.as_deref_mut()) {
                copy.replicate(&primary);
            }
        }
        if let Some(volume) = app.volumes.get_mut(&volume) {
            volume.postgres = Some(primary);
        }
    }
}

/// A standby that is set up.
struct RunningStandby {
    volume: String,
    slot: String,
    address: String,
    system_id: u64,
}

/// The volume of a primary that is set up, of this cluster if one is named.
fn running_primary(app: &App, system_id: Option<u64>) -> Option<String> {
    let ready = app.machines.values().filter(|machine| is_ready(machine));
    let mut primaries = ready.filter(|machine| {
        server(app, machine).is_some_and(|server| {
            !server.standby && system_id.is_none_or(|id| id == server.system_id)
        })
    });
    Some(primaries.next()?.mounted_volume()?.to_owned())
}
