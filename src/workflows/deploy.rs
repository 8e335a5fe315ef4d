//! The workflow that deploys one environment. A push to a branch deploys what a pull request has
//! shown: tests, then apply. A tag or a person deploys what nothing has shown yet, so a plan comes
//! first, and whoever approves the job that applies it has the plan before them.

use super::{
    model::{
        Concurrency, ConcurrencyPolicy, Job, JobEnvironment, JobStep, Permission, StepCommand,
        Work, Workflow,
    },
    plan::READ_ROLE,
    project::{Project, ProjectEnvironment},
    steps,
    yaml::{Yaml, YamlEntry},
};
use crate::{
    manifest::{
        github::GithubDeployment,
        schema::{DeployConcurrency, ReviewPolicy},
    },
    model::GoDuration,
};

const PLAN_MINUTES: u64 = 15;
/// How much longer than an apply its job may take: everything else, and the end of the apply itself.
const MORE_THAN_DEADLINE_MINUTES: u64 = 15;
/// How long GitHub gives an image to be built.
const BUILD_MINUTES: u64 = 30;
const WRITE_ROLE: &str = "the role on AWS";

/// The workflow of an environment.
pub(super) fn workflow(project: &Project, environment: &ProjectEnvironment) -> Workflow {
    let deployment = &environment.deployment;
    let plans_first = deployment.triggers.branches.is_empty();
    let mut jobs = Vec::new();
    if plans_first {
        jobs.push(plan(project, environment));
    }
    jobs.extend(test(project, deployment));
    jobs.push(deploy(project, environment));
    let skipped = skipped_pushes(deployment);
    if let Some(first) = jobs.first_mut()
        && !skipped.is_empty()
    {
        first.condition = negate(&skipped);
        first.condition_comment = Some("A push that deploys nothing is not tested either.");
    }
    Workflow {
        file: format!("trimtab-deploy-{}.yml", environment.name),
        name: format!("trimtab {}", environment.name),
        on: triggers(project, deployment),
        concurrency: concurrency(environment),
        jobs,
    }
}

fn triggers(project: &Project, deployment: &GithubDeployment) -> Vec<YamlEntry> {
    let triggers = &deployment.triggers;
    let patterns = |key: &str, patterns: &[String]| {
        (!patterns.is_empty()).then(|| YamlEntry::new(key, Yaml::texts(patterns)))
    };
    let push: Vec<YamlEntry> = patterns("branches", &triggers.branches)
        .into_iter()
        .chain(patterns("tags", &triggers.tags))
        .collect();
    let mut on = Vec::new();
    if !push.is_empty() {
        on.push(YamlEntry::new("push", Yaml::Map(push)));
    }
    if triggers.dispatch {
        let inputs = if takes_ref(project, deployment) {
            let reference = Yaml::Map(vec![
                YamlEntry::new("description", Yaml::text("Commit, tag or branch to deploy")),
                YamlEntry::new("type", Yaml::text("string")),
                YamlEntry::new("default", Yaml::text(project.default_branch())),
            ]);
            let inputs = Yaml::Map(vec![YamlEntry::new("ref", reference)]);
            Yaml::Map(vec![YamlEntry::new("inputs", inputs)])
        } else {
            Yaml::Null
        };
        on.push(YamlEntry::new("workflow_dispatch", inputs));
    }
    on
}

/// Whether a person may name the commit: only if the tests can be run on it.
fn takes_ref(project: &Project, deployment: &GithubDeployment) -> bool {
    let tests_any = project.section.test.is_none() || tests_any_commit(project);
    deployment.triggers.branches.is_empty() && deployment.triggers.dispatch && tests_any
}

fn tests_any_commit(project: &Project) -> bool {
    project.section.test_takes_ref.unwrap_or(false)
}

fn concurrency(environment: &ProjectEnvironment) -> Concurrency {
    let deployment = &environment.deployment;
    let group = format!("trimtab-{}", environment.name);
    let skipped = skipped_pushes(deployment);
    let has_own_group = !skipped.is_empty();
    Concurrency {
        comment: has_own_group.then_some(
            "A push that deploys nothing has a group of its own: it must neither cancel nor replace one that does.",
        ),
        group: if has_own_group {
            let skipped = skipped.join(" && ");
            format!("${{{{ ({skipped}) && github.run_id || '{group}' }}}}")
        } else {
            group
        },
        policy: match deployment.concurrency {
            DeployConcurrency::Cancel => ConcurrencyPolicy::Cancel,
            DeployConcurrency::Queue => ConcurrencyPolicy::KeepAll,
        },
    }
}

