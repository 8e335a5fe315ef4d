//! What is there on AWS, in a few words each.

use super::AwsResourceSummary;
use crate::{
    kinds::{
        Desired, World,
        aws::{Bucket, OidcProvider, Role, bucket::BucketLive, oidc_provider, role::RoleLive},
    },
    model::{Address, KindName, Name, ResourceMap, s3::PublicAccessBlock},
};

/// Everything, whether it is asked for, there, or both.
pub(super) fn summarize_aws_resources(desired: &Desired, world: &World) -> Vec<AwsResourceSummary> {
    let org = world
        .findings
        .fly_org_slug
        .as_deref()
        .unwrap_or(&desired.meta.org);
    let buckets = summarize_kind::<Bucket, _, _>(
        (&desired.aws_bucket, |spec| spec.name.clone()),
        (&world.aws_bucket, |live| {
            (live.name.clone(), describe_bucket(live))
        }),
    );
    let providers = summarize_kind::<OidcProvider, _, _>(
        (&desired.aws_provider, |_| oidc_provider::issuer_host(org)),
        (&world.aws_provider, |live| {
            let whose = if live.ours {
                "made by trimtab"
            } else {
                "made elsewhere"
            };
            (oidc_provider::issuer_host(org), whose.to_owned())
        }),
    );
    let roles = summarize_kind::<Role, _, _>(
        (&desired.aws_role, |spec| spec.name.clone()),
        (&world.aws_role, |live| {
            (live.name.clone(), describe_role(live))
        }),
    );
    buckets.into_iter().chain(providers).chain(roles).collect()
}

fn summarize_kind<K: KindName, S, L>(
    (specs, asked): (&ResourceMap<S>, impl Fn(&S) -> String),
    (lives, there): (&ResourceMap<L>, impl Fn(&L) -> (String, String)),
) -> Vec<AwsResourceSummary> {
    let names: std::collections::BTreeSet<&Name> = specs.keys().chain(lives.keys()).collect();
    let one = |name: &Name| {
        let (spec, live) = (specs.get(name), lives.get(name));
        let (called, about) = live.map_or_else(
            || (spec.map(&asked).unwrap_or_default(), String::new()),
            &there,
        );
        AwsResourceSummary {
            address: Address::new::<K>(name).to_string(),
            name: called,
            exists: live.is_some(),
            wanted: spec.is_some(),
            about,
        }
    };
    names.into_iter().map(one).collect()
}

fn describe_bucket(live: &BucketLive) -> String {
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

fn describe_role(live: &RoleLive) -> String {
    let words: Vec<String> = live
        .policies
        .values()
        .flat_map(crate::iam::policy::PolicyDocument::describe)
        .collect();
    if words.is_empty() {
        "may do nothing".to_owned()
    } else {
        words.join("; ")
    }
}
