//! `trimtab init`: a manifest from a fly.toml, from a live app, and for a new one.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::json;
use tokio::task::spawn_blocking;

use crate::support::{TestEnv, inputs_with};

/// How a command ended: its exit code, stdout and stderr.
type Ran = (i32, String, String);

/// Runs the program in a folder, with nothing of this machine's environment.
async fn run(dir: &Path, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command
        .args(line.split(' '))
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("COLUMNS", "140")
        .envs(variables.iter().copied());
    let output = spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A sandbox with an organization, and an empty folder.
async fn sandbox() -> (TestEnv, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let empty = "project = \"none\"\nfly.org = \"acme\"\n";
    fs::write(dir.path().join("test.toml"), empty).unwrap();
    let env = TestEnv::with_manifests(dir, "test", inputs_with(&[]), Vec::new()).await;
    env.sandbox.org_token("acme").unwrap();
    (env, tempfile::tempdir().unwrap())
}

/// The variables that lead to the sandbox.
fn variables_of(env: &TestEnv) -> Vec<(&'static str, String)> {
    let urls = [
        "FLY_FLAPS_BASE_URL",
        "FLY_API_BASE_URL",
        "FLY_UIEX_BASE_URL",
        "TRIMTAB_REGISTRY_BASE_URL",
    ];
    let own = [
        ("FLY_API_TOKEN", env.sandbox.org_token("acme").unwrap()),
        ("TRIMTAB_SANDBOX_SPEED", env.speed.to_string()),
    ];
    let urls = urls.map(|name| (name, env.sandbox.url()));
    urls.into_iter().chain(own).collect()
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    let variables = variables.iter();
    variables
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// The app as flyctl and its user have made it: two groups, a volume, a service, secrets, and a machine on a schedule.
async fn deploy_by_hand(env: &TestEnv, more_env: serde_json::Value) {
    let post = async |path: &str, body| env.send_manual_request("POST", path, body).await;
    post(
        "/v1/apps",
        json!({ "app_name": "harbor-web", "org_slug": "acme" }),
    )
    .await;
    for ip in ["shared_v4", "v6"] {
        post("/v1/apps/harbor-web/ip_assignments", json!({ "type": ip })).await;
    }
    post(
        "/v1/apps/harbor-web/secrets/SESSION_KEY",
        json!({ "value": "canary-0123456789" }),
    )
    .await;
    let machine = |group: &str, region: &str, config: serde_json::Value| {
        let mut whole = json!({
            "image": "registry.fly.io/harbor-web:deployment-1",
            "env": { "FLY_PROCESS_GROUP": group, "PRIMARY_REGION": "fra", "LOG_LEVEL": "info", "ODD": "a \"b\" ${c}" },
            "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 512 },
            "metadata": { "fly_platform_version": "v2", "fly_process_group": group },
            "restart": { "policy": "on-failure", "max_retries": 10 },
        });
        let variables = whole["env"].as_object_mut().unwrap();
        variables.extend(more_env.as_object().unwrap().clone());
        whole
            .as_object_mut()
            .unwrap()
            .extend(config.as_object().unwrap().clone());
        json!({ "region": region, "config": whole })
    };
    let service = json!({ "services": [{
        "protocol": "tcp", "internal_port": 8080, "autostop": "stop", "autostart": true, "min_machines_running": 1,
        "ports": [
            { "port": 80, "handlers": ["http"], "force_https": true },
            { "port": 443, "handlers": ["http", "tls"] },
        ],
        "concurrency": { "type": "requests", "soft_limit": 20, "hard_limit": 25 },
        "checks": [{ "type": "http", "interval": "15s", "timeout": "2s", "grace_period": "10s", "method": "GET", "path": "/up",
                     "headers": [{ "name": "X-Probe", "values": ["1"] }] }],
    }]});
    for region in ["fra", "fra", "iad"] {
        post(
            "/v1/apps/harbor-web/machines",
            machine("app", region, service.clone()),
        )
        .await;
    }
    let volume = json!({ "name": "data", "region": "fra", "size_gb": 3, "encrypted": true, "snapshot_retention": 7 });
    let volume = post("/v1/apps/harbor-web/volumes", volume).await;
    let mounts = json!({
        "init": { "cmd": ["bundle", "exec", "worker"] },
        "mounts": [{ "volume": volume["id"], "path": "/data" }],
        "checks": { "alive": { "type": "tcp", "port": 9000, "interval": "30s", "timeout": "5s" } },
        "guest": { "cpu_kind": "performance", "cpus": 2, "memory_mb": 4096 },
    });
    post(
        "/v1/apps/harbor-web/machines",
        machine("worker", "fra", mounts),
    )
    .await;
    let mut nightly = machine(
        "app",
        "fra",
        json!({ "schedule": "daily", "init": { "cmd": ["digest"] } }),
    );
    nightly["name"] = json!("nightly");
    nightly["config"]["metadata"] = json!({});
    let variables = nightly["config"]["env"].as_object_mut().unwrap();
    variables.retain(|name, _| name == "LOG_LEVEL" || name == "ODD");
    post("/v1/apps/harbor-web/machines", nightly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_app_is_written_so_that_a_plan_only_adopts() {
    let (env, place) = sandbox().await;
    deploy_by_hand(&env, json!({})).await;
    let variables = variables_of(&env);
    let variables = borrowed(&variables);
    let (code, said, notes) = run(
        place.path(),
        "init --app harbor-web --project harbor",
        &variables,
    )
    .await;
    assert_eq!(code, 0, "{said}{notes}");
    let text = fs::read_to_string(place.path().join("environments/production.toml")).unwrap();
    for line in [
        "#:schema ../schema/environment.schema.json",
        "[apps.web]",
        "org = \"acme\"",
        "ips = [\"shared_v4\", \"v6\"]",
        "SESSION_KEY = { env = \"SESSION_KEY\", optional = true }",
        "count = { fra = 2, iad = 1 }",
        "command = [\"bundle\", \"exec\", \"worker\"]",
        "[apps.web.cron.nightly]",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("canary"), "{text}");
    assert!(said.contains("trimtab plan production\n"), "{said}");
    assert!(said.contains("trimtab apply production\n"), "{said}");

    let (code, plan, warnings) = run(place.path(), "plan production", &variables).await;
    assert_eq!(code, 0, "{plan}{warnings}\n{text}");
    // Marks alone, except for the machine on a schedule, of which the text says it.
    assert!(
        plan.contains("Plan: 0 to add, 6 to change, 0 to destroy."),
        "{plan}\n{text}"
    );
    let lines: BTreeSet<String> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("     "))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "+ env.PRIMARY_REGION \"fra\"",
        "+ owner \"harbor/production\"",
        "- restart.max_retries 10",
    ];
    assert_eq!(lines, expected.map(str::to_owned).into(), "{plan}");
    assert!(!plan.contains("restart  fly."), "{plan}");

    let (code, out, error) = run(place.path(), "apply production --yes", &variables).await;
    assert_eq!(code, 0, "{out}{error}");
    let (_, plan, _) = run(place.path(), "plan production", &variables).await;
    assert!(plan.contains("No changes"), "{plan}");
    // It belongs to the environment now: whoever has lost the manifest gets it back.
    let line = "init --app harbor-web --project harbor --environments again";
    let (code, said, notes) = run(place.path(), line, &variables).await;
    assert_eq!(code, 0, "{said}{notes}");
    assert!(
        notes.contains("belongs to this environment already"),
        "{notes}"
    );
    let line = "plan production --environments again";
    let (_, plan, _) = run(place.path(), line, &variables).await;
    assert!(plan.contains("No changes"), "{plan}");
    let text = fs::read_to_string(place.path().join("again/production.toml")).unwrap();
    assert!(!text.contains("adopt"), "{text}");
    let line = "init --app harbor-web --project other --environment x";
    let (code, _, error) = run(place.path(), line, &variables).await;
    assert_eq!(code, 1);
    assert!(
        error.contains("belongs to another environment already"),
        "{error}"
    );
}

/// What stands on the machines in the open must not get into a repository.
#[tokio::test(flavor = "multi_thread")]
async fn variable_that_looks_like_a_secret_is_not_written() {
    let (env, place) = sandbox().await;
    deploy_by_hand(&env, json!({ "API_TOKEN": "canary-in-the-open" })).await;
    let variables = variables_of(&env);
    let variables = borrowed(&variables);
    let line = "init --app harbor-web --project harbor";
    let (code, said, notes) = run(place.path(), line, &variables).await;
    assert_eq!(code, 0, "{said}{notes}");
    assert!(
        notes.contains("the variable API_TOKEN is in the open"),
        "{notes}"
    );
    let text = fs::read_to_string(place.path().join("environments/production.toml")).unwrap();
    assert!(
        !text.contains("canary") && !notes.contains("canary"),
        "{text}{notes}"
    );
    // Without its value the machines would lose it.
    let (code, _, error) = run(place.path(), "plan production", &variables).await;
    assert_eq!(code, 1);
    assert!(error.contains("secret `API_TOKEN` has no value"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fly_toml_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let fly_toml = "app = \"harbor-web\"\nprimary_region = \"fra\"\n[processes]\nweb = \"serve\"\nworker = \"work\"\n\
                    [http_service]\ninternal_port = 8080\nprocesses = [\"web\"]\n";
    fs::write(dir.path().join("fly.toml"), fly_toml).unwrap();
    fs::write(dir.path().join(".gitignore"), "/target").unwrap();
    let line = "init --from fly.toml --project harbor --org acme --environment staging";
    let (code, said, error) = run(dir.path(), line, &[]).await;
    assert_eq!(code, 0, "{error}");
    let text = fs::read_to_string(dir.path().join("environments/staging.toml")).unwrap();
    assert!(text.contains("config = \"../fly.toml\""), "{text}");
    assert!(
        text.contains("[apps.web.machines.worker]\ncount = { fra = 1 }"),
        "{text}"
    );
    assert_eq!(
        fs::read_to_string(dir.path().join(".gitignore")).unwrap(),
        "/target\n.trimtab/\n"
    );
    assert!(dir.path().join("schema/environment.schema.json").is_file());
    assert!(said.contains("trimtab plan staging"), "{said}");
    // The same again changes nothing.
    let (code, said, error) = run(dir.path(), line, &[]).await;
    assert_eq!((code, said.as_str()), (1, ""));
    assert!(error.contains("init never overwrites"), "{error}");
    let (code, _, error) = run(dir.path(), &line.replace("staging", "production"), &[]).await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(
        fs::read_to_string(dir.path().join(".gitignore")).unwrap(),
        "/target\n.trimtab/\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_fly_toml_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("fly.toml"),
        "app = \"web\"\n[http_service]\ninternal_port = \"x\"\n",
    )
    .unwrap();
    let (code, _, error) = run(dir.path(), "init --from fly.toml --org acme", &[]).await;
    assert_eq!(code, 1);
    assert!(error.contains("fly.toml:3"), "{error}");
    assert_eq!(
        fs::read_dir(dir.path().join("environments"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_app_needs_three_answers() {
    let dir = tempfile::tempdir().unwrap();
    for (line, missing) in [
        ("init", "--project is missing"),
        ("init --project harbor", "--org is missing"),
        ("init --project harbor --org acme", "--name is missing"),
        (
            "init --from nowhere.toml --org acme",
            "cannot read nowhere.toml",
        ),
        ("init --app harbor-web --sandbox", "--org is missing"),
    ] {
        let (code, _, error) = run(dir.path(), line, &[]).await;
        assert_eq!(code, 1, "{line}");
        assert!(error.contains(missing), "{line}: {error}");
    }
    let line = "init --project harbor --org acme --name harbor-api";
    let (code, said, error) = run(dir.path(), line, &[]).await;
    assert_eq!(code, 0, "{error}");
    let wrote = "Wrote environments/production.toml, schema/environment.schema.json, .gitignore; ";
    assert!(said.starts_with(wrote), "{said}");
    fs::write(dir.path().join("Dockerfile"), "FROM scratch\n").unwrap();
    let line = format!("{line} --environment staging");
    let (code, said, error) = run(dir.path(), &line, &[]).await;
    assert_eq!(code, 0, "{error}");
    let next = "  fly apps create harbor-api --org acme\n  trimtab apply staging --build\n";
    assert!(said.ends_with(next), "{said}");
    let text = fs::read_to_string(dir.path().join("environments/staging.toml")).unwrap();
    assert!(
        text.contains("[apps.api.build]\ncontext = \"..\""),
        "{text}"
    );
    let (code, plan, error) = run(dir.path(), "plan production --sandbox", &[]).await;
    assert_eq!(code, 0, "{plan}{error}");
    let (code, _, error) = run(
        dir.path(),
        "init --app nobody --org acme --sandbox --environment x",
        &[],
    )
    .await;
    assert_eq!(code, 1);
    assert!(error.contains("there is no app nobody"), "{error}");
}
