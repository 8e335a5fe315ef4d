//! What stands in `[aws]`, `[buckets]`, `[identities]` and `[roles]` to resources, and what of it reaches the apps: the
//! variables that AWS's SDKs read, and the edges to what they name.

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
mod role;
mod tags;

/// What the apps get.
#[derive(Clone, Debug, Default)]
pub(super) struct AppAwsBindings {
    /// The variables that an app's machines get, by the app's key.
    pub(super) env: BTreeMap<String, BTreeMap<String, String>>,
    /// What must be there before an app's machines start.
    pub(super) needs: BTreeMap<String, BTreeSet<Address>>,
}

/// What lowering looks at.
struct AwsContext<'a> {
    manifest: &'a Manifest,
    context: &'a Context<'a>,
    cursor: Cursor<'a>,
    mark: OwnershipMark,
    account: String,
    region: String,
    quotas: &'a IamQuotas,
}

/// Lowers everything of AWS.
pub(super) fn lower(
    document: &Manifest,
    scene: &Context<'_>,
    at: Cursor<'_>,
    out: &mut Lowered,
    sink: &mut Diagnostics,
) -> AppAwsBindings {
    let first = [
        ("buckets", document.buckets.is_empty()),
        ("identities", document.identities.is_empty()),
        ("roles", document.roles.is_empty()),
    ];
    let Some(stated) = &document.aws else {
        if let Some((table, _)) = first.into_iter().find(|(_, empty)| !empty) {
            let problem = at
                .key(table)
                .diagnostic(format!("`{table}` are on AWS, and `aws` is missing"));
            sink.error(
                problem.with_help(
                    "say the account and a region: [aws] account = \"…\", region = \"…\"",
                ),
            );
        }
        return AppAwsBindings::default();
    };
    let of = |value: &Option<String>| value.clone().unwrap_or_default();
    let aws = AwsContext {
        manifest: document,
        context: scene,
        cursor: at,
        mark: out.desired.meta.mark.clone(),
        account: of(&stated.account),
        region: of(&stated.region),
        quotas: &stated.quotas,
    };
    aws.check_account(sink);
    let mut apps = AppAwsBindings::default();
    aws.lower_buckets(out, sink);
    aws.lower_identities(&mut apps, out, sink);
    aws.lower_roles(out, sink);
    aws.check_unique_names(out, sink);
    let lock = aws.lock_bucket(stated.lock.as_ref(), out, sink);
    lifecycle::add_lock_versions_rule(&mut out.desired.aws_bucket, lock.as_ref());
    out.desired.meta.aws = Some(AwsMeta {
        account: aws.account.clone(),
        region: aws.region.clone(),
        lock_bucket: lock,
        bucket_prefix: aws_references::bucket_name_prefix(&aws.mark),
        is_destroying: false,
    });
    apps
}

impl<'a> AwsContext<'a> {
    fn check_account(&self, sink: &mut Diagnostics) {
        let at = self.cursor.key("aws");
        let digits = self.account.len() == 12 && self.account.bytes().all(|c| c.is_ascii_digit());
        if !digits && at.key("account").is_present() {
            let problem = at
                .key("account")
                .diagnostic(format!("`{}` is no account of AWS", self.account));
            sink.error(problem.with_help(
                "write its twelve digits in quotes: `aws sts get-caller-identity` shows them",
            ));
        }
        check_region_code(&self.region, at.key("region"), sink);
        let both = self
            .manifest
            .identities
            .keys()
            .filter(|key| self.manifest.roles.contains_key(*key));
        for key in both {
            let problem = self
                .cursor
                .key("roles")
                .key(key)
                .key_diagnostic(format!("there is an identity `{key}` too"));
            sink.error(problem.with_help("both are roles: give one of them another key"));
        }
    }

    /// No two of a kind are called the same: names of buckets are unique in all of AWS, and names of roles in an account,
    /// whatever their case.
    fn check_unique_names(&self, out: &Lowered, sink: &mut Diagnostics) {
        let buckets = out
            .desired
            .aws_bucket
            .iter()
            .map(|(key, spec)| ("buckets", key, spec.name.clone()));
        let roles = out.desired.aws_role.iter().map(|(key, spec)| {
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
                let spot = self.cursor.key(table).key(key.as_str());
                let problem = spot.key_diagnostic(format!(
                    "`{key}` is called the same on AWS as `{other}`: {name}"
                ));
                sink.error(problem.with_help("say another `name` for one of them"));
            }
        }
    }

