//! Real fly.toml files from public repositories, where they are available: each is used through
//! `config` and planned against empty clouds. The settings that a user must add are counted, and
//! rejected files are listed by name.

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use trimtab::{
    kinds::World,
    manifest::{LoadedEnvironment, ManifestError},
    plan,
};

use crate::{
    fly_toml::common::parse_and_modernise,
    manifest::support::{ManifestDir, repo_path, unchecked_inputs},
    support::{TestEnv, inputs_with},
};

/// Every file by name; `None` where the corpus is not available.
fn load_corpus() -> Option<BTreeMap<String, String>> {
    let files = fs::read_dir(repo_path("../shared/corpus/fly-toml")).ok()?;
    let read_file = |entry: fs::DirEntry| {
        (
            entry.file_name().into_string().unwrap(),
            fs::read_to_string(entry.path()).unwrap(),
        )
    };
    Some(files.map(|entry| read_file(entry.unwrap())).collect())
}

/// A manifest that uses the file, with more lines about the app.
fn manifest_for_fly_toml(more: &str) -> String {
    format!(
        "project = \"p\"\n[fly]\norg = \"o\"\n[apps.app]\nconfig = \"fly.toml\"\nimage = \"web:1\"\n{more}"
    )
}

/// A folder with the file, the files that it names, and a manifest.
fn folder_with(text: &str, more: &str) -> ManifestDir {
    let canonical = parse_and_modernise("fly.toml", text).json();
    let named = canonical["files"].as_array().into_iter().flatten();
    let named = named
        .filter_map(|file| file["local_path"].as_str())
        .map(|name| (name, "content"));
    let manifest = manifest_for_fly_toml(more);
    let files: Vec<(&str, &str)> = named
        .chain([("fly.toml", text), ("x.toml", &manifest)])
        .collect();
    ManifestDir::with_files(&files)
}

fn load_fly_toml(text: &str, more: &str) -> Result<LoadedEnvironment, ManifestError> {
    folder_with(text, more).load(&unchecked_inputs())
}

/// Whether the file lacks the app's name and the primary region, which trimtab requires.
fn missing_name_and_region(text: &str) -> (bool, bool) {
    let canonical = parse_and_modernise("fly.toml", text).json();
    (
        canonical["app"] == Value::Null,
        canonical["primary_region"] == Value::Null,
    )
}

/// Asserts that it plans against empty clouds.
fn assert_plans(file: &str, loaded: Result<LoadedEnvironment, ManifestError>) {
    let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{file}\n{diagnostics}"));
    let desired = &loaded.desired;
    let plan =
        plan::plan(desired, &World::default()).unwrap_or_else(|cycle| panic!("{file}: {cycle:?}"));
    assert!(plan.blocked.is_empty(), "{file}: {:?}", plan.blocked);
    assert!(!desired.fly_machine.is_empty(), "{file}");
    let placed = |warning: &String| warning.contains("/fly.toml:") || warning.contains("/x.toml:");
    assert!(
        desired.meta.warnings.iter().all(placed),
        "{file}: {:?}",
        desired.meta.warnings
    );
    let resources = 1
        + desired.fly_ip.len()
        + desired.fly_volume.len()
        + desired.fly_machine.len()
        + desired.fly_release.len();
    assert_eq!(plan.graph().node_count(), resources, "{file}");
    for machine in desired.fly_machine.values() {
        assert_eq!(
            machine.workload.config.image.as_ref().unwrap().as_str(),
            "web:1",
            "{file}"
        );
    }
}

/// The errors, with line numbers.
fn error_lines(file: &str, loaded: Result<LoadedEnvironment, ManifestError>) -> Vec<String> {
    let Err(diagnostics) = loaded else {
        panic!("{file} loads")
    };
    diagnostics
        .iter()
        .map(|(_, line, _, message, _)| format!("{line}: {message}"))
        .collect()
}

/// Files that flyctl itself rejects.
const REFUSED_BY_FLYCTL: [(&str, &str); 2] = [
    (
        "BerriAI__litellm-agent-platform__cloud-vault__fly.toml",
        "21: the check `health` needs a `type`",
    ),
    (
        "jorisfalter__slackRag__fly.cron.toml",
        "10: `services` must set `processes`",
    ),
];

