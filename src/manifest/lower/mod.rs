//! A checked manifest to resources. Whatever Fly would refuse is refused here, before any request, and lowering goes on
//! after a problem so that all of them are told at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Diagnostic, Inputs,
    aws_references::AwsReferences,
    load::UsedReferences,
    schema::Manifest,
    syntax::{
        cursor::Cursor,
        node::{SourceFiles, SourceLocation, TomlNode},
    },
};
use crate::{
    kinds::{Desired, EnvironmentMeta},
    model::{Address, Name, OwnershipMark},
};

mod aws;
mod fly;
mod names;

pub(super) use names::default_app_name;

/// What lowering looks at besides the document.
pub(super) struct Context<'a> {
    /// What was given from outside.
    pub(super) inputs: &'a Inputs,
    /// The files, for paths that are relative to them.
    pub(super) files: &'a SourceFiles,
    /// The environment's name.
    pub(super) environment: String,
    /// The variables that have a value.
    pub(super) vars: BTreeMap<String, String>,
    /// The apps' names on Fly, by key.
    pub(super) app_names: BTreeMap<String, String>,
    /// Names and ARNs on AWS.
    pub(super) aws_references: AwsReferences,
    /// What texts refer to.
    pub(super) used_references: UsedReferences,
}

/// What lowering gives.
pub(super) struct Lowered {
    /// The resources; complete only when nothing is wrong.
    pub(super) desired: Desired,
    /// Which place made which resource.
    pub(super) locations: BTreeMap<Address, SourceLocation>,
    /// Where an app or a cron machine names its image.
    pub(super) image_locations: BTreeMap<Name, SourceLocation>,
    /// What is wrong.
    pub(super) errors: Vec<Diagnostic>,
}

/// Where problems and warnings go.
#[derive(Default)]
struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// How many bytes of local files were read.
    local_file_bytes: usize,
}

impl Diagnostics {
    fn error(&mut self, problem: Diagnostic) {
        self.errors.push(problem);
    }

    fn warn(&mut self, problem: Diagnostic) {
        self.warnings.push(problem);
    }
}

/// Lowers a whole environment.
pub(super) fn lower(
    document: &Manifest,
    root: &TomlNode,
    scene: &Context<'_>,
    warnings: Vec<Diagnostic>,
) -> Lowered {
    let at = Cursor::root(root);
    let mut sink = Diagnostics {
        warnings,
        ..Diagnostics::default()
    };
    let project = document.project.clone().unwrap_or_default();
    let org = document
        .fly
        .as_ref()
        .and_then(|fly| fly.org.clone())
        .unwrap_or_default();
    names::check_environment_names(document, scene, at, &mut sink);
    let meta = EnvironmentMeta {
        mark: OwnershipMark {
            project,
            environment: scene.environment.clone(),
        },
        org,
        aws: None,
        adopt: BTreeSet::new(),
        rollback_on_failure: BTreeSet::new(),
        warnings: Vec::new(),
    };
    let mut lowered = Lowered {
        desired: Desired::empty(meta),
        locations: BTreeMap::new(),
        image_locations: BTreeMap::new(),
        errors: Vec::new(),
    };
    names::check_app_names(document, scene, at, &mut sink);
    let for_apps = aws::lower(document, scene, at, &mut lowered, &mut sink);
    let mut found =
        fly::secret_sources::SecretReader::new(scene, document.dotenv.as_deref(), at.key("dotenv"));
    for (key, app) in &document.apps {
        if names::check_app_key(key, at.key("apps").key(key), &mut sink) {
            let app = fly::app::AppContext::new(
                scene,
                key,
                app,
                at.key("apps").key(key),
                &lowered.desired.meta,
                &for_apps,
                &mut sink,
            );
            if let Some(app) = app {
                app.lower(&mut lowered, &mut found, &mut sink);
            }
        }
    }
    fly::secrets::mark_used_secrets(&mut lowered.desired);
    fly::secrets::compute_fingerprints(&mut lowered.desired);
    fly::depends_on::lower_depends_on(document, at, &mut lowered.desired, &mut sink);
    lowered.desired.meta.warnings = format_warnings(scene.files, sink.warnings);
    lowered.errors = sink.errors;
    lowered
}

/// Warnings as lines: where, what, and what to do.
fn format_warnings(files: &SourceFiles, warnings: Vec<Diagnostic>) -> Vec<String> {
    let (mut lines, mut said) = (Vec::new(), BTreeSet::new());
    for Diagnostic {
        message,
        location: at,
        label: _,
        help,
    } in warnings
    {
        let place = at.map(|at| {
            format!(
                "{}:{}: ",
                files.get(at.file).path.display(),
                files.line_column(&at).0
            )
        });
        let help = help.map(|help| format!("; {help}"));
        let line = format!(
            "{}{message}{}",
            place.unwrap_or_default(),
            help.unwrap_or_default()
        );
        if said.insert(line.clone()) {
            lines.push(line);
        }
    }
    lines
}