    /// A resource's name; `None`, with a problem, when its key cannot be one.
    fn parse_key(&self, table: &str, key: &str, sink: &mut Diagnostics) -> Option<Name> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !key.is_empty() && key.chars().all(fits) {
            return Name::parse(key).ok();
        }
        let problem = self
            .cursor
            .key(table)
            .key(key)
            .key_diagnostic(format!("`{key}` cannot be a key here"));
        sink.error(problem.with_help("use lower-case letters, digits, dashes and underscores"));
        None
    }

    /// Where a resource stands in the manifest.
    fn record_location<K: crate::model::KindName>(
        &self,
        table: &str,
        name: &Name,
        out: &mut Lowered,
    ) {
        if let Some(place) = self.cursor.key(table).key(name.as_str()).location() {
            out.locations.insert(Address::new::<K>(name), place.clone());
        }
    }

    fn record_adoption<K: crate::model::KindName>(
        &self,
        adopt: Option<bool>,
        name: &Name,
        out: &mut Lowered,
    ) {
        if adopt == Some(true) {
            out.desired.meta.adopt.insert(Address::new::<K>(name));
        }
    }

    /// The provider, which is there as soon as a role trusts it.
    fn ensure_provider(&self, out: &mut Lowered) -> Option<ResourceRef<OidcProvider>> {
        let name = Name::parse(oidc_provider::FLY_PROVIDER_NAME).ok()?;
        let spec = OidcProviderSpec {
            account: self.account.clone(),
            org: String::new(),
        };
        out.desired.aws_provider.entry(name.clone()).or_insert(spec);
        Some(ResourceRef::new(name))
    }

    /// Where the lock is.
    fn lock_bucket(
        &self,
        stated: Option<&LockSource>,
        out: &Lowered,
        sink: &mut Diagnostics,
    ) -> Option<(String, String)> {
        let at = self.cursor.key("aws").key("lock");
        let buckets: &ResourceMap<_> = &out.desired.aws_bucket;
        let of =
            |spec: &crate::kinds::aws::bucket::BucketSpec| (spec.name.clone(), spec.region.clone());
        match stated {
            None if buckets.len() > 1 => {
                // A lock that moved with the order of keys would be two locks for a while.
                let problem = self
                    .cursor
                    .key("aws")
                    .key_diagnostic("several buckets, and nothing says which holds the lock");
                let first = buckets.keys().next().map(Name::as_str).unwrap_or_default();
                sink.error(problem.with_help(format!("say it under `aws`: lock = \"{first}\"")));
                None
            }
            None => buckets.values().next().map(of),
            Some(LockSource::Key(key)) => {
                let found = buckets.get(key.as_str()).map(of);
                if found.is_none() {
                    let known = self.manifest.buckets.keys().map(String::as_str);
                    let problem = at.diagnostic(format!("there is no bucket `{key}`"));
                    sink.error(problem.with_optional_help(
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
                bucket::check_lock_bucket_name(&name, at.key("name"), sink);
                let region = bucket.region.clone().unwrap_or_else(|| self.region.clone());
                check_region_code(&region, at.key("region"), sink);
                Some((name, region))
            }
        }
    }
}

/// The form of a region's code, such as `eu-central-1`. Which ones there are changes, so that is left to AWS.
fn check_region_code(region: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    let mut parts = region.split('-');
    let letters =
        |part: Option<&str>| part.is_some_and(|part| part.bytes().all(|c| c.is_ascii_lowercase()));
    let fits = letters(parts.next().filter(|part| part.len() == 2))
        && letters(parts.next())
        && region.ends_with(|c: char| c.is_ascii_digit());
    let elsewhere = region.starts_with("cn-") || region.starts_with("us-gov-");
    if elsewhere {
        let problem = at.diagnostic(format!("`{region}` is in another partition of AWS"));
        sink.error(
            problem.with_help(
                "trimtab knows the accounts of AWS itself, not those of China or GovCloud",
            ),
        );
        return;
    }
    if !fits && at.is_present() {
        let problem = at.diagnostic(format!("`{region}` is no region of AWS"));
        sink.error(problem.with_help("write its code, such as `eu-central-1`"));
    }
}
