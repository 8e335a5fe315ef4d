//! Tags that services of AWS set on buckets, such as CloudFormation.

use aws_sdk_s3::types::{Tag, Tagging};
use serde_json::json;

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error, error_parts};
use crate::support::TestSandbox;

const STACK: (&str, &str) = ("aws:cloudformation:stack-name", "legacy");

fn tagging(tags: &[(&str, &str)]) -> Tagging {
    let one = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build().unwrap();
    Tagging::builder()
        .set_tag_set(Some(tags.iter().map(one).collect()))
        .build()
        .unwrap()
}

/// Since 2018, S3 refuses a `PutBucketTagging` that leaves such a tag out, and takes one that repeats it
/// (cloud-custodian/cloud-custodian#2834, hashicorp/terraform-provider-aws#7342).
#[tokio::test]
async fn system_tags_stay_and_may_be_repeated() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    let body = json!({ "bucket": "box", "tags": { (STACK.0): STACK.1 } });
    sandbox.post_admin("aws/system-tags", body).await;
    let put = |tags: &[(&str, &str)]| {
        s3.put_bucket_tagging()
            .bucket("box")
            .tagging(tagging(tags))
            .send()
    };
    let keys = async || {
        let tags = s3.get_bucket_tagging().bucket("box").send().await.unwrap();
        let mut keys: Vec<String> = tags
            .tag_set()
            .iter()
            .map(|tag| tag.key().to_owned())
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys().await, [STACK.0]);
    let (status, code, message) = error_parts(put(&[("a", "1")]).await);
    assert_eq!((status, code.as_str()), (400, "InvalidTag"));
    assert_eq!(message, "System tags cannot be removed by requester");
    put(&[("a", "1"), STACK]).await.unwrap();
    assert_eq!(keys().await, ["a", STACK.0]);
    for wrong in [
        &[(STACK.0, "other")][..],
        &[STACK, ("aws:x", "1")],
        &[STACK, STACK, (STACK.0, "other")],
    ] {
        assert_error(put(wrong).await, 400, "InvalidTag");
    }
    assert_error(
        s3.delete_bucket_tagging().bucket("box").send().await,
        400,
        "InvalidTag",
    );
    assert_eq!(keys().await, ["a", STACK.0]);
    put(&[STACK]).await.unwrap();
    assert_eq!(keys().await, [STACK.0]);
}

#[tokio::test]
async fn only_system_tags_are_set_by_administration() {
    let sandbox = TestSandbox::scripted().await;
    let body = json!({ "bucket": "box", "tags": { "mine": "1" } });
    sandbox
        .post("/_sandbox/aws/system-tags", body)
        .await
        .assert_error(400, "does not begin with aws:");
    let body = json!({ "bucket": "none", "tags": { (STACK.0): "1" } });
    sandbox
        .post("/_sandbox/aws/system-tags", body)
        .await
        .assert_error(404, "bucket not found");
}
