//! The workflow files in the repository.

use std::path::Path;

use super::super::{DoctorFinding, FindingArea::Repository};
use crate::{
    manifest::syntax::bounded_read,
    ops::{FileState, WorkflowFile},
    workflows::Project,
};

/// WorkflowState files that are not as the manifests imply.
#[must_use]
pub fn check_workflow_files(files: &[WorkflowFile]) -> Vec<DoctorFinding> {
    let stale = |file: &WorkflowFile| {
        let what = match &file.state {
            FileState::Missing => "it is missing: the manifests imply it".to_owned(),
            FileState::Differs(_) => "it differs from what the manifests imply".to_owned(),
            FileState::LeftOver => "it is left over: no manifest asks for it any more".to_owned(),
            FileState::Unpinned(references) => {
                format!("others can move {}", references.join(", "))
            }
            FileState::UpToDate | FileState::NotOurs(_) => return None,
        };
        Some(
            DoctorFinding::wrong(Repository, &file.path, what, "trimtab workflows")
                .and_step("git add .github/workflows && git commit"),
        )
    };
    files.iter().filter_map(stale).collect()
}

/// The project's own workflow with the tests, which the generated ones call.
#[must_use]
pub fn check_test_workflow(root: &Path, project: &Project) -> Option<DoctorFinding> {
    let test = project.section.test.as_deref()?;
    // Another repository's file is not here.
    let path = test.strip_prefix("./")?;
    let Ok(text) = bounded_read::read_user_file(&root.join(path)) else {
        return Some(DoctorFinding::wrong(
            Repository,
            path,
            "`test` in [github.workflows] names it, and it is not there: no workflow that calls it starts",
            format!("write {path} with `on: workflow_call:`, or take `test` out"),
        ));
    };
    (!text.contains("workflow_call")).then(|| {
        DoctorFinding::wrong(
            Repository,
            path,
            "other workflows call it for the tests, and it does not allow that",
            "add `workflow_call:` below `on:`",
        )
    })
}
