//! What to do when a builder fails: what it says in its own words is often known, and seldom says what to run.

use std::io;

use super::{OperationError, Workspace, command::Program};
use crate::{manifest::FLY_REGISTRY, model::Image};

/// The error for a builder that could not be started.
pub(super) fn not_started(program: &Program, error: &io::Error) -> OperationError {
    let name = program.names[0];
    if error.kind() != io::ErrorKind::NotFound {
        return OperationError::invalid(
            format!("cannot run {name}: {error}"),
            format!("try `{name} version` by hand"),
        );
    }
    let hint = if program.is_flyctl() {
        "install it from https://fly.io/docs/flyctl/install, or on GitHub with superfly/flyctl-actions/setup-flyctl; or set \
         `builder = \"buildx\"` in [apps.KEY.build]"
    } else {
        "install it from https://docs.docker.com/get-docker, or leave `builder` out in [apps.KEY.build], which builds on Fly"
    };
    OperationError::invalid(format!("there is no {name} on the PATH"), hint)
}

/// The error for a builder that ended with an error.
pub(super) fn failed(
    workspace: &Workspace,
    program: &Program,
    image: &Image,
    status: &str,
    last_lines: &[String],
) -> OperationError {
    let message = format!("{} of {image} failed: {status}", program.title());
    let said = last_lines.join("\n").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let hint = if program.is_flyctl() {
        flyctl_hint(workspace, image, says)
    } else {
        docker_hint(image, says)
    };
    let hint = hint.unwrap_or_else(|| "its output above says why".to_owned());
    OperationError::invalid(message, hint)
}

fn flyctl_hint(
    workspace: &Workspace,
    image: &Image,
    says: impl Fn(&[&str]) -> bool,
) -> Option<String> {
    let token = workspace.loaded.token_source.as_ref();
    let variable = token.map_or("FLY_API_TOKEN", |token| token.env.as_str());
    let org = &workspace.desired().meta.org;
    if says(&["unknown flag"]) {
        return Some("this flyctl is too old: `fly version upgrade`".to_owned());
    }
    if says(&["could not find app", "app not found"]) {
        let app = image.repository();
        return Some(format!(
            "make the app once, `fly apps create {app} --org {org}`, or check that {variable} is a token of {org}"
        ));
    }
    if says(&[
        "unauthorized",
        "not authorized",
        "no access token",
        "forbidden",
        "401",
        "403",
    ]) {
        return Some(format!(
            "{variable} has to be a token that may deploy to {org}: `fly tokens create org --org {org}`"
        ));
    }
    None
}

fn docker_hint(image: &Image, says: impl Fn(&[&str]) -> bool) -> Option<String> {
    if says(&[
        "cannot connect to the docker daemon",
        "is the docker daemon running",
    ]) {
        return Some("start Docker: `docker info` has to work".to_owned());
    }
    if says(&[
        "'buildx' is not a docker command",
        "unknown command: docker buildx",
        "unknown flag: --push",
        "unknown flag: --metadata-file",
        "buildx component is missing",
        "requires buildkit",
    ]) {
        return Some(
            "install the buildx plugin (https://docs.docker.com/build/install-buildx), or docker/setup-buildx-action on GitHub"
                .to_owned(),
        );
    }
    if says(&[
        "denied",
        "unauthorized",
        "no basic auth credentials",
        "authentication required",
        "401",
        "403 forbidden",
    ]) {
        let registry = image.registry();
        return Some(if registry == FLY_REGISTRY {
            "docker is not logged in to Fly's registry, or for another organization: `fly auth docker`".to_owned()
        } else {
            format!("docker is not logged in there: `docker login {registry}`")
        });
    }
    None
}
