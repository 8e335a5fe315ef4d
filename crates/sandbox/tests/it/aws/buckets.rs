//! Buckets: names, owners, regions, and the defaults of a new one.

use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, ObjectOwnership, ServerSideEncryption, Tag,
};

use super::support::{
    ACCOUNT, EU_CENTRAL, OTHER_ACCOUNT, US_EAST, admin_clients, assert_error, has_request_ids,
};
use crate::support::TestSandbox;

fn bucket_in_region(region: &str) -> CreateBucketConfiguration {
    let tag = Tag::builder().key("app").value("shop").build().unwrap();
    let builder = CreateBucketConfiguration::builder().tags(tag);
    builder
        .location_constraint(BucketLocationConstraint::from(region))
        .build()
}

#[tokio::test]
async fn new_bucket_has_current_defaults() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, EU_CENTRAL).s3;
    let create = || s3.create_bucket().bucket("acme-state");
    assert_error(
        create().send().await,
        400,
        "IllegalLocationConstraintException",
    );
    assert_error(
        create()
            .create_bucket_configuration(bucket_in_region("us-east-1"))
            .send()
            .await,
        400,
        "InvalidLocationConstraint",
    );
    assert_error(
        create()
            .create_bucket_configuration(bucket_in_region("mars-1"))
            .send()
            .await,
        400,
        "InvalidLocationConstraint",
    );
    assert_error(
        create()
            .create_bucket_configuration(bucket_in_region("eu-west-1"))
            .send()
            .await,
        400,
        "IllegalLocationConstraintException",
    );
    let created = create()
        .create_bucket_configuration(bucket_in_region(EU_CENTRAL))
        .send()
        .await
        .unwrap();
    assert_eq!(created.location(), Some("/acme-state"));
    assert_eq!(has_request_ids(&created), (true, true));
    let head = s3
        .head_bucket()
        .bucket("acme-state")
        .expected_bucket_owner(ACCOUNT)
        .send()
        .await
        .unwrap();
    assert_eq!(head.bucket_region(), Some(EU_CENTRAL));
    let cipher = s3
        .get_bucket_encryption()
        .bucket("acme-state")
        .send()
        .await
        .unwrap();
    let rule = &cipher
        .server_side_encryption_configuration()
        .unwrap()
        .rules()[0];
    let by_default = rule.apply_server_side_encryption_by_default().unwrap();
    assert_eq!(by_default.sse_algorithm(), &ServerSideEncryption::Aes256);
    assert_eq!(
        rule.blocked_encryption_types().unwrap().encryption_type()[0].as_str(),
        "SSE-C"
    );
    let access = s3
        .get_public_access_block()
        .bucket("acme-state")
        .send()
        .await
        .unwrap();
    let access = access.public_access_block_configuration().unwrap();
    let all = [
        access.block_public_acls(),
        access.ignore_public_acls(),
        access.block_public_policy(),
        access.restrict_public_buckets(),
    ];
    assert_eq!(all, [Some(true); 4]);
    let owner = s3
        .get_bucket_ownership_controls()
        .bucket("acme-state")
        .send()
        .await
        .unwrap();
    let rules = owner.ownership_controls().unwrap().rules();
    assert_eq!(
        rules[0].object_ownership(),
        &ObjectOwnership::BucketOwnerEnforced
    );
    assert_eq!(
        s3.get_bucket_versioning()
            .bucket("acme-state")
            .send()
            .await
            .unwrap()
            .status(),
        None
    );
    let tags = s3
        .get_bucket_tagging()
        .bucket("acme-state")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (tags.tag_set()[0].key(), tags.tag_set()[0].value()),
        ("app", "shop")
    );
    assert_error(
        s3.get_bucket_policy().bucket("acme-state").send().await,
        404,
        "NoSuchBucketPolicy",
    );
    assert_error(
        s3.get_bucket_lifecycle_configuration()
            .bucket("acme-state")
            .send()
            .await,
        404,
        "NoSuchLifecycleConfiguration",
    );
    let record = sandbox.running.requests();
    let readable: Vec<(&str, &str, u16)> = record
        .iter()
        .map(|r| (r.method.as_str(), r.path.as_str(), r.status))
        .collect();
    assert!(
        readable.contains(&("GET", "/acme-state?encryption", 200)),
        "{readable:?}"
    );
    assert!(
        readable.contains(&("HEAD", "/acme-state", 200)),
        "{readable:?}"
    );
}

