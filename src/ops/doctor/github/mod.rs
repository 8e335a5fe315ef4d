//! What GitHub has to have before the workflows run. Everything is asked for at once.

mod actions;
mod environments;
mod files;
mod oidc;
mod ref_pattern;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::{DoctorFinding, FindingArea::Github, Lookup, Unseen};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        github::{
            ActionsEnvironment, ActionsPermissions, ActionsVariable, BranchRule, BranchState,
            DeploymentRefPattern, GitHubClient, OidcSubjectForm, Repository, SelectedActions,
            WorkflowState,
        },
    },
    manifest::LoadedEnvironment,
    ops::{WorkflowComparison, WorkflowFile},
    workflows::{GithubNeeds, Project, workflows},
};

pub use files::{check_test_workflow, check_workflow_files};

/// The workflow with the checks of pull requests.
const PLAN_FILE: &str = ".github/workflows/trimtab-plan.yml";

/// What is asked of GitHub, from the manifests and the files.
#[derive(Debug)]
pub struct GitHubQuestions<'a> {
    /// `owner/name`.
    pub repository: &'a str,
    /// The project, with the environments that are looked at.
    pub project: &'a Project,
    /// The manifests of these environments.
    pub manifests: &'a [LoadedEnvironment],
    /// The workflow files, compared with the manifests.
    pub files: &'a [WorkflowFile],
    /// The actions that the workflows use, as `name@reference`.
    pub actions: BTreeSet<String>,
}

impl<'a> GitHubQuestions<'a> {
    /// The questions about a project. Files that are not as the manifests imply are a finding of their own.
    #[must_use]
    pub fn new(
        repository: &'a str,
        project: &'a Project,
        manifests: &'a [LoadedEnvironment],
        comparison: Option<&'a WorkflowComparison>,
    ) -> Self {
        let files = comparison.map_or(&[][..], |comparison| &comparison.files);
        let actions = comparison.map(|comparison| comparison.actions.clone());
        Self {
            repository,
            project,
            manifests,
            files,
            actions: actions.unwrap_or_default(),
        }
    }

    /// What the jobs read, by environment.
    fn needs(&self) -> BTreeMap<String, GithubNeeds> {
        GithubNeeds::of(&workflows(self.project))
    }

    /// The environments that the jobs name, with those that need no secret.
    fn environments(&self) -> BTreeSet<String> {
        let workflows = workflows(self.project);
        let jobs = workflows.iter().flat_map(|workflow| &workflow.jobs);
        let environments = jobs.filter_map(|job| job.environment.as_ref());
        environments
            .map(|environment| environment.name.clone())
            .collect()
    }
}

/// What an environment has.
#[derive(Debug)]
pub(super) struct EnvironmentFacts {
    patterns: Lookup<Vec<DeploymentRefPattern>>,
    secrets: Lookup<Vec<String>>,
    variables: Lookup<Vec<ActionsVariable>>,
}

/// What GitHub has.
#[derive(Debug)]
pub(super) struct GitHubFacts {
    repository: Repository,
    branch: Lookup<BranchState>,
    plan_file: Lookup<Option<String>>,
    files: BTreeMap<String, Lookup<Option<String>>>,
    workflows: Lookup<Vec<WorkflowState>>,
    permissions: Lookup<ActionsPermissions>,
    /// Only where not all actions are allowed.
    selected: Option<Lookup<SelectedActions>>,
    environments: Lookup<Vec<ActionsEnvironment>>,
    details: BTreeMap<String, EnvironmentFacts>,
    secrets: Lookup<Vec<String>>,
    organization_secrets: Lookup<Vec<String>>,
    variables: Lookup<Vec<ActionsVariable>>,
    organization_variables: Lookup<Vec<ActionsVariable>>,
    subject: Lookup<OidcSubjectForm>,
    rules: Lookup<Vec<BranchRule>>,
}

/// Asks GitHub, and returns what is missing or wrong there.
pub async fn check_github(
    client: &GitHubClient,
    questions: &GitHubQuestions<'_>,
) -> Vec<DoctorFinding> {
    let facts = match read(client, questions).await {
        Ok(facts) => facts,
        Err(error) => return vec![unreadable(questions.repository, &error)],
    };
    let mut unseen = Unseen::default();
    let mut findings = actions::check(questions, &facts, &mut unseen);
    findings.extend(environments::check(questions, &facts, &mut unseen));
    findings.extend(secrets::check(questions, &facts, &mut unseen));
    findings.extend(oidc::check(questions, &facts, &mut unseen));
    findings.extend(unseen.into_findings(Github, |permission| {
        token_step(questions.repository, permission)
    }));
    findings
}

