//! What of AWS concerns an environment: read in one wave, as far as the manifest's names say it, and a second one for what
//! bears our mark and has left the manifest.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::{
    clouds::{
        CloudError, Readers, Trouble,
        aws::{
            Reader,
            wire::{BucketLook, Provider, Role, RoleBrief},
        },
        fly,
    },
    kinds::{
        AwsMeta, Desired,
        aws::{provider, role},
    },
    model::{Mark, Name, Ownership},
};

/// What Fly calls every personal organization; tokens are never issued under it.
const ALIAS: &str = "personal";

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct AwsShot {
    /// The own slug of the organization on Fly.
    pub org: Option<String>,
    /// The manifest's buckets.
    pub buckets: BTreeMap<Name, BucketShot>,
    /// The manifest's roles that are there.
    pub roles: BTreeMap<Name, Role>,
    /// Buckets with a name like ours that the manifest does not know.
    pub stray_buckets: Vec<BucketShot>,
    /// Roles on our path that the manifest does not know.
    pub stray_roles: Vec<Role>,
    /// The provider of the organization, and whether a role beside this environment's trusts it.
    pub provider: Option<(Provider, bool)>,
    /// Facts the user should know about the reading itself.
    pub warnings: Vec<String>,
}

/// One bucket.
#[derive(Clone, Debug)]
pub struct BucketShot {
    /// Its name.
    pub name: String,
    /// What was found.
    pub look: BucketLook,
    /// A key that it holds beside our own.
    pub holds: Option<String>,
}

/// Reads everything that concerns the environment. Whether the credentials are for the manifest's account is asked at
/// the same time, and an answer of no is the only thing that is said.
pub(super) async fn collect(readers: &Readers, desired: &Desired) -> Result<AwsShot, CloudError> {
    let (Some(aws), Some(meta)) = (&readers.aws, &desired.meta.aws) else {
        return Ok(AwsShot::default());
    };
    let account = async { aws.check_account().await.map(drop) };
    let (account, rest) = tokio::join!(account, Box::pin(all(aws, &readers.fly, meta, desired)));
    account?;
    rest
}

