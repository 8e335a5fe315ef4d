//! Lowers `[identities.KEY]` and `[roles.KEY]` to role specs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    AppAwsBindings, AwsContext,
    credential_overrides::{AppIdentity, warn_credential_overrides},
    identity_policy, limits,
    region::RegionChoice,
    tags::{self, TagRules},
};
use crate::{
    iam::policy::{PolicyDocument, PolicyUse},
    kinds::aws::{
        Bucket, Role,
        role::{RoleSpec, Trust, role_path},
        tags::desired_tags,
    },
    manifest::{
        lower::{Diagnostics, Lowered, fly::scalars},
        schema::{DurationOrSeconds, aws as shape},
        syntax::{cursor::Cursor, suggest},
    },
    model::{Address, Name},
};

/// The name of the inline policy of an identity.
const ACCESS_POLICY_NAME: &str = "access";
/// The maximum length of a role's name.
const ROLE_NAME_MAX: usize = 64;

impl AwsContext<'_> {
    pub(super) fn lower_identities(
        &self,
        apps: &mut AppAwsBindings,
        out: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) {
        for (key, identity) in &self.manifest.identities {
            let cursor = self.cursor.key("identities").key(key);
            let Some(name) = self.parse_key("identities", key, diagnostics) else {
                continue;
            };
            let Some((app, trust)) =
                self.app_trust(identity.app.as_ref(), cursor.key("app"), diagnostics)
            else {
                self.check_rest_of_identity(&name, identity, cursor, out, diagnostics);
                continue;
            };
            let (statements, needs, regions) =
                self.lower_grants(&name, identity, cursor.key("buckets"), out, diagnostics);
            apps.needs.entry(app.clone()).or_default().extend(needs);
            if identity.env.unwrap_or(true) {
                let region = self.identity_region(&app, key, &regions, cursor, diagnostics);
                self.add_identity_env(apps, &app, key, region, cursor, diagnostics);
            }
            tags::check_tags(
                &identity.tags,
                TagRules::Iam,
                cursor.key("tags"),
                diagnostics,
            );
            let policy = json!({ "Version": "2012-10-17", "Statement": statements });
            let policies = PolicyDocument::from_json(&policy)
                .ok()
                .filter(|_| !statements.is_empty());
            limits::check_inline_policies(policies.iter(), cursor.key("buckets"), diagnostics);
            limits::check_trust_policy(
                &trust.to_policy(&self.account, &out.desired.meta.org),
                self.quotas,
                cursor,
                diagnostics,
            );
            let spec = RoleSpec {
                name: self.role_name("identities", key, cursor, diagnostics),
                account: self.account.clone(),
                path: role_path(&self.mark),
                description: format!("The app {app} on Fly.io, managed by trimtab"),
                trust,
                policies: policies
                    .into_iter()
                    .map(|policy| (ACCESS_POLICY_NAME.to_owned(), policy))
                    .collect(),
                // An identity has exactly the rights of its manifest, so policies that somebody
                // attached are detached.
                managed: Some(BTreeSet::new()),
                boundary: self.permissions_boundary(
                    identity.permissions_boundary.as_ref(),
                    cursor,
                    diagnostics,
                ),
                max_session: max_session_secs(identity.session.as_ref(), cursor, diagnostics),
                tags: desired_tags(
                    &self.mark,
                    &name,
                    &identity.tags,
                    identity.protected.unwrap_or_default(),
                ),
                provider: self.ensure_provider(out),
                trusted_roles: BTreeSet::new(),
                trusts_later: false,
            };
            self.insert_role("identities", &name, spec, out);
        }
    }

    /// The region that the app of an identity gets. Warns of variables and secrets of the app that would override the identity.
    fn identity_region(
        &self,
        app: &str,
        key: &str,
        bucket_regions: &BTreeMap<String, String>,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> String {
        let section = self.manifest.apps.get(app);
        let choice = RegionChoice {
            buckets: bucket_regions,
            stated: section
                .and_then(|section| section.env.get("AWS_REGION"))
                .map(scalars::format_env_value),
            default: &self.region,
        };
        let region = choice.choose(cursor.key("buckets"), diagnostics);
        if let Some(section) = section {
            let app_identity = AppIdentity {
                key,
                region: &region,
            };
            warn_credential_overrides(
                section,
                self.cursor.key("apps").key(app),
                app_identity,
                diagnostics,
            );
        }
        region
    }

    /// Checks an identity without a valid app, so that all its mistakes are told at once.
    fn check_rest_of_identity(
        &self,
        name: &Name,
        identity: &shape::IdentitySection,
        cursor: Cursor<'_>,
        out: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) {
        self.lower_grants(name, identity, cursor.key("buckets"), out, diagnostics);
        tags::check_tags(
            &identity.tags,
            TagRules::Iam,
            cursor.key("tags"),
            diagnostics,
        );
        self.role_name("identities", name.as_str(), cursor, diagnostics);
        self.permissions_boundary(identity.permissions_boundary.as_ref(), cursor, diagnostics);
        max_session_secs(identity.session.as_ref(), cursor, diagnostics);
    }

    /// Adds the variables of an identity to its app. Fly's init exchanges one role per app.
    fn add_identity_env(
        &self,
        apps: &mut AppAwsBindings,
        app: &str,
        key: &str,
        region: String,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let env = apps.env.entry(app.to_owned()).or_default();
        let arn = self
            .context
            .aws_references
            .value_or_empty(&format!("identities.{key}.arn"));
        if let Some(other) = env.insert("AWS_ROLE_ARN".to_owned(), arn) {
            let diagnostic =
                cursor.key_diagnostic(format!("app `{app}` has another identity already: {other}"));
            diagnostics.error(
                diagnostic
                    .with_help("Fly supports one role per app: set `env = false` for one of them"),
            );
        }
        env.entry("AWS_REGION".to_owned()).or_insert(region);
    }

    /// The statements that an identity's buckets grant, what must exist first, and the regions of the
    /// buckets.
    fn lower_grants(
        &self,
        role: &Name,
        identity: &shape::IdentitySection,
        cursor: Cursor<'_>,
        out: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) -> (Vec<Value>, BTreeSet<Address>, BTreeMap<String, String>) {
        let mut needs = BTreeSet::from([Address::new::<Role>(role)]);
        let (mut statements, mut regions, mut sids) =
            (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for (key, granted) in &identity.buckets {
            let bucket_name = Name::parse(key).ok();
            let bucket = bucket_name
                .as_ref()
                .and_then(|name| Some((name, out.desired.aws_bucket.get_mut(name)?)));
            let Some((name, bucket)) = bucket else {
                let known = self.manifest.buckets.keys().map(String::as_str);
                let diagnostic = cursor
                    .key(key)
                    .key_diagnostic(format!("there is no bucket `{key}`"));
                diagnostics.error(diagnostic.with_optional_help(suggest::did_you_mean(key, known)));
                continue;
            };
            let prefix = granted.prefix.as_deref().unwrap_or_default();
            if prefix.trim_start_matches('/').starts_with(".trimtab") {
                let diagnostic = cursor
                    .key(key)
                    .key("prefix")
                    .diagnostic("trimtab keeps its lock below `.trimtab`");
                diagnostics.error(diagnostic.with_help("choose another prefix"));
            }
            limits::check_prefix(granted.prefix.as_ref(), cursor.key(key), diagnostics);
            if prefix.contains(['*', '?', '$']) {
                let diagnostic = cursor
                    .key(key)
                    .key("prefix")
                    .diagnostic("a prefix is taken literally");
                diagnostics.error(
                    diagnostic
                        .with_help("`*`, `?` and `$` have a meaning in policies: leave them out"),
                );
            }
            needs.insert(Address::new::<Bucket>(name));
            regions.insert(key.clone(), bucket.region.clone());
            if identity_policy::may_read(granted) {
                bucket.uses.readers.insert(role.to_string());
            }
            statements.extend(identity_policy::bucket_statements(
                key, bucket, granted, &mut sids,
            ));
        }
        (statements, needs, regions)
    }

    /// Looks up an app by key, and the trust policy for its machines.
    fn app_trust(
        &self,
        key: Option<&String>,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<(String, Trust)> {
        let key = key?;
        let Some(app) = self
            .context
            .app_names
            .get(key)
            .filter(|_| self.manifest.apps.contains_key(key))
        else {
            let help = suggest::did_you_mean(key, self.manifest.apps.keys().map(String::as_str));
            diagnostics.error(
                cursor
                    .diagnostic(format!("there is no app `{key}`"))
                    .with_optional_help(help),
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

    pub(super) fn lower_roles(&self, out: &mut Lowered, diagnostics: &mut Diagnostics) {
        for (key, role) in &self.manifest.roles {
            let cursor = self.cursor.key("roles").key(key);
            let Some(name) = self.parse_key("roles", key, diagnostics) else {
                continue;
            };
            // The rest has its own mistakes, and all are told at once.
            let trust = self.role_trust(role, cursor, diagnostics);
            if let Some(trust) = &trust {
                limits::check_trust_policy(
                    &trust.to_policy(&self.account, &out.desired.meta.org),
                    self.quotas,
                    cursor.key("trust"),
                    diagnostics,
                );
            }
            let policies = lower_role_policies(role, cursor.key("policies"), diagnostics);
            limits::check_managed_policies(
                role.managed_policies.as_ref(),
                (&self.account, self.quotas),
                cursor.key("managed_policies"),
                diagnostics,
            );
            limits::check_description(
                role.description.as_ref(),
                cursor.key("description"),
                diagnostics,
            );
            tags::check_tags(&role.tags, TagRules::Iam, cursor.key("tags"), diagnostics);
            let role_name = self.role_name("roles", key, cursor, diagnostics);
            let boundary =
                self.permissions_boundary(role.permissions_boundary.as_ref(), cursor, diagnostics);
            let max_session = max_session_secs(role.session.as_ref(), cursor, diagnostics);
            let Some(trust) = trust else {
                continue;
            };
            let provider = match trust {
                Trust::Fly { .. } => self.ensure_provider(out),
                Trust::Document(_) => None,
            };
            let spec = RoleSpec {
                name: role_name,
                account: self.account.clone(),
                path: role_path(&self.mark),
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
                boundary,
                max_session,
                tags: desired_tags(
                    &self.mark,
                    &name,
                    &role.tags,
                    role.protected.unwrap_or_default(),
                ),
                provider,
                // Both follow from all roles together.
                trusted_roles: BTreeSet::new(),
                trusts_later: false,
            };
            self.insert_role("roles", &name, spec, out);
        }
    }

    fn role_trust(
        &self,
        role: &shape::RoleSection,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Trust> {
        match (&role.app, &role.trust) {
            (Some(_), None) => self
                .app_trust(role.app.as_ref(), cursor.key("app"), diagnostics)
                .map(|(_, trust)| trust),
            (None, Some(words)) => {
                let cursor = cursor.key("trust");
                let policy = limits::parse_policy(words, PolicyUse::Trust, cursor, diagnostics)?;
                warn_open_trust(&policy, cursor, diagnostics);
                Some(Trust::Document(policy))
            }
            (app, _) => {
                let what = if app.is_some() {
                    "sets both `app` and `trust`"
                } else {
                    "does not set who may assume it"
                };
                let diagnostic = cursor.key_diagnostic(format!("this role {what}"));
                diagnostics.error(diagnostic.with_help(
                    "set `app`, for the machines of an app on Fly, or `trust`, a policy document",
                ));
                None
            }
        }
    }

    fn insert_role(&self, table: &str, name: &Name, spec: RoleSpec, out: &mut Lowered) {
        out.desired.aws_role.insert(name.clone(), spec);
        self.record_location::<Role>(table, name, out);
    }

    fn role_name(
        &self,
        table: &str,
        key: &str,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> String {
        let name = self
            .context
            .aws_references
            .value_or_empty(&format!("{table}.{key}.name"));
        if !limits::is_iam_name(&name, ROLE_NAME_MAX) {
            let diagnostic = cursor
                .key("name")
                .diagnostic(format!("`{name}` cannot be a role's name"));
            diagnostics.error(diagnostic.with_help(format!(
                "names have up to {ROLE_NAME_MAX} characters: letters, digits and `+=,.@_-`; set `name`"
            )));
        }
        name
    }

    fn permissions_boundary(
        &self,
        stated: Option<&String>,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        let arn = stated?;
        limits::check_policy_arn(
            arn,
            &self.account,
            cursor.key("permissions_boundary"),
            diagnostics,
        );
        Some(arn.clone())
    }
}

/// Warns of statements by which everyone in all of AWS may assume the role.
fn warn_open_trust(policy: &PolicyDocument, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    for (index, statement) in policy.statements().enumerate() {
        if statement.lets_everyone_assume() {
            let field = cursor.key("Statement").item(index);
            let diagnostic =
                field.diagnostic("everyone who has an account of AWS could assume this role");
            diagnostics.warn(diagnostic.with_help(
                "name the accounts or roles as the Principal, or restrict it in a Condition",
            ));
        }
    }
}

/// Lowers a role's inline policies.
fn lower_role_policies(
    role: &shape::RoleSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, PolicyDocument> {
    let read = role.policies.iter().filter_map(|(name, words)| {
        limits::check_policy_name(name, cursor.key(name), diagnostics);
        Some((
            name.clone(),
            limits::parse_policy(words, PolicyUse::Role, cursor.key(name), diagnostics)?,
        ))
    });
    let policies: BTreeMap<String, PolicyDocument> = read.collect();
    limits::check_inline_policies(policies.values(), cursor, diagnostics);
    policies
}

/// The maximum session, in seconds. IAM accepts one to twelve hours.
fn max_session_secs(
    stated: Option<&DurationOrSeconds>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> i32 {
    let cursor = cursor.key("session");
    let Some(span) = scalars::parse_duration_or_seconds(stated, cursor, diagnostics) else {
        return RoleSpec::DEFAULT_MAX_SESSION_SECS;
    };
    match i32::try_from(span.as_millis() / 1000) {
        Ok(secs) if (3600..=43200).contains(&secs) => secs,
        _ => {
            let diagnostic = cursor.diagnostic("a session lasts from one hour to twelve");
            diagnostics.error(
                diagnostic
                    .with_help("this is the maximum; whoever assumes the role may ask for less"),
            );
            RoleSpec::DEFAULT_MAX_SESSION_SECS
        }
    }
}
