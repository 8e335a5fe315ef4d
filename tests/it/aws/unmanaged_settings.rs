//! Settings of a bucket that no manifest has are shown, and what S3 would refuse because of them is
//! refused in the plan.

use std::collections::BTreeMap;

use trimtab::{
    clouds::aws::types::{BucketDescription, BucketLookup, BucketSharing, RoleDescription},
    kinds::World,
    model::{Name, OwnershipMark, s3::PublicAccessBlock},
    observe::{AwsSnapshot, BucketSnapshot, FlySnapshot, assemble_world},
    plan::plan,
};

use super::{BUCKET, MANIFEST};
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
