//! What of AWS concerns an environment: read in one wave, as far as the manifest's names say it, and a second one for what
//! bears our mark and has left the manifest.

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

/// What Fly calls every personal organization; tokens are never issued under it.
const PERSONAL_ORG_ALIAS: &str = "personal";

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct AwsSnapshot {
    /// The own slug of the organization on Fly.
    pub fly_org_slug: Option<String>,
    /// The manifest's buckets.
    pub buckets: BTreeMap<Name, BucketSnapshot>,
    /// The manifest's roles that are there.
    pub roles: BTreeMap<Name, RoleDescription>,
    /// Buckets with a name like ours that the manifest does not know.
    pub undeclared_buckets: Vec<BucketSnapshot>,
    /// Roles on our path that the manifest does not know.
    pub undeclared_roles: Vec<RoleDescription>,
    /// The provider of the organization, and whether a role beside this environment's trusts it.
    pub provider: Option<(OidcProviderDescription, bool)>,
    /// Facts the user should know about the reading itself.
    pub warnings: Vec<String>,
}

/// One bucket.
#[derive(Clone, Debug)]
pub struct BucketSnapshot {
    /// Its name.
    pub name: String,
    /// What was found.
    pub lookup: BucketLookup,
    /// A key that it holds beside our own.
    pub first_key: Option<String>,
}

/// Reads everything that concerns the environment. Whether the credentials are for the manifest's account is asked at
/// the same time, and an answer of no is the only thing that is said.
pub(crate) async fn collect(
    readers: &CloudReaders,
    desired: &Desired,
) -> Result<AwsSnapshot, CloudError> {
    let (Some(aws), Some(meta)) = (&readers.aws, &desired.meta.aws) else {
        return Ok(AwsSnapshot::default());
    };
    let account = async { aws.check_account().await.map(drop) };
    let (account, rest) = tokio::join!(
        account,
        Box::pin(collect_all(aws, &readers.fly, meta, desired))
    );
    account?;
    rest
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
    let roles = desired.aws_role.iter().map(|(key, spec)| async move {
        Ok::<_, CloudError>((key, spec, aws.read_role(&spec.name).await))
    });
    let (buckets, roles, names, briefs, (org, provider)) = tokio::try_join!(
        try_join_all(buckets),
        try_join_all(roles),
        aws.list_buckets(&meta.bucket_prefix),
        aws.list_roles(&path),
        read_org_and_provider(aws, fly, meta, desired),
    )?;
    let listed: BTreeSet<&str> = briefs.iter().map(|role| role.name.as_str()).collect();
    let mut there = BTreeMap::new();
    for (key, spec, role) in roles {
        match role {
            // IAM looks for a role that is not there without its path, so who may read the roles below a path is refused.
            Err(error)
                if error.kind == ErrorKind::PermissionDenied
                    && !listed.contains(spec.name.as_str()) => {}
            role => drop(role?.and_then(|role| there.insert(key.clone(), role))),
        }
    }
    let known: BTreeSet<&str> = desired
        .aws_bucket
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    let strangers = names
        .iter()
        .flatten()
        .filter(|(name, _)| !known.contains(name.as_str()));
    let mark = &desired.meta.mark;
    let stray_buckets = strangers.map(|(name, region)| {
        let region = if region.is_empty() {
            &meta.region
        } else {
            region
        };
        read_undeclared_bucket(aws, name, region, mark)
    });
    let known: BTreeSet<&str> = desired
        .aws_role
        .values()
        .map(|spec| spec.name.as_str())
        .collect();
    // A store of roles that does not know the prefix gives all.
    let strangers = briefs
        .iter()
        .filter(|role| role.path == path && !known.contains(role.name.as_str()));
    let stray_roles = strangers.map(|role| aws.read_role(&role.name));
    let (stray_buckets, stray_roles, provider) = tokio::try_join!(
        try_join_all(stray_buckets),
        try_join_all(stray_roles),
        check_provider_in_use(aws, provider, desired, &path),
    )?;
    let (stray_buckets, unseen): (Vec<_>, Vec<_>) =
        stray_buckets.into_iter().partition(Result::is_ok);
    let mut warnings: Vec<String> = unseen
        .into_iter()
        .filter_map(Result::err)
        .filter(|warning| !warning.is_empty())
        .collect();
    if names.is_none() {
        warnings.push(
            "these credentials cannot list the account's buckets: those that have left the manifest are not found"
                .to_owned(),
        );
    }
    Ok(AwsSnapshot {
        fly_org_slug: org,
        buckets: buckets.into_iter().collect(),
        roles: there,
        undeclared_buckets: stray_buckets.into_iter().flatten().collect(),
        undeclared_roles: stray_roles.into_iter().flatten().collect(),
        provider,
        warnings,
    })
}