/// Files that flyctl accepts and Fly rejects: unknown regions, unfilled templates, GPUs. The last
/// column is what the manifest must override.
const REFUSED_BY_FLY: [(&str, &[&str], &str); 8] = [
    (
        "Owloops__flyo__apps__ollama__fly.toml",
        &["27: `gpu_kind` asks for a GPU, and Fly offers no GPUs any more"],
        CPUS,
    ),
    (
        "bambrose24__funtime-t3__apps__web__fly.toml",
        &["7: `bos` (Boston) is no longer a region of Fly"],
        REGION,
    ),
    (
        "fly-apps__self-host-ollama__fly.toml",
        &["25: `a100-40gb` has a GPU, and Fly offers no GPUs any more"],
        CPUS,
    ),
    (
        "fspoettel__linkding-on-fly__templates__fly.toml",
        &[
            "6: `${APP_NAME}` cannot be an app's name on Fly",
            "8: `${PRIMARY_REGION}` is not a region of Fly",
        ],
        "name = \"linkding\"\nprimary_region = \"ewr\"\n",
    ),
    (
        "gitcoinco__grants-stack-indexer__fly.staging.toml",
        &["7: `den` (Denver) is no longer a region of Fly"],
        REGION,
    ),
    (
        "kuitang__receipt-splitter__fly.review.toml",
        &["4: `pr-${{ github.event.number }}-receipt-splitter` cannot be an app's name on Fly"],
        "name = \"pr-42-receipt-splitter\"\n",
    ),
    (
        "oscarcarlsson__goatcounter-on-fly__fly.toml.example",
        &["6: `changeme` is not a region of Fly"],
        REGION,
    ),
    (
        "thechangelog__changelog.social__fly.toml",
        &["7: `den` (Denver) is no longer a region of Fly"],
        REGION,
    ),
];

const REGION: &str = "primary_region = \"ewr\"\n";
const CPUS: &str = "vm = { size = \"performance-8x\" }\n";

/// Of 108 files flyctl rejects 2. Of the 106 others 81 plan as they are, 17 need a region, and 8
/// hold settings that Fly would reject, and plan once the manifest overrides them.
#[test]
fn every_file_plans_or_is_rejected_with_reason() {
    let Some(mut corpus) = load_corpus() else {
        return;
    };
    assert_eq!(corpus.len(), 108);
    for (file, message) in REFUSED_BY_FLYCTL {
        assert_eq!(
            error_lines(file, load_fly_toml(&corpus.remove(file).unwrap(), REGION)),
            [message]
        );
    }
    for (file, messages, more) in REFUSED_BY_FLY {
        let text = corpus.remove(file).unwrap();
        assert_eq!(
            error_lines(file, load_fly_toml(&text, "")),
            messages,
            "{file}"
        );
        assert_plans(file, load_fly_toml(&text, more));
    }
    let (mut whole, mut nameless, mut regionless) = (0, 0, 0);
    for (file, text) in &corpus {
        let (name, region) = missing_name_and_region(text);
        let name = if name { "name = \"named\"\n" } else { "" };
        nameless += usize::from(!name.is_empty());
        if region {
            regionless += 1;
            assert_eq!(
                error_lines(file, load_fly_toml(text, name)),
                ["4: app `app` has no region"]
            );
            assert_plans(file, load_fly_toml(text, &format!("{name}{REGION}")));
        } else {
            whole += 1;
            assert_plans(file, load_fly_toml(text, name));
        }
    }
    assert_eq!((whole, regionless), (81, 17));
    assert_eq!(nameless, 5);
}

/// One environment of all files, applied to the sandbox: everything can be created, and a new plan
/// is empty.
#[tokio::test(flavor = "multi_thread")]
async fn all_files_apply_with_empty_plan_after() {
    let Some(mut corpus) = load_corpus() else {
        return;
    };
    corpus.retain(|file, _| REFUSED_BY_FLYCTL.iter().all(|(refused, _)| refused != file));
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = "project = \"p\"\n[fly]\norg = \"personal\"\n".to_owned();
    for (index, (file, text)) in corpus.iter().enumerate() {
        let app = dir.path().join(format!("app-{index}"));
        fs::create_dir(&app).unwrap();
        fs::write(app.join("fly.toml"), text).unwrap();
        fs::write(app.join("vector.yaml"), "content").unwrap();
        manifest +=
            &format!("[apps.app-{index}]\nconfig = \"app-{index}/fly.toml\"\nimage = \"web:1\"\n");
        manifest += &format!("name = \"app-{index}\"\nprimary_region = \"ewr\"\n");
        if REFUSED_BY_FLY
            .iter()
            .any(|(refused, _, more)| refused == file && *more == CPUS)
        {
            manifest += CPUS;
        }
    }
    fs::write(dir.path().join("test.toml"), manifest).unwrap();
    let env = TestEnv::with_manifests(dir, "test", inputs_with(&[]), Vec::new()).await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(env.world().await.fly_app.len(), 106);
}

/// Loading a truncated file through a manifest gives a result or an error.
#[test]
fn truncated_files_do_not_panic() {
    let manifest = repo_path("tests/fly_toml");
    let manifest = fs::read_dir(manifest)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let manifest = manifest.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    let manifest = manifest.map(|path| fs::read_to_string(path).unwrap());
    for text in load_corpus()
        .unwrap_or_default()
        .into_values()
        .chain(manifest)
    {
        let folder = folder_with("", "name = \"named\"\nprimary_region = \"ewr\"\n");
        for end in (0..text.len())
            .step_by(1 + text.len() / 12)
            .filter(|end| text.is_char_boundary(*end))
        {
            folder.write("fly.toml", &text[..end]);
            if let Err(diagnostics) = folder.load(&unchecked_inputs()) {
                assert!(
                    !diagnostics.render(false, 80).is_empty(),
                    "{}",
                    &text[..end]
                );
            }
        }
    }
}
