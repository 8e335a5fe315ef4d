//! Lowers `[aws]`, `[buckets]`, `[identities]` and `[roles]` to resources, and collects what the
//! apps get from them: the variables that AWS's SDKs read, and dependencies on the resources.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Diagnostics, Lowered};
use crate::{
    kinds::{
        AwsMeta,
        aws::{
            OidcProvider,
            oidc_provider::{self, OidcProviderSpec},
        },
    },
    manifest::{
        aws_references,
        schema::{
            Manifest,
            aws::{IamQuotas, LockSource},
        },
        syntax::{cursor::Cursor, suggest},
    },
    model::{Address, Name, OwnershipMark, ResourceMap, ResourceRef},
};

mod bucket;
mod credential_overrides;
mod identity_policy;
mod lifecycle;
mod limits;
mod region;
mod region_code;
mod role;
mod tags;
mod trust_order;

use region_code::check_region_code;

/// What apps get from their identities on AWS.
#[derive(Clone, Debug, Default)]
pub(super) struct AppAwsBindings {
    /// The environment variables for an app's machines, by the app's key.
    pub(super) env: BTreeMap<String, BTreeMap<String, String>>,
    /// The resources that must exist before an app's machines start, by the app's key.
    pub(super) needs: BTreeMap<String, BTreeSet<Address>>,
}

/// The input of lowering the AWS resources.
struct AwsContext<'a> {
    manifest: &'a Manifest,
    context: &'a Context<'a>,
    cursor: Cursor<'a>,
    mark: OwnershipMark,
    account: String,
    region: String,
    quotas: &'a IamQuotas,
}

/// Lowers all AWS resources, and returns what the apps get from them.
pub(super) fn lower(
    manifest: &Manifest,
    context: &Context<'_>,
    cursor: Cursor<'_>,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) -> AppAwsBindings {
    let first = [
        ("buckets", manifest.buckets.is_empty()),
        ("identities", manifest.identities.is_empty()),
        ("roles", manifest.roles.is_empty()),
    ];
    let Some(stated) = &manifest.aws else {
        if let Some((table, _)) = first.into_iter().find(|(_, empty)| !empty) {
            let diagnostic = cursor
                .key(table)
                .diagnostic(format!("`{table}` are on AWS, and `aws` is missing"));
            diagnostics.error(
                diagnostic.with_help(
                    "set the account and a region: [aws] account = \"…\", region = \"…\"",
                ),
            );
        }
        return AppAwsBindings::default();
    };
    let of = |value: &Option<String>| value.clone().unwrap_or_default();
    let aws = AwsContext {
        manifest,
        context,
        cursor,
        mark: lowered.desired.meta.mark.clone(),
        account: of(&stated.account),
        region: of(&stated.region),
        quotas: &stated.quotas,
    };
    aws.check_account(diagnostics);
    let mut apps = AppAwsBindings::default();
    aws.lower_buckets(lowered, diagnostics);
    aws.lower_identities(&mut apps, lowered, diagnostics);
    aws.lower_roles(lowered, diagnostics);
    trust_order::order_trust(&mut lowered.desired.aws_role);
    aws.check_unique_names(lowered, diagnostics);
    let lock = aws.lock_bucket(stated.lock.as_ref(), lowered, diagnostics);
    lifecycle::add_lock_versions_rule(&mut lowered.desired.aws_bucket, lock.as_ref());
    aws.check_own_access(lock.as_ref(), lowered, diagnostics);
    lowered.desired.meta.aws = Some(AwsMeta {
        account: aws.account.clone(),
        region: aws.region.clone(),
        lock_bucket: lock,
        bucket_prefix: aws_references::bucket_name_prefix(&aws.mark),
        is_destroying: false,
    });
    apps
}

impl<'a> AwsContext<'a> {
    fn check_account(&self, diagnostics: &mut Diagnostics) {
        let cursor = self.cursor.key("aws");
        let digits = self.account.len() == 12 && self.account.bytes().all(|c| c.is_ascii_digit());
        if !digits && cursor.key("account").is_present() {
            let diagnostic = cursor
                .key("account")
                .diagnostic(format!("`{}` is not an AWS account id", self.account));
            diagnostics.error(diagnostic.with_help(
                "write its twelve digits in quotes: `aws sts get-caller-identity` shows them",
            ));
        }
        check_region_code(&self.region, cursor.key("region"), diagnostics);
        let both = self
            .manifest
            .identities
            .keys()
            .filter(|key| self.manifest.roles.contains_key(*key));
        for key in both {
            let diagnostic = self
                .cursor
                .key("roles")
                .key(key)
                .key_diagnostic(format!("there is an identity `{key}` too"));
            diagnostics.error(diagnostic.with_help("both are roles: give one of them another key"));
        }
    }

