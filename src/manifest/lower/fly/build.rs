//! Lowers `[apps.KEY.build]`: how `trimtab build` makes the image of an app.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    app::AppContext, scalars, secret_origin::SecretOrigin, secret_sources::SecretReader,
    secret_value::SecretValue,
};
use crate::{
    manifest::{
        BuildSpec, FLY_REGISTRY, SecretsMode,
        build_spec::FlyTomlBuild,
        lower::{Diagnostics, Lowered},
        reader::resolve_relative_path,
        schema::{BuildSection, Builder},
        syntax::{cursor::Cursor, secret_detection},
    },
    model::{Image, Secret},
};

/// Adds how the app is built, if it says so.
pub(crate) fn lower_build(
    app: &AppContext<'_>,
    lowered: &mut Lowered,
    secret_reader: &mut SecretReader<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Some(section) = &app.app.build else {
        return;
    };
    let lowering = BuildLowering {
        app,
        section,
        cursor: app.cursor.key("build"),
        fly_toml: app.context.fly_toml_builds.get(app.key),
    };
    if let Some(spec) = lowering.lower(secret_reader, diagnostics) {
        lowered.builds.insert(app.name.clone(), spec);
    }
}

/// The input of lowering one build.
struct BuildLowering<'a> {
    app: &'a AppContext<'a>,
    section: &'a BuildSection,
    cursor: Cursor<'a>,
    /// The `[build]` of the app's fly.toml.
    fly_toml: Option<&'a FlyTomlBuild>,
}

