//! Reads one environment from its files: the file itself, the files it inherits from, and the
//! fly.toml files that its apps name.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use super::{
    build_spec::FlyTomlBuild,
    fly_toml,
    syntax::{
        bounded_read,
        node::{
            Diagnostic, FileId, SourceFiles, SourceLocation, TomlEntry, TomlNode, TomlTable,
            TomlValue,
        },
    },
};

/// Reads the files of an environment and collects errors.
#[derive(Default)]
pub(super) struct ManifestReader {
    /// The files read so far.
    pub(super) files: SourceFiles,
    /// The errors found so far.
    pub(super) errors: Vec<Diagnostic>,
    /// Warnings of keys that have no effect.
    pub(super) warnings: Vec<Diagnostic>,
    /// Which of the files are fly.toml files: their strings are not interpolated.
    pub(super) fly_toml_files: Vec<FileId>,
    /// What the `[build]` of each app's fly.toml says, by the key of the app.
    pub(super) fly_toml_builds: BTreeMap<String, FlyTomlBuild>,
    /// The keys of the apps whose fly.toml could not be read.
    unread_apps: Vec<SourceLocation>,
    /// How many files `extends` has led to.
    inherited_count: usize,
    /// How many bytes were read.
    bytes_read: usize,
}

/// The maximum size of all files of one environment together, in bytes: many apps may name one
/// large file.
const MAX_TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// How many files one environment may inherit from, counting repetitions. One or two are usual; a
/// chain of files that each inherit twice from the next would be read 2ⁿ times.
const MAX_INHERITED_FILES: usize = 64;
/// The extensions of manifests.
const MANIFEST_EXTENSIONS: &[&str] = &["toml"];
/// The extensions of flyctl's configuration files.
const FLY_CONFIG_EXTENSIONS: &[&str] = &["toml", "json", "yaml", "yml"];

impl ManifestReader {
    /// Reads a manifest with everything that it inherits.
    pub(super) fn read_manifest(&mut self, path: &Path) -> Option<TomlNode> {
        self.read_with_parents(path, None, &mut Vec::new())
    }

    fn read_with_parents(
        &mut self,
        path: &Path,
        from: Option<&SourceLocation>,
        stack: &mut Vec<PathBuf>,
    ) -> Option<TomlNode> {
        if let Some(index) = stack.iter().position(|open| open == path) {
            let cycle: Vec<String> = stack[index..]
                .iter()
                .map(|path| file_name(path))
                .chain([file_name(path)])
                .collect();
            self.push_error(
                from,
                format!("`extends` has a cycle: {}", cycle.join(" → ")),
                "leave one of them out",
            );
            return None;
        }
        // A file without cycles can still be read exponentially often, so repetitions count.
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
        let mut base: Option<TomlNode> = None;
        // A later parent overrides an earlier one, and the file itself overrides all of them.
        for (parent, location) in extends.iter().flat_map(|entry| string_values(&entry.node)) {
            let parent = resolve_relative_path(path, parent);
            let parent = self.read_with_parents(&parent, Some(location), stack);
            base = match (base, parent) {
                (Some(base), Some(parent)) => Some(merge(base, parent)),
                (base, parent) => base.or(parent),
            };
        }
        stack.pop();
        // An invalid `extends` is put back, so that validation reports it.
        if let (Some(entry), TomlValue::Table(table)) = (extends, &mut node.value)
            && string_values(&entry.node).is_empty()
        {
            table.0.push(entry);
        }
        Some(match base {
            Some(base) => merge(base, node),
            None => node,
        })
    }

