//! Lowers a validated manifest to resources. Whatever Fly or AWS would refuse is refused here,
//! before any request. Lowering continues after an error, so that all errors are reported at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Diagnostic, Inputs,
    aws_references::AwsReferences,
    build_spec::{BuildSpec, FlyTomlBuild},
    github::GithubSettings,
    load::UsedReferences,
    schema::{Manifest, PostgresSection},
    syntax::{
        cursor::Cursor,
        mask,
        node::{FileId, SourceFiles, SourceLocation, TomlNode},
    },
};
use crate::{
    kinds::{Desired, EnvironmentMeta},
    model::{Address, Image, Name, OwnershipMark},
};

mod aws;
mod fly;
mod github;
mod names;
mod postgres;

pub(super) use names::default_app_name;

/// The input of lowering, besides the manifest.
pub(super) struct Context<'a> {
    /// Variables, images and the environment of the command line.
    pub(super) inputs: &'a Inputs,
    /// The source files, for paths that are relative to them.
    pub(super) files: &'a SourceFiles,
    /// Which of them are fly.toml files.
    pub(super) fly_toml_files: &'a [FileId],
    /// What the `[build]` of each app's fly.toml says, by the key of the app.
    pub(super) fly_toml_builds: &'a BTreeMap<String, FlyTomlBuild>,
    /// The environment's name.
    pub(super) environment: String,
    /// The variables that have a value.
    pub(super) vars: BTreeMap<String, String>,
    /// The apps' names on Fly, by key.
    pub(super) app_names: BTreeMap<String, String>,
    /// The Postgres clusters, by key.
    pub(super) postgres: &'a BTreeMap<String, PostgresSection>,
    /// The values of AWS references.
    pub(super) aws_references: AwsReferences,
    /// The resources that strings refer to.
    pub(super) used_references: UsedReferences,
}

/// The result of lowering.
pub(super) struct Lowered {
    /// The resources; complete only when there are no errors.
    pub(super) desired: Desired,
    /// Where the manifest defines each resource.
    pub(super) locations: BTreeMap<Address, SourceLocation>,
    /// Where an app or a cron machine sets its image.
    pub(super) image_locations: BTreeMap<Name, SourceLocation>,
    /// How GitHub deploys it.
    pub(super) github: GithubSettings,
    /// How the images of apps are built.
    pub(super) builds: BTreeMap<Name, BuildSpec>,
    pub(super) errors: Vec<Diagnostic>,
}

/// Collects errors and warnings.
#[derive(Default)]
struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The number of bytes read from local files so far.
    local_file_bytes: usize,
    /// The fly.toml files, in which what flyctl accepts is not refused.
    fly_toml_files: Vec<FileId>,
}

impl Diagnostics {
    fn error(&mut self, diagnostic: Diagnostic) {
        self.errors.push(diagnostic);
    }

    /// Reports what flyctl accepts although it has no effect or not the intended one: a mistake in
    /// a manifest, but only a warning in a fly.toml, because the app already runs with it.
    fn refuse_in_manifest(&mut self, diagnostic: Diagnostic) {
        if self.is_in_fly_toml(diagnostic.location.as_ref()) {
            self.warn(diagnostic);
        } else {
            self.error(diagnostic);
        }
    }

    /// Whether a location is in a fly.toml.
    fn is_in_fly_toml(&self, location: Option<&SourceLocation>) -> bool {
        location.is_some_and(|location| self.fly_toml_files.contains(&location.file))
    }

    fn warn(&mut self, diagnostic: Diagnostic) {
        self.warnings.push(diagnostic);
    }
}

/// The images of the command line, by the app that they are for.
fn given_images(context: &Context<'_>) -> BTreeMap<Name, Image> {
    let images = context.inputs.images.iter();
    images
        .filter_map(|(app, image)| Some((Name::parse(app).ok()?, Image::new(image.clone()))))
        .collect()
}

