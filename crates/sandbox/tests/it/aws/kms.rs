//! KMS encryption of objects: who may write and read them.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    ChecksumMode, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use serde_json::{Value, json};

use super::support::{
    ACCOUNT, OTHER_ACCOUNT, SandboxAwsClients, US_EAST, admin_clients, assert_error,
    clients_with_policy, error_parts, session_clients,
};
use crate::support::TestSandbox;

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1f0c2d3e-0000-4000-8000-123456789abc";
const VAULT_ALIAS: &str = "arn:aws:kms:us-east-1:123456789012:alias/vault";

/// A sandbox with a bucket that is encrypted with this key.
async fn sandbox_with_encrypted_bucket(key: Option<&str>) -> (TestSandbox, SandboxAwsClients) {
    let sandbox = TestSandbox::scripted().await;
    let admin = admin_clients(&sandbox, ACCOUNT, US_EAST);
    admin.s3.create_bucket().bucket("box").send().await.unwrap();
    set_bucket_encryption(&admin.s3, key, true).await;
    (sandbox, admin)
}

async fn set_bucket_encryption(s3: &Client, key: Option<&str>, bucket_key: bool) {
    let by_default =
        ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms);
    let by_default = by_default
        .set_kms_master_key_id(key.map(str::to_owned))
        .build()
        .unwrap();
    let rule =
        ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by_default);
    let rule = rule.bucket_key_enabled(bucket_key).build();
    let config = ServerSideEncryptionConfiguration::builder()
        .rules(rule)
        .build()
        .unwrap();
    let put = s3
        .put_bucket_encryption()
        .bucket("box")
        .server_side_encryption_configuration(config);
    put.send().await.unwrap();
}

/// The ARN of the key that an object is encrypted with.
async fn kms_key_of(s3: &Client, key: &str) -> String {
    let head = s3
        .head_object()
        .bucket("box")
        .key(key)
        .send()
        .await
        .unwrap();
    head.ssekms_key_id().unwrap().to_owned()
}

/// What a user with all S3 permissions and these statements may do: `w` write an object, `p` write
/// one in parts (`b` only begin it), `r` read one; `-` for what is denied.
async fn granted_operations(sandbox: &TestSandbox, statements: &[Value]) -> String {
    let mut all = vec![json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" })];
    all.extend_from_slice(statements);
    let s3 = clients_with_policy(
        sandbox,
        json!({ "Version": "2012-10-17", "Statement": all }),
    )
    .await
    .s3;
    let mut expected = String::new();
    expected.push(
        if s3.put_object().bucket("box").key("b").send().await.is_ok() {
            'w'
        } else {
            '-'
        },
    );
    let upload = s3
        .create_multipart_upload()
        .bucket("box")
        .key("b")
        .send()
        .await;
    expected.push(match upload {
        Ok(upload) => {
            let part = s3
                .upload_part()
                .bucket("box")
                .key("b")
                .upload_id(upload.upload_id().unwrap());
            if part.part_number(1).send().await.is_ok() {
                'p'
            } else {
                'b'
            }
        }
        Err(_) => '-',
    });
    expected.push(
        if s3.get_object().bucket("box").key("a").send().await.is_ok() {
            'r'
        } else {
            '-'
        },
    );
    expected
}

fn allow_statement(action: Value, resource: &str, condition: Value) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Resource": resource });
    statement["Action"] = action;
    statement["Condition"] = condition;
    statement
}

