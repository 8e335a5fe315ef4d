//! Errors of the command line itself. Users come from flyctl and Terraform, and type their words: for those the error names
//! what does the same here. The nearest spelling would be worse than no suggestion, and is never `destroy`.

use std::path::Path;

use clap::{
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    env_vars::EnvVars,
    exit,
    ui::{ColorMode, Terminal},
};
use crate::manifest;

/// What to do instead of commands of other tools.
const COMMANDS: &[(&[&str], &str)] = &[
    (
        &["deploy", "up", "launch", "push", "converge"],
        "`trimtab apply ENV` does that; a new version is `--image APP=REFERENCE`",
    ),
    (
        &["preview", "diff", "dry-run", "changes"],
        "`trimtab plan ENV` shows what an apply would do",
    ),
    (
        &["show"],
        "`trimtab status ENV` shows what runs, and `trimtab plan ENV` what would change",
    ),
    (
        &["refresh", "detect", "verify"],
        "`trimtab drift ENV` shows what was changed outside",
    ),
    (
        &["check", "lint", "test"],
        "`trimtab validate` checks manifests",
    ),
    (
        &["new", "create", "setup"],
        "`trimtab init` writes the first manifest; `trimtab demo` makes an example",
    ),
    (
        &["import"],
        "`trimtab init --app NAME` writes the manifest of a live app; `--adopt ADDRESS` takes over what exists",
    ),
    (
        &["state", "output", "outputs"],
        "there is no state file; `trimtab status ENV --format json` shows what runs",
    ),
    (
        &[
            "ps", "list", "ls", "info", "releases", "history", "machine", "machines", "checks",
        ],
        "`trimtab status ENV` shows machines, releases and checks",
    ),
    (
        &["logs", "log"],
        "flyctl shows logs: `fly logs --app APP`; `trimtab status ENV` names the apps",
    ),
    (
        &["ssh", "console", "exec", "sftp", "proxy"],
        "flyctl connects: `fly ssh console --app APP`; `trimtab status ENV` names the apps",
    ),
    (
        &["scale", "resize"],
        "set `count`, `size` or `memory` of [apps.NAME.machines.GROUP] in the manifest, then `trimtab apply ENV`",
    ),
    (
        &["secrets", "secret", "env"],
        "name the sources in [apps.NAME.secrets] of the manifest; `trimtab apply ENV` sets what changed",
    ),
    (
        &["ips", "certs", "volumes", "volume", "apps"],
        "the manifest describes them; `trimtab status ENV` shows what is there",
    ),
    (
        &["restart", "stop", "start"],
        "flyctl does that: `fly machine restart ID`; `trimtab status ENV` shows the ids",
    ),
    (
        &["down", "delete", "remove", "rm"],
        "take it out of the manifest, and `trimtab plan ENV` shows what would be deleted",
    ),
    (
        &["undo", "revert"],
        "`trimtab rollback ENV` returns machines to the release before",
    ),
    (
        &["force-unlock", "lock"],
        "`trimtab unlock ENV` shows who holds the lock",
    ),
    (
        &["workspace", "env-list", "environments"],
        "each file environments/ENV.toml is an environment; `trimtab validate` lists them",
    ),
    (
        &["fmt", "format"],
        "manifests are plain TOML, which any formatter of TOML formats; `trimtab validate` checks them",
    ),
    (
        &["login", "auth", "whoami"],
        "the token is read from FLY_API_TOKEN: make one with `fly tokens create org --org ORG`",
    ),
    (
        &["taint", "replace"],
        "only what differs is replaced; `fly machine destroy ID` and `trimtab apply ENV` make a machine anew",
    ),
    (&["version"], "`trimtab --version` prints the version"),
];

/// What to do instead of options of other tools.
const OPTIONS: &[(&[&str], &str)] = &[
    (
        &["--target", "-target", "--app", "-a", "--process-group"],
        "`--only ADDRESS` does that, such as --only fly.app/NAME",
    ),
    (
        &["--region", "--regions", "-r"],
        "the manifest says where machines run: `count = { iad = 2 }` in [apps.NAME.machines.GROUP]",
    ),
    (
        &["--destroy", "-destroy"],
        "`trimtab destroy ENV` deletes an environment",
    ),
    (
        &["--replace", "-replace"],
        "only what differs is replaced; `fly machine destroy ID` and `trimtab apply ENV` make a machine anew",
    ),
    (
        &[
            "--auto-approve",
            "-auto-approve",
            "--approve",
            "--confirm",
            "--force",
            "--skip-confirmation",
        ],
        "`--yes` does not ask",
    ),
    (
        &["--var-file", "-var-file"],
        "`--env-file FILE` reads variables, and `--var NAME=VALUE` sets one of the manifest",
    ),
    (&["-var"], "`--var NAME=VALUE` has two hyphens"),
    (
        &["--refresh-only", "-refresh-only", "--refresh"],
        "`trimtab drift ENV` shows what was changed outside",
    ),
    (
        &["--dry-run", "--check"],
        "`trimtab plan ENV` shows what an apply would do",
    ),
    (
        &["--parallelism", "-parallelism", "--max-concurrent"],
        "`--parallel N` does that",
    ),
    (
        &["--lock-timeout", "-lock-timeout", "--wait-timeout"],
        "`--lease-timeout DURATION` does that",
    ),
    (&["--json", "-j", "-json"], "`--format json` does that"),
    (&["-out"], "`--out FILE` has two hyphens"),
    (&["--no-color", "-no-color"], "`--color never` does that"),
    (
        &["--debug", "--verbose-log", "--log-level"],
        "`-v` and `-vv` log what is being done",
    ),
    (
        &["--config", "-c", "--file", "-f"],
        "name the environment, and its folder with `--environments DIR`",
    ),
    (
        &["--strategy"],
        "set `strategy` in [apps.NAME.deploy] of the manifest",
    ),
    (
        &["--env", "-e"],
        "set it in [apps.NAME.env] of the manifest",
    ),
    (&["--org", "-o"], "set `org` in [fly] of the manifest"),
    (
        &[
            "--remote-only",
            "--local-only",
            "--dockerfile",
            "--build-arg",
            "--build-only",
        ],
        "`trimtab build ENV` and `apply --build` build what [apps.KEY.build] says; `--image APP=REFERENCE` names an image",
    ),
    (
        &["--detach", "--ha"],
        "leave it out: the manifest says how many machines there are",
    ),
];

