//! What was read of AWS under the manifest's names, and whose it is: by tags and path.

use super::collect::{AwsSnapshot, BucketSnapshot, requested_provider};
use crate::observe::fly::collect::FlySnapshot;
use crate::{
    clouds::{CloudError, aws::types},
    kinds::{
        Desired, OwnershipConflict, UnmanagedResource, World,
        aws::{
            Bucket, OidcProvider, Role,
            bucket::BucketLive,
            oidc_provider::{self, OidcProviderLive},
            role::{self, CredentialOverride, RoleLive},
            tags::Tags,
        },
        fly::workload::Workload,
    },
    model::{Address, KindName, Name, Ownership, OwnershipMark, ResourceRef},
};

/// Adds what was read of AWS.
///
/// # Errors
/// When a policy that AWS returns is none.
pub(crate) fn assemble(
    world: &mut World,
    shot: &AwsSnapshot,
    desired: &Desired,
) -> Result<(), CloudError> {
    world
        .findings
        .warnings
        .extend(shot.warnings.iter().cloned());
    world.findings.fly_org_slug.clone_from(&shot.fly_org_slug);
    let provider = find_provider(shot, desired);
    for (key, bucket) in &shot.buckets {
        add_bucket(world, key, bucket, desired)?;
    }
    for bucket in &shot.undeclared_buckets {
        let types::BucketLookup::Found(there) = &bucket.lookup else {
            continue;
        };
        let taken = |name: &Name| {
            desired.aws_bucket.contains_key(name) || world.aws_bucket.contains_key(name)
        };
        if let Some(key) = orphan_name(&there.tags, &bucket.name, desired, taken) {
            let live = BucketLive::from_s3(&bucket.name, there, bucket.first_key.clone())?;
            world.aws_bucket.insert(key, live);
        }
    }
    let trusted = provider.as_ref().map(|(name, live)| {
        (
            live.arn.as_str(),
            ResourceRef::<OidcProvider>::new(name.clone()),
        )
    });
    for (key, role) in &shot.roles {
        let live = RoleLive::from_iam(role, trusted.clone())?;
        add_role_conflict(world, key, role, desired);
        report_attached_policies(world, key, &live, desired);
        world.aws_role.insert(key.clone(), live);
    }
    for role in &shot.undeclared_roles {
        let taken =
            |name: &Name| desired.aws_role.contains_key(name) || world.aws_role.contains_key(name);
        if let Some(key) = orphan_name(&role.tags, &role.name, desired, taken) {
            world
                .aws_role
                .insert(key, RoleLive::from_iam(role, trusted.clone())?);
        } else {
            world
                .findings
                .unmanaged
                .extend(unmarked_role(role, desired));
        }
    }
    world.aws_provider.extend(provider);
    Ok(())
}

/// The provider, where it is asked for, or could go: it is ours, and no role of anybody else trusts it.
fn find_provider(shot: &AwsSnapshot, desired: &Desired) -> Option<(Name, OidcProviderLive)> {
    let (provider, used) = shot.provider.as_ref()?;
    let live = OidcProviderLive::from_iam(provider);
    let asked = requested_provider(desired).cloned();
    let goes = || {
        (live.ours && !used)
            .then(|| Name::parse(oidc_provider::FLY_PROVIDER_NAME).ok())
            .flatten()
    };
    let name = asked.or_else(goes)?;
    Some((name, live))
}

/// The name of something that bears our mark and has left the manifest: its own, or, where that now means something
/// else, what AWS calls it.
fn orphan_name(
    tags: &Tags,
    own: &str,
    desired: &Desired,
    taken: impl Fn(&Name) -> bool,
) -> Option<Name> {
    if desired.meta.mark.ownership_of(tags) != Ownership::Ours {
        return None;
    }
    let named = OwnershipMark::resource_name(tags).filter(|name| !taken(name));
    // Names of roles have characters that ours have not.
    let own = own.replace(
        |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)),
        "_",
    );
    named.or_else(|| Name::parse(&format!("{own}.gone")).ok())
}

/// A role on our path that the manifest does not know and that does not bear our mark. Nobody but us makes roles there, so
/// its tags were taken off by hand, and it keeps what it was granted. Without the tags nothing says that it may go.
fn unmarked_role(role: &types::RoleDescription, desired: &Desired) -> Option<UnmanagedResource> {
    let OwnershipMark {
        project,
        environment,
    } = &desired.meta.mark;
    let bears = match desired.meta.mark.ownership_of(&role.tags) {
        Ownership::Ours => return None,
        Ownership::Unmarked => "no mark".to_owned(),
        Ownership::Foreign(OwnershipMark {
            project,
            environment,
        }) => format!("the mark of {project}/{environment}"),
    };
    let place = role.path.trim_matches('/');
    Some(UnmanagedResource {
        what: format!("role {}", role.name),
        within: Name::parse(place).ok()?,
        why: format!(
            "it keeps what it was granted, and bears {bears}: to let trimtab remove it, tag it with {}={project} and \
             {}={environment}; or remove it by hand",
            OwnershipMark::PROJECT_KEY,
            OwnershipMark::ENVIRONMENT_KEY,
        ),
        loss: None,
    })
}

