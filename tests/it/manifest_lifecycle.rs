//! The lifecycle of every manifest in the repository: apply, an empty plan, then each kind of
//! drift, which must be reported as exactly one line and repaired, and an empty plan again. At the
//! end everything is destroyed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use trimtab::{
    kinds::{
        Desired, World,
        fly::{machine::MachineSpec, secrets::SecretGenerator},
    },
    manifest::{self, Inputs, SecretsMode},
    model::RolloutStrategy,
};

use crate::support::{TestEnv, copy_files, sample};

/// The folders of manifests: the reference team's, and one for each user document.
pub(crate) fn manifest_folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let users = ["prism", "vibegrapher", "ledger", "draftguru", "reify"]
        .map(|user| root.join("tests/manifests").join(user));
    [root.join("environments")]
        .into_iter()
        .chain(users)
        .collect()
}

/// Inputs with a value for every secret that a manifest needs.
pub(crate) fn inputs_with_every_secret(dir: &Path, environment: &str) -> Inputs {
    let mut inputs = Inputs {
        vars: BTreeMap::from([("pr".to_owned(), "42".to_owned())]),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Unchecked,
        multiple_environments: true,
    };
    let loaded = manifest::load(dir, environment, &inputs)
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false, 100)));
    for secrets in loaded.desired.fly_secrets.values() {
        for secret in secrets.values.values() {
            if let Some(name) = secret.source.strip_prefix("env ") {
                inputs
                    .process_environment
                    .insert(name.to_owned(), format!("canary of {name}"));
            }
        }
    }
    // A manifest that leaves the image to the pipeline gets one, as with `--image`.
    for (name, _) in loaded
        .desired
        .fly_machine
        .iter()
        .filter(|(_, spec)| spec.workload.config.image.is_none())
    {
        inputs.images.insert(
            name.root().to_string(),
            "registry.fly.io/built:1".to_owned(),
        );
    }
    inputs.secrets_mode = SecretsMode::Required;
    inputs
}

/// A manual change, and the lines that the plan must show for it.
struct ExpectedDrift {
    change: DriftChange,
    expected: Vec<String>,
}

enum DriftChange {
    MachineConfig {
        app: String,
        id: String,
        path: &'static str,
        value: Value,
    },
    Request {
        method: &'static str,
        path: String,
        body: Value,
    },
}

/// Whether a new machine replaces this one instead of it being updated.
fn is_blue_green(spec: &MachineSpec) -> bool {
    spec.rollout_policy.strategy == RolloutStrategy::BlueGreen
        && !spec.workload.config.services.is_empty()
}

fn possible_drift(desired: &Desired, world: &World) -> Vec<ExpectedDrift> {
    let mut drifts = Vec::new();
    let app = |name: &trimtab::model::Name| world.fly_app[&name.root()].name.clone();
    let config = |app: String, id: &str, path, value, expected: String| ExpectedDrift {
        change: DriftChange::MachineConfig {
            app,
            id: id.to_owned(),
            path,
            value,
        },
        expected: vec![expected],
    };
    for (name, machine) in &world.fly_machine {
        let id = &machine.workload.id;
        let verb = match machine.workload.is_running() {
            _ if is_blue_green(&desired.fly_machine[name]) => "succeed",
            true => "restart",
            false => "update",
        };
        let line = |path: &str| format!("{verb} fly.machine/{name} {path}");
        let memory = machine
            .workload
            .config
            .guest
            .as_ref()
            .map_or(256, |guest| guest.memory_mb.0);
        let other = if memory == 2048 { 1024 } else { 2048 };
        drifts.push(config(
            app(name),
            id,
            "/guest/memory_mb",
            other.into(),
            line("vm.memory"),
        ));
        drifts.push(config(
            app(name),
            id,
            "/env/BY_HAND",
            "1".into(),
            line("env.BY_HAND"),
        ));
        drifts.push(config(
            app(name),
            id,
            "/image",
            "stranger:1".into(),
            line("image"),
        ));
    }
    for (name, cron) in &world.fly_cron {
        let id = &cron.workload.id;
        drifts.push(config(
            app(name),
            id,
            "/image",
            "old:1".into(),
            format!("update fly.cron/{name} image"),
        ));
        drifts.push(config(
            app(name),
            id,
            "/schedule",
            "weekly".into(),
            format!("update fly.cron/{name} schedule"),
        ));
    }
    for (name, ip) in &world.fly_ip {
        let path = format!("/v1/apps/{}/ip_assignments/{}", app(name), ip.address);
        let change = DriftChange::Request {
            method: "DELETE",
            path,
            body: Value::Null,
        };
        drifts.push(ExpectedDrift {
            change,
            expected: vec![format!("create fly.ip/{name}")],
        });
    }
    for (name, secrets) in &desired.fly_secrets {
        let mut values = secrets.values.iter();
        // The secrets of a cluster are made once, so a change of them is told and not repaired.
        let found = values.find_map(|(secret, spec)| match &spec.generator {
            None => Some((secret, None)),
            Some(SecretGenerator::Database(database)) => Some((secret, Some(database.address()))),
            Some(_) => None,
        });
        let Some((secret, database)) = found else {
            continue;
        };
        let path = format!("/v1/apps/{}/secrets", app(name));
        let change = DriftChange::Request {
            method: "POST",
            path,
            body: json!({"values": {secret: "by hand"}}),
        };
        // The URL of a database changes with the password of its role.
        let password = database.map(|address| format!("update {address} password"));
        let expected = [format!("update fly.secrets/{name} {secret}")];
        drifts.push(ExpectedDrift {
            change,
            expected: expected.into_iter().chain(password).collect(),
        });
    }
    drifts
}

