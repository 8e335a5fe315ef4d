//! `exec`: runs a program in a started machine. There is no shell.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{find_machine, find_machine_mut, inside};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, ResponseBody};
use crate::fly::postgres::{self, ProgramRun};
use crate::fly::v1::lease;
use crate::postgres::PsqlOutput;
use crate::psql_process::PsqlProcess;
use crate::world::{ExecRecord, SimulatedWorld};

/// The longest time that a program may run, in seconds, and the time without one in the request.
const MAX_TIMEOUT_S: i64 = 60;
/// The exit code of a program that does not exist.
const NOT_FOUND_CODE: i32 = 127;

/// The body of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExecRequest {
    /// The deprecated form of `command`: one string that is split into words.
    cmd: Option<String>,
    command: Option<Vec<String>>,
    container: Option<String>,
    machine: Option<bool>,
    stdin: Option<String>,
    timeout: Option<i64>,
}

/// What came of a program so far.
enum Progress {
    Ended(PsqlOutput),
    /// It still runs then.
    Until(i64),
    /// A real `psql` has to run it.
    Real(PsqlProcess),
}

/// Runs a program. `Err` is the time until which it runs at least.
pub(super) fn exec(world: &mut SimulatedWorld, call: &ApiCall) -> Result<ApiResult, i64> {
    let response = match run(world, call) {
        Ok((Progress::Until(until), deadline)) if world.now_ms < deadline => {
            return Err(until.min(deadline));
        }
        Ok((Progress::Until(_), _)) => timed_out().into(),
        Ok((Progress::Ended(output), _)) => ApiResponse::ok(output_view(&output)),
        Ok((Progress::Real(process), _)) => ApiResponse {
            body: ResponseBody::Psql(Box::new(process)),
            ..ApiResponse::empty(200)
        },
        Err(error) => error.into(),
    };
    let body = match &response.body {
        ResponseBody::Json(body) => body.clone(),
        _ => Value::Null,
    };
    let record = ExecRecord {
        app: call.path_param("app").to_owned(),
        machine: call.path_param("machine").to_owned(),
        request: call.body.clone(),
        status: response.status,
        response: body,
        at_ms: world.now_ms,
    };
    world.execs.push(record);
    Ok(Ok(response))
}

/// The response to a program that has ended.
pub(crate) fn output_view(output: &PsqlOutput) -> Value {
    json!({
        "exit_code": output.exit_code,
        "exit_signal": 0,
        "stdout": output.stdout,
        "stderr": output.stderr,
    })
}

/// The error when a program has not ended in time. It may go on.
pub(crate) fn timed_out() -> ApiError {
    ApiError::new(
        408,
        "deadline_exceeded: Post \"http://unix/v1/exec\": context deadline exceeded (Client.Timeout exceeded while \
         awaiting headers)",
    )
}

/// Checks the request and runs the program; also returns when the time for it is over.
fn run(world: &mut SimulatedWorld, call: &ApiCall) -> Result<(Progress, i64), ApiError> {
    let now = world.now_ms;
    let machine = find_machine_mut(world, call)?;
    inside::require_started(machine)?;
    // That the lease of another client excludes it is not documented.
    if lease::active_lease(machine, now).is_some() {
        lease::check_lease(machine, call, now)?;
    }
    let settings = world.global.exec.clone();
    let length = call.body.to_string().len();
    if settings.max_body_bytes.is_some_and(|most| length > most) {
        return Err(ApiError::new(413, "request body too large"));
    }
    let request: ExecRequest = call.body()?;
    let container = request.container.is_some_and(|name| !name.is_empty());
    if request.machine.unwrap_or(false) && container {
        return Err(ApiError::bad_request(
            "machine and container are mutually exclusive",
        ));
    }
    let timeout_s = match request.timeout.unwrap_or(0) {
        0 => MAX_TIMEOUT_S,
        timeout if (1..=MAX_TIMEOUT_S).contains(&timeout) => timeout,
        timeout => {
            return Err(ApiError::bad_request(format!(
                "invalid timeout: {timeout}, must be between 1 and {MAX_TIMEOUT_S}"
            )));
        }
    };
    let words = match (request.command, request.cmd) {
        (Some(command), _) => command,
        (None, Some(cmd)) => split_words(&cmd)
            .ok_or_else(|| ApiError::bad_request("invalid cmd: a quote is not closed"))?,
        (None, None) => Vec::new(),
    };
    let (program, arguments) = words
        .split_first()
        .filter(|(program, _)| !program.is_empty())
        .ok_or_else(|| ApiError::bad_request("command is required"))?;
    let stdin = request.stdin.filter(|_| settings.stdin).unwrap_or_default();
    let progress = run_program(world, call, program, arguments, &stdin)?;
    Ok((progress, call.received_ms + timeout_s * 1_000))
}

