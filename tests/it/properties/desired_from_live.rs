//! Turns the live state into a desired state that asks for exactly that, so that a plan for it must
//! be empty.

use std::collections::{BTreeMap, BTreeSet};

use trimtab::{
    kinds::{
        Desired, World,
        aws::{
            bucket::{BucketLive, BucketSpec, BucketUses},
            oidc_provider::OidcProviderSpec,
            role::{RoleLive, RoleSpec, Trust},
        },
        fly::{
            Machine,
            app::AppSpec,
            certificate::CertificateSpec,
            cron::CronSpec,
            ip::IpSpec,
            machine::MachineSpec,
            secrets::{SecretSpec, SecretsSpec},
            volume::VolumeSpec,
            workload::{Workload, WorkloadLive},
        },
    },
    model::{OwnershipMark, Region, ResourceRef, RolloutPolicy, Salt},
};

/// Everything in `world`, as a desired state. Of `asked` only the metadata is used.
pub(super) fn desired_from_live(desired_before: &Desired, world: &World) -> Desired {
    let mut desired = Desired::empty(desired_before.meta.clone());
    let mark = &desired_before.meta.mark;
    for (name, live) in &world.fly_app {
        let spec = AppSpec {
            name: live.name.clone(),
            org: live.org.clone(),
            network: Some(live.network.clone()),
            role: None,
            mark: mark.clone(),
            protected: live.is_protected(),
            ips_stated: true,
            verify: None,
        };
        desired.fly_app.insert(name.clone(), spec);
    }
    for (name, live) in &world.fly_ip {
        let region =
            Some(live.region.as_str()).filter(|region| !region.is_empty() && *region != "global");
        let region = region.map(Region::from_api);
        let spec = IpSpec {
            app: live.app.clone(),
            kind: live.kind,
            region,
            declared: true,
        };
        desired.fly_ip.insert(name.clone(), spec);
    }
    for (name, live) in &world.fly_certificate {
        let spec = CertificateSpec {
            app: live.app.clone(),
            hostname: live.hostname.clone(),
            addresses: Vec::new(),
        };
        desired.fly_certificate.insert(name.clone(), spec);
    }
    for (name, live) in &world.fly_volume {
        let spec = VolumeSpec {
            app: live.app.clone(),
            volume: live.volume.clone(),
            region: live.region.clone(),
            size: Some(live.size),
            size_key: "size",
            snapshot_retention: live.snapshot_retention,
            scheduled_snapshots: live.scheduled_snapshots,
            encrypted: Some(live.encrypted),
            auto_extends: false,
        };
        desired.fly_volume.insert(name.clone(), spec);
    }
    for (name, live) in &world.fly_secrets {
        // Secret values cannot be read; without a value they are kept.
        let new_salt = || Salt::for_app(&mark.project, &mark.environment, name.as_str());
        let salt = desired_before
            .fly_secrets
            .get(name)
            .map_or_else(new_salt, |spec| spec.salt.clone());
        let unknown = |name: &String| {
            (
                name.clone(),
                SecretSpec {
                    value: None,
                    fingerprint: None,
                    generator: None,
                    optional: false,
                    source: String::new(),
                },
            )
        };
        let values = live.present.keys().map(unknown).collect();
        let spec = SecretsSpec {
            app: live.app.clone(),
            values,
            optional_without_value: BTreeSet::new(),
            has_machines: false,
            salt,
        };
        desired.fly_secrets.insert(name.clone(), spec);
    }
    for (name, live) in &world.fly_machine {
        let volume = live.volume.as_ref().and_then(|(_, volume)| volume.clone());
        let group = live.workload.process_group().to_owned();
        let spec = MachineSpec {
            group,
            workload: workload_from_live(&live.workload, world, mark),
            volume,
            rollout_policy: RolloutPolicy::SERIAL,
            release_command: None,
        };
        desired.fly_machine.insert(name.clone(), spec);
    }
    for (name, live) in &world.fly_cron {
        let spec = CronSpec {
            machine: live.workload.machine.clone(),
            workload: workload_from_live(&live.workload, world, mark),
        };
        desired.fly_cron.insert(name.clone(), spec);
    }
    desired.aws_role.extend(
        world
            .aws_role
            .iter()
            .map(|(name, live)| (name.clone(), role_from_live(live))),
    );
    desired.aws_bucket.extend(
        world
            .aws_bucket
            .iter()
            .map(|(name, live)| (name.clone(), bucket_from_live(live))),
    );
    for (name, live) in &world.aws_provider {
        let (start, org) = live.arn.split_once(":oidc-provider/oidc.fly.io/").unwrap();
        let account = start.rsplit(':').next().unwrap().to_owned();
        desired.aws_provider.insert(
            name.clone(),
            OidcProviderSpec {
                account,
                org: org.to_owned(),
            },
        );
    }
    desired
}

fn workload_from_live(live: &WorkloadLive, world: &World, mark: &OwnershipMark) -> Workload {
    let has_secrets = world.fly_secrets.contains_key(live.app.name());
    let mut config = live.config.clone();
    for mount in &mut config.mounts {
        mount.volume.clear();
    }
    let own = |(key, _): &(&String, &String)| {
        !key.starts_with("trimtab_") || *key == OwnershipMark::NAME_KEY
    };
    let labels: BTreeMap<String, String> = live
        .metadata
        .iter()
        .filter(own)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Workload {
        app: live.app.clone(),
        region: live.region.clone(),
        config,
        guest_stated: true,
        secrets: has_secrets.then(|| ResourceRef::new(live.app.name().clone())),
        needs: BTreeSet::new(),
        labels,
        mark: mark.clone(),
        wait_secs: Workload::DEFAULT_WAIT_SECS,
        standby_for: standby_for(live, world),
        release: None,
    }
}

fn role_from_live(live: &RoleLive) -> RoleSpec {
    RoleSpec {
        name: live.name.clone(),
        account: live.arn.split(':').nth(4).unwrap().to_owned(),
        path: live.path.clone(),
        description: live.description.clone(),
        trust: Trust::Document(live.trust.document().unwrap().clone()),
        policies: live
            .policies
            .iter()
            .map(|(name, policy)| (name.clone(), policy.document().unwrap().clone()))
            .collect(),
        managed: Some(live.managed.clone()),
        boundary: live.boundary.clone(),
        max_session: live.max_session,
        tags: live.tags.clone(),
        provider: live.provider.clone(),
        trusted_roles: BTreeSet::new(),
        trusts_later: false,
    }
}

fn bucket_from_live(live: &BucketLive) -> BucketSpec {
    BucketSpec {
        name: live.name.clone(),
        region: live.region.clone(),
        encryption: live.encryption.clone().unwrap(),
        public_access: live.public_access,
        ownership: live.ownership.clone().unwrap(),
        versioning: live.versioning.as_deref() == Some("Enabled"),
        lifecycle: live.lifecycle.clone(),
        policy: live
            .policy
            .as_ref()
            .map(|policy| policy.document().unwrap().clone()),
        tags: live.tags.clone(),
        needs: BTreeSet::new(),
        uses: BucketUses::default(),
    }
}

/// The name of the machine that this one is a standby for.
fn standby_for(live: &WorkloadLive, world: &World) -> Option<ResourceRef<Machine>> {
    let id = live.config.standbys.first()?;
    let (name, _) = world
        .fly_machine
        .iter()
        .find(|(_, machine)| machine.workload.id == *id)?;
    Some(ResourceRef::new(name.clone()))
}
