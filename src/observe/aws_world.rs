//! What was read of AWS under the manifest's names, and whose it is: by tags and path.

use super::{
    aws::{AwsShot, BucketShot, asked_provider},
    collect::Snapshot,
};
use crate::{
    clouds::{CloudError, aws::wire},
    kinds::{
        Claim, Desired, Unmanaged, World,
        aws::{
            Bucket, Provider, Role,
            bucket::BucketLive,
            provider::{self, ProviderLive},
            role::{self, RoleLive, Shadow},
            tags::Tags,
        },
        fly::workload::Workload,
    },
    model::{Address, Mark, Name, Named, Ownership, Ref},
};

/// Adds what was read of AWS.
///
/// # Errors
/// When a policy that AWS returns is none.
pub(super) fn assemble(
    world: &mut World,
    shot: &AwsShot,
    desired: &Desired,
) -> Result<(), CloudError> {
    world.found.warnings.extend(shot.warnings.iter().cloned());
    world.found.fly_org.clone_from(&shot.org);
    let provider = provider(shot, desired);
    for (key, bucket) in &shot.buckets {
        self::bucket(world, key, bucket, desired)?;
    }
    for bucket in &shot.stray_buckets {
        let wire::BucketLook::Here(there) = &bucket.look else {
            continue;
        };
        let taken = |name: &Name| {
            desired.aws_bucket.contains_key(name) || world.aws_bucket.contains_key(name)
        };
        if let Some(key) = left_over(&there.tags, &bucket.name, desired, taken) {
            let live = BucketLive::read(&bucket.name, there, bucket.holds.clone())?;
            world.aws_bucket.insert(key, live);
        }
    }
    let trusted = provider
        .as_ref()
        .map(|(name, live)| (live.arn.as_str(), Ref::<Provider>::to(name.clone())));
    for (key, role) in &shot.roles {
        let live = RoleLive::read(role, trusted.clone())?;
        self::role(world, key, role, desired);
        attached(world, key, &live, desired);
        world.aws_role.insert(key.clone(), live);
    }
    for role in &shot.stray_roles {
        let taken =
            |name: &Name| desired.aws_role.contains_key(name) || world.aws_role.contains_key(name);
        if let Some(key) = left_over(&role.tags, &role.name, desired, taken) {
            world
                .aws_role
                .insert(key, RoleLive::read(role, trusted.clone())?);
        } else {
            world.found.unmanaged.extend(nobodys(role, desired));
        }
    }
    world.aws_provider.extend(provider);
    Ok(())
}

/// The provider, where it is asked for, or could go: it is ours, and no role of anybody else trusts it.
fn provider(shot: &AwsShot, desired: &Desired) -> Option<(Name, ProviderLive)> {
    let (provider, used) = shot.provider.as_ref()?;
    let live = ProviderLive::read(provider);
    let asked = asked_provider(desired).cloned();
    let goes = || {
        (live.ours && !used)
            .then(|| Name::parse(provider::NAME).ok())
            .flatten()
    };
    let name = asked.or_else(goes)?;
    Some((name, live))
}

/// The name of something that bears our mark and has left the manifest: its own, or, where that now means something
/// else, what AWS calls it.
fn left_over(
    tags: &Tags,
    own: &str,
    desired: &Desired,
    taken: impl Fn(&Name) -> bool,
) -> Option<Name> {
    if desired.meta.mark.judge(tags) != Ownership::Ours {
        return None;
    }
    let named = Mark::name(tags).filter(|name| !taken(name));
    // Names of roles have characters that ours have not.
    let own = own.replace(
        |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)),
        "_",
    );
    named.or_else(|| Name::parse(&format!("{own}.gone")).ok())
}

/// A role on our path that the manifest does not know and that does not bear our mark. Nobody but us makes roles there, so
/// its tags were taken off by hand, and it keeps what it was granted. Without the tags nothing says that it may go.
fn nobodys(role: &wire::Role, desired: &Desired) -> Option<Unmanaged> {
    let Mark {
        project,
        environment,
    } = &desired.meta.mark;
    let bears = match desired.meta.mark.judge(&role.tags) {
        Ownership::Ours => return None,
        Ownership::Unmarked => "no mark".to_owned(),
        Ownership::Foreign(Mark {
            project,
            environment,
        }) => format!("the mark of {project}/{environment}"),
    };
    let place = role.path.trim_matches('/');
    Some(Unmanaged {
        what: format!("role {}", role.name),
        within: Name::parse(place).ok()?,
        why: format!(
            "it keeps what it was granted, and bears {bears}: to let trimtab remove it, tag it with {}={project} and \
             {}={environment}; or remove it by hand",
            Mark::PROJECT,
            Mark::ENVIRONMENT,
        ),
        loss: None,
    })
}

