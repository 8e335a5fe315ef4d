//! State that survives a restart, request signatures, and the sandbox's admin API.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::json;
use trimtab_sandbox::{AwsAccessKey, find_server};

use super::support::{
    ACCOUNT, OTHER_ACCOUNT, US_EAST, admin_clients, assert_error, clients_with_keys,
};
use crate::support::TestSandbox;

#[tokio::test]
async fn state_survives_restart() {
    let sandbox = TestSandbox::scripted().await;
    let aws = admin_clients(&sandbox, ACCOUNT, US_EAST);
    let keys = sandbox.running.aws_keys(ACCOUNT).unwrap();
    aws.s3.create_bucket().bucket("box").send().await.unwrap();
    for key in ["kept", "gone"] {
        let body = ByteStream::from(key.as_bytes().to_vec());
        aws.s3
            .put_object()
            .bucket("box")
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }
    aws.s3
        .delete_object()
        .bucket("box")
        .key("gone")
        .send()
        .await
        .unwrap();
    let url = "https://oidc.fly.io/acme";
    let created = aws
        .iam
        .create_open_id_connect_provider()
        .url(url)
        .client_id_list("sts.amazonaws.com")
        .send()
        .await;
    let arn = created
        .unwrap()
        .open_id_connect_provider_arn()
        .unwrap()
        .to_owned();
    let contents = || {
        std::fs::read_dir(sandbox.dir.path().join("aws/content"))
            .unwrap()
            .count()
    };
    assert_eq!(contents(), 1);
    std::fs::write(
        sandbox.dir.path().join("aws/content/orphan"),
        "left by a killed process",
    )
    .unwrap();
    let sandbox = sandbox
        .restart(|options| options.clock = trimtab_sandbox::ClockMode::Manual)
        .await;
    assert_eq!(sandbox.running.aws_keys(ACCOUNT).unwrap(), keys);
    let file = find_server(sandbox.dir.path()).unwrap();
    assert_eq!(file.aws_url, sandbox.running.aws_url());
    let aws = admin_clients(&sandbox, ACCOUNT, US_EAST);
    let got = aws
        .s3
        .get_object()
        .bucket("box")
        .key("kept")
        .send()
        .await
        .unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"kept");
    assert_error(
        aws.s3.get_object().bucket("box").key("gone").send().await,
        404,
        "NoSuchKey",
    );
    aws.iam
        .get_open_id_connect_provider()
        .open_id_connect_provider_arn(arn)
        .send()
        .await
        .unwrap();
    assert_eq!(
        std::fs::read_dir(sandbox.dir.path().join("aws/content"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn unsigned_requests_are_rejected() {
    let sandbox = TestSandbox::scripted().await;
    let keys = sandbox.running.aws_keys(ACCOUNT).unwrap();
    let wrong = AwsAccessKey {
        secret: "wrong".to_owned(),
        ..keys.clone()
    };
    let aws = clients_with_keys(&sandbox, &wrong, None, US_EAST);
    assert_error(
        aws.s3.list_buckets().send().await,
        403,
        "SignatureDoesNotMatch",
    );
    assert_error(
        aws.sts.get_caller_identity().send().await,
        403,
        "SignatureDoesNotMatch",
    );
    let unknown = AwsAccessKey {
        id: "AKIAUNKNOWN".to_owned(),
        ..keys.clone()
    };
    let aws = clients_with_keys(&sandbox, &unknown, None, US_EAST);
    assert_error(
        aws.s3.list_buckets().send().await,
        403,
        "InvalidAccessKeyId",
    );
    assert_error(
        aws.iam.list_roles().send().await,
        403,
        "InvalidClientTokenId",
    );
    let odd = clients_with_keys(&sandbox, &keys, Some("token".to_owned()), US_EAST);
    assert_error(odd.s3.list_buckets().send().await, 400, "InvalidToken");
    let anonymous = reqwest::get(sandbox.running.aws_url()).await.unwrap();
    assert_eq!(anonymous.status(), 403);
    assert!(
        anonymous
            .text()
            .await
            .unwrap()
            .contains("<Code>AccessDenied</Code>")
    );
    let junk = reqwest::Client::new()
        .get(sandbox.running.aws_url())
        .header("authorization", "AWS4-HMAC-SHA256 x");
    assert_eq!(junk.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn signature_is_bound_to_service_and_headers() {
    let sandbox = TestSandbox::scripted().await;
    let aws = admin_clients(&sandbox, ACCOUNT, US_EAST);
    aws.s3.create_bucket().bucket("box").send().await.unwrap();
    // A signature for one service, sent to another.
    let stolen = aws.s3.list_buckets().customize().mutate_request(|request| {
        let join = if request.uri().contains('?') {
            '&'
        } else {
            '?'
        };
        let uri = format!("{}{join}Action=ListRoles&Version=2010-05-08", request.uri());
        request.set_uri(uri).unwrap();
    });
    let error = stolen.send().await.unwrap_err();
    let response = error.raw_response().unwrap();
    let text = String::from_utf8_lossy(response.body().bytes().unwrap());
    assert!(
        response.status().as_u16() == 403 && text.contains("<Code>SignatureDoesNotMatch</Code>"),
        "{text}"
    );
    assert!(
        text.contains("Credential should be scoped to correct service"),
        "{text}"
    );
    let life = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let link = aws
        .s3
        .put_object()
        .bucket("box")
        .key("a")
        .presigned(life)
        .await
        .unwrap()
        .uri()
        .to_owned();
    let put = |name: &str| {
        reqwest::Client::new()
            .put(&link)
            .header(name, "GLACIER")
            .send()
    };
    let refused = put("x-amz-storage-class").await.unwrap();
    assert_eq!(refused.status(), 403);
    let text = refused.text().await.unwrap();
    assert!(
        text.contains("<HeadersNotSigned>x-amz-storage-class</HeadersNotSigned>"),
        "{text}"
    );
    assert_eq!(put("x-else").await.unwrap().status(), 200);
}

#[tokio::test]
async fn malformed_requests_are_rejected() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    assert_error(
        s3.get_bucket_notification_configuration()
            .bucket("box")
            .send()
            .await,
        501,
        "NotImplemented",
    );
    assert_error(
        s3.get_object()
            .bucket("box")
            .key("a")
            .version_id("\n\u{1}")
            .send()
            .await,
        404,
        "NoSuchVersion",
    );
    assert_error(
        s3.list_parts()
            .bucket("box")
            .key("a")
            .upload_id("../..")
            .send()
            .await,
        404,
        "NoSuchUpload",
    );
    assert_error(
        s3.list_objects_v2()
            .bucket("box")
            .continuation_token("%")
            .send()
            .await,
        400,
        "InvalidArgument",
    );
    assert_error(
        s3.put_object()
            .bucket("box")
            .key("k".repeat(1025))
            .send()
            .await,
        400,
        "KeyTooLongError",
    );
    let client = reqwest::Client::new();
    for (method, path, body) in [
        ("POST", "/", "Action=Nonsense&Version=2010-05-08"),
        (
            "POST",
            "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
            "RoleArn=x",
        ),
        ("PUT", "/%00/%ff", "<"),
        ("PATCH", "/box", ""),
        ("GET", "/?X-Amz-Signature=1", ""),
        ("PUT", "/box?lifecycle&policy", "<A><B/></A>"),
    ] {
        let method = method.parse().unwrap();
        let request = client.request(method, format!("{}{path}", sandbox.running.aws_url()));
        let response = request.body(body).send().await.unwrap();
        assert!(
            (400..500).contains(&response.status().as_u16()),
            "{path}: {}",
            response.status()
        );
    }
    s3.head_bucket().bucket("box").send().await.unwrap();
}

#[tokio::test]
async fn presigned_urls_and_public_buckets() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    let body = ByteStream::from_static(b"shared");
    s3.put_object()
        .bucket("box")
        .key("a b")
        .body(body)
        .send()
        .await
        .unwrap();
    let life = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let link = s3
        .get_object()
        .bucket("box")
        .key("a b")
        .presigned(life)
        .await
        .unwrap()
        .uri()
        .to_owned();
    assert_eq!(
        reqwest::get(&link).await.unwrap().text().await.unwrap(),
        "shared"
    );
    let forged = link.replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_eq!(reqwest::get(&forged).await.unwrap().status(), 403);
    let plain = format!("{}/box/a%20b", sandbox.running.aws_url());
    assert_eq!(reqwest::get(&plain).await.unwrap().status(), 403);
    s3.delete_public_access_block()
        .bucket("box")
        .send()
        .await
        .unwrap();
    let open = json!({ "Statement": { "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::box/*" } });
    s3.put_bucket_policy()
        .bucket("box")
        .policy(open.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(
        reqwest::get(&plain).await.unwrap().text().await.unwrap(),
        "shared"
    );
}

#[tokio::test]
async fn admin_issues_keys_for_any_account() {
    let sandbox = TestSandbox::scripted().await;
    let keys = sandbox
        .post_admin("aws/keys", json!({ "account": OTHER_ACCOUNT }))
        .await;
    assert_eq!(
        keys["access_key_id"],
        sandbox.running.aws_keys(OTHER_ACCOUNT).unwrap().id
    );
    let identity = admin_clients(&sandbox, OTHER_ACCOUNT, US_EAST)
        .sts
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(identity.account(), Some(OTHER_ACCOUNT));
    assert_eq!(
        identity.arn(),
        Some("arn:aws:iam::210987654321:user/administrator")
    );
    sandbox
        .post("/_sandbox/aws/keys", json!({ "account": "x" }))
        .await
        .assert_error(400, "twelve digits");
    let policy = json!({ "Statement": [{ "Effect": "Maybe" }] });
    let body = json!({ "account": OTHER_ACCOUNT, "policy": policy });
    sandbox
        .post("/_sandbox/aws/keys", body)
        .await
        .assert_error(400, "Invalid effect");
}
