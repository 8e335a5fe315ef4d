//! One environment from its files: the file itself, what it inherits, and the fly.toml files that it takes over.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::{
    fly_toml,
    syntax::{
        bounded_read,
        node::{
            Diagnostic, FileId, SourceFiles, SourceLocation, TomlEntry, TomlNode, TomlTable,
            TomlValue,
        },
    },
};

/// What reading collects.
#[derive(Default)]
pub(super) struct ManifestReader {
    /// The files so far.
    pub(super) files: SourceFiles,
    /// What is wrong so far.
    pub(super) errors: Vec<Diagnostic>,
    /// What has no effect.
    pub(super) warnings: Vec<Diagnostic>,
    /// Which of the files are fly.toml files: their texts are taken as they are, without interpolation.
    pub(super) fly_toml_files: Vec<FileId>,
    /// How many files `extends` has led to.
    inherited_count: usize,
    /// How many bytes were read.
    bytes_read: usize,
}

/// The most that the files of one environment may have together, in bytes: many apps may name one large file.
const MAX_TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// How many files one environment may inherit from, one that is inherited twice counted twice. People have one or two;
/// files that each inherit twice from the next would be read 2ⁿ times.
const MAX_INHERITED_FILES: usize = 64;
/// What manifests may be called.
const MANIFEST_EXTENSIONS: &[&str] = &["toml"];
/// What the files of flyctl may be called.
const FLY_CONFIG_EXTENSIONS: &[&str] = &["toml", "json", "yaml", "yml"];

impl ManifestReader {
    /// A manifest with everything that it inherits.
    pub(super) fn read_manifest(&mut self, path: &Path) -> Option<TomlNode> {
        self.read_with_parents(path, None, &mut Vec::new())
    }

    fn read_with_parents(
        &mut self,
        path: &Path,
        from: Option<&SourceLocation>,
        stack: &mut Vec<PathBuf>,
    ) -> Option<TomlNode> {
        if let Some(at) = stack.iter().position(|open| open == path) {
            let circle: Vec<String> = stack[at..]
                .iter()
                .map(|path| file_name(path))
                .chain([file_name(path)])
                .collect();
            self.push_error(
                from,
                format!("`extends` goes in a circle: {}", circle.join(" → ")),
                "leave one of them out",
            );
            return None;
        }
        self.inherited_count += usize::from(from.is_some());
        if self.inherited_count > MAX_INHERITED_FILES {
            if self.inherited_count == MAX_INHERITED_FILES + 1 {
                let message = format!("`extends` leads to more than {MAX_INHERITED_FILES} files");
                self.push_error(
                    from,
                    message,
                    "inherit from fewer, and from each in one place",
                );
            }
            return None;
        }
        let mut node = self.parse_file(path, MANIFEST_EXTENSIONS, from)?;
        let extends = match &mut node.value {
            TomlValue::Table(table) => table.remove("extends"),
            _ => None,
        };
        stack.push(path.to_owned());
        let mut below: Option<TomlNode> = None;
        for (parent, at) in extends.iter().flat_map(|entry| string_values(&entry.node)) {
            let parent = resolve_relative_path(path, parent);
            let parent = self.read_with_parents(&parent, Some(at), stack);
            below = match (below, parent) {
                (Some(below), Some(parent)) => Some(merge(below, parent)),
                (below, parent) => below.or(parent),
            };
        }
        stack.pop();
        // A wrong `extends` stays in, so that the check of the shape finds it.
        if let (Some(entry), TomlValue::Table(table)) = (extends, &mut node.value)
            && string_values(&entry.node).is_empty()
        {
            table.0.push(entry);
        }
        Some(match below {
            Some(below) => merge(below, node),
            None => node,
        })
    }

