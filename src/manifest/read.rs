//! One environment from its files: the file itself, what it inherits, and the fly.toml files that it takes over.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::{
    disk, fly_toml,
    node::{Entry, FileId, Files, Node, Place, Problem, Table, Value},
};

/// What reading collects.
#[derive(Default)]
pub(super) struct Reader {
    /// The files so far.
    pub(super) files: Files,
    /// What is wrong so far.
    pub(super) problems: Vec<Problem>,
    /// What has no effect.
    pub(super) warnings: Vec<Problem>,
    /// Which of the files are fly.toml files: their texts are taken as they are, without interpolation.
    pub(super) fly_files: Vec<FileId>,
    /// How many files `extends` has led to.
    inherited: usize,
    /// How many bytes were read.
    read: usize,
}

/// The most that the files of one environment may have together, in bytes: many apps may name one large file.
const LARGEST_TOGETHER: usize = 32 * 1024 * 1024;

/// How many files one environment may inherit from, one that is inherited twice counted twice. People have one or two;
/// files that each inherit twice from the next would be read 2ⁿ times.
const MOST_INHERITED: usize = 64;
/// What manifests may be called.
const MANIFESTS: &[&str] = &["toml"];
/// What the files of flyctl may be called.
const FLY_FILES: &[&str] = &["toml", "json", "yaml", "yml"];

impl Reader {
    /// A manifest with everything that it inherits.
    pub(super) fn manifest(&mut self, path: &Path) -> Option<Node> {
        self.inherit(path, None, &mut Vec::new())
    }

    fn inherit(
        &mut self,
        path: &Path,
        from: Option<&Place>,
        stack: &mut Vec<PathBuf>,
    ) -> Option<Node> {
        if let Some(at) = stack.iter().position(|open| open == path) {
            let circle: Vec<String> = stack[at..]
                .iter()
                .map(|path| file_name(path))
                .chain([file_name(path)])
                .collect();
            self.fail(
                from,
                format!("`extends` goes in a circle: {}", circle.join(" → ")),
                "leave one of them out",
            );
            return None;
        }
        self.inherited += usize::from(from.is_some());
        if self.inherited > MOST_INHERITED {
            if self.inherited == MOST_INHERITED + 1 {
                let message = format!("`extends` leads to more than {MOST_INHERITED} files");
                self.fail(
                    from,
                    message,
                    "inherit from fewer, and from each in one place",
                );
            }
            return None;
        }
        let mut node = self.parse(path, MANIFESTS, from)?;
        let extends = match &mut node.value {
            Value::Table(table) => table.remove("extends"),
            _ => None,
        };
        stack.push(path.to_owned());
        let mut below: Option<Node> = None;
        for (parent, at) in extends.iter().flat_map(|entry| texts(&entry.node)) {
            let parent = beside(path, parent);
            let parent = self.inherit(&parent, Some(at), stack);
            below = match (below, parent) {
                (Some(below), Some(parent)) => Some(merge(below, parent)),
                (below, parent) => below.or(parent),
            };
        }
        stack.pop();
        // A wrong `extends` stays in, so that the check of the shape finds it.
        if let (Some(entry), Value::Table(table)) = (extends, &mut node.value)
            && texts(&entry.node).is_empty()
        {
            table.0.push(entry);
        }
        Some(match below {
            Some(below) => merge(below, node),
            None => node,
        })
    }

