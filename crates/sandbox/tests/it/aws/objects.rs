//! Objects: content, ranges, listing, versions, multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload,
    CompletedPart, Delete, ObjectIdentifier, VersioningConfiguration,
};

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error};
use crate::support::TestSandbox;

async fn create_bucket(sandbox: &TestSandbox) -> Client {
    let s3 = admin_clients(sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    s3
}

async fn put_object(s3: &Client, key: &str, text: &str) {
    let body = ByteStream::from(text.as_bytes().to_vec());
    s3.put_object()
        .bucket("box")
        .key(key)
        .body(body)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn object_round_trips() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    let key = "a b/ü+%?#&/c";
    let put = s3
        .put_object()
        .bucket("box")
        .key(key)
        .body(ByteStream::from_static(b"hello, world"));
    let put = put
        .content_type("text/plain")
        .metadata("run", "7")
        .checksum_algorithm(ChecksumAlgorithm::Sha256);
    put.send().await.unwrap();
    let get = || s3.get_object().bucket("box").key(key);
    let got = get()
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (got.content_type(), got.metadata().unwrap()["run"].as_str()),
        (Some("text/plain"), "7")
    );
    assert_eq!(got.e_tag(), Some("\"e4d7f1b4ed2e42d15898f4b27b019da4\""));
    assert!(got.checksum_sha256().is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello, world");
    let part = get().range("bytes=7-").send().await.unwrap();
    assert_eq!(part.content_range(), Some("bytes 7-11/12"));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), b"world");
    let tail = get().range("bytes=-5").send().await.unwrap();
    assert_eq!(tail.body.collect().await.unwrap().to_vec(), b"world");
    assert_error(get().range("bytes=12-").send().await, 416, "InvalidRange");
    let head = s3
        .head_object()
        .bucket("box")
        .key(key)
        .send()
        .await
        .unwrap();
    assert_eq!((head.content_length(), head.version_id()), (Some(12), None));
    assert_error(
        get().if_match("\"x\"").send().await,
        412,
        "PreconditionFailed",
    );
    let same = get()
        .if_none_match(head.e_tag().unwrap())
        .send()
        .await
        .unwrap_err();
    assert_eq!(same.raw_response().unwrap().status().as_u16(), 304);
    assert_error(
        s3.get_object().bucket("box").key("none").send().await,
        404,
        "NoSuchKey",
    );
    assert_error(
        s3.head_object().bucket("box").key("none").send().await,
        404,
        "NotFound",
    );
    let copied = s3
        .copy_object()
        .bucket("box")
        .key("copy")
        .copy_source("box/a%20b/%C3%BC%2B%25%3F%23%26/c");
    copied.send().await.unwrap();
    let copy = s3
        .get_object()
        .bucket("box")
        .key("copy")
        .send()
        .await
        .unwrap();
    assert_eq!(copy.metadata().unwrap()["run"], "7");
}

#[tokio::test]
async fn chunked_upload_is_decoded() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    let path = sandbox.dir.path().join("body");
    let content = b"0123456789".repeat(20_000);
    std::fs::write(&path, &content).unwrap();
    let body = ByteStream::from_path(&path).await.unwrap();
    s3.put_object()
        .bucket("box")
        .key("a")
        .body(body)
        .send()
        .await
        .unwrap();
    let got = s3
        .get_object()
        .bucket("box")
        .key("a")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert!(got.checksum_crc32().is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), content);
    let wrong = s3
        .put_object()
        .bucket("box")
        .key("b")
        .body(ByteStream::from_static(b"x"));
    assert_error(
        wrong.content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await,
        400,
        "BadDigest",
    );
}

#[tokio::test]
async fn list_groups_common_prefixes() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    for key in ["a", "b/1", "b/2", "c", "d/1"] {
        put_object(&s3, key, "x").await;
    }
    let list = || s3.list_objects_v2().bucket("box").delimiter("/");
    let all = list().send().await.unwrap();
    let keys: Vec<_> = all
        .contents()
        .iter()
        .filter_map(|object| object.key())
        .collect();
    let common: Vec<_> = all
        .common_prefixes()
        .iter()
        .filter_map(|common| common.prefix())
        .collect();
    assert_eq!(
        (keys, common, all.key_count()),
        (vec!["a", "c"], vec!["b/", "d/"], Some(4))
    );
    let mut token = None;
    let mut pages = Vec::new();
    loop {
        let page = list()
            .max_keys(1)
            .set_continuation_token(token)
            .send()
            .await
            .unwrap();
        let common = page
            .common_prefixes()
            .iter()
            .filter_map(|common| common.prefix());
        let keys = page.contents().iter().filter_map(|object| object.key());
        pages.extend(keys.chain(common).map(str::to_owned));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, ["a", "b/", "c", "d/"]);
    let some = s3
        .list_objects_v2()
        .bucket("box")
        .prefix("b/")
        .start_after("b/1")
        .send()
        .await
        .unwrap();
    assert_eq!(some.contents().len(), 1);
    let old = s3
        .list_objects()
        .bucket("box")
        .max_keys(2)
        .marker("a")
        .send()
        .await
        .unwrap();
    assert_eq!((old.contents().len(), old.is_truncated()), (2, Some(true)));
}