fn ended(exit_code: i32, stdout: &str, stderr: &str) -> Progress {
    Progress::Ended(PsqlOutput {
        exit_code,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    })
}

/// No image runs in the sandbox, so only a few programs do something. In a machine whose image is not
/// known, every other one succeeds without output.
fn run_program(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    program: &str,
    arguments: &[String],
    stdin: &str,
) -> Result<Progress, ApiError> {
    let is_node = postgres::major_version(find_machine(world, call)?).is_some();
    let name = program.rsplit('/').next().unwrap_or(program);
    Ok(match name {
        "echo" => ended(0, &format!("{}\n", arguments.join(" ")), ""),
        "true" => ended(0, "", ""),
        "false" => ended(1, "", ""),
        "cat" if arguments.iter().all(|argument| argument == "-") => ended(0, stdin, ""),
        "sleep" => sleep(world, call, arguments),
        "psql" if is_node => psql(world, call, arguments, stdin)?,
        "bash" | "sh" if is_node => match decode_pipeline(arguments) {
            Some((arguments, script)) => psql(world, call, &arguments, &script)?,
            None => ended(
                NOT_FOUND_CODE,
                "",
                &format!("{name}: the sandbox runs no shell\n"),
            ),
        },
        // No image but that of Postgres clusters is known to have it.
        _ if is_node || name == "psql" => ended(
            NOT_FOUND_CODE,
            "",
            &format!("exec: \"{program}\": executable file not found in $PATH\n"),
        ),
        _ => ended(0, "", ""),
    })
}

fn sleep(world: &SimulatedWorld, call: &ApiCall, arguments: &[String]) -> Progress {
    let seconds = arguments.first().and_then(|text| text.parse::<i64>().ok());
    match seconds {
        None => ended(1, "", "sleep: invalid time interval\n"),
        Some(seconds) => {
            let until = call
                .received_ms
                .saturating_add(seconds.saturating_mul(1_000));
            if world.now_ms < until {
                Progress::Until(until)
            } else {
                ended(0, "", "")
            }
        }
    }
}

fn psql(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    arguments: &[String],
    stdin: &str,
) -> Result<Progress, ApiError> {
    let now = world.now_ms;
    let machine = find_machine(world, call)?;
    if let Some(url) = world.postgres_url.clone()
        && postgres::is_ready(machine)
    {
        return Ok(Progress::Real(PsqlProcess {
            url,
            arguments: arguments.to_vec(),
            stdin: stdin.to_owned(),
        }));
    }
    let id = machine.id.clone();
    let app = world.app_mut(call)?;
    Ok(
        match postgres::run_psql_on_node(app, &id, arguments, stdin, now) {
            ProgramRun::Ended(output) => Progress::Ended(output),
            // Until the request is over, or something releases the lock.
            ProgramRun::Blocked => Progress::Until(i64::MAX),
        },
    )
}

/// The one pipeline that passes a script without standard input:
/// `bash -c 'printf %s "$1" | base64 -d | psql …' _ SCRIPT`. Returns the arguments of `psql` and the
/// script.
fn decode_pipeline(arguments: &[String]) -> Option<(Vec<String>, String)> {
    use base64::Engine as _;
    let [flag, pipeline, _, encoded] = arguments else {
        return None;
    };
    let stages: Vec<&str> = pipeline.split('|').map(str::trim).collect();
    let [printing, decoding, psql] = stages.as_slice() else {
        return None;
    };
    let is_known = flag == "-c"
        && split_words(printing)? == ["printf", "%s", "$1"]
        && matches!(
            split_words(decoding)?.join(" ").as_str(),
            "base64 -d" | "base64 --decode"
        );
    let words = split_words(psql)?;
    let (program, arguments) = words.split_first()?;
    let script = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    (is_known && program == "psql").then_some((arguments.to_vec(), String::from_utf8(script).ok()?))
}

/// Splits a command line at spaces outside of quotes; `None` when a quote is not closed.
fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut current: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => current.get_or_insert_default().extend(characters.next()),
            (Some(_), c) => current.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(current.take()),
            (None, c) => current.get_or_insert_default().push(c),
        }
    }
    words.extend(current);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_split_outside_of_quotes() {
        let words = split_words(r#"psql -c "select 'a b'" 'x"y' a\ b """#).unwrap();
        assert_eq!(words, ["psql", "-c", "select 'a b'", "x\"y", "a b", ""]);
        assert_eq!(split_words("echo 'open"), None);
    }
}
