//! As what a policy of a resource names its caller, and what that is worth against the caller's own limits.

use aws_sdk_sts::types::Credentials;
use serde_json::{Value, json};
use trimtab_sandbox::AwsAccessKey;

use super::support::{
    ACCOUNT, SandboxAwsClients, US_EAST, admin_clients, clients_with_keys, clients_with_policy,
    error_parts,
};
use crate::support::TestSandbox;

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

fn policy_with(statements: Value) -> String {
    let mut policy = json!({ "Version": "2012-10-17" });
    policy["Statement"] = statements;
    policy.to_string()
}

fn session_clients(sandbox: &TestSandbox, credentials: &Credentials) -> SandboxAwsClients {
    let id = credentials.access_key_id().to_owned();
    let keys = AwsAccessKey {
        id,
        secret: credentials.secret_access_key().to_owned(),
    };
    clients_with_keys(
        sandbox,
        &keys,
        Some(credentials.session_token().to_owned()),
        US_EAST,
    )
}

/// A bucket with an object, and a role that may nothing, and would be kept to IAM if it might.
async fn sandbox_with_role(boundary: Option<&str>) -> (TestSandbox, SandboxAwsClients) {
    let sandbox = TestSandbox::scripted().await;
    let admin = admin_clients(&sandbox, ACCOUNT, US_EAST);
    admin.s3.create_bucket().bucket("box").send().await.unwrap();
    admin
        .s3
        .put_object()
        .bucket("box")
        .key("a")
        .send()
        .await
        .unwrap();
    let trust =
        json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } }]);
    let role = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy_with(trust));
    role.set_permissions_boundary(boundary.map(str::to_owned))
        .send()
        .await
        .unwrap();
    (sandbox, admin)
}

async fn allow_in_bucket_policy(admin: &SandboxAwsClients, principal: &str) {
    let statement = json!([{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/*",
        "Principal": { "AWS": principal } }]);
    admin
        .s3
        .put_bucket_policy()
        .bucket("box")
        .policy(policy_with(statement))
        .send()
        .await
        .unwrap();
}

async fn read_object(clients: &SandboxAwsClients) -> Result<(), String> {
    match clients.s3.get_object().bucket("box").key("a").send().await {
        Ok(_) => Ok(()),
        error => Err(error_parts(error).2),
    }
}

#[tokio::test]
async fn resource_policy_for_role_respects_its_limits() {
    const IAM_ONLY: &str = "arn:aws:iam::aws:policy/IAMFullAccess";
    let other = policy_with(json!([{ "Effect": "Allow", "Action": "iam:*", "Resource": "*" }]));
    for (boundary, narrow, missing) in [
        (None, None, None),
        (Some(IAM_ONLY), None, Some("permissions boundary")),
        (None, Some(other), Some("session policy")),
    ] {
        let (sandbox, admin) = sandbox_with_role(boundary).await;
        let assumed = admin
            .sts
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session")
            .set_policy(narrow);
        let assumed = assumed.send().await.unwrap();
        let session = session_clients(&sandbox, assumed.credentials().unwrap());
        let own = session
            .sts
            .get_caller_identity()
            .send()
            .await
            .unwrap()
            .arn()
            .unwrap()
            .to_owned();
        assert!(
            read_object(&session).await.is_err(),
            "nothing is granted yet"
        );
        allow_in_bucket_policy(&admin, ROLE).await;
        let expected = match missing {
            None => Ok(()),
            Some(kind) => Err(format!(
                "User: {own} is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::box/a\" because no \
                 {kind} allows the s3:GetObject action"
            )),
        };
        assert_eq!(read_object(&session).await, expected);
        allow_in_bucket_policy(&admin, &own).await;
        assert_eq!(
            read_object(&session).await,
            Ok(()),
            "what is granted to the session has no limits"
        );
    }
}

#[tokio::test]
async fn trust_policy_does_not_override_caller_deny() {
    let (sandbox, admin) = sandbox_with_role(None).await;
    let deny = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*" }] });
    let denied = clients_with_policy(&sandbox, deny).await;
    let powerless = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] });
    let powerless = clients_with_policy(&sandbox, powerless).await;
    let name = async |clients: &SandboxAwsClients| {
        clients
            .sts
            .get_caller_identity()
            .send()
            .await
            .unwrap()
            .arn()
            .unwrap()
            .to_owned()
    };
    let trust = json!([{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": [name(&denied).await, name(&powerless).await] } }]);
    let update = admin
        .iam
        .update_assume_role_policy()
        .role_name("r")
        .policy_document(policy_with(trust));
    update.send().await.unwrap();
    let assume = |clients: &SandboxAwsClients| {
        clients
            .sts
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session")
            .send()
    };
    assume(&powerless).await.unwrap();
    let (status, _, message) = error_parts(assume(&denied).await);
    assert!(
        status == 403 && message.ends_with("with an explicit deny in an identity-based policy"),
        "{message}"
    );
}

#[tokio::test]
async fn recreated_role_is_a_new_principal() {
    let (sandbox, admin) = sandbox_with_role(None).await;
    let first = admin
        .iam
        .get_role()
        .role_name("r")
        .send()
        .await
        .unwrap()
        .role()
        .unwrap()
        .role_id()
        .to_owned();
    allow_in_bucket_policy(&admin, ROLE).await;
    let trust = json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": [ROLE, ACCOUNT] } }]);
    let other = admin
        .iam
        .create_role()
        .role_name("other")
        .assume_role_policy_document(policy_with(trust.clone()));
    other.send().await.unwrap();
    admin.iam.delete_role().role_name("r").send().await.unwrap();
    let again = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy_with(trust[0].clone()));
    assert!(
        again.send().await.is_err(),
        "a role does not trust itself before it is there"
    );
    let plain =
        json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } }]);
    let again = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy_with(plain));
    again.send().await.unwrap();
    let assumed = admin
        .sts
        .assume_role()
        .role_arn(ROLE)
        .role_session_name("session")
        .send()
        .await
        .unwrap();
    assert!(
        read_object(&session_clients(&sandbox, assumed.credentials().unwrap()))
            .await
            .is_err()
    );
    let kept = admin
        .s3
        .get_bucket_policy()
        .bucket("box")
        .send()
        .await
        .unwrap();
    let kept: Value = serde_json::from_str(kept.policy().unwrap()).unwrap();
    assert_eq!(kept["Statement"][0]["Principal"]["AWS"], json!(first));
    let trust = admin
        .iam
        .get_role()
        .role_name("other")
        .send()
        .await
        .unwrap();
    assert!(
        trust
            .role()
            .unwrap()
            .assume_role_policy_document()
            .unwrap()
            .contains(&first)
    );
    // What is nobody's can stay, and cannot be written.
    let put = admin
        .s3
        .put_bucket_policy()
        .bucket("box")
        .policy(kept.to_string())
        .send()
        .await;
    assert_eq!(error_parts(put).1, "MalformedPolicy");
}
