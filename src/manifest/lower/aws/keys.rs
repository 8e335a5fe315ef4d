//! Static keys on an app that has an identity: AWS's SDKs take them first and never look at the role.

use crate::{
    kinds::aws::role::STATIC_KEYS,
    manifest::{lower::Sink, shape::App, spot::Spot},
};

/// What an SDK takes a role from.
const ROLE: &str = "AWS_ROLE_ARN";

/// Warns of what the manifest itself sets: static keys, and another role.
pub(in crate::manifest::lower) fn shadowed(app: &App, at: Spot<'_>, identity: &str, sink: &mut Sink) {
    if app.env.contains_key(ROLE) {
        let problem = at.key("env").key(ROLE).key_problem(format!("`{ROLE}` stands here already"));
        sink.warn(problem.help(format!(
            "it wins over the identity `{identity}`: leave it out, or say `env = false` for the identity"
        )));
    }
    for name in STATIC_KEYS {
        let tables = [("env", app.env.contains_key(name)), ("secrets", app.secrets.contains_key(name))];
        for (table, _) in tables.into_iter().filter(|(_, there)| *there) {
            let spot = at.key(table).key(name);
            let problem = spot.key_problem(format!("`{name}` hides the identity `{identity}`"));
            sink.warn(problem.help("AWS's SDKs take static keys first: leave it out, and the role is taken"));
        }
    }
}
