//! The stored workflows of every project, and what must hold in each of them. `SNAPSHOTS=overwrite`
//! rewrites them; other tools check them (scripts/conformance).

use std::{collections::BTreeSet, fs, path::Path};

use snapbox::{Assert, Data, data::DataFormat};
use trimtab::workflows::{
    Project, ProjectEnvironment, generate,
    model::{ConcurrencyPolicy, Job, StepCommand, Work, Workflow},
    workflows,
};

use super::{PROJECTS, project};

/// Where the stored workflows are.
const STORED: &str = "tests/workflows";

/// A project whose environments also build images.
fn with_builds(project: &Project) -> Project {
    let environments = project.environments.iter();
    Project {
        environments: environments
            .map(|environment| ProjectEnvironment {
                has_build: true,
                uses_flyctl: true,
                ..environment.clone()
            })
            .collect(),
        ..project.clone()
    }
}

/// Every project, under the name of its folder of stored files.
fn all_projects() -> Vec<(String, Project)> {
    let mut all = Vec::new();
    for (name, folder) in PROJECTS {
        all.push((name.to_owned(), project(folder)));
    }
    all.push((
        "harbor-builds".to_owned(),
        with_builds(&project("environments")),
    ));
    all
}

fn all_workflows() -> Vec<(String, Workflow)> {
    let projects = all_projects().into_iter();
    projects
        .flat_map(|(name, project)| {
            let workflows = workflows(&project).into_iter();
            workflows
                .map(move |workflow| (format!("{name}/{}", workflow.file), workflow))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn stored_workflows_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(STORED);
    let assert = Assert::new().action_env("SNAPSHOTS").normalize_paths(false);
    let mut expected = BTreeSet::new();
    let mut failures = Vec::new();
    for (name, project) in all_projects() {
        for file in generate(&project) {
            let path = root.join(&name).join(&file.name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let stored = Data::read_from(&path, Some(DataFormat::Text));
            let label = format!("{name}/{}", file.name);
            if let Err(difference) = assert.try_eq(Some(&label), file.text.into(), stored) {
                failures.push(difference.to_string());
            }
            expected.insert(label);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for folder in fs::read_dir(&root).unwrap() {
        let folder = folder.unwrap().path();
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let label = path.strip_prefix(&root).unwrap().display().to_string();
            assert!(expected.contains(&label), "nothing generates {label}");
        }
    }
}

/// The words of the scripts of a job, by line.
fn script_lines(job: &Job) -> Vec<String> {
    let scripts = job.steps().iter().filter_map(|step| match &step.command {
        StepCommand::Run { script, .. } => Some(script),
        StepCommand::Uses { .. } => None,
    });
    scripts
        .flat_map(|script| script.lines().map(str::to_owned))
        .collect()
}

#[test]
fn scripts_hold_no_expression_and_long_commands_replace_the_shell() {
    let long = ["plan", "apply", "drift", "build"];
    let mut seen = BTreeSet::new();
    for (name, workflow) in all_workflows() {
        for line in workflow.jobs.iter().flat_map(script_lines) {
            assert!(!line.contains("${{"), "{name}: {line}");
            for command in long {
                if line.contains(&format!("trimtab {command} ")) {
                    assert!(line.starts_with("exec trimtab "), "{name}: {line}");
                    seen.insert(command);
                }
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), long.into());
}

#[test]
fn jobs_have_names_rights_and_an_end() {
    for (name, workflow) in all_workflows() {
        let ids: BTreeSet<&str> = workflow.jobs.iter().map(|job| job.id).collect();
        assert_eq!(ids.len(), workflow.jobs.len(), "{name}");
        for job in &workflow.jobs {
            let rights: BTreeSet<&str> = job.permissions.iter().map(|right| right.name).collect();
            assert!(rights.contains("contents"), "{name}: {}", job.id);
            for right in &job.permissions {
                // The one right that needs no explanation.
                let is_explained = right.reason.is_some() || right.name == "contents";
                assert!(is_explained, "{name}: {}", right.name);
            }
            for needed in &job.needs {
                assert!(ids.contains(needed), "{name}: {needed}");
            }
            if let Work::Steps {
                timeout_minutes, ..
            } = job.work
            {
                assert!((5..=360).contains(&timeout_minutes), "{name}: {}", job.id);
                check_deadline(&name, job, timeout_minutes);
            }
        }
    }
}

/// A deadline that GitHub's own came before would be of no use.
fn check_deadline(name: &str, job: &Job, timeout_minutes: u64) {
    for line in script_lines(job) {
        let Some((_, rest)) = line.split_once("--deadline ") else {
            continue;
        };
        let minutes: u64 = rest.split('m').next().unwrap().parse().unwrap();
        assert!(minutes < timeout_minutes, "{name}: {line}");
    }
}

#[test]
fn queued_runs_are_kept_and_cancelled_ones_have_no_queue() {
    let mut seen = BTreeSet::new();
    for (name, project) in all_projects() {
        for file in generate(&project) {
            let cancels = file.text.contains("cancel-in-progress: true");
            let queues = file.text.contains("queue: max");
            assert!(!(cancels && queues), "{name}/{}", file.name);
            seen.insert((cancels, queues));
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    let policies = all_workflows();
    let deploys = policies
        .iter()
        .filter(|(name, _)| name.contains("trimtab-deploy-production"));
    for (name, workflow) in deploys {
        let policy = workflow.concurrency.policy;
        assert_eq!(policy, ConcurrencyPolicy::KeepAll, "{name}");
    }
}

/// Everything that the token of a job that reads can do, it needs: a plan gets no secret of an app
/// and no token that writes.
#[test]
fn jobs_that_read_get_no_secret_that_writes() {
    for (name, workflow) in all_workflows() {
        let readers = workflow
            .jobs
            .iter()
            .filter(|job| matches!(job.id, "plan" | "drift" | "validate"));
        for job in readers {
            for (variable, value) in job.steps().iter().flat_map(|step| &step.env) {
                let reads = value.ends_with("_READ }}")
                    || value.starts_with("${{ vars.")
                    || value == "${{ github.token }}";
                assert!(reads, "{name}: {variable} is {value}");
            }
        }
    }
}

#[test]
fn drift_is_never_looked_for_near_a_full_hour() {
    let names = (0..300).map(|number| format!("project-{number}"));
    let mut minutes = BTreeSet::new();
    for name in names {
        let project = Project {
            name,
            ..project("environments")
        };
        let schedule = project.drift_schedule().unwrap();
        let fields: Vec<&str> = schedule.split(' ').collect();
        let (minute, hour): (u8, u8) = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
        assert!((5..55).contains(&minute) && hour < 7, "{schedule}");
        assert_eq!(fields[2..], ["*", "*", "*"]);
        minutes.insert(minute);
    }
    assert!(minutes.len() > 40, "{minutes:?}");
}

/// The secrets of a build are read in the step that builds, and flyctl is there if it builds.
#[test]
fn build_block_adds_the_steps_that_build() {
    let manifest = |builder: &str, secrets: &str| {
        format!(
            r#"
project = "p"
fly.org = "o"
[apps.web]
primary_region = "fra"
[apps.web.build]
context = "."
builder = "{builder}"
{secrets}
[github]
branches = ["main"]
[github.workflows]
install.cargo = "1.2.3"
"#
        )
    };
    // flyctl takes no secrets but as arguments.
    let secrets = "secrets.npm = { env = \"NPM_TOKEN\" }";
    for (builder, uses_flyctl, secrets) in [("fly-remote", true, ""), ("docker", false, secrets)] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.toml"), manifest(builder, secrets)).unwrap();
        let loaded = super::load_all(dir.path());
        let project = Project::from_manifests(&loaded, "environments")
            .unwrap()
            .unwrap();
        let files = generate(&project);
        let text = &files
            .iter()
            .find(|file| file.name.contains("deploy"))
            .unwrap()
            .text;
        assert!(text.contains("run: exec trimtab build x\n"), "{text}");
        assert!(text.contains("--image \"$IMAGES\"\n"), "{text}");
        assert_eq!(
            text.contains("NPM_TOKEN: ${{ secrets.NPM_TOKEN }}\n"),
            !secrets.is_empty(),
            "{text}"
        );
        assert_eq!(text.contains("setup-flyctl@"), uses_flyctl, "{text}");
    }
}