/// Prints help, version or a usage error. clap's exit code for usage errors, 2, would mean "changes" here.
pub(super) fn print(mut shown: clap::Error, words: &[String], environment: &EnvVars) -> u8 {
    add_tips(&mut shown, words);
    let ui = Terminal::new(ColorMode::Auto, environment);
    let text = shown.render().ansi().to_string();
    if shown.use_stderr() {
        ui.eprint(&text);
        return exit::ERROR;
    }
    // When the terminal is gone, there is nowhere to report that.
    drop(ui.print(&text));
    exit::OK
}

/// Replaces clap's suggestions, which go by spelling, where a word has a meaning.
fn add_tips(shown: &mut clap::Error, words: &[String]) {
    let tip = match shown.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = context_text(shown, ContextKind::InvalidSubcommand);
            drop_suggestion(shown, ContextKind::SuggestedSubcommand, &typed);
            misplaced_directory_tip(&typed, words).or_else(|| lookup(COMMANDS, &typed))
        }
        ErrorKind::UnknownArgument => {
            let typed = context_text(shown, ContextKind::InvalidArg);
            drop_suggestion(shown, ContextKind::SuggestedArg, &typed);
            misplaced_directory_tip(&typed, words).or_else(|| option_tip(&typed, words))
        }
        ErrorKind::ValueValidation => {
            hide_value(shown);
            None
        }
        ErrorKind::MissingRequiredArgument => environments_tip(shown, words),
        ErrorKind::ArgumentConflict if is_saved_plan(words) => {
            shown.remove(ContextKind::Usage);
            Some("a saved plan has its environment and its options in it: `trimtab apply --plan FILE`".to_owned())
        }
        _ => None,
    };
    if let Some(tip) = tip {
        shown.remove(ContextKind::SuggestedSubcommand);
        shown.remove(ContextKind::SuggestedArg);
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        shown.insert(ContextKind::Suggested, tips);
    }
}

/// Whether a saved plan is to be applied.
fn is_saved_plan(words: &[String]) -> bool {
    let is_option = |word: &String| word == "--plan" || word.starts_with("--plan=");
    words.iter().any(is_option)
}

fn context_text(shown: &clap::Error, kind: ContextKind) -> String {
    match shown.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    }
}

fn lookup(table: &[(&[&str], &str)], word: &str) -> Option<String> {
    let found = table.iter().find(|(words, _)| words.contains(&word));
    found.map(|(_, tip)| (*tip).to_owned())
}

/// Drops suggestions that destroy something, unless that is nearly what was typed.
fn drop_suggestion(shown: &mut clap::Error, kind: ContextKind, typed: &str) {
    let is_harmless =
        |suggested: &str| !suggested.contains("destroy") || typed.to_lowercase().contains("dest");
    match shown.remove(kind) {
        Some(ContextValue::String(suggested)) if is_harmless(&suggested) => {
            shown.insert(kind, ContextValue::String(suggested));
        }
        Some(ContextValue::Strings(suggested)) => {
            let kept: Vec<String> = suggested
                .into_iter()
                .filter(|suggested| is_harmless(suggested))
                .collect();
            if !kept.is_empty() {
                shown.insert(kind, ContextValue::Strings(kept));
            }
        }
        _ => {}
    }
}

/// The tip for an unknown option. Terraform's options have one hyphen, of which clap sees the first letter only.
fn option_tip(typed: &str, words: &[String]) -> Option<String> {
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let as_typed = words
        .iter()
        .map(|word| name(word))
        .find(|word| word.len() > 2 && !word.starts_with("--") && word.starts_with(typed));
    let word = as_typed.unwrap_or_else(|| name(typed));
    if let Some(tip) = lookup(OPTIONS, &word) {
        return Some(tip);
    }
    let is_rollback = words.iter().any(|word| word == "rollback");
    if ["--version", "-V"].contains(&word.as_str()) {
        return Some(match is_rollback {
            true => "`--to VERSION` names the release to go back to".to_owned(),
            false => "`trimtab --version` prints the version; `--image APP=REFERENCE` names the one of an app".to_owned(),
        });
    }
    (is_rollback && !typed.starts_with('-')).then(|| format!("`--to {typed}` names a release"))
}

