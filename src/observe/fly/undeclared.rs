//! Finds the apps of this environment that its manifest no longer has.
//!
//! Whoever may create a machine in an app can give it our mark, for instance by cloning one of ours with everything in its
//! configuration. So a mark only tells where to look. An app is ours by its owner label, which is a secret of the app itself.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::{
    clouds::{
        CloudError,
        fly::{FlyReader, wire},
    },
    kinds::Desired,
    model::{Name, OwnershipMark},
};

/// The apps outside the manifest in which a machine bears the mark of this environment.
#[derive(Debug, Default)]
pub(super) struct UndeclaredApps {
    /// The Fly names of those that this environment owns, by key.
    pub(super) owned: BTreeMap<Name, String>,
    /// A warning for each of the others.
    pub(super) warnings: Vec<String>,
}

/// The machines of an app that bear the mark of this environment.
#[derive(Debug, Default)]
struct MarkedMachines<'a> {
    ids: BTreeSet<&'a str>,
    /// The app's key according to their names.
    keys: BTreeSet<Name>,
}

/// Finds the apps outside the manifest in which a machine bears our mark, and reads whose they are.
pub(super) async fn find_undeclared_apps(
    reader: &FlyReader,
    machines: &[wire::OrgMachine],
    desired: &Desired,
) -> Result<UndeclaredApps, CloudError> {
    let marked = marked_apps(machines, desired);
    let owners = marked.into_iter().map(async |(app, machines)| {
        let labels = read_owner_labels(reader, app).await?;
        Ok::<_, CloudError>((app, machines, labels))
    });
    let own_label = desired.meta.mark.app_label();
    let mut found = UndeclaredApps::default();
    for (app, machines, labels) in try_join_all(owners).await? {
        let Some(labels) = labels else { continue };
        if labels.contains(&own_label) {
            found.add_owned(app, machines.keys, desired);
        } else {
            let warning = stranger_warning(app, &machines.ids, &labels, &own_label);
            found.warnings.push(warning);
        }
    }
    Ok(found)
}

impl UndeclaredApps {
    /// Adds an app under the key that its machines remember. If that is not one key, or the manifest now uses it for another
    /// app, the key is built from the Fly name. The dot keeps it distinct from manifest keys, which contain none.
    fn add_owned(&mut self, app: &str, keys: BTreeSet<Name>, desired: &Desired) {
        let mut keys = keys.into_iter();
        let only_key = keys.next().filter(|_| keys.next().is_none());
        let is_free = |key: &Name| {
            !desired.fly_app.contains_key(key) && !self.owned.contains_key(key) && is_app_key(key)
        };
        let generated_key = || Name::parse(&format!("{app}.gone")).ok();
        if let Some(key) = only_key.filter(is_free).or_else(generated_key) {
            self.owned.insert(key, app.to_owned());
        }
    }
}

/// The apps outside the manifest in which a machine bears our mark, by their name on Fly.
fn marked_apps<'a>(
    machines: &'a [wire::OrgMachine],
    desired: &Desired,
) -> BTreeMap<&'a str, MarkedMachines<'a>> {
    let declared: BTreeSet<&str> = desired
        .fly_app
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    let mut marked: BTreeMap<&str, MarkedMachines<'_>> = BTreeMap::new();
    for machine in machines {
        let metadata = &machine.config.metadata;
        let is_ours = OwnershipMark::from_metadata(metadata).as_ref() == Some(&desired.meta.mark);
        if !is_ours || declared.contains(machine.app_name.as_str()) {
            continue;
        }
        let app = marked.entry(&machine.app_name).or_default();
        app.ids.insert(&machine.id);
        app.keys
            .extend(OwnershipMark::resource_name(metadata).map(|name| name.root()));
    }
    marked
}

/// The owner labels of an app. `None` if it no longer exists. An app of which this token may not read that has none: whoever
/// owns it, it is not this environment.
async fn read_owner_labels(
    reader: &FlyReader,
    app: &str,
) -> Result<Option<BTreeSet<String>>, CloudError> {
    let secrets = match reader.list_secrets(app).await {
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) if error.status == Some(403) => return Ok(Some(BTreeSet::new())),
        result => result?,
    };
    let names = secrets.into_iter().map(|secret| secret.name);
    let labels = names.filter(|name| name.starts_with(OwnershipMark::LABEL_PREFIX));
    Ok(Some(labels.collect()))
}

/// Whether a name that a machine remembers can be the key of an app.
fn is_app_key(name: &Name) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.as_str().chars().all(is_allowed)
}

/// Warns of machines with our mark in an app that is not ours.
fn stranger_warning(
    app: &str,
    ids: &BTreeSet<&str>,
    labels: &BTreeSet<String>,
    own_label: &str,
) -> String {
    /// The number of machines that are named.
    const SHOWN: usize = 3;
    let shown: Vec<&str> = ids.iter().copied().take(SHOWN).collect();
    let (noun, verb) = match ids.len() {
        1 => ("machine", "bears"),
        _ => ("machines", "bear"),
    };
    let more = match ids.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let owner = match labels.first() {
        Some(label) => format!("has the owner label {label}"),
        None => format!("does not have the owner label {own_label}"),
    };
    format!(
        "{noun} {}{more} of the app {app} {verb} the mark of this environment, but the app {owner} and is not in the manifest: \
         somebody else's, it is left alone; if it is yours, name it in the manifest",
        shown.join(", ")
    )
}
