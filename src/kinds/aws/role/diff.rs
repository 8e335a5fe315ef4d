//! Compares a role with its spec. Everything but the name and path, which are parts of the ARN,
//! changes in place.

use std::collections::BTreeSet;

use super::{Role, RoleLive, RoleSpec, RoleUsers, Trust};
use crate::{
    iam::policy::{Effect, LivePolicy, PolicyDocument},
    kinds::{
        Blocker, DeletionRules, DescribeEdit, Diff, DiffContext, Kind,
        aws::tags::{self, TagChange},
    },
    model::{DiffLine, DisplayValue},
};

/// A change that is one API call.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleEdit {
    /// Replaces the trust policy: old and new.
    TrustPolicy(Box<LivePolicy>, Box<PolicyDocument>),
    /// Sets the description and the longest session, which one API call sets together.
    Settings {
        /// The old and the new description.
        description: (String, String),
        /// The old and the new longest session, in seconds.
        max_session: (i32, i32),
    },
    /// Sets or removes the permissions boundary: old and new ARN.
    PermissionsBoundary(Option<String>, Option<String>),
    /// Changes tags.
    Tags(TagChange),
    /// Sets or deletes an inline policy: its name, old and new.
    InlinePolicy(String, Option<Box<LivePolicy>>, Option<Box<PolicyDocument>>),
    /// Attaches (true) or detaches a managed policy.
    ManagedPolicy(String, bool),
}

impl DescribeEdit for RoleEdit {
    fn lines(&self) -> Vec<DiffLine> {
        match self {
            Self::TrustPolicy(from, to) => merge_grant_lines(
                LivePolicy::diff_lines("trust", Some(from), Some(to)),
                diff_grants(Some(from), Some(to)),
            ),
            Self::Settings {
                description,
                max_session,
            } => {
                let (from, to) = description;
                let text =
                    (from != to).then(|| DiffLine::change("description", from.clone(), to.clone()));
                let (from, to) = *max_session;
                let secs = (from != to).then(|| DiffLine::change("max_session_duration", from, to));
                text.into_iter().chain(secs).collect()
            }
            Self::PermissionsBoundary(from, to) => {
                let line = diff_text("permissions_boundary", from.as_ref(), to.as_ref());
                let widens = from.is_some() && to.is_none();
                vec![if widens {
                    line.with_note("nothing bounds the role any more")
                } else {
                    line
                }]
            }
            Self::Tags(change) => change.lines(),
            Self::InlinePolicy(name, from, to) => {
                let path = format!("policy.{name}");
                let (from, to) = (from.as_deref(), to.as_deref());
                merge_grant_lines(
                    LivePolicy::diff_lines(&path, from, to),
                    diff_grants(from, to),
                )
            }
            Self::ManagedPolicy(arn, true) => vec![DiffLine::add("managed_policies", arn.clone())],
            Self::ManagedPolicy(arn, false) => {
                vec![DiffLine::remove("managed_policies", arn.clone())]
            }
        }
    }
}

impl RoleEdit {
    /// Whether the role may do less afterwards, as far as it can be told from the documents. Who may
    /// assume it does not matter to a session that has begun.
    fn takes_rights(&self) -> bool {
        match self {
            Self::TrustPolicy(..) | Self::Settings { .. } | Self::Tags(_) => false,
            Self::PermissionsBoundary(_, to) => to.is_some(),
            Self::InlinePolicy(_, from, to) => {
                let has = |policy: &PolicyDocument, effect| {
                    policy
                        .statements()
                        .any(|statement| statement.effect() == effect)
                };
                let from = from.as_deref().map(LivePolicy::document);
                match (from, to.as_deref()) {
                    (None, to) => to.is_some_and(|to| has(to, Effect::Deny)),
                    // What it grants now cannot be told.
                    (Some(None), _) => true,
                    (Some(Some(from)), None) => has(from, Effect::Allow),
                    (Some(Some(from)), Some(to)) => !to.grants_all_of(from),
                }
            }
            Self::ManagedPolicy(_, attached) => !attached,
        }
    }
}