/// `--sandbox DIR` is `--sandbox` and an environment called DIR.
fn misplaced_directory_tip(typed: &str, words: &[String]) -> Option<String> {
    (misplaced_sandbox_dir(words)? == typed)
        .then(|| format!("a folder for the sandbox needs an equals sign: --sandbox={typed}"))
}

/// The word after `--sandbox`, which may have been meant as its folder.
pub(super) fn misplaced_sandbox_dir(words: &[String]) -> Option<&str> {
    let at = words.iter().position(|word| word == "--sandbox")?;
    let next = words.get(at + 1)?;
    (!next.starts_with('-')).then_some(next.as_str())
}

/// Hides the value of an option that may hold a secret.
fn hide_value(shown: &mut clap::Error) {
    let option = context_text(shown, ContextKind::InvalidArg);
    if option.starts_with("--var") || option.starts_with("--image") {
        shown.insert(
            ContextKind::InvalidValue,
            ContextValue::String("…".to_owned()),
        );
    }
}

/// The environments that there are, when none was named.
fn environments_tip(shown: &clap::Error, words: &[String]) -> Option<String> {
    if !context_text(shown, ContextKind::InvalidArg).contains("<ENV>") {
        return None;
    }
    let after = |word: &String| word.strip_prefix("--environments=").map(str::to_owned);
    let separate = words
        .iter()
        .position(|word| word == "--environments")
        .and_then(|at| words.get(at + 1).cloned());
    let dir = words
        .iter()
        .find_map(after)
        .or(separate)
        .unwrap_or_else(|| "environments".to_owned());
    let known = manifest::list_environments(Path::new(&dir)).ok()?;
    match known.as_slice() {
        [] => None,
        [only] => Some(format!("there is one environment in {dir}: {only}")),
        many => Some(format!("these are in {dir}: {}", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// The error for a command line, as it is shown.
    fn error_of(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut shown = crate::cli::Cli::try_parse_from(&words).unwrap_err();
        add_tips(&mut shown, &words);
        shown.render().to_string()
    }

    #[test]
    fn words_of_other_tools_are_understood() {
        for (line, tip) in [
            ("trimtab deploy", "`trimtab apply ENV`"),
            ("trimtab version", "`trimtab --version`"),
            ("trimtab logs dev", "fly logs"),
            ("trimtab ssh dev", "fly ssh console"),
            ("trimtab scale dev", "`count`"),
            ("trimtab releases dev", "`trimtab status ENV`"),
            ("trimtab plan dev --target x", "`--only ADDRESS`"),
            ("trimtab plan dev -target=x", "`--only ADDRESS`"),
            ("trimtab apply dev --auto-approve", "`--yes`"),
            ("trimtab apply dev -auto-approve", "`--yes`"),
            ("trimtab rollback dev v3", "`--to v3`"),
            ("trimtab rollback dev --version 3", "`--to VERSION`"),
            (
                "trimtab apply dev --version 3 --yes",
                "`--image APP=REFERENCE`",
            ),
            ("trimtab plan dev -V", "`trimtab --version`"),
            ("trimtab plan dev --region iad", "`count = { iad = 2 }`"),
            ("trimtab apply dev --destroy", "`trimtab destroy ENV`"),
            ("trimtab apply dev --replace x", "`fly machine destroy ID`"),
            ("trimtab taint x", "`fly machine destroy ID`"),
            (
                "trimtab apply dev --plan p.json",
                "`trimtab apply --plan FILE`",
            ),
            ("trimtab plan dev --image nginx:2", "--image APP=REFERENCE"),
            ("trimtab plan dev --max-destroy 500", "from 0 to 100"),
            ("trimtab apply dev --parallel 0", "1 or more"),
            ("trimtab apply dev --sandbox sbdir", "--sandbox=sbdir"),
            ("trimtab --sandbox sbdir plan dev", "--sandbox=sbdir"),
        ] {
            let shown = error_of(line);
            assert!(shown.contains(tip), "{line}: {shown}");
            assert!(!shown.contains("similar"), "{line}: {shown}");
        }
        assert!(error_of("trimtab aply dev").contains("apply"));
    }

    #[test]
    fn destroy_is_not_suggested() {
        for line in ["trimtab deploy", "trimtab down dev", "trimtab detroy dev"] {
            assert!(!error_of(line).contains("'destroy'"), "{line}");
        }
    }

    #[test]
    fn a_value_without_its_name_is_not_repeated() {
        for line in [
            "trimtab plan dev --var s3cr3t",
            "trimtab plan dev --image s3cr3t",
        ] {
            assert!(!error_of(line).contains("s3cr3t"), "{line}");
        }
    }
}
