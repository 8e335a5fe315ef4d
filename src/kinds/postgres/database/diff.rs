//! Compares a database with the record of the last apply, and with the secret of the app that uses it.

use super::{Database, DatabaseFacts, DatabaseLive, DatabaseRecord, DatabaseSpec};
use crate::{
    kinds::{
        Blocker, Cause, Cost, DataLoss, DeletionRules, DescribeEdit, Diff, DiffContext, Kind, Op,
        OperationRules, fly,
    },
    model::{Address, DiffLine, DisplayValue, KindName as _, ResourceRef},
};

/// The line by which the app's secret knows that it gets another value.
pub(crate) const PASSWORD_LINE: &str = "password";

/// How long the statements of one database take, and a database that sleeps to wake, in seconds.
const TYPICAL_SECS: u64 = 5;

/// The statements and the record of one database.
#[derive(Clone, Debug)]
pub struct DatabaseEdit {
    /// What is to be.
    pub spec: Box<DatabaseSpec>,
    /// Whether the role gets a new password, and the app a new secret.
    pub new_password: bool,
    /// Whether the user asked for it. A managed cluster gives the present password again otherwise.
    pub rotate: bool,
    /// What differs.
    lines: Vec<DiffLine>,
}

impl DescribeEdit for DatabaseEdit {
    fn lines(&self) -> Vec<DiffLine> {
        self.lines.clone()
    }
}

/// Why the role needs a new password; `None` when the app's secret has the present one.
fn password_mismatch(
    spec: &DatabaseSpec,
    live: &DatabaseLive,
    context: &DiffContext<'_>,
) -> Option<String> {
    let variable = &spec.variable;
    let secrets = context.world.fly_secrets.get(spec.app.name());
    let Some(secret) = secrets.and_then(|secrets| secrets.present.get(variable)) else {
        return Some(format!("the secret {variable} is missing"));
    };
    // Without a machine nothing remembers what the secret is, and nothing runs with a wrong one.
    let is_recorded = spec.has_machines || secrets.is_some_and(|secrets| secrets.has_machines);
    match &secret.fingerprint {
        Some(fingerprint) if fingerprint.as_str() == live.verifier_hash => None,
        Some(_) => Some(format!("the secret {variable} has an earlier password")),
        None if secret.known => Some(format!("the secret {variable} was changed outside")),
        None => is_recorded.then(|| format!("what the secret {variable} has is not known")),
    }
}

/// Why the password in the cluster is not the recorded one, where the cluster was asked.
fn changed_password(live: &DatabaseLive) -> Option<String> {
    let role = &live.record.role;
    match &live.facts.as_ref()?.role {
        None => Some(format!("the role {role} is gone")),
        Some(facts) => (facts.verifier_hash != live.verifier_hash)
            .then(|| format!("the password of the role {role} was changed outside")),
    }
}

/// How the role and the database differ from what an apply makes.
fn fact_lines(spec: &DatabaseSpec, facts: &DatabaseFacts) -> Vec<DiffLine> {
    let mut lines = Vec::new();
    if let Some(role) = &facts.role {
        lines.extend((!role.login).then(|| DiffLine::change("role.login", false, true)));
        let excess = role.excess.iter();
        lines.extend(excess.map(|right| DiffLine::change(format!("role.{right}"), true, false)));
    }
    match &facts.database {
        None => lines.push(
            DiffLine::add("database", spec.database.clone())
                .with_note("it is gone; the new one is empty"),
        ),
        Some((owner, public_connect)) => {
            if *owner != spec.role {
                lines.push(DiffLine::change("owner", owner.clone(), spec.role.clone()));
            }
            lines.extend(public_connect.then(|| DiffLine::change("public_connect", true, false)));
        }
    }
    lines
}

fn is_to_rotate(live: &DatabaseLive, context: &DiffContext<'_>) -> bool {
    let asked = |address: &Address| {
        address.kind() == Database::NAME && address.name().as_str() == live.record.name
    };
    context.rotate.iter().any(asked)
}

/// What cannot change: the names under which the data is found.
fn rename_blocker(spec: &DatabaseSpec, live: &DatabaseLive) -> Option<Blocker> {
    let record = &live.record;
    let renamed = [
        ("the cluster", &live.cluster, &spec.cluster.fly_name),
        ("the database", &record.database, &spec.database),
        ("the role", &record.role, &spec.role),
    ];
    let (what, from, to) = renamed.into_iter().find(|(_, from, to)| from != to)?;
    Some(Blocker {
        reason: format!(
            "{what} of this block is {from}, and the manifest says {to}; another name is another database"
        ),
        hint: format!(
            "write {from} again, or add a block for {to}, copy the data with pg_dump, and then remove this one"
        ),
    })
}

