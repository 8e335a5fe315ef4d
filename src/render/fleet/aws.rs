//! What is there on AWS, in a few words each.

use super::OnAws;
use crate::{
    kinds::{
        Desired, World,
        aws::{Bucket, Provider, Role, bucket::BucketLive, provider, role::RoleLive},
    },
    model::{Address, Name, Named, Table, s3::PublicAccessBlock},
};

/// Everything, whether it is asked for, there, or both.
pub(super) fn all(desired: &Desired, world: &World) -> Vec<OnAws> {
    let org = world.found.fly_org.as_deref().unwrap_or(&desired.meta.org);
    let buckets = pairs::<Bucket, _, _>(
        (&desired.aws_bucket, |spec| spec.name.clone()),
        (&world.aws_bucket, |live| (live.name.clone(), bucket(live))),
    );
    let providers = pairs::<Provider, _, _>(
        (&desired.aws_provider, |_| provider::host(org)),
        (&world.aws_provider, |live| {
            let whose = if live.ours {
                "made by trimtab"
            } else {
                "made elsewhere"
            };
            (provider::host(org), whose.to_owned())
        }),
    );
    let roles = pairs::<Role, _, _>(
        (&desired.aws_role, |spec| spec.name.clone()),
        (&world.aws_role, |live| (live.name.clone(), role(live))),
    );
    buckets.into_iter().chain(providers).chain(roles).collect()
}

fn pairs<K: Named, S, L>(
    (specs, asked): (&Table<S>, impl Fn(&S) -> String),
    (lives, there): (&Table<L>, impl Fn(&L) -> (String, String)),
) -> Vec<OnAws> {
    let names: std::collections::BTreeSet<&Name> = specs.keys().chain(lives.keys()).collect();
    let one = |name: &Name| {
        let (spec, live) = (specs.get(name), lives.get(name));
        let (called, about) = live.map_or_else(
            || (spec.map(&asked).unwrap_or_default(), String::new()),
            &there,
        );
        OnAws {
            address: Address::of::<K>(name).to_string(),
            name: called,
            exists: live.is_some(),
            wanted: spec.is_some(),
            about,
        }
    };
    names.into_iter().map(one).collect()
}

fn bucket(live: &BucketLive) -> String {
    let mut words = vec![live.region.clone()];
    words.extend(
        live.encryption
            .as_ref()
            .map(|encryption| encryption.algorithm.clone()),
    );
    let private = live.public_access == PublicAccessBlock::all(true);
    words.push(if private { "private" } else { "NOT private" }.to_owned());
    words.push(
        if live.versioning.as_deref() == Some("Enabled") {
            "versions"
        } else {
            "no versions"
        }
        .to_owned(),
    );
    words.push(
        if live.holds.is_some() {
            "holds objects"
        } else {
            "empty"
        }
        .to_owned(),
    );
    words.join(", ")
}

fn role(live: &RoleLive) -> String {
    let words: Vec<String> = live
        .policies
        .values()
        .flat_map(crate::kinds::aws::policy::Policy::words)
        .collect();
    if words.is_empty() {
        "may do nothing".to_owned()
    } else {
        words.join("; ")
    }
}
