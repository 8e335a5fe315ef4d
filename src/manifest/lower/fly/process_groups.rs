//! The process groups of an app: their names and commands, and which parts of the app belong to
//! them.

use std::collections::{BTreeMap, BTreeSet};

use super::scalars;
use crate::manifest::lower::Diagnostics;
use crate::manifest::{
    schema::AppSection,
    syntax::{cursor::Cursor, suggest},
};

/// The process groups of an app.
pub(crate) struct ProcessGroups {
    /// Every group with its command; empty when the image decides.
    pub(crate) commands: BTreeMap<String, Vec<String>>,
}

/// A part of an app that belongs to some of its groups.
pub(crate) struct GroupScoped<T> {
    /// The groups that the manifest names; empty for the default group, or of files for all.
    pub(crate) processes: Vec<String>,
    /// The part itself.
    pub(crate) value: T,
}

impl ProcessGroups {
    /// Reads the groups that `processes` and `machines` name; `app` when neither names any, as in
    /// flyctl.
    pub(crate) fn from_app(
        app: &AppSection,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut commands = BTreeMap::new();
        for (name, command) in &app.processes {
            let field = cursor.key("processes").key(name);
            check_group_name(name, field, diagnostics);
            commands.insert(
                name.clone(),
                scalars::parse_command(command, field, diagnostics),
            );
        }
        for (name, group) in &app.machines {
            let field = cursor.key("machines").key(name);
            let stated = group
                .command
                .as_ref()
                .map(|command| scalars::parse_command(command, field.key("command"), diagnostics));
            if commands.contains_key(name) {
                if stated.is_some() {
                    let diagnostic = field.key("command").diagnostic(format!(
                        "group `{name}` has its command in `processes` already"
                    ));
                    diagnostics.error(diagnostic.with_help("leave one of them out"));
                }
                continue;
            }
            check_group_name(name, field, diagnostics);
            if !app.processes.is_empty() && stated.is_none() {
                let diagnostic = field.diagnostic(format!("there is no process group `{name}`"));
                diagnostics.error(diagnostic.with_optional_help(suggest::did_you_mean(
                    name,
                    app.processes.keys().map(String::as_str),
                )));
                continue;
            }
            commands.insert(name.clone(), stated.unwrap_or_default());
        }
        if commands.is_empty() {
            commands.insert("app".to_owned(), Vec::new());
        }
        Self { commands }
    }

    /// The group of parts without `processes`: `app`, or else the first.
    pub(crate) fn default_group(&self) -> &str {
        let first = || self.commands.keys().next().map_or("app", String::as_str);
        self.commands
            .get_key_value("app")
            .map_or_else(first, |(name, _)| name)
    }

    /// Whether a part with these `processes` belongs to the group.
    pub(crate) fn applies_to(&self, processes: &[String], group: &str) -> bool {
        match processes {
            [] => group == self.default_group(),
            named => named.iter().any(|name| name == group),
        }
    }

    /// The groups that a part with these `processes` belongs to.
    pub(crate) fn groups_for<'a>(
        &'a self,
        processes: &'a [String],
    ) -> impl Iterator<Item = &'a str> {
        self.commands
            .keys()
            .map(String::as_str)
            .filter(|group| self.applies_to(processes, group))
    }

    /// Checks that every named group exists, and is named once. flyctl demands neither: a part that
    /// no group has goes nowhere.
    pub(crate) fn check_processes(
        &self,
        processes: &[String],
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        for (index, name) in processes.iter().enumerate() {
            if !self.commands.contains_key(name) {
                let diagnostic = cursor
                    .key("processes")
                    .item(index)
                    .diagnostic(format!("there is no process group `{name}`"));
                let help = suggest::did_you_mean(name, self.commands.keys().map(String::as_str));
                diagnostics.refuse_in_manifest(
                    diagnostic
                        .with_label("no machine gets this")
                        .with_optional_help(help),
                );
            }
        }
        let distinct: BTreeSet<&String> = processes.iter().collect();
        if distinct.len() < processes.len() {
            diagnostics.refuse_in_manifest(
                cursor
                    .key("processes")
                    .diagnostic("a process group is listed twice"),
            );
        }
    }
}

fn check_group_name(name: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(is_allowed) {
        let diagnostic =
            cursor.key_diagnostic(format!("`{name}` cannot be the name of a process group"));
        diagnostics.error(diagnostic.with_help("use letters, digits, dashes and underscores"));
    } else if name.starts_with("fly_app_") {
        diagnostics.error(
            cursor
                .key_diagnostic(format!("`{name}` is a group of flyctl's own"))
                .with_help("names that begin with `fly_app_` are taken"),
        );
    }
}