/// One bucket and whether it holds anything, which matters as soon as it is to go.
async fn read_bucket(
    aws: &AwsReader,
    name: &str,
    region: &str,
    mark: &OwnershipMark,
) -> Result<BucketSnapshot, CloudError> {
    let lock = mark.lock_key();
    // On the heap: the SDK's futures are so large that a few of them inside each other fill a thread's stack.
    aws.retry_while_not_found(|| Box::pin(read_bucket_once(aws, name, region, &lock)))
        .await
}

async fn read_bucket_once(
    aws: &AwsReader,
    name: &str,
    region: &str,
    lock: &str,
) -> Result<BucketSnapshot, CloudError> {
    let (look, holds) = tokio::join!(
        aws.read_bucket(name, region),
        aws.find_other_key(name, region, lock)
    );
    let look = look?;
    let holds = match &look {
        BucketLookup::Found(there) if there.region != region => {
            aws.find_other_key(name, &there.region, lock).await?
        }
        BucketLookup::Found(_) => holds?,
        BucketLookup::NotFound | BucketLookup::AccessDenied => None,
    };
    Ok(BucketSnapshot {
        name: name.to_owned(),
        lookup: look,
        first_key: holds,
    })
}

/// A bucket with a name like ours: what it is matters only if it bears our mark. Others may not even be seen.
async fn read_undeclared_bucket(
    aws: &AwsReader,
    name: &str,
    region: &str,
    mark: &OwnershipMark,
) -> Result<Result<BucketSnapshot, String>, CloudError> {
    match aws.read_bucket_tags(name, region).await {
        Ok(tags) if mark.ownership_of(&tags) == Ownership::Ours => {
            read_bucket(aws, name, region, mark).await.map(Ok)
        }
        Ok(_) => Ok(Err(String::new())),
        Err(error) if error.is_not_found() => Ok(Err(String::new())),
        Err(error) if error.kind == ErrorKind::PermissionDenied => Ok(Err(format!(
            "these credentials cannot see whose bucket {name} is, which has a name like ours"
        ))),
        Err(error) => Err(error),
    }
}

/// The organization's own slug, and the provider under it. For all but personal organizations the slug of the manifest
/// is the own one, so both are asked at once.
async fn read_org_and_provider(
    aws: &AwsReader,
    fly: &fly::FlyReader,
    meta: &AwsMeta,
    desired: &Desired,
) -> Result<(Option<String>, Option<OidcProviderDescription>), CloudError> {
    let stated = desired.meta.org.as_str();
    let guess = async {
        let arn = oidc_provider::provider_arn(&meta.account, stated);
        if stated == PERSONAL_ORG_ALIAS {
            Ok(None)
        } else {
            aws.read_oidc_provider(&arn).await
        }
    };
    let (told, guessed) = tokio::join!(fly.get_org_raw_slug(stated), guess);
    let own = match told {
        Ok(own) => own,
        // A token for one organization may not be let near its settings.
        Err(error)
            if stated != PERSONAL_ORG_ALIAS
                && matches!(
                    error.kind,
                    ErrorKind::PermissionDenied | ErrorKind::NotFound
                ) =>
        {
            stated.to_owned()
        }
        Err(_) if requested_provider(desired).is_none() => return Ok((None, None)),
        Err(error) => return Err(error),
    };
    if own == stated {
        return Ok((Some(own), guessed?));
    }
    let there = aws
        .read_oidc_provider(&oidc_provider::provider_arn(&meta.account, &own))
        .await?;
    Ok((Some(own), there))
}

/// Whether the environment is being removed: then it is looked at with its own manifest, and nothing asks for the shared
/// provider any more.
fn is_being_destroyed(desired: &Desired) -> bool {
    desired
        .meta
        .aws
        .as_ref()
        .is_some_and(|aws| aws.is_destroying)
}

/// The provider, if it is asked for.
pub(crate) fn requested_provider(desired: &Desired) -> Option<&Name> {
    desired
        .aws_provider
        .keys()
        .next()
        .filter(|_| !is_being_destroyed(desired))
}

/// Whether a role beside this environment's trusts the provider. It is asked only where the provider could go.
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
    let asked = |name: &str| {
        !is_being_destroyed(desired) && desired.aws_role.values().any(|spec| spec.name == name)
    };
    let other = |role: &&RoleSummary| role.path != path || asked(&role.name);
    let used = roles
        .iter()
        .filter(other)
        .any(|role| role.trusts(&provider.arn));
    Ok(Some((provider, used)))
}
