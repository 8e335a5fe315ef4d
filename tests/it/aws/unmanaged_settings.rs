//! Settings of a bucket that no manifest has are shown, and what S3 would refuse because of them is
//! refused in the plan.

use std::collections::BTreeMap;

use aws_sdk_s3::types as sdk;
use serde_json::json;
use trimtab::{
    apply::Outcome,
    clouds::aws::types::{BucketDescription, BucketLookup, BucketSharing, RoleDescription},
    kinds::World,
    model::{Name, OwnershipMark, s3::PublicAccessBlock},
    observe::{AwsSnapshot, BucketSnapshot, FlySnapshot, assemble_world},
    plan::plan,
};

use super::{ACCOUNT, BUCKET, MANIFEST, ROLE, SdkClients, post_admin};
use crate::support::{TestEnv, plan_summary};

fn mark_tags(name: &str) -> BTreeMap<String, String> {
    [
        (OwnershipMark::PROJECT_KEY, "harbor"),
        (OwnershipMark::ENVIRONMENT_KEY, "test"),
        (OwnershipMark::NAME_KEY, name),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// What is observed of a bucket with these settings.
fn snapshot_of(ownership: &str, sharing: BucketSharing) -> AwsSnapshot {
    let bucket = BucketDescription {
        region: "eu-central-1".to_owned(),
        public_access: Some(PublicAccessBlock::all(true)),
        ownership: Some(ownership.to_owned()),
        tags: mark_tags("backups"),
        sharing,
        ..BucketDescription::default()
    };
    let snapshot = BucketSnapshot {
        name: BUCKET.to_owned(),
        lookup: BucketLookup::Found(Box::new(bucket)),
        first_key: None,
    };
    AwsSnapshot {
        fly_org_slug: Some("acme".to_owned()),
        buckets: BTreeMap::from([(Name::parse("backups").unwrap(), snapshot)]),
        ..AwsSnapshot::default()
    }
}

fn observe_with(env: &TestEnv, snapshot: &AwsSnapshot) -> World {
    assemble_world(&FlySnapshot::default(), snapshot, &env.desired()).unwrap()
}

#[tokio::test]
async fn replication_and_acls_are_shown() {
    let env = TestEnv::new(MANIFEST).await;
    let sharing = BucketSharing {
        replicates_to: vec!["arn:aws:s3:::somebody-elses".to_owned()],
        acl_grants: vec!["WRITE to everyone".to_owned()],
        missing_permissions: Vec::new(),
    };
    let shown = async |ownership: &str| {
        let world = observe_with(&env, &snapshot_of(ownership, sharing.clone()));
        let unmanaged = world.findings.unmanaged.into_iter();
        unmanaged.map(|found| found.description).collect::<Vec<_>>()
    };
    let replication = format!("replication of bucket {BUCKET} to arn:aws:s3:::somebody-elses");
    let acl = format!("ACL of bucket {BUCKET}: WRITE to everyone");
    assert_eq!(shown("ObjectWriter").await, [replication.clone(), acl]);
    assert_eq!(
        shown("BucketOwnerEnforced").await,
        [replication],
        "ACLs have no effect there"
    );
}

#[tokio::test]
async fn missing_rights_to_see_them_are_a_warning() {
    let env = TestEnv::new(MANIFEST).await;
    let sharing = BucketSharing {
        missing_permissions: vec!["s3:GetBucketAcl"],
        ..BucketSharing::default()
    };
    let world = observe_with(&env, &snapshot_of("BucketOwnerEnforced", sharing));
    assert_eq!(
        world.findings.warnings,
        [
            "these credentials lack s3:GetBucketAcl, so replication and ACLs that were made by hand do not show"
        ]
    );
}

#[tokio::test]
async fn acl_that_grants_something_blocks_that_acls_are_disabled() {
    let env = TestEnv::new(MANIFEST).await;
    let sharing = BucketSharing {
        acl_grants: vec!["WRITE to everyone".to_owned()],
        ..BucketSharing::default()
    };
    let world = observe_with(&env, &snapshot_of("ObjectWriter", sharing.clone()));
    let blocked = plan_summary(&plan(&env.desired(), &world).unwrap()).concat();
    assert!(
        blocked.contains("S3 does not disable an ACL that grants something"),
        "{blocked}"
    );
    let writer = MANIFEST.replace(
        "[buckets.backups]",
        "[buckets.backups]\nownership = \"ObjectWriter\"",
    );
    env.write_manifest(&writer);
    let world = observe_with(&env, &snapshot_of("ObjectWriter", sharing));
    let planned = plan_summary(&plan(&env.desired(), &world).unwrap()).concat();
    assert!(!planned.contains("blocked"), "{planned}");
}

#[tokio::test]
async fn role_in_an_instance_profile_is_not_deleted() {
    let env = TestEnv::new(MANIFEST).await;
    let runner = RoleDescription {
        name: "harbor-test-runner".to_owned(),
        arn: "arn:aws:iam::123456789012:role/trimtab/harbor/test/harbor-test-runner".to_owned(),
        path: "/trimtab/harbor/test/".to_owned(),
        tags: mark_tags("runner"),
        instance_profiles: vec!["fleet".to_owned()],
        ..RoleDescription::default()
    };
    let snapshot = AwsSnapshot {
        undeclared_roles: vec![runner],
        fly_org_slug: Some("acme".to_owned()),
        ..AwsSnapshot::default()
    };
    let world = observe_with(&env, &snapshot);
    let blocked = plan_summary(&plan(&env.desired(), &world).unwrap()).concat();
    assert!(
        blocked.contains("role harbor-test-runner is in the instance profile fleet"),
        "{blocked}"
    );
}

const LEGACY: &str = "legacy-data";

/// A bucket that somebody made, with these ACLs.
async fn create_legacy_bucket(s3: &aws_sdk_s3::Client, acl: sdk::BucketCannedAcl) {
    let location = sdk::CreateBucketConfiguration::builder()
        .location_constraint(sdk::BucketLocationConstraint::EuCentral1)
        .build();
    let create = s3.create_bucket().bucket(LEGACY);
    let create = create.create_bucket_configuration(location);
    let create = create.object_ownership(sdk::ObjectOwnership::ObjectWriter);
    create.send().await.unwrap();
    let open = s3.delete_public_access_block().bucket(LEGACY);
    open.send().await.unwrap();
    let put = s3.put_bucket_acl().bucket(LEGACY).acl(acl);
    put.send().await.unwrap();
}

fn legacy_manifest(lines: &str) -> String {
    MANIFEST.replace(
        "[buckets.backups]\n",
        &format!("[buckets.backups]\nname = \"{LEGACY}\"\nadopt = true\n{lines}\n"),
    )
}

#[tokio::test]
async fn adopted_bucket_shows_its_acl_and_its_replication() {
    let env = TestEnv::new(&legacy_manifest("")).await;
    let s3 = SdkClients::administrator(&env).s3;
    create_legacy_bucket(&s3, sdk::BucketCannedAcl::PublicRead).await;
    let blocked = env.summary().await.concat();
    assert!(
        blocked.contains("the ACL of bucket legacy-data grants READ to everyone"),
        "{blocked}"
    );
    env.write_manifest(&legacy_manifest("ownership = \"ObjectWriter\""));
    env.apply().await;
    let rule = sdk::ReplicationRule::builder()
        .status(sdk::ReplicationRuleStatus::Enabled)
        .priority(1)
        .filter(sdk::ReplicationRuleFilter::builder().prefix("").build())
        .delete_marker_replication(
            sdk::DeleteMarkerReplication::builder()
                .status(sdk::DeleteMarkerReplicationStatus::Disabled)
                .build(),
        )
        .destination(
            sdk::Destination::builder()
                .bucket("arn:aws:s3:::somebody-elses")
                .build()
                .unwrap(),
        )
        .build()
        .unwrap();
    let config = sdk::ReplicationConfiguration::builder()
        .role("arn:aws:iam::123456789012:role/x")
        .rules(rule)
        .build()
        .unwrap();
    let put = s3.put_bucket_replication().bucket(LEGACY);
    put.replication_configuration(config).send().await.unwrap();
    let unmanaged = env.world().await.findings.unmanaged.into_iter();
    let shown: Vec<String> = unmanaged.map(|found| found.description).collect();
    assert_eq!(
        shown,
        [
            "replication of bucket legacy-data to arn:aws:s3:::somebody-elses",
            "ACL of bucket legacy-data: READ to everyone",
        ]
    );
}

/// See cloud-custodian#2834.
#[tokio::test]
async fn tags_of_aws_are_sent_back_unchanged() {
    let env = TestEnv::new(&legacy_manifest("")).await;
    let s3 = SdkClients::administrator(&env).s3;
    create_legacy_bucket(&s3, sdk::BucketCannedAcl::Private).await;
    let tags = json!({ "aws:cloudformation:stack-name": "legacy" });
    post_admin(
        &env,
        "aws/system-tags",
        json!({ "bucket": LEGACY, "tags": tags }),
    )
    .await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let live = env.world().await.aws_bucket["backups"].tags.clone();
    assert_eq!(live["aws:cloudformation:stack-name"], "legacy");
    assert_eq!(live["team"], "sea");
}

#[tokio::test]
async fn role_that_was_put_into_an_instance_profile_stays_whole() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let iam = SdkClients::administrator(&env).iam;
    let create = iam.create_instance_profile();
    create.instance_profile_name("fleet").send().await.unwrap();
    let add = iam
        .add_role_to_instance_profile()
        .instance_profile_name("fleet");
    add.role_name(ROLE).send().await.unwrap();
    let (before, rest) = MANIFEST.split_once("[identities.backup]").unwrap();
    let apps = rest.split_once("[apps.web]").unwrap().1;
    env.write_manifest(&format!("{before}[apps.web]{apps}"));
    let blocked = env.summary().await.concat();
    assert!(
        blocked.contains("is in the instance profile fleet"),
        "{blocked}"
    );
    let policies = iam.list_role_policies().role_name(ROLE).send().await;
    assert_eq!(policies.unwrap().policy_names(), ["access"]);
}

#[tokio::test]
async fn public_policy_that_the_account_blocks_fails_soon_and_says_so() {
    let public = "public_access_block = false\nstatements = [{ Effect = \"Allow\", Principal = \"*\", Action = \"s3:GetObject\", \
        Resource = \"${buckets.backups.arn}/*\" }]\n";
    let manifest = MANIFEST.replace(
        "[buckets.backups]\n",
        &format!("[buckets.backups]\n{public}"),
    );
    let env = TestEnv::new(&manifest).await;
    let block = sdk::PublicAccessBlockConfiguration::builder()
        .block_public_policy(true)
        .build();
    let s3 = SdkClients::administrator(&env).s3;
    // The setting of the whole account is a request of its own, which the client of buckets lacks.
    s3.put_public_access_block()
        .bucket("any")
        .public_access_block_configuration(block)
        .customize()
        .mutate_request(|request| {
            let uri = request.uri().to_owned();
            let base = uri.split("/any").next().unwrap_or_default();
            let address = format!("{base}/v20180820/configuration/publicAccessBlock");
            request.set_uri(address).unwrap();
            request.headers_mut().insert("x-amz-account-id", ACCOUNT);
        })
        .send()
        .await
        .unwrap();
    let report = env.try_apply(None).await.unwrap();
    let failure = report
        .outcomes
        .iter()
        .find_map(|step| match &step.outcome {
            Outcome::Failed(failure) => Some(failure),
            _ => None,
        })
        .unwrap();
    assert!(failure.reason.contains("BlockPublicPolicy"), "{failure:?}");
    assert!(
        failure
            .hint
            .as_ref()
            .unwrap()
            .contains("the account's own public access block"),
        "{failure:?}"
    );
}
