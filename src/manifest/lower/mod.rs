//! A checked manifest to resources. Whatever Fly would refuse is refused here, before any request, and lowering goes on
//! after a problem so that all of them are told at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Inputs, Problem,
    load::Mentions,
    node::{Files, Node, Place},
    references::References,
    shape::Document,
    spot::Spot,
};
use crate::{
    kinds::{Desired, Meta},
    model::{Address, Mark, Name},
};

mod app;
mod aws;
mod checks;
mod container;
mod cron;
mod depends;
mod deploy;
mod env;
mod files;
mod groups;
mod guest;
mod machine_config;
mod machines;
mod mounts;
mod names;
mod network;
mod parts;
mod ports;
mod scalars;
mod secrets;
mod services;
mod sources;

pub(super) use names::default_name;

/// What lowering looks at besides the document.
pub(super) struct Scene<'a> {
    /// What was given from outside.
    pub(super) inputs: &'a Inputs,
    /// The files, for paths that are relative to them.
    pub(super) files: &'a Files,
    /// The environment's name.
    pub(super) environment: String,
    /// The variables that have a value.
    pub(super) vars: BTreeMap<String, String>,
    /// The apps' names on Fly, by key.
    pub(super) names: BTreeMap<String, String>,
    /// Names and ARNs on AWS.
    pub(super) references: References,
    /// What texts refer to.
    pub(super) mentions: Mentions,
}

/// What lowering gives.
pub(super) struct Lowered {
    /// The resources; complete only when nothing is wrong.
    pub(super) desired: Desired,
    /// Which place made which resource.
    pub(super) places: BTreeMap<Address, Place>,
    /// Where an app or a cron machine names its image.
    pub(super) images: BTreeMap<Name, Place>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
}

/// Where problems and warnings go.
#[derive(Default)]
struct Sink {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// How many bytes of local files were read.
    read: usize,
}

impl Sink {
    fn error(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }
}

/// Lowers a whole environment.
pub(super) fn lower(
    document: &Document,
    root: &Node,
    scene: &Scene<'_>,
    warnings: Vec<Problem>,
) -> Lowered {
    let at = Spot::root(root);
    let mut sink = Sink {
        warnings,
        ..Sink::default()
    };
    let project = document.project.clone().unwrap_or_default();
    let org = document
        .fly
        .as_ref()
        .and_then(|fly| fly.org.clone())
        .unwrap_or_default();
    names::check_labels(document, scene, at, &mut sink);
    let meta = Meta {
        mark: Mark {
            project,
            environment: scene.environment.clone(),
        },
        org,
        aws: None,
        adopt: BTreeSet::new(),
        rolls_back: BTreeSet::new(),
        warnings: Vec::new(),
    };
    let mut lowered = Lowered {
        desired: Desired::empty(meta),
        places: BTreeMap::new(),
        images: BTreeMap::new(),
        problems: Vec::new(),
    };
    names::check_apps(document, scene, at, &mut sink);
    let for_apps = aws::lower(document, scene, at, &mut lowered, &mut sink);
    let mut found = sources::Found::new(scene, document.dotenv.as_deref(), at.key("dotenv"));
    for (key, app) in &document.apps {
        if names::check_key(key, at.key("apps").key(key), &mut sink) {
            let app = app::AppScene::new(
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
    secrets::remembered(&mut lowered.desired);
    secrets::fingerprint(&mut lowered.desired);
    depends::link(document, at, &mut lowered.desired, &mut sink);
    lowered.desired.meta.warnings = in_words(scene.files, sink.warnings);
    lowered.problems = sink.problems;
    lowered
}

/// Warnings as lines: where, what, and what to do.
fn in_words(files: &Files, warnings: Vec<Problem>) -> Vec<String> {
    let (mut lines, mut said) = (Vec::new(), BTreeSet::new());
    for Problem {
        message,
        at,
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
