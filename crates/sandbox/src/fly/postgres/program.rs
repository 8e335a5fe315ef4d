//! `psql` inside of a node.

use super::super::console;
use super::super::machine::Machine;
use super::is_ready;
use crate::postgres::{PsqlOutput, parse_arguments, run_psql};
use crate::world::App;

/// What came of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProgramRun {
    /// It has ended.
    Ended(PsqlOutput),
    /// It waits for a lock of another session.
    Blocked,
}

/// Runs `psql` with these arguments in a started node, with a script on its standard input.
pub(crate) fn run_psql_on_node(
    app: &mut App,
    id: &str,
    arguments: &[String],
    script: &str,
    now: i64,
) -> ProgramRun {
    let failed = |exit_code, message: &str| {
        ProgramRun::Ended(PsqlOutput {
            exit_code,
            stdout: String::new(),
            stderr: format!("{message}\n"),
        })
    };
    let invocation = match parse_arguments(arguments) {
        Ok(invocation) => invocation,
        Err(message) => return failed(1, &format!("psql: error: {message}")),
    };
    let Some(mut machine) = app.machines.remove(id) else {
        return failed(1, "psql: error: no such machine");
    };
    let run = match super::server_mut(app, &machine).filter(|_| is_ready(&machine)) {
        None => failed(
            2,
            "psql: error: connection to server on socket \"/var/run/postgresql/.s.PGSQL.5433\" failed: FATAL:  the \
             database system is starting up",
        ),
        Some(server) => {
            // A script that has to wait starts over later, so it works on a copy until it has ended.
            let mut copy = server.clone();
            match run_psql(&mut copy, &invocation, script, now) {
                Some(output) => {
                    *server = copy;
                    copy_log(app, &mut machine, now);
                    ProgramRun::Ended(output)
                }
                None => ProgramRun::Blocked,
            }
        }
    };
    app.machines.insert(id.to_owned(), machine);
    super::replicate(app);
    run
}

/// Copies new lines of the server's log to the log of the machine.
pub(super) fn copy_log(app: &mut App, machine: &mut Machine, now: i64) {
    let lines = super::server_mut(app, machine)
        .map(|server| std::mem::take(&mut server.new_log_lines))
        .unwrap_or_default();
    for line in lines {
        console::log_line(machine, now, format!("postgres | {line}"));
    }
}
