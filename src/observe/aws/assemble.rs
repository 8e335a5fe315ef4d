//! Assembles the AWS part of the world from a snapshot, and determines the owner of each resource
//! from its tags and path.

use super::{
    collect::{AwsSnapshot, BucketSnapshot, requested_provider},
    sharing,
};
use crate::observe::fly::collect::FlySnapshot;
use crate::{
    clouds::aws::types,
    iam::policy::session_role,
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

/// Adds the AWS resources to the world.
pub(crate) fn assemble(world: &mut World, snapshot: &AwsSnapshot, desired: &Desired) {
    world
        .findings
        .warnings
        .extend(snapshot.warnings.iter().cloned());
    let unreadable = snapshot.unreadable_buckets.iter().cloned();
    world.findings.unreadable_buckets.extend(unreadable);
    world
        .findings
        .fly_org_slug
        .clone_from(&snapshot.fly_org_slug);
    let provider = find_provider(snapshot, desired);
    for (key, bucket) in &snapshot.buckets {
        add_bucket(world, key, bucket, desired);
    }
    for bucket in &snapshot.undeclared_buckets {
        let types::BucketLookup::Found(live_bucket) = &bucket.lookup else {
            continue;
        };
        let is_taken = |name: &Name| {
            desired.aws_bucket.contains_key(name) || world.aws_bucket.contains_key(name)
        };
        if let Some(key) = orphan_name(&live_bucket.tags, &bucket.name, desired, is_taken) {
            let live = BucketLive::from_s3(&bucket.name, live_bucket, bucket.first_key.clone());
            world.aws_bucket.insert(key, live);
        }
    }
    let trusted_provider = provider.as_ref().map(|(name, live)| {
        (
            live.arn.as_str(),
            ResourceRef::<OidcProvider>::new(name.clone()),
        )
    });
    for (key, role) in &snapshot.roles {
        let live = role_live(role, trusted_provider.clone(), snapshot);
        add_role_conflict(world, key, role, desired);
        report_attached_policies(world, key, &live, desired);
        world.aws_role.insert(key.clone(), live);
    }
    for role in &snapshot.undeclared_roles {
        let is_taken =
            |name: &Name| desired.aws_role.contains_key(name) || world.aws_role.contains_key(name);
        if let Some(key) = orphan_name(&role.tags, &role.name, desired, is_taken) {
            let live = role_live(role, trusted_provider.clone(), snapshot);
            world.aws_role.insert(key, live);
        } else {
            world
                .findings
                .unmanaged
                .extend(unmarked_role(role, desired));
        }
    }
    world.aws_provider.extend(provider);
    sharing::report(world, snapshot);
    sharing::warn_denials(world, snapshot, desired);
}

/// A role, and whether this run works with it. Names of roles are unique in an account, whatever their
/// path.
fn role_live(
    role: &types::RoleDescription,
    provider: Option<(&str, ResourceRef<OidcProvider>)>,
    snapshot: &AwsSnapshot,
) -> RoleLive {
    let mut live = RoleLive::from_iam(role, provider);
    let caller = snapshot.caller.as_deref().and_then(session_role);
    live.users.is_caller = caller.is_some_and(|(_, name)| name.eq_ignore_ascii_case(&live.name));
    live
}

/// The OIDC provider, if the manifest needs it or it can be deleted: if we own it and no role
/// outside this environment trusts it.
fn find_provider(snapshot: &AwsSnapshot, desired: &Desired) -> Option<(Name, OidcProviderLive)> {
    let (provider, is_used) = snapshot.provider.as_ref()?;
    let live = OidcProviderLive::from_iam(provider);
    let requested = requested_provider(desired).cloned();
    let deletable = || {
        (live.ours && !is_used)
            .then(|| Name::parse(oidc_provider::FLY_PROVIDER_NAME).ok())
            .flatten()
    };
    let name = requested.or_else(deletable)?;
    Some((name, live))
}

/// The resource name of an object that we own but the manifest no longer has: the name in its tags,
/// or one built from its AWS name if the manifest now uses that name for another object. `None` if
/// we do not own it.
fn orphan_name(
    tags: &Tags,
    aws_name: &str,
    desired: &Desired,
    is_taken: impl Fn(&Name) -> bool,
) -> Option<Name> {
    if desired.meta.mark.ownership_of(tags) != Ownership::Ours {
        return None;
    }
    let recorded = OwnershipMark::resource_name(tags).filter(|name| !is_taken(name));
    // Role names may contain characters that resource names may not.
    let aws_name = aws_name.replace(
        |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)),
        "_",
    );
    recorded.or_else(|| Name::parse(&format!("{aws_name}.gone")).ok())
}

