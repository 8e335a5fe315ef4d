//! Every command, in the order of an environment's life, at one log level.

use super::{
    FormatSelection, LOG_LEVELS, LogLevel,
    canaries::Canaries,
    leak_test::{LeakTest, STATE_DIR},
};

/// The commands in the order of their runs. `{format}` is replaced by the formats of the command.
const COMMANDS: &[(&str, &str)] = &[
    ("validate", "vault"),
    ("plan", "vault --format {format} --out home/plan"),
    ("graph", "vault --format {format}"),
    ("graph", "vault --plan --format {format}"),
    ("apply", "--plan home/plan --yes --format {format}"),
    ("plan", "vault --why fly.secrets/web"),
    (
        "apply",
        "vault --image web=registry.fly.io/vault:v2 --yes --skip-if-message never --format {format}",
    ),
    ("drift", "vault --format {format}"),
    ("status", "vault --format {format}"),
    ("unlock", "vault"),
    ("permissions", "vault"),
    ("workflows", ""),
    ("workflows", "--check"),
    ("plan", "vault --comment"),
    ("drift", "vault --issue"),
    ("build", "vault"),
    ("doctor", "vault"),
    (
        "init",
        "--environment first --project first --org vault --name first",
    ),
    ("rollback", "vault --yes --format {format}"),
    (
        "destroy",
        "vault --yes --allow-destroy aws.bucket/backups --format {format}",
    ),
    ("schema", "--of plan"),
    ("completions", "bash"),
    ("man", ""),
    ("help", ""),
    ("demo", "--dir demo"),
    ("sandbox", "--dir served"),
];

/// The commands that `--help` lists.
fn listed_commands(help: &str) -> Vec<&str> {
    let list = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    // A longer description goes on in lines that are indented further.
    list.lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// The formats in the help of a command; a single empty one if it has none.
fn listed_formats(help: &str) -> Vec<String> {
    let Some(about) = help.split("--format <FORMAT>").nth(1) else {
        return vec![String::new()];
    };
    let about = about.split("[default").next().unwrap();
    let values = about
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ")?.split(':').next());
    values.map(str::to_owned).collect()
}

pub(super) fn run_all_commands<'m>(
    canaries: &'m Canaries,
    level_index: usize,
    level: &LogLevel,
    choice: FormatSelection,
) -> LeakTest<'m> {
    let mut test = LeakTest::new(canaries);
    level.configure(&mut test);
    let help = test.run(&["--help"]).stdout;
    for command in listed_commands(&help) {
        assert!(
            COMMANDS.iter().any(|(known, _)| *known == command),
            "a new command, `{command}`: add it to STORY"
        );
    }
    for (command, rest) in COMMANDS {
        let formats = match rest.contains("{format}") {
            true => listed_formats(&test.run(&[command, "--help"]).stdout),
            false => vec![String::new()],
        };
        assert!(
            !formats.is_empty(),
            "the formats of `{command}` cannot be read from its help"
        );
        let reads = !matches!(*command, "apply" | "rollback" | "destroy");
        let chosen = match choice {
            FormatSelection::All if reads => formats,
            // With fewer log levels than formats, some levels run two formats.
            _ if formats.len() > LOG_LEVELS.len() && reads => formats
                .iter()
                .skip(level_index)
                .step_by(LOG_LEVELS.len())
                .cloned()
                .collect(),
            _ => vec![formats[level_index % formats.len()].clone()],
        };
        for format in chosen {
            let rest = rest.replace("{format}", &format);
            let state = format!("--sandbox={STATE_DIR}");
            let mut args = vec![*command];
            args.extend(rest.split_whitespace());
            if *command != "help" {
                args.extend(level.args);
            }
            if !matches!(*command, "demo" | "sandbox" | "help") {
                args.push(&state);
            }
            let serves = *command == "sandbox";
            let mut interrupted = false;
            let output = test.run_until(&args, |id, stdout| {
                if serves && !interrupted && stdout.contains("FLY_API_TOKEN") {
                    interrupted = true;
                    super::send_signal(id, "INT");
                }
            });
            let expected = match *command {
                // The image that was applied last is not the manifest's.
                "drift" => 2,
                // There is no repository on GitHub around it.
                "doctor" => 2,
                // No app of the manifest says how to build its image.
                "build" => 1,
                _ => 0,
            };
            if output.code != Some(expected) {
                test.leaks.push(format!(
                    "{args:?} ended with {:?}: {}{}",
                    output.code, output.stdout, output.stderr
                ));
            }
        }
    }
    let called = std::fs::read_to_string(test.path("home/called")).unwrap();
    assert!(
        called.contains("git"),
        "the message of the commit was not asked for"
    );
    test
}
