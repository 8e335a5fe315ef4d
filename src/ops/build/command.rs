//! The command lines of the builders. Nothing secret is in them: secrets are variables of the builder's own environment.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use tempfile::TempDir;

use super::{OperationError, group::BuildPaths};
use crate::{
    manifest::{BuildSpec, schema::Builder},
    model::{Image, Secret},
};

/// The platform of Fly's machines; a builder would otherwise build for its own.
const PLATFORM: &str = "linux/amd64";

/// A program with its arguments and what is added to its environment.
pub(super) struct Program {
    /// Its names, the first one that is installed counts.
    pub(super) names: &'static [&'static str],
    pub(super) args: Vec<String>,
    /// Settings that are no secrets.
    pub(super) settings: &'static [(&'static str, &'static str)],
    pub(super) env: Vec<(String, Secret)>,
    /// Variables of this process that it must not see.
    pub(super) removed_env: &'static [&'static str],
}

impl Program {
    /// The program and the words that say what it does.
    pub(super) fn title(&self) -> String {
        let words = self
            .args
            .iter()
            .take_while(|word| !word.starts_with(['-', '/']));
        let words = std::iter::once(self.names[0]).chain(words.map(String::as_str));
        words.take(3).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn is_flyctl(&self) -> bool {
        self.names[0] == "flyctl"
    }
}

/// What is run for one image, in order.
pub(super) struct BuildCommand {
    pub(super) programs: Vec<Program>,
    /// The files that the builder reads and writes. They are removed with this value.
    files: TempDir,
    writes_digest: bool,
}

impl BuildCommand {
    pub(super) fn new(
        spec: &BuildSpec,
        paths: &BuildPaths,
        image: &Image,
        tag: &str,
        fly_token: &Secret,
    ) -> Result<Self, OperationError> {
        let files = tempfile::tempdir().map_err(|error| cannot_write(&error))?;
        let programs = match spec.builder {
            Builder::FlyRemote => {
                let config = match &paths.fly_toml {
                    Some(path) => path.clone(),
                    // Without it flyctl would read a fly.toml of the context, and prefer what that says.
                    None => {
                        let path = files.path().join("fly.toml");
                        let text = format!("app = \"{}\"\n", spec.app);
                        std::fs::write(&path, text).map_err(|error| cannot_write(&error))?;
                        path
                    }
                };
                vec![flyctl(spec, paths, &config, tag, fly_token)?]
            }
            Builder::Docker => {
                let mut build = vec!["build".to_owned()];
                build.extend(docker_args(spec, paths, image)?);
                let push = ["push", image.as_str()].map(str::to_owned).to_vec();
                vec![docker(build, spec), docker(push, spec)]
            }
            Builder::Buildx => {
                let mut build = ["buildx", "build", "--push"].map(str::to_owned).to_vec();
                let metadata = text(&files.path().join(METADATA_FILE))?;
                build.extend(["--metadata-file".to_owned(), metadata]);
                build.extend(docker_args(spec, paths, image)?);
                vec![docker(build, spec)]
            }
        };
        Ok(Self {
            programs,
            files,
            writes_digest: spec.builder == Builder::Buildx,
        })
    }

