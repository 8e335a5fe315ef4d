//! Identities and roles.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    AwsScene, ForApps, grant,
    keys::{Given, shadowed},
    limits,
    tags::{self, Keeper},
};
use crate::{
    kinds::aws::{
        Bucket, Role,
        policy::{Policy, Use},
        role::{RoleSpec, Trust, path},
        tags::wanted,
    },
    manifest::{
        lower::{Lowered, Sink, scalars},
        shape::{Seconds, aws as shape},
        spot::Spot,
        suggest,
    },
    model::{Address, Name},
};

/// The name of the policy that an identity's grants make.
const ACCESS: &str = "access";
/// How long a role's name may be.
const NAME_MAX: usize = 64;

impl AwsScene<'_> {
    pub(super) fn identities(&self, apps: &mut ForApps, out: &mut Lowered, sink: &mut Sink) {
        for (key, identity) in &self.document.identities {
            let at = self.at.key("identities").key(key);
            let Some(name) = self.name("identities", key, sink) else {
                continue;
            };
            let Some((app, trust)) = self.app(identity.app.as_ref(), at.key("app"), sink) else {
                continue;
            };
            let (statements, needs, region) =
                self.grants(&name, identity, at.key("buckets"), out, sink);
            apps.needs.entry(app.clone()).or_default().extend(needs);
            if identity.env.unwrap_or(true) {
                let region = region.unwrap_or_else(|| self.region.clone());
                if let Some(stated) = self.document.apps.get(&app) {
                    let given = Given {
                        key,
                        region: &region,
                    };
                    shadowed(stated, self.at.key("apps").key(&app), given, sink);
                }
                self.give(apps, &app, key, region, at, sink);
            }
            tags::check(&identity.tags, Keeper::Iam, at.key("tags"), sink);
            let policy = json!({ "Version": "2012-10-17", "Statement": statements });
            let policies = Policy::of(&policy).ok().filter(|_| !statements.is_empty());
            limits::inline(policies.iter(), at.key("buckets"), sink);
            limits::trust(
                &trust.policy(&self.account, &out.desired.meta.org),
                self.quotas,
                at,
                sink,
            );
            let spec = RoleSpec {
                name: self.role_name("identities", key, at, sink),
                account: self.account.clone(),
                path: path(&self.mark),
                description: format!("The app {app} on Fly.io, managed by trimtab"),
                trust,
                policies: policies
                    .into_iter()
                    .map(|policy| (ACCESS.to_owned(), policy))
                    .collect(),
                // An identity may do what stands here and nothing else, so what somebody attaches is taken off again.
                managed: Some(BTreeSet::new()),
                boundary: self.boundary(identity.permissions_boundary.as_ref(), at, sink),
                max_session: session(identity.session.as_ref(), at, sink),
                tags: wanted(
                    &self.mark,
                    &name,
                    &identity.tags,
                    identity.protected.unwrap_or_default(),
                ),
                provider: self.provider(out),
            };
            self.put("identities", &name, spec, out);
        }
    }

    /// The variables that an app's machines get. Fly's init exchanges one role for an app.
    fn give(
        &self,
        apps: &mut ForApps,
        app: &str,
        key: &str,
        region: String,
        at: Spot<'_>,
        sink: &mut Sink,
    ) {
        let env = apps.env.entry(app.to_owned()).or_default();
        let arn = self
            .scene
            .references
            .value(&format!("identities.{key}.arn"));
        if let Some(other) = env.insert("AWS_ROLE_ARN".to_owned(), arn) {
            let problem =
                at.key_problem(format!("app `{app}` has another identity already: {other}"));
            sink.error(
                problem
                    .help("Fly exchanges one role for an app: say `env = false` for one of them"),
            );
        }
        env.entry("AWS_REGION".to_owned()).or_insert(region);
    }

    /// What an identity's buckets grant: statements, what must be there first, and the region of the first bucket.
    fn grants(
        &self,
        role: &Name,
        identity: &shape::Identity,
        at: Spot<'_>,
        out: &Lowered,
        sink: &mut Sink,
    ) -> (Vec<Value>, BTreeSet<Address>, Option<String>) {
        let mut needs = BTreeSet::from([Address::of::<Role>(role)]);
        let (mut statements, mut region, mut sids) = (Vec::new(), None, BTreeSet::new());
        for (key, granted) in &identity.buckets {
            let Some((name, bucket)) = out.desired.aws_bucket.get_key_value(key.as_str()) else {
                let known = self.document.buckets.keys().map(String::as_str);
                let problem = at
                    .key(key)
                    .key_problem(format!("there is no bucket `{key}`"));
                sink.error(problem.maybe_help(suggest::help(key, known)));
                continue;
            };
            let prefix = granted.prefix.as_deref().unwrap_or_default();
            if prefix.trim_start_matches('/').starts_with(".trimtab") {
                let problem = at
                    .key(key)
                    .key("prefix")
                    .problem("below `.trimtab` trimtab keeps its lock");
                sink.error(problem.help("choose another prefix"));
            }
            limits::prefix(granted.prefix.as_ref(), at.key(key), sink);
            if prefix.contains(['*', '?', '$']) {
                let problem = at
                    .key(key)
                    .key("prefix")
                    .problem("a prefix is taken literally");
                sink.error(
                    problem.help("`*`, `?` and `$` have a meaning in policies: leave them out"),
                );
            }
            needs.insert(Address::of::<Bucket>(name));
            region.get_or_insert_with(|| bucket.region.clone());
            statements.extend(grant::statements(key, bucket, granted, &mut sids));
        }
        (statements, needs, region)
    }

    /// An app by key, and who its machines are.
    fn app(&self, key: Option<&String>, at: Spot<'_>, sink: &mut Sink) -> Option<(String, Trust)> {
        let key = key?;
        let Some(app) = self
            .scene
            .names
            .get(key)
            .filter(|_| self.document.apps.contains_key(key))
        else {
            let help = suggest::help(key, self.document.apps.keys().map(String::as_str));
            sink.error(
                at.problem(format!("there is no app `{key}`"))
                    .maybe_help(help),
            );
            return None;
        };
        Some((
            key.clone(),
            Trust::Fly {
                app: app.clone(),
                org: String::new(),
            },
        ))
    }

    pub(super) fn roles(&self, out: &mut Lowered, sink: &mut Sink) {
        for (key, role) in &self.document.roles {
            let at = self.at.key("roles").key(key);
            let Some(name) = self.name("roles", key, sink) else {
                continue;
            };
            let Some(trust) = self.trust(role, at, sink) else {
                continue;
            };
            let provider = match trust {
                Trust::Fly { .. } => self.provider(out),
                Trust::Document(_) => None,
            };
            limits::trust(
                &trust.policy(&self.account, &out.desired.meta.org),
                self.quotas,
                at.key("trust"),
                sink,
            );
            let policies = policies(role, at.key("policies"), sink);
            limits::managed(
                role.managed_policies.as_ref(),
                (&self.account, self.quotas),
                at.key("managed_policies"),
                sink,
            );
            limits::description(role.description.as_ref(), at.key("description"), sink);
            tags::check(&role.tags, Keeper::Iam, at.key("tags"), sink);
            let spec = RoleSpec {
                name: self.role_name("roles", key, at, sink),
                account: self.account.clone(),
                path: path(&self.mark),
                description: role
                    .description
                    .clone()
                    .unwrap_or_else(|| "Managed by trimtab".to_owned()),
                trust,
                policies,
                managed: role
                    .managed_policies
                    .clone()
                    .map(|arns| arns.into_iter().collect()),
                boundary: self.boundary(role.permissions_boundary.as_ref(), at, sink),
                max_session: session(role.session.as_ref(), at, sink),
                tags: wanted(
                    &self.mark,
                    &name,
                    &role.tags,
                    role.protected.unwrap_or_default(),
                ),
                provider,
            };
            self.put("roles", &name, spec, out);
        }
    }

    fn trust(&self, role: &shape::Role, at: Spot<'_>, sink: &mut Sink) -> Option<Trust> {
        match (&role.app, &role.trust) {
            (Some(_), None) => self
                .app(role.app.as_ref(), at.key("app"), sink)
                .map(|(_, trust)| trust),
            (None, Some(words)) => {
                limits::document(words, Use::Trust, at.key("trust"), sink).map(Trust::Document)
            }
            (app, _) => {
                let what = if app.is_some() {
                    "says both `app` and `trust`"
                } else {
                    "does not say who may take it"
                };
                let problem = at.key_problem(format!("this role {what}"));
                sink.error(problem.help(
                    "say `app`, for the machines of an app on Fly, or `trust`, a policy document",
                ));
                None
            }
        }
    }

    fn put(&self, table: &str, name: &Name, spec: RoleSpec, out: &mut Lowered) {
        out.desired.aws_role.insert(name.clone(), spec);
        self.place::<Role>(table, name, out);
    }

    fn role_name(&self, table: &str, key: &str, at: Spot<'_>, sink: &mut Sink) -> String {
        let name = self.scene.references.value(&format!("{table}.{key}.name"));
        if !limits::is_name(&name, NAME_MAX) {
            let problem = at
                .key("name")
                .problem(format!("`{name}` cannot be a role's name"));
            sink.error(problem.help(format!(
                "names have up to {NAME_MAX} characters: letters, digits and `+=,.@_-`; say `name`"
            )));
        }
        name
    }

    fn boundary(&self, stated: Option<&String>, at: Spot<'_>, sink: &mut Sink) -> Option<String> {
        let arn = stated?;
        limits::policy_arn(arn, &self.account, at.key("permissions_boundary"), sink);
        Some(arn.clone())
    }
}

/// A role's own policies.
fn policies(role: &shape::Role, at: Spot<'_>, sink: &mut Sink) -> BTreeMap<String, Policy> {
    let read = role.policies.iter().filter_map(|(name, words)| {
        limits::policy_name(name, at.key(name), sink);
        Some((
            name.clone(),
            limits::document(words, Use::Role, at.key(name), sink)?,
        ))
    });
    let policies: BTreeMap<String, Policy> = read.collect();
    limits::inline(policies.values(), at, sink);
    policies
}

/// The longest session, in seconds. IAM takes one to twelve hours.
fn session(stated: Option<&Seconds>, at: Spot<'_>, sink: &mut Sink) -> i32 {
    let at = at.key("session");
    let Some(span) = scalars::seconds(stated, at, sink) else {
        return RoleSpec::SESSION;
    };
    match i32::try_from(span.millis() / 1000) {
        Ok(secs) if (3600..=43200).contains(&secs) => secs,
        _ => {
            let problem = at.problem("a session lasts from one hour to twelve");
            sink.error(
                problem.help(
                    "this is the longest that is allowed; what takes the role may ask for less",
                ),
            );
            RoleSpec::SESSION
        }
    }
}
