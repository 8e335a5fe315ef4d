//! `depends_on`: machines that must be up before an app's own machines change.

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

/// Checks every `depends_on`, and makes its edges.
pub(crate) fn lower_depends_on(
    document: &Manifest,
    at: Cursor<'_>,
    desired: &mut Desired,
    sink: &mut Diagnostics,
) {
    let circles = DependencyCycles::find(document);
    let machines = machines_by_app(desired);
    let mut needs: BTreeMap<&str, BTreeSet<Address>> = BTreeMap::new();
    for (key, app) in document
        .apps
        .iter()
        .filter(|(_, app)| !app.depends_on.is_empty())
    {
        for (index, other) in app.depends_on.iter().enumerate() {
            let spot = at.key("apps").key(key).key("depends_on").item(index);
            if !document.apps.contains_key(other) {
                let problem = spot.diagnostic(format!("there is no app `{other}`"));
                sink.error(problem.with_optional_help(suggest::did_you_mean(
                    other,
                    document.apps.keys().map(String::as_str),
                )));
            } else if let Some(circle) = circles.cycle_through(document, key, other) {
                // Each app of a circle would tell it anew; the first one does.
                if circle.iter().all(|app| key.as_str() <= *app) {
                    let problem = spot.diagnostic(format!(
                        "`depends_on` goes in a circle: {}",
                        circle.join(" → ")
                    ));
                    sink.error(problem.with_help("leave one of them out"));
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

/// Which apps depend on each other: those with the same number. Found once for all, since a way through all apps from
/// each of them would take the square of their number.
struct DependencyCycles<'a>(BTreeMap<&'a str, usize>);

impl<'a> DependencyCycles<'a> {
    fn find(document: &'a Manifest) -> Self {
        let mut graph = DiGraph::<&str, ()>::new();
        let nodes: BTreeMap<&str, NodeIndex> = document
            .apps
            .keys()
            .map(|key| (key.as_str(), graph.add_node(key)))
            .collect();
        for (key, app) in &document.apps {
            for other in app
                .depends_on
                .iter()
                .filter_map(|other| nodes.get(other.as_str()))
            {
                graph.add_edge(nodes[key.as_str()], *other, ());
            }
        }
        // Kosaraju's way needs no stack, however long a chain is.
        let groups = kosaraju_scc(&graph).into_iter().enumerate();
        Self(
            groups
                .flat_map(|(at, group)| group.into_iter().map(move |node| (node, at)))
                .map(|(node, at)| (graph[node], at))
                .collect(),
        )
    }

    /// The shortest way from an app through `first` back to itself, such as `web → api → web`.
    fn cycle_through(
        &self,
        document: &'a Manifest,
        start: &'a str,
        first: &'a str,
    ) -> Option<Vec<&'a str>> {
        let group = self.0.get(start)?;
        if self.0.get(first) != Some(group) {
            return None;
        }
        let mut from = BTreeMap::from([(first, start)]);
        let mut open = VecDeque::from([first]);
        while let Some(last) = open.pop_front().filter(|last| *last != start) {
            for next in &document.apps.get(last)?.depends_on {
                if self.0.get(next.as_str()) == Some(group) && !from.contains_key(next.as_str()) {
                    from.insert(next, last);
                    open.push_back(next);
                }
            }
        }
        let mut path = vec![start];
        let mut at = *from.get(start)?;
        while at != start {
            path.push(at);
            at = *from.get(at)?;
        }
        path.push(start);
        path.reverse();
        Some(path)
    }
}
