//! What the jobs share: how they begin, which secrets they get, and how they name an environment.

use std::collections::BTreeMap;

use super::{
    model::{JobEnvironment, JobStep, Permission, StepCommand, Work},
    pins,
    project::{Project, ProjectEnvironment},
    yaml::{Yaml, YamlEntry},
};
use crate::manifest::github::{Install, SetupAction, SetupStep};

/// The version of flyctl that builds images.
const FLYCTL_VERSION: &str = "0.4.87";
/// How long trimtab takes to compile, where it is not installed from an archive.
const COMPILE_MINUTES: u64 = 20;

/// A script that replaces the shell by the command. When a run is cancelled, the runner signals
/// only the process that it started.
pub(super) fn exec(project: &Project, words: &str) -> String {
    format!("exec {}", command(project, words))
}

/// A command of trimtab, with the folder of the manifests.
pub(super) fn command(project: &Project, words: &str) -> String {
    if project.folder == "environments" {
        format!("trimtab {words}")
    } else {
        format!(
            "trimtab {words} --environments {}",
            shell_word(&project.folder)
        )
    }
}

/// A text as one word of a shell script.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The work of a job: checkout, the installation of trimtab, the user's steps, and these.
pub(super) fn work(
    project: &Project,
    environment: Option<&ProjectEnvironment>,
    minutes: u64,
    checkout_inputs: Vec<YamlEntry>,
    steps: Vec<JobStep>,
) -> Work {
    let mut all = vec![checkout(project, checkout_inputs)];
    all.extend(install(project));
    all.extend(project.setup.iter().map(|step| user_step(project, step)));
    let own = environment.map(|environment| &environment.deployment);
    let own_setup = own.iter().flat_map(|own| &own.setup);
    all.extend(own_setup.map(|step| user_step(project, step)));
    all.extend(steps);
    let compiles = matches!(project.install, Install::Cargo(_) | Install::Git { .. });
    Work::Steps {
        runner: own
            .and_then(|own| own.runner.clone())
            .unwrap_or_else(|| project.runner()),
        container: match &project.install {
            Install::Container(image) => Some(image.clone()),
            _ => None,
        },
        timeout_minutes: minutes + if compiles { COMPILE_MINUTES } else { 0 },
        steps: all,
    }
}

fn checkout(project: &Project, mut inputs: Vec<YamlEntry>) -> JobStep {
    inputs.insert(
        0,
        YamlEntry::new("persist-credentials", Yaml::Boolean(false)),
    );
    JobStep {
        command: pins::action(project, "actions/checkout", inputs),
        ..JobStep::default()
    }
}

/// flyctl, whose builder builds images.
pub(super) fn setup_flyctl(project: &Project) -> JobStep {
    let version = YamlEntry::new("version", Yaml::text(FLYCTL_VERSION));
    JobStep {
        command: pins::action(
            project,
            "superfly/flyctl-actions/setup-flyctl",
            vec![version],
        ),
        ..JobStep::default()
    }
}

fn install(project: &Project) -> Vec<JobStep> {
    let script = match &project.install {
        Install::Container(_) => return Vec::new(),
        Install::Steps(steps) => {
            return steps.iter().map(|step| user_step(project, step)).collect();
        }
        Install::Cargo(version) => {
            format!("cargo install trimtab --locked --version {version}")
        }
        Install::Git { url, rev } => {
            format!("cargo install trimtab --locked --git {url} --rev {rev}")
        }
        Install::Release { url, sha256 } => [
            "archive=\"$RUNNER_TEMP/trimtab.tar.gz\"".to_owned(),
            format!(
                "curl --fail --silent --show-error --location --retry 3 --output \"$archive\" {url}"
            ),
            format!("echo \"{sha256}  $archive\" | sha256sum --check -"),
            "mkdir \"$RUNNER_TEMP/trimtab\"".to_owned(),
            "tar -xzf \"$archive\" -C \"$RUNNER_TEMP/trimtab\"".to_owned(),
            "echo \"$RUNNER_TEMP/trimtab\" >> \"$GITHUB_PATH\"".to_owned(),
            String::new(),
        ]
        .join("\n"),
    };
    vec![run("Install trimtab", script)]
}

