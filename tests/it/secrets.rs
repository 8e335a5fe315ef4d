//! No secret leaks: every command in every format and at every log level, and everything that can
//! go wrong, runs with canaries as secret values. The output of each run, the files it wrote, the
//! requests it sent and the arguments of processes it started are searched for the canaries in
//! every encoding.
//!
//! Two places hold values on purpose and are excluded: the state of the embedded sandbox
//! (`secrets.NAME.value` in `apps/NAME.json`; the folder is private), and the bodies of requests
//! that set secrets in the record of exchanges.
//!
//! `cargo test secrets` runs each command and each failure at each log level, but each format only
//! at one of them. `TRIMTAB_SECRETS=full` runs every format at every level.

mod all_commands;
mod canaries;
mod debug_output;
mod echo_server;
mod failures;
mod leak_test;
mod misplaced;

use std::{io::Write as _, process::Command};

use canaries::Canaries;
use leak_test::LeakTest;

use crate::support::sample;

/// The least number of runs, so that a test that has become empty is noticed.
const MIN_RUNS: usize = 60;

struct LogLevel {
    args: &'static [&'static str],
    /// Whether GitHub Actions reads the output.
    github: bool,
}

const LOG_LEVELS: [LogLevel; 4] = [
    LogLevel {
        args: &[],
        github: false,
    },
    LogLevel {
        args: &["-v"],
        github: true,
    },
    LogLevel {
        args: &["-vvv", "--color", "always"],
        github: true,
    },
    LogLevel {
        args: &["-vv", "--log-format", "json"],
        github: false,
    },
];

impl LogLevel {
    fn configure(&self, test: &mut LeakTest<'_>) {
        if self.github {
            test.set_variable("GITHUB_ACTIONS", "true");
            test.set_variable("CI", "true");
        }
    }
}

/// How many formats of a command run at each log level.
#[derive(Clone, Copy)]
enum FormatSelection {
    One,
    All,
}

impl FormatSelection {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever runs the tests says so, nobody could pass it down"
    )]
    fn from_env() -> Self {
        match std::env::var("TRIMTAB_SECRETS") {
            Ok(text) if text == "full" => Self::All,
            _ => Self::One,
        }
    }
}

/// Sends a signal, as a user or the operating system would.
fn send_signal(id: u32, name: &str) {
    let kill = format!("kill -{name} {id}");
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn no_secret_leaks() {
    let choice = FormatSelection::from_env();
    let (began, canaries) = (std::time::Instant::now(), Canaries::new());
    let (mut runs, mut leaks) = (0, Vec::new());
    std::thread::scope(|scope| {
        let canaries = &canaries;
        let levels = sample(LOG_LEVELS.iter().enumerate(), 0, 4);
        let levels = levels.map(|(nth, level)| {
            scope.spawn(move || {
                [
                    all_commands::run_all_commands(canaries, nth, level, choice),
                    failures::run_failures(canaries, nth, level),
                ]
            })
        });
        for level in levels.collect::<Vec<_>>() {
            for LeakTest {
                runs: test_runs,
                leaks: found,
                ..
            } in level.join().unwrap()
            {
                runs += test_runs;
                leaks.extend(found);
            }
        }
    });
    let (seconds, count) = (began.elapsed().as_secs(), leaks.len());
    // Written directly: the test harness captures what macros print while a test passes.
    writeln!(
        std::io::stderr(),
        "secrets: {runs} runs in {seconds} s, {count} of them told a secret"
    )
    .unwrap();
    assert!(
        leaks.is_empty(),
        "{count} times, such as {}",
        leaks.join("\n\n")
    );
    assert!(runs >= MIN_RUNS, "only {runs} runs");
}