/// Lowers a whole environment.
pub(super) fn lower(
    manifest: &Manifest,
    root: &TomlNode,
    context: &Context<'_>,
    warnings: Vec<Diagnostic>,
) -> Lowered {
    let cursor = Cursor::root(root);
    let mut diagnostics = Diagnostics {
        warnings,
        fly_toml_files: context.fly_toml_files.to_vec(),
        ..Diagnostics::default()
    };
    let project = manifest.project.clone().unwrap_or_default();
    let org = manifest
        .fly
        .as_ref()
        .and_then(|fly| fly.org.clone())
        .unwrap_or_default();
    names::check_environment_names(manifest, context, cursor, &mut diagnostics);
    let meta = EnvironmentMeta {
        mark: OwnershipMark {
            project,
            environment: context.environment.clone(),
        },
        org,
        aws: None,
        adopt: BTreeSet::new(),
        allow_destroy: BTreeSet::new(),
        rotate: BTreeSet::new(),
        deep: false,
        given_images: given_images(context),
        rollback_on_failure: BTreeSet::new(),
        warnings: Vec::new(),
    };
    let mut lowered = Lowered {
        desired: Desired::empty(meta),
        locations: BTreeMap::new(),
        image_locations: BTreeMap::new(),
        github: github::lower_github(manifest, root, context, &mut diagnostics),
        builds: BTreeMap::new(),
        errors: Vec::new(),
    };
    names::check_app_names(manifest, context, cursor, &mut diagnostics);
    let aws_bindings = aws::lower(manifest, context, cursor, &mut lowered, &mut diagnostics);
    let mut secret_reader = fly::secret_sources::SecretReader::new(
        context,
        manifest.dotenv.as_deref(),
        cursor.key("dotenv"),
    );
    for (key, app) in &manifest.apps {
        if names::check_app_key(key, cursor.key("apps").key(key), &mut diagnostics) {
            let app = fly::app::AppContext::new(
                context,
                key,
                app,
                cursor.key("apps").key(key),
                &lowered.desired.meta,
                &aws_bindings,
                &mut diagnostics,
            );
            if let Some(app) = app {
                app.lower(&mut lowered, &mut secret_reader, &mut diagnostics);
            }
        }
    }
    postgres::lower_clusters(
        manifest,
        context,
        &aws_bindings,
        cursor,
        &mut lowered,
        &mut secret_reader,
        &mut diagnostics,
    );
    // These look at all apps, so they run when every app has been lowered.
    postgres::check_database_names(&lowered.desired, &lowered.locations, &mut diagnostics);
    postgres::mark_databases_with_machines(&mut lowered.desired);
    fly::secrets::mark_secrets_with_machines(&mut lowered.desired);
    fly::depends_on::lower_depends_on(manifest, cursor, &mut lowered.desired, &mut diagnostics);
    lowered.desired.meta.warnings = format_warnings(context.files, diagnostics.warnings);
    lowered.errors = diagnostics.errors;
    lowered
}

/// Formats warnings as lines: location, message, label and help. Repeated lines are dropped.
fn format_warnings(files: &SourceFiles, warnings: Vec<Diagnostic>) -> Vec<String> {
    let (mut lines, mut seen) = (Vec::new(), BTreeSet::new());
    for Diagnostic {
        message,
        location,
        label,
        help,
    } in warnings
    {
        let location_prefix = location.map(|location| {
            format!(
                "{}:{}: ",
                files.get(location.file).path.display(),
                files.line_column(&location).0
            )
        });
        let details: String = [Some(label).filter(|label| !label.is_empty()), help]
            .into_iter()
            .flatten()
            .map(|detail| format!("; {detail}"))
            .collect();
        let line = format!("{}{message}{details}", location_prefix.unwrap_or_default());
        let line = mask::mask_message(&line);
        if seen.insert(line.clone()) {
            lines.push(line);
        }
    }
    lines
}