    /// Merges the fly.toml that each app names below the app's own keys. `has_image` says of an app
    /// whether the command line names its image.
    pub(super) fn merge_fly_configs(
        &mut self,
        root: &mut TomlNode,
        has_image: impl Fn(&str) -> bool,
    ) {
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
            let Some((base, build)) = self.read_fly_toml(&path, &config.location) else {
                self.unread_apps.push(entry.key_location.clone());
                continue;
            };
            entry.node = merge(base, entry.node.clone());
            if let Some(build) = build {
                if !build.is_empty {
                    self.warn_of_build(entry, build.location.clone(), has_image(&entry.key));
                }
                self.fly_toml_builds.insert(entry.key.clone(), build);
            }
        }
    }

    /// Warns of a `[build]` when nothing says which image the machines run instead.
    fn warn_of_build(&mut self, app: &TomlEntry, build: SourceLocation, has_image: bool) {
        let table = app.node.as_table();
        if has_image || table.is_some_and(|table| table.get("image").is_some()) {
            return;
        }
        self.warnings.push(Diagnostic {
            message: "no image is named, and only `trimtab build` builds one".to_owned(),
            location: Some(build),
            label: "machines keep the image that they run".to_owned(),
            help: Some(format!(
                "pass what `trimtab build ENV {key}` prints as --image, or apply with --build",
                key = app.key
            )),
        });
    }

    /// Reads a fly.toml in its canonical form, and where it says how flyctl builds the image.
    fn read_fly_toml(
        &mut self,
        path: &Path,
        from: &SourceLocation,
    ) -> Option<(TomlNode, Option<FlyTomlBuild>)> {
        let node = self.parse_file(path, FLY_CONFIG_EXTENSIONS, Some(from))?;
        let build = FlyTomlBuild::take(&node, path);
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
            table.0.extend(build.as_ref().map(FlyTomlBuild::to_entry));
            self.remove_unsupported_keys(table);
            self.remove_incomplete_services(table);
        }
        Some((node, build))
    }

    /// Removes keys that do not apply here, with a warning where they would change a machine.
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
                key_location,
                node: _,
            } in tables.into_iter().filter_map(|table| table.remove(key))
            {
                if !why.is_empty() {
                    let (location, message) = (Some(key_location), why.to_owned());
                    self.warnings.push(Diagnostic {
                        message,
                        location,
                        label: String::new(),
                        help: None,
                    });
                }
            }
        }
    }

    /// Removes services without `internal_port`, which forward to nothing. flyctl accepts them and
    /// old generators left such tables behind, so the file is not refused.
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
                help: Some("it is ignored; set `internal_port`, or remove the service".to_owned()),
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
                let help = "paths are relative to the file that names them";
                let message = format!("cannot read `{}`: {error}", path.display());
                match path_beside_folder(path).filter(|_| error.kind() == ErrorKind::NotFound) {
                    Some(there) => {
                        self.push_error(from, message, &format!("{help}: did you mean `{there}`?"));
                    }
                    None => self.push_error(from, message, help),
                }
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
                self.push_error(from, message, "move what they share to one of them");
            }
            return None;
        }
        let file = self.files.add(path.to_owned(), text);
        let (node, diagnostics) = fly_toml::parse(&self.files, file);
        self.errors.extend(diagnostics);
        Some(node)
    }

    /// Adds the errors of a later stage, without those that follow from an earlier error: at the same
    /// place, in the same line of a fly.toml (whose reader points at the section and not at its
    /// key), or of an app whose fly.toml could not be read. Errors of the whole file stay.
    pub(super) fn extend_errors(&mut self, errors: Vec<Diagnostic>, root: &SourceLocation) {
        let place = |location: &SourceLocation| {
            let start = if self.fly_toml_files.contains(&location.file) {
                self.files.line_at(location).1
            } else {
                location.span.start
            };
            (location.file, start)
        };
        let known: BTreeSet<(FileId, usize)> = self
            .errors
            .iter()
            .filter_map(|error| error.location.as_ref())
            .chain(&self.unread_apps)
            .map(place)
            .collect();
        let is_new = |error: &Diagnostic| {
            let location = error.location.as_ref().filter(|location| *location != root);
            location.is_none_or(|location| !known.contains(&place(location)))
        };
        let new: Vec<Diagnostic> = errors.into_iter().filter(is_new).collect();
        self.errors.extend(new);
    }

    fn push_error(&mut self, location: Option<&SourceLocation>, message: String, help: &str) {
        self.errors.push(Diagnostic {
            message,
            location: location.cloned(),
            label: String::new(),
            help: Some(help.to_owned()),
        });
    }
}

/// Keys of fly.toml that do not apply here: the section, the key, and the warning (none if empty).
const UNSUPPORTED_KEYS: [(&str, &str, &str); 4] = [
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

/// Merges two values: tables merge recursively, anything else is replaced.
pub(super) fn merge(base: TomlNode, overlay: TomlNode) -> TomlNode {
    let TomlNode { location, value } = overlay;
    match (base.value, value) {
        (TomlValue::Table(base), TomlValue::Table(overlay)) => TomlNode {
            location,
            value: TomlValue::Table(merge_tables(base, overlay)),
        },
        (_, value) => TomlNode { location, value },
    }
}

fn merge_tables(base: TomlTable, overlay: TomlTable) -> TomlTable {
    let keys: BTreeMap<String, usize> = base
        .0
        .iter()
        .enumerate()
        .map(|(index, entry)| (entry.key.clone(), index))
        .collect();
    let mut under: Vec<Option<TomlEntry>> = base.0.into_iter().map(Some).collect();
    // Base entries that are overridden are taken out, so that each key remains once.
    let mut over = Vec::new();
    for TomlEntry {
        key,
        key_location,
        node,
    } in overlay.0
    {
        let base_entry = keys
            .get(&key)
            .and_then(|index| under.get_mut(*index)?.take());
        let node = match base_entry {
            Some(base_entry) => merge(base_entry.node, node),
            None => node,
        };
        over.push(TomlEntry {
            key,
            key_location,
            node,
        });
    }
    TomlTable(under.into_iter().flatten().chain(over).collect())
}

/// The table of a node, if it is one.
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

/// Resolves a path relative to the file that names it, without `.` and `..` where possible.
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

/// How a file names one of the same name that stands beside its own folder, as a fly.toml stands
/// beside the folder of the manifests.
fn path_beside_folder(path: &Path) -> Option<String> {
    let name = path.file_name()?;
    let above = Path::new("..").join(name);
    let exists = path.parent()?.join(&above).is_file();
    exists.then(|| above.display().to_string())
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