impl BuildLowering<'_> {
    fn lower(
        &self,
        secret_reader: &mut SecretReader<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<BuildSpec> {
        let builder = self.section.builder.unwrap_or_default();
        let dockerfile = self.path("dockerfile", self.section.dockerfile.as_deref());
        let ignorefile = self.path("ignorefile", self.section.ignorefile.as_deref());
        let context = self.context(dockerfile.as_deref(), diagnostics)?;
        self.check_builder(
            builder,
            &context,
            dockerfile.as_deref(),
            ignorefile.as_deref(),
            diagnostics,
        );
        self.check_repository(builder, diagnostics);
        let target = self.section.build_target.clone();
        if target.as_deref().is_some_and(|target| {
            target.is_empty() || target.starts_with('-') || target.contains(char::is_whitespace)
        }) {
            let field = self.cursor.key("build-target");
            let diagnostic = field.diagnostic("this cannot be the name of a stage");
            diagnostics.error(
                diagnostic.with_help("it is the word after `AS` in a `FROM` of the Dockerfile"),
            );
        }
        let only_flyctl = self
            .fly_toml
            .filter(|fly_toml| fly_toml.flyctl_key.is_some());
        Some(BuildSpec {
            builder,
            context,
            dockerfile,
            ignorefile,
            target,
            args: self.args(diagnostics),
            secrets: self.secrets(builder, secret_reader, diagnostics),
            repository: self.section.repository.clone(),
            app: self.app_name().to_owned(),
            fly_toml: only_flyctl.map(|fly_toml| fly_toml.path.clone()),
        })
    }

    /// The app's name on Fly.
    fn app_name(&self) -> &str {
        let name = self.app.context.app_names.get(self.app.key);
        name.map_or("", String::as_str)
    }

    /// A path relative to the file that states it.
    fn path(&self, key: &str, path: Option<&str>) -> Option<PathBuf> {
        let location = self.cursor.key(key).value_location()?;
        let file = &self.app.context.files.get(location.file).path;
        Some(resolve_relative_path(file, path?))
    }

    /// The folder that is sent to the builder.
    fn context(&self, dockerfile: Option<&Path>, diagnostics: &mut Diagnostics) -> Option<PathBuf> {
        let stated = self.path("context", self.section.context.as_deref());
        // flyctl sends the folder in which it runs, which is usually that of the fly.toml.
        let of_config = || {
            let location = self.app.cursor.key("config").value_location()?;
            let file = &self.app.context.files.get(location.file).path;
            Some(resolve_relative_path(file, self.app.app.config.as_deref()?))
        };
        let beside = |file: PathBuf| file.parent().unwrap_or(Path::new("")).to_owned();
        let found = stated
            .or_else(|| of_config().map(beside))
            .or_else(|| dockerfile.map(Path::to_owned).map(beside));
        if found.is_none() {
            let diagnostic = self.cursor.diagnostic("this build has no `context`");
            diagnostics.error(diagnostic.with_help(
                "name the folder that is sent to the builder, relative to this file: `context = \"..\"`",
            ));
        }
        found
    }

    /// Refuses what the builder cannot do.
    fn check_builder(
        &self,
        builder: Builder,
        context: &Path,
        dockerfile: Option<&Path>,
        ignorefile: Option<&Path>,
        diagnostics: &mut Diagnostics,
    ) {
        let flyctl_key = self
            .fly_toml
            .and_then(|fly_toml| fly_toml.flyctl_key.as_deref());
        if let (Some(key), true) = (flyctl_key, builder != Builder::FlyRemote) {
            let field = self.cursor.key("builder");
            let diagnostic = field.diagnostic(format!(
                "the app's fly.toml builds with `{key}`, which only flyctl understands"
            ));
            diagnostics.error(
                diagnostic
                    .with_help("leave `builder` out, or write a Dockerfile and remove it there"),
            );
        }
        if let Some(key) = flyctl_key {
            // flyctl takes these from the fly.toml first, and would ignore what the manifest says.
            for own in ["dockerfile", "ignorefile", "build-target"] {
                let field = self.cursor.key(own);
                if field.is_present() && !diagnostics.is_in_fly_toml(field.value_location()) {
                    let diagnostic = field.diagnostic(format!(
                        "the app's fly.toml builds with `{key}`, so flyctl reads its `[build]` alone"
                    ));
                    diagnostics.error(diagnostic.with_help(format!("write `{own}` there")));
                }
            }
        }
        let Some(ignorefile) = ignorefile.filter(|_| builder != Builder::FlyRemote) else {
            return;
        };
        let dockerfile = dockerfile.map_or_else(|| context.join("Dockerfile"), Path::to_owned);
        let mut beside = dockerfile.into_os_string();
        beside.push(".dockerignore");
        if ignorefile != context.join(".dockerignore") && ignorefile.as_os_str() != beside {
            let field = self.cursor.key("ignorefile");
            let diagnostic = field.diagnostic("docker has no option for this file");
            diagnostics.error(diagnostic.with_help(
                "name it `.dockerignore` in the context, or like the Dockerfile with `.dockerignore` after it",
            ));
        }
    }

    fn check_repository(&self, builder: Builder, diagnostics: &mut Diagnostics) {
        let Some(repository) = &self.section.repository else {
            return;
        };
        let field = self.cursor.key("repository");
        let own = format!("{FLY_REGISTRY}/{}", self.app_name());
        let has_tag = |text: &str| {
            let last = text.rsplit('/').next().unwrap_or_default();
            last.contains([':', '@'])
        };
        if Image::parse(repository).is_err() || has_tag(repository) {
            let diagnostic = field.diagnostic(format!("`{repository}` is not a repository"));
            diagnostics.error(diagnostic.with_help(
                "write it without a tag, such as `ghcr.io/acme/web`: the tag is the commit",
            ));
        } else if builder == Builder::FlyRemote && *repository != own {
            let diagnostic = field.diagnostic("flyctl pushes to the app's own repository only");
            diagnostics.error(diagnostic.with_help(format!(
                "leave it out, which means {own}, or set `builder = \"buildx\"`"
            )));
        }
    }

    fn args(&self, diagnostics: &mut Diagnostics) -> BTreeMap<String, String> {
        let mut args = BTreeMap::new();
        for (name, value) in &self.section.args {
            let field = self.cursor.key("args").key(name);
            if !secret_detection::is_variable_name(name) {
                let diagnostic = field.diagnostic(format!("`{name}` cannot be a build argument"));
                diagnostics.error(
                    diagnostic.with_help("use letters, digits and underscores, and no digit first"),
                );
            }
            let value = scalars::format_env_value(value);
            if secret_detection::looks_like_secret(name, &value) {
                let diagnostic = field
                    .key_diagnostic(format!("the build argument `{name}` looks like a secret"));
                diagnostics.warn(diagnostic.with_help(
                    "build arguments stay readable in the image: use [apps.KEY.build.secrets]",
                ));
            }
            args.insert(name.clone(), value);
        }
        args
    }

    fn secrets(
        &self,
        builder: Builder,
        secret_reader: &mut SecretReader<'_>,
        diagnostics: &mut Diagnostics,
    ) -> BTreeMap<String, Option<Secret>> {
        if builder == Builder::FlyRemote && !self.section.secrets.is_empty() {
            let diagnostic = self
                .cursor
                .key("secrets")
                .key_diagnostic("flyctl takes the secrets of a build only as arguments");
            diagnostics.error(diagnostic.with_help(
                "every process on the machine can read those: set `builder = \"buildx\"` or \"docker\"",
            ));
        }
        let mut secrets = BTreeMap::new();
        for (id, source) in &self.section.secrets {
            let cursor = self.cursor.key("secrets").key(id);
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if id.is_empty() || !id.chars().all(is_allowed) {
                let diagnostic = cursor.diagnostic(format!("`{id}` cannot be the id of a secret"));
                diagnostics.error(
                    diagnostic.with_help("use letters, digits, dots, dashes and underscores"),
                );
            }
            let context = self.app.context;
            let Some(origin) = SecretOrigin::from_source(context, id, source, cursor, diagnostics)
            else {
                continue;
            };
            if matches!(origin, SecretOrigin::Generate(_)) {
                let diagnostic = cursor.diagnostic("a secret of a build cannot be generated");
                diagnostics.error(diagnostic.with_help("set `env`, `file` or `dotenv`"));
                continue;
            }
            // Nobody but `build` needs the values.
            let value = if context.inputs.secrets_mode == SecretsMode::Build {
                origin.read_value(secret_reader, cursor, diagnostics)
            } else {
                secrets.insert(id.clone(), None);
                continue;
            };
            match value {
                SecretValue::Found(value) => {
                    secrets.insert(id.clone(), Some(Secret::new(value)));
                }
                SecretValue::Missing if source.optional == Some(true) => {}
                SecretValue::Missing => diagnostics.error(
                    cursor
                        .diagnostic(format!("secret `{id}` of the build has no value"))
                        .with_label(origin.missing_value_label())
                        .with_help(origin.missing_value_help(secret_reader.missing_dotenv())),
                ),
                SecretValue::Unreadable => diagnostics.error(
                    cursor
                        .diagnostic(format!("secret `{id}` of the build cannot be read"))
                        .with_label(origin.missing_value_label()),
                ),
            }
        }
        secrets
    }
}
