//! What of a role changes in place: everything but its name and path, which its ARN is made of.

use std::collections::BTreeSet;

use super::{Role, RoleLive, RoleSpec, Trust};
use crate::{
    kinds::{
        Announce, Around, Diff, Kind, Refused,
        aws::{
            policy::Policy,
            tags::{self, TagChange},
        },
    },
    model::{Line, Shown},
};

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleEdit {
    /// Who may take it.
    Trust(Box<Policy>, Box<Policy>),
    /// What it is for, and the longest session: one call sets both.
    Settings {
        /// What it is for: before and after.
        description: (String, String),
        /// The longest session, in seconds: before and after.
        max_session: (i32, i32),
    },
    /// The permissions boundary: before and after.
    Boundary(Option<String>, Option<String>),
    /// Tags.
    Tags(TagChange),
    /// One of its own policies: before and after.
    Policy(String, Option<Box<Policy>>, Option<Box<Policy>>),
    /// A managed policy that is attached, or detached.
    Attached(String, bool),
}

impl Announce for RoleEdit {
    fn lines(&self) -> Vec<Line> {
        match self {
            Self::Trust(from, to) => said_once(
                Policy::lines("trust", Some(from), Some(to)),
                grants(Some(from), Some(to)),
            ),
            Self::Settings {
                description,
                max_session,
            } => {
                let (from, to) = description;
                let text =
                    (from != to).then(|| Line::change("description", from.clone(), to.clone()));
                let (from, to) = *max_session;
                let secs = (from != to).then(|| Line::change("max_session_duration", from, to));
                text.into_iter().chain(secs).collect()
            }
            Self::Boundary(from, to) => {
                let line = change("permissions_boundary", from.as_ref(), to.as_ref());
                let widens = from.is_some() && to.is_none();
                vec![if widens {
                    line.with_note("nothing bounds the role any more")
                } else {
                    line
                }]
            }
            Self::Tags(change) => change.lines(),
            Self::Policy(name, from, to) => {
                let path = format!("policy.{name}");
                let (from, to) = (from.as_deref(), to.as_deref());
                said_once(Policy::lines(&path, from, to), grants(from, to))
            }
            Self::Attached(arn, true) => vec![Line::add("managed_policies", arn.clone())],
            Self::Attached(arn, false) => vec![Line::remove("managed_policies", arn.clone())],
        }
    }
}

/// The lines of the documents and those in words. A whole statement has its words beside it, which are left to the latter.
fn said_once(mut lines: Vec<Line>, words: Vec<Line>) -> Vec<Line> {
    let said = |note: &String| {
        let sides = words
            .iter()
            .flat_map(|line| [&line.from, &line.to])
            .flatten();
        sides
            .filter_map(|side| {
                if let Shown::Words(text) = side {
                    Some(text)
                } else {
                    None
                }
            })
            .any(|text| text == note)
    };
    for line in &mut lines {
        line.note = line.note.take().filter(|note| !said(note));
    }
    lines.extend(words);
    lines
}

/// What is granted from now on, and what no longer, in words.
fn grants(from: Option<&Policy>, to: Option<&Policy>) -> Vec<Line> {
    let words = |policy: Option<&Policy>| policy.map(Policy::words).unwrap_or_default();
    let (from, to) = (words(from), words(to));
    let gone = from.iter().filter(|words| !to.contains(words));
    let new = to.iter().filter(|words| !from.contains(words));
    gone.map(|words| Line::unsays("grants", words.clone()))
        .chain(new.map(|words| Line::says("grants", words.clone())))
        .collect()
}

/// A text that comes, changes or goes.
fn change(path: &str, from: Option<&String>, to: Option<&String>) -> Line {
    match (from.cloned(), to.cloned()) {
        (Some(from), Some(to)) => Line::change(path, from, to),
        (None, Some(to)) => Line::add(path, to),
        (from, None) => Line::remove(path, from.unwrap_or_default()),
    }
}