    /// The digest that the builder has written down, where it does.
    pub(super) fn read_digest(&self) -> Result<Option<String>, OperationError> {
        if !self.writes_digest {
            return Ok(None);
        }
        let path = self.files.path().join(METADATA_FILE);
        let metadata = std::fs::read(path).ok();
        let metadata: Option<serde_json::Value> =
            metadata.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let digest = metadata
            .as_ref()
            .and_then(|metadata| metadata.get("containerimage.digest")?.as_str());
        match digest.filter(|digest| Image::parse(&format!("x@{digest}")).is_ok()) {
            Some(digest) => Ok(Some(digest.to_owned())),
            None => Err(OperationError::invalid(
                "docker buildx has pushed an image, and has not said which",
                "its --metadata-file lacks `containerimage.digest`: update the buildx plugin, or set `builder = \"docker\"`",
            )),
        }
    }
}

/// The file in which buildx says what it has built.
const METADATA_FILE: &str = "metadata.json";

fn flyctl(
    spec: &BuildSpec,
    paths: &BuildPaths,
    config: &Path,
    tag: &str,
    fly_token: &Secret,
) -> Result<Program, OperationError> {
    let mut args = vec!["deploy".to_owned(), text(&paths.context)?];
    args.extend(["--build-only", "--push", "--remote-only"].map(str::to_owned));
    args.extend(["--app".to_owned(), spec.app.clone()]);
    args.extend(["--config".to_owned(), text(config)?]);
    args.extend(["--image-label".to_owned(), tag.to_owned()]);
    // With a fly.toml of its own, flyctl finds these there.
    if paths.fly_toml.is_none() {
        for (option, path) in [
            ("--dockerfile", &paths.dockerfile),
            ("--ignorefile", &paths.ignorefile),
        ] {
            if let Some(path) = path {
                args.extend([option.to_owned(), text(path)?]);
            }
        }
        if let Some(target) = &spec.target {
            args.extend(["--build-target".to_owned(), target.clone()]);
        }
    }
    args.extend(build_args(spec));
    Ok(Program {
        names: &["flyctl", "fly"],
        args,
        settings: &[],
        env: vec![("FLY_API_TOKEN".to_owned(), fly_token.clone())],
        // flyctl prefers it, and it may be of another organization.
        removed_env: &["FLY_ACCESS_TOKEN"],
    })
}

fn docker(args: Vec<String>, spec: &BuildSpec) -> Program {
    let secrets = spec.secrets.values().enumerate();
    let secrets =
        secrets.filter_map(|(index, value)| Some((secret_variable(index), value.clone()?)));
    Program {
        names: &["docker"],
        args,
        // Versions before 23 know no secrets unless they are asked.
        settings: &[("DOCKER_BUILDKIT", "1")],
        env: secrets.collect(),
        removed_env: &[],
    }
}

/// The options that `docker build` and `docker buildx build` share.
fn docker_args(
    spec: &BuildSpec,
    paths: &BuildPaths,
    image: &Image,
) -> Result<Vec<String>, OperationError> {
    let mut args = ["--platform", PLATFORM, "--progress", "plain"]
        .map(str::to_owned)
        .to_vec();
    if let Some(dockerfile) = &paths.dockerfile {
        args.extend(["--file".to_owned(), text(dockerfile)?]);
    }
    if let Some(target) = &spec.target {
        args.extend(["--target".to_owned(), target.clone()]);
    }
    args.extend(build_args(spec));
    for (index, id) in spec.secrets.keys().enumerate() {
        let source = format!("id={id},env={}", secret_variable(index));
        args.extend(["--secret".to_owned(), source]);
    }
    args.extend(["--tag".to_owned(), image.as_str().to_owned()]);
    args.push(text(&paths.context)?);
    Ok(args)
}

fn build_args(spec: &BuildSpec) -> impl Iterator<Item = String> {
    let args = spec.args.iter();
    args.flat_map(|(name, value)| ["--build-arg".to_owned(), format!("{name}={value}")])
}

/// The variable that holds a secret of the build. A name of our own cannot replace one that the builder itself reads.
fn secret_variable(index: usize) -> String {
    format!("TRIMTAB_BUILD_SECRET_{index}")
}

/// A path as an argument.
fn text(path: &Path) -> Result<String, OperationError> {
    let text: &OsStr = path.as_os_str();
    OsString::from(text).into_string().map_err(|_| {
        OperationError::invalid(
            format!("the path {} is not UTF-8", path.display()),
            "builders get it as an argument: rename the folder",
        )
    })
}

fn cannot_write(error: &std::io::Error) -> OperationError {
    OperationError::invalid(
        format!("cannot write a temporary file for the builder: {error}"),
        "TMPDIR names the folder for it",
    )
}