async fn all(
    aws: &Reader,
    fly: &fly::Reader,
    meta: &AwsMeta,
    desired: &Desired,
) -> Result<AwsShot, CloudError> {
    let path = role::path(&desired.meta.mark);
    let buckets = desired.aws_bucket.iter().map(|(key, spec)| async move {
        Ok::<_, CloudError>((
            key.clone(),
            bucket(aws, &spec.name, &spec.region, &desired.meta.mark).await?,
        ))
    });
    let roles = desired.aws_role.iter().map(|(key, spec)| async move {
        Ok::<_, CloudError>((key, spec, aws.role(&spec.name).await))
    });
    let (buckets, roles, names, briefs, (org, provider)) = tokio::try_join!(
        try_join_all(buckets),
        try_join_all(roles),
        aws.bucket_names(&meta.prefix),
        aws.roles(&path),
        org_and_provider(aws, fly, meta, desired),
    )?;
    let listed: BTreeSet<&str> = briefs.iter().map(|role| role.name.as_str()).collect();
    let mut there = BTreeMap::new();
    for (key, spec, role) in roles {
        match role {
            // IAM looks for a role that is not there without its path, so who may read the roles below a path is refused.
            Err(error)
                if error.trouble == Trouble::Denied && !listed.contains(spec.name.as_str()) => {}
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
        stray(aws, name, region, mark)
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
    let stray_roles = strangers.map(|role| aws.role(&role.name));
    let (stray_buckets, stray_roles, provider) = tokio::try_join!(
        try_join_all(stray_buckets),
        try_join_all(stray_roles),
        shared(aws, provider, desired, &path),
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
    Ok(AwsShot {
        org,
        buckets: buckets.into_iter().collect(),
        roles: there,
        stray_buckets: stray_buckets.into_iter().flatten().collect(),
        stray_roles: stray_roles.into_iter().flatten().collect(),
        provider,
        warnings,
    })
}

/// One bucket and whether it holds anything, which matters as soon as it is to go.
async fn bucket(
    aws: &Reader,
    name: &str,
    region: &str,
    mark: &Mark,
) -> Result<BucketShot, CloudError> {
    let lock = mark.lock_key();
    // On the heap: the SDK's futures are so large that a few of them inside each other fill a thread's stack.
    aws.agreeing(|| Box::pin(at_once(aws, name, region, &lock)))
        .await
}

async fn at_once(
    aws: &Reader,
    name: &str,
    region: &str,
    lock: &str,
) -> Result<BucketShot, CloudError> {
    let (look, holds) = tokio::join!(aws.bucket(name, region), aws.first_key(name, region, lock));
    let look = look?;
    let holds = match &look {
        BucketLook::Here(there) if there.region != region => {
            aws.first_key(name, &there.region, lock).await?
        }
        BucketLook::Here(_) => holds?,
        BucketLook::Free | BucketLook::Denied => None,
    };
    Ok(BucketShot {
        name: name.to_owned(),
        look,
        holds,
    })
}

/// A bucket with a name like ours: what it is matters only if it bears our mark. Others may not even be seen.
async fn stray(
    aws: &Reader,
    name: &str,
    region: &str,
    mark: &Mark,
) -> Result<Result<BucketShot, String>, CloudError> {
    match aws.tags(name, region).await {
        Ok(tags) if mark.judge(&tags) == Ownership::Ours => {
            bucket(aws, name, region, mark).await.map(Ok)
        }
        Ok(_) => Ok(Err(String::new())),
        Err(error) if error.is_not_found() => Ok(Err(String::new())),
        Err(error) if error.trouble == Trouble::Denied => Ok(Err(format!(
            "these credentials cannot see whose bucket {name} is, which has a name like ours"
        ))),
        Err(error) => Err(error),
    }
}

/// The organization's own slug, and the provider under it. For all but personal organizations the slug of the manifest
/// is the own one, so both are asked at once.
async fn org_and_provider(
    aws: &Reader,
    fly: &fly::Reader,
    meta: &AwsMeta,
    desired: &Desired,
) -> Result<(Option<String>, Option<Provider>), CloudError> {
    let stated = desired.meta.org.as_str();
    let guess = async {
        let arn = provider::arn(&meta.account, stated);
        if stated == ALIAS {
            Ok(None)
        } else {
            aws.provider(&arn).await
        }
    };
    let (told, guessed) = tokio::join!(fly.own_slug(stated), guess);
    let own = match told {
        Ok(own) => own,
        // A token for one organization may not be let near its settings.
        Err(error)
            if stated != ALIAS && matches!(error.trouble, Trouble::Denied | Trouble::NotFound) =>
        {
            stated.to_owned()
        }
        Err(_) if asked_provider(desired).is_none() => return Ok((None, None)),
        Err(error) => return Err(error),
    };
    if own == stated {
        return Ok((Some(own), guessed?));
    }
    let there = aws.provider(&provider::arn(&meta.account, &own)).await?;
    Ok((Some(own), there))
}

/// Whether the environment is being removed: then it is looked at with its own manifest, and nothing asks for the shared
/// provider any more.
fn is_leaving(desired: &Desired) -> bool {
    desired.meta.aws.as_ref().is_some_and(|aws| aws.leaving)
}

/// The provider, if it is asked for.
pub(super) fn asked_provider(desired: &Desired) -> Option<&Name> {
    desired
        .aws_provider
        .keys()
        .next()
        .filter(|_| !is_leaving(desired))
}

/// Whether a role beside this environment's trusts the provider. It is asked only where the provider could go.
async fn shared(
    aws: &Reader,
    provider: Option<Provider>,
    desired: &Desired,
    path: &str,
) -> Result<Option<(Provider, bool)>, CloudError> {
    let Some(provider) = provider else {
        return Ok(None);
    };
    if asked_provider(desired).is_some() || !provider.tags.contains_key(provider::SHARED) {
        return Ok(Some((provider, true)));
    }
    let roles = aws.roles("/").await?;
    let asked = |name: &str| {
        !is_leaving(desired) && desired.aws_role.values().any(|spec| spec.name == name)
    };
    let other = |role: &&RoleBrief| role.path != path || asked(&role.name);
    let used = roles
        .iter()
        .filter(other)
        .any(|role| role.trusts(&provider.arn));
    Ok(Some((provider, used)))
}
