//! `depends_on`: machines that must be up before an app's own machines change.

use std::collections::BTreeSet;

use super::Sink;
use crate::{
    kinds::{
        Desired,
        fly::{App, Machine},
    },
    manifest::{shape::Document, spot::Spot, suggest},
    model::{Address, Name},
};

/// Checks every `depends_on`, and makes its edges.
pub(super) fn link(document: &Document, at: Spot<'_>, desired: &mut Desired, sink: &mut Sink) {
    for (key, app) in &document.apps {
        let mut needs = BTreeSet::new();
        for (index, other) in app.depends_on.iter().enumerate() {
            let spot = at.key("apps").key(key).key("depends_on").item(index);
            if !document.apps.contains_key(other) {
                let problem = spot.problem(format!("there is no app `{other}`"));
                sink.error(
                    problem.maybe_help(suggest::help(other, document.apps.keys().map(String::as_str))),
                );
            } else if let Some(circle) = circle(document, key, other) {
                // Each app of a circle would tell it anew; the first one does.
                if circle.iter().all(|app| key.as_str() <= *app) {
                    let problem =
                        spot.problem(format!("`depends_on` goes in a circle: {}", circle.join(" → ")));
                    sink.error(problem.help("leave one of them out"));
                }
            } else {
                needs.extend(machines(desired, other));
            }
        }
        add(desired, key, &needs);
    }
}

/// The machines of an app, or the app itself when it has none.
fn machines(desired: &Desired, key: &str) -> BTreeSet<Address> {
    let own = |name: &&Name| name.root().as_str() == key;
    let mut all: BTreeSet<Address> =
        desired.fly_machine.keys().filter(own).map(Address::of::<Machine>).collect();
    if all.is_empty() {
        all.extend(desired.fly_app.keys().filter(own).map(Address::of::<App>));
    }
    all
}

fn add(desired: &mut Desired, key: &str, needs: &BTreeSet<Address>) {
    let machines = desired.fly_machine.iter_mut().map(|(name, machine)| (name, &mut machine.workload));
    let crons = desired.fly_cron.iter_mut().map(|(name, cron)| (name, &mut cron.workload));
    for (_, workload) in machines.chain(crons).filter(|(name, _)| name.root().as_str() == key) {
        workload.needs.extend(needs.iter().cloned());
    }
}

/// The way from an app through `first` back to itself, such as `web → api → web`.
fn circle<'a>(document: &'a Document, start: &'a str, first: &'a str) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::new();
    let mut open = vec![vec![start, first]];
    while let Some(path) = open.pop() {
        let last = *path.last()?;
        if last == start {
            return Some(path);
        }
        if !seen.insert(last) {
            continue;
        }
        for next in document.apps.get(last).into_iter().flat_map(|app| &app.depends_on) {
            let mut longer = path.clone();
            longer.push(next);
            open.push(longer);
        }
    }
    None
}
