//! `trimtab doctor`: what is missing or wrong around the environments, each with the exact step.

use std::collections::BTreeSet;

use clap::Args;

use super::{
    CommandContext, CommandError,
    doctor_clouds::{self, CloudProbes},
    doctor_github::{self, GitHubAccess},
    exit,
    session::{InputArgs, load_manifest, resolve_environments},
};
use crate::{
    manifest::{self, LoadedEnvironment, SecretsMode},
    ops::{
        OperationError, WorkflowComparison, WorkflowRepository,
        doctor::{
            DoctorFinding, DoctorReport, FindingArea, FindingKind, InvalidManifest, check_builds,
            check_fly_tomls, check_ignored, check_invalid,
            github::{GitHubQuestions, check_github, check_test_workflow, check_workflow_files},
        },
    },
    workflows::Project,
};

/// Show what is missing or wrong around the environments, each with the exact step; exits with 2 when something is.
///
/// It looks at the repository, at GitHub, Fly.io and AWS, and writes nothing. What a token may not see is named, and does not count.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The environments to look at; all when none is given
    #[arg(value_name = "ENV")]
    names: Vec<String>,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: DoctorFormat,
    #[command(flatten)]
    inputs: InputArgs,
}

/// The output format of the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum DoctorFormat {
    /// Text, for people.
    #[default]
    Text,
    /// JSON, as `trimtab schema --of doctor` describes it.
    Json,
}

/// The manifests of the folder.
struct Manifests {
    /// All that are valid: the workflows are for all of them together.
    all: Vec<LoadedEnvironment>,
    /// Those that are looked at.
    selected: Vec<LoadedEnvironment>,
    /// Those that are not valid.
    invalid: Vec<InvalidManifest>,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Doctor) -> Result<u8, CommandError> {
    let manifests = load_all(context, args)?;
    let current = std::env::current_dir()?;
    let repository = WorkflowRepository::find(&context.global.environments, &current)?;
    let mut findings = check_invalid(&manifests.invalid);
    let comparison = compare(&repository, &manifests, &mut findings)?;
    let project = match comparison {
        Some(_) => repository.project(&manifests.all)?,
        None => None,
    };
    let project = project.map(|project| only_selected(project, &manifests.selected));
    findings.extend(check_builds(&manifests.selected));
    findings.extend(check_fly_tomls(repository.root(), &manifests.selected));
    findings.extend(check_ignored(&current));
    if let Some(comparison) = &comparison {
        findings.extend(check_workflow_files(&comparison.files));
    }
    if let Some(project) = &project {
        findings.extend(check_test_workflow(repository.root(), project));
    }
    let probes = doctor_clouds::connect(context, &manifests.selected, &mut findings).await?;
    let access = match &project {
        Some(_) => doctor_github::find_access(context, probes.sandbox_url()).await?,
        None => GitHubAccess::default(),
    };
    findings.extend(access.findings);
    let of_github = async {
        let (Some(client), Some(project)) = (&access.client, &project) else {
            return Vec::new();
        };
        let name = access.repository.as_deref().unwrap_or_default();
        let questions =
            GitHubQuestions::new(name, project, &manifests.selected, comparison.as_ref());
        check_github(client, &questions).await
    };
    let (of_github, of_clouds) = tokio::join!(of_github, probes.check());
    findings.extend(of_github);
    findings.extend(of_clouds);
    CloudProbes::close(probes).await;
    let report = DoctorReport::new(access.repository.clone(), findings);
    print(context, args.format, &report)?;
    Ok(exit_code(&report))
}

