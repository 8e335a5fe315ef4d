//! How a node boots: what it needs, whether it makes a new cluster or joins one, and how it sets itself
//! up.

use super::super::behaviour::SimulatedExit;
use super::super::config::parse_duration_ms;
use super::super::console;
use super::super::machine::{Machine, MachineTransition};
use super::{DATA_MOUNT, NodeStage, PgNode, SleepCheck, major_version, schedule_next_step};
use crate::json;
use crate::postgres::{PgServer, matches_password};
use crate::world::App;

/// From `started` until a new cluster is set up.
pub(crate) const INITIALIZE_MS: i64 = 5_000;
/// From `started` until a standby has copied a small primary.
const CLONE_MS: i64 = 8_000;
/// From `started` until a node runs on the data that it had.
const RESTART_MS: i64 = 1_000;
/// From `started` until a program that cannot boot exits.
const FAILURE_MS: i64 = 500;
/// The exit code of a Go program that panics.
const PANIC_CODE: i64 = 2;
/// The exit code of the supervisor when one of its programs ends.
const SUPERVISOR_CODE: i64 = 1;

/// The secrets with passwords, and the superusers that they are for.
const PASSWORDS: [(&str, &str); 3] = [
    ("SU_PASSWORD", "flypgadmin"),
    ("OPERATOR_PASSWORD", "postgres"),
    ("REPL_PASSWORD", "repmgr"),
];

/// Why a program ends right after its start: what it prints, and its exit code.
struct BootFailure {
    lines: Vec<String>,
    code: i64,
}

impl BootFailure {
    fn panic(message: impl std::fmt::Display) -> Self {
        Self {
            lines: vec![format!("panic: {message}")],
            code: PANIC_CODE,
        }
    }
}

/// A variable of the program's environment: a secret, or one of the configuration.
fn variable<'a>(app: &'a App, machine: &'a Machine, name: &str) -> Option<&'a str> {
    let secret = app.secrets.get(name).map(|secret| secret.value.as_str());
    machine.env(name).or(secret)
}

/// Begins to boot the program of a machine that has just started.
pub(super) fn begin(app: &mut App, machine: &mut Machine, at: i64) {
    // What a rule plans for the program is in the schedule of the machine.
    let planned_exit = machine.due.and_then(|due| match due.step {
        MachineTransition::Exit(exit) => Some((due.at_ms, exit)),
        _ => None,
    });
    match boot(app, machine) {
        Ok(stage) => {
            let takes_ms = match stage {
                NodeStage::Initializing => INITIALIZE_MS,
                NodeStage::Cloning => CLONE_MS,
                _ => RESTART_MS,
            };
            let every_ms = machine
                .env("FLY_SCALE_TO_ZERO")
                .and_then(|text| parse_duration_ms(&text.into()))
                .filter(|every_ms| *every_ms > 0);
            machine.postgres = Some(PgNode {
                ready_ms: at + takes_ms,
                stage,
                sleep_check: every_ms.map(|every_ms| SleepCheck {
                    next_ms: at + every_ms,
                    every_ms,
                }),
                planned_exit,
            });
            schedule_next_step(machine);
        }
        Err(failure) => {
            for line in failure.lines {
                console::log_line(machine, at, line);
            }
            let exit = SimulatedExit {
                code: failure.code,
                ..SimulatedExit::CLEAN
            };
            machine.schedule_transition(at + FAILURE_MS, MachineTransition::Exit(exit));
        }
    }
}

/// Prepares the data directory. The order of the checks is that of the image.
fn boot(app: &mut App, machine: &Machine) -> Result<NodeStage, BootFailure> {
    for (name, _) in PASSWORDS {
        if variable(app, machine, name).is_none() {
            return Err(BootFailure::panic(format_args!("{name} is required")));
        }
    }
    if variable(app, machine, "PRIMARY_REGION").is_none_or(str::is_empty) {
        return Err(BootFailure::panic(
            "PRIMARY_REGION environment variable must be set",
        ));
    }
    let volume = data_volume(app, machine).ok_or_else(|| {
        BootFailure::panic("failed to set /data ownership: chown /data: no such file or directory")
    })?;
    let consul = consul_url(app, machine)
        .map_err(|why| {
            BootFailure::panic(format_args!("failed initialize cluster state store: {why}"))
        })?
        .to_owned();
    let major = major_version(machine).unwrap_or_default();
    if let Some(server) = app.volumes.get(&volume).and_then(|v| v.postgres.as_deref()) {
        return if server.major == major {
            Ok(NodeStage::Restarting)
        } else {
            Err(incompatible_data(server.major, major))
        };
    }
    let (data, stage) = if app.initialized_consul_urls.contains(&consul) {
        let primary = super::running_primary(app, None)
            .and_then(|volume| app.volumes.get(&volume)?.postgres.as_deref())
            .ok_or_else(|| BootFailure::panic("unable to resolve cloneable member"))?;
        if primary.major != major {
            return Err(incompatible_data(primary.major, major));
        }
        (primary.clone_standby(), NodeStage::Cloning)
    } else {
        let bytes = app.next_id_bytes("postgres");
        let mut id = [0; 8];
        id.copy_from_slice(&bytes[..8]);
        let password = variable(app, machine, "OPERATOR_PASSWORD").unwrap_or_default();
        // Within the 63 bits of a signed number, which is how SQL shows it.
        let system_id = u64::from_be_bytes(id) >> 1;
        let server = PgServer::initialized(major, system_id, password);
        (server, NodeStage::Initializing)
    };
    if let Some(volume) = app.volumes.get_mut(&volume) {
        volume.postgres = Some(Box::new(data));
    }
    Ok(stage)
}