fn add_bucket(
    world: &mut World,
    key: &Name,
    BucketSnapshot {
        name,
        lookup: look,
        first_key: holds,
    }: &BucketSnapshot,
    desired: &Desired,
) -> Result<(), CloudError> {
    let address = Address::new::<Bucket>(key);
    match look {
        types::BucketLookup::NotFound => {}
        types::BucketLookup::AccessDenied => world.findings.ownership_conflicts.push(OwnershipConflict {
            address,
            reason: format!("the name {name} is taken, and these credentials may not see the bucket"),
            hint: "names are unique in all of AWS: say another `name`, or use the credentials of its account"
                .to_owned(),
            adoptable: false,
        }),
        types::BucketLookup::Found(there) => {
            let claim = ownership_conflict::<Bucket>(key, &format!("bucket {name}"), &there.tags, desired);
            world.findings.ownership_conflicts.extend(claim);
            world.aws_bucket.insert(key.clone(), BucketLive::from_s3(name, there, holds.clone())?);
        }
    }
    Ok(())
}

/// A role on our path bears our mark from its first moment; a tag that was taken off is put back. One elsewhere cannot be
/// taken over.
fn add_role_conflict(
    world: &mut World,
    key: &Name,
    role: &types::RoleDescription,
    desired: &Desired,
) {
    let ours = role.path == role::role_path(&desired.meta.mark);
    let claim =
        ownership_conflict::<Role>(key, &format!("role {}", role.name), &role.tags, desired);
    let elsewhere = |claim: OwnershipConflict| {
        OwnershipConflict {
        reason: format!("role {} is there already, at the path {}, and is not ours", role.name, role.path),
        hint:
            "a path is part of a role's ARN and cannot change, so it cannot be taken over: say another `name`"
                .to_owned(),
        adoptable: false,
        ..claim
    }
    };
    let claim = claim.filter(|claim| !(ours && claim.adoptable));
    let claim = claim.map(|claim| {
        if claim.adoptable {
            elsewhere(claim)
        } else {
            claim
        }
    });
    world.findings.ownership_conflicts.extend(claim);
}

/// Whose something is, when it is not ours.
fn ownership_conflict<K: KindName>(
    key: &Name,
    what: &str,
    tags: &Tags,
    desired: &Desired,
) -> Option<OwnershipConflict> {
    let address = Address::new::<K>(key);
    match desired.meta.mark.ownership_of(tags) {
        Ownership::Ours => None,
        Ownership::Unmarked if desired.meta.adopt.contains(&address) => None,
        Ownership::Unmarked => Some(OwnershipConflict {
            reason: format!("{what} is there already and bears nobody's mark"),
            hint: format!("take it over with --adopt {address}, or say another `name`"),
            address,
            adoptable: true,
        }),
        Ownership::Foreign(OwnershipMark {
            project,
            environment,
        }) => Some(OwnershipConflict {
            address,
            reason: format!("{what} belongs to {project}/{environment}"),
            hint: "say another `name`: what bears another's mark is never touched".to_owned(),
            adoptable: false,
        }),
    }
}

/// What somebody attached to a role of ours: it grants more than the manifest shows.
fn report_attached_policies(world: &mut World, key: &Name, live: &RoleLive, desired: &Desired) {
    let open = desired
        .aws_role
        .get(key)
        .is_some_and(|spec| spec.managed.is_none());
    let foreign = live
        .managed
        .iter()
        .filter(|_| open)
        .map(|arn| UnmanagedResource {
            what: format!("{arn} attached to role {}", live.name),
            within: key.clone(),
            why: "the manifest does not say it; it may grant more than is shown here".to_owned(),
            loss: None,
        });
    world.findings.unmanaged.extend(foreign);
}

/// Apps whose secrets hide their identity: `fly storage create` sets some, say.
pub(crate) fn credential_override_warnings(fly: &FlySnapshot, desired: &Desired) -> Vec<String> {
    // The variable is what an identity gives to an app's machines; one that gives none cannot be hidden.
    let has_role = |(name, workload): (&Name, &Workload), key: &Name| {
        name.root() == *key && workload.config.env.contains_key("AWS_ROLE_ARN")
    };
    let with_role = |key: &Name| {
        let machines = desired
            .fly_machine
            .iter()
            .map(|(name, spec)| (name, &spec.workload));
        let crons = desired
            .fly_cron
            .iter()
            .map(|(name, spec)| (name, &spec.workload));
        machines.chain(crons).any(|one| has_role(one, key))
    };
    let warn = |(key, shot): (&Name, &crate::observe::AppSnapshot)| {
        let asked = desired.fly_secrets.get(key);
        // Those that the manifest sets are warned of where they stand.
        let known = |name: &str| asked.is_some_and(|spec| spec.values.contains_key(name));
        let there =
            |name: &str| shot.secrets.iter().any(|secret| secret.name == name) && !known(name);
        let found: Vec<_> = CredentialOverride::variables()
            .filter(|(name, _)| there(name))
            .collect();
        (!found.is_empty() && with_role(key))
            .then(|| credential_override_warning(key, &shot.fly_name, &found))
    };
    fly.apps.iter().filter_map(warn).collect()
}

/// One warning for an app: what hides its identity, why, and what to do.
fn credential_override_warning(
    key: &Name,
    fly_name: &str,
    found: &[(&str, CredentialOverride)],
) -> String {
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let same = found.chunk_by(|(_, one), (_, other)| one == other);
    let reasons: Vec<String> = same
        .map(|same| {
            let names: Vec<&str> = same.iter().map(|(name, _)| *name).collect();
            format!("{} ({})", names.join(" "), same[0].1.explain())
        })
        .collect();
    let (reasons, names) = (reasons.join(", "), names.join(" "));
    format!(
        "app {key} has secrets that hide its identity: {reasons}; remove them with `fly secrets unset {names} --app \
         {fly_name}`, and give those of another store, such as Tigris, to its client under other names"
    )
}