/// The calls that make a role what its spec says. The boundary comes before the policies that it bounds, and tags before
/// all, since they say whose it is.
#[must_use]
pub fn edits(spec: &RoleSpec, live: &RoleLive, org: &str) -> Vec<RoleEdit> {
    let RoleSpec {
        name: _,
        account,
        path: _,
        description,
        trust,
        policies,
        managed,
        boundary,
        max_session,
        tags,
        provider: _,
    } = spec;
    let mut edits: Vec<RoleEdit> = Vec::new();
    edits.extend(TagChange::between_caseless(tags, &live.tags).map(RoleEdit::Tags));
    if *boundary != live.boundary {
        edits.push(RoleEdit::Boundary(live.boundary.clone(), boundary.clone()));
    }
    let trust = trust.policy(account, org);
    if trust != live.trust {
        edits.push(RoleEdit::Trust(
            Box::new(live.trust.clone()),
            Box::new(trust),
        ));
    }
    if *description != live.description || *max_session != live.max_session {
        edits.push(RoleEdit::Settings {
            description: (live.description.clone(), description.clone()),
            max_session: (live.max_session, *max_session),
        });
    }
    let names: BTreeSet<&String> = policies.keys().chain(live.policies.keys()).collect();
    for name in names {
        let (to, from) = (policies.get(name), live.policies.get(name));
        if to != from {
            let boxed = |policy: Option<&Policy>| policy.cloned().map(Box::new);
            edits.push(RoleEdit::Policy(name.clone(), boxed(from), boxed(to)));
        }
    }
    if let Some(managed) = managed {
        let added = managed
            .difference(&live.managed)
            .map(|arn| RoleEdit::Attached(arn.clone(), true));
        let gone = live
            .managed
            .difference(managed)
            .map(|arn| RoleEdit::Attached(arn.clone(), false));
        edits.extend(added.chain(gone));
    }
    edits
}

impl Kind for Role {
    type Spec = RoleSpec;
    type Live = RoleLive;
    type Edit = RoleEdit;

    const IN_APP: bool = false;

    fn diff(spec: &RoleSpec, live: &RoleLive, around: &Around<'_>) -> Diff<RoleEdit> {
        if spec.path != live.path {
            return Diff::Refuse(Refused {
                reason: format!(
                    "role {} is at {}, not at {}",
                    spec.name, live.path, spec.path
                ),
                hint: "a path is part of a role's ARN and cannot change: say another `name`"
                    .to_owned(),
            });
        }
        let org = match (&spec.trust, around.world.fly_org()) {
            (Trust::Fly { .. }, Err(refused)) => return Diff::Refuse(refused),
            (_, org) => org.unwrap_or_default(),
        };
        let edits = edits(spec, live, org);
        if edits.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(edits)
        }
    }

    fn complete(spec: &RoleSpec, around: &Around<'_>) -> Result<RoleSpec, Refused> {
        let mut complete = spec.clone();
        if let Trust::Fly { org, .. } = &mut complete.trust {
            around.world.fly_org()?.clone_into(org);
        }
        Ok(complete)
    }

    fn outline(spec: &RoleSpec, _: &Around<'_>) -> Vec<Line> {
        let RoleSpec {
            name: _,
            account,
            path: _,
            description: _,
            trust,
            policies,
            managed,
            boundary,
            max_session,
            tags,
            provider: _,
        } = spec;
        let org = spec.trust.org();
        let mut lines = vec![Line::add("arn", spec.arn())];
        lines.extend(
            boundary
                .clone()
                .map(|arn| Line::add("permissions_boundary", arn)),
        );
        let session = (*max_session != RoleSpec::SESSION)
            .then(|| Line::add("max_session_duration", *max_session));
        lines.extend(session);
        let said = trust.policy(account, org).words().into_iter();
        lines.extend(
            said.chain(policies.values().flat_map(Policy::words))
                .map(|words| Line::says("grants", words)),
        );
        let managed = managed.iter().flatten();
        lines.extend(managed.map(|arn| Line::add("managed_policies", arn.clone())));
        lines.extend(tags::outline(tags));
        lines
    }

    fn identity(live: &RoleLive) -> String {
        live.arn.clone()
    }

    fn describe(live: &RoleLive) -> String {
        live.name.clone()
    }

    fn protected(live: &RoleLive) -> bool {
        tags::is_protected(&live.tags)
    }
}

impl RoleSpec {
    /// The longest session when nothing is said, in seconds; IAM's own default.
    pub const SESSION: i32 = 3600;
}