    /// Lays the fly.toml that each app names beneath the app's own keys.
    pub(super) fn lay_configs_beneath(&mut self, root: &mut Node) {
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
            let path = beside(&self.files.get(config.at.file).path, text);
            let Some(below) = self.fly_toml(&path, &config.at) else {
                continue;
            };
            entry.node = merge(below, entry.node.clone());
        }
    }

    fn fly_toml(&mut self, path: &Path, from: &Place) -> Option<Node> {
        let node = self.parse(path, FLY_FILES, Some(from))?;
        self.fly_files.push(node.at.file);
        let fly_toml::Modern {
            mut node,
            errors,
            warnings,
        } = fly_toml::modernise(node);
        self.problems.extend(errors);
        self.warnings.extend(warnings);
        if let Some(table) = table_mut(&mut node) {
            rename(table, "app", "name");
            take_image(table);
            self.leave_out(table);
            self.leave_out_services(table);
        }
        Some(node)
    }

    /// Takes out what has no place here, and says so where it would change a machine.
    fn leave_out(&mut self, root: &mut Table) {
        for (section, key, why) in LEFT_OUT {
            let mut tables = Vec::new();
            if section.is_empty() {
                tables.push(&mut *root);
            } else if let Some(entry) = entry_mut(root, section) {
                match &mut entry.node.value {
                    Value::Table(table) => tables.push(table),
                    Value::Array(items) => tables.extend(items.iter_mut().filter_map(table_mut)),
                    _ => {}
                }
            }
            for Entry {
                key: _,
                key_at,
                node: _,
            } in tables.into_iter().filter_map(|table| table.remove(key))
            {
                if !why.is_empty() {
                    let (at, message) = (Some(key_at), why.to_owned());
                    self.warnings.push(Problem {
                        message,
                        at,
                        label: String::new(),
                        help: None,
                    });
                }
            }
        }
    }

    /// A service without `internal_port` forwards to nothing. flyctl sends it all the same, and old generators left such
    /// tables behind, so it is no reason to refuse the file.
    fn leave_out_services(&mut self, root: &mut Table) {
        let Some(Value::Array(services)) =
            entry_mut(root, "services").map(|entry| &mut entry.node.value)
        else {
            return;
        };
        let whole = |service: &Node| {
            service
                .as_table()
                .is_none_or(|table| table.get("internal_port").is_some())
        };
        for service in services.extract_if(.., |service| !whole(service)) {
            self.warnings.push(Problem {
                message: "this service has no `internal_port`, so it reaches nothing".to_owned(),
                at: Some(service.at),
                label: String::new(),
                help: Some(
                    "it is left out; say `internal_port`, or take it out of the file".to_owned(),
                ),
            });
        }
    }

    fn parse(&mut self, path: &Path, endings: &[&str], from: Option<&Place>) -> Option<Node> {
        let text = match disk::document(path, endings) {
            Ok(text) => text,
            Err(error) => {
                self.fail(
                    from,
                    format!("cannot read `{}`: {error}", path.display()),
                    "paths are relative to the file that names them",
                );
                return None;
            }
        };
        let before = self.read;
        self.read += text.len();
        if self.read > LARGEST_TOGETHER {
            if before <= LARGEST_TOGETHER {
                let message = format!(
                    "the files of this environment have more than {LARGEST_TOGETHER} bytes together"
                );
                self.fail(from, message, "say what they share in one of them");
            }
            return None;
        }
        let file = self.files.add(path.to_owned(), text);
        let (node, problems) = fly_toml::parse(&self.files, file);
        self.problems.extend(problems);
        Some(node)
    }

    fn fail(&mut self, at: Option<&Place>, message: String, help: &str) {
        self.problems.push(Problem {
            message,
            at: at.cloned(),
            label: String::new(),
            help: Some(help.to_owned()),
        });
    }
}

/// Keys of fly.toml that have no place here: the section, the key, and why.
const LEFT_OUT: [(&str, &str, &str); 5] = [
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

fn take_image(table: &mut Table) {
    let image = table
        .get("build")
        .and_then(Node::as_table)
        .and_then(|build| build.0.iter().find(|entry| entry.key == "image").cloned());
    table.0.extend(image);
}

fn rename(table: &mut Table, from: &str, to: &str) {
    if let Some(entry) = entry_mut(table, from) {
        to.clone_into(&mut entry.key);
    }
}

/// Two values laid on each other: tables merge deep, anything else is replaced.
pub(super) fn merge(below: Node, above: Node) -> Node {
    let Node { at, value } = above;
    match (below.value, value) {
        (Value::Table(below), Value::Table(above)) => Node {
            at,
            value: Value::Table(merge_tables(below, above)),
        },
        (_, value) => Node { at, value },
    }
}

fn merge_tables(below: Table, above: Table) -> Table {
    let keys: BTreeMap<String, usize> = below
        .0
        .iter()
        .enumerate()
        .map(|(at, entry)| (entry.key.clone(), at))
        .collect();
    let mut under: Vec<Option<Entry>> = below.0.into_iter().map(Some).collect();
    let mut over = Vec::new();
    for Entry { key, key_at, node } in above.0 {
        let beneath = keys.get(&key).and_then(|at| under.get_mut(*at)?.take());
        let node = match beneath {
            Some(beneath) => merge(beneath.node, node),
            None => node,
        };
        over.push(Entry { key, key_at, node });
    }
    Table(under.into_iter().flatten().chain(over).collect())
}

/// The table that a node is.
pub(super) fn table_mut(node: &mut Node) -> Option<&mut Table> {
    match &mut node.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

/// The entry of a key.
pub(super) fn entry_mut<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Entry> {
    table.0.iter_mut().find(|entry| entry.key == key)
}

/// A path as the file that names it means it.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
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

fn texts(node: &Node) -> Vec<(&str, &Place)> {
    match &node.value {
        Value::String(text) => vec![(text.as_str(), &node.at)],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| Some((item.as_str()?, &item.at)))
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