/// A step that runs a script.
pub(super) fn run(name: &str, script: impl Into<String>) -> JobStep {
    JobStep {
        name: Some(name.to_owned()),
        command: StepCommand::Run {
            script: script.into(),
            comment: None,
        },
        ..JobStep::default()
    }
}

fn user_step(project: &Project, step: &SetupStep) -> JobStep {
    let pairs = |pairs: &BTreeMap<String, String>| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Vec<_>>()
    };
    JobStep {
        name: step.name.clone(),
        id: None,
        command: match &step.action {
            SetupAction::Uses(action, inputs) => {
                let inputs = pairs(inputs).into_iter();
                let inputs = inputs.map(|(key, value)| YamlEntry::new(key, Yaml::Text(value)));
                pins::user_action(project, action, inputs.collect())
            }
            SetupAction::Run(script) => StepCommand::Run {
                script: script.clone(),
                comment: None,
            },
        },
        env: pairs(&step.env),
    }
}

/// The environment of a job that reads.
pub(super) fn plan_environment(project: &Project) -> Option<JobEnvironment> {
    project.uses_environments().then(|| JobEnvironment {
        name: project.plan_environment().to_owned(),
        comment: Some("read-only tokens of all environments"),
        url: None,
    })
}

/// The variables with which an environment is read, and the expressions of their values.
pub(super) fn read_variables(
    project: &Project,
    environment: &ProjectEnvironment,
) -> BTreeMap<String, String> {
    let deployment = &environment.deployment;
    let mut variables = BTreeMap::new();
    if deployment.passes_secrets_to_plans {
        variables.extend(added_variables(environment));
    }
    if deployment.uses_aws {
        let role = project.section.aws_plan_role.as_deref();
        let role = role.unwrap_or("AWS_PLAN_ROLE_ARN");
        variables.insert(AWS_ROLE.to_owned(), variable(role));
    }
    variables.insert(
        deployment.token_variable.clone(),
        secret(&deployment.read_token),
    );
    variables
}

/// The variables with which an environment is deployed.
pub(super) fn deploy_variables(environment: &ProjectEnvironment) -> BTreeMap<String, String> {
    let deployment = &environment.deployment;
    let mut variables = BTreeMap::new();
    if deployment.uses_aws {
        variables.insert(AWS_ROLE.to_owned(), variable(AWS_ROLE));
    }
    variables.extend(added_variables(environment));
    variables.insert(deployment.token_variable.clone(), secret(&deployment.token));
    variables
}

/// The variables with which the images of an environment are built: a program of others runs there, so it gets no secret of an app.
pub(super) fn build_variables(environment: &ProjectEnvironment) -> BTreeMap<String, String> {
    let mut variables = deploy_variables(environment);
    let app_only = &environment.deployment.app_only_variables;
    variables.retain(|name, _| name != AWS_ROLE && !app_only.contains(name));
    variables
}

/// The variable with the role to assume on AWS.
const AWS_ROLE: &str = "AWS_ROLE_ARN";

fn added_variables(environment: &ProjectEnvironment) -> BTreeMap<String, String> {
    let deployment = &environment.deployment;
    let secrets = deployment.secrets.iter();
    let secrets = secrets.map(|(name, source)| (name.clone(), secret(source)));
    let vars = deployment.vars.iter();
    let vars = vars.map(|(name, source)| (name.clone(), variable(source)));
    secrets.chain(vars).collect()
}

/// The token of the job itself.
pub(super) fn github_token() -> (String, String) {
    ("GITHUB_TOKEN".to_owned(), "${{ github.token }}".to_owned())
}

fn secret(name: &str) -> String {
    format!("${{{{ secrets.{name} }}}}")
}

fn variable(name: &str) -> String {
    format!("${{{{ vars.{name} }}}}")
}

/// The rights of a job: to read the repository, to assume a role on AWS if it does, and these.
pub(super) fn permissions(role: Option<&'static str>, more: &[Permission]) -> Vec<Permission> {
    let contents = Permission {
        name: "contents",
        level: "read",
        reason: None,
    };
    let id_token = role.map(|reason| Permission {
        name: "id-token",
        level: "write",
        reason: Some(reason),
    });
    let mut all: Vec<Permission> = std::iter::once(contents)
        .chain(id_token)
        .chain(more.iter().copied())
        .collect();
    all.sort_by_key(|right| right.name);
    all
}