fn bucket(
    world: &mut World,
    key: &Name,
    BucketShot { name, look, holds }: &BucketShot,
    desired: &Desired,
) -> Result<(), CloudError> {
    let address = Address::of::<Bucket>(key);
    match look {
        wire::BucketLook::Free => {}
        wire::BucketLook::Denied => world.found.claims.push(Claim {
            address,
            reason: format!("the name {name} is taken, and these credentials may not see the bucket"),
            hint: "names are unique in all of AWS: say another `name`, or use the credentials of its account"
                .to_owned(),
            adoptable: false,
        }),
        wire::BucketLook::Here(there) => {
            let claim = claim::<Bucket>(key, &format!("bucket {name}"), &there.tags, desired);
            world.found.claims.extend(claim);
            world.aws_bucket.insert(key.clone(), BucketLive::read(name, there, holds.clone())?);
        }
    }
    Ok(())
}

/// A role on our path bears our mark from its first moment; a tag that was taken off is put back. One elsewhere cannot be
/// taken over.
fn role(world: &mut World, key: &Name, role: &wire::Role, desired: &Desired) {
    let ours = role.path == role::path(&desired.meta.mark);
    let claim = claim::<Role>(key, &format!("role {}", role.name), &role.tags, desired);
    let elsewhere = |claim: Claim| {
        Claim {
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
    world.found.claims.extend(claim);
}

/// Whose something is, when it is not ours.
fn claim<K: Named>(key: &Name, what: &str, tags: &Tags, desired: &Desired) -> Option<Claim> {
    let address = Address::of::<K>(key);
    match desired.meta.mark.judge(tags) {
        Ownership::Ours => None,
        Ownership::Unmarked if desired.meta.adopt.contains(&address) => None,
        Ownership::Unmarked => Some(Claim {
            reason: format!("{what} is there already and bears nobody's mark"),
            hint: format!("take it over with --adopt {address}, or say another `name`"),
            address,
            adoptable: true,
        }),
        Ownership::Foreign(Mark {
            project,
            environment,
        }) => Some(Claim {
            address,
            reason: format!("{what} belongs to {project}/{environment}"),
            hint: "say another `name`: what bears another's mark is never touched".to_owned(),
            adoptable: false,
        }),
    }
}

/// What somebody attached to a role of ours: it grants more than the manifest shows.
fn attached(world: &mut World, key: &Name, live: &RoleLive, desired: &Desired) {
    let open = desired
        .aws_role
        .get(key)
        .is_some_and(|spec| spec.managed.is_none());
    let foreign = live.managed.iter().filter(|_| open).map(|arn| Unmanaged {
        what: format!("{arn} attached to role {}", live.name),
        within: key.clone(),
        why: "the manifest does not say it; it may grant more than is shown here".to_owned(),
        loss: None,
    });
    world.found.unmanaged.extend(foreign);
}

/// Apps whose secrets hide their identity: `fly storage create` sets some, say.
pub(super) fn shadowed(fly: &Snapshot, desired: &Desired) -> Vec<String> {
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
    let warn = |(key, shot): (&Name, &super::AppShot)| {
        let asked = desired.fly_secrets.get(key);
        // Those that the manifest sets are warned of where they stand.
        let known = |name: &str| asked.is_some_and(|spec| spec.values.contains_key(name));
        let there =
            |name: &str| shot.secrets.iter().any(|secret| secret.name == name) && !known(name);
        let found: Vec<_> = Shadow::names().filter(|(name, _)| there(name)).collect();
        (!found.is_empty() && with_role(key)).then(|| hidden(key, &shot.fly_name, &found))
    };
    fly.apps.iter().filter_map(warn).collect()
}

/// One warning for an app: what hides its identity, why, and what to do.
fn hidden(key: &Name, fly_name: &str, found: &[(&str, Shadow)]) -> String {
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let same = found.chunk_by(|(_, one), (_, other)| one == other);
    let reasons: Vec<String> = same
        .map(|same| {
            let names: Vec<&str> = same.iter().map(|(name, _)| *name).collect();
            format!("{} ({})", names.join(" "), same[0].1.why())
        })
        .collect();
    let (reasons, names) = (reasons.join(", "), names.join(" "));
    format!(
        "app {key} has secrets that hide its identity: {reasons}; remove them with `fly secrets unset {names} --app \
         {fly_name}`, and give those of another store, such as Tigris, to its client under other names"
    )
}
