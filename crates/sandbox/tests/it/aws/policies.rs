//! Policy evaluation: identity policies, bucket policies, boundaries and sessions.

use serde_json::{Value, json};

use super::support::{
    ACCOUNT, OTHER_ACCOUNT, SandboxAwsClients, US_EAST, admin_clients, assert_error,
    clients_with_policy, error_parts, policy_with, session_clients,
};
use crate::support::TestSandbox;

fn allow_statement(action: Value, resource: Value) -> Value {
    let mut statement = json!({ "Effect": "Allow" });
    statement["Action"] = action;
    statement["Resource"] = resource;
    statement
}

async fn sandbox_with_objects() -> (TestSandbox, SandboxAwsClients) {
    let sandbox = TestSandbox::scripted().await;
    let admin = admin_clients(&sandbox, ACCOUNT, US_EAST);
    admin.s3.create_bucket().bucket("box").send().await.unwrap();
    for key in ["a/1", "b/1"] {
        admin
            .s3
            .put_object()
            .bucket("box")
            .key(key)
            .send()
            .await
            .unwrap();
    }
    (sandbox, admin)
}

/// What a user with these statements may do: read `a/1`, read `b/1`, read a missing object, write
/// `a/2`, list everything, list `a/`.
async fn granted_operations(sandbox: &TestSandbox, statements: Value) -> String {
    let s3 = clients_with_policy(sandbox, policy_with(statements))
        .await
        .s3;
    let read = async |key: &str| match s3.get_object().bucket("box").key(key).send().await {
        Ok(_) => 'r',
        Err(error) if error.raw_response().unwrap().status().as_u16() == 404 => '0',
        Err(_) => '-',
    };
    let mut out: String = [read("a/1").await, read("b/1").await, read("a/none").await]
        .iter()
        .collect();
    let write = s3.put_object().bucket("box").key("a/2").send().await;
    out.push(if write.is_ok() { 'w' } else { '-' });
    for prefix in ["", "a/"] {
        let list = s3
            .list_objects_v2()
            .bucket("box")
            .prefix(prefix)
            .send()
            .await;
        out.push(if list.is_ok() { 'l' } else { '-' });
    }
    out
}

#[tokio::test]
async fn statements_are_combined() {
    let (sandbox, _admin) = sandbox_with_objects().await;
    let deny = |action: &str, resource: &str| json!({ "Effect": "Deny", "Action": action, "Resource": resource });
    let all = || allow_statement(json!("*"), json!("*"));
    let (bucket, objects) = ("arn:aws:s3:::box", "arn:aws:s3:::box/*");
    let only_a = json!({ "StringLike": { "s3:prefix": "a/*" } });
    let not_get = json!({ "Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*" });
    let not_a =
        json!({ "Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::box/a/*" });
    let when = |condition: Value| {
        let mut statement = all();
        statement["Condition"] = condition;
        statement
    };
    for (statements, expected) in [
        (json!([all()]), "rr0wll"),
        (
            json!([allow_statement(json!("iam:*"), json!("*"))]),
            "------",
        ),
        (
            json!([allow_statement(json!("s3:GetObject"), json!(objects))]),
            "rr----",
        ),
        (
            json!([allow_statement(
                json!("S3:getobject"),
                json!("arn:aws:s3:::box/a/?")
            )]),
            "r-----",
        ),
        (
            json!([allow_statement(
                json!(["s3:Get*", "s3:ListBucket"]),
                json!([bucket, objects])
            )]),
            "rr0-ll",
        ),
        (
            json!([allow_statement(
                json!("s3:PutObject"),
                json!("arn:aws:s3:::box/a/*")
            )]),
            "---w--",
        ),
        (
            json!([{ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket, "Condition": only_a }]),
            "-----l",
        ),
        (
            json!([all(), deny("s3:GetObject", "arn:aws:s3:::box/a/*")]),
            "-r-wll",
        ),
        (json!([all(), deny("s3:List*", "*")]), "rr-w--"),
        (json!([not_get]), "---wll"),
        (json!([not_a]), "-r--ll"),
        (
            json!([when(json!({ "Bool": { "aws:SecureTransport": "false" } }))]),
            "------",
        ),
        (
            json!([when(
                json!({ "StringNotEquals": { "aws:PrincipalAccount": OTHER_ACCOUNT } })
            )]),
            "rr0wll",
        ),
        (
            json!([when(
                json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::*:user/user-*" } })
            )]),
            "rr0wll",
        ),
        (
            json!([when(json!({ "Null": { "s3:prefix": "true" } }))]),
            "rr0w--",
        ),
        (
            json!([when(
                json!({ "StringEqualsIfExists": { "s3:prefix": "a/" } })
            )]),
            "rr0w-l",
        ),
        (
            json!([when(
                json!({ "StringEquals": { "aws:username": "${aws:username}" } })
            )]),
            "rr0wll",
        ),
    ] {
        assert_eq!(
            granted_operations(&sandbox, statements.clone()).await,
            expected,
            "{statements}"
        );
    }
}

