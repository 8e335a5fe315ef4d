//! A scenario: a manifest, and a sequence of edits and manual changes. Its debug output is a shell
//! script that does the same.

use std::fmt::{self, Write as _};

use super::{
    generator::GeneratedManifest,
    manual_requests::{self, ManualRequest, shell_quoted},
    toml_files,
};

#[derive(Clone, PartialEq)]
pub(super) enum ScenarioStep {
    /// The manifest becomes this one and is applied.
    Apply(GeneratedManifest),
    /// Somebody makes a manual change.
    Manual(ManualRequest),
    /// Every app goes back to the release before, where it has one.
    Rollback,
}

#[derive(Clone, PartialEq)]
pub(super) struct ManifestScenario {
    pub(super) steps: Vec<ScenarioStep>,
    /// How many of a hundred responses are lost.
    pub(super) loss_percent: u32,
}

/// The names of the apps on Fly.
pub(super) fn fly_app_names(manifest: &GeneratedManifest) -> Vec<String> {
    let apps = manifest.0["apps"].as_object().unwrap().iter();
    let default = |key: &str| format!("any-{key}-test").replace('_', "-");
    apps.map(|(key, app)| {
        app["name"]
            .as_str()
            .map_or_else(|| default(key), str::to_owned)
    })
    .collect()
}

fn app_keys(manifest: &GeneratedManifest) -> impl Iterator<Item = &String> {
    manifest.0["apps"].as_object().unwrap().keys()
}

/// The beginning of the script; the functions `api`, `run` and `allowed` follow when the sandbox
/// runs.
const SCRIPT_HEAD: &str = r#"#!/bin/bash
# Needs trimtab, curl and jq.
set -eu
cd "$(mktemp -d)"
export SECRET_KEY=canary-one DATABASE_URL=canary-two
"#;
const SCRIPT_SANDBOX: &str = r#"trimtab sandbox --dir sandbox --org any --speed 200 >variables &
trap "kill $!" EXIT
until grep -q FLY_SEND_METRICS variables; do sleep 0.1; done
. ./variables
export FLY_API_TOKEN_ANY=$FLY_API_TOKEN
api() { curl -fsS -X "$1" -H "Authorization: Bearer $FLY_API_TOKEN" "$FLY_FLAPS_BASE_URL$2" "${@:3}"; }
run() { trimtab "$@" --sandbox=sandbox --environments .; }
# Everything that it would lose, by name.
allowed() { run plan test --format json | jq -r '.. | objects | select(.loss?) | "--allow-destroy=\(.address)"'; }
"#;
/// An apply: the plan, its execution with everything allowed, and a plan that must be empty.
const SCRIPT_APPLY: &str =
    "run plan test || true\nrun apply test --yes --max-destroy 100 $(allowed)";

