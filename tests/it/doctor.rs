//! `trimtab doctor`: everything that is wrong is found, nothing else, and the steps mend it.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::support::{TestEnv, inputs_with};

const REPOSITORY: &str = "acme/shop";
const ACCOUNT: &str = "123456789012";
const STAGING: &str = r#"
project = "shop"

[fly]
org = "acme"
token = { env = "FLY_API_TOKEN_STAGING" }

[apps.web]
primary_region = "fra"

[apps.web.build]
context = ".."

[apps.web.secrets]
SESSION = { env = "SHOP_SESSION" }
SENTRY = { env = "SHOP_SENTRY", optional = true }

[apps.web.processes]
app = "serve"

[github]
branches = ["main"]

[github.workflows]
test = "./.github/workflows/ci.yml"
install.cargo = "1.2.3"
"#;
const PRODUCTION: &str = r#"
project = "shop"

[fly]
org = "acme-production"
token = { env = "FLY_API_TOKEN_PRODUCTION" }

[aws]
account = "123456789012"
region = "eu-central-1"

[apps.web]
primary_region = "fra"
image = "registry.fly.io/shop-web:v1"

[apps.web.processes]
app = "serve"

[roles.deploy.trust]
Version = "2012-10-17"
[[roles.deploy.trust.Statement]]
Effect = "Allow"
Action = "sts:AssumeRoleWithWebIdentity"
Principal.Federated = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
Condition.StringEquals."token.actions.githubusercontent.com:sub" = "repo:acme/shop:environment:production"
Condition.StringEquals."token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"

[github]
tags = ["v*"]
dispatch = true
"#;