/// Why nothing of the repository can be read.
fn unreadable(repository: &str, error: &CloudError) -> DoctorFinding {
    match (error.status, error.kind) {
        (Some(401), _) => DoctorFinding::wrong(
            Github,
            repository,
            "GitHub does not accept the token: it is wrong, or has run out",
            "gh auth login",
        )
        .and_step("export GITHUB_TOKEN=\"$(gh auth token)\""),
        (_, ErrorKind::NotFound | ErrorKind::PermissionDenied) => DoctorFinding {
            kind: super::FindingKind::CannotSee,
            ..DoctorFinding::wrong(
                Github,
                repository,
                "cannot see: there is no such repository, or the token may not read it (metadata=read)",
                "gh auth login",
            )
            .and_step("or name the repository: export GITHUB_REPOSITORY=OWNER/NAME")
        },
        _ => DoctorFinding::failed(Github, repository, format!("cannot {error}")),
    }
}

/// How to get a token that may see more. The token of a job never may see secrets.
fn token_step(repository: &str, permission: &str) -> String {
    format!(
        "run this with a token that has {permission}: `gh auth login` as somebody who administers {repository}, or a \
         fine-grained token from https://github.com/settings/personal-access-tokens/new"
    )
}

async fn read(
    client: &GitHubClient,
    questions: &GitHubQuestions<'_>,
) -> Result<GitHubFacts, CloudError> {
    let branch = questions.project.default_branch();
    let repository = async {
        tokio::join!(
            client.repository(),
            client.branch(branch),
            client.branch_rules(branch),
            client.workflows(),
            client.oidc_subject_form(),
            read_permissions(client),
        )
    };
    let names = async {
        tokio::join!(
            client.environments(),
            client.repository_secret_names(),
            client.organization_secret_names(),
            client.repository_variables(),
            client.organization_variables(),
        )
    };
    let details = questions.environments().into_iter().map(async |name| {
        let facts = read_environment(client, &name).await;
        (name, facts)
    });
    let files = questions.files.iter().map(async |file| {
        let text = client.file_text(&file.path, branch).await;
        (file.path.clone(), Lookup::of(text, "contents=read"))
    });
    let (repository, names, details, files, plan_file) = tokio::join!(
        repository,
        names,
        join_all(details),
        join_all(files),
        client.file_text(PLAN_FILE, branch)
    );
    let (repository, branch, rules, workflows, subject, permissions) = repository;
    let (environments, secrets, organization_secrets, variables, organization_variables) = names;
    let (permissions, selected) = permissions;
    Ok(GitHubFacts {
        repository: repository?,
        branch: Lookup::of(branch, "contents=read"),
        plan_file: Lookup::of(plan_file, "contents=read"),
        files: files.into_iter().collect(),
        workflows: Lookup::of_existing(workflows, "actions=read"),
        permissions,
        selected,
        environments: Lookup::of_existing(environments, "actions=read"),
        details: details.into_iter().collect(),
        secrets: Lookup::of_existing(secrets, "secrets=read"),
        // A user has no organization.
        organization_secrets: Lookup::of(organization_secrets, "secrets=read"),
        variables: Lookup::of_existing(variables, "actions_variables=read"),
        organization_variables: Lookup::of(organization_variables, "actions_variables=read"),
        subject: Lookup::of_existing(subject, "actions=read"),
        rules: Lookup::of_existing(rules, "metadata=read"),
    })
}

/// Which actions are allowed is a question of its own, which has no answer where all are.
async fn read_permissions(
    client: &GitHubClient,
) -> (Lookup<ActionsPermissions>, Option<Lookup<SelectedActions>>) {
    let needed = "administration=read";
    let permissions = Lookup::of_existing(client.actions_permissions().await, needed);
    let is_selected = permissions
        .seen()
        .is_some_and(|seen| seen.allowed_actions.as_deref() == Some("selected"));
    let selected = match is_selected {
        true => Some(Lookup::of_existing(client.selected_actions().await, needed)),
        false => None,
    };
    (permissions, selected)
}

async fn read_environment(client: &GitHubClient, name: &str) -> EnvironmentFacts {
    let (patterns, secrets, variables) = tokio::join!(
        client.environment_ref_patterns(name),
        client.environment_secret_names(name),
        client.environment_variables(name),
    );
    EnvironmentFacts {
        patterns: Lookup::of(patterns, "actions=read"),
        secrets: Lookup::of(secrets, "environments=read"),
        variables: Lookup::of(variables, "environments=read"),
    }
}

impl GitHubFacts {
    /// The environment of a name, which ignores case. `None` where there is none, or none can be seen.
    fn environment(&self, name: &str) -> Option<&ActionsEnvironment> {
        let mut environments = self.environments.seen()?.iter();
        environments.find(|environment| environment.name.eq_ignore_ascii_case(name))
    }

    /// Whether pull requests wait in a queue before they are merged.
    fn has_merge_queue(&self) -> bool {
        let mut rules = self.rules.seen().into_iter().flatten();
        rules.any(|rule| rule.kind == "merge_queue")
    }
}
