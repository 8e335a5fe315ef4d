//! The workflow of pull requests: it checks the manifests and the workflows, and shows the plans.

use std::collections::BTreeMap;

use super::{
    model::{Concurrency, ConcurrencyPolicy, Job, JobStep, Permission, Workflow},
    project::{Project, ProjectEnvironment},
    steps,
    yaml::{Yaml, YamlEntry},
};

const VALIDATE_MINUTES: u64 = 5;
const PLAN_MINUTES: u64 = 15;
/// The option that writes the plans into the comment of a pull request. It does without secrets.
const COMMENT: &str = " --comment";
/// Why AWS is asked.
pub(super) const READ_ROLE: &str = "the read-only role on AWS";

/// The workflow, if pull requests show plans.
pub(super) fn workflow(project: &Project) -> Option<Workflow> {
    project.shows_plans().then(|| Workflow {
        file: "trimtab-plan.yml".to_owned(),
        name: "trimtab plan".to_owned(),
        on: vec![
            YamlEntry::new("pull_request", Yaml::Null).with_comment(
                "no paths filter: a required check that never starts blocks the merge for ever",
            ),
            YamlEntry::new(
                "merge_group",
                Yaml::Map(vec![YamlEntry::new(
                    "types",
                    Yaml::texts(&["checks_requested".to_owned()]),
                )]),
            ),
        ],
        concurrency: Concurrency {
            group: "trimtab-plan-${{ github.event.pull_request.number || github.ref }}".to_owned(),
            comment: None,
            policy: ConcurrencyPolicy::Cancel,
        },
        jobs: vec![validate(project), plan(project)],
    })
}

fn validate(project: &Project) -> Job {
    let script = format!(
        "{} && {}",
        steps::command(project, "validate"),
        steps::command(project, "workflows --check")
    );
    let step = steps::run("Manifests and workflows", script);
    Job {
        id: "validate",
        comment: Some("holds no secret, so it runs for forks too"),
        permissions: steps::permissions(None, &[]),
        work: steps::work(project, None, VALIDATE_MINUTES, Vec::new(), vec![step]),
        ..Job::default()
    }
}

fn plan(project: &Project) -> Job {
    let comment = Permission {
        name: "pull-requests",
        level: "write",
        reason: Some("the comment with the plan"),
    };
    let (shown, hidden): (Vec<&ProjectEnvironment>, Vec<&ProjectEnvironment>) = project
        .environments
        .iter()
        .partition(|environment| environment.deployment.comment);
    let mut plans = Vec::new();
    if !shown.is_empty() {
        plans.push(plan_step(project, "Plan", &shown, COMMENT));
    }
    if !hidden.is_empty() {
        plans.push(plan_step(
            project,
            "Plan without a comment",
            &hidden,
            " --no-secrets",
        ));
    }
    let role = uses_aws(&project.environments).then_some(READ_ROLE);
    let comment = (!shown.is_empty()).then_some(comment);
    Job {
        id: "plan",
        needs: vec!["validate"],
        condition: [
            "github.event_name == 'merge_group'",
            "|| (github.event.pull_request.head.repo.full_name == github.repository",
            "&& github.event.pull_request.user.login != 'dependabot[bot]')",
        ]
        .map(str::to_owned)
        .to_vec(),
        condition_comment: Some(
            "A fork's pull request has no secrets and may not comment; Dependabot's is treated as one.",
        ),
        permissions: steps::permissions(role, comment.as_slice()),
        environment: steps::plan_environment(project),
        work: steps::work(project, None, PLAN_MINUTES, Vec::new(), plans),
        ..Job::default()
    }
}

/// All environments are planned by one command: there is one comment, and several would race for it.
fn plan_step(
    project: &Project,
    name: &str,
    environments: &[&ProjectEnvironment],
    options: &str,
) -> JobStep {
    let names: Vec<&str> = environments
        .iter()
        .map(|environment| environment.name.as_str())
        .collect();
    let mut variables: BTreeMap<String, String> = environments
        .iter()
        .flat_map(|environment| steps::read_variables(project, environment))
        .collect();
    if options == COMMENT {
        variables.extend([steps::github_token()]);
    }
    JobStep {
        env: variables.into_iter().collect(),
        ..steps::run(
            name,
            steps::exec(project, &format!("plan {}{options}", names.join(" "))),
        )
    }
}

/// Whether one of the environments has resources on AWS.
pub(super) fn uses_aws(environments: &[ProjectEnvironment]) -> bool {
    let mut environments = environments.iter();
    environments.any(|environment| environment.deployment.uses_aws)
}