/// A repository on this machine and on the simulated GitHub.
struct Project {
    env: TestEnv,
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Project {
    /// With nothing in it that GitHub, Fly or AWS has to have.
    async fn new() -> Self {
        let manifest = tempfile::tempdir().unwrap();
        let empty = "project = \"none\"\nfly.org = \"acme\"\n";
        fs::write(manifest.path().join("test.toml"), empty).unwrap();
        let env = TestEnv::with_manifests(manifest, "test", inputs_with(&[]), Vec::new()).await;
        let (url, aws) = (env.sandbox.url(), env.sandbox.aws_url());
        let urls = [
            ("FLY_FLAPS_BASE_URL", url.clone()),
            ("FLY_API_BASE_URL", url.clone()),
            ("FLY_UIEX_BASE_URL", url.clone()),
            ("TRIMTAB_REGISTRY_BASE_URL", url),
            ("GITHUB_API_URL", env.sandbox.github_url()),
            ("AWS_ENDPOINT_URL", aws),
            ("TRIMTAB_SANDBOX_SPEED", env.speed.to_string()),
        ];
        let project = Self {
            env,
            dir: tempfile::tempdir().unwrap(),
            variables: urls.to_vec(),
        };
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        let origin = format!("git@github.com:{REPOSITORY}.git");
        project.git(&["remote", "add", "origin", &origin]);
        project.write("environments/staging.toml", STAGING);
        project.write("environments/production.toml", PRODUCTION);
        project
    }

    fn git(&self, args: &[&str]) {
        let git = Command::new("git")
            .arg("-C")
            .arg(self.dir.path())
            .args(args)
            .output()
            .unwrap();
        assert!(git.status.success(), "{git:?}");
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// Sets a variable of the shell.
    fn export(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    /// Does what people do on GitHub.
    #[track_caller]
    fn github(&self, command: &str, mut body: Value) -> Value {
        if command != "repositories" && command != "tokens" {
            body["repository"] = REPOSITORY.into();
        }
        self.env.sandbox.github().run(command, &body).unwrap()
    }

    /// The token of somebody who administers the repository.
    fn person(&self) -> String {
        let body = json!({ "kind": "classic", "repositories": [REPOSITORY] });
        self.github("tokens", body)["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Access keys with a policy.
    async fn export_keys(&mut self, account: &str, policy: Value) {
        let body = json!({ "account": account, "policy": policy });
        let keys = self.env.send_admin("POST", "aws/keys", body).await;
        let text = |key: &str| keys[key].as_str().unwrap().to_owned();
        self.export("AWS_ACCESS_KEY_ID", text("access_key_id"));
        self.export("AWS_SECRET_ACCESS_KEY", text("secret_access_key"));
    }

    async fn run(&self, line: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        command
            .args(line.split(' '))
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .envs(self.variables.iter().cloned());
        let output = spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap_or(-1),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// The findings, each as its area, kind and place, and the beginning of what is wrong.
    async fn doctor(&self, line: &str) -> (i32, Vec<String>) {
        let (code, out, err) = self
            .run(&format!("doctor {line} --format json").replace("  ", " "))
            .await;
        let report: Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        let findings = report["findings"].as_array().unwrap().iter();
        let show = |finding: &Value| {
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            let steps = finding["steps"].as_array().unwrap();
            assert!(!steps.is_empty(), "{finding}");
            let kind = match text("kind").as_str() {
                "wrong" => String::new(),
                kind => format!("{kind} "),
            };
            format!(
                "{} {kind}{}: {}",
                text("area"),
                text("place"),
                text("message")
            )
        };
        (code, findings.map(show).collect())
    }
}

/// Asserts that there is one finding for each beginning, and no other one.
#[track_caller]
fn assert_findings(found: &[String], expected: &[&str]) {
    let is_expected = |one: &String| expected.iter().any(|start| one.starts_with(start));
    let unexpected: Vec<&String> = found.iter().filter(|one| !is_expected(one)).collect();
    let is_found = |start: &&&str| found.iter().any(|one| one.starts_with(**start));
    let missing: Vec<&&str> = expected.iter().filter(|start| !is_found(start)).collect();
    assert!(
        unexpected.is_empty() && missing.is_empty() && found.len() == expected.len(),
        "unexpected: {unexpected:#?}\nmissing: {missing:#?}\nfound: {found:#?}"
    );
}

const ONE_POLICY: [&str; 4] = [
    "s3:ListAllMyBuckets",
    "iam:ListRoles",
    "iam:GetRole",
    "iam:SimulatePrincipalPolicy",
];

/// A policy that allows these actions on everything.
fn policy(actions: &[&str]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
    })
}

/// Everything that can be wrong with a repository, and with what it needs.
async fn break_everything(project: &mut Project) {
    project.write("Dockerfile", "FROM debian:12\nCMD [\"serve\"]\n");
    project.write("fly.toml", "app = \"shop-web-staging\"\n");
    project.write(".trimtab/notes", "mine\n");
    project.write(".github/workflows/ci.yml", "on:\n  push:\n");
    let (code, _, err) = project.run("workflows").await;
    assert_eq!(code, 0, "{err}");
    let plan = project.read(".github/workflows/trimtab-plan.yml");
    let old_plan = plan.replace("merge_group", "workflow_dispatch");
    project.write(
        ".github/workflows/trimtab-plan.yml",
        &plan.replace("timeout-minutes: ", "timeout-minutes: 1"),
    );
    let drift = project.read(".github/workflows/trimtab-drift.yml");
    let staging = project.read(".github/workflows/trimtab-deploy-staging.yml");
    project.github(
        "repositories",
        json!({
            "name": REPOSITORY, "has_issues": false, "immutable_subject": true,
            "files": {
                ".github/workflows/trimtab-plan.yml": old_plan,
                ".github/workflows/trimtab-drift.yml": drift,
                ".github/workflows/trimtab-deploy-staging.yml": staging,
            },
        }),
    );
    project.github(
        "workflows",
        json!({ "path": ".github/workflows/trimtab-drift.yml", "state": "disabled_inactivity" }),
    );
    project.github(
        "actions",
        json!({ "allowed_actions": "selected", "github_owned_allowed": false, "patterns_allowed": ["acme/*"] }),
    );
    project.github("environments", json!({
        "name": "production",
        "branch_policy": { "protected_branches": false, "custom_branch_policies": true },
        "branch_patterns": [["branch", "main"]],
        "variables": { "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/trimtab/shop/production/shop-production-deploy" },
    }));
    project.github(
        "environments",
        json!({
            "name": "trimtab-plan",
            "branch_policy": { "protected_branches": true, "custom_branch_policies": false },
            "secrets": ["FLY_API_TOKEN_STAGING_READ"],
        }),
    );
    let required = json!({ "required_status_checks": [{ "context": "ci" }] });
    let rules = json!([
        { "type": "merge_queue" },
        { "type": "required_status_checks", "parameters": required },
    ]);
    project.github("rules", json!({ "branch": "main", "rules": rules }));
    let token = project.env.sandbox.org_token("elsewhere").unwrap();
    project.export("FLY_API_TOKEN_STAGING", token);
    project.export("GITHUB_TOKEN", project.person());
    project.export_keys(ACCOUNT, policy(&ONE_POLICY)).await;
}

const EVERYTHING_BROKEN: [&str; 23] = [
    "repository .github/workflows/ci.yml: other workflows call it",
    "repository .github/workflows/trimtab-plan.yml: it differs",
    "repository .gitignore: git does not ignore .trimtab/",
    "repository Dockerfile: the program runs as root: it has no USER",
    "repository fly.toml: it names shop-web-staging",
    "github .github/workflows/trimtab-deploy-production.yml: it is not on main",
    "github .github/workflows/trimtab-drift.yml: GitHub has switched it off after 60 days",
    "github Actions: actions/checkout@",
    "github branch main: the checks plan and validate are not required",
    "github environment production: its rules keep out what it is for: tag v*",
    "github environment production: the secret FLY_API_TOKEN_PRODUCTION is missing",
    "github environment staging: it does not exist",
    "github environment staging: the secret FLY_API_TOKEN_STAGING is missing",
    "github environment staging: the secret SHOP_SESSION is missing",
    "github environment trimtab-plan: only protected branches may use it",
    "github environment trimtab-plan: the secret FLY_API_TOKEN_PRODUCTION_READ is missing",
    "github environment trimtab-plan: the variable AWS_PLAN_ROLE_ARN is missing",
    "github issues: they are switched off",
    "github merge queue: .github/workflows/trimtab-plan.yml on main does not start in it",
    "github role shop-production-deploy (environments/production.toml:",
    "fly environments/production.toml: FLY_API_TOKEN_PRODUCTION is not set",
    "fly environments/staging.toml: FLY_API_TOKEN_STAGING is for the organization elsewhere",
    "aws environments/production.toml: arn:aws:iam::123456789012:user/",
];

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_found_and_the_steps_mend_it() {
    let mut project = Project::new().await;
    break_everything(&mut project).await;
    let (code, found) = project.doctor("").await;
    assert_findings(&found, &EVERYTHING_BROKEN);
    assert_eq!(code, 2);
    let aws = found.iter().find(|one| one.starts_with("aws")).unwrap();
    assert!(
        aws.contains("may not ") && aws.contains("iam:CreateRole"),
        "{aws}"
    );
    mend_repository(&project).await;
    mend_github(&project);
    let token = |org: &str| project.env.sandbox.org_token(org).unwrap();
    let (staging, production) = (token("acme"), token("acme-production"));
    project.export("FLY_API_TOKEN_STAGING", staging);
    project.export("FLY_API_TOKEN_PRODUCTION", production);
    let (_, printed, _) = project.run("permissions production").await;
    let mut granted: Value = serde_json::from_str(&printed).unwrap();
    let statements = granted["Statement"].as_array_mut().unwrap();
    statements.extend(policy(&ONE_POLICY)["Statement"].as_array().unwrap().clone());
    project.export_keys(ACCOUNT, granted).await;
    let (code, found) = project.doctor("").await;
    assert_findings(&found, &[]);
    assert_eq!(code, 0);
    let (code, out, err) = project.run("doctor").await;
    assert_eq!(
        (code, out.as_str()),
        (0, "Nothing is missing or wrong.\n"),
        "{err}"
    );
}

/// Follows the steps for the files.
async fn mend_repository(project: &Project) {
    project.write(
        "Dockerfile",
        "FROM debian:12\nRUN useradd --system --uid 10001 app\nUSER app\nCMD [\"serve\"]\n",
    );
    fs::remove_file(project.path("fly.toml")).unwrap();
    project.write(".gitignore", ".trimtab/\n");
    project.write(".github/workflows/ci.yml", "on:\n  workflow_call:\n");
    let ids = project.github("repositories", json!({ "name": REPOSITORY }));
    let production = PRODUCTION.replace(
        "repo:acme/shop:",
        &format!("repo:acme@{}/shop@{}:", ids["owner_id"], ids["id"]),
    );
    project.write("environments/production.toml", &production);
    let (code, _, err) = project.run("workflows").await;
    assert_eq!(code, 0, "{err}");
}

/// Follows the steps for GitHub.
fn mend_github(project: &Project) {
    let files: serde_json::Map<String, Value> =
        ["plan", "drift", "deploy-staging", "deploy-production"]
            .into_iter()
            .map(|name| {
                let path = format!(".github/workflows/trimtab-{name}.yml");
                let text = project.read(&path);
                (path, text.into())
            })
            .collect();
    project.github(
        "push",
        json!({ "commits": [{ "message": "workflows", "files": files }] }),
    );
    project.github(
        "workflows",
        json!({ "path": ".github/workflows/trimtab-drift.yml", "state": "active" }),
    );
    project.github(
        "repositories",
        json!({ "name": REPOSITORY, "has_issues": true }),
    );
    project.github(
        "actions",
        json!({ "patterns_allowed": ["acme/*", "actions/checkout@*", "superfly/*"] }),
    );
    let custom = json!({ "protected_branches": false, "custom_branch_policies": true });
    project.github("environments", json!({
        "name": "production", "branch_policy": custom,
        "branch_patterns": [["branch", "main"], ["tag", "v*"]],
        "secrets": ["FLY_API_TOKEN_PRODUCTION"],
        "variables": { "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/trimtab/shop/production/shop-production-deploy" },
    }));
    project.github(
        "environments",
        json!({
            "name": "staging", "branch_policy": custom, "branch_patterns": [["branch", "main"]],
            "secrets": ["FLY_API_TOKEN_STAGING"],
        }),
    );
    project.github("environments", json!({
        "name": "trimtab-plan", "branch_policy": custom,
        "branch_patterns": [
            ["branch", "main"], ["branch", "refs/pull/*/merge"], ["branch", "gh-readonly-queue/main/*"], ["tag", "v*"],
        ],
        "secrets": ["FLY_API_TOKEN_STAGING_READ", "FLY_API_TOKEN_PRODUCTION_READ"],
    }));
    // One secret is that of the organization, one variable that of the repository.
    project.github(
        "secrets",
        json!({ "names": ["shop_session"], "organization": true }),
    );
    project.github(
        "variables",
        json!({ "variables": { "AWS_PLAN_ROLE_ARN": "arn:aws:iam::123456789012:role/plan" }, "organization": true }),
    );
    let checks = json!([{ "context": "plan" }, { "context": "validate" }]);
    let rules = json!([
        { "type": "merge_queue" },
        { "type": "required_status_checks", "parameters": { "required_status_checks": checks } },
    ]);
    project.github("rules", json!({ "branch": "main", "rules": rules }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_may_not_see_is_not_missing() {
    let mut project = Project::new().await;
    break_everything(&mut project).await;
    mend_repository(&project).await;
    mend_github(&project);
    let token = |org: &str| project.env.sandbox.org_token(org).unwrap();
    let (staging, production) = (token("acme"), token("acme-production"));
    project.export("FLY_API_TOKEN_STAGING", staging);
    project.export("FLY_API_TOKEN_PRODUCTION", production);
    // Keys that may read what a plan reads, and may not ask IAM.
    let (_, printed, _) = project.run("permissions production").await;
    let granted: Value = serde_json::from_str(&printed).unwrap();
    project.export_keys(ACCOUNT, granted).await;
    let github = project.env.sandbox.github();
    let job = github.actions_token(REPOSITORY, &[("contents", "read")]);
    project.export("GITHUB_TOKEN", job.unwrap());
    let (code, found) = project.doctor("").await;
    let hidden = [
        "github cannot_see the secrets of environment production",
        "github cannot_see the secrets of the repository",
        "github cannot_see the states of the workflows",
        "github cannot_see what Actions may do",
        "aws cannot_see environments/production.toml",
    ];
    assert_findings(&found, &hidden);
    assert_eq!(code, 0);
    for permission in [
        "environments=read",
        "secrets=read",
        "actions=read",
        "administration=read",
    ] {
        let ending = format!("the token lacks {permission}");
        assert!(
            found.iter().any(|one| one.ends_with(&ending)),
            "{permission}: {found:#?}"
        );
    }
    // The token of another repository sees nothing of a private one.
    project.github("repositories", json!({ "name": "acme/other" }));
    let other = json!({ "kind": "fine", "repositories": ["acme/other"] });
    let other = project.github("tokens", other)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    project.export("GITHUB_TOKEN", other);
    let (code, found) = project.doctor("").await;
    assert_findings(
        &found,
        &["github cannot_see acme/shop: cannot see", hidden[4]],
    );
    assert_eq!(code, 0);
    project.export("GITHUB_TOKEN", "nonsense");
    let (code, found) = project.doctor("staging").await;
    assert_findings(
        &found,
        &["github acme/shop: GitHub does not accept the token"],
    );
    assert_eq!(code, 2);
    let (_, out, err) = project.run("doctor").await;
    assert!(
        !out.contains("nonsense") && !err.contains("nonsense"),
        "{out}{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_stands_in_for_the_clouds() {
    let mut project = Project::new().await;
    project.variables.clear();
    project.write(
        "environments/broken.toml",
        "project = \"shop\"\nfly.org = 1\n",
    );
    let (code, found) = project.doctor("staging --sandbox").await;
    // Without one manifest it is not known what the workflows are.
    assert_findings(
        &found,
        &["repository environments/broken.toml: the manifest is not valid"],
    );
    assert_eq!(code, 2);
    fs::remove_file(project.path("environments/broken.toml")).unwrap();
    let (code, found) = project.doctor("staging --sandbox").await;
    assert_eq!(code, 2);
    let github = "github acme/shop: there is no token for GitHub";
    assert!(
        found.iter().any(|one| one.starts_with(github)),
        "{found:#?}"
    );
    assert!(
        !found.iter().any(|one| one.starts_with("fly ")),
        "{found:#?}"
    );
    let (code, _, err) = project.run("doctor nothing --sandbox").await;
    assert_eq!(code, 1, "{err}");
    assert!(Path::new(&project.path(".trimtab/sandbox")).is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_are_for_what_the_manifest_says() {
    let mut project = Project::new().await;
    let only_fly = STAGING
        .split("[github]")
        .next()
        .unwrap()
        .replace("[apps.web.build]\ncontext = \"..\"\n", "");
    project.write("environments/staging.toml", &only_fly);
    let without_github = PRODUCTION.split("[github]").next().unwrap();
    project.write("environments/production.toml", without_github);
    let sandbox = &project.env.sandbox;
    let only_app = sandbox.app_token("acme", "shop-web-staging");
    let reads = sandbox.read_only_token("acme-production").unwrap();
    project.export("FLY_API_TOKEN_PRODUCTION", reads);
    if let Ok(token) = only_app {
        project.export("FLY_API_TOKEN_STAGING", token);
        let (_, found) = project.doctor("staging").await;
        assert_findings(
            &found,
            &["fly environments/staging.toml: FLY_API_TOKEN_STAGING is only for shop-web-staging"],
        );
    }
    project.export("FLY_API_TOKEN_STAGING", "fo1_revoked");
    let (_, found) = project.doctor("staging").await;
    assert_findings(
        &found,
        &["fly environments/staging.toml: Fly does not accept FLY_API_TOKEN_STAGING"],
    );
    project.export_keys("999999999999", policy(&["*"])).await;
    let (code, found) = project.doctor("production").await;
    assert_findings(
        &found,
        &["aws environments/production.toml: the credentials are for the account 999999999999"],
    );
    assert_eq!(code, 2);
    // Nothing to ask IAM with, and not even what a plan reads.
    project
        .export_keys(ACCOUNT, policy(&["s3:ListAllMyBuckets"]))
        .await;
    let (_, found) = project.doctor("production").await;
    assert!(
        found.iter().any(|one| one.contains("iam:ListRoles")),
        "{found:#?}"
    );
    let user = project.env.sandbox.user_token().unwrap();
    project.export("FLY_API_TOKEN_STAGING", user);
    let (_, found) = project.doctor("staging").await;
    assert!(found.len() <= 1, "{found:#?}");
}

#[test]
fn the_stored_schema_is_current() {
    let schema = serde_json::to_string_pretty(&trimtab::ops::doctor::schema()).unwrap();
    snapbox::assert_data_eq!(
        format!("{schema}\n"),
        snapbox::file!["../../schema/doctor.schema.json"].raw()
    );
}
