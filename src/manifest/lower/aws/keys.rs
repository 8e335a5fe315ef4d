//! Static keys on an app that has an identity: AWS's SDKs take them first and never look at the role.

use crate::{
    kinds::aws::role::STATIC_KEYS,
    manifest::{lower::Sink, shape::App, spot::Spot},
};

/// Warns of those that the manifest itself sets.
pub(in crate::manifest::lower) fn shadowed(app: &App, at: Spot<'_>, identity: &str, sink: &mut Sink) {
    for name in STATIC_KEYS {
        let tables = [("env", app.env.contains_key(name)), ("secrets", app.secrets.contains_key(name))];
        for (table, _) in tables.into_iter().filter(|(_, there)| *there) {
            let spot = at.key(table).key(name);
            let problem = spot.key_problem(format!("`{name}` hides the identity `{identity}`"));
            sink.warn(problem.help("AWS's SDKs take static keys first: leave it out, and the role is taken"));
        }
    }
}
