//! Lowers `depends_on`: machines that must be up before an app's own machines change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::{
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
};

use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::{
        Desired,
        fly::{App, Machine},
    },
    manifest::{
        schema::Manifest,
        syntax::{cursor::Cursor, suggest},
    },
    model::Address,
};

/// Checks every `depends_on`, and adds the dependencies to the machines.
pub(crate) fn lower_depends_on(
    manifest: &Manifest,
    cursor: Cursor<'_>,
    desired: &mut Desired,
    diagnostics: &mut Diagnostics,
) {
    let cycles = DependencyCycles::find(manifest);
    let machines = machines_by_app(desired);
    let mut needs: BTreeMap<&str, BTreeSet<Address>> = BTreeMap::new();
    for (key, app) in manifest
        .apps
        .iter()
        .filter(|(_, app)| !app.depends_on.is_empty())
    {
        for (index, other) in app.depends_on.iter().enumerate() {
            let field = cursor.key("apps").key(key).key("depends_on").item(index);
            if !manifest.apps.contains_key(other) {
                let diagnostic = field.diagnostic(format!("there is no app `{other}`"));
                diagnostics.error(diagnostic.with_optional_help(suggest::did_you_mean(
                    other,
                    manifest.apps.keys().map(String::as_str),
                )));
            } else if let Some(cycle) = cycles.cycle_through(manifest, key, other) {
                // Every app in a cycle would report it; only the one that sorts first does.
                if cycle.iter().all(|app| key.as_str() <= *app) {
                    let diagnostic = field
                        .diagnostic(format!("`depends_on` has a cycle: {}", cycle.join(" → ")));
                    diagnostics.error(diagnostic.with_help("leave one of them out"));
                }
            } else {
                needs
                    .entry(key)
                    .or_default()
                    .extend(machines.get(other.as_str()).into_iter().flatten().cloned());
            }
        }
    }
    add_dependencies(desired, &needs);
}

/// The machines of each app, or the app itself when it has none.
fn machines_by_app(desired: &Desired) -> BTreeMap<String, BTreeSet<Address>> {
    let mut all: BTreeMap<String, BTreeSet<Address>> = BTreeMap::new();
    for name in desired.fly_machine.keys() {
        all.entry(name.root().as_str().to_owned())
            .or_default()
            .insert(Address::new::<Machine>(name));
    }
    for name in desired.fly_app.keys() {
        all.entry(name.as_str().to_owned())
            .or_insert_with(|| BTreeSet::from([Address::new::<App>(name)]));
    }
    all
}

fn add_dependencies(desired: &mut Desired, needs: &BTreeMap<&str, BTreeSet<Address>>) {
    let machines = desired
        .fly_machine
        .iter_mut()
        .map(|(name, machine)| (name, &mut machine.workload));
    let crons = desired
        .fly_cron
        .iter_mut()
        .map(|(name, cron)| (name, &mut cron.workload));
    for (name, workload) in machines.chain(crons) {
        workload.needs.extend(
            needs
                .get(name.root().as_str())
                .into_iter()
                .flatten()
                .cloned(),
        );
    }
}

/// The strongly connected components of `depends_on`: apps with the same number depend on each
/// other. They are computed once, because a search from every app would take quadratic time.
struct DependencyCycles<'a>(BTreeMap<&'a str, usize>);

impl<'a> DependencyCycles<'a> {
    fn find(manifest: &'a Manifest) -> Self {
        let mut graph = DiGraph::<&str, ()>::new();
        let nodes: BTreeMap<&str, NodeIndex> = manifest
            .apps
            .keys()
            .map(|key| (key.as_str(), graph.add_node(key)))
            .collect();
        for (key, app) in &manifest.apps {
            for other in app
                .depends_on
                .iter()
                .filter_map(|other| nodes.get(other.as_str()))
            {
                graph.add_edge(nodes[key.as_str()], *other, ());
            }
        }
        // Kosaraju's algorithm does not recurse, so a long chain of apps cannot overflow the stack.
        let groups = kosaraju_scc(&graph).into_iter().enumerate();
        Self(
            groups
                .flat_map(|(component, group)| group.into_iter().map(move |node| (node, component)))
                .map(|(node, component)| (graph[node], component))
                .collect(),
        )
    }

    /// The shortest path from `start` through `first` back to `start`, such as `web → api → web`.
    fn cycle_through(
        &self,
        manifest: &'a Manifest,
        start: &'a str,
        first: &'a str,
    ) -> Option<Vec<&'a str>> {
        let group = self.0.get(start)?;
        if self.0.get(first) != Some(group) {
            return None;
        }
        // Breadth-first search within the component; `from` is the predecessor of each app.
        let mut from = BTreeMap::from([(first, start)]);
        let mut open = VecDeque::from([first]);
        while let Some(last) = open.pop_front().filter(|last| *last != start) {
            for next in &manifest.apps.get(last)?.depends_on {
                if self.0.get(next.as_str()) == Some(group) && !from.contains_key(next.as_str()) {
                    from.insert(next, last);
                    open.push_back(next);
                }
            }
        }
        // Follow the predecessors back from `start`, and reverse the path.
        let mut path = vec![start];
        let mut app = *from.get(start)?;
        while app != start {
            path.push(app);
            app = *from.get(app)?;
        }
        path.push(start);
        path.reverse();
        Some(path)
    }
}