    /// Checks that names are unique: bucket names in all of AWS, and role names in an account
    /// regardless of case.
    fn check_unique_names(&self, lowered: &Lowered, diagnostics: &mut Diagnostics) {
        let buckets = lowered
            .desired
            .aws_bucket
            .iter()
            .map(|(key, spec)| ("buckets", key, spec.name.clone()));
        let roles = lowered.desired.aws_role.iter().map(|(key, spec)| {
            let table = if self.manifest.identities.contains_key(key.as_str()) {
                "identities"
            } else {
                "roles"
            };
            (table, key, spec.name.to_lowercase())
        });
        let mut taken: BTreeMap<(bool, String), &Name> = BTreeMap::new();
        for (table, key, name) in buckets.chain(roles) {
            if let Some(other) = taken.insert((table == "buckets", name.clone()), key) {
                let field = self.cursor.key(table).key(key.as_str());
                let diagnostic = field.key_diagnostic(format!(
                    "`{key}` is called the same on AWS as `{other}`: {name}"
                ));
                diagnostics.error(diagnostic.with_help("set another `name` for one of them"));
            }
        }
    }

    /// The resource name of a key; `None`, with an error, when the key is not valid.
    fn parse_key(&self, table: &str, key: &str, diagnostics: &mut Diagnostics) -> Option<Name> {
        let is_allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !key.is_empty() && key.chars().all(is_allowed) {
            return Name::parse(key).ok();
        }
        let diagnostic = self
            .cursor
            .key(table)
            .key(key)
            .key_diagnostic(format!("`{key}` is not a valid key"));
        diagnostics
            .error(diagnostic.with_help("use lower-case letters, digits, dashes and underscores"));
        None
    }

    /// Records where the manifest defines a resource.
    fn record_location<K: crate::model::KindName>(
        &self,
        table: &str,
        name: &Name,
        lowered: &mut Lowered,
    ) {
        if let Some(location) = self.cursor.key(table).key(name.as_str()).location() {
            lowered
                .locations
                .insert(Address::new::<K>(name), location.clone());
        }
    }

    fn record_adoption<K: crate::model::KindName>(
        &self,
        adopt: Option<bool>,
        name: &Name,
        lowered: &mut Lowered,
    ) {
        if adopt == Some(true) {
            lowered.desired.meta.adopt.insert(Address::new::<K>(name));
        }
    }

    /// The OIDC provider of the organization, which exists as soon as a role trusts it.
    fn ensure_provider(&self, lowered: &mut Lowered) -> Option<ResourceRef<OidcProvider>> {
        let name = Name::parse(oidc_provider::FLY_PROVIDER_NAME).ok()?;
        let spec = OidcProviderSpec {
            account: self.account.clone(),
            org: String::new(),
        };
        // Every role adds the same one.
        lowered.desired.aws_provider.insert(name.clone(), spec);
        Some(ResourceRef::new(name))
    }

    /// The bucket that holds the lock, as name and region.
    fn lock_bucket(
        &self,
        stated: Option<&LockSource>,
        lowered: &Lowered,
        diagnostics: &mut Diagnostics,
    ) -> Option<(String, String)> {
        let cursor = self.cursor.key("aws").key("lock");
        let buckets: &ResourceMap<_> = &lowered.desired.aws_bucket;
        let of =
            |spec: &crate::kinds::aws::bucket::BucketSpec| (spec.name.clone(), spec.region.clone());
        match stated {
            None if buckets.len() > 1 => {
                // Choosing by the order of keys could move the lock when a bucket is added, and
                // then there would be two locks for a while.
                let diagnostic = self
                    .cursor
                    .key("aws")
                    .key_diagnostic("there are several buckets, and `lock` does not name the one that holds the lock");
                let first = buckets.keys().next().map(Name::as_str).unwrap_or_default();
                diagnostics
                    .error(diagnostic.with_help(format!("set it under `aws`: lock = \"{first}\"")));
                None
            }
            None => buckets.values().next().map(of),
            Some(LockSource::Key(key)) => {
                let found = buckets.get(key.as_str()).map(of);
                if found.is_none() {
                    let known = self.manifest.buckets.keys().map(String::as_str);
                    let diagnostic = cursor.diagnostic(format!("there is no bucket `{key}`"));
                    diagnostics.error(diagnostic.with_optional_help(
                        suggest::did_you_mean(key, known).or_else(|| {
                            Some(
                                "for one that is managed elsewhere: lock = { name = \"…\" }"
                                    .to_owned(),
                            )
                        }),
                    ));
                }
                found
            }
            Some(LockSource::Elsewhere(bucket)) => {
                let name = bucket.name.clone()?;
                bucket::check_lock_bucket_name(&name, cursor.key("name"), diagnostics);
                let region = bucket.region.clone().unwrap_or_else(|| self.region.clone());
                check_region_code(&region, cursor.key("region"), diagnostics);
                Some((name, region))
            }
        }
    }
}