#[tokio::test]
async fn bucket_name_is_globally_unique() {
    let sandbox = TestSandbox::scripted().await;
    let (mine, theirs) = (
        admin_clients(&sandbox, ACCOUNT, US_EAST).s3,
        admin_clients(&sandbox, OTHER_ACCOUNT, US_EAST).s3,
    );
    mine.create_bucket().bucket("first").send().await.unwrap();
    mine.create_bucket().bucket("first").send().await.unwrap();
    assert_error(
        theirs.create_bucket().bucket("first").send().await,
        409,
        "BucketAlreadyExists",
    );
    assert_error(theirs.head_bucket().bucket("first").send().await, 403, "");
    assert_error(
        theirs.get_bucket_tagging().bucket("first").send().await,
        403,
        "AccessDenied",
    );
    assert_error(
        mine.head_bucket()
            .bucket("first")
            .expected_bucket_owner(OTHER_ACCOUNT)
            .send()
            .await,
        403,
        "",
    );
    assert_error(
        mine.head_bucket().bucket("second").send().await,
        404,
        "NotFound",
    );
    assert_error(
        mine.get_bucket_tagging().bucket("second").send().await,
        404,
        "NoSuchBucket",
    );
    for wrong in ["Upper", "ab", "192.168.0.1", "a..b", "-a-"] {
        let created = mine.create_bucket().bucket(wrong).send().await;
        assert!(created.is_err(), "{wrong}");
    }
    let central = admin_clients(&sandbox, ACCOUNT, EU_CENTRAL).s3;
    let create = || {
        central
            .create_bucket()
            .bucket("third")
            .create_bucket_configuration(bucket_in_region(EU_CENTRAL))
    };
    create().send().await.unwrap();
    assert_error(create().send().await, 409, "BucketAlreadyOwnedByYou");
    let moved = mine.head_bucket().bucket("third").send().await.unwrap_err();
    let raw = moved.raw_response().unwrap();
    assert_eq!(
        (
            raw.status().as_u16(),
            raw.headers().get("x-amz-bucket-region")
        ),
        (301, Some(EU_CENTRAL))
    );
    assert_error(
        mine.get_bucket_tagging().bucket("third").send().await,
        301,
        "PermanentRedirect",
    );
    let place = mine
        .get_bucket_location()
        .bucket("third")
        .send()
        .await
        .unwrap();
    assert_eq!(place.location_constraint().unwrap().as_str(), EU_CENTRAL);
}

#[tokio::test]
async fn bucket_list_is_paged_and_filtered() {
    let sandbox = TestSandbox::scripted().await;
    let (east, central) = (
        admin_clients(&sandbox, ACCOUNT, US_EAST).s3,
        admin_clients(&sandbox, ACCOUNT, EU_CENTRAL).s3,
    );
    for name in ["acme-one", "acme-two", "other"] {
        east.create_bucket().bucket(name).send().await.unwrap();
    }
    let there = bucket_in_region(EU_CENTRAL);
    central
        .create_bucket()
        .bucket("acme-three")
        .create_bucket_configuration(there)
        .send()
        .await
        .unwrap();
    let page = east
        .list_buckets()
        .prefix("acme-")
        .max_buckets(2)
        .send()
        .await
        .unwrap();
    let names: Vec<_> = page
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, ["acme-one", "acme-three"]);
    assert_eq!(page.buckets()[1].bucket_region(), Some(EU_CENTRAL));
    let token = page.continuation_token().unwrap();
    let rest = east
        .list_buckets()
        .prefix("acme-")
        .continuation_token(token)
        .send()
        .await
        .unwrap();
    assert_eq!((rest.buckets().len(), rest.continuation_token()), (1, None));
    let some = east
        .list_buckets()
        .bucket_region(EU_CENTRAL)
        .send()
        .await
        .unwrap();
    assert_eq!(some.buckets().len(), 1);
    assert!(
        admin_clients(&sandbox, OTHER_ACCOUNT, US_EAST)
            .s3
            .list_buckets()
            .send()
            .await
            .unwrap()
            .buckets()
            .is_empty()
    );
}

#[tokio::test]
async fn deleting_nonempty_bucket_fails() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("gone").send().await.unwrap();
    s3.put_object()
        .bucket("gone")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_error(
        s3.delete_bucket().bucket("gone").send().await,
        409,
        "BucketNotEmpty",
    );
    s3.delete_object()
        .bucket("gone")
        .key("a")
        .send()
        .await
        .unwrap();
    s3.delete_bucket().bucket("gone").send().await.unwrap();
    assert_error(
        s3.delete_bucket().bucket("gone").send().await,
        404,
        "NoSuchBucket",
    );
}