/// The conditions that are all true for a push of one commit whose message says that it deploys
/// nothing; none if there are no such messages. `apply` looks at larger pushes, and at patterns
/// that GitHub's expressions cannot say.
fn skipped_pushes(deployment: &GithubDeployment) -> Vec<String> {
    let message = "github.event.head_commit.message";
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let tests: Vec<String> = deployment
        .skip_if_message
        .iter()
        .filter_map(|pattern| match pattern.strip_suffix('*') {
            Some(start) if !start.contains('*') => {
                Some(format!("startsWith({message}, {})", literal(start)))
            }
            None if !pattern.contains('*') => {
                Some(format!("contains({message}, {})", literal(pattern)))
            }
            _ => None,
        })
        .collect();
    if tests.is_empty() {
        return Vec::new();
    }
    [
        "github.event_name == 'push'",
        "github.ref_type == 'branch'",
        "github.event.commits[1] == null",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("({})", tests.join(" || "))])
    .collect()
}

/// The parts of an expression that is true unless all conditions are.
fn negate(conditions: &[String]) -> Vec<String> {
    let last = conditions.len() - 1;
    let lines = conditions.iter().enumerate();
    lines
        .map(|(index, condition)| {
            let before = if index == 0 { "!(" } else { "&& " };
            let after = if index == last { ")" } else { "" };
            format!("{before}{condition}{after}")
        })
        .collect()
}

/// The job that plans, and says which commit a branch or a tag means. It comes before the tests: a
/// branch may move, and jobs that each ask could test one commit and deploy another.
fn plan(project: &Project, environment: &ProjectEnvironment) -> Job {
    let deployment = &environment.deployment;
    let branch = project.default_branch();
    let merged = JobStep {
        id: Some("commit"),
        ..steps::run(
            "Only what is merged",
            format!(
                "git merge-base --is-ancestor HEAD {} || {{ echo \"::error::This commit is not on {branch}: merge it first.\"; exit 1; }}\necho \"commit=$(git rev-parse HEAD)\" >> \"$GITHUB_OUTPUT\"\n",
                steps::shell_word(&format!("origin/{branch}"))
            ),
        )
    };
    let variables = steps::read_variables(project, environment);
    let plan = JobStep {
        id: Some("plan"),
        env: variables.into_iter().collect(),
        ..steps::run(
            "Plan",
            steps::exec(project, &format!("plan {} --no-secrets", environment.name)),
        )
    };
    let mut inputs = Vec::new();
    if takes_ref(project, deployment) {
        let reference = Yaml::text("${{ inputs.ref || github.sha }}");
        inputs.push(YamlEntry::new("ref", reference));
    }
    // The whole history: only it tells whether a commit is merged.
    inputs.push(YamlEntry::new("fetch-depth", Yaml::Number(0)));
    Job {
        id: "plan",
        comment: Some(
            "first: it says which commit a branch or tag means, and that one is tested and deployed",
        ),
        permissions: steps::permissions(deployment.uses_aws.then_some(READ_ROLE), &[]),
        outputs: vec![
            ("commit", "${{ steps.commit.outputs.commit }}".to_owned()),
            ("expect", "${{ steps.plan.outputs.expect }}".to_owned()),
        ],
        environment: steps::plan_environment(project),
        work: steps::work(project, None, PLAN_MINUTES, inputs, vec![merged, plan]),
        ..Job::default()
    }
}

/// The job that calls the project's own tests.
fn test(project: &Project, deployment: &GithubDeployment) -> Option<Job> {
    let workflow = project.section.test.clone()?;
    let plans_first = deployment.triggers.branches.is_empty();
    let inputs = if plans_first && tests_any_commit(project) {
        let commit = Yaml::text("${{ needs.plan.outputs.commit }}");
        vec![YamlEntry::new("ref", commit)]
    } else {
        Vec::new()
    };
    Some(Job {
        id: "test",
        needs: if plans_first {
            vec!["plan"]
        } else {
            Vec::new()
        },
        permissions: steps::permissions(None, &[]),
        work: Work::Call(workflow, inputs),
        ..Job::default()
    })
}

