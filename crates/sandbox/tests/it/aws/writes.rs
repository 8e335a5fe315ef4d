//! What a write may say about an object, and what S3 refuses of it.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketCannedAcl, ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart,
    ObjectCannedAcl, ObjectLockMode, ObjectOwnership, StorageClass,
};
use serde_json::{Value, json};

use super::kit::{ACCOUNT, EAST, OTHER, clients, fails, limited};
use crate::kit::Box;

async fn stage() -> (Box, Client) {
    let sandbox = Box::scripted().await;
    let s3 = clients(&sandbox, ACCOUNT, EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    (sandbox, s3)
}

async fn with(sandbox: &Box, statements: Value) -> Client {
    limited(
        sandbox,
        json!({ "Version": "2012-10-17", "Statement": statements }),
    )
    .await
    .s3
}

#[tokio::test]
async fn an_object_is_stored_as_there_are_ways() {
    let (sandbox, s3) = stage().await;
    let put = || s3.put_object().bucket("box").key("a");
    fails(
        put().storage_class("WARM".into()).send().await,
        400,
        "InvalidStorageClass",
    );
    fails(
        put()
            .object_lock_mode(ObjectLockMode::Compliance)
            .send()
            .await,
        400,
        "InvalidRequest",
    );
    fails(
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
    fails(
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
    fails(copy.send().await, 403, "InvalidObjectState");
    fails(
        put().acl(ObjectCannedAcl::PublicRead).send().await,
        400,
        "AccessControlListNotSupported",
    );
    fails(
        put().grant_read("id=x").send().await,
        400,
        "AccessControlListNotSupported",
    );
    let make = |name: &str| s3.create_bucket().bucket(name);
    let public = make("open").acl(BucketCannedAcl::PublicRead);
    fails(
        public.send().await,
        400,
        "InvalidBucketAclWithObjectOwnership",
    );
    fails(
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
    fails(public().await, 403, "AccessDenied");
    s3.delete_public_access_block()
        .bucket("open")
        .send()
        .await
        .unwrap();
    public().await.unwrap();
    let writes = json!([{ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*" }]);
    let writer = with(&sandbox, writes).await;
    let put = || writer.put_object().bucket("box").key("a");
    put().send().await.unwrap();
    fails(
        put()
            .acl(ObjectCannedAcl::BucketOwnerFullControl)
            .send()
            .await,
        403,
        "AccessDenied",
    );
}

#[tokio::test]
async fn tags_of_objects_count_in_policies() {
    let (sandbox, s3) = stage().await;
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
    let reader = with(
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
    fails(get("closed").await, 403, "AccessDenied");
    let put = |tags: &str| {
        reader
            .put_object()
            .bucket("box")
            .key("new")
            .tagging(tags)
            .send()
    };
    put("level=public").await.unwrap();
    fails(put("level=secret").await, 403, "AccessDenied");
}

#[tokio::test]
async fn only_its_owner_reads_and_writes_the_policy_of_a_bucket() {
    let (sandbox, s3) = stage().await;
    let open =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:*",
        "Resource": "arn:aws:s3:::box", "Principal": { "AWS": OTHER } }] })
        .to_string();
    s3.put_bucket_policy()
        .bucket("box")
        .policy(&open)
        .send()
        .await
        .unwrap();
    let stranger = clients(&sandbox, OTHER, EAST).s3;
    stranger
        .get_bucket_versioning()
        .bucket("box")
        .send()
        .await
        .unwrap();
    fails(
        stranger.get_bucket_policy().bucket("box").send().await,
        405,
        "MethodNotAllowed",
    );
    fails(
        stranger
            .put_bucket_policy()
            .bucket("box")
            .policy(&open)
            .send()
            .await,
        405,
        "MethodNotAllowed",
    );
    fails(
        stranger.delete_bucket_policy().bucket("box").send().await,
        405,
        "MethodNotAllowed",
    );
}

#[tokio::test]
async fn parts_have_the_checksums_that_their_upload_was_begun_with() {
    let (_sandbox, s3) = stage().await;
    let begin = || s3.create_multipart_upload().bucket("box").key("a");
    let odd = begin()
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_type(ChecksumType::FullObject);
    fails(odd.send().await, 400, "InvalidRequest");
    let odd = begin()
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_type(ChecksumType::Composite);
    fails(odd.send().await, 400, "InvalidRequest");
    let begun = begin()
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .send()
        .await
        .unwrap();
    let id = begun.upload_id().unwrap();
    let part = || {
        let part = s3
            .upload_part()
            .bucket("box")
            .key("a")
            .upload_id(id)
            .part_number(1);
        part.body(ByteStream::from_static(b"x"))
    };
    fails(
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
    fails(complete(None).await, 400, "InvalidRequest");
    complete(done.checksum_sha256().map(str::to_owned))
        .await
        .unwrap();
}
