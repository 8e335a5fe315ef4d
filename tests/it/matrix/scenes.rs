//! The runs that are disturbed: of each environment in the repository its first apply, a second release, and its removal.

use std::path::Path;

use serde_json::Value;
use trimtab::{kinds::Desired, manifest::{self, Inputs}};
use trimtab_sandbox::Snapshot;

use super::{
    census::{self, STRANGER},
    stage::Stage,
};
use crate::{
    manifests::{folders, inputs_for},
    support::{clients::ask, copy},
};

/// One run, and what it comes to when nothing goes wrong.
pub(super) struct Scene {
    /// Such as `environments/staging, first`.
    pub(super) what: String,
    pub(super) desired: Desired,
    /// What was there before.
    pub(super) begin: Snapshot,
    /// How many requests an undisturbed run takes, and how many of them write.
    pub(super) requests: u64,
    pub(super) writes: u64,
    /// What an undisturbed run comes to.
    pub(super) end: Value,
    /// What belongs to somebody else, and stays as it is.
    pub(super) strangers: Value,
}

impl Scene {
    /// Plays it once without a fault.
    async fn new(what: String, desired: Desired, begin: Snapshot) -> (Self, Snapshot) {
        let stage = Stage::new(&desired, begin.clone()).await;
        let strangers = census::strangers(&stage.sandbox.state());
        let run = stage.run().await;
        assert!(run.complete, "{what}: {}", run.said);
        let (requests, writes) = (
            stage.sandbox.requests().len() as u64,
            stage.sandbox.writes(),
        );
        assert!(stage.left().await.is_empty(), "{what}");
        // What runs once has ended by then.
        stage.outlive();
        let end = census::of(&stage.sandbox.state());
        let after = stage.sandbox.snapshot();
        drop(stage);
        (
            Self {
                what,
                desired,
                begin,
                requests,
                writes,
                end,
                strangers,
            },
            after,
        )
    }
}

/// All of them.
pub(super) async fn all() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for dir in folders() {
        for environment in manifest::list(&dir).unwrap() {
            scenes.extend(of_environment(&dir, &environment).await);
        }
    }
    let environments = scenes
        .iter()
        .filter(|scene| scene.what.ends_with("first"))
        .count();
    let removals = scenes
        .iter()
        .filter(|scene| scene.what.ends_with("removal"))
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

async fn of_environment(dir: &Path, environment: &str) -> Vec<Scene> {
    let name = format!(
        "{}/{environment}",
        dir.file_name().unwrap().to_string_lossy()
    );
    let folder = tempfile::tempdir().unwrap();
    copy(dir, folder.path());
    let inputs = inputs_for(folder.path(), environment);
    let first = loaded(folder.path(), environment, &inputs);
    let second = loaded(folder.path(), environment, &newer(&first, inputs));
    let mut meta = second.meta.clone();
    meta.warnings.clear();
    if let Some(aws) = &mut meta.aws {
        aws.leaving = true;
    }
    let begin = strangers(&first).await;
    let (made, begin) = Scene::new(format!("{name}, first"), first, begin).await;
    let (released, begin) = Scene::new(format!("{name}, release"), second, begin).await;
    let nothing = Desired::empty(meta);
    let mut scenes = vec![made, released];
    if !Stage::new(&nothing, begin.clone()).await.is_refused().await {
        scenes.push(
            Scene::new(format!("{name}, removal"), nothing, begin)
                .await
                .0,
        );
    }
    scenes
}

fn loaded(dir: &Path, environment: &str, inputs: &Inputs) -> Desired {
    let loaded = manifest::load(dir, environment, inputs);
    loaded
        .unwrap_or_else(|wrong| panic!("{}", wrong.render(false, 100)))
        .desired
}

/// The same with another image for every app.
fn newer(desired: &Desired, mut inputs: Inputs) -> Inputs {
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
async fn strangers(desired: &Desired) -> Snapshot {
    let stage = Stage::new(desired, Snapshot::default()).await;
    let path = format!("/v1/apps/{STRANGER}");
    let requests = [
        (
            "/v1/apps".to_owned(),
            serde_json::json!({"name": STRANGER, "org_slug": desired.meta.org}),
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
        ask(&stage.sandbox, "POST", &path, &body).await.unwrap();
    }
    stage.outlive();
    stage.sandbox.snapshot()
}
