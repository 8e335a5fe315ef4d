//! The runs that are disturbed: of each environment in the repository its first apply, a second release, and its removal.

use std::path::Path;

use serde_json::Value;
use trimtab::{
    kinds::Desired,
    manifest::{self, Inputs},
};
use trimtab_sandbox::SandboxSnapshot;

use super::{
    case_runner::CaseSandbox,
    normalized_state::{self, FOREIGN_APP},
};
use crate::{
    manifest_lifecycle::{inputs_with_every_secret, manifest_folders},
    support::{clients::send_request, copy_files},
};

/// One run, and what it comes to when nothing goes wrong.
pub(super) struct BaselineRun {
    /// Such as `environments/staging, first`.
    pub(super) name: String,
    pub(super) desired: Desired,
    /// What was there before.
    pub(super) initial_state: SandboxSnapshot,
    /// How many requests an undisturbed run takes, and how many of them write.
    pub(super) requests: u64,
    pub(super) writes: u64,
    /// What an undisturbed run comes to.
    pub(super) final_state: Value,
    /// What belongs to somebody else, and stays as it is.
    pub(super) foreign_app: Value,
}

impl BaselineRun {
    /// Plays it once without a fault.
    async fn record(
        what: String,
        desired: Desired,
        begin: SandboxSnapshot,
    ) -> (Self, SandboxSnapshot) {
        let stage = CaseSandbox::new(&desired, begin.clone()).await;
        let strangers = normalized_state::foreign_app(&stage.sandbox.state());
        let run = stage.run().await;
        assert!(run.complete, "{what}: {}", run.output);
        let (requests, writes) = (
            stage.sandbox.requests().len() as u64,
            stage.sandbox.write_count(),
        );
        assert!(stage.remaining_changes().await.is_empty(), "{what}");
        // What runs once has ended by then.
        stage.expire_leases();
        let end = normalized_state::normalize(&stage.sandbox.state());
        let after = stage.sandbox.snapshot();
        drop(stage);
        (
            Self {
                name: what,
                desired,
                initial_state: begin,
                requests,
                writes,
                final_state: end,
                foreign_app: strangers,
            },
            after,
        )
    }
}

/// All of them.
pub(super) async fn all_baselines() -> Vec<BaselineRun> {
    let mut scenes = Vec::new();
    for dir in manifest_folders() {
        for environment in manifest::list_environments(&dir).unwrap() {
            scenes.extend(environment_baselines(&dir, &environment).await);
        }
    }
    let environments = scenes
        .iter()
        .filter(|scene| scene.name.ends_with("first"))
        .count();
    let removals = scenes
        .iter()
        .filter(|scene| scene.name.ends_with("removal"))
        .count();
    assert!(
        environments >= 12,
        "three of the reference team's, and those of five users"
    );
    assert!(
        removals >= 4,
        "what is protected is not removed, and everything else is: {removals}"
    );
    scenes
}

async fn environment_baselines(dir: &Path, environment: &str) -> Vec<BaselineRun> {
    let name = format!(
        "{}/{environment}",
        dir.file_name().unwrap().to_string_lossy()
    );
    let folder = tempfile::tempdir().unwrap();
    copy_files(dir, folder.path());
    let inputs = inputs_with_every_secret(folder.path(), environment);
    let first = load_manifest(folder.path(), environment, &inputs);
    let second = load_manifest(folder.path(), environment, &with_new_images(&first, inputs));
    let mut meta = second.meta.clone();
    meta.warnings.clear();
    if let Some(aws) = &mut meta.aws {
        aws.is_destroying = true;
    }
    let begin = snapshot_with_foreign_app(&first).await;
    let (made, begin) = BaselineRun::record(format!("{name}, first"), first, begin).await;
    let (released, begin) = BaselineRun::record(format!("{name}, release"), second, begin).await;
    let nothing = Desired::empty(meta);
    let mut scenes = vec![made, released];
    if !CaseSandbox::new(&nothing, begin.clone())
        .await
        .is_blocked()
        .await
    {
        scenes.push(
            BaselineRun::record(format!("{name}, removal"), nothing, begin)
                .await
                .0,
        );
    }
    scenes
}

fn load_manifest(dir: &Path, environment: &str, inputs: &Inputs) -> Desired {
    let loaded = manifest::load(dir, environment, inputs);
    loaded
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false, 100)))
        .desired
}

/// The same with another image for every app.
fn with_new_images(desired: &Desired, mut inputs: Inputs) -> Inputs {
    for app in desired
        .fly_app
        .keys()
        .filter(|app| desired.fly_machine.keys().any(|m| m.root() == **app))
    {
        inputs
            .images
            .insert(app.to_string(), "registry.fly.io/built:2".to_owned());
    }
    inputs
}

/// The organization with what its other teams have in it.
async fn snapshot_with_foreign_app(desired: &Desired) -> SandboxSnapshot {
    let stage = CaseSandbox::new(desired, SandboxSnapshot::default()).await;
    let path = format!("/v1/apps/{FOREIGN_APP}");
    let requests = [
        (
            "/v1/apps".to_owned(),
            serde_json::json!({"name": FOREIGN_APP, "org_slug": desired.meta.org}),
        ),
        (
            format!("{path}/volumes"),
            serde_json::json!({"name": "data", "region": "fra", "size_gb": 1}),
        ),
        (
            format!("{path}/machines"),
            serde_json::json!({"region": "fra", "config": {"image": "theirs:1", "metadata": {"who": "they"}}}),
        ),
    ];
    for (path, body) in requests {
        send_request(&stage.sandbox, "POST", &path, &body)
            .await
            .unwrap();
    }
    stage.expire_leases();
    stage.sandbox.snapshot()
}