#[tokio::test]
async fn object_access_needs_kms_permission() {
    let both = || json!(["kms:GenerateDataKey", "kms:Decrypt"]);
    let via = |region: &str| json!({ "StringEquals": { "kms:ViaService": format!("s3.{region}.amazonaws.com") } });
    let named = |alias: &str| {
        json!({ "StringEquals": { "kms:ViaService": "s3.us-east-1.amazonaws.com" },
            "ForAnyValue:StringEquals": { "kms:ResourceAliases": alias } })
    };
    for key_name in [
        KEY,
        "1f0c2d3e-0000-4000-8000-123456789abc",
        "alias/vault",
        VAULT_ALIAS,
    ] {
        let (sandbox, admin) = sandbox_with_encrypted_bucket(Some(key_name)).await;
        let put = admin
            .s3
            .put_object()
            .bucket("box")
            .key("a")
            .send()
            .await
            .unwrap();
        let key = put.ssekms_key_id().unwrap();
        let aliased = key_name.contains("alias");
        assert_eq!(key == KEY, !aliased, "{key}");
        let deny = json!({ "Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*" });
        for (statements, expected) in [
            (vec![], "---"),
            (vec![allow_statement(both(), key, json!({}))], "wpr"),
            (vec![allow_statement(json!("kms:*"), "*", json!({}))], "wpr"),
            (
                vec![allow_statement(
                    json!("kms:GenerateDataKey*"),
                    key,
                    json!({}),
                )],
                "wb-",
            ),
            (
                vec![allow_statement(json!("kms:Decrypt"), key, json!({}))],
                "--r",
            ),
            (
                vec![allow_statement(
                    both(),
                    &KEY.replace("1f0c", "2f0c"),
                    json!({}),
                )],
                "---",
            ),
            (vec![allow_statement(both(), VAULT_ALIAS, json!({}))], "---"),
            (vec![allow_statement(both(), key, via("us-east-1"))], "wpr"),
            (
                vec![allow_statement(both(), key, via("eu-central-1"))],
                "---",
            ),
            (
                vec![allow_statement(both(), "*", named("alias/vault"))],
                if aliased { "wpr" } else { "---" },
            ),
            (
                vec![allow_statement(both(), "*", named("alias/other"))],
                "---",
            ),
            (vec![allow_statement(both(), key, json!({})), deny], "wb-"),
        ] {
            assert_eq!(
                granted_operations(&sandbox, &statements).await,
                expected,
                "{key_name} {statements:?}"
            );
        }
    }
}

#[tokio::test]
async fn denial_names_the_kms_key() {
    let (sandbox, admin) = sandbox_with_encrypted_bucket(Some(KEY)).await;
    admin
        .s3
        .put_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] });
    let user = clients_with_policy(&sandbox, policy).await;
    let me = user
        .sts
        .get_caller_identity()
        .send()
        .await
        .unwrap()
        .arn()
        .unwrap()
        .to_owned();
    let words = |action: &str| {
        format!(
            "User: {me} is not authorized to perform: {action} on resource: {KEY} because no identity-based policy \
             allows the {action} action"
        )
    };
    let denied = |(status, code, message): (u16, String, String)| {
        assert_eq!((status, code.as_str()), (403, "AccessDenied"));
        message
    };
    let put = user.s3.put_object().bucket("box").key("b").send().await;
    assert_eq!(denied(error_parts(put)), words("kms:GenerateDataKey"));
    let get = user.s3.get_object().bucket("box").key("a").send().await;
    assert_eq!(denied(error_parts(get)), words("kms:Decrypt"));
    let copy = user
        .s3
        .copy_object()
        .bucket("box")
        .key("b")
        .copy_source("box/a")
        .send()
        .await;
    assert_eq!(denied(error_parts(copy)), words("kms:Decrypt"));
    // Metadata can be read without the key, except for the checksum.
    let head = || user.s3.head_object().bucket("box").key("a");
    head().send().await.unwrap();
    assert_eq!(
        error_parts(head().checksum_mode(ChecksumMode::Enabled).send().await).0,
        403
    );
    user.s3
        .delete_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn permissions_boundary_applies_to_kms() {
    let (sandbox, admin) = sandbox_with_encrypted_bucket(Some(KEY)).await;
    let all = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
    let trust = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } }] });
    let role = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(trust.to_string());
    role.permissions_boundary("arn:aws:iam::aws:policy/AmazonS3FullAccess")
        .send()
        .await
        .unwrap();
    let put = admin
        .iam
        .put_role_policy()
        .role_name("r")
        .policy_name("p")
        .policy_document(all.to_string());
    put.send().await.unwrap();
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/r");
    let assumed = admin
        .sts
        .assume_role()
        .role_arn(arn)
        .role_session_name("session")
        .send()
        .await
        .unwrap();
    let session = session_clients(&sandbox, assumed.credentials().unwrap());
    let (status, _, message) =
        error_parts(session.s3.put_object().bucket("box").key("a").send().await);
    let end = "because no permissions boundary allows the kms:GenerateDataKey action";
    assert!(status == 403 && message.ends_with(end), "{message}");
}