    /// Lays the fly.toml that each app names beneath the app's own keys.
    pub(super) fn merge_fly_configs(&mut self, root: &mut TomlNode) {
        let Some(apps) = table_mut(root).and_then(|table| entry_mut(table, "apps")) else {
            return;
        };
        for entry in table_mut(&mut apps.node)
            .into_iter()
            .flat_map(|apps| &mut apps.0)
        {
            let Some(config) = entry
                .node
                .as_table()
                .and_then(|app| app.get("config"))
                .cloned()
            else {
                continue;
            };
            let Some(text) = config.as_str() else {
                continue;
            };
            let path = resolve_relative_path(&self.files.get(config.location.file).path, text);
            let Some(below) = self.read_fly_toml(&path, &config.location) else {
                continue;
            };
            entry.node = merge(below, entry.node.clone());
        }
    }

    fn read_fly_toml(&mut self, path: &Path, from: &SourceLocation) -> Option<TomlNode> {
        let node = self.parse_file(path, FLY_CONFIG_EXTENSIONS, Some(from))?;
        self.fly_toml_files.push(node.location.file);
        let fly_toml::CanonicalFlyToml {
            mut node,
            errors,
            warnings,
        } = fly_toml::canonicalize(node);
        self.errors.extend(errors);
        self.warnings.extend(warnings);
        if let Some(table) = table_mut(&mut node) {
            rename_key(table, "app", "name");
            copy_build_image(table);
            self.remove_unsupported_keys(table);
            self.remove_incomplete_services(table);
        }
        Some(node)
    }

    /// Takes out what has no place here, and says so where it would change a machine.
    fn remove_unsupported_keys(&mut self, root: &mut TomlTable) {
        for (section, key, why) in UNSUPPORTED_KEYS {
            let mut tables = Vec::new();
            if section.is_empty() {
                tables.push(&mut *root);
            } else if let Some(entry) = entry_mut(root, section) {
                match &mut entry.node.value {
                    TomlValue::Table(table) => tables.push(table),
                    TomlValue::Array(items) => {
                        tables.extend(items.iter_mut().filter_map(table_mut));
                    }
                    _ => {}
                }
            }
            for TomlEntry {
                key: _,
                key_location: key_at,
                node: _,
            } in tables.into_iter().filter_map(|table| table.remove(key))
            {
                if !why.is_empty() {
                    let (at, message) = (Some(key_at), why.to_owned());
                    self.warnings.push(Diagnostic {
                        message,
                        location: at,
                        label: String::new(),
                        help: None,
                    });
                }
            }
        }
    }

    /// A service without `internal_port` forwards to nothing. flyctl sends it all the same, and old generators left such
    /// tables behind, so it is no reason to refuse the file.
    fn remove_incomplete_services(&mut self, root: &mut TomlTable) {
        let Some(TomlValue::Array(services)) =
            entry_mut(root, "services").map(|entry| &mut entry.node.value)
        else {
            return;
        };
        let whole = |service: &TomlNode| {
            service
                .as_table()
                .is_none_or(|table| table.get("internal_port").is_some())
        };
        for service in services.extract_if(.., |service| !whole(service)) {
            self.warnings.push(Diagnostic {
                message: "this service has no `internal_port`, so it reaches nothing".to_owned(),
                location: Some(service.location),
                label: String::new(),
                help: Some(
                    "it is left out; say `internal_port`, or take it out of the file".to_owned(),
                ),
            });
        }
    }

    fn parse_file(
        &mut self,
        path: &Path,
        endings: &[&str],
        from: Option<&SourceLocation>,
    ) -> Option<TomlNode> {
        let text = match bounded_read::read_document(path, endings) {
            Ok(text) => text,
            Err(error) => {
                self.push_error(
                    from,
                    format!("cannot read `{}`: {error}", path.display()),
                    "paths are relative to the file that names them",
                );
                return None;
            }
        };
        let before = self.bytes_read;
        self.bytes_read += text.len();
        if self.bytes_read > MAX_TOTAL_BYTES {
            if before <= MAX_TOTAL_BYTES {
                let message = format!(
                    "the files of this environment have more than {MAX_TOTAL_BYTES} bytes together"
                );
                self.push_error(from, message, "say what they share in one of them");
            }
            return None;
        }
        let file = self.files.add(path.to_owned(), text);
        let (node, problems) = fly_toml::parse(&self.files, file);
        self.errors.extend(problems);
        Some(node)
    }