fn deploy(project: &Project, environment: &ProjectEnvironment) -> Job {
    let deployment = &environment.deployment;
    let plans_first = deployment.triggers.branches.is_empty();
    let asks_pull_request = !plans_first && deployment.reviewed != ReviewPolicy::Off;
    let review = Permission {
        name: "pull-requests",
        level: if deployment.comment { "write" } else { "read" },
        reason: Some(if deployment.comment {
            "the plan that was reviewed there, and a comment with the result"
        } else {
            "the plan that was reviewed there"
        }),
    };
    let more: &[Permission] = if asks_pull_request { &[review] } else { &[] };
    let mut needs = Vec::new();
    if plans_first {
        needs.push("plan");
    }
    if project.section.test.is_some() {
        needs.push("test");
    }
    let mut all = Vec::new();
    if environment.uses_flyctl {
        all.push(steps::setup_flyctl(project));
    }
    if environment.has_build {
        all.push(build(project, environment));
    }
    all.push(apply(project, environment));
    let may_be_unmerged =
        !plans_first && (deployment.triggers.dispatch || !deployment.triggers.tags.is_empty());
    if may_be_unmerged {
        all.insert(0, only_what_is_merged(project, deployment));
    }
    let inputs = if plans_first {
        let commit = Yaml::text("${{ needs.plan.outputs.commit }}");
        vec![YamlEntry::new("ref", commit)]
    } else if may_be_unmerged {
        // The whole history: only it tells whether a commit is merged.
        vec![YamlEntry::new("fetch-depth", Yaml::Number(0))]
    } else {
        Vec::new()
    };
    let building = if environment.has_build {
        BUILD_MINUTES
    } else {
        0
    };
    let minutes = deployment.deadline.as_millis().div_ceil(60_000);
    Job {
        id: "deploy",
        needs,
        permissions: steps::permissions(deployment.uses_aws.then_some(WRITE_ROLE), more),
        environment: project.uses_environments().then(|| JobEnvironment {
            name: deployment.environment.clone(),
            comment: plans_first
                .then_some("reviewers, if any, have the plan before them in the summary"),
            url: Some("${{ steps.apply.outputs.url }}".to_owned()),
        }),
        work: steps::work(
            project,
            Some(environment),
            minutes + MORE_THAN_DEADLINE_MINUTES + building,
            inputs,
            all,
        ),
        ..Job::default()
    }
}

/// A person may start a deployment from any branch, and a tag may be on any commit. What is on no branch that is deployed was
/// neither reviewed nor tested there.
fn only_what_is_merged(project: &Project, deployment: &GithubDeployment) -> JobStep {
    let is_literal = |branch: &&String| !branch.contains(['*', '?', '[', '!', '+']);
    let mut branches: Vec<String> = deployment
        .triggers
        .branches
        .iter()
        .filter(is_literal)
        .cloned()
        .collect();
    if branches.is_empty() {
        branches.push(project.default_branch().to_owned());
    }
    let words: Vec<String> = branches
        .iter()
        .map(|branch| steps::shell_word(&format!("origin/{branch}")))
        .collect();
    steps::run(
        "Only what is merged",
        format!(
            "for branch in {}; do\n  if git merge-base --is-ancestor HEAD \"$branch\"; then exit 0; fi\ndone\n\
             echo \"::error::This commit is on no branch that is deployed: merge it first.\"\nexit 1\n",
            words.join(" ")
        ),
    )
}

fn build(project: &Project, environment: &ProjectEnvironment) -> JobStep {
    JobStep {
        id: Some("build"),
        env: steps::build_variables(environment).into_iter().collect(),
        ..steps::run(
            "Build and push the images",
            steps::exec(project, &format!("build {}", environment.name)),
        )
    }
}

fn apply(project: &Project, environment: &ProjectEnvironment) -> JobStep {
    let deployment = &environment.deployment;
    let plans_first = deployment.triggers.branches.is_empty();
    let mut words = format!("apply {} --yes", environment.name);
    let mut variables = steps::deploy_variables(environment);
    if plans_first {
        words.push_str(" --expect \"$EXPECT\"");
        let expect = "${{ needs.plan.outputs.expect }}".to_owned();
        variables.insert("EXPECT".to_owned(), expect);
    } else if deployment.reviewed != ReviewPolicy::Off {
        words.push_str(" --expect-reviewed");
        if deployment.comment {
            words.push_str(" --comment");
        }
        variables.extend([steps::github_token()]);
    }
    // A run that cancels another one has to deploy. GitHub keeps the pushes apart that it can tell are skipped.
    let patterns = match deployment.concurrency {
        DeployConcurrency::Cancel => &[][..],
        DeployConcurrency::Queue => &deployment.skip_if_message,
    };
    for pattern in patterns {
        words.push_str(&format!(
            " --skip-if-message={}",
            steps::shell_word(pattern)
        ));
    }
    words.push_str(&format!(
        " --deadline {}",
        format_minutes(deployment.deadline)
    ));
    if environment.has_build {
        words.push_str(" --image \"$IMAGES\"");
        let images = "${{ steps.build.outputs.images }}".to_owned();
        variables.insert("IMAGES".to_owned(), images);
    }
    JobStep {
        name: Some("Apply".to_owned()),
        id: Some("apply"),
        command: StepCommand::Run {
            script: steps::exec(project, &words),
            comment: Some(
                "exec: when the run is cancelled, the signal reaches trimtab and not a shell that waits for it",
            ),
        },
        env: variables.into_iter().collect(),
    }
}

/// A duration as people write it: `30m`, not `30m0s`.
fn format_minutes(duration: GoDuration) -> String {
    match duration.as_millis() {
        millis if millis % 60_000 == 0 => format!("{}m", millis / 60_000),
        _ => duration.to_string(),
    }
}
