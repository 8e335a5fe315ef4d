//! Whether the environments exist, and which branches and tags may use them. GitHub compares with `GITHUB_REF`: that of a pull
//! request is `refs/pull/N/merge`, and a start by hand has the branch that it was started from.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::{DoctorFinding, FindingArea::Github, Lookup, Unseen};
use super::{GitHubFacts, GitHubQuestions, ref_pattern};
use crate::{clouds::github::DeploymentRefPattern, workflows::ProjectEnvironment};

/// Something that a job of an environment runs for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NeededRef {
    Branch(String),
    Tag(String),
    PullRequests,
}

impl NeededRef {
    /// The pattern that lets it in, and its type.
    fn pattern(&self) -> (&str, &'static str) {
        match self {
            Self::Branch(name) => (name, "branch"),
            Self::Tag(name) => (name, "tag"),
            Self::PullRequests => ("refs/pull/*/merge", "branch"),
        }
    }

    fn is_let_in_by(&self, pattern: &DeploymentRefPattern) -> bool {
        let (name, kind) = self.pattern();
        pattern.kind.as_deref().unwrap_or("branch") == kind
            && match self {
                Self::PullRequests => ref_pattern::matches(&pattern.name, "refs/pull/1/merge"),
                _ => ref_pattern::covers(&pattern.name, name),
            }
    }
}

/// What an environment is for.
#[derive(Debug, Default)]
struct EnvironmentUse {
    refs: Vec<NeededRef>,
    /// Whether its secrets deploy, so that not everybody who may push may use it.
    deploys: bool,
}

pub(super) fn check(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    unseen: &mut Unseen,
) -> Vec<DoctorFinding> {
    if !questions.project.uses_environments() {
        return Vec::new();
    }
    if unseen
        .look("the environments", &facts.environments)
        .is_none()
    {
        return Vec::new();
    }
    let named = questions.environments();
    let mut findings = Vec::new();
    for (name, usage) in uses(questions, facts) {
        if !named.contains(&name) {
            continue;
        }
        findings.extend(match facts.environment(&name) {
            None => vec![missing(questions, facts, &name, &usage)],
            Some(_) => check_rules(questions, facts, &name, &usage, unseen)
                .into_iter()
                .collect(),
        });
    }
    findings
}

/// What each environment is used for.
fn uses(questions: &GitHubQuestions<'_>, facts: &GitHubFacts) -> BTreeMap<String, EnvironmentUse> {
    let project = questions.project;
    let default_branch = || NeededRef::Branch(project.default_branch().to_owned());
    let mut uses: BTreeMap<String, EnvironmentUse> = BTreeMap::new();
    let plan = uses
        .entry(project.plan_environment().to_owned())
        .or_default();
    if project.shows_plans() {
        plan.refs.push(NeededRef::PullRequests);
        if facts.has_merge_queue() {
            let queue = format!("gh-readonly-queue/{}/*", project.default_branch());
            plan.refs.push(NeededRef::Branch(queue));
        }
    }
    if project.drift_schedule().is_some() {
        plan.refs.push(default_branch());
    }
    for environment in &project.environments {
        let triggers = &environment.deployment.triggers;
        if triggers.is_empty() {
            continue;
        }
        let refs = needed_refs(environment, &default_branch());
        // A deployment that no pull request has shown begins with a plan.
        if triggers.branches.is_empty() {
            let plan = uses
                .entry(project.plan_environment().to_owned())
                .or_default();
            plan.refs.extend(refs.clone());
        }
        let own = uses
            .entry(environment.deployment.environment.clone())
            .or_default();
        own.refs.extend(refs);
        own.deploys = true;
    }
    for usage in uses.values_mut() {
        usage.refs.sort();
        usage.refs.dedup();
    }
    uses
}

fn needed_refs(environment: &ProjectEnvironment, default_branch: &NeededRef) -> Vec<NeededRef> {
    let triggers = &environment.deployment.triggers;
    // What begins with `!` only takes out of the others.
    let stated = |patterns: &[String], make: fn(String) -> NeededRef| -> Vec<NeededRef> {
        let patterns = patterns.iter().filter(|pattern| !pattern.starts_with('!'));
        patterns.map(|pattern| make(pattern.clone())).collect()
    };
    let mut refs = stated(&triggers.branches, NeededRef::Branch);
    refs.extend(stated(&triggers.tags, NeededRef::Tag));
    if triggers.dispatch {
        refs.push(default_branch.clone());
    }
    refs
}

