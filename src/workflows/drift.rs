//! The workflow that looks for drift every day. It has a file of its own, because GitHub disables a
//! schedule together with everything else in its file.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{
    model::{Concurrency, ConcurrencyPolicy, Job, JobStep, Permission, Workflow},
    plan::{READ_ROLE, uses_aws},
    project::Project,
    steps,
    yaml::{Yaml, YamlEntry},
};

const DRIFT_MINUTES: u64 = 15;
/// The first and the number of the hours, in UTC, at which drift is looked for.
const HOURS: (u8, u8) = (3, 4);

/// The workflow, if drift is looked for.
pub(super) fn workflow(project: &Project) -> Option<Workflow> {
    let schedule = project.drift_schedule()?;
    let cron = YamlEntry::new("cron", Yaml::Text(schedule));
    Some(Workflow {
        file: "trimtab-drift.yml".to_owned(),
        name: "trimtab drift".to_owned(),
        on: vec![
            YamlEntry::new("schedule", Yaml::List(vec![Yaml::Map(vec![cron])])).with_comment(
                "UTC; GitHub starts late, or not at all, what many start at the full hour",
            ),
            YamlEntry::new("workflow_dispatch", Yaml::Null),
        ],
        concurrency: Concurrency {
            group: "trimtab-drift".to_owned(),
            comment: None,
            policy: ConcurrencyPolicy::KeepNewest,
        },
        jobs: vec![job(project)],
    })
}

fn job(project: &Project) -> Job {
    let permissions = [
        Permission {
            name: "actions",
            level: "read",
            reason: Some("whether the other workflows are enabled"),
        },
        Permission {
            name: "issues",
            level: "write",
            reason: Some("the one issue about drift"),
        },
    ];
    let names: Vec<&str> = project
        .environments
        .iter()
        .map(|environment| environment.name.as_str())
        .collect();
    let mut variables: BTreeMap<String, String> = project
        .environments
        .iter()
        .flat_map(|environment| steps::read_variables(project, environment))
        .collect();
    variables.extend([steps::github_token()]);
    let step = JobStep {
        env: variables.into_iter().collect(),
        ..steps::run(
            "Drift",
            steps::exec(project, &format!("drift {} --issue", names.join(" "))),
        )
    };
    let role = uses_aws(&project.environments).then_some(READ_ROLE);
    Job {
        id: "drift",
        permissions: steps::permissions(role, &permissions),
        environment: steps::plan_environment(project),
        work: steps::work(project, None, DRIFT_MINUTES, Vec::new(), vec![step]),
        ..Job::default()
    }
}

/// A time that depends on the project, so that not all projects start at the same minute. It is
/// never near a full hour, when GitHub is busy.
pub(super) fn default_schedule(project: &str) -> String {
    let hash = Sha256::digest(project.as_bytes());
    let minute = 5 + hash[0] % 50;
    let hour = HOURS.0 + hash[1] % HOURS.1;
    format!("{minute} {hour} * * *")
}