impl Kind for Database {
    type Spec = DatabaseSpec;
    type Live = DatabaseLive;
    type Edit = DatabaseEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);
    const KNOWN_AFTER_CREATE: &'static [&'static str] = &[];

    fn diff(
        spec: &DatabaseSpec,
        live: &DatabaseLive,
        context: &DiffContext<'_>,
    ) -> Diff<DatabaseEdit> {
        if let Some(blocker) = rename_blocker(spec, live) {
            return Diff::Blocked(blocker);
        }
        let record = &live.record;
        let mut lines = Vec::new();
        if record.variable != spec.variable {
            lines.push(DiffLine::change(
                "variable",
                record.variable.clone(),
                spec.variable.clone(),
            ));
        }
        let url = spec.display_url();
        if record.url != url {
            lines.push(DiffLine::change("url", record.url.clone(), url));
        }
        // A secret with another name or another form needs the password, which nobody can read back.
        let mismatch = match lines.is_empty() {
            true if is_to_rotate(live, context) => Some("--rotate".to_owned()),
            true => password_mismatch(spec, live, context),
            false => Some("the URL changes, and the password cannot be read back".to_owned()),
        };
        let mismatch = mismatch.or_else(|| changed_password(live));
        let new_password = mismatch.is_some();
        lines.extend(mismatch.map(|why| {
            DiffLine::new(
                PASSWORD_LINE,
                Some(DisplayValue::Sensitive),
                Some(DisplayValue::Sensitive),
            )
            .with_note(why)
        }));
        lines.extend(live.facts.iter().flat_map(|facts| fact_lines(spec, facts)));
        let missing = spec.extensions.difference(&record.extensions);
        lines.extend(missing.map(|name| DiffLine::add(format!("extensions.{name}"), true)));
        if record.ephemeral != spec.ephemeral {
            lines.push(DiffLine::change(
                "ephemeral",
                record.ephemeral,
                spec.ephemeral,
            ));
        }
        if lines.is_empty() {
            return Diff::Same;
        }
        Diff::Edit(vec![DatabaseEdit {
            spec: Box::new(spec.clone()),
            new_password,
            rotate: is_to_rotate(live, context),
            lines,
        }])
    }

    fn creation_lines(spec: &DatabaseSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        let mut lines = vec![
            DiffLine::add("cluster", spec.cluster.fly_name.clone()),
            DiffLine::add("database", spec.database.clone()),
            DiffLine::add("role", spec.role.clone()),
            DiffLine::new(PASSWORD_LINE, None, Some(DisplayValue::Sensitive)),
            DiffLine::add("variable", spec.variable.clone()),
            DiffLine::add("url", spec.display_url()),
        ];
        let extensions = spec.extensions.iter();
        lines.extend(extensions.map(|name| DiffLine::add(format!("extensions.{name}"), true)));
        lines
    }

    /// A database is found by its cluster and its name.
    fn identity(live: &DatabaseLive) -> String {
        format!("{}/{}", live.cluster, live.record.database)
    }

    fn describe(live: &DatabaseLive) -> String {
        format!("{} in {}", live.record.database, live.cluster)
    }

    fn cause(spec: &DatabaseSpec, live: &DatabaseLive) -> Cause {
        let DatabaseRecord {
            variable,
            url,
            extensions,
            ephemeral,
            ..
        } = &live.record;
        let is_applied = *variable == spec.variable
            && *url == spec.display_url()
            && *extensions == spec.extensions
            && *ephemeral == spec.ephemeral;
        match is_applied {
            true => Cause::Outside,
            false => Cause::Manifest,
        }
    }
}

impl DeletionRules for Database {
    /// The app uses it until its machines are gone or have another secret.
    const DELETED_LAST: bool = true;

    fn deleted_with(live: &DatabaseLive) -> Option<Address> {
        live.cluster_app.as_ref().map(ResourceRef::address)
    }

    fn data_loss(live: &DatabaseLive) -> Option<DataLoss> {
        (!live.record.ephemeral).then_some(DataLoss::Data)
    }

    fn recovery_hint(live: &DatabaseLive) -> Option<String> {
        let database = &live.record.database;
        Some(format!(
            "to keep the data, first copy it: `fly proxy 15432:5432 --app {}` and `pg_dump --port 15432 {database}`",
            live.cluster
        ))
    }
}

impl OperationRules for Database {
    fn cost(_: &Op<Self>) -> Cost {
        Cost::change(TYPICAL_SECS)
    }
}
