//! Secrets never appear: every command, in every format and at every log level, and everything that can go wrong, with
//! marked values for whatever is secret. What a run said, wrote and sent, and how it called other programs, is searched
//! for them in every encoding.
//!
//! Two places hold values on purpose, and are searched around them: the state of the embedded sandbox (in `apps/NAME.json`
//! below `secrets.NAME.value`; the folder is its owner's alone), and in a record of its exchanges the bodies of the
//! requests that set secrets.
//!
//! `cargo test secrets` runs each command and each failure at each level, and each format at one of them;
//! `TRIMTAB_SECRETS=full` every format at every level.

mod all_commands;
mod canaries;
mod debug_output;
mod echo_server;
mod failures;
mod leak_test;

use std::{io::Write as _, process::Command};

use canaries::Canaries;
use leak_test::LeakTest;

/// What the ordinary run must reach, so that one that shrinks is noticed.
const MIN_RUNS: usize = 270;

/// How much a run says of what it does.
struct LogLevel {
    args: &'static [&'static str],
    /// Whether GitHub's runner reads along.
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
    fn configure(&self, stage: &mut LeakTest<'_>) {
        if self.github {
            stage.set_variable("GITHUB_ACTIONS", "true");
            stage.set_variable("CI", "true");
        }
    }
}

/// How many formats a command is run with at a level.
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

/// As a user with a keyboard, or the system at its end.
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
    let (began, marks) = (std::time::Instant::now(), Canaries::new());
    let (mut runs, mut wrong) = (0, Vec::new());
    std::thread::scope(|scope| {
        let marks = &marks;
        let levels = LOG_LEVELS.iter().enumerate();
        let levels = levels.map(|(nth, level)| {
            scope.spawn(move || {
                [
                    all_commands::run_all_commands(marks, nth, level, choice),
                    failures::run_failures(marks, nth, level),
                ]
            })
        });
        for level in levels.collect::<Vec<_>>() {
            for LeakTest {
                runs: ran,
                leaks: found,
                ..
            } in level.join().unwrap()
            {
                runs += ran;
                wrong.extend(found);
            }
        }
    });
    let (seconds, count) = (began.elapsed().as_secs(), wrong.len());
    // Not by a macro, whose words are kept back while a test passes.
    writeln!(
        std::io::stderr(),
        "secrets: {runs} runs in {seconds} s, {count} of them told a secret"
    )
    .unwrap();
    assert!(
        wrong.is_empty(),
        "{count} times, such as {}",
        wrong.join("\n\n")
    );
    assert!(runs >= MIN_RUNS, "only {runs} runs");
}
