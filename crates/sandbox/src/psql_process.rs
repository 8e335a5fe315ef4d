//! A real `psql`, where the sandbox was given a PostgreSQL server: the script runs there byte for byte.
//! Only where to connect is replaced.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::postgres::PsqlOutput;

/// How long a script may run: as long as the longest `exec`.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is looked whether the program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The options that say where to connect.
const CONNECTION_OPTIONS: [&str; 3] = ["-h", "-p", "-U"];

/// A run of `psql`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PsqlProcess {
    /// The address of the server.
    pub(crate) url: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) stdin: String,
}

impl PsqlProcess {
    /// The arguments with the address of the server in place of the ones about the node. The name of the
    /// database stays, so `postgres` must exist there.
    fn mapped_arguments(&self) -> Vec<String> {
        let mut mapped = Vec::new();
        let mut database = None;
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            if CONNECTION_OPTIONS.contains(&argument.as_str()) {
                arguments.next();
            } else if argument == "-d" {
                database = arguments.next();
            } else {
                mapped.push(argument.clone());
            }
        }
        let (address, query) = match self.url.split_once('?') {
            Some((address, query)) => (address, format!("?{query}")),
            None => (self.url.as_str(), String::new()),
        };
        let scheme_end = address.find("://").map_or(0, |at| at + 3);
        let host_end = address[scheme_end..]
            .find('/')
            .map_or(address.len(), |at| scheme_end + at);
        let database = database.map_or("postgres", String::as_str);
        let database =
            percent_encoding::utf8_percent_encode(database, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("{}/{database}{query}", &address[..host_end]);
        mapped.extend(["-d".to_owned(), url]);
        mapped
    }

    /// Runs it; `None` when it does not end in time.
    pub(crate) async fn run(&self) -> Option<PsqlOutput> {
        let (arguments, script) = (self.mapped_arguments(), self.stdin.clone());
        let run = tokio::task::spawn_blocking(move || run_psql(&arguments, script));
        run.await.ok()?
    }
}

/// Runs `psql` with a script on its standard input; `None` when it does not end in time.
fn run_psql(arguments: &[String], script: String) -> Option<PsqlOutput> {
    let spawned = Command::new("psql")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            return Some(PsqlOutput {
                exit_code: 127,
                stdout: String::new(),
                stderr: format!("exec: \"psql\": {error}\n"),
            });
        }
    };
    let stdin = child.stdin.take();
    // Written and read at the same time, so that no full pipe makes both sides wait.
    let feed = thread::spawn(move || {
        // A psql that ended early reads no more.
        stdin.map(|mut stdin| stdin.write_all(script.as_bytes()))
    });
    let stdout = child
        .stdout
        .take()
        .map(|pipe| thread::spawn(move || read_all(pipe)));
    let stderr = child
        .stderr
        .take()
        .map(|pipe| thread::spawn(move || read_all(pipe)));
    let exit_code = wait(&mut child)?;
    drop(feed.join());
    let text = |reader: Option<thread::JoinHandle<String>>| {
        reader
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default()
    };
    Some(PsqlOutput {
        exit_code,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

fn read_all(mut pipe: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is still the output.
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit code; `None` when the program had to be ended.
fn wait(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    while began.elapsed() < TIMEOUT {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.code().unwrap_or(-1));
        }
        thread::sleep(POLL_INTERVAL);
    }
    // It may have ended in the meantime.
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_is_replaced() {
        let arguments = [
            "-XqAt", "-U", "postgres", "-p", "5433", "-d", "my db", "-f", "-",
        ];
        let process = PsqlProcess {
            url: "postgres://me:secret@127.0.0.1:5432/ignored?sslmode=disable".to_owned(),
            arguments: arguments.map(str::to_owned).to_vec(),
            stdin: String::new(),
        };
        let url = "postgres://me:secret@127.0.0.1:5432/my%20db?sslmode=disable";
        assert_eq!(process.mapped_arguments(), ["-XqAt", "-f", "-", "-d", url]);
    }
}
