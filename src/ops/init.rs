//! `init`: writes the first manifest of an environment, with what stands around it. Nothing that exists is overwritten.

use std::{
    io::{ErrorKind, Write as _},
    path::{Component, Path, PathBuf},
};

use super::OperationError;
use crate::{
    clouds::fly::FlyReader,
    manifest::{
        self, LoadedEnvironment,
        syntax::bounded_read,
        write::{self, LiveAppText, ManifestHead},
    },
    model::{Name, OwnershipMark},
    observe,
};

/// The local state, which belongs into no repository.
const LOCAL_STATE: &str = ".trimtab/";
/// The spellings that cover it in a .gitignore.
const IGNORING_LINES: [&str; 4] = [".trimtab/", ".trimtab", "/.trimtab/", "/.trimtab"];

/// The text of a manifest, and what a reader has to know about it.
#[derive(Clone, Debug)]
pub struct NewManifest {
    /// The text.
    pub text: String,
    /// What is not in it, one sentence each.
    pub notes: Vec<String>,
}

/// Writes a live app as a manifest.
///
/// # Errors
/// When there is no such app, it has another owner, or a list cannot be read to its end.
pub async fn describe_live_app(
    reader: &FlyReader,
    app: &str,
    project: &str,
    environment: &str,
) -> Result<NewManifest, OperationError> {
    let mark = OwnershipMark {
        project: project.to_owned(),
        environment: environment.to_owned(),
    };
    let key = ManifestHead::key_of(app, project, environment);
    let name = Name::parse(&key).map_err(|error| {
        OperationError::invalid(error.to_string(), "name the app as `fly apps list` does")
    })?;
    let Some(inventory) = observe::take_inventory(reader, &name, app, &mark).await? else {
        return Err(OperationError::invalid(
            format!("there is no app {app} that this token can see"),
            "`fly apps list` shows the apps; each organization has a token of its own",
        ));
    };
    let own = mark.app_label();
    let mut labels = inventory.app.labels.iter();
    if let Some(other) =
        labels.find(|label| label.starts_with(OwnershipMark::LABEL_PREFIX) && **label != own)
    {
        return Err(OperationError::invalid(
            format!("{app} belongs to another environment already: its label is {other}"),
            "change its own manifest, or name the project and the environment that it belongs to: --project, --environment",
        ));
    }
    let head = ManifestHead {
        project: project.to_owned(),
        environment: environment.to_owned(),
        org: inventory.app.org.clone(),
        key,
    };
    let written = LiveAppText {
        app: &inventory.app,
        is_owned: inventory.app.has_owner_label(&mark),
        machines: &inventory.machines,
        volumes: &inventory.volumes,
        secrets: &inventory.secrets,
        ips: &inventory.ips,
        certificates: &inventory.certificates,
    }
    .write();
    Ok(NewManifest {
        text: write::live_app(&head, &written),
        notes: written.notes,
    })
}

/// Writes the manifest of an app that keeps its fly.toml. With the environment that a first text has loaded, it says how many
/// machines there are.
#[must_use]
pub fn describe_fly_toml(
    head: &ManifestHead,
    config: &str,
    loaded: Option<&LoadedEnvironment>,
) -> String {
    let mut groups: Vec<(String, Vec<(String, u32)>)> = Vec::new();
    let machines = loaded
        .iter()
        .flat_map(|loaded| loaded.desired.fly_machine.values());
    for spec in machines {
        let region = spec.workload.region.to_string();
        let group = match groups.iter().position(|(name, _)| *name == spec.group) {
            Some(index) => index,
            None => {
                groups.push((spec.group.clone(), Vec::new()));
                groups.len() - 1
            }
        };
        let counts = &mut groups[group].1;
        match counts.iter_mut().find(|(name, _)| *name == region) {
            Some((_, count)) => *count += 1,
            None => counts.push((region, 1)),
        }
    }
    write::fly_toml_app(head, config, &groups)
}

