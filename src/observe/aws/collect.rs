//! Reads the state of AWS that concerns an environment: in one wave what the manifest names, and in
//! a second wave what the environment owns but the manifest no longer has.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::{
    clouds::{
        CloudError, CloudReaders, ErrorKind,
        aws::{
            AwsReader,
            types::{BucketLookup, OidcProviderDescription, RoleDescription, RoleSummary},
        },
        fly,
    },
    kinds::{
        AwsMeta, Desired,
        aws::{oidc_provider, role},
    },
    model::{Name, Ownership, OwnershipMark},
};

/// The alias of every personal organization on Fly. Tokens are never issued under it.
const PERSONAL_ORG_ALIAS: &str = "personal";

/// The state of AWS that concerns an environment.
#[derive(Clone, Debug, Default)]
pub struct AwsSnapshot {
    /// The canonical slug of the Fly organization.
    pub fly_org_slug: Option<String>,
    /// The manifest's buckets.
    pub buckets: BTreeMap<Name, BucketSnapshot>,
    /// The manifest's roles that exist.
    pub roles: BTreeMap<Name, RoleDescription>,
    /// Buckets with our name prefix that the manifest does not have but that we own.
    pub undeclared_buckets: Vec<BucketSnapshot>,
    /// Roles on our path that the manifest does not have.
    pub undeclared_roles: Vec<RoleDescription>,
    /// The OIDC provider of the Fly organization, and whether a role outside this environment
    /// trusts it.
    pub provider: Option<(OidcProviderDescription, bool)>,
    /// Warnings about what could not be read.
    pub warnings: Vec<String>,
    /// The names of buckets with our name prefix that these credentials may not look at.
    pub unreadable_buckets: Vec<String>,
    /// Whom the credentials belong to, as `sts:GetCallerIdentity` says it.
    pub caller: Option<String>,
}

/// The state of a bucket.
#[derive(Clone, Debug)]
pub struct BucketSnapshot {
    /// The bucket's name.
    pub name: String,
    /// What the lookup found.
    pub lookup: BucketLookup,
    /// The key of an object other than trimtab's own, if the bucket has one.
    pub first_key: Option<String>,
}

/// Reads everything on AWS that concerns the environment. Concurrently checks that the credentials
/// are for the manifest's account; if not, only that error is reported.
pub(crate) async fn collect(
    readers: &CloudReaders,
    desired: &Desired,
) -> Result<AwsSnapshot, CloudError> {
    let (Some(aws), Some(meta)) = (&readers.aws, &desired.meta.aws) else {
        return Ok(AwsSnapshot::default());
    };
    let (caller, snapshot) = tokio::join!(
        aws.check_account(),
        Box::pin(collect_all(aws, &readers.fly, meta, desired))
    );
    let caller = Some(caller?.arn);
    Ok(AwsSnapshot {
        caller,
        ..snapshot?
    })
}

type RoleLookup<'a> = (
    &'a Name,
    &'a role::RoleSpec,
    Result<Option<RoleDescription>, CloudError>,
);

/// The declared roles that exist.
fn existing_roles(
    roles: Vec<RoleLookup<'_>>,
    role_summaries: &[RoleSummary],
) -> Result<BTreeMap<Name, RoleDescription>, CloudError> {
    let listed: BTreeSet<&str> = role_summaries
        .iter()
        .map(|role| role.name.as_str())
        .collect();
    let mut existing = BTreeMap::new();
    for (key, spec, role) in roles {
        match role {
            // IAM checks the permission for a role that does not exist without its path, so
            // credentials that may only read roles below a path get "access denied". The list shows
            // whether it exists.
            Err(error)
                if error.kind == ErrorKind::PermissionDenied
                    && !listed.contains(spec.name.as_str()) => {}
            role => drop(role?.and_then(|role| existing.insert(key.clone(), role))),
        }
    }
    Ok(existing)
}

