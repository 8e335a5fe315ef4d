//! What stands beside the manifests: Dockerfiles, files of flyctl, what git ignores, manifests that are not valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    DoctorFinding,
    FindingArea::Repository,
    dockerfile::{ImageUser, image_user},
};
use crate::{
    manifest::{LoadedEnvironment, syntax::bounded_read},
    ops::git,
};

/// How deep below the root files of flyctl are looked for.
const MAX_DEPTH: usize = 4;
/// Folders with nothing of the user's own.
const SKIPPED_FOLDERS: [&str; 4] = ["node_modules", "target", "vendor", "dist"];

/// A manifest that is not valid.
#[derive(Clone, Debug)]
pub struct InvalidManifest {
    /// The environment.
    pub environment: String,
    /// Its path.
    pub path: PathBuf,
    /// The first error.
    pub summary: String,
}

/// Manifests that are not valid.
#[must_use]
pub fn check_invalid(manifests: &[InvalidManifest]) -> Vec<DoctorFinding> {
    let finding = |manifest: &InvalidManifest| {
        DoctorFinding::wrong(
            Repository,
            manifest.path.display().to_string(),
            format!("the manifest is not valid: {}", manifest.summary),
            format!("trimtab validate {}", manifest.environment),
        )
    };
    manifests.iter().map(finding).collect()
}

/// Dockerfiles whose program runs as root.
#[must_use]
pub fn check_builds(manifests: &[LoadedEnvironment]) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for build in manifests.iter().flat_map(|loaded| loaded.builds.values()) {
        let dockerfile = build.dockerfile.clone();
        let path = dockerfile.unwrap_or_else(|| build.context.join("Dockerfile"));
        // Without one, flyctl builds with buildpacks, or the build says why it fails.
        let Ok(text) = bounded_read::read_user_file(&path) else {
            continue;
        };
        let why = match image_user(&text, build.target.as_deref()) {
            ImageUser::Root => "the program runs as root: it ends with USER root",
            ImageUser::Unstated => "the program runs as root: it has no USER",
            ImageUser::Other => continue,
        };
        findings.push(DoctorFinding::wrong(
            Repository,
            shown_path(&path),
            why,
            "add `RUN useradd --system --uid 10001 app` and, before CMD, `USER app`; what it writes must belong to that user",
        ));
    }
    findings
}

/// Files of flyctl that name an app of a manifest, and that no manifest reads: `fly deploy` beside one deploys past the plan.
#[must_use]
pub fn check_fly_tomls(root: &Path, manifests: &[LoadedEnvironment]) -> Vec<DoctorFinding> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let read: BTreeSet<PathBuf> = manifests
        .iter()
        .flat_map(|loaded| loaded.files.paths())
        .map(real)
        .collect();
    let apps: BTreeMap<&str, &LoadedEnvironment> = manifests
        .iter()
        .flat_map(|loaded| {
            let apps = loaded.desired.fly_app.values();
            apps.map(move |app| (app.name.as_str(), loaded))
        })
        .collect();
    let mut files = Vec::new();
    find_fly_tomls(root, 0, &mut files);
    let mut findings = Vec::new();
    for path in files {
        let owner = app_of(&path).and_then(|app| Some((*apps.get(app.as_str())?, app)));
        let Some((loaded, app)) = owner.filter(|_| !read.contains(&real(&path))) else {
            continue;
        };
        let place = path.strip_prefix(root).unwrap_or(&path).display();
        let (manifest, command) = (loaded.path.display(), deploy_command(&path));
        findings.push(DoctorFinding::wrong(
            Repository,
            place.to_string(),
            format!("it names {app}, which {manifest} describes: `{command}` would deploy it past the plan"),
            format!("git rm {place}"),
        ).and_step(format!("or let the manifest read it: `config` of the app in {manifest}")));
    }
    findings
}

fn deploy_command(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match &*name {
        "fly.toml" => "fly deploy".to_owned(),
        name => format!("fly deploy --config {name}"),
    }
}

/// The app that a file of flyctl names.
fn app_of(path: &Path) -> Option<String> {
    let text = bounded_read::read_user_file(path).ok()?;
    let table: toml::Table = text.parse().ok()?;
    table.get("app")?.as_str().map(str::to_owned)
}

fn find_fly_tomls(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A link may lead out of the repository, or around in it.
        let Ok(kind) = path.symlink_metadata() else {
            continue;
        };
        let is_skipped = name.starts_with('.') || SKIPPED_FOLDERS.contains(&&*name);
        if kind.is_dir() && depth < MAX_DEPTH && !is_skipped {
            find_fly_tomls(&path, depth + 1, found);
        } else if kind.is_file() && name.starts_with("fly.") && name.ends_with(".toml") {
            found.push(path.clone());
        }
    }
}

/// What trimtab keeps beside the manifests, if git has it or would take it in. The sandbox keeps its own state out of git.
#[must_use]
pub fn check_ignored(folder: &Path) -> Option<DoctorFinding> {
    let list = |option: &[&str]| {
        let arguments = [&["ls-files", "-z"], option, &["--", ".trimtab"]].concat();
        // It fails where there is no repository, or no git.
        git::run(folder, &arguments).is_ok_and(|listed| !listed.is_empty())
    };
    let is_tracked = list(&["--cached"]);
    if !is_tracked && !list(&["--others", "--exclude-standard"]) {
        return None;
    }
    let finding = DoctorFinding::wrong(
        Repository,
        ".gitignore",
        "git does not ignore .trimtab/, where trimtab keeps what is for this machine only",
        "echo .trimtab/ >> .gitignore",
    );
    Some(match is_tracked {
        true => finding.and_step("git rm -r --cached .trimtab"),
        false => finding,
    })
}

/// A path relative to the current folder, where it is below it.
fn shown_path(path: &Path) -> String {
    let current = std::env::current_dir().and_then(std::fs::canonicalize);
    let real = std::fs::canonicalize(path);
    match (current, real) {
        (Ok(current), Ok(real)) => real.strip_prefix(&current).unwrap_or(path).to_owned(),
        _ => path.to_owned(),
    }
    .display()
    .to_string()
}