async fn make_drift(env: &TestEnv, change: DriftChange) {
    match change {
        DriftChange::Request { method, path, body } => {
            drop(env.send_manual_request(method, &path, body).await);
        }
        DriftChange::MachineConfig {
            app,
            id,
            path,
            value,
        } => {
            env.change_machine(&app, &id, |config| {
                let (parent, key) = path.rsplit_once('/').unwrap();
                if parent == "/env" && config["env"].is_null() {
                    config["env"] = json!({});
                }
                config.pointer_mut(parent).unwrap()[key] = value;
            })
            .await;
        }
    }
}

/// The lines of the plan, without changes that merely follow from a change of secrets.
async fn planned_lines(env: &TestEnv) -> Vec<String> {
    let plan = env.plan().await;
    let follows: Vec<String> = plan
        .changes()
        .iter()
        .filter(|change| change.cause == trimtab::kinds::Cause::Follows)
        .map(|change| format!("{} ", change.address))
        .collect();
    let lines = crate::support::plan_summary(&plan);
    lines
        .into_iter()
        .filter(|line| {
            !follows
                .iter()
                .any(|address| line.contains(address.as_str()))
        })
        .collect()
}

async fn run_lifecycle(dir: &Path, environment: &str) {
    let context = format!("{} {environment}", dir.display());
    let folder = tempfile::tempdir().unwrap();
    copy_files(dir, folder.path());
    let inputs = inputs_with_every_secret(folder.path(), environment);
    let env = TestEnv::with_manifests(folder, environment, inputs, Vec::new()).await;
    assert!(
        !env.summary().await.is_empty(),
        "{context}: there is something to make"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new(), "{context}");
    // Together the manifests cover every kind of drift.
    for at in sample(0.., context.len(), 3) {
        let Some(drift) = possible_drift(&env.desired(), &env.world().await)
            .into_iter()
            .nth(at)
        else {
            break;
        };
        make_drift(&env, drift.change).await;
        assert_eq!(planned_lines(&env).await, drift.expected, "{context}");
        env.apply().await;
        assert_eq!(
            env.summary().await,
            Vec::<String>::new(),
            "{context}: {:?}",
            drift.expected
        );
    }
    assert_extra_machine_is_destroyed(&env, &context).await;
    env.remove_protection();
    env.apply().await;
    env.destroy().await;
}

/// A machine that is not in the manifest is listed by its id and destroyed.
async fn assert_extra_machine_is_destroyed(env: &TestEnv, context: &str) {
    let world = env.world().await;
    let Some((key, app)) = world
        .fly_app
        .iter()
        .find(|(key, _)| world.fly_machine.keys().any(|m| m.root() == **key))
    else {
        return;
    };
    let body = json!({"region": "iad", "config": {"image": "stranger:1"}});
    let machine = env
        .send_manual_request("POST", &format!("/v1/apps/{}/machines", app.name), body)
        .await;
    let id = machine["id"].as_str().unwrap();
    assert_eq!(
        env.summary().await,
        [format!("destroy fly.machine/{key}/app/iad/{id}")],
        "{context}"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new(), "{context}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_manifest_survives_its_lifecycle() {
    // A few at a time: more of them than cores would only wait for each other, until their leases
    // expire.
    let turns = Arc::new(Semaphore::new(4));
    let mut circles = tokio::task::JoinSet::new();
    for dir in manifest_folders() {
        for environment in manifest::list_environments(&dir).unwrap() {
            let (dir, turns) = (dir.clone(), Arc::clone(&turns));
            circles.spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                run_lifecycle(&dir, &environment).await;
            });
        }
    }
    assert!(
        circles.len() >= 12,
        "three of the reference team's, and those of five users"
    );
    while let Some(circle) = circles.join_next().await {
        circle.unwrap();
    }
}
