//! Properties of plans for any manifest against empty clouds.

use std::path::Path;

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::Value;
use trimtab::{
    kinds::{Desired, World},
    manifest,
    plan::{self, Plan},
    render,
};

use super::{
    CANARY,
    generator::{self, GeneratedManifest},
    schema_keys, toml_files,
};

use crate::support::proptest_config;

/// Writes a manifest and its companion files into a folder.
pub(super) fn write_manifest(dir: &Path, manifest: &GeneratedManifest, seed: u64) {
    for (name, text) in toml_files::COMPANION_FILES {
        std::fs::write(dir.join(name), text).unwrap();
    }
    drop(std::fs::remove_file(dir.join("_base.toml")));
    for (name, text) in toml_files::manifest_files(manifest, seed) {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

/// Loads a manifest whose blocks are written in the order of this seed.
pub(super) fn load_manifest(manifest: &GeneratedManifest, seed: u64) -> Result<Desired, String> {
    let dir = tempfile::tempdir().unwrap();
    write_manifest(dir.path(), manifest, seed);
    let loaded = manifest::load(dir.path(), "test", &crate::support::default_inputs());
    loaded
        .map(|loaded| loaded.desired)
        .map_err(|problems| problems.render(false, 100))
}

fn headline(plan: &Plan) -> render::Headline {
    render::Headline {
        command: "plan",
        environment: plan.mark.environment.clone(),
        project: plan.mark.project.clone(),
        org: String::new(),
        target: String::new(),
        target_args: String::new(),
        requests: 0,
        elapsed: None,
    }
}

/// The plan in every format.
pub(super) fn render_everything(plan: &Plan) -> String {
    let headline = headline(plan);
    let look = render::TextOptions {
        color: false,
        width: 100,
    };
    let all = [
        render::text::plan(plan, &[], &headline, &look),
        render::text::drift(plan, &headline, &look),
        render::json::plan(plan, &[], &headline).to_string(),
        render::tfjson::plan(plan).to_string(),
        render::markdown::plan(plan, &[], &headline, usize::MAX),
        render::graph::svg(plan),
        render::graph::mermaid(plan),
        render::graph::dot(plan),
    ];
    let all = all.concat();
    assert!(
        !all.contains(CANARY) && !format!("{plan:?}").contains(CANARY),
        "a secret is shown"
    );
    all
}

pub(super) fn plan_and_render(desired: &Desired, world: &World) -> String {
    render_everything(&plan::plan(desired, world).unwrap())
}

/// The first `n` manifests of the deterministic generator.
fn sample_manifests(n: usize) -> Vec<GeneratedManifest> {
    let (mut runner, strategy) = (TestRunner::deterministic(), generator::any_manifest());
    (0..n)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[test]
fn generator_covers_every_schema_key() {
    let samples = sample_manifests(300);
    let refused: Vec<String> = samples
        .iter()
        .filter_map(|sample| load_manifest(sample, 0).err())
        .collect();
    assert!(
        refused.len() * 10 <= samples.len(),
        "{} are refused, such as\n{}",
        refused.len(),
        refused.join("\n")
    );
    let mut seen = std::collections::BTreeSet::new();
    let schema: Value =
        serde_json::from_str(include_str!("../../../schema/environment.schema.json")).unwrap();
    for sample in &samples {
        schema_keys::collect_keys(&schema, &sample.0, &mut seen);
    }
    let missing: Vec<String> = schema_keys::all_keys(&schema)
        .difference(&seen)
        .cloned()
        .collect();
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "keys that the generator never writes"
    );
}

proptest! {
    #![proptest_config(proptest_config(60))]

    #[test]
    fn plan_does_not_depend_on_order(manifest in generator::any_manifest(), seed in 1..u64::MAX) {
        let Ok(desired) = load_manifest(&manifest, 0) else { return Err(TestCaseError::reject("refused")) };
        let first = plan_and_render(&desired, &World::default());
        prop_assert_eq!(&first, &plan_and_render(&desired, &World::default()), "a second plan is another");
        let shuffled = load_manifest(&manifest, seed).unwrap();
        let plan = plan::plan(&shuffled, &World::default()).unwrap();
        prop_assert_eq!(plan.id(), plan::plan(&desired, &World::default()).unwrap().id(), "another order is another plan");
        prop_assert_eq!(&first, &render_everything(&plan), "another order is shown otherwise");
    }

    #[test]
    fn plan_size_is_linear_in_apps(manifest in generator::manifest(false)) {
        let size = |copies: usize| {
            let plan = plan::plan(&load_manifest(&replicate_apps(&manifest, copies), 0).ok()?, &World::default()).unwrap();
            let lines: usize = plan.steps().map(|step| step.lines.len()).sum();
            let shown = render::text::plan(&plan, &[], &headline(&plan), &render::TextOptions { color: false, width: 100 });
            // The headline and the summary do not repeat.
            Some([plan.graph().node_count(), plan.graph().edge_count(), lines, shown.lines().count()])
        };
        let Some(sizes) = [1, 2, 4].into_iter().map(size).collect::<Option<Vec<_>>>() else {
            return Err(TestCaseError::reject("refused"));
        };
        let [one, two, four] = &sizes[..] else { unreachable!("three sizes") };
        for ((one, two), four) in one.iter().zip(two).zip(four) {
            prop_assert_eq!(four - two, 2 * (two - one), "{:?}", sizes);
        }
    }
}

/// The manifest with each app several times, under different names.
fn replicate_apps(manifest: &GeneratedManifest, copies: usize) -> GeneratedManifest {
    let mut document = manifest.0.clone();
    let apps = document["apps"].as_object().unwrap().clone();
    for copy in 1..copies {
        for (key, app) in &apps {
            let mut app = app.clone();
            if let Some(others) = app.get_mut("depends_on").and_then(Value::as_array_mut) {
                others.iter_mut().for_each(|other| {
                    *other = format!("{}-x{copy}", other.as_str().unwrap()).into();
                });
            }
            for host in app
                .get_mut("certificates")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let old = host.as_str().unwrap();
                *host = old.replace("example", &format!("x{copy}")).into();
            }
            for place in ["/name", "/deploy/verify/host"] {
                if let Some(name) = app.pointer_mut(place) {
                    *name = name
                        .as_str()
                        .unwrap()
                        .replace("any-named", &format!("any-x{copy}"))
                        .into();
                }
            }
            document["apps"][format!("{key}-x{copy}")] = app;
        }
    }
    GeneratedManifest(document)
}
