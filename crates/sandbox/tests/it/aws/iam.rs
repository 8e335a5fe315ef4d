//! IAM roles and OIDC providers.

use aws_sdk_iam::Client;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::support::{
    ACCOUNT, EU_CENTRAL, US_EAST, admin_clients, assert_error, error_parts, iam_tag,
};
use crate::support::TestSandbox;

fn trust_policy() -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": { "Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.fly.io/acme") },
        "Condition": { "StringLike": { "oidc.fly.io/acme:sub": "acme:shop:*" } },
    }] })
}

fn access_policy() -> Value {
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/a+b/*" },
    ] })
}

fn decode_policy(text: Option<&str>) -> Value {
    let text = text.unwrap();
    assert!(!text.contains(['{', '/', '*', '+', ' ']), "{text}");
    serde_json::from_str(&percent_decode_str(text).decode_utf8().unwrap()).unwrap()
}

fn create_role(
    iam: &Client,
    name: &str,
) -> aws_sdk_iam::operation::create_role::builders::CreateRoleFluentBuilder {
    iam.create_role()
        .role_name(name)
        .path("/trimtab/shop/")
        .assume_role_policy_document(trust_policy().to_string())
}

#[tokio::test]
async fn role_round_trips() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, EU_CENTRAL).iam;
    let created = create_role(&iam, "backup")
        .description("for backups")
        .max_session_duration(7200);
    let created = created
        .tags(iam_tag("app", "shop"))
        .permissions_boundary("arn:aws:iam::aws:policy/PowerUserAccess");
    let created = created.send().await.unwrap();
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/trimtab/shop/backup");
    assert_eq!(created.role().unwrap().arn(), arn);
    assert_error(
        create_role(&iam, "BACKUP").send().await,
        409,
        "EntityAlreadyExists",
    );
    let got = iam.get_role().role_name("backup").send().await.unwrap();
    let role = got.role().unwrap();
    assert_eq!(
        (role.path(), role.description(), role.max_session_duration()),
        ("/trimtab/shop/", Some("for backups"), Some(7200))
    );
    assert_eq!(
        decode_policy(role.assume_role_policy_document()),
        trust_policy()
    );
    assert_eq!(role.tags(), [iam_tag("app", "shop")]);
    assert!(role.permissions_boundary().is_some());
    let list = iam
        .list_roles()
        .path_prefix("/trimtab/")
        .send()
        .await
        .unwrap();
    assert_eq!((list.roles().len(), list.roles()[0].tags().len()), (1, 0));
    assert!(list.roles()[0].permissions_boundary().is_none());
    assert!(
        iam.list_roles()
            .path_prefix("/other/")
            .send()
            .await
            .unwrap()
            .roles()
            .is_empty()
    );
    iam.update_role()
        .role_name("backup")
        .description("")
        .max_session_duration(3600)
        .send()
        .await
        .unwrap();
    iam.tag_role()
        .role_name("backup")
        .tags(iam_tag("APP", "store"))
        .tags(iam_tag("x", "y"))
        .send()
        .await
        .unwrap();
    iam.untag_role()
        .role_name("backup")
        .tag_keys("x")
        .send()
        .await
        .unwrap();
    iam.delete_role_permissions_boundary()
        .role_name("backup")
        .send()
        .await
        .unwrap();
    let got = iam.get_role().role_name("backup").send().await.unwrap();
    let role = got.role().unwrap();
    assert_eq!(
        (role.description(), role.max_session_duration()),
        (None, Some(3600))
    );
    assert_eq!(
        (role.tags(), role.permissions_boundary()),
        (&[iam_tag("APP", "store")][..], None)
    );
    let tags = iam
        .list_role_tags()
        .role_name("backup")
        .send()
        .await
        .unwrap();
    assert_eq!(tags.tags().len(), 1);
}

#[tokio::test]
async fn invalid_role_is_rejected_with_reason() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    assert_error(
        create_role(&iam, "no spaces").send().await,
        400,
        "ValidationError",
    );
    assert_error(
        create_role(&iam, &"n".repeat(65)).send().await,
        400,
        "ValidationError",
    );
    assert_error(
        create_role(&iam, "r").path("shop").send().await,
        400,
        "ValidationError",
    );
    assert_error(
        create_role(&iam, "r").max_session_duration(60).send().await,
        400,
        "ValidationError",
    );
    assert_error(
        create_role(&iam, "r")
            .tags(iam_tag("aws:x", "y"))
            .send()
            .await,
        400,
        "InvalidInput",
    );
    assert_error(
        create_role(&iam, "r")
            .permissions_boundary("arn:aws:iam::aws:policy/No")
            .send()
            .await,
        404,
        "NoSuchEntity",
    );
    for (document, message) in [
        ("{", "Syntax errors in policy."),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#,
            "Missing required field Principal.",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"},"Resource":"*"}}"#,
            "Has prohibited field Resource.",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Principal":{"AWS":"*"}}}"#,
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::123456789012:role/no"}}}"#,
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:role/no\"",
        ),
    ] {
        let created = iam
            .create_role()
            .role_name("r")
            .assume_role_policy_document(document)
            .send()
            .await;
        let (status, code, message_text) = error_parts(created);
        assert_eq!(
            (status, code.as_str(), message_text.as_str()),
            (400, "MalformedPolicyDocument", message)
        );
    }
    let long = trust_policy()
        .to_string()
        .replace("acme:shop", &"a".repeat(2048));
    assert_error(
        create_role(&iam, "r")
            .assume_role_policy_document(long)
            .send()
            .await,
        409,
        "LimitExceeded",
    );
    assert_error(
        iam.get_role().role_name("r").send().await,
        404,
        "NoSuchEntity",
    );
    assert_error(
        iam.delete_role().role_name("r").send().await,
        404,
        "NoSuchEntity",
    );
}

#[tokio::test]
async fn role_with_policies_cannot_be_deleted() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    create_role(&iam, "r").send().await.unwrap();
    let put = |text: String| {
        iam.put_role_policy()
            .role_name("r")
            .policy_name("p")
            .policy_document(text)
            .send()
    };
    assert_error(put("{}".to_owned()).await, 400, "MalformedPolicyDocument");
    assert_error(
        put(access_policy().to_string().replace("arn:", "urn:")).await,
        400,
        "MalformedPolicyDocument",
    );
    assert_error(
        put(access_policy()
            .to_string()
            .replace("box", &"b".repeat(10_240)))
        .await,
        409,
        "LimitExceeded",
    );
    put(access_policy().to_string()).await.unwrap();
    put(access_policy().to_string()).await.unwrap();
    let got = iam
        .get_role_policy()
        .role_name("r")
        .policy_name("p")
        .send()
        .await
        .unwrap();
    assert_eq!(decode_policy(Some(got.policy_document())), access_policy());
    assert_eq!(
        iam.list_role_policies()
            .role_name("r")
            .send()
            .await
            .unwrap()
            .policy_names(),
        ["p"]
    );
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    assert_error(
        iam.attach_role_policy()
            .role_name("r")
            .policy_arn("arn:aws:iam::aws:policy/No")
            .send()
            .await,
        404,
        "NoSuchEntity",
    );
    iam.attach_role_policy()
        .role_name("r")
        .policy_arn(arn)
        .send()
        .await
        .unwrap();
    let attached = iam
        .list_attached_role_policies()
        .role_name("r")
        .send()
        .await
        .unwrap();
    assert_eq!(
        attached.attached_policies()[0].policy_name(),
        Some("ReadOnlyAccess")
    );
    let policy = iam.get_policy().policy_arn(arn).send().await.unwrap();
    assert_eq!(policy.policy().unwrap().attachment_count(), Some(1));
    assert_error(
        iam.delete_role().role_name("r").send().await,
        409,
        "DeleteConflict",
    );
    iam.delete_role_policy()
        .role_name("r")
        .policy_name("p")
        .send()
        .await
        .unwrap();
    assert_error(
        iam.delete_role_policy()
            .role_name("r")
            .policy_name("p")
            .send()
            .await,
        404,
        "NoSuchEntity",
    );
    assert_error(
        iam.delete_role().role_name("r").send().await,
        409,
        "DeleteConflict",
    );
    iam.detach_role_policy()
        .role_name("r")
        .policy_arn(arn)
        .send()
        .await
        .unwrap();
    assert_error(
        iam.detach_role_policy()
            .role_name("r")
            .policy_arn(arn)
            .send()
            .await,
        404,
        "NoSuchEntity",
    );
    let profiles = iam
        .list_instance_profiles_for_role()
        .role_name("r")
        .send()
        .await
        .unwrap();
    assert!(profiles.instance_profiles().is_empty());
    iam.delete_role().role_name("r").send().await.unwrap();
}

#[tokio::test]
async fn role_list_is_paged() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    for name in ["a", "b", "c"] {
        create_role(&iam, name).send().await.unwrap();
    }
    let first = iam.list_roles().max_items(2).send().await.unwrap();
    assert!(first.is_truncated());
    let rest = iam
        .list_roles()
        .marker(first.marker().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            rest.roles().len(),
            rest.roles()[0].role_name(),
            rest.is_truncated()
        ),
        (1, "c", false)
    );
}

#[tokio::test]
async fn provider_round_trips() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    let create = |url: &str| {
        iam.create_open_id_connect_provider()
            .url(url)
            .client_id_list("sts.amazonaws.com")
            .tags(iam_tag("a", "b"))
    };
    for wrong in [
        "http://oidc.fly.io/acme",
        "oidc.fly.io/acme",
        "https://",
        "https://x/?y=z",
    ] {
        assert_error(create(wrong).send().await, 400, "InvalidInput");
    }
    let created = create("https://oidc.fly.io/acme").send().await.unwrap();
    let arn = created.open_id_connect_provider_arn().unwrap();
    assert_eq!(
        arn,
        format!("arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.fly.io/acme")
    );
    assert_error(
        create("https://oidc.fly.io/acme").send().await,
        409,
        "EntityAlreadyExists",
    );
    for _ in 0..2 {
        let add = iam
            .add_client_id_to_open_id_connect_provider()
            .open_id_connect_provider_arn(arn);
        add.client_id("other").send().await.unwrap();
    }
    let get = async || {
        iam.get_open_id_connect_provider()
            .open_id_connect_provider_arn(arn)
            .send()
            .await
    };
    let got = get().await.unwrap();
    assert_eq!(got.url(), Some("oidc.fly.io/acme"));
    assert_eq!(got.client_id_list(), ["sts.amazonaws.com", "other"]);
    assert_eq!(
        (got.thumbprint_list().len(), got.thumbprint_list()[0].len()),
        (1, 40)
    );
    assert_eq!(got.tags(), [iam_tag("a", "b")]);
    assert!(got.create_date().is_some());
    for _ in 0..2 {
        let remove = iam
            .remove_client_id_from_open_id_connect_provider()
            .open_id_connect_provider_arn(arn);
        remove.client_id("other").send().await.unwrap();
    }
    iam.tag_open_id_connect_provider()
        .open_id_connect_provider_arn(arn)
        .tags(iam_tag("a", "c"))
        .send()
        .await
        .unwrap();
    iam.untag_open_id_connect_provider()
        .open_id_connect_provider_arn(arn)
        .tag_keys("z")
        .send()
        .await
        .unwrap();
    let got = get().await.unwrap();
    assert_eq!(
        (got.client_id_list().len(), got.tags()),
        (1, &[iam_tag("a", "c")][..])
    );
    let list = iam.list_open_id_connect_providers().send().await.unwrap();
    assert_eq!(list.open_id_connect_provider_list()[0].arn(), Some(arn));
    for _ in 0..2 {
        iam.delete_open_id_connect_provider()
            .open_id_connect_provider_arn(arn)
            .send()
            .await
            .unwrap();
    }
    assert_error(get().await, 404, "NoSuchEntity");
}
