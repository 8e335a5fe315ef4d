//! Options of object writes, and which of them S3 rejects.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketCannedAcl, ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart,
    ObjectCannedAcl, ObjectLockMode, ObjectOwnership, StorageClass,
};
use serde_json::{Value, json};

use super::support::{
    ACCOUNT, OTHER_ACCOUNT, US_EAST, admin_clients, assert_error, clients_with_policy,
};
use crate::support::TestSandbox;

async fn sandbox_with_bucket() -> (TestSandbox, Client) {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    (sandbox, s3)
}

async fn client_with_statements(sandbox: &TestSandbox, statements: Value) -> Client {
    clients_with_policy(
        sandbox,
        json!({ "Version": "2012-10-17", "Statement": statements }),
    )
    .await
    .s3
}

#[tokio::test]
async fn put_options_are_validated() {
    let (sandbox, s3) = sandbox_with_bucket().await;
    let put = || s3.put_object().bucket("box").key("a");
    assert_error(
        put().storage_class("WARM".into()).send().await,
        400,
        "InvalidStorageClass",
    );
    assert_error(
        put()
            .object_lock_mode(ObjectLockMode::Compliance)
            .send()
            .await,
        400,
        "InvalidRequest",
    );
    assert_error(
        put().metadata("k", "v".repeat(2048)).send().await,
        400,
        "MetadataTooLarge",
    );
    put().metadata("k", "v".repeat(2047)).send().await.unwrap();
    put()
        .storage_class(StorageClass::StandardIa)
        .send()
        .await
        .unwrap();
    s3.get_object().bucket("box").key("a").send().await.unwrap();
    put()
        .storage_class(StorageClass::DeepArchive)
        .send()
        .await
        .unwrap();
    assert_error(
        s3.get_object().bucket("box").key("a").send().await,
        403,
        "InvalidObjectState",
    );
    s3.head_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
    let copy = s3.copy_object().bucket("box").key("b").copy_source("box/a");
    assert_error(copy.send().await, 403, "InvalidObjectState");
    assert_error(
        put().acl(ObjectCannedAcl::PublicRead).send().await,
        400,
        "AccessControlListNotSupported",
    );
    assert_error(
        put().grant_read("id=x").send().await,
        400,
        "AccessControlListNotSupported",
    );
    let make = |name: &str| s3.create_bucket().bucket(name);
    let public = make("open").acl(BucketCannedAcl::PublicRead);
    assert_error(
        public.send().await,
        400,
        "InvalidBucketAclWithObjectOwnership",
    );
    assert_error(
        make("open")
            .object_lock_enabled_for_bucket(true)
            .send()
            .await,
        501,
        "NotImplemented",
    );
    make("open")
        .object_ownership(ObjectOwnership::ObjectWriter)
        .send()
        .await
        .unwrap();
    let public = || {
        s3.put_object()
            .bucket("open")
            .key("a")
            .acl(ObjectCannedAcl::PublicRead)
            .send()
    };
    assert_error(public().await, 403, "AccessDenied");
    s3.delete_public_access_block()
        .bucket("open")
        .send()
        .await
        .unwrap();
    public().await.unwrap();
    let writes = json!([{ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*" }]);
    let writer = client_with_statements(&sandbox, writes).await;
    let put = || writer.put_object().bucket("box").key("a");
    put().send().await.unwrap();
    assert_error(
        put()
            .acl(ObjectCannedAcl::BucketOwnerFullControl)
            .send()
            .await,
        403,
        "AccessDenied",
    );
}

#[tokio::test]
async fn object_tags_are_policy_conditions() {
    let (sandbox, s3) = sandbox_with_bucket().await;
    s3.put_object()
        .bucket("box")
        .key("open")
        .tagging("level=public")
        .send()
        .await
        .unwrap();
    s3.put_object()
        .bucket("box")
        .key("closed")
        .tagging("level=secret")
        .send()
        .await
        .unwrap();
    let statement = |effect: &str, action: &str, condition: Value| json!({ "Effect": effect, "Action": action, "Resource": "*", "Condition": condition });
    let reader = client_with_statements(
        &sandbox,
        json!([
            statement("Allow", "s3:*", json!({})),
            statement(
                "Deny",
                "s3:GetObject",
                json!({ "StringEquals": { "s3:ExistingObjectTag/level": "secret" } })
            ),
            statement(
                "Deny",
                "s3:PutObject",
                json!({ "StringEquals": { "s3:RequestObjectTag/level": "secret" } })
            ),
        ]),
    )
    .await;
    let get = |key: &str| reader.get_object().bucket("box").key(key).send();
    get("open").await.unwrap();
    assert_error(get("closed").await, 403, "AccessDenied");
    let put = |tags: &str| {
        reader
            .put_object()
            .bucket("box")
            .key("new")
            .tagging(tags)
            .send()
    };
    put("level=public").await.unwrap();
    assert_error(put("level=secret").await, 403, "AccessDenied");
}

#[tokio::test]
async fn bucket_policy_is_for_owner_account_only() {
    let (sandbox, s3) = sandbox_with_bucket().await;
    let open =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:*",
        "Resource": "arn:aws:s3:::box", "Principal": { "AWS": OTHER_ACCOUNT } }] })
        .to_string();
    s3.put_bucket_policy()
        .bucket("box")
        .policy(&open)
        .send()
        .await
        .unwrap();
    let stranger = admin_clients(&sandbox, OTHER_ACCOUNT, US_EAST).s3;
    stranger
        .get_bucket_versioning()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        stranger.get_bucket_policy().bucket("box").send().await,
        405,
        "MethodNotAllowed",
    );
    assert_error(
        stranger
            .put_bucket_policy()
            .bucket("box")
            .policy(&open)
            .send()
            .await,
        405,
        "MethodNotAllowed",
    );
    assert_error(
        stranger.delete_bucket_policy().bucket("box").send().await,
        405,
        "MethodNotAllowed",
    );
}

#[tokio::test]
async fn part_checksums_match_upload() {
    let (_sandbox, s3) = sandbox_with_bucket().await;
    let begin = || s3.create_multipart_upload().bucket("box").key("a");
    let mismatch = begin()
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_type(ChecksumType::FullObject);
    assert_error(mismatch.send().await, 400, "InvalidRequest");
    let mismatch = begin()
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::Composite);
    assert_error(mismatch.send().await, 400, "InvalidRequest");
    let upload = begin()
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let part = || {
        let part = s3
            .upload_part()
            .bucket("box")
            .key("a")
            .upload_id(id)
            .part_number(1);
        part.body(ByteStream::from_static(b"x"))
    };
    assert_error(
        part()
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send()
            .await,
        400,
        "InvalidRequest",
    );
    let done = part()
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .send()
        .await
        .unwrap();
    let complete = |sum: Option<String>| {
        let part = CompletedPart::builder()
            .part_number(1)
            .e_tag(done.e_tag().unwrap());
        let parts = CompletedMultipartUpload::builder()
            .parts(part.set_checksum_sha256(sum).build())
            .build();
        s3.complete_multipart_upload()
            .bucket("box")
            .key("a")
            .upload_id(id)
            .multipart_upload(parts)
            .send()
    };
    assert_error(complete(None).await, 400, "InvalidRequest");
    complete(done.checksum_sha256().map(str::to_owned))
        .await
        .unwrap();
}
