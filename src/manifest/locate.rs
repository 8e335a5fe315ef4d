//! Finds the line of a manifest behind a line of a plan, so that a review shows a change where it was written: in the
//! environment's own file, in one that it inherits from, or in a fly.toml.

use std::path::Path;

use super::{
    LoadedEnvironment,
    syntax::node::{SourceLocation, TomlEntry, TomlNode},
};
use crate::model::Address;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePosition<'a> {
    /// The file, as the user would write it.
    pub path: &'a Path,
    /// The line, counted from one.
    pub line: usize,
    /// The column, counted from one in characters.
    pub column: usize,
}

impl LoadedEnvironment {
    /// The place where the manifest says what a line of the diff is about. `path` is the path of that line, such as
    /// `env.LOG_LEVEL`. Where the manifest does not say it, it is the place of the resource, or of the app that it is in; `None` for
    /// what is in no manifest, such as a resource that is deleted.
    #[must_use]
    pub fn locate(&self, address: &Address, path: &str) -> Option<SourcePosition<'_>> {
        let location = self
            .find_value(address, path)
            .or_else(|| self.locations.get(address).cloned())
            .or_else(|| self.find_table(address))?;
        let (line, column) = self.files.line_column(&location);
        Some(SourcePosition {
            path: &self.files.get(location.file).path,
            line,
            column,
        })
    }

    /// The longest part of the path that some table of the resource has, in the table that is nearest to it.
    fn find_value(&self, address: &Address, path: &str) -> Option<SourceLocation> {
        if path == "image"
            && let Some(location) = self.image_locations.get(address.name())
        {
            return Some(location.clone());
        }
        let keys: Vec<&str> = path
            .split(['.', '['])
            .map(|key| key.trim_end_matches(']'))
            .filter(|key| !key.is_empty())
            .collect();
        let mut best: Option<(usize, SourceLocation)> = None;
        for table in self.tables_of(address) {
            let Some((depth, location)) = descend(table, &keys) else {
                continue;
            };
            if best.as_ref().is_none_or(|(known, _)| depth > *known) {
                best = Some((depth, location));
            }
        }
        let (_, location) = best?;
        Some(location)
    }

    /// The tables that say something of a resource, the most specific first. A name such as `web/app/ewr/0` says in which app,
    /// and in which table below it, a resource is.
    fn tables_of(&self, address: &Address) -> Vec<&TomlNode> {
        let segments: Vec<&str> = address.name().segments().collect();
        let mut tables = Vec::new();
        let Some(root) = self.root.as_table() else {
            return tables;
        };
        // Each top-level table of tables, such as `apps`, `buckets` or `postgres`, whichever has the key.
        for section in &root.0 {
            let Some(block) = child(&section.node, segments[0]) else {
                continue;
            };
            let inner = block.as_table().into_iter().flat_map(|table| &table.0);
            let inner = inner.filter_map(|entry| child(&entry.node, segments.get(1)?));
            tables.extend(inner.filter(|node| node.as_table().is_some()));
            tables.push(block);
        }
        tables
    }

    /// The place of the block that a resource comes from.
    fn find_table(&self, address: &Address) -> Option<SourceLocation> {
        let root = self.root.as_table()?;
        let first = address.name().segments().next()?;
        root.0
            .iter()
            .find_map(|section| entry(&section.node, first))
            .map(|entry| entry.key_location.clone())
    }
}

fn entry<'a>(node: &'a TomlNode, key: &str) -> Option<&'a TomlEntry> {
    let mut entries = node.as_table()?.0.iter();
    entries.find(|entry| entry.key == key)
}

fn child<'a>(node: &'a TomlNode, key: &str) -> Option<&'a TomlNode> {
    entry(node, key).map(|entry| &entry.node)
}

/// How many of the keys lead somewhere, and the key that they lead to. `None` if not even the first does.
fn descend(table: &TomlNode, keys: &[&str]) -> Option<(usize, SourceLocation)> {
    let mut at = entry(table, keys.first()?)?;
    let mut depth = 1;
    for key in &keys[1..] {
        let Some(next) = entry(&at.node, key) else {
            break;
        };
        at = next;
        depth += 1;
    }
    Some((depth, at.key_location.clone()))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::manifest::{Inputs, SecretsMode, load};

    #[test]
    fn a_change_is_found_where_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write(
            "_base.toml",
            "project = \"shop\"\n[apps.web.env]\nLOG_LEVEL = \"info\"\nPORT = \"${var.port}\"\n",
        );
        write(
            "fly.toml",
            "app = \"shop-web\"\n[env]\nOLD = \"1\"\n[[vm]]\nsize = \"shared-cpu-1x\"\n",
        );
        write(
            "staging.toml",
            "extends = \"_base.toml\"\nfly.org = \"acme\"\nvars.port = \"80\"\n[apps.web]\nprimary_region = \"ewr\"\nconfig = \"fly.toml\"\nimage = \"nginx\"\n\
             [apps.web.machines.app]\ncount = 2\n[apps.web.cron.news]\nschedule = \"daily\"\ncommand = [\"news\"]\n",
        );
        let inputs = Inputs {
            vars: BTreeMap::new(),
            images: BTreeMap::new(),
            process_environment: BTreeMap::new(),
            secrets_mode: SecretsMode::Unchecked,
            multiple_environments: false,
        };
        let loaded = load(dir.path(), "staging", &inputs)
            .unwrap_or_else(|error| panic!("{}", error.render(false, 100)));
        let locate = |address: &str, path: &str| {
            let place = loaded
                .locate(&Address::parse(address).unwrap(), path)
                .unwrap();
            let file = place.path.file_name().unwrap().to_str().unwrap();
            format!("{file}:{}", place.line)
        };
        let machine = "fly.machine/web/app/ewr/0";
        assert_eq!(locate(machine, "env.LOG_LEVEL"), "_base.toml:3");
        assert_eq!(locate(machine, "env.PORT"), "_base.toml:4");
        assert_eq!(locate(machine, "env.OLD"), "fly.toml:3");
        assert_eq!(locate(machine, "count"), "staging.toml:9");
        assert_eq!(locate("fly.cron/web/news", "schedule"), "staging.toml:11");
        assert_eq!(locate("fly.cron/web/news", "init.cmd"), "staging.toml:10");
        assert_eq!(locate("fly.app/web", "name"), "fly.toml:1");
        assert_eq!(locate("fly.app/web", "network"), "staging.toml:4");
        assert_eq!(
            loaded.locate(&Address::parse("fly.app/gone").unwrap(), "name"),
            None
        );
    }
}
