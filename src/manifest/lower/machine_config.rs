//! `machine_config`: a machine in the Machines API's own JSON, which lies beneath what the manifest says of it.
//!
//! What trimtab manages is read into the same types as everything else; the rest goes to Fly as it is written. flyctl
//! passes over what such a document says of `env`, `services`, `checks`, `init` and the like. Here it counts wherever
//! the manifest says nothing, because a written line without effect is a trap.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{
    Scene, Sink,
    container::{self, Containers},
    env,
    guest::Ground,
};
use crate::{
    kinds::fly::workload::{MachineConfig, tree},
    manifest::{disk, read::beside, shape::App, spot::Spot, suggest},
    model::{Image, Mark, Mib},
};

/// What lies beneath the manifest.
#[derive(Default)]
pub(super) struct Base<'a> {
    /// What trimtab manages, but for CPUs and memory, and the rest verbatim.
    pub(super) config: MachineConfig,
    /// CPUs and memory.
    pub(super) guest: Option<Ground<'a>>,
    /// Metadata.
    pub(super) labels: BTreeMap<String, String>,
}

/// Keys that are read into types.
const OURS: [&str; 12] = [
    "image",
    "env",
    "init",
    "guest",
    "services",
    "checks",
    "metrics",
    "statics",
    "files",
    "restart",
    "stop_config",
    "schedule",
];

/// The other keys of the Machines API.
const VERBATIM: [&str; 10] = [
    "containers",
    "volumes",
    "processes",
    "dns",
    "rootfs",
    "cache_drive",
    "auto_destroy",
    "standbys",
    "spot",
    "disable_machine_autostart",
];

/// Reads the document that an app names.
pub(super) fn base<'a>(
    app: &App,
    image: Option<&Image>,
    scene: &Scene<'_>,
    at: Spot<'a>,
    sink: &mut Sink,
) -> Base<'a> {
    let spot = at.key("machine_config");
    let document = app.machine_config.as_ref().zip(spot.value_place());
    let document = document
        .and_then(|(source, place)| read(source, &scene.files.get(place.file).path, spot, sink));
    let Some((document, from)) = document else {
        if app.container.is_some() && app.machine_config.is_none() {
            sink.warn(
                at.key("container")
                    .problem("`container` has no effect without `machine_config`"),
            );
        }
        return Base::default();
    };
    let containers = Containers {
        app,
        image,
        scene,
        from: &from,
        at,
    };
    sorted(document, &containers, spot, sink)
}

/// The document as a table, and the file that its paths are relative to.
fn read(
    source: &str,
    from: &Path,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Option<(Map<String, Value>, PathBuf)> {
    let (text, from) = if source.trim_start().starts_with('{') {
        (source.to_owned(), from.to_owned())
    } else if source.ends_with(".json") {
        let path = beside(from, source);
        match disk::text(&path) {
            Ok(text) => (text, path),
            Err(error) => {
                let problem = at.problem(format!("cannot read `{}`: {error}", path.display()));
                sink.error(problem.help("paths are relative to the file that names them"));
                return None;
            }
        }
    } else {
        let problem = at.problem("`machine_config` is neither JSON nor the name of a .json file");
        sink.error(
            problem.help("write `{ … }` in triple quotes, or name a file that ends in `.json`"),
        );
        return None;
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(document)) => return Some((document, from)),
        Ok(_) => sink.error(at.problem("`machine_config` is not a JSON object")),
        // The parser's own words name places, and none of the text.
        Err(error) => sink.error(at.problem(format!("`machine_config` is not JSON: {error}"))),
    }
    None
}

