//! Runs a builder. Its output is passed on line by line, and a signal of the user ends it with everything that it started.

use std::{io, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use super::{BuildEvent, BuildFrontend, command::Program};

/// How long a builder may take to end after a signal. GitHub gives a cancelled step 7.5 seconds.
const GRACE: Duration = Duration::from_secs(5);
/// How long output may come after the end, from what the builder has left running with its streams open.
const LATE_OUTPUT: Duration = Duration::from_secs(1);
/// How many of the last lines are kept to explain a failure.
const KEPT_LINES: usize = 200;
/// The longest line that is passed on as one, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// How a builder has ended.
pub(super) enum Ended {
    Success,
    Failure {
        /// Its exit status, in words.
        status: String,
        last_lines: Vec<String>,
    },
    Interrupted,
}

/// Runs a program to its end.
pub(super) async fn run<F: BuildFrontend>(
    program: &Program,
    withheld_variables: &[String],
    frontend: &F,
) -> io::Result<Ended> {
    let mut child = spawn(program, withheld_variables)?;
    let (sender, mut lines) = unbounded_channel();
    if let Some(stream) = child.stdout.take() {
        tokio::spawn(split_lines(stream, sender.clone()));
    }
    if let Some(stream) = child.stderr.take() {
        tokio::spawn(split_lines(stream, sender));
    }
    let mut kept = LastLines::default();
    let mut is_interrupted = false;
    let status = loop {
        tokio::select! {
            Some(line) = lines.recv() => kept.pass_on(line, frontend),
            status = child.wait() => break status?,
            () = frontend.interrupted(1) => {
                is_interrupted = true;
                break end(&mut child, &mut lines, &mut kept, frontend).await?;
            }
        }
    };
    let late = async {
        while let Some(line) = lines.recv().await {
            kept.pass_on(line, frontend);
        }
    };
    // What still holds the streams then is no part of the build.
    drop(timeout(LATE_OUTPUT, late).await);
    Ok(match status.success() {
        _ if is_interrupted => Ended::Interrupted,
        true => Ended::Success,
        false => Ended::Failure {
            status: status.to_string(),
            last_lines: kept.lines,
        },
    })
}

fn spawn(program: &Program, withheld_variables: &[String]) -> io::Result<Child> {
    let mut error = None;
    for name in program.names {
        let mut command = Command::new(name);
        let removed = program.removed_env.iter().copied();
        for variable in removed.chain(withheld_variables.iter().map(String::as_str)) {
            command.env_remove(variable);
        }
        command
            .args(&program.args)
            .envs(program.settings.iter().copied())
            .envs(
                program
                    .env
                    .iter()
                    .map(|(name, value)| (name, value.expose())),
            )
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that one signal reaches everything that it starts, once.
            .process_group(0)
            .kill_on_drop(true);
        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(failed) if failed.kind() == io::ErrorKind::NotFound => {
                error.get_or_insert(failed);
            }
            Err(failed) => return Err(failed),
        }
    }
    Err(error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

/// Asks the builder to end, and kills it when it does not, or when the user asks again.
async fn end<F: BuildFrontend>(
    child: &mut Child,
    lines: &mut UnboundedReceiver<String>,
    kept: &mut LastLines,
    frontend: &F,
) -> io::Result<std::process::ExitStatus> {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let send = |signal| {
        // It may have ended meanwhile.
        if let Some(Err(error)) = group.map(|group| kill_process_group(group, signal)) {
            tracing::debug!(%error, "the builder got no signal");
        }
    };
    send(Signal::INT);
    let deadline = tokio::time::sleep(GRACE);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            Some(line) = lines.recv() => kept.pass_on(line, frontend),
            status = child.wait() => {
                // What ignores the signal must not go on building.
                send(Signal::KILL);
                return status;
            }
            () = frontend.interrupted(2) => break,
            () = &mut deadline => break,
        }
    }
    send(Signal::KILL);
    child.wait().await
}

/// The last lines of the output.
#[derive(Default)]
struct LastLines {
    lines: Vec<String>,
}

impl LastLines {
    fn pass_on<F: BuildFrontend>(&mut self, line: String, frontend: &F) {
        frontend.notify(BuildEvent::Output(&line));
        if self.lines.len() == KEPT_LINES {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }
}

/// Splits a stream into lines. A carriage return ends one as well: it redraws a line on a terminal.
async fn split_lines(mut stream: impl AsyncRead + Unpin, lines: UnboundedSender<String>) {
    let (mut buffer, mut line) = (vec![0; 8 * 1024], Vec::new());
    let send = |line: &mut Vec<u8>| {
        if !line.is_empty() {
            // The receiver is gone once the build has ended.
            drop(lines.send(String::from_utf8_lossy(line).into_owned()));
            line.clear();
        }
    };
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                for byte in &buffer[..count] {
                    if matches!(byte, b'\n' | b'\r') || line.len() >= MAX_LINE {
                        send(&mut line);
                    }
                    if !matches!(byte, b'\n' | b'\r') {
                        line.push(*byte);
                    }
                }
            }
        }
    }
    send(&mut line);
}