/// Joins the lines of the documents and the lines in words. The line of a whole statement has its
/// description as a note; the note is dropped if the words already say the same.
fn merge_grant_lines(mut lines: Vec<DiffLine>, descriptions: Vec<DiffLine>) -> Vec<DiffLine> {
    let sentences = |note: &String| {
        let sides = descriptions
            .iter()
            .flat_map(|line| [&line.from, &line.to])
            .flatten();
        sides
            .filter_map(|side| {
                if let DisplayValue::Words(text) = side {
                    Some(text)
                } else {
                    None
                }
            })
            .any(|text| text == note)
    };
    for line in &mut lines {
        line.note = line.note.take().filter(|note| !sentences(note));
    }
    lines.extend(descriptions);
    lines
}

/// The lines in words about what is granted from now on, and what no longer.
fn diff_grants(from: Option<&LivePolicy>, to: Option<&PolicyDocument>) -> Vec<DiffLine> {
    let from = from.map(LivePolicy::describe).unwrap_or_default();
    let to = to.map(PolicyDocument::describe).unwrap_or_default();
    let removed = from
        .iter()
        .filter(|descriptions| !to.contains(descriptions));
    let new = to
        .iter()
        .filter(|descriptions| !from.contains(descriptions));
    removed
        .map(|descriptions| DiffLine::remove_text("grants", descriptions.clone()))
        .chain(new.map(|descriptions| DiffLine::add_text("grants", descriptions.clone())))
        .collect()
}

/// The line of a string that is added, changed or removed.
fn diff_text(path: &str, from: Option<&String>, to: Option<&String>) -> DiffLine {
    match (from.cloned(), to.cloned()) {
        (Some(from), Some(to)) => DiffLine::change(path, from, to),
        (None, Some(to)) => DiffLine::add(path, to),
        (from, None) => DiffLine::remove(path, from.unwrap_or_default()),
    }
}

