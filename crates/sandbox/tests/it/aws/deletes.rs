//! Deleting objects: one by one with preconditions, and in batches.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    BucketVersioningStatus, Delete, ObjectIdentifier, VersioningConfiguration,
};
use serde_json::json;

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error, clients_with_policy};
use crate::support::TestSandbox;

async fn create_bucket(sandbox: &TestSandbox, versions: bool) -> Client {
    let s3 = admin_clients(sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    if versions {
        let config = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        s3.put_bucket_versioning()
            .bucket("box")
            .versioning_configuration(config)
            .send()
            .await
            .unwrap();
    }
    s3
}

async fn put_object(s3: &Client, key: &str) -> String {
    let done = s3
        .put_object()
        .bucket("box")
        .key(key)
        .body(key.as_bytes().to_vec().into())
        .send()
        .await;
    done.unwrap().e_tag.unwrap()
}

fn object_id(key: &str) -> aws_sdk_s3::types::builders::ObjectIdentifierBuilder {
    ObjectIdentifier::builder().key(key)
}

async fn delete_objects(
    s3: &Client,
    quiet: bool,
    names: Vec<aws_sdk_s3::types::builders::ObjectIdentifierBuilder>,
) -> aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput {
    let names = names
        .into_iter()
        .map(|name| name.build().unwrap())
        .collect();
    let names = Delete::builder()
        .set_objects(Some(names))
        .quiet(quiet)
        .build()
        .unwrap();
    s3.delete_objects()
        .bucket("box")
        .delete(names)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn delete_preconditions_are_enforced() {
    let sandbox = TestSandbox::scripted().await;
    for versions in [false, true] {
        let s3 = create_bucket(&sandbox, versions).await;
        let delete = || s3.delete_object().bucket("box").key("a");
        assert_error(delete().if_match("*").send().await, 404, "NoSuchKey");
        let etag = put_object(&s3, "a").await;
        assert_error(
            delete().if_match(put_object(&s3, "b").await).send().await,
            412,
            "PreconditionFailed",
        );
        delete().if_match(&etag).send().await.unwrap();
        assert_error(delete().if_match(&etag).send().await, 404, "NoSuchKey");
        put_object(&s3, "a").await;
        delete().if_match("*").send().await.unwrap();
        assert_error(
            s3.get_object().bucket("box").key("a").send().await,
            404,
            "NoSuchKey",
        );
    }
}

#[tokio::test]
async fn batch_delete_reports_each_object() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox, true).await;
    let etag = put_object(&s3, "a").await;
    put_object(&s3, "b").await;
    let done = delete_objects(
        &s3,
        false,
        vec![
            object_id("a").e_tag("\"x\""),
            object_id("b"),
            object_id("none"),
        ],
    )
    .await;
    let error = &done.errors()[0];
    assert_eq!(
        (error.key(), error.code()),
        (Some("a"), Some("PreconditionFailed"))
    );
    let marked: Vec<_> = done
        .deleted()
        .iter()
        .map(|one| (one.key().unwrap(), one.delete_marker()))
        .collect();
    assert_eq!(marked, [("b", Some(true)), ("none", Some(true))]);
    let marker = done.deleted()[0].delete_marker_version_id().unwrap();
    let undone = delete_objects(&s3, false, vec![object_id("b").version_id(marker)]).await;
    let undone = &undone.deleted()[0];
    assert_eq!(
        (undone.version_id(), undone.delete_marker()),
        (Some(marker), Some(true))
    );
    assert_eq!(undone.delete_marker_version_id(), Some(marker));
    let quiet = delete_objects(
        &s3,
        true,
        vec![object_id("a").e_tag(etag), object_id("b").e_tag("\"x\"")],
    )
    .await;
    assert_eq!((quiet.deleted().len(), quiet.errors().len()), (0, 1));
    let long = delete_objects(
        &s3,
        false,
        vec![object_id(&"k".repeat(1025)), object_id("b")],
    )
    .await;
    assert_eq!(
        (long.errors()[0].code(), long.deleted().len()),
        (Some("KeyTooLongError"), 1)
    );
    let only_b = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::box/b" }] });
    let other = clients_with_policy(&sandbox, only_b).await.s3;
    let done = delete_objects(
        &other,
        false,
        vec![
            object_id("a"),
            object_id("b"),
            object_id("b").version_id("null"),
        ],
    )
    .await;
    let errors: Vec<_> = done
        .errors()
        .iter()
        .map(|error| (error.key(), error.version_id()))
        .collect();
    assert_eq!(errors, [(Some("a"), None), (Some("b"), Some("null"))]);
    assert_eq!(done.deleted().len(), 1);
}

#[tokio::test]
async fn malformed_batch_delete_deletes_nothing() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = create_bucket(&sandbox, false).await;
    put_object(&s3, "a").await;
    let send = async |body: String, digest: Option<&str>| {
        let open = s3.delete_objects().bucket("box").delete(
            Delete::builder()
                .objects(object_id("x").build().unwrap())
                .build()
                .unwrap(),
        );
        let body = body.into_bytes();
        let digest = digest.map(str::to_owned);
        let sent = open.customize().mutate_request(move |request| {
            *request.body_mut() = body.clone().into();
            let names: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, _)| name.to_owned())
                .collect();
            for name in names
                .iter()
                .filter(|name| name.starts_with("x-amz-checksum") || *name == "content-md5")
            {
                request.headers_mut().remove(name.as_str());
            }
            request
                .headers_mut()
                .insert("content-length", body.len().to_string());
            if let Some(digest) = &digest {
                request.headers_mut().insert("content-md5", digest.clone());
            }
        });
        sent.send().await
    };
    let object = "<Object><Key>a</Key></Object>";
    let md5 = |text: &str| {
        use base64::Engine as _;
        use md5::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(text))
    };
    let whole = format!("<Delete>{object}</Delete>");
    assert_error(send(whole.clone(), None).await, 400, "InvalidRequest");
    assert_error(
        send(whole.clone(), Some(&md5("other"))).await,
        400,
        "BadDigest",
    );
    for wrong in [
        "<Delete></Delete>".to_owned(),
        format!("<Delete>{object}<Object></Object></Delete>"),
        format!("<Delete>{object}<Object><Key></Key></Object></Delete>"),
        format!("<Delete>{object}<Quiet>yes</Quiet></Delete>"),
        format!("<Delete>{}</Delete>", object.repeat(1001)),
        format!("<Other>{object}</Other>"),
    ] {
        assert_error(
            send(wrong.clone(), Some(&md5(&wrong))).await,
            400,
            "MalformedXML",
        );
    }
    s3.head_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
    let thousand = format!("<Delete>{}</Delete>", object.repeat(1000));
    send(thousand.clone(), Some(&md5(&thousand))).await.unwrap();
    assert_error(
        s3.head_object().bucket("box").key("a").send().await,
        404,
        "NotFound",
    );
}