/// The volume that is mounted where the data directory must lie.
fn data_volume(app: &App, machine: &Machine) -> Option<String> {
    let mount = machine.config.get("mounts")?.get(0)?;
    let is_data = json::string(mount.get("path")).trim_end_matches('/') == DATA_MOUNT;
    let volume = machine.mounted_volume()?;
    (is_data && app.volumes.contains_key(volume)).then(|| volume.to_owned())
}

/// The address in consul, which must hold a token and a place.
fn consul_url<'a>(app: &'a App, machine: &'a Machine) -> Result<&'a str, String> {
    let url = variable(app, machine, "FLY_CONSUL_URL")
        .or_else(|| variable(app, machine, "CONSUL_URL"))
        .unwrap_or_default();
    let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    let parsed = rest.and_then(|rest| {
        let (login, address) = rest.split_once('@')?;
        let (_, token) = login.split_once(':')?;
        let (host, place) = address.split_once('/')?;
        Some((token, host, place))
    });
    match parsed {
        Some(("", _, _)) => Err("consul token not set".to_owned()),
        // The only consul that the sandbox has is Fly's.
        Some((_, host, _)) if !host.ends_with(".fly-shared.net") => {
            Err(format!("dial tcp: lookup {host}: no such host"))
        }
        Some((_, _, place)) if !place.trim_matches('/').is_empty() => Ok(url),
        _ => Err("consul token not set".to_owned()),
    }
}

fn incompatible_data(found: u32, major: u32) -> BootFailure {
    BootFailure {
        lines: vec![
            "postgres | FATAL:  database files are incompatible with server".to_owned(),
            format!(
                "postgres | DETAIL:  The data directory was initialized by PostgreSQL version {found}, which is not \
                 compatible with this version {major}."
            ),
        ],
        code: SUPERVISOR_CODE,
    }
}

/// Sets the node up once its server runs, and returns how far it has come.
pub(super) fn finish(
    app: &mut App,
    machine: &mut Machine,
    stage: &NodeStage,
    at: i64,
) -> NodeStage {
    match set_up(app, machine, stage) {
        Ok(()) => {
            console::log_line(
                machine,
                at,
                "postgres | LOG:  database system is ready to accept connections",
            );
            super::checks::apply_disk_limit(app, machine.mounted_volume().unwrap_or_default());
            NodeStage::Ready
        }
        Err(reason) => {
            let line = format!("failed post-init: {reason}. Retrying...");
            console::log_line(machine, at, line);
            NodeStage::Failing(reason)
        }
    }
}

fn set_up(app: &mut App, machine: &Machine, stage: &NodeStage) -> Result<(), String> {
    let consul = consul_url(app, machine)?.to_owned();
    let secret = |name: &str| variable(app, machine, name).unwrap_or_default().to_owned();
    let passwords = PASSWORDS.map(|(name, role)| (role, secret(name)));
    let is_member = app.initialized_consul_urls.contains(&consul);
    let (primary_region, region) = (secret("PRIMARY_REGION"), machine.region.clone());
    let Some(server) = super::server_mut(app, machine) else {
        return Err("failed to establish connection to local node".to_owned());
    };
    if is_member && *stage != NodeStage::Initializing {
        // The passwords are set up once; later ones are only used to log in.
        for (role, password) in &passwords {
            let stored = server
                .roles
                .get(*role)
                .and_then(|role| role.verifier.as_deref());
            if !stored.is_some_and(|stored| matches_password(stored, role, password)) {
                return Err(format!(
                    "failed to establish connection to local node: FATAL: password authentication failed for user \
                     \"{role}\" (SQLSTATE 28P01)"
                ));
            }
        }
        return Ok(());
    }
    if primary_region != region {
        return Err(format!(
            "no primary to follow and can't configure self as primary because primary region is '{primary_region}' and \
             we are in '{region}'"
        ));
    }
    server.standby = false;
    for (role, password) in &passwords {
        server.ensure_superuser(role, password);
    }
    server.ensure_repmgr_database();
    app.initialized_consul_urls.insert(consul);
    Ok(())
}