/// Reports a role on our IAM path that neither the manifest nor its tags say is ours. Only trimtab
/// creates roles on this path, so somebody must have removed the tags. The role keeps its
/// permissions, but without tags it must not be deleted.
fn unmarked_role(role: &types::RoleDescription, desired: &Desired) -> Option<UnmanagedResource> {
    let OwnershipMark {
        project,
        environment,
    } = &desired.meta.mark;
    let mark = match desired.meta.mark.ownership_of(&role.tags) {
        Ownership::Ours => return None,
        Ownership::Unmarked => "no mark".to_owned(),
        Ownership::Foreign(OwnershipMark {
            project,
            environment,
        }) => format!("the mark of {project}/{environment}"),
    };
    let path = role.path.trim_matches('/');
    Some(UnmanagedResource {
        description: format!("role {}", role.name),
        container: Address::new::<Role>(&Name::parse(path).ok()?),
        why: format!(
            "it keeps what it was granted, and bears {mark}: to let trimtab remove it, tag it with {}={project} and \
             {}={environment}; or remove it by hand",
            OwnershipMark::PROJECT_KEY,
            OwnershipMark::ENVIRONMENT_KEY,
        ),
        data_loss: None,
        address: None,
        identity: role.name.clone(),
    })
}

fn add_bucket(
    world: &mut World,
    key: &Name,
    BucketSnapshot {
        name,
        lookup,
        first_key,
    }: &BucketSnapshot,
    desired: &Desired,
) {
    let address = Address::new::<Bucket>(key);
    match lookup {
        types::BucketLookup::NotFound => {}
        types::BucketLookup::AccessDenied => {
            world.findings.unreadable_buckets.push(name.clone());
            world.findings.ownership_conflicts.push(OwnershipConflict {
                address,
                reason: format!("the name {name} is taken, and these credentials may not see the bucket"),
                hint: "names are unique in all of AWS: say another `name`, or use the credentials of its account"
                    .to_owned(),
                adoptable: false,
                is_own: false,
            });
        }
        types::BucketLookup::Found(live_bucket) => {
            let conflict = ownership_conflict::<Bucket>(
                key,
                &format!("bucket {name}"),
                &live_bucket.tags,
                desired,
            );
            world.findings.ownership_conflicts.extend(conflict);
            world.aws_bucket.insert(
                key.clone(),
                BucketLive::from_s3(name, live_bucket, first_key.clone()),
            );
        }
    }
}

/// Reports a role that is not ours. A role on our path was created by trimtab with tags, so if the
/// tags are gone they are simply restored. A role on another path cannot be adopted.
fn add_role_conflict(
    world: &mut World,
    key: &Name,
    role: &types::RoleDescription,
    desired: &Desired,
) {
    let ours = role.path == role::role_path(&desired.meta.mark);
    let conflict =
        ownership_conflict::<Role>(key, &format!("role {}", role.name), &role.tags, desired);
    let on_other_path = |conflict: OwnershipConflict| {
        OwnershipConflict {
        reason: format!("role {} is there already, at the path {}, and is not ours", role.name, role.path),
        hint:
            "a path is part of a role's ARN and cannot change, so it cannot be taken over: say another `name`"
                .to_owned(),
        adoptable: false,
        is_own: false,
        ..conflict
    }
    };
    let conflict = conflict.filter(|conflict| !(ours && conflict.adoptable));
    let conflict = conflict.map(|conflict| {
        if conflict.adoptable {
            on_other_path(conflict)
        } else {
            conflict
        }
    });
    world.findings.ownership_conflicts.extend(conflict);
}

