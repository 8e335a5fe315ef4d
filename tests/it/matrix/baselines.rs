//! The undisturbed runs that the cases disrupt. For each environment in the repository: its first
//! apply, a second release, and its removal.

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

/// One undisturbed run, and its result.
pub(super) struct BaselineRun {
    /// Such as `environments/staging, first`.
    pub(super) name: String,
    pub(super) desired: Desired,
    /// The state of the clouds before the run.
    pub(super) initial_state: SandboxSnapshot,
    /// The number of requests of the run, and how many of them are writes.
    pub(super) requests: u64,
    pub(super) writes: u64,
    /// The normalized state after the run.
    pub(super) final_state: Value,
    /// The app of another team, which no run may change.
    pub(super) foreign_app: Value,
}

impl BaselineRun {
    /// Runs once without faults.
    async fn record(
        name: String,
        desired: Desired,
        initial_state: SandboxSnapshot,
    ) -> (Self, SandboxSnapshot) {
        let case = CaseSandbox::new(&desired, initial_state.clone()).await;
        let foreign_app = normalized_state::foreign_app(&case.sandbox.state());
        let run = case.run().await;
        assert!(run.complete, "{name}: {}", run.output);
        let (requests, writes) = (
            case.sandbox.requests().len() as u64,
            case.sandbox.write_count(),
        );
        assert!(case.remaining_changes().await.is_empty(), "{name}");
        // Let jobs that run once come to their end.
        case.expire_leases();
        let end = normalized_state::normalize(&case.sandbox.state());
        let after = case.sandbox.snapshot();
        drop(case);
        (
            Self {
                name,
                desired,
                initial_state,
                requests,
                writes,
                final_state: end,
                foreign_app,
            },
            after,
        )
    }
}

/// The runs of all environments.
pub(super) async fn all_baselines() -> Vec<BaselineRun> {
    let mut baselines = Vec::new();
    for dir in manifest_folders() {
        for environment in manifest::list_environments(&dir).unwrap() {
            baselines.extend(environment_baselines(&dir, &environment).await);
        }
    }
    let environments = baselines
        .iter()
        .filter(|baseline| baseline.name.ends_with("first"))
        .count();
    let removals = baselines
        .iter()
        .filter(|baseline| baseline.name.ends_with("removal"))
        .count();
    assert!(
        environments >= 12,
        "three of the reference team's, and those of five users"
    );
    assert!(
        removals >= 4,
        "what is protected is not removed, and everything else is: {removals}"
    );
    baselines
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
    let initial_state = snapshot_with_foreign_app(&first).await;
    let (first_apply, initial_state) =
        BaselineRun::record(format!("{name}, first"), first, initial_state).await;
    let (release, initial_state) =
        BaselineRun::record(format!("{name}, release"), second, initial_state).await;
    let nothing = Desired::empty(meta);
    let mut baselines = vec![first_apply, release];
    if !CaseSandbox::new(&nothing, initial_state.clone())
        .await
        .is_blocked()
        .await
    {
        baselines.push(
            BaselineRun::record(format!("{name}, removal"), nothing, initial_state)
                .await
                .0,
        );
    }
    baselines
}

fn load_manifest(dir: &Path, environment: &str, inputs: &Inputs) -> Desired {
    let loaded = manifest::load(dir, environment, inputs);
    loaded
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false, 100)))
        .desired
}

/// Inputs with another image for every app. A Postgres cluster has its image from the manifest only.
fn with_new_images(desired: &Desired, mut inputs: Inputs) -> Inputs {
    for app in desired
        .fly_app
        .keys()
        .filter(|app| desired.fly_machine.keys().any(|m| m.root() == **app))
        .filter(|app| desired.fly_app[*app].role.is_none())
    {
        inputs
            .images
            .insert(app.to_string(), "registry.fly.io/built:2".to_owned());
    }
    inputs
}

/// A snapshot of the organization with an app of another team.
async fn snapshot_with_foreign_app(desired: &Desired) -> SandboxSnapshot {
    let case = CaseSandbox::new(desired, SandboxSnapshot::default()).await;
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
        send_request(&case.sandbox, "POST", &path, &body)
            .await
            .unwrap();
    }
    case.expire_leases();
    case.sandbox.snapshot()
}