fn path_of(repository: &str, environment: &str) -> String {
    let environment = utf8_percent_encode(environment, NON_ALPHANUMERIC).to_string();
    // These need no encoding, and are easier to read without.
    let environment = environment.replace("%2D", "-").replace("%5F", "_");
    format!("repos/{repository}/environments/{environment}")
}

fn missing(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    name: &str,
    usage: &EnvironmentUse,
) -> DoctorFinding {
    let path = path_of(questions.repository, name);
    let mut command = format!("gh api --method PUT {path}");
    if usage.deploys {
        command.push_str(
            " -F 'deployment_branch_policy[protected_branches]=false' -F 'deployment_branch_policy[custom_branch_policies]=true'",
        );
    }
    let mut finding = DoctorFinding::wrong(
        Github,
        format!("environment {name}"),
        "it does not exist",
        command,
    );
    if usage.deploys {
        for needed in &usage.refs {
            finding = finding.and_step(policy_command(&path, needed));
        }
    }
    if facts.repository.private {
        finding = finding.and_step(
            "GitHub's Free plan has no environments in private repositories: there, `environments = false` in [github.workflows]",
        );
    }
    finding
}

fn policy_command(path: &str, needed: &NeededRef) -> String {
    let (pattern, kind) = needed.pattern();
    let pattern = pattern.replace('\'', "'\\''");
    format!(
        "gh api --method POST {path}/deployment-branch-policies -f name='{pattern}' -f type={kind}"
    )
}

fn check_rules(
    questions: &GitHubQuestions<'_>,
    facts: &GitHubFacts,
    name: &str,
    usage: &EnvironmentUse,
    unseen: &mut Unseen,
) -> Option<DoctorFinding> {
    let place = format!("environment {name}");
    let settings = format!(
        "https://github.com/{}/settings/environments",
        questions.repository
    );
    let list = |refs: &[&NeededRef]| {
        let shown = refs.iter().map(|needed| {
            let (pattern, kind) = needed.pattern();
            format!("{kind} {pattern}")
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&NeededRef> = usage.refs.iter().collect();
    let choose = |refs: &str| {
        format!(
            "{settings} → {name} → Deployment branches and tags: Selected branches and tags → add {refs}"
        )
    };
    let policy = facts.environment(name)?.deployment_branch_policy;
    let Some(policy) = policy else {
        return usage.deploys.then(|| {
            let message = "every branch may use its secrets, also one that nobody has reviewed";
            DoctorFinding::wrong(Github, place, message, choose(&list(&all)))
        });
    };
    if policy.protected_branches {
        // A branch may be protected, what is tagged or asked to be merged never is.
        let is_unprotected = |needed: &&&NeededRef| match needed {
            NeededRef::Branch(branch) => {
                branch == questions.project.default_branch()
                    && facts.branch.seen().is_some_and(|branch| !branch.protected)
            }
            NeededRef::Tag(_) | NeededRef::PullRequests => true,
        };
        let refused: Vec<&NeededRef> = all.iter().filter(is_unprotected).copied().collect();
        return (!refused.is_empty()).then(|| {
            let message = format!(
                "only protected branches may use it, and {} is none",
                list(&refused)
            );
            DoctorFinding::wrong(Github, place, message, choose(&list(&all)))
        });
    }
    let lookup = &facts.details.get(name)?.patterns;
    let hidden = Lookup::Hidden("actions=read".to_owned());
    let lookup = match lookup {
        Lookup::Absent => &hidden,
        lookup => lookup,
    };
    let patterns = unseen.look(&format!("the branch rules of environment {name}"), lookup)?;
    let is_refused = |needed: &&&NeededRef| {
        let mut patterns = patterns.iter();
        !patterns.any(|pattern| needed.is_let_in_by(pattern))
    };
    let refused: Vec<&NeededRef> = all.iter().filter(is_refused).copied().collect();
    let path = path_of(questions.repository, name);
    let mut commands = refused.iter().map(|needed| policy_command(&path, needed));
    let first = commands.next()?;
    let message = format!("its rules keep out what it is for: {}", list(&refused));
    let finding = DoctorFinding::wrong(Github, place, message, first);
    Some(commands.fold(finding, DoctorFinding::and_step))
}