/// Each key to where it belongs.
fn sorted<'a>(
    document: Map<String, Value>,
    containers: &Containers<'_>,
    at: Spot<'a>,
    sink: &mut Sink,
) -> Base<'a> {
    let mut base = Base::default();
    let mut ours = Map::new();
    let mut verbatim = BTreeMap::new();
    for (key, value) in document {
        match key.as_str() {
            _ if said(&value).is_none() => {}
            "mounts" => {
                let problem = at.problem("`mounts` in `machine_config` have no effect");
                sink.warn(
                    problem
                        .help("say `mounts` in the app: trimtab makes a volume for each machine"),
                );
            }
            "metadata" => base.labels = labels(value, at, sink),
            "size" => {
                let problem = at.problem("`size` in `machine_config` is an older word");
                sink.error(problem.help("say `guest` there, or `size` in the app's `vm`"));
            }
            name if OURS.contains(&name) => drop(ours.insert(key, value)),
            name => {
                if !VERBATIM.contains(&name) {
                    let known = OURS.into_iter().chain(VERBATIM);
                    let problem =
                        at.problem(format!("`{name}` in `machine_config` is not known here"));
                    let help =
                        suggest::nearest(name, known).map(|name| format!("did you mean `{name}`?"));
                    sink.warn(
                        problem.help(help.unwrap_or_else(|| "it goes to Fly as it is".to_owned())),
                    );
                }
                verbatim.insert(key, tree::prune(&value));
            }
        }
    }
    if let Some(files) = ours.get_mut("files") {
        containers.files(files, sink);
    }
    if let Some(list) = verbatim.get_mut("containers") {
        container::containers(list, containers, sink);
    }
    let memory = ours
        .get("guest")
        .and_then(|guest| guest.get("memory_mb")?.as_u64());
    base.config = typed(ours, at, sink);
    base.config.verbatim = verbatim;
    base.guest = base.config.guest.take().map(|guest| Ground {
        guest,
        memory: memory
            .and_then(|megabytes| u32::try_from(megabytes).ok())
            .map(Mib),
        at,
    });
    judged(&base, at, sink);
    base
}

/// What is checked here because no other rule sees it.
fn judged(base: &Base<'_>, at: Spot<'_>, sink: &mut Sink) {
    for (name, value) in &base.config.env {
        env::check_within(name, value, at, sink);
    }
    let gpu = |ground: &Ground<'_>| ground.guest.gpu_kind.is_some() || ground.guest.gpus.is_some();
    if base.guest.as_ref().is_some_and(gpu) {
        sink.error(at.problem(
            "`guest` in `machine_config` asks for a GPU, and Fly offers no GPUs any more",
        ));
    }
}

/// Metadata, without the keys that trimtab writes itself.
fn labels(value: Value, at: Spot<'_>, sink: &mut Sink) -> BTreeMap<String, String> {
    let Ok(mut labels) = serde_json::from_value::<BTreeMap<String, String>>(value) else {
        sink.error(at.problem("`metadata` in `machine_config` is not a table of texts"));
        return BTreeMap::new();
    };
    labels.retain(|key, _| {
        let marks = key.starts_with(Mark::PREFIX);
        if marks {
            sink.error(at.problem(format!(
                "`{key}` in `metadata` of `machine_config` is trimtab's own mark"
            )));
        }
        !marks
    });
    labels
}

/// What trimtab manages, key by key, so that each wrong one is told.
fn typed(ours: Map<String, Value>, at: Spot<'_>, sink: &mut Sink) -> MachineConfig {
    let mut good = Map::new();
    for (key, value) in ours {
        let one = json!({ key.as_str(): value });
        // Not the decoder's words: they repeat the value.
        let Ok(config) = serde_json::from_value::<MachineConfig>(one.clone()) else {
            let problem = at.problem(format!(
                "`{key}` in `machine_config` has not the Machines API's form"
            ));
            sink.error(
                problem.help("durations are texts such as \"15s\", numbers stand without quotes"),
            );
            continue;
        };
        let known = serde_json::to_value(config).unwrap_or_default();
        for path in tree::unknown(&said(&one).unwrap_or_default(), &known) {
            sink.warn(at.problem(format!(
                "`{path}` in `machine_config` is not known, and left out"
            )));
        }
        good.insert(key, value);
    }
    serde_json::from_value(Value::Object(good)).unwrap_or_default()
}

/// What of a value says something: Fly leaves out what equals its default.
fn said(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() || text == "off" => None,
        Value::Array(items) => {
            // An item keeps its place, whatever it says.
            let items: Vec<Value> = items
                .iter()
                .map(|item| said(item).unwrap_or_else(|| item.clone()))
                .collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(map) => {
            let said = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), said(value)?)));
            let said: Map<String, Value> = said.collect();
            (!said.is_empty()).then_some(Value::Object(said))
        }
        other => Some(other.clone()),
    }
}
