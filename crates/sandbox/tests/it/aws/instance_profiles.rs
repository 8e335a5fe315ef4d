//! Instance profiles, which keep a role from being deleted, and documents that IAM keeps as they are.

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error, error_parts};
use crate::support::TestSandbox;

fn trust_policy() -> String {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "ec2.amazonaws.com" },
    }] })
    .to_string()
}

#[tokio::test]
async fn role_in_instance_profile_cannot_be_deleted() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    for role in ["runner", "other"] {
        let create = iam.create_role().role_name(role);
        create
            .assume_role_policy_document(trust_policy())
            .send()
            .await
            .unwrap();
    }
    let profiles = async || {
        let list = iam.list_instance_profiles_for_role().role_name("runner");
        let list = list.send().await.unwrap();
        let names = list.instance_profiles().iter();
        names
            .map(|profile| profile.instance_profile_name().to_owned())
            .collect::<Vec<_>>()
    };
    let create = || {
        iam.create_instance_profile()
            .instance_profile_name("fleet")
            .send()
    };
    let created = create().await.unwrap();
    let arn = format!("arn:aws:iam::{ACCOUNT}:instance-profile/fleet");
    assert_eq!(created.instance_profile().unwrap().arn(), arn);
    assert_error(create().await, 409, "EntityAlreadyExists");
    assert_eq!(profiles().await, Vec::<String>::new());
    let add = |role: &str| {
        let add = iam
            .add_role_to_instance_profile()
            .instance_profile_name("fleet");
        add.role_name(role).send()
    };
    add("runner").await.unwrap();
    assert_error(add("other").await, 409, "LimitExceeded");
    assert_eq!(profiles().await, ["fleet"]);
    let profile = iam.get_instance_profile().instance_profile_name("fleet");
    let profile = profile.send().await.unwrap();
    let roles = profile.instance_profile().unwrap().roles().to_owned();
    assert_eq!(
        roles
            .iter()
            .map(aws_sdk_iam::types::Role::role_name)
            .collect::<Vec<_>>(),
        ["runner"]
    );
    let delete_role = || iam.delete_role().role_name("runner").send();
    let (status, code, message) = error_parts(delete_role().await);
    assert_eq!((status, code.as_str()), (409, "DeleteConflict"));
    assert!(
        message.contains("must remove roles from instance profile first"),
        "{message}"
    );
    let delete_profile = || {
        iam.delete_instance_profile()
            .instance_profile_name("fleet")
            .send()
    };
    assert_error(delete_profile().await, 409, "DeleteConflict");
    let remove = iam
        .remove_role_from_instance_profile()
        .instance_profile_name("fleet");
    remove.role_name("runner").send().await.unwrap();
    delete_role().await.unwrap();
    delete_profile().await.unwrap();
    assert_error(delete_profile().await, 404, "NoSuchEntity");
}

/// Documents with a key twice exist on live roles (hashicorp/terraform-provider-aws#33026), so clients
/// must be able to meet one here.
#[tokio::test]
async fn documents_with_duplicate_keys_are_kept() {
    let sandbox = TestSandbox::scripted().await;
    let iam = admin_clients(&sandbox, ACCOUNT, US_EAST).iam;
    let create = iam.create_role().role_name("backup");
    create
        .assume_role_policy_document(trust_policy())
        .send()
        .await
        .unwrap();
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.fly.io/acme"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"oidc.fly.io/acme:sub":"acme:web:x"},"StringEquals":{"oidc.fly.io/acme:aud":"sts.amazonaws.com"}}}]}"#;
    let update = iam.update_assume_role_policy().role_name("backup");
    update.policy_document(text).send().await.unwrap();
    let role = iam.get_role().role_name("backup").send().await.unwrap();
    let stored = role.role().unwrap().assume_role_policy_document().unwrap();
    assert_eq!(percent_decode_str(stored).decode_utf8().unwrap(), text);
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Action":"s3:PutObject","Resource":"*"}]}"#;
    let put = iam.put_role_policy().role_name("backup").policy_name("p");
    put.policy_document(text).send().await.unwrap();
    let got = iam.get_role_policy().role_name("backup").policy_name("p");
    let got = got.send().await.unwrap();
    assert_eq!(
        percent_decode_str(got.policy_document())
            .decode_utf8()
            .unwrap(),
        text
    );
}
