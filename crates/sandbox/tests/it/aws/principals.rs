//! Principals in resource policies, and how such policies combine with the caller's own limits.

use serde_json::{Value, json};

use super::support::{
    ACCOUNT, SandboxAwsClients, US_EAST, admin_clients, clients_with_policy, error_parts,
    policy_with, session_clients,
};
use crate::support::TestSandbox;

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

/// A sandbox with a bucket, an object in it, and a role without permissions of its own.
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
        .assume_role_policy_document(policy_with(trust).to_string());
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
        .policy(policy_with(statement).to_string())
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
    let other =
        policy_with(json!([{ "Effect": "Allow", "Action": "iam:*", "Resource": "*" }])).to_string();
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
        .policy_document(policy_with(trust).to_string());
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
        .assume_role_policy_document(policy_with(trust.clone()).to_string());
    other.send().await.unwrap();
    admin.iam.delete_role().role_name("r").send().await.unwrap();
    let again = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy_with(trust[0].clone()).to_string());
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
        .assume_role_policy_document(policy_with(plain).to_string());
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
    let stored = admin
        .s3
        .get_bucket_policy()
        .bucket("box")
        .send()
        .await
        .unwrap();
    let stored: Value = serde_json::from_str(stored.policy().unwrap()).unwrap();
    assert_eq!(stored["Statement"][0]["Principal"]["AWS"], json!(first));
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
    // A stored policy may keep the id of a deleted role, but it cannot be written again.
    let put = admin
        .s3
        .put_bucket_policy()
        .bucket("box")
        .policy(stored.to_string())
        .send()
        .await;
    assert_eq!(error_parts(put).1, "MalformedPolicy");
}
