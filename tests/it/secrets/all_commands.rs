//! Every command that there is, one after the other as they follow in an environment's life, all at one log level.

use super::{
    FormatSelection, LOG_LEVELS, LogLevel,
    canaries::Canaries,
    leak_test::{LeakTest, STATE_DIR},
};

/// The commands in the order of their runs; `{format}` is one of those that the command knows.
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

/// What `--help` lists.
fn listed_commands(help: &str) -> Vec<&str> {
    let list = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// The formats that a command's help lists; nothing where it knows none.
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
    marks: &'m Canaries,
    nth: usize,
    level: &LogLevel,
    choice: FormatSelection,
) -> LeakTest<'m> {
    let mut stage = LeakTest::new(marks);
    level.configure(&mut stage);
    let help = stage.run(&["--help"]).stdout;
    for command in listed_commands(&help) {
        assert!(
            COMMANDS.iter().any(|(known, _)| *known == command),
            "a new command, `{command}`: add it to STORY"
        );
    }
    for (command, rest) in COMMANDS {
        let formats = match rest.contains("{format}") {
            true => listed_formats(&stage.run(&[command, "--help"]).stdout),
            false => vec![String::new()],
        };
        assert!(
            !formats.is_empty(),
            "the formats of `{command}` cannot be read from its help"
        );
        let reads = !matches!(*command, "apply" | "rollback" | "destroy");
        let chosen = match choice {
            FormatSelection::All if reads => formats,
            // Where there are fewer levels than formats, some levels have two.
            _ if formats.len() > LOG_LEVELS.len() && reads => formats
                .iter()
                .skip(nth)
                .step_by(LOG_LEVELS.len())
                .cloned()
                .collect(),
            _ => vec![formats[nth % formats.len()].clone()],
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
            let mut told = false;
            let ran = stage.run_until(&args, |id, said| {
                if serves && !told && said.contains("FLY_API_TOKEN") {
                    told = true;
                    super::send_signal(id, "INT");
                }
            });
            // What was applied last is another image than the manifest's.
            let expected = if *command == "drift" { 2 } else { 0 };
            if ran.code != Some(expected) {
                stage.leaks.push(format!(
                    "{args:?} ended with {:?}: {}{}",
                    ran.code, ran.stdout, ran.stderr
                ));
            }
        }
    }
    let called = std::fs::read_to_string(stage.path("home/called")).unwrap();
    assert!(
        called.contains("git"),
        "the message of the commit was not asked for"
    );
    stage
}