impl fmt::Debug for ManifestScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        f.write_str(SCRIPT_HEAD)?;
        let manifests = self.steps.iter().filter_map(|event| match event {
            ScenarioStep::Apply(manifest) => Some(manifest.0.to_string()),
            ScenarioStep::Manual(_) | ScenarioStep::Rollback => None,
        });
        let manifests: String = manifests.collect();
        for (name, text) in toml_files::COMPANION_FILES
            .into_iter()
            .filter(|(name, _)| manifests.contains(name))
        {
            write_heredoc(f, name, text)?;
        }
        let faults = if self.loss_percent > 0 {
            format!(" --fault flaky:0.{:02}", self.loss_percent)
        } else {
            String::new()
        };
        f.write_str(&SCRIPT_SANDBOX.replace("--speed 200", &format!("--speed 200{faults}")))?;
        let (mut names, mut keys, mut flaky) = (Vec::new(), Vec::new(), self.loss_percent > 0);
        for event in &self.steps {
            match event {
                ScenarioStep::Apply(manifest) => {
                    names = fly_app_names(manifest);
                    keys = app_keys(manifest).cloned().collect();
                    for (name, text) in toml_files::manifest_files(manifest, 0) {
                        write_heredoc(f, name, &text)?;
                    }
                    let adopt: String = app_keys(manifest)
                        .map(|key| format!(" --adopt fly.app/{key}"))
                        .collect();
                    writeln!(
                        f,
                        "{SCRIPT_APPLY}{adopt}\nrun plan test --detailed-exitcode{adopt}"
                    )?;
                    if std::mem::take(&mut flaky) {
                        writeln!(f, "api DELETE /_sandbox/faults")?;
                    }
                }
                ScenarioStep::Manual(request) => {
                    writeln!(f, "{}", manual_requests::shell_script(&names, request))?;
                }
                ScenarioStep::Rollback => {
                    for key in &keys {
                        writeln!(f, "run rollback test --yes --only fly.app/{key} || true")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes a file by a here-document. Its end marker is a line that no manifest has.
fn write_heredoc(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    writeln!(
        f,
        "cat >{} <<'END-OF-FILE'\n{text}{newline}END-OF-FILE",
        shell_quoted(name)
    )
}

/// What follows the first apply of a scenario.
#[derive(Clone, Debug)]
enum NextStep {
    Manual(ManualRequest),
    /// Parts of another manifest, which this seed chooses.
    Edit(u64),
    Rollback,
}

/// Any scenario: an apply, then manual changes and edits, each of which is applied.
pub(super) fn any_scenario(
    with_aws: bool,
    longest: usize,
) -> impl proptest::strategy::Strategy<Value = ManifestScenario> {
    use proptest::prelude::*;
    let (first, other) = (
        super::generator::manifest(with_aws),
        super::generator::manifest(with_aws),
    );
    // A manual change, another manifest, or a rollback.
    let next = prop_oneof![
        2 => manual_requests::manual_request().prop_map(NextStep::Manual),
        1 => any::<u64>().prop_map(NextStep::Edit),
        1 => Just(NextStep::Rollback),
    ];
    (
        first,
        other,
        prop::collection::vec(next, 0..=longest),
        prop_oneof![Just(0), 1..6u32],
    )
        .prop_map(|(first, other, next, flaky)| {
            let (first, other) = (
                without_irreversible_settings(&first),
                without_irreversible_settings(&other),
            );
            let mut events = vec![ScenarioStep::Apply(first.clone())];
            let (mut now, mut dirty) = (first, false);
            for event in next {
                dirty = !matches!(event, NextStep::Edit(_));
                events.push(match event {
                    NextStep::Manual(request) => ScenarioStep::Manual(request),
                    NextStep::Rollback => ScenarioStep::Rollback,
                    NextStep::Edit(seed) => {
                        now = without_irreversible_settings(&super::generator::mix_manifests(
                            &now, &other, seed,
                        ));
                        ScenarioStep::Apply(now.clone())
                    }
                });
            }
            if dirty {
                events.push(ScenarioStep::Apply(now));
            }
            ManifestScenario {
                steps: events,
                loss_percent: flaky,
            }
        })
}

/// Removes settings that a later edit cannot revert: protection, and sizes that would have to
/// shrink.
pub(super) fn without_irreversible_settings(manifest: &GeneratedManifest) -> GeneratedManifest {
    let mut document = manifest.0.clone();
    for table in ["apps", "buckets", "identities", "roles"] {
        for (_, entry) in document
            .get_mut(table)
            .and_then(serde_json::Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            let entry = entry.as_object_mut().unwrap();
            entry.remove("protected");
            let mounts = entry
                .get_mut("mounts")
                .into_iter()
                .flat_map(|mounts| match mounts {
                    serde_json::Value::Array(many) => many.iter_mut().collect(),
                    one => vec![one],
                });
            for mount in mounts {
                for size in ["size", "initial_size"] {
                    mount.as_object_mut().unwrap().remove(size);
                }
            }
        }
    }
    GeneratedManifest(document)
}

/// The script is what a failing property shows, so it must be correct.
#[test]
fn scenario_prints_as_a_shell_script() {
    let manifest = GeneratedManifest(serde_json::json!({
        "project": "any", "fly": { "org": "any" },
        "apps": { "web": { "primary_region": "iad", "image": "any:1", "env": { "A": "it's" } } },
    }));
    let request = |path, method, body| ManualRequest {
        app_index: 0,
        list: ("machines", "", "id"),
        item_index: 1,
        method,
        path,
        body,
    };
    let patch =
        manual_requests::RequestBody::PatchedConfig(serde_json::json!({ "env": { "A": "it's" } }));
    let events = vec![
        ScenarioStep::Apply(manifest),
        ScenarioStep::Manual(request("machines/ID", "POST", patch)),
        ScenarioStep::Manual(request(
            "machines/ID?force=true",
            "DELETE",
            manual_requests::RequestBody::Empty,
        )),
    ];
    let mut script = String::new();
    write!(
        script,
        "{:?}",
        ManifestScenario {
            steps: events,
            loss_percent: 2
        }
    )
    .unwrap();
    for line in [
        "cat >'test.toml' <<'END-OF-FILE'",
        "env = { A = \"it's\" }",
        "trimtab sandbox --dir sandbox --org any --speed 200 --fault flaky:0.02 >variables &",
        "run apply test --yes --max-destroy 100 $(allowed) --adopt fly.app/web",
        "api DELETE /_sandbox/faults",
        "id=$(api GET '/v1/apps/any-web-test/machines' | jq -r '[.[]?.id] | .[1 % (length + 1 - ([length, 1] | min))] // empty')",
        r#"body=$(api GET '/v1/apps/any-web-test/machines/'"$id" | jq -c '{region, config: (.config * {"env":{"A":"it'\''s"}})}')"#,
        r#"api POST '/v1/apps/any-web-test/machines/'"$id"'' --json "$body" || true # what is refused has not happened"#,
        r#"api DELETE '/v1/apps/any-web-test/machines/'"$id"'?force=true' || true # what is refused has not happened"#,
    ] {
        assert!(
            script.lines().any(|current| current == line),
            "{line}\nis not in\n{script}"
        );
    }
    let shell = std::process::Command::new("bash")
        .args(["-n", "-c", &script])
        .status()
        .unwrap();
    assert!(shell.success(), "bash cannot read\n{script}");
}