#[tokio::test]
async fn versions_are_kept_until_deleted_by_id() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    put_object(&s3, "a", "before").await;
    let versions = |status| {
        let config = VersioningConfiguration::builder().status(status).build();
        s3.put_bucket_versioning()
            .bucket("box")
            .versioning_configuration(config)
            .send()
    };
    versions(BucketVersioningStatus::Enabled).await.unwrap();
    put_object(&s3, "a", "one").await;
    put_object(&s3, "a", "two").await;
    s3.delete_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
    assert_error(
        s3.get_object().bucket("box").key("a").send().await,
        404,
        "NoSuchKey",
    );
    assert_eq!(
        s3.list_objects_v2()
            .bucket("box")
            .send()
            .await
            .unwrap()
            .key_count(),
        Some(0)
    );
    let list = s3
        .list_object_versions()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_eq!((list.versions().len(), list.delete_markers().len()), (3, 1));
    assert_eq!(list.delete_markers()[0].is_latest(), Some(true));
    assert_eq!(list.versions()[2].version_id(), Some("null"));
    let old = list.versions()[1].version_id().unwrap();
    let got = s3
        .get_object()
        .bucket("box")
        .key("a")
        .version_id(old)
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"one");
    let page = s3
        .list_object_versions()
        .bucket("box")
        .max_keys(2)
        .send()
        .await
        .unwrap();
    let (key, id) = (
        page.next_key_marker().unwrap(),
        page.next_version_id_marker().unwrap(),
    );
    let rest = s3
        .list_object_versions()
        .bucket("box")
        .key_marker(key)
        .version_id_marker(id)
        .send()
        .await
        .unwrap();
    assert_eq!((rest.versions().len(), rest.delete_markers().len()), (2, 0));
    let marker = list.delete_markers()[0].version_id().unwrap();
    assert_error(
        s3.get_object()
            .bucket("box")
            .key("a")
            .version_id(marker)
            .send()
            .await,
        405,
        "MethodNotAllowed",
    );
    let undone = s3
        .delete_object()
        .bucket("box")
        .key("a")
        .version_id(marker)
        .send()
        .await
        .unwrap();
    assert_eq!(undone.delete_marker(), Some(true));
    let got = s3.get_object().bucket("box").key("a").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"two");
    versions(BucketVersioningStatus::Suspended).await.unwrap();
    put_object(&s3, "a", "three").await;
    let list = s3
        .list_object_versions()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (list.versions().len(), list.versions()[0].version_id()),
        (3, Some("null"))
    );
    assert_error(
        s3.delete_bucket().bucket("box").send().await,
        409,
        "BucketNotEmpty",
    );
    let all = list.versions().iter().map(|version| {
        let id = ObjectIdentifier::builder()
            .key("a")
            .version_id(version.version_id().unwrap());
        id.build().unwrap()
    });
    let all = Delete::builder()
        .set_objects(Some(all.collect()))
        .build()
        .unwrap();
    let done = s3
        .delete_objects()
        .bucket("box")
        .delete(all)
        .send()
        .await
        .unwrap();
    assert_eq!((done.deleted().len(), done.errors().len()), (3, 0));
    s3.delete_bucket().bucket("box").send().await.unwrap();
}

#[tokio::test]
async fn multipart_upload() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    let begin = async || {
        let upload = s3
            .create_multipart_upload()
            .bucket("box")
            .key("big")
            .send()
            .await
            .unwrap();
        upload.upload_id().unwrap().to_owned()
    };
    let upload = async |id: &str, number: i32, content: Vec<u8>| {
        let part = s3
            .upload_part()
            .bucket("box")
            .key("big")
            .upload_id(id)
            .part_number(number);
        let part = part.body(ByteStream::from(content)).send().await.unwrap();
        CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build()
    };
    let complete = |id: &str, parts: Vec<CompletedPart>| {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        s3.complete_multipart_upload()
            .bucket("box")
            .key("big")
            .upload_id(id)
            .multipart_upload(parts)
    };
    let id = begin().await;
    let (one, two) = (vec![1; 5 << 20], vec![2; 10]);
    let parts = vec![
        upload(&id, 1, one.clone()).await,
        upload(&id, 2, two.clone()).await,
    ];
    let listed = s3
        .list_parts()
        .bucket("box")
        .key("big")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.parts().len(), 2);
    assert_eq!(
        s3.list_multipart_uploads()
            .bucket("box")
            .send()
            .await
            .unwrap()
            .uploads()
            .len(),
        1
    );
    let reversed: Vec<_> = parts.iter().rev().cloned().collect();
    assert_error(
        complete(&id, reversed).send().await,
        400,
        "InvalidPartOrder",
    );
    let unknown_part = CompletedPart::builder().part_number(3).e_tag("x").build();
    assert_error(
        complete(&id, vec![unknown_part]).send().await,
        400,
        "InvalidPart",
    );
    let done = complete(&id, parts)
        .if_none_match("*")
        .send()
        .await
        .unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""), "{done:?}");
    let got = s3
        .get_object()
        .bucket("box")
        .key("big")
        .send()
        .await
        .unwrap();
    assert_eq!(
        got.body.collect().await.unwrap().to_vec(),
        [one, two].concat()
    );
    assert_error(
        s3.list_parts()
            .bucket("box")
            .key("big")
            .upload_id(&id)
            .send()
            .await,
        404,
        "NoSuchUpload",
    );
    let id = begin().await;
    let parts = vec![upload(&id, 1, vec![1]).await, upload(&id, 2, vec![2]).await];
    assert_error(
        complete(&id, parts.clone()).send().await,
        400,
        "EntityTooSmall",
    );
    assert_error(
        complete(&id, parts[..1].to_vec())
            .if_none_match("*")
            .send()
            .await,
        412,
        "PreconditionFailed",
    );
    s3.abort_multipart_upload()
        .bucket("box")
        .key("big")
        .upload_id(&id)
        .send()
        .await
        .unwrap();
    assert!(
        s3.list_multipart_uploads()
            .bucket("box")
            .send()
            .await
            .unwrap()
            .uploads()
            .is_empty()
    );
    assert_eq!(
        std::fs::read_dir(sandbox.dir.path().join("aws/content"))
            .unwrap()
            .count(),
        1
    );
}