async fn collect_all(
    aws: &AwsReader,
    fly: &fly::FlyReader,
    meta: &AwsMeta,
    desired: &Desired,
) -> Result<AwsSnapshot, CloudError> {
    let path = role::role_path(&desired.meta.mark);
    let buckets = desired.aws_bucket.iter().map(|(key, spec)| async move {
        Ok::<_, CloudError>((
            key.clone(),
            read_bucket(aws, &spec.name, &spec.region, &desired.meta.mark).await?,
        ))
    });
    // Instance profiles matter only where a role may go.
    let is_destroying = is_being_destroyed(desired);
    let roles = desired.aws_role.iter().map(|(key, spec)| async move {
        let role = if is_destroying {
            aws.read_role_with_profiles(&spec.name).await
        } else {
            aws.read_role(&spec.name).await
        };
        Ok::<_, CloudError>((key, spec, role))
    });
    let (buckets, roles, bucket_names, role_summaries, (org_slug, provider)) = tokio::try_join!(
        try_join_all(buckets),
        try_join_all(roles),
        aws.list_buckets(&meta.bucket_prefix),
        aws.list_roles(&path),
        read_org_and_provider(aws, fly, meta, desired),
    )?;
    let existing = existing_roles(roles, &role_summaries)?;
    let declared: BTreeSet<&str> = desired
        .aws_bucket
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    let undeclared = bucket_names
        .iter()
        .flatten()
        .filter(|(name, _)| !declared.contains(name.as_str()));
    let mark = &desired.meta.mark;
    let undeclared_buckets = undeclared.map(|(name, region)| {
        let region = if region.is_empty() {
            &meta.region
        } else {
            region
        };
        read_undeclared_bucket(aws, name, region, mark)
    });
    let (undeclared_buckets, undeclared_roles, provider) = tokio::try_join!(
        try_join_all(undeclared_buckets),
        read_undeclared_roles(aws, desired, &role_summaries, &path),
        check_provider_in_use(aws, provider, desired, &path),
    )?;
    let (mut owned_buckets, mut unreadable_buckets) = (Vec::new(), Vec::new());
    for bucket in undeclared_buckets {
        match bucket {
            UndeclaredBucket::Ours(bucket) => owned_buckets.push(bucket),
            UndeclaredBucket::Unreadable(name) => unreadable_buckets.push(name),
            UndeclaredBucket::NotOurs => {}
        }
    }
    let warn_unreadable = |name: &String| {
        format!("these credentials cannot see whose bucket {name} is, which has a name like ours")
    };
    let mut warnings: Vec<String> = unreadable_buckets.iter().map(warn_unreadable).collect();
    if bucket_names.is_none() {
        warnings.push(
            "these credentials cannot list the account's buckets: those that have left the manifest are not found"
                .to_owned(),
        );
    }
    Ok(AwsSnapshot {
        fly_org_slug: org_slug,
        buckets: buckets.into_iter().collect(),
        roles: existing,
        undeclared_buckets: owned_buckets,
        unreadable_buckets,
        undeclared_roles: undeclared_roles.into_iter().flatten().collect(),
        provider,
        warnings,
        caller: None,
    })
}

/// Reads the roles of this environment that the manifest does not name any more.
async fn read_undeclared_roles(
    aws: &AwsReader,
    desired: &Desired,
    summaries: &[RoleSummary],
    path: &str,
) -> Result<Vec<Option<RoleDescription>>, CloudError> {
    let declared: BTreeSet<&str> = desired
        .aws_role
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    // Some IAM implementations ignore the path prefix and list all roles.
    let undeclared = summaries
        .iter()
        .filter(|role| role.path == path && !declared.contains(role.name.as_str()));
    try_join_all(undeclared.map(|role| aws.read_role_with_profiles(&role.name))).await
}

/// Reads a bucket and whether it contains anything, which matters when it is to be deleted.
async fn read_bucket(
    aws: &AwsReader,
    name: &str,
    region: &str,
    mark: &OwnershipMark,
) -> Result<BucketSnapshot, CloudError> {
    let lock_key = mark.lock_key();
    // Box the future: the SDK's futures are so large that a few nested ones overflow a thread's
    // stack.
    aws.retry_while_not_found(|| Box::pin(read_bucket_once(aws, name, region, &lock_key)))
        .await
}

async fn read_bucket_once(
    aws: &AwsReader,
    name: &str,
    region: &str,
    lock_key: &str,
) -> Result<BucketSnapshot, CloudError> {
    let (lookup, first_key) = tokio::join!(
        aws.read_bucket(name, region),
        aws.find_other_key(name, region, lock_key)
    );
    let lookup = lookup?;
    let first_key = match &lookup {
        BucketLookup::Found(existing) if existing.region != region => {
            aws.find_other_key(name, &existing.region, lock_key).await?
        }
        BucketLookup::Found(_) => first_key?,
        BucketLookup::NotFound | BucketLookup::AccessDenied => None,
    };
    Ok(BucketSnapshot {
        name: name.to_owned(),
        lookup,
        first_key,
    })
}

/// A bucket with our name prefix that the manifest does not have.
enum UndeclaredBucket {
    /// Its tags say that this environment owns it.
    Ours(BucketSnapshot),
    /// Somebody else owns it, or it is gone.
    NotOurs,
    /// These credentials may not read its tags.
    Unreadable(String),
}