fn load_all(context: &CommandContext<'_>, args: &Doctor) -> Result<Manifests, CommandError> {
    let named = resolve_environments(context, &args.names)?;
    let dir = &context.global.environments;
    let mut names: BTreeSet<String> = manifest::list_environments(dir)
        .unwrap_or_default()
        .into_iter()
        .collect();
    let inputs = InputArgs {
        multiple_environments: true,
        ..args.inputs.clone()
    };
    // A name without a file is a mistake on the command line, and no finding.
    for name in named.iter().filter(|name| !names.contains(*name)) {
        load_manifest(context, name, &inputs, SecretsMode::Unchecked)?;
    }
    names.extend(named.iter().cloned());
    let mut manifests = Manifests {
        all: Vec::new(),
        selected: Vec::new(),
        invalid: Vec::new(),
    };
    for name in names {
        match load_manifest(context, &name, &inputs, SecretsMode::Unchecked) {
            Ok(loaded) => {
                if named.contains(&name) {
                    manifests.selected.push(loaded.clone());
                }
                manifests.all.push(loaded);
            }
            Err(error) => manifests.invalid.push(InvalidManifest {
                path: dir.join(format!("{name}.toml")),
                environment: name,
                summary: error.summary(),
            }),
        }
    }
    Ok(manifests)
}

/// Compares the workflow files with the manifests. `None` where that cannot be done: a manifest is not valid, or two contradict
/// each other.
fn compare(
    repository: &WorkflowRepository,
    manifests: &Manifests,
    findings: &mut Vec<DoctorFinding>,
) -> Result<Option<WorkflowComparison>, CommandError> {
    if !manifests.invalid.is_empty() {
        return Ok(None);
    }
    match repository.compare(&manifests.all) {
        Ok(comparison) => Ok(Some(comparison)),
        Err(OperationError::Manifest(error)) => {
            findings.push(DoctorFinding::wrong(
                FindingArea::Repository,
                "[github]",
                error.summary(),
                "trimtab workflows",
            ));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn only_selected(mut project: Project, selected: &[LoadedEnvironment]) -> Project {
    project.environments.retain(|environment| {
        let mut selected = selected.iter();
        selected.any(|loaded| {
            let stem = loaded.path.file_stem();
            stem.is_some_and(|stem| *stem == *environment.name)
        })
    });
    project
}

fn print(
    context: &CommandContext<'_>,
    format: DoctorFormat,
    report: &DoctorReport,
) -> Result<(), CommandError> {
    match format {
        DoctorFormat::Text => context.ui.print(&text(report))?,
        DoctorFormat::Json => {
            let document = serde_json::to_value(report)
                .map_err(|error| CommandError::new(error.to_string()))?;
            context.ui.print_json(document)?;
        }
    }
    Ok(())
}

/// The findings by area, a line each, with the steps below.
fn text(report: &DoctorReport) -> String {
    let mut lines = Vec::new();
    let mut area = None;
    for finding in &report.findings {
        if area != Some(finding.area) {
            if area.is_some() {
                lines.push(String::new());
            }
            area = Some(finding.area);
            let name = match (&report.repository, finding.area) {
                (Some(repository), FindingArea::Github) => format!(" {repository}"),
                _ => String::new(),
            };
            lines.push(format!("{}{name}", finding.area.title()));
        }
        lines.push(format!("  {}: {}", finding.place, finding.message));
        lines.extend(finding.steps.iter().map(|step| format!("    {step}")));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(summary(report));
    lines.join("\n")
}

fn summary(report: &DoctorReport) -> String {
    let count = |kind| {
        let findings = report.findings.iter();
        findings.filter(|finding| finding.kind == kind).count()
    };
    let (wrong, hidden) = (count(FindingKind::Wrong), count(FindingKind::CannotSee));
    let mut parts = vec![match wrong {
        0 => "Nothing is missing or wrong".to_owned(),
        1 => "1 thing is missing or wrong".to_owned(),
        count => format!("{count} things are missing or wrong"),
    }];
    if hidden > 0 {
        parts.push(format!("{hidden} could not be seen"));
    }
    match count(FindingKind::Failed) {
        0 => {}
        failed => parts.push(format!("{failed} could not be looked at")),
    }
    format!("{}.", parts.join("; "))
}

fn exit_code(report: &DoctorReport) -> u8 {
    if report.has(FindingKind::Failed) {
        exit::ERROR
    } else if report.has(FindingKind::Wrong) {
        exit::CHANGES
    } else {
        exit::OK
    }
}
