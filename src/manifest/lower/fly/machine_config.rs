//! Lowers `machine_config`: a machine in the Machines API's own JSON, which the other keys of the
//! app override.
//!
//! What trimtab manages is parsed into the same types as everything else; the rest is sent to Fly
//! verbatim. flyctl ignores `env`, `services`, `checks`, `init` and similar keys of such a
//! document. Here they apply wherever the manifest itself is silent, because a line without effect
//! would be a trap.

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

/// The content of `machine_config`, over which the manifest is merged.
#[derive(Default)]
pub(crate) struct BaseConfig<'a> {
    /// The keys that trimtab manages, except for CPUs and memory, and the others verbatim.
    pub(crate) config: MachineConfig,
    pub(crate) guest: Option<BaseGuest<'a>>,
    /// The metadata, without trimtab's own keys.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Keys that are parsed into types.
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

/// The other keys of the Machines API, which are sent verbatim.
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

/// Reads and lowers the document that an app names.
pub(crate) fn lower_machine_config<'a>(
    app: &AppSection,
    image: Option<&Image>,
    context: &Context<'_>,
    cursor: Cursor<'a>,
    diagnostics: &mut Diagnostics,
) -> BaseConfig<'a> {
    let field = cursor.key("machine_config");
    let document = app.machine_config.as_ref().zip(field.value_location());
    let document = document.and_then(|(source, location)| {
        read_document(
            source,
            &context.files.get(location.file).path,
            field,
            diagnostics,
        )
    });
    let Some((document, from)) = document else {
        if app.container.is_some() && app.machine_config.is_none() {
            diagnostics.warn(
                cursor
                    .key("container")
                    .diagnostic("`container` has no effect without `machine_config`"),
            );
        }
        return BaseConfig::default();
    };
    let containers = ContainerContext {
        app,
        image,
        context,
        base_path: &from,
        cursor,
    };
    classify_keys(document, &containers, field, diagnostics)
}

/// The document as a JSON object, and the file that its paths are relative to.
fn read_document(
    source: &str,
    from: &Path,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<(Map<String, Value>, PathBuf)> {
    let (text, from) = if source.trim_start().starts_with('{') {
        (source.to_owned(), from.to_owned())
    } else if source.ends_with(".json") {
        let path = resolve_relative_path(from, source);
        match bounded_read::read_text(&path) {
            Ok(text) => (text, path),
            Err(error) => {
                let diagnostic =
                    cursor.diagnostic(format!("cannot read `{}`: {error}", path.display()));
                diagnostics
                    .error(diagnostic.with_help("paths are relative to the file that names them"));
                return None;
            }
        }
    } else {
        let diagnostic =
            cursor.diagnostic("`machine_config` is neither JSON nor the name of a .json file");
        diagnostics.error(
            diagnostic
                .with_help("write `{ … }` in triple quotes, or name a file that ends in `.json`"),
        );
        return None;
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(document)) => return Some((document, from)),
        Ok(_) => diagnostics.error(cursor.diagnostic("`machine_config` is not a JSON object")),
        // The parser's messages contain positions but no text of the document.
        Err(error) => {
            diagnostics.error(cursor.diagnostic(format!("`machine_config` is not JSON: {error}")));
        }
    }
    None
}

