//! Copying objects: the permissions it needs, and what it copies.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{BucketVersioningStatus, TaggingDirective, VersioningConfiguration};
use serde_json::{Value, json};

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error, clients_with_policy};
use crate::support::TestSandbox;

async fn sandbox_with_buckets() -> (TestSandbox, Client) {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    for bucket in ["from", "into"] {
        s3.create_bucket().bucket(bucket).send().await.unwrap();
    }
    let config = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket("from")
        .versioning_configuration(config)
        .send()
        .await
        .unwrap();
    (sandbox, s3)
}

async fn client_allowed(sandbox: &TestSandbox, actions: Value) -> Client {
    let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    clients_with_policy(
        sandbox,
        json!({ "Version": "2012-10-17", "Statement": [statement] }),
    )
    .await
    .s3
}

#[tokio::test]
async fn copy_needs_permissions_on_source_and_target() {
    let (sandbox, s3) = sandbox_with_buckets().await;
    let put = s3
        .put_object()
        .bucket("from")
        .key("a")
        .tagging("a=b")
        .send()
        .await
        .unwrap();
    let version = format!("from/a?versionId={}", put.version_id().unwrap());
    s3.put_object()
        .bucket("from")
        .key("plain")
        .send()
        .await
        .unwrap();
    let full = [
        "s3:PutObject",
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:PutObjectTagging",
    ];
    for (actions, source, expected) in [
        (&full[..], "from/a", "200"),
        (&full[..3], "from/a", "AccessDenied"),
        (&full[..2], "from/a", "AccessDenied"),
        (&full[..2], "from/plain", "200"),
        (&full[..1], "from/plain", "AccessDenied"),
        (&full[..], version.as_str(), "AccessDenied"),
        (
            &["s3:PutObject*", "s3:GetObjectVersion*"],
            version.as_str(),
            "200",
        ),
        (&full[..], "from/none", "AccessDenied"),
        (&["s3:*"], "from/none", "NoSuchKey"),
    ] {
        let limited = client_allowed(&sandbox, json!(actions)).await;
        let copied = limited
            .copy_object()
            .bucket("into")
            .key("b")
            .copy_source(source)
            .send()
            .await;
        let code = copied.map_or_else(
            |error| {
                aws_sdk_s3::error::ProvideErrorMetadata::code(&error)
                    .unwrap_or_default()
                    .to_owned()
            },
            |_| "200".to_owned(),
        );
        assert_eq!(code, expected, "{actions:?} {source}");
    }
    let limited = client_allowed(&sandbox, json!(full[..2])).await;
    let own = limited
        .copy_object()
        .bucket("into")
        .key("b")
        .copy_source("from/a");
    own.tagging_directive(TaggingDirective::Replace)
        .send()
        .await
        .unwrap();
    let tags = s3
        .get_object_tagging()
        .bucket("into")
        .key("b")
        .send()
        .await
        .unwrap();
    assert!(tags.tag_set().is_empty());
}

#[tokio::test]
async fn copy_preconditions_are_enforced() {
    let (_sandbox, s3) = sandbox_with_buckets().await;
    let put = s3
        .put_object()
        .bucket("from")
        .key("a")
        .send()
        .await
        .unwrap();
    let etag = put.e_tag().unwrap();
    let copy = || {
        s3.copy_object()
            .bucket("into")
            .key("b")
            .copy_source("from/a")
    };
    assert_error(
        copy().copy_source_if_match("\"x\"").send().await,
        412,
        "PreconditionFailed",
    );
    assert_error(
        copy().copy_source_if_none_match(etag).send().await,
        412,
        "PreconditionFailed",
    );
    assert_error(
        copy()
            .expected_source_bucket_owner("210987654321")
            .send()
            .await,
        403,
        "AccessDenied",
    );
    assert_error(
        s3.get_object().bucket("into").key("b").send().await,
        404,
        "NoSuchKey",
    );
    copy().copy_source_if_match(etag).send().await.unwrap();
    copy()
        .copy_source_if_none_match("\"x\"")
        .expected_source_bucket_owner(ACCOUNT)
        .send()
        .await
        .unwrap();
    let gone = s3
        .delete_object()
        .bucket("from")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_error(copy().send().await, 404, "NoSuchKey");
    let marker = format!("from/a?versionId={}", gone.version_id().unwrap());
    assert_error(
        copy().copy_source(marker).send().await,
        400,
        "InvalidRequest",
    );
    assert_error(
        copy().copy_source("from/a?versionId=none").send().await,
        404,
        "NoSuchVersion",
    );
}
