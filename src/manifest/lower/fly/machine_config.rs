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
    containers::{self, ContainerContext},
    env,
    guest::BaseGuest,
};
use crate::manifest::lower::{Context, Diagnostics};
use crate::{
    kinds::fly::workload::{MachineConfig, json_tree},
    manifest::{
        reader::resolve_relative_path,
        schema::AppSection,
        syntax::{bounded_read, cursor::Cursor, suggest},
    },
    model::{Image, Mib, OwnershipMark},
};

/// What lies beneath the manifest.
#[derive(Default)]
pub(crate) struct BaseConfig<'a> {
    /// What trimtab manages, but for CPUs and memory, and the rest verbatim.
    pub(crate) config: MachineConfig,
    /// CPUs and memory.
    pub(crate) guest: Option<BaseGuest<'a>>,
    /// Metadata.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Keys that are read into types.
const TYPED_KEYS: [&str; 12] = [
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
const VERBATIM_KEYS: [&str; 10] = [
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
pub(crate) fn lower_machine_config<'a>(
    app: &AppSection,
    image: Option<&Image>,
    scene: &Context<'_>,
    at: Cursor<'a>,
    sink: &mut Diagnostics,
) -> BaseConfig<'a> {
    let spot = at.key("machine_config");
    let document = app.machine_config.as_ref().zip(spot.value_location());
    let document = document.and_then(|(source, place)| {
        read_document(source, &scene.files.get(place.file).path, spot, sink)
    });
    let Some((document, from)) = document else {
        if app.container.is_some() && app.machine_config.is_none() {
            sink.warn(
                at.key("container")
                    .diagnostic("`container` has no effect without `machine_config`"),
            );
        }
        return BaseConfig::default();
    };
    let containers = ContainerContext {
        app,
        image,
        context: scene,
        base_path: &from,
        cursor: at,
    };
    classify_keys(document, &containers, spot, sink)
}

/// The document as a table, and the file that its paths are relative to.
fn read_document(
    source: &str,
    from: &Path,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<(Map<String, Value>, PathBuf)> {
    let (text, from) = if source.trim_start().starts_with('{') {
        (source.to_owned(), from.to_owned())
    } else if source.ends_with(".json") {
        let path = resolve_relative_path(from, source);
        match bounded_read::read_text(&path) {
            Ok(text) => (text, path),
            Err(error) => {
                let problem = at.diagnostic(format!("cannot read `{}`: {error}", path.display()));
                sink.error(problem.with_help("paths are relative to the file that names them"));
                return None;
            }
        }
    } else {
        let problem =
            at.diagnostic("`machine_config` is neither JSON nor the name of a .json file");
        sink.error(
            problem
                .with_help("write `{ … }` in triple quotes, or name a file that ends in `.json`"),
        );
        return None;
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(document)) => return Some((document, from)),
        Ok(_) => sink.error(at.diagnostic("`machine_config` is not a JSON object")),
        // The parser's own words name places, and none of the text.
        Err(error) => sink.error(at.diagnostic(format!("`machine_config` is not JSON: {error}"))),
    }
    None
}