/// Sorts the keys into typed and verbatim ones, and lowers each.
fn classify_keys<'a>(
    document: Map<String, Value>,
    containers: &ContainerContext<'_>,
    cursor: Cursor<'a>,
    diagnostics: &mut Diagnostics,
) -> BaseConfig<'a> {
    let mut base = BaseConfig::default();
    let mut ours = Map::new();
    let mut verbatim = BTreeMap::new();
    for (key, value) in document {
        match key.as_str() {
            _ if remove_defaults(&value).is_none() => {}
            "mounts" => {
                let diagnostic = cursor.diagnostic("`mounts` in `machine_config` have no effect");
                diagnostics.warn(
                    diagnostic.with_help(
                        "set `mounts` in the app: trimtab makes a volume for each machine",
                    ),
                );
            }
            "metadata" => base.metadata = parse_metadata(value, cursor, diagnostics),
            "size" => {
                let diagnostic = cursor.diagnostic("`size` in `machine_config` is an older word");
                diagnostics
                    .error(diagnostic.with_help("set `guest` there, or `size` in the app's `vm`"));
            }
            name if TYPED_KEYS.contains(&name) => drop(ours.insert(key, value)),
            name => {
                if !VERBATIM_KEYS.contains(&name) {
                    let known = TYPED_KEYS.into_iter().chain(VERBATIM_KEYS);
                    let diagnostic = cursor
                        .diagnostic(format!("`{name}` in `machine_config` is not a known key"));
                    let help =
                        suggest::nearest(name, known).map(|name| format!("did you mean `{name}`?"));
                    diagnostics.warn(diagnostic.with_help(
                        help.unwrap_or_else(|| "it is sent to Fly unchanged".to_owned()),
                    ));
                }
                verbatim.insert(key, json_tree::prune(&value));
            }
        }
    }
    if let Some(files) = ours.get_mut("files") {
        containers.inline_local_files(files, diagnostics);
    }
    if let Some(list) = verbatim.get_mut("containers") {
        containers::lower_containers(list, containers, diagnostics);
    }
    let memory = ours
        .get("guest")
        .and_then(|guest| guest.get("memory_mb")?.as_u64());
    base.config = parse_typed_keys(ours, cursor, diagnostics);
    base.config.verbatim = verbatim;
    base.guest = base.config.guest.take().map(|guest| BaseGuest {
        guest,
        memory: memory
            .and_then(|megabytes| u32::try_from(megabytes).ok())
            .map(Mib),
        cursor,
    });
    check_base(&base, cursor, diagnostics);
    base
}

/// Checks that no other rule covers.
fn check_base(base: &BaseConfig<'_>, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    for (name, value) in &base.config.env {
        env::check_verbatim_variable(name, value, cursor, diagnostics);
    }
    let gpu = |base: &BaseGuest<'_>| base.guest.gpu_kind.is_some() || base.guest.gpus.is_some();
    if base.guest.as_ref().is_some_and(gpu) {
        diagnostics.error(cursor.diagnostic(
            "`guest` in `machine_config` asks for a GPU, and Fly offers no GPUs any more",
        ));
    }
}

/// Parses the metadata; keys of trimtab are errors.
fn parse_metadata(
    value: Value,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let Ok(mut labels) = serde_json::from_value::<BTreeMap<String, String>>(value) else {
        diagnostics
            .error(cursor.diagnostic("`metadata` in `machine_config` is not an object of strings"));
        return BTreeMap::new();
    };
    labels.retain(|key, _| {
        let cursors = key.starts_with(OwnershipMark::METADATA_PREFIX);
        if cursors {
            diagnostics.error(cursor.diagnostic(format!(
                "`{key}` in `metadata` of `machine_config` is trimtab's own mark"
            )));
        }
        !cursors
    });
    labels
}

/// Parses the typed keys one by one, so that each invalid one is reported.
fn parse_typed_keys(
    ours: Map<String, Value>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineConfig {
    let mut good = Map::new();
    for (key, value) in ours {
        let one = json!({ key.as_str(): value });
        // The decoder's message is not shown, because it quotes the value.
        let Ok(config) = serde_json::from_value::<MachineConfig>(one.clone()) else {
            let diagnostic = cursor.diagnostic(format!(
                "`{key}` in `machine_config` does not match the Machines API"
            ));
            diagnostics.error(
                diagnostic
                    .with_help("durations are strings such as \"15s\", numbers have no quotes"),
            );
            continue;
        };
        let known = serde_json::to_value(config).unwrap_or_default();
        for path in json_tree::unknown_paths(&remove_defaults(&one).unwrap_or_default(), &known) {
            diagnostics.warn(cursor.diagnostic(format!(
                "`{path}` in `machine_config` is not known, and left out"
            )));
        }
        good.insert(key, value);
    }
    serde_json::from_value(Value::Object(good)).unwrap_or_default()
}

/// Removes values that equal Fly's defaults, which Fly leaves out; `None` when nothing is left.
fn remove_defaults(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() || text == "off" => None,
        Value::Array(items) => {
            // Items are kept even when they are empty, so that indexes stay the same.
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