/// The app's name in a fly.toml or fly.json, if it says one.
#[must_use]
pub fn app_name_in(file: &Path) -> Option<String> {
    let text = bounded_read::read_user_file(file).ok()?;
    let is_json = file.extension().is_some_and(|end| end == "json");
    if is_json {
        let document: serde_json::Value = serde_json::from_str(&text).ok()?;
        return document.get("app")?.as_str().map(str::to_owned);
    }
    let document: toml::Table = text.parse().ok()?;
    document.get("app")?.as_str().map(str::to_owned)
}

/// How a file in `folder` names another file.
///
/// # Errors
/// When one of them does not exist.
pub fn relative_path(folder: &Path, file: &Path) -> Result<String, OperationError> {
    let absolute = |path: &Path| {
        std::fs::canonicalize(path).map_err(|error| {
            OperationError::invalid(
                format!("cannot read {}: {error}", path.display()),
                "name a file that exists, relative to this folder",
            )
        })
    };
    let (folder, file) = (absolute(folder)?, absolute(file)?);
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), file.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared).map(PathBuf::from);
    let down = to[shared..]
        .iter()
        .map(|part| PathBuf::from(part.as_os_str()));
    let path: PathBuf = up.chain(down).collect();
    Ok(path.display().to_string())
}

/// A manifest that was created, until it is kept: a text that turns out not to be valid leaves nothing behind.
#[derive(Debug)]
pub struct CreatedManifest {
    path: PathBuf,
    is_kept: bool,
}

impl CreatedManifest {
    /// Creates the file.
    ///
    /// # Errors
    /// When it exists, or cannot be written.
    pub fn create(folder: &Path, environment: &str, text: &str) -> Result<Self, OperationError> {
        let path = folder.join(format!("{environment}.toml"));
        std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        let created = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path);
        let mut file = match created {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(OperationError::invalid(
                    format!("{} exists, and init never overwrites", path.display()),
                    "change it, or make another: --environment NAME",
                ));
            }
            Err(error) => return Err(cannot_write(&path, &error)),
        };
        let manifest = Self {
            path,
            is_kept: false,
        };
        file.write_all(text.as_bytes())
            .map_err(|error| cannot_write(&manifest.path, &error))?;
        Ok(manifest)
    }

    /// Replaces the text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn rewrite(&self, text: &str) -> Result<(), OperationError> {
        std::fs::write(&self.path, text).map_err(|error| cannot_write(&self.path, &error))
    }

    /// Keeps it, and adds what stands around it: the schema that editors read, and what git ignores. Returns the paths that were
    /// written.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn keep(mut self, folder: &Path) -> Result<Vec<PathBuf>, OperationError> {
        self.is_kept = true;
        let mut written = vec![self.path.clone()];
        // Beside the folder, which may be named through another one.
        let beside = folder.parent().unwrap_or(Path::new(""));
        let schema = beside.join(write::SCHEMA_PATH.trim_start_matches("../"));
        if let Some(parent) = schema.parent()
            && !schema.exists()
        {
            std::fs::create_dir_all(parent).map_err(|error| cannot_write(parent, &error))?;
            let text = serde_json::to_string_pretty(&manifest::editor_schema()).unwrap_or_default();
            std::fs::write(&schema, text + "\n").map_err(|error| cannot_write(&schema, &error))?;
            written.push(schema);
        }
        let ignore = Path::new(".gitignore");
        if ignore_local_state(ignore).map_err(|error| cannot_write(ignore, &error))? {
            written.push(ignore.to_owned());
        }
        Ok(written)
    }
}

impl Drop for CreatedManifest {
    fn drop(&mut self) {
        if !self.is_kept {
            // It was not there before.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Adds the local state to a .gitignore; `false` when it is ignored already.
fn ignore_local_state(file: &Path) -> std::io::Result<bool> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        other => other?,
    };
    if text
        .lines()
        .any(|line| IGNORING_LINES.contains(&line.trim()))
    {
        return Ok(false);
    }
    let newline = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let mut out = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)?;
    out.write_all(format!("{newline}{LOCAL_STATE}\n").as_bytes())?;
    Ok(true)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> OperationError {
    OperationError::invalid(
        format!("cannot write {}: {error}", path.display()),
        "run it where the repository is, in a folder that you may write to",
    )
}
