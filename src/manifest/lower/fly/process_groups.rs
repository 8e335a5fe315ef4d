//! Process groups: which there are, what they run, and which parts of an app are theirs.

use std::collections::{BTreeMap, BTreeSet};

use super::scalars;
use crate::manifest::lower::Diagnostics;
use crate::manifest::{
    schema::AppSection,
    syntax::{cursor::Cursor, suggest},
};

/// The process groups of an app.
pub(crate) struct ProcessGroups {
    /// Every group, and the words of its command; none when the image says.
    pub(crate) commands: BTreeMap<String, Vec<String>>,
}

/// Something that belongs to some of the groups.
pub(crate) struct GroupScoped<T> {
    /// The groups that the manifest names.
    pub(crate) processes: Vec<String>,
    /// What it is.
    pub(crate) value: T,
}

impl ProcessGroups {
    /// The groups that `processes` and `machines` name; `app` when neither names any, as flyctl has it.
    pub(crate) fn from_app(app: &AppSection, at: Cursor<'_>, sink: &mut Diagnostics) -> Self {
        let mut commands = BTreeMap::new();
        for (name, command) in &app.processes {
            let spot = at.key("processes").key(name);
            check_group_name(name, spot, sink);
            commands.insert(name.clone(), scalars::parse_command(command, spot, sink));
        }
        for (name, group) in &app.machines {
            let spot = at.key("machines").key(name);
            let stated = group
                .command
                .as_ref()
                .map(|command| scalars::parse_command(command, spot.key("command"), sink));
            if commands.contains_key(name) {
                if stated.is_some() {
                    let problem = spot.key("command").diagnostic(format!(
                        "group `{name}` has its command in `processes` already"
                    ));
                    sink.error(problem.with_help("leave one of them out"));
                }
                continue;
            }
            check_group_name(name, spot, sink);
            if !app.processes.is_empty() && stated.is_none() {
                let problem = spot.diagnostic(format!("there is no process group `{name}`"));
                sink.error(problem.with_optional_help(suggest::did_you_mean(
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

    /// The group that parts without `processes` belong to: `app`, else the first.
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

    /// Checks that every named group is there.
    pub(crate) fn check_processes(
        &self,
        processes: &[String],
        at: Cursor<'_>,
        sink: &mut Diagnostics,
    ) {
        for (index, name) in processes.iter().enumerate() {
            if !self.commands.contains_key(name) {
                let problem = at
                    .key("processes")
                    .item(index)
                    .diagnostic(format!("there is no process group `{name}`"));
                sink.error(problem.with_optional_help(suggest::did_you_mean(
                    name,
                    self.commands.keys().map(String::as_str),
                )));
            }
        }
        let distinct: BTreeSet<&String> = processes.iter().collect();
        if distinct.len() < processes.len() {
            sink.error(
                at.key("processes")
                    .diagnostic("a process group stands here twice"),
            );
        }
    }
}

fn check_group_name(name: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(fits) {
        let problem = at.key_diagnostic(format!("`{name}` cannot be the name of a process group"));
        sink.error(problem.with_help("use letters, digits, dashes and underscores"));
    } else if name.starts_with("fly_app_") {
        sink.error(
            at.key_diagnostic(format!("`{name}` is a group of flyctl's own"))
                .with_help("names that begin with `fly_app_` are taken"),
        );
    }
}