/// The edits that bring a role to its spec. Tags come first, because they identify the owner; the
/// boundary comes before the policies that it limits.
#[must_use]
pub fn compute_edits(spec: &RoleSpec, live: &RoleLive, org: &str) -> Vec<RoleEdit> {
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
        trusted_roles: _,
        trusts_later: _,
    } = spec;
    let mut edits: Vec<RoleEdit> = Vec::new();
    // Tags first: if the apply stops in between, the role is still recognized as ours.
    edits.extend(TagChange::diff_ignoring_case(tags, &live.tags).map(RoleEdit::Tags));
    // Before the policies, so that they never grant more than the boundary allows.
    if *boundary != live.boundary {
        edits.push(RoleEdit::PermissionsBoundary(
            live.boundary.clone(),
            boundary.clone(),
        ));
    }
    let trust = trust.to_policy(account, org);
    if live.trust != trust {
        edits.push(RoleEdit::TrustPolicy(
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
    // Policies of both sides, so that policies which are no longer in the manifest are removed.
    let names: BTreeSet<&String> = policies.keys().chain(live.policies.keys()).collect();
    for name in names {
        let (to, from) = (policies.get(name), live.policies.get(name));
        let is_same = matches!((from, to), (Some(from), Some(to)) if from == to);
        if !is_same {
            edits.push(RoleEdit::InlinePolicy(
                name.clone(),
                from.cloned().map(Box::new),
                to.cloned().map(Box::new),
            ));
        }
    }
    if let Some(managed) = managed {
        let added = managed
            .difference(&live.managed)
            .map(|arn| RoleEdit::ManagedPolicy(arn.clone(), true));
        let removed = live
            .managed
            .difference(managed)
            .map(|arn| RoleEdit::ManagedPolicy(arn.clone(), false));
        edits.extend(added.chain(removed));
    }
    edits
}

impl Kind for Role {
    type Spec = RoleSpec;
    type Live = RoleLive;
    type Edit = RoleEdit;

    const KNOWN_AFTER_CREATE: &'static [&'static str] = &[];

    fn diff(spec: &RoleSpec, live: &RoleLive, around: &DiffContext<'_>) -> Diff<RoleEdit> {
        if spec.path != live.path {
            return Diff::Blocked(Blocker {
                reason: format!(
                    "role {} is at {}, not at {}",
                    spec.name, live.path, spec.path
                ),
                hint: "a path is part of a role's ARN and cannot change: say another `name`"
                    .to_owned(),
            });
        }
        let org = match (&spec.trust, around.world.fly_org_slug()) {
            (Trust::Fly { .. }, Err(refused)) => return Diff::Blocked(refused),
            (_, org) => org.unwrap_or_default(),
        };
        let edits = compute_edits(spec, live, org);
        if live.users.is_caller && edits.iter().any(RoleEdit::takes_rights) {
            return Diff::Blocked(Blocker {
                reason: format!(
                    "the credentials of this run are a session of role {}, and the change takes rights from it in the middle of \
                     the run",
                    spec.name
                ),
                hint: "apply it with other credentials, such as an administrator's; what is left can be applied with --only"
                    .to_owned(),
            });
        }
        if edits.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(edits)
        }
    }

    fn resolve_defaults(spec: &RoleSpec, around: &DiffContext<'_>) -> Result<RoleSpec, Blocker> {
        let mut resolve_defaults = spec.clone();
        if let Trust::Fly { org, .. } = &mut resolve_defaults.trust {
            around.world.fly_org_slug()?.clone_into(org);
        }
        Ok(resolve_defaults)
    }

    fn creation_lines(spec: &RoleSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
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
            trusted_roles: _,
            trusts_later: _,
        } = spec;
        let org = spec.trust.org();
        let mut lines = vec![DiffLine::add("arn", spec.arn())];
        lines.extend(
            boundary
                .clone()
                .map(|arn| DiffLine::add("permissions_boundary", arn)),
        );
        let session = (*max_session != RoleSpec::DEFAULT_MAX_SESSION_SECS)
            .then(|| DiffLine::add("max_session_duration", *max_session));
        lines.extend(session);
        let sentences = trust.to_policy(account, org).describe().into_iter();
        lines.extend(
            sentences
                .chain(policies.values().flat_map(PolicyDocument::describe))
                .map(|descriptions| DiffLine::add_text("grants", descriptions)),
        );
        let managed = managed.iter().flatten();
        lines.extend(managed.map(|arn| DiffLine::add("managed_policies", arn.clone())));
        lines.extend(tags::tag_lines(tags));
        lines
    }

    fn identity(live: &RoleLive) -> String {
        live.arn.clone()
    }

    fn describe(live: &RoleLive) -> String {
        live.name.clone()
    }
}

impl DeletionRules for Role {
    /// What an app uses on AWS is known only from the environment variables of its machines.
    const DELETED_LAST: bool = true;

    /// Its policies have to go before it does, so a role that IAM would not delete is left as it is.
    fn deletion_blocker(live: &RoleLive) -> Option<Blocker> {
        let RoleUsers {
            instance_profiles,
            is_caller,
        } = &live.users;
        if let [first, ..] = &**instance_profiles {
            return Some(Blocker {
                reason: format!(
                    "role {} is in the instance profile {}, whose instances work with it",
                    live.name,
                    instance_profiles.join(", ")
                ),
                hint: format!(
                    "take it out first: `aws iam remove-role-from-instance-profile --instance-profile-name {first} --role-name \
                     {}`; or keep its block",
                    live.name
                ),
            });
        }
        is_caller.then(|| Blocker {
            reason: format!(
                "the credentials of this run are a session of role {}, which would lose its rights in the middle of the run",
                live.name
            ),
            hint: "run this with other credentials, such as an administrator's, or keep its block".to_owned(),
        })
    }

    fn is_protected(live: &RoleLive) -> bool {
        tags::is_protected(&live.tags)
    }
}

impl RoleSpec {
    /// The longest session if the manifest states none, in seconds; IAM's own default.
    pub const DEFAULT_MAX_SESSION_SECS: i32 = 3600;
}