/// The conflict of a resource that we do not own; `None` if we own it or the user adopts it.
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
            is_own: false,
        }),
        Ownership::Foreign(OwnershipMark {
            project,
            environment,
        }) => Some(OwnershipConflict {
            address,
            reason: format!("{what} belongs to {project}/{environment}"),
            hint: "choose another `name`: resources of another environment are never touched"
                .to_owned(),
            adoptable: false,
            is_own: false,
        }),
    }
}

/// Reports managed policies that somebody attached to our role: they may grant more than the
/// manifest shows.
fn report_attached_policies(world: &mut World, key: &Name, live: &RoleLive, desired: &Desired) {
    let allows_others = desired
        .aws_role
        .get(key)
        .is_some_and(|spec| spec.managed.is_none());
    let foreign = live
        .managed
        .iter()
        .filter(|_| allows_others)
        .map(|arn| UnmanagedResource {
            description: format!("{arn} attached to role {}", live.name),
            container: Address::new::<Role>(key),
            why: "the manifest does not say it; it may grant more than is shown here".to_owned(),
            data_loss: None,
            address: None,
            identity: String::new(),
        });
    world.findings.unmanaged.extend(foreign);
}

/// Warns of apps whose secrets take precedence over their AWS role, such as those that `fly storage
/// create` sets.
pub(crate) fn credential_override_warnings(fly: &FlySnapshot, desired: &Desired) -> Vec<String> {
    // An app with an identity has `AWS_ROLE_ARN` in its machines' environment. Without it there is
    // no role to override.
    let has_role = |(name, workload): (&Name, &Workload), key: &Name| {
        name.root() == *key && workload.config.env.contains_key("AWS_ROLE_ARN")
    };
    let app_has_role = |key: &Name| {
        let machines = desired
            .fly_machine
            .iter()
            .map(|(name, spec)| (name, &spec.workload));
        let crons = desired
            .fly_cron
            .iter()
            .map(|(name, spec)| (name, &spec.workload));
        machines
            .chain(crons)
            .any(|workload| has_role(workload, key))
    };
    let warning_of = |(key, snapshot): (&Name, &crate::observe::AppSnapshot)| {
        let requested = desired.fly_secrets.get(key);
        // The manifest's own secrets are checked when the manifest is loaded.
        let is_declared = |name: &str| requested.is_some_and(|spec| spec.values.contains_key(name));
        let is_set_outside = |name: &str| {
            snapshot.secrets.iter().any(|secret| secret.name == name) && !is_declared(name)
        };
        let overriding: Vec<_> = CredentialOverride::variables()
            .filter(|(name, _)| is_set_outside(name))
            .collect();
        (!overriding.is_empty() && app_has_role(key))
            .then(|| credential_override_warning(key, &snapshot.fly_name, &overriding))
    };
    fly.apps.iter().filter_map(warning_of).collect()
}

/// The warning for one app: the secrets, why they take precedence, and what to do.
fn credential_override_warning(
    key: &Name,
    fly_name: &str,
    overriding: &[(&str, CredentialOverride)],
) -> String {
    let names: Vec<&str> = overriding.iter().map(|(name, _)| *name).collect();
    let group = overriding.chunk_by(|(_, one), (_, other)| one == other);
    let reasons: Vec<String> = group
        .map(|group| {
            let names: Vec<&str> = group.iter().map(|(name, _)| *name).collect();
            format!("{} ({})", names.join(" "), group[0].1.explain())
        })
        .collect();
    let (reasons, names) = (reasons.join(", "), names.join(" "));
    format!(
        "app {key} has secrets that hide its identity: {reasons}; remove them with `fly secrets unset {names} --app \
         {fly_name}`, and give those of another store, such as Tigris, to its client under other names"
    )
}