/// Each key to where it belongs.
fn classify_keys<'a>(
    document: Map<String, Value>,
    containers: &ContainerContext<'_>,
    at: Cursor<'a>,
    sink: &mut Diagnostics,
) -> BaseConfig<'a> {
    let mut base = BaseConfig::default();
    let mut ours = Map::new();
    let mut verbatim = BTreeMap::new();
    for (key, value) in document {
        match key.as_str() {
            _ if remove_defaults(&value).is_none() => {}
            "mounts" => {
                let problem = at.diagnostic("`mounts` in `machine_config` have no effect");
                sink.warn(
                    problem.with_help(
                        "say `mounts` in the app: trimtab makes a volume for each machine",
                    ),
                );
            }
            "metadata" => base.metadata = parse_metadata(value, at, sink),
            "size" => {
                let problem = at.diagnostic("`size` in `machine_config` is an older word");
                sink.error(problem.with_help("say `guest` there, or `size` in the app's `vm`"));
            }
            name if TYPED_KEYS.contains(&name) => drop(ours.insert(key, value)),
            name => {
                if !VERBATIM_KEYS.contains(&name) {
                    let known = TYPED_KEYS.into_iter().chain(VERBATIM_KEYS);
                    let problem =
                        at.diagnostic(format!("`{name}` in `machine_config` is not known here"));
                    let help =
                        suggest::nearest(name, known).map(|name| format!("did you mean `{name}`?"));
                    sink.warn(
                        problem.with_help(
                            help.unwrap_or_else(|| "it goes to Fly as it is".to_owned()),
                        ),
                    );
                }
                verbatim.insert(key, json_tree::prune(&value));
            }
        }
    }
    if let Some(files) = ours.get_mut("files") {
        containers.inline_local_files(files, sink);
    }
    if let Some(list) = verbatim.get_mut("containers") {
        containers::lower_containers(list, containers, sink);
    }
    let memory = ours
        .get("guest")
        .and_then(|guest| guest.get("memory_mb")?.as_u64());
    base.config = parse_typed_keys(ours, at, sink);
    base.config.verbatim = verbatim;
    base.guest = base.config.guest.take().map(|guest| BaseGuest {
        guest,
        memory: memory
            .and_then(|megabytes| u32::try_from(megabytes).ok())
            .map(Mib),
        cursor: at,
    });
    check_base(&base, at, sink);
    base
}

/// What is checked here because no other rule sees it.
fn check_base(base: &BaseConfig<'_>, at: Cursor<'_>, sink: &mut Diagnostics) {
    for (name, value) in &base.config.env {
        env::check_verbatim_variable(name, value, at, sink);
    }
    let gpu =
        |ground: &BaseGuest<'_>| ground.guest.gpu_kind.is_some() || ground.guest.gpus.is_some();
    if base.guest.as_ref().is_some_and(gpu) {
        sink.error(at.diagnostic(
            "`guest` in `machine_config` asks for a GPU, and Fly offers no GPUs any more",
        ));
    }
}

/// Metadata, without the keys that trimtab writes itself.
fn parse_metadata(
    value: Value,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let Ok(mut labels) = serde_json::from_value::<BTreeMap<String, String>>(value) else {
        sink.error(at.diagnostic("`metadata` in `machine_config` is not a table of texts"));
        return BTreeMap::new();
    };
    labels.retain(|key, _| {
        let marks = key.starts_with(OwnershipMark::METADATA_PREFIX);
        if marks {
            sink.error(at.diagnostic(format!(
                "`{key}` in `metadata` of `machine_config` is trimtab's own mark"
            )));
        }
        !marks
    });
    labels
}

/// What trimtab manages, key by key, so that each wrong one is told.
fn parse_typed_keys(
    ours: Map<String, Value>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> MachineConfig {
    let mut good = Map::new();
    for (key, value) in ours {
        let one = json!({ key.as_str(): value });
        // Not the decoder's words: they repeat the value.
        let Ok(config) = serde_json::from_value::<MachineConfig>(one.clone()) else {
            let problem = at.diagnostic(format!(
                "`{key}` in `machine_config` has not the Machines API's form"
            ));
            sink.error(
                problem
                    .with_help("durations are texts such as \"15s\", numbers stand without quotes"),
            );
            continue;
        };
        let known = serde_json::to_value(config).unwrap_or_default();
        for path in json_tree::unknown_paths(&remove_defaults(&one).unwrap_or_default(), &known) {
            sink.warn(at.diagnostic(format!(
                "`{path}` in `machine_config` is not known, and left out"
            )));
        }
        good.insert(key, value);
    }
    serde_json::from_value(Value::Object(good)).unwrap_or_default()
}

/// What of a value says something: Fly leaves out what equals its default.
fn remove_defaults(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() || text == "off" => None,
        Value::Array(items) => {
            // An item keeps its place, whatever it says.
            let items: Vec<Value> = items
                .iter()
                .map(|item| remove_defaults(item).unwrap_or_else(|| item.clone()))
                .collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(map) => {
            let said = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), remove_defaults(value)?)));
            let said: Map<String, Value> = said.collect();
            (!said.is_empty()).then_some(Value::Object(said))
        }
        other => Some(other.clone()),
    }
}
