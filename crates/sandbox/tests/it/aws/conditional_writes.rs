//! Conditional writes, on which the lock is built.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error};
use crate::support::TestSandbox;

async fn create_bucket(sandbox: &TestSandbox) -> Client {
    let s3 = admin_clients(sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    s3
}

fn put_lock(
    s3: &Client,
    text: &str,
) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
    s3.put_object()
        .bucket("box")
        .key("lock")
        .body(ByteStream::from(text.as_bytes().to_vec()))
}

#[tokio::test]
async fn write_preconditions_are_enforced() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    assert_error(
        put_lock(&s3, "0").if_match("\"abc\"").send().await,
        404,
        "NoSuchKey",
    );
    let first = put_lock(&s3, "1").if_none_match("*").send().await.unwrap();
    assert_error(
        put_lock(&s3, "2").if_none_match("*").send().await,
        412,
        "PreconditionFailed",
    );
    assert_error(
        put_lock(&s3, "2").if_none_match("\"abc\"").send().await,
        501,
        "NotImplemented",
    );
    assert_error(
        put_lock(&s3, "2").if_match("\"abc\"").send().await,
        412,
        "PreconditionFailed",
    );
    let etag = first.e_tag().unwrap();
    assert_eq!(etag, "\"c4ca4238a0b923820dcc509a6f75849b\"");
    put_lock(&s3, "2").if_match(etag).send().await.unwrap();
    let delete = || s3.delete_object().bucket("box").key("lock");
    assert_error(
        delete().if_match(etag).send().await,
        412,
        "PreconditionFailed",
    );
    let head = s3
        .head_object()
        .bucket("box")
        .key("lock")
        .send()
        .await
        .unwrap();
    delete()
        .if_match(head.e_tag().unwrap())
        .send()
        .await
        .unwrap();
    assert_error(delete().if_match(etag).send().await, 404, "NoSuchKey");
    delete().send().await.unwrap();
}

#[tokio::test]
async fn delete_marker_counts_as_absent() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    let versions = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket("box")
        .versioning_configuration(versions)
        .send()
        .await
        .unwrap();
    put_lock(&s3, "1").if_none_match("*").send().await.unwrap();
    let gone = s3
        .delete_object()
        .bucket("box")
        .key("lock")
        .send()
        .await
        .unwrap();
    assert_eq!(gone.delete_marker(), Some(true));
    put_lock(&s3, "2").if_none_match("*").send().await.unwrap();
}

#[tokio::test]
async fn concurrent_creates_have_one_winner() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    let texts: Vec<String> = (0..16).map(|at| at.to_string()).collect();
    let tries = texts
        .iter()
        .map(|text| put_lock(&s3, text).if_none_match("*").send());
    let results = futures_util::future::join_all(tries).await;
    let won: Vec<usize> = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.is_ok())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(won.len(), 1);
    for result in results.into_iter().filter(Result::is_err) {
        assert_error(result, 412, "PreconditionFailed");
    }
    let got = s3
        .get_object()
        .bucket("box")
        .key("lock")
        .send()
        .await
        .unwrap();
    assert_eq!(
        got.body.collect().await.unwrap().to_vec(),
        won[0].to_string().into_bytes()
    );
}

#[tokio::test]
async fn responses_carry_sandbox_time() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox).await;
    sandbox.advance_ms(90_000);
    let error = s3
        .head_object()
        .bucket("box")
        .key("lock")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.raw_response().unwrap().headers().get("date"),
        Some("Thu, 01 Jan 2026 00:01:30 GMT")
    );
}
