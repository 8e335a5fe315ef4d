//! Buckets: names, owners, regions, and what a new one looks like.

use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, ObjectOwnership, ServerSideEncryption, Tag,
};

use super::kit::{ACCOUNT, CENTRAL, EAST, OTHER, clients, fails, ids};
use crate::kit::Box;

fn in_region(region: &str) -> CreateBucketConfiguration {
    let tag = Tag::builder().key("app").value("shop").build().unwrap();
    let builder = CreateBucketConfiguration::builder().tags(tag);
    builder
        .location_constraint(BucketLocationConstraint::from(region))
        .build()
}

#[tokio::test]
async fn a_new_bucket_has_the_defaults_of_today() {
    let sandbox = Box::scripted().await;
    let s3 = clients(&sandbox, ACCOUNT, CENTRAL).s3;
    let create = || s3.create_bucket().bucket("acme-state");
    fails(
        create().send().await,
        400,
        "IllegalLocationConstraintException",
    );
    fails(
        create()
            .create_bucket_configuration(in_region("us-east-1"))
            .send()
            .await,
        400,
        "InvalidLocationConstraint",
    );
    fails(
        create()
            .create_bucket_configuration(in_region("mars-1"))
            .send()
            .await,
        400,
        "InvalidLocationConstraint",
    );
    fails(
        create()
            .create_bucket_configuration(in_region("eu-west-1"))
            .send()
            .await,
        400,
        "IllegalLocationConstraintException",
    );
    let made = create()
        .create_bucket_configuration(in_region(CENTRAL))
        .send()
        .await
        .unwrap();
    assert_eq!(made.location(), Some("/acme-state"));
    assert_eq!(ids(&made), (true, true));
    let head = s3
        .head_bucket()
        .bucket("acme-state")
        .expected_bucket_owner(ACCOUNT)
        .send()
        .await
        .unwrap();
    assert_eq!(head.bucket_region(), Some(CENTRAL));
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
    fails(
        s3.get_bucket_policy().bucket("acme-state").send().await,
        404,
        "NoSuchBucketPolicy",
    );
    fails(
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
async fn a_name_belongs_to_one_account_in_all_of_aws() {
    let sandbox = Box::scripted().await;
    let (mine, theirs) = (
        clients(&sandbox, ACCOUNT, EAST).s3,
        clients(&sandbox, OTHER, EAST).s3,
    );
    mine.create_bucket().bucket("first").send().await.unwrap();
    mine.create_bucket().bucket("first").send().await.unwrap();
    fails(
        theirs.create_bucket().bucket("first").send().await,
        409,
        "BucketAlreadyExists",
    );
    fails(theirs.head_bucket().bucket("first").send().await, 403, "");
    fails(
        theirs.get_bucket_tagging().bucket("first").send().await,
        403,
        "AccessDenied",
    );
    fails(
        mine.head_bucket()
            .bucket("first")
            .expected_bucket_owner(OTHER)
            .send()
            .await,
        403,
        "",
    );
    fails(
        mine.head_bucket().bucket("second").send().await,
        404,
        "NotFound",
    );
    fails(
        mine.get_bucket_tagging().bucket("second").send().await,
        404,
        "NoSuchBucket",
    );
    for wrong in ["Upper", "ab", "192.168.0.1", "a..b", "-a-"] {
        let made = mine.create_bucket().bucket(wrong).send().await;
        assert!(made.is_err(), "{wrong}");
    }
    let central = clients(&sandbox, ACCOUNT, CENTRAL).s3;
    let create = || {
        central
            .create_bucket()
            .bucket("third")
            .create_bucket_configuration(in_region(CENTRAL))
    };
    create().send().await.unwrap();
    fails(create().send().await, 409, "BucketAlreadyOwnedByYou");
    let moved = mine.head_bucket().bucket("third").send().await.unwrap_err();
    let raw = moved.raw_response().unwrap();
    assert_eq!(
        (
            raw.status().as_u16(),
            raw.headers().get("x-amz-bucket-region")
        ),
        (301, Some(CENTRAL))
    );
    fails(
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
    assert_eq!(place.location_constraint().unwrap().as_str(), CENTRAL);
}

#[tokio::test]
async fn buckets_are_listed_by_page_and_region() {
    let sandbox = Box::scripted().await;
    let (east, central) = (
        clients(&sandbox, ACCOUNT, EAST).s3,
        clients(&sandbox, ACCOUNT, CENTRAL).s3,
    );
    for name in ["acme-one", "acme-two", "other"] {
        east.create_bucket().bucket(name).send().await.unwrap();
    }
    let there = in_region(CENTRAL);
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
    assert_eq!(page.buckets()[1].bucket_region(), Some(CENTRAL));
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
        .bucket_region(CENTRAL)
        .send()
        .await
        .unwrap();
    assert_eq!(some.buckets().len(), 1);
    assert!(
        clients(&sandbox, OTHER, EAST)
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
async fn only_an_empty_bucket_can_be_deleted() {
    let sandbox = Box::scripted().await;
    let s3 = clients(&sandbox, ACCOUNT, EAST).s3;
    s3.create_bucket().bucket("gone").send().await.unwrap();
    s3.put_object()
        .bucket("gone")
        .key("a")
        .send()
        .await
        .unwrap();
    fails(
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
    fails(
        s3.delete_bucket().bucket("gone").send().await,
        404,
        "NoSuchBucket",
    );
}