#[tokio::test]
async fn aws_managed_key_is_for_its_account_only() {
    for key_name in [None, Some("alias/aws/s3")] {
        let (sandbox, admin) = sandbox_with_encrypted_bucket(key_name).await;
        admin
            .s3
            .put_object()
            .bucket("box")
            .key("a")
            .send()
            .await
            .unwrap();
        assert!(
            kms_key_of(&admin.s3, "a")
                .await
                .starts_with("arn:aws:kms:us-east-1:123456789012:key/")
        );
        assert_eq!(granted_operations(&sandbox, &[]).await, "wpr");
        let open = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:*Object",
            "Resource": "arn:aws:s3:::box/*", "Principal": { "AWS": OTHER_ACCOUNT } }] });
        admin
            .s3
            .put_bucket_policy()
            .bucket("box")
            .policy(open.to_string())
            .send()
            .await
            .unwrap();
        let stranger = admin_clients(&sandbox, OTHER_ACCOUNT, US_EAST).s3;
        let (status, code, message) =
            error_parts(stranger.get_object().bucket("box").key("a").send().await);
        assert_eq!((status, code.as_str()), (403, "AccessDenied"));
        assert!(
            message.contains("kms:Decrypt on resource: arn:aws:kms:us-east-1:123456789012:key/"),
            "{message}"
        );
        // An object that another account writes is encrypted with that account's key.
        stranger
            .put_object()
            .bucket("box")
            .key("b")
            .send()
            .await
            .unwrap();
        stranger
            .get_object()
            .bucket("box")
            .key("b")
            .send()
            .await
            .unwrap();
        assert_error(
            admin.s3.get_object().bucket("box").key("b").send().await,
            403,
            "AccessDenied",
        );
    }
}

#[tokio::test]
async fn put_response_reports_encryption() {
    let (_sandbox, admin) = sandbox_with_encrypted_bucket(Some(KEY)).await;
    let s3 = &admin.s3;
    let put = |key: &str| {
        s3.put_object()
            .bucket("box")
            .key(key)
            .body(b"1".to_vec().into())
    };
    let done = put("a").send().await.unwrap();
    assert_eq!(
        done.server_side_encryption(),
        Some(&ServerSideEncryption::AwsKms)
    );
    assert_eq!(
        (done.ssekms_key_id(), done.bucket_key_enabled()),
        (Some(KEY), Some(true))
    );
    assert_ne!(
        done.e_tag(),
        Some("\"c4ca4238a0b923820dcc509a6f75849b\""),
        "the MD5 of the content is secret"
    );
    let again = put("a").send().await.unwrap();
    assert_ne!(done.e_tag(), again.e_tag());
    let got = s3.get_object().bucket("box").key("a").send().await.unwrap();
    assert_eq!(
        (got.ssekms_key_id(), got.bucket_key_enabled()),
        (Some(KEY), Some(true))
    );
    let plain = put("b")
        .server_side_encryption(ServerSideEncryption::Aes256)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (plain.ssekms_key_id(), plain.bucket_key_enabled()),
        (None, None)
    );
    assert_eq!(plain.e_tag(), Some("\"c4ca4238a0b923820dcc509a6f75849b\""));
    // The algorithm without a key means the AWS-managed key.
    let aws_managed = put("c")
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .send()
        .await
        .unwrap();
    assert_ne!(aws_managed.ssekms_key_id(), Some(KEY));
    assert_error(
        put("d").ssekms_key_id(KEY).send().await,
        400,
        "InvalidArgument",
    );
    let aes = put("d")
        .server_side_encryption(ServerSideEncryption::Aes256)
        .ssekms_key_id(KEY);
    assert_error(aes.send().await, 400, "InvalidArgument");
    let kms = |key: &str| {
        put("d")
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id(key)
    };
    for wrong in [
        KEY.replace("us-east-1", "eu-west-1").as_str(),
        "no key",
        "alias/",
        "arn:aws:kms:us-east-1:1:x",
    ] {
        assert_error(kms(wrong).send().await, 400, "KMS.NotFoundException");
    }
    set_bucket_encryption(s3, Some("alias/vault"), false).await;
    let copied = s3
        .copy_object()
        .bucket("box")
        .key("e")
        .copy_source("box/b")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (copied.ssekms_key_id(), copied.bucket_key_enabled()),
        (Some(kms_key_of(s3, "e").await.as_str()), None)
    );
    let upload = s3
        .create_multipart_upload()
        .bucket("box")
        .key("f")
        .send()
        .await
        .unwrap();
    assert_eq!(upload.ssekms_key_id(), copied.ssekms_key_id());
    let get = s3.get_object().bucket("box").key("e").customize();
    let get = get.mutate_request(|request| {
        request
            .headers_mut()
            .insert("x-amz-server-side-encryption", "aws:kms");
    });
    assert_error(get.send().await, 400, "InvalidArgument");
}

#[tokio::test]
async fn kms_aliases_survive_restart() {
    let (sandbox, admin) = sandbox_with_encrypted_bucket(Some("alias/vault")).await;
    admin
        .s3
        .put_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
    let sandbox = sandbox
        .restart(|options| options.clock = trimtab_sandbox::ClockMode::Manual)
        .await;
    let named = json!({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": "alias/vault" } });
    assert_eq!(
        granted_operations(&sandbox, &[allow_statement(json!("kms:*"), "*", named)]).await,
        "wpr"
    );
}