#[tokio::test]
async fn requests_map_to_iam_actions() {
    let (sandbox, admin) = sandbox_with_objects().await;
    let read = [
        "s3:ListBucket",
        "s3:GetEncryptionConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketTagging",
        "s3:GetLifecycleConfiguration",
    ];
    let reader = clients_with_policy(
        &sandbox,
        policy_with(json!([allow_statement(
            json!(read),
            json!("arn:aws:s3:::box")
        )])),
    )
    .await
    .s3;
    reader.head_bucket().bucket("box").send().await.unwrap();
    reader
        .get_bucket_encryption()
        .bucket("box")
        .send()
        .await
        .unwrap();
    reader
        .get_public_access_block()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        reader.get_bucket_tagging().bucket("box").send().await,
        404,
        "NoSuchTagSet",
    );
    assert_error(
        reader
            .get_bucket_lifecycle_configuration()
            .bucket("box")
            .send()
            .await,
        404,
        "NoSuchLifecycleConfiguration",
    );
    assert_error(
        reader.get_bucket_versioning().bucket("box").send().await,
        403,
        "AccessDenied",
    );
    assert_error(
        reader.list_object_versions().bucket("box").send().await,
        403,
        "AccessDenied",
    );
    assert_error(reader.list_buckets().send().await, 403, "AccessDenied");
    assert_error(
        reader
            .delete_public_access_block()
            .bucket("box")
            .send()
            .await,
        403,
        "AccessDenied",
    );
    let (_, _, message) = error_parts(reader.delete_bucket().bucket("box").send().await);
    assert!(
        message.starts_with("User: arn:aws:iam::123456789012:user/user-"),
        "{message}"
    );
    let tail = "is not authorized to perform: s3:DeleteBucket on resource: \"arn:aws:s3:::box\" because no identity-based \
                policy allows the s3:DeleteBucket action";
    assert!(message.ends_with(tail), "{message}");
    let object = json!("arn:aws:s3:::box/*");
    let writer = clients_with_policy(
        &sandbox,
        policy_with(json!([allow_statement(json!("s3:PutObject"), object)])),
    )
    .await
    .s3;
    let etag = admin
        .s3
        .head_object()
        .bucket("box")
        .key("a/1")
        .send()
        .await
        .unwrap()
        .e_tag
        .unwrap();
    let put = || writer.put_object().bucket("box").key("a/1");
    put().send().await.unwrap();
    assert_error(put().if_match(etag).send().await, 403, "AccessDenied");
}

#[tokio::test]
async fn bucket_policy_grants_cross_account_access() {
    let (sandbox, admin) = sandbox_with_objects().await;
    let stranger = admin_clients(&sandbox, OTHER_ACCOUNT, US_EAST).s3;
    let get = async |s3: &aws_sdk_s3::Client| {
        s3.get_object()
            .bucket("box")
            .key("a/1")
            .send()
            .await
            .is_ok()
    };
    let put = |statement: Value| {
        let text = policy_with(json!([statement])).to_string();
        admin
            .s3
            .put_bucket_policy()
            .bucket("box")
            .policy(text)
            .send()
    };
    assert!(!get(&stranger).await);
    let mut statement = allow_statement(json!("s3:GetObject"), json!("arn:aws:s3:::box/*"));
    statement["Principal"] = json!({ "AWS": OTHER_ACCOUNT });
    put(statement.clone()).await.unwrap();
    assert!(get(&stranger).await);
    let powerless = clients_with_policy(
        &sandbox,
        policy_with(json!([allow_statement(json!("iam:*"), json!("*"))])),
    )
    .await;
    assert!(!get(&powerless.s3).await);
    let me = powerless.sts.get_caller_identity().send().await.unwrap();
    statement["Principal"] = json!({ "AWS": me.arn().unwrap() });
    put(statement.clone()).await.unwrap();
    assert!(get(&powerless.s3).await);
    assert!(!get(&stranger).await);
    statement["Principal"] = json!({ "AWS": ACCOUNT });
    put(statement.clone()).await.unwrap();
    assert!(!get(&powerless.s3).await);
    statement["Principal"] = json!("*");
    statement["Effect"] = json!("Deny");
    statement["Condition"] = json!({ "Bool": { "aws:SecureTransport": "false" } });
    put(statement.clone()).await.unwrap();
    assert!(get(&admin.s3).await);
    statement["Condition"] = json!({});
    put(statement).await.unwrap();
    assert!(!get(&admin.s3).await);
    let (_, _, message) = error_parts(admin.s3.get_object().bucket("box").key("a/1").send().await);
    assert!(
        message.ends_with("with an explicit deny in a resource-based policy"),
        "{message}"
    );
}

