//! The containers of a `machine_config`: which of them runs the app's image, and the files that they take from beside it.
//!
//! The rules are flyctl's: the image goes to the container that `container` names, else to the one called `app`, else to
//! the first; every other one names its own; a `.` in a file's `image_config` is the app's image.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Scene, Sink, env, files};
use crate::{
    manifest::{SecretsMode, read::beside, shape::App, spot::Spot, suggest},
    model::Image,
};

/// What containers are judged by.
pub(super) struct Containers<'a> {
    pub(super) app: &'a App,
    pub(super) image: Option<&'a Image>,
    pub(super) scene: &'a Scene<'a>,
    /// The file that local paths are relative to.
    pub(super) from: &'a Path,
    /// The app.
    pub(super) at: Spot<'a>,
}

/// Checks the containers, and gives the app's image to one of them.
pub(super) fn containers(list: &mut Value, around: &Containers<'_>, sink: &mut Sink) {
    let at = around.at.key("machine_config");
    let tables = list
        .as_array_mut()
        .filter(|list| list.iter().all(Value::is_object));
    let Some(list) = tables else {
        sink.error(at.problem("`containers` in `machine_config` is not a list of tables"));
        return;
    };
    let names: Vec<String> = list.iter().map(name).collect();
    let chosen = around.chosen(&names, sink);
    for (index, table) in list.iter_mut().filter_map(Value::as_object_mut).enumerate() {
        let name = names.get(index).map(String::as_str).unwrap_or_default();
        if name.is_empty() {
            sink.error(at.problem("a container in `machine_config` has no `name`"));
        }
        around.image(table, name, chosen == Some(index), sink);
        around.surroundings(table, name, sink);
        if let Some(files) = table.get_mut("files") {
            around.files(files, sink);
        }
    }
}

fn name(container: &Value) -> String {
    container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

impl Containers<'_> {
    /// The container that runs the app's image.
    fn chosen(&self, names: &[String], sink: &mut Sink) -> Option<usize> {
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let Some(stated) = &self.app.container else {
            return find("app").or((!names.is_empty()).then_some(0));
        };
        let found = find(stated);
        if found.is_none() {
            let problem = self
                .at
                .key("container")
                .problem(format!("there is no container `{stated}`"));
            sink.error(problem.maybe_help(suggest::help(stated, names.iter().map(String::as_str))));
        }
        found
    }

    fn image(&self, table: &mut Map<String, Value>, name: &str, chosen: bool, sink: &mut Sink) {
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
            if !chosen || self.scene.inputs.secrets == SecretsMode::Required {
                let problem = self
                    .at
                    .key("machine_config")
                    .problem(format!("container `{name}` has no image"));
                let app = "say `image` in the app, or pass --image KEY=REFERENCE";
                sink.error(problem.help(if chosen { app } else { "say `image` there" }));
            }
            return;
        };
        table.insert("image".to_owned(), image.into());
    }

    /// Variables that look like secrets, and secrets that the app does not have.
    fn surroundings(&self, table: &Map<String, Value>, container: &str, sink: &mut Sink) {
        let at = self.at.key("machine_config");
        for (name, value) in table
            .get("env")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            env::check_within(name, value.as_str().unwrap_or_default(), at, sink);
        }
        let secrets = table
            .get("secrets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for secret in secrets.filter_map(|secret| secret.get("name")?.as_str()) {
            if !self.app.secrets.contains_key(secret) {
                let problem =
                    at.problem(format!("container `{container}` takes a secret `{secret}`"));
                sink.warn(problem.help(
                    "the manifest has none of that name; it must be set on Fly by other means",
                ));
            }
        }
    }

    /// Puts the content of local files where their names stand.
    pub(super) fn files(&self, files: &mut Value, sink: &mut Sink) {
        let at = self.at.key("machine_config");
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
            if let Some(content) = files::read(&beside(self.from, local), at, sink) {
                file.insert("raw_value".to_owned(), content.into());
            }
        }
    }
}