    fn push_error(&mut self, at: Option<&SourceLocation>, message: String, help: &str) {
        self.errors.push(Diagnostic {
            message,
            location: at.cloned(),
            label: String::new(),
            help: Some(help.to_owned()),
        });
    }
}

/// Keys of fly.toml that have no place here: the section, the key, and why.
const UNSUPPORTED_KEYS: [(&str, &str, &str); 5] = [
    ("", "build", ""),
    ("", "console_command", ""),
    ("", "machine_checks", ""),
    (
        "deploy",
        "seed_command",
        "`seed_command` is flyctl's, for its first launch",
    ),
    (
        "vm",
        "max_memory_mb",
        "`max_memory_mb` has no effect on a machine's size",
    ),
];

fn copy_build_image(table: &mut TomlTable) {
    let image = table
        .get("build")
        .and_then(TomlNode::as_table)
        .and_then(|build| build.0.iter().find(|entry| entry.key == "image").cloned());
    table.0.extend(image);
}

fn rename_key(table: &mut TomlTable, from: &str, to: &str) {
    if let Some(entry) = entry_mut(table, from) {
        to.clone_into(&mut entry.key);
    }
}

/// Two values laid on each other: tables merge deep, anything else is replaced.
pub(super) fn merge(below: TomlNode, above: TomlNode) -> TomlNode {
    let TomlNode {
        location: at,
        value,
    } = above;
    match (below.value, value) {
        (TomlValue::Table(below), TomlValue::Table(above)) => TomlNode {
            location: at,
            value: TomlValue::Table(merge_tables(below, above)),
        },
        (_, value) => TomlNode {
            location: at,
            value,
        },
    }
}

fn merge_tables(below: TomlTable, above: TomlTable) -> TomlTable {
    let keys: BTreeMap<String, usize> = below
        .0
        .iter()
        .enumerate()
        .map(|(at, entry)| (entry.key.clone(), at))
        .collect();
    let mut under: Vec<Option<TomlEntry>> = below.0.into_iter().map(Some).collect();
    let mut over = Vec::new();
    for TomlEntry {
        key,
        key_location: key_at,
        node,
    } in above.0
    {
        let beneath = keys.get(&key).and_then(|at| under.get_mut(*at)?.take());
        let node = match beneath {
            Some(beneath) => merge(beneath.node, node),
            None => node,
        };
        over.push(TomlEntry {
            key,
            key_location: key_at,
            node,
        });
    }
    TomlTable(under.into_iter().flatten().chain(over).collect())
}

/// The table that a node is.
pub(super) fn table_mut(node: &mut TomlNode) -> Option<&mut TomlTable> {
    match &mut node.value {
        TomlValue::Table(table) => Some(table),
        _ => None,
    }
}

/// The entry of a key.
pub(super) fn entry_mut<'a>(table: &'a mut TomlTable, key: &str) -> Option<&'a mut TomlEntry> {
    table.0.iter_mut().find(|entry| entry.key == key)
}

/// A path as the file that names it means it.
pub(super) fn resolve_relative_path(file: &Path, path: &str) -> PathBuf {
    let joined = file.parent().unwrap_or(Path::new("")).join(path);
    let mut tidy = PathBuf::new();
    for part in joined.components() {
        let back = matches!(tidy.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if back => drop(tidy.pop()),
            part => tidy.push(part),
        }
    }
    tidy
}

fn string_values(node: &TomlNode) -> Vec<(&str, &SourceLocation)> {
    match &node.value {
        TomlValue::String(text) => vec![(text.as_str(), &node.location)],
        TomlValue::Array(items) => items
            .iter()
            .filter_map(|item| Some((item.as_str()?, &item.location)))
            .collect(),
        _ => Vec::new(),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
