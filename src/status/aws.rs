//! Summarizes the AWS resources of an environment.

use super::AwsResourceSummary;
use crate::{
    kinds::{
        Desired, World,
        aws::{Bucket, OidcProvider, Role, bucket::BucketLive, oidc_provider, role::RoleLive},
    },
    model::{Address, KindName, Name, ResourceMap, s3::PublicAccessBlock},
};

/// All resources that the manifest declares, that exist, or both.
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
            let origin = if live.ours {
                "made by trimtab"
            } else {
                "made elsewhere"
            };
            (oidc_provider::issuer_host(org), origin.to_owned())
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
    (specs, declared_name): (&ResourceMap<S>, impl Fn(&S) -> String),
    (lives, describe_live): (&ResourceMap<L>, impl Fn(&L) -> (String, String)),
) -> Vec<AwsResourceSummary> {
    let names: std::collections::BTreeSet<&Name> = specs.keys().chain(lives.keys()).collect();
    let summarize = |name: &Name| {
        let (spec, live) = (specs.get(name), lives.get(name));
        let (aws_name, about) = live.map_or_else(
            || (spec.map(&declared_name).unwrap_or_default(), String::new()),
            &describe_live,
        );
        AwsResourceSummary {
            address: Address::new::<K>(name).to_string(),
            name: aws_name,
            exists: live.is_some(),
            wanted: spec.is_some(),
            about,
        }
    };
    names.into_iter().map(summarize).collect()
}

fn describe_bucket(live: &BucketLive) -> String {
    let mut parts = vec![live.region.clone()];
    parts.extend(
        live.encryption
            .as_ref()
            .map(|encryption| encryption.algorithm.clone()),
    );
    let is_private = live.public_access == PublicAccessBlock::all(true);
    parts.push(if is_private { "private" } else { "NOT private" }.to_owned());
    parts.push(
        if live.versioning.as_deref() == Some("Enabled") {
            "versions"
        } else {
            "no versions"
        }
        .to_owned(),
    );
    parts.push(
        if live.holds.is_some() {
            "holds objects"
        } else {
            "empty"
        }
        .to_owned(),
    );
    parts.join(", ")
}

fn describe_role(live: &RoleLive) -> String {
    let parts: Vec<String> = live
        .policies
        .values()
        .flat_map(crate::iam::policy::LivePolicy::describe)
        .collect();
    if parts.is_empty() {
        "may do nothing".to_owned()
    } else {
        parts.join("; ")
    }
}
