//! The containers of a `machine_config`: which of them runs the app's image, and the files that they take from beside it.
//!
//! The rules are flyctl's: the image goes to the container that `container` names, else to the one called `app`, else to
//! the first; every other one names its own; a `.` in a file's `image_config` is the app's image.

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

/// What containers are judged by.
pub(crate) struct ContainerContext<'a> {
    pub(crate) app: &'a AppSection,
    pub(crate) image: Option<&'a Image>,
    pub(crate) context: &'a Context<'a>,
    /// The file that local paths are relative to.
    pub(crate) base_path: &'a Path,
    /// The app.
    pub(crate) cursor: Cursor<'a>,
}

/// Checks the containers, and gives the app's image to one of them.
pub(crate) fn lower_containers(
    list: &mut Value,
    around: &ContainerContext<'_>,
    sink: &mut Diagnostics,
) {
    let at = around.cursor.key("machine_config");
    let tables = list
        .as_array_mut()
        .filter(|list| list.iter().all(Value::is_object));
    let Some(list) = tables else {
        sink.error(at.diagnostic("`containers` in `machine_config` is not a list of tables"));
        return;
    };
    let names: Vec<String> = list.iter().map(container_name).collect();
    let chosen = around.app_container_index(&names, sink);
    for (index, table) in list.iter_mut().filter_map(Value::as_object_mut).enumerate() {
        let name = names.get(index).map(String::as_str).unwrap_or_default();
        if name.is_empty() {
            sink.error(at.diagnostic("a container in `machine_config` has no `name`"));
        }
        around.set_image(table, name, chosen == Some(index), sink);
        around.check_env_and_secrets(table, name, sink);
        if let Some(files) = table.get_mut("files") {
            around.inline_local_files(files, sink);
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
    /// The container that runs the app's image.
    fn app_container_index(&self, names: &[String], sink: &mut Diagnostics) -> Option<usize> {
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let Some(stated) = &self.app.container else {
            return find("app").or((!names.is_empty()).then_some(0));
        };
        let found = find(stated);
        if found.is_none() {
            let problem = self
                .cursor
                .key("container")
                .diagnostic(format!("there is no container `{stated}`"));
            sink.error(problem.with_optional_help(suggest::did_you_mean(
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
        sink: &mut Diagnostics,
    ) {
        let own = |table: &Map<String, Value>| {
            table
                .get("image")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let own = own(table).filter(|image| !image.is_empty() && (image != "." || !chosen));
        let image = match self.image {
            Some(image) if chosen => Some(image.to_string()),
            _ => own,
        };
        let Some(image) = image else {
            table.remove("image");
            // A command that only looks needs no image; a machine that is made or changed does.
            if !chosen || self.context.inputs.secrets_mode == SecretsMode::Required {
                let problem = self
                    .cursor
                    .key("machine_config")
                    .diagnostic(format!("container `{name}` has no image"));
                let app = "say `image` in the app, or pass --image KEY=REFERENCE";
                sink.error(problem.with_help(if chosen { app } else { "say `image` there" }));
            }
            return;
        };
        table.insert("image".to_owned(), image.into());
    }

    /// Variables that look like secrets, and secrets that the app does not have.
    fn check_env_and_secrets(
        &self,
        table: &Map<String, Value>,
        container: &str,
        sink: &mut Diagnostics,
    ) {
        let at = self.cursor.key("machine_config");
        for (name, value) in table
            .get("env")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            env::check_verbatim_variable(name, value.as_str().unwrap_or_default(), at, sink);
        }
        let secrets = table
            .get("secrets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for secret in secrets.filter_map(|secret| secret.get("name")?.as_str()) {
            if !self.app.secrets.contains_key(secret) {
                let problem =
                    at.diagnostic(format!("container `{container}` takes a secret `{secret}`"));
                sink.warn(problem.with_help(
                    "the manifest has none of that name; it must be set on Fly by other means",
                ));
            }
        }
    }

    /// Puts the content of local files where their names stand.
    pub(crate) fn inline_local_files(&self, files: &mut Value, sink: &mut Diagnostics) {
        let at = self.cursor.key("machine_config");
        for file in files
            .as_array_mut()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            let there = |file: &Map<String, Value>, key: &str| {
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
            if there(file, "raw_value") || there(file, "secret_name") {
                continue;
            }
            if let Some(content) =
                files::read_local_file(&resolve_relative_path(self.base_path, local), at, sink)
            {
                file.insert("raw_value".to_owned(), content.into());
            }
        }
    }
}
