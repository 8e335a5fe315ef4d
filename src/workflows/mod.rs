//! The workflows on GitHub that the manifests imply: from what the manifests say to the text of the
//! files. Pure; `ops` reads and writes the files.
//!
//! ```text
//! project.rs   the manifests of a project → one set of settings, or where they contradict each other
//! plan.rs      the workflow of pull requests
//! deploy.rs    the workflow that deploys one environment
//! drift.rs     the workflow that looks for drift
//! steps.rs     what their jobs share
//! model.rs     Workflow, Job, JobStep: a workflow as GitHub has it
//! yaml.rs      the writer
//! pins.rs      what stands behind `uses: …@`, which belongs to the user
//! text.rs      the whole file, and what of it is compared
//! needs.rs     the secrets and variables that GitHub has to have
//! ```

mod deploy;
mod drift;
pub mod model;
mod needs;
mod pins;
mod plan;
mod project;
mod steps;
mod text;
pub mod yaml;

pub use needs::GithubNeeds;
pub use pins::{find_moving_references, keep_pins, list_actions};
pub use project::{Project, ProjectEnvironment};
pub use text::{FILE_PREFIX, GeneratedFile, Mark, compared_text};

use model::Workflow;

/// The workflows of a project, sorted by file.
#[must_use]
pub fn workflows(project: &Project) -> Vec<Workflow> {
    let mut workflows: Vec<Workflow> = project
        .environments
        .iter()
        .filter(|environment| !environment.deployment.triggers.is_empty())
        .map(|environment| deploy::workflow(project, environment))
        .collect();
    workflows.extend(plan::workflow(project));
    workflows.extend(drift::workflow(project));
    workflows.sort_by(|a, b| a.file.cmp(&b.file));
    workflows
}

/// The files of a project, sorted by name.
#[must_use]
pub fn generate(project: &Project) -> Vec<GeneratedFile> {
    let mark = Mark::of(project);
    let workflows = workflows(project);
    let files = workflows.iter();
    files.map(|workflow| mark.file(workflow)).collect()
}