/// Reads a bucket with our name prefix that the manifest does not have.
async fn read_undeclared_bucket(
    aws: &AwsReader,
    name: &str,
    region: &str,
    mark: &OwnershipMark,
) -> Result<UndeclaredBucket, CloudError> {
    match aws.read_bucket_tags(name, region).await {
        Ok(tags) if mark.ownership_of(&tags) == Ownership::Ours => {
            let bucket = read_bucket(aws, name, region, mark).await?;
            Ok(match bucket.lookup {
                BucketLookup::AccessDenied => UndeclaredBucket::Unreadable(bucket.name),
                BucketLookup::NotFound | BucketLookup::Found(_) => UndeclaredBucket::Ours(bucket),
            })
        }
        Ok(_) => Ok(UndeclaredBucket::NotOurs),
        Err(error) if error.is_not_found() => Ok(UndeclaredBucket::NotOurs),
        Err(error) if error.kind == ErrorKind::PermissionDenied => {
            Ok(UndeclaredBucket::Unreadable(name.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Reads the canonical slug of the Fly organization, and its OIDC provider. Except for personal
/// organizations the manifest's slug is the canonical one, so both are requested concurrently.
async fn read_org_and_provider(
    aws: &AwsReader,
    fly: &fly::FlyReader,
    meta: &AwsMeta,
    desired: &Desired,
) -> Result<(Option<String>, Option<OidcProviderDescription>), CloudError> {
    let manifest_slug = desired.meta.org.as_str();
    let provider_by_manifest_slug = async {
        let arn = oidc_provider::provider_arn(&meta.account, manifest_slug);
        if manifest_slug == PERSONAL_ORG_ALIAS {
            Ok(None)
        } else {
            aws.read_oidc_provider(&arn).await
        }
    };
    let (raw_slug, guessed_provider) = tokio::join!(
        fly.get_org_raw_slug(manifest_slug),
        provider_by_manifest_slug
    );
    let canonical = match raw_slug {
        Ok(canonical) => canonical,
        // A token that is limited to one organization may not read the organization itself.
        Err(error)
            if manifest_slug != PERSONAL_ORG_ALIAS
                && matches!(
                    error.kind,
                    ErrorKind::PermissionDenied | ErrorKind::NotFound
                ) =>
        {
            manifest_slug.to_owned()
        }
        Err(_) if requested_provider(desired).is_none() => return Ok((None, None)),
        Err(error) => return Err(error),
    };
    if canonical == manifest_slug {
        return Ok((Some(canonical), guessed_provider?));
    }
    let existing = aws
        .read_oidc_provider(&oidc_provider::provider_arn(&meta.account, &canonical))
        .await?;
    Ok((Some(canonical), existing))
}

/// Whether the environment is being destroyed. It is then observed with its full manifest, but
/// nothing needs the shared provider any more.
fn is_being_destroyed(desired: &Desired) -> bool {
    desired
        .meta
        .aws
        .as_ref()
        .is_some_and(|aws| aws.is_destroying)
}

/// The name of the OIDC provider, if the manifest needs it.
pub(crate) fn requested_provider(desired: &Desired) -> Option<&Name> {
    desired
        .aws_provider
        .keys()
        .next()
        .filter(|_| !is_being_destroyed(desired))
}

/// Finds out whether a role outside this environment trusts the provider. All roles are only listed
/// if the provider could be deleted.
async fn check_provider_in_use(
    aws: &AwsReader,
    provider: Option<OidcProviderDescription>,
    desired: &Desired,
    path: &str,
) -> Result<Option<(OidcProviderDescription, bool)>, CloudError> {
    let Some(provider) = provider else {
        return Ok(None);
    };
    if requested_provider(desired).is_some()
        || !provider.tags.contains_key(oidc_provider::SHARED_TAG)
    {
        return Ok(Some((provider, true)));
    }
    let roles = aws.list_roles("/").await?;
    // A role of the manifest counts as it will be: one that trusts the provider only until this run lets it go.
    let keeps_trusting = |name: &str| {
        !is_being_destroyed(desired)
            && desired.aws_role.values().any(|spec| {
                spec.name == name && spec.trust.names_provider(&spec.account, &provider.arn)
            })
    };
    let is_used = roles.iter().any(|role| {
        (role.path != path && role.trusts(&provider.arn)) || keeps_trusting(&role.name)
    });
    Ok(Some((provider, is_used)))
}
