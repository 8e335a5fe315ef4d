//! Checks the containers of a `machine_config`, gives the app's image to one of them, and inlines
//! local files.
//!
//! The rules are flyctl's: the image goes to the container that `container` names, or else to the
//! one called `app`, or else to the first; every other container has its own image; a `.` in a
//! file's `image_config` is the app's image.

use std::path::Path;

use serde_json::{Map, Value};

use super::{env, files};
use crate::manifest::lower::{Context, Diagnostics};
use crate::{
    manifest::{
        SecretsMode,
        reader::resolve_relative_path,
        schema::AppSection,
        syntax::{cursor::Cursor, suggest},
    },
    model::Image,
};

/// The input of checking containers.
pub(crate) struct ContainerContext<'a> {
    pub(crate) app: &'a AppSection,
    pub(crate) image: Option<&'a Image>,
    pub(crate) context: &'a Context<'a>,
    /// The file that local paths are relative to.
    pub(crate) base_path: &'a Path,
    /// The table of the app.
    pub(crate) cursor: Cursor<'a>,
}

/// Checks the containers, and gives the app's image to one of them.
pub(crate) fn lower_containers(
    list: &mut Value,
    containers: &ContainerContext<'_>,
    diagnostics: &mut Diagnostics,
) {
    let cursor = containers.cursor.key("machine_config");
    let tables = list
        .as_array_mut()
        .filter(|list| list.iter().all(Value::is_object));
    let Some(list) = tables else {
        diagnostics
            .error(cursor.diagnostic("`containers` in `machine_config` is not a list of tables"));
        return;
    };
    let names: Vec<String> = list.iter().map(container_name).collect();
    let chosen = containers.app_container_index(&names, diagnostics);
    for (index, table) in list.iter_mut().filter_map(Value::as_object_mut).enumerate() {
        let name = names.get(index).map(String::as_str).unwrap_or_default();
        if name.is_empty() {
            diagnostics.error(cursor.diagnostic("a container in `machine_config` has no `name`"));
        }
        containers.set_image(table, name, chosen == Some(index), diagnostics);
        containers.check_env_and_secrets(table, name, diagnostics);
        if let Some(files) = table.get_mut("files") {
            containers.inline_local_files(files, diagnostics);
        }
    }
}

fn container_name(container: &Value) -> String {
    container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

impl ContainerContext<'_> {
    /// The index of the container that runs the app's image.
    fn app_container_index(
        &self,
        names: &[String],
        diagnostics: &mut Diagnostics,
    ) -> Option<usize> {
        let find = |wanted_name: &str| names.iter().position(|name| name == wanted_name);
        let Some(stated) = &self.app.container else {
            return find("app").or((!names.is_empty()).then_some(0));
        };
        let found = find(stated);
        if found.is_none() {
            let diagnostic = self
                .cursor
                .key("container")
                .diagnostic(format!("there is no container `{stated}`"));
            diagnostics.error(diagnostic.with_optional_help(suggest::did_you_mean(
                stated,
                names.iter().map(String::as_str),
            )));
        }
        found
    }

    fn set_image(
        &self,
        table: &mut Map<String, Value>,
        name: &str,
        chosen: bool,
        diagnostics: &mut Diagnostics,
    ) {
        let own = |table: &Map<String, Value>| {
            table
                .get("image")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        // A `.` stands for the app's image in every container, as in flyctl.
        let stated = own(table).unwrap_or_default();
        let takes_app_image = chosen || stated == ".";
        let own = Some(stated).filter(|image| !image.is_empty() && image != ".");
        let image = match self.image {
            Some(image) if takes_app_image => Some(image.to_string()),
            _ => own,
        };
        let Some(image) = image else {
            table.remove("image");
            // Commands that only read work without an image; creating or updating a machine does
            // not.
            if !takes_app_image || self.context.inputs.secrets_mode == SecretsMode::Required {
                let diagnostic = self
                    .cursor
                    .key("machine_config")
                    .diagnostic(format!("container `{name}` has no image"));
                let app = "set `image` in the app, or pass --image KEY=REFERENCE";
                diagnostics.error(diagnostic.with_help(if takes_app_image {
                    app
                } else {
                    "set `image` there"
                }));
            }
            return;
        };
        table.insert("image".to_owned(), image.into());
    }

    /// Warns of variables that look like secrets, and of secrets that the app does not have.
    fn check_env_and_secrets(
        &self,
        table: &Map<String, Value>,
        container: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let cursor = self.cursor.key("machine_config");
        for (name, value) in table
            .get("env")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            env::check_verbatim_variable(
                name,
                value.as_str().unwrap_or_default(),
                cursor,
                diagnostics,
            );
        }
        let secrets = table
            .get("secrets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for secret in secrets.filter_map(|secret| secret.get("name")?.as_str()) {
            if !self.app.secrets.contains_key(secret) {
                let diagnostic =
                    cursor.diagnostic(format!("container `{container}` uses a secret `{secret}`"));
                diagnostics.warn(diagnostic.with_help(
                    "the manifest has none of that name; it must be set on Fly by other means",
                ));
            }
        }
    }

    /// Replaces the paths of local files by their content.
    pub(crate) fn inline_local_files(&self, files: &mut Value, diagnostics: &mut Diagnostics) {
        let cursor = self.cursor.key("machine_config");
        for file in files
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            let has_value = |file: &Map<String, Value>, key: &str| {
                file.get(key).is_some_and(|value| !value.is_null())
            };
            if let (Some(Value::String(image)), Some(app)) =
                (file.get_mut("image_config"), self.image)
                && image == "."
            {
                *image = app.to_string();
            }
            let local = file.remove("local_path");
            let Some(local) = local.as_ref().and_then(Value::as_str) else {
                continue;
            };
            if has_value(file, "raw_value") || has_value(file, "secret_name") {
                continue;
            }
            if let Some(content) = files::read_local_file(
                &resolve_relative_path(self.base_path, local),
                cursor,
                diagnostics,
            ) {
                file.insert("raw_value".to_owned(), content.into());
            }
        }
    }
}