#[tokio::test]
async fn role_is_limited_by_boundary_and_session_policy() {
    let (sandbox, admin) = sandbox_with_objects().await;
    let trust =
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } });
    let role = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy_with(json!([trust])).to_string());
    role.permissions_boundary("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
        .send()
        .await
        .unwrap();
    let all = policy_with(json!([allow_statement(json!("*"), json!("*"))])).to_string();
    admin
        .iam
        .put_role_policy()
        .role_name("r")
        .policy_name("p")
        .policy_document(all)
        .send()
        .await
        .unwrap();
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/r");
    let assume = |clients: &SandboxAwsClients| {
        clients
            .sts
            .assume_role()
            .role_arn(&arn)
            .role_session_name("test")
    };
    let nobody = clients_with_policy(
        &sandbox,
        policy_with(json!([allow_statement(json!("s3:*"), json!("*"))])),
    )
    .await;
    assert_error(assume(&nobody).send().await, 403, "AccessDenied");
    assert_error(
        assume(&admin).duration_seconds(7200).send().await,
        400,
        "ValidationError",
    );
    assert_error(
        assume(&admin).duration_seconds(60).send().await,
        400,
        "ValidationError",
    );
    let narrow = policy_with(json!([allow_statement(
        json!("*"),
        json!("arn:aws:s3:::box/a/*")
    )]))
    .to_string();
    for (session_policy, may_read_b) in [(None, true), (Some(narrow), false)] {
        let assumed = assume(&admin)
            .set_policy(session_policy)
            .send()
            .await
            .unwrap();
        let session = session_clients(&sandbox, assumed.credentials().unwrap());
        let who = session.sts.get_caller_identity().send().await.unwrap();
        assert_eq!(
            who.arn(),
            Some("arn:aws:sts::123456789012:assumed-role/r/test")
        );
        session
            .s3
            .get_object()
            .bucket("box")
            .key("a/1")
            .send()
            .await
            .unwrap();
        let b = session
            .s3
            .get_object()
            .bucket("box")
            .key("b/1")
            .send()
            .await;
        assert_eq!(b.is_ok(), may_read_b);
        let (status, _, message) = error_parts(
            session
                .s3
                .put_object()
                .bucket("box")
                .key("a/1")
                .send()
                .await,
        );
        assert_eq!(status, 403);
        assert!(
            message.ends_with("because no permissions boundary allows the s3:PutObject action"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn iam_conditions_are_evaluated() {
    let (sandbox, _admin) = sandbox_with_objects().await;
    let boundary = "arn:aws:iam::aws:policy/PowerUserAccess";
    let mut create = allow_statement(
        json!(["iam:CreateRole", "iam:PutRolePermissionsBoundary"]),
        json!("arn:aws:iam::*:role/trimtab/*"),
    );
    create["Condition"] = json!({ "StringEquals": { "iam:PermissionsBoundary": boundary } });
    let mut tag = allow_statement(json!("iam:TagRole"), json!("*"));
    tag["Condition"] = json!({ "StringEquals": { "aws:RequestTag/app": "shop" } });
    let iam = clients_with_policy(&sandbox, policy_with(json!([create, tag])))
        .await
        .iam;
    let trust =
        json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } });
    let role = |path: &str, name: &str| {
        iam.create_role()
            .path(path)
            .role_name(name)
            .assume_role_policy_document(policy_with(json!([trust.clone()])).to_string())
    };
    assert_error(role("/trimtab/", "a").send().await, 403, "AccessDenied");
    assert_error(
        role("/other/", "a")
            .permissions_boundary(boundary)
            .send()
            .await,
        403,
        "AccessDenied",
    );
    role("/trimtab/", "a")
        .permissions_boundary(boundary)
        .send()
        .await
        .unwrap();
    let tagged = |value: &str| {
        aws_sdk_iam::types::Tag::builder()
            .key("app")
            .value(value)
            .build()
            .unwrap()
    };
    assert_error(
        role("/trimtab/", "b")
            .permissions_boundary(boundary)
            .tags(tagged("x"))
            .send()
            .await,
        403,
        "AccessDenied",
    );
    role("/trimtab/", "b")
        .permissions_boundary(boundary)
        .tags(tagged("shop"))
        .send()
        .await
        .unwrap();
    let (_, _, message) = error_parts(iam.get_role().role_name("a").send().await);
    assert!(
        message
            .contains("perform: iam:GetRole on resource: role a because no identity-based policy"),
        "{message}"
    );
}
