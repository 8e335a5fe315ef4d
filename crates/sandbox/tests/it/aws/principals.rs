//! As what a policy of a resource names its caller, and what that is worth against the caller's own limits.

use aws_sdk_sts::types::Credentials;
use serde_json::{Value, json};
use trimtab_sandbox::AwsKeys;

use super::kit::{ACCOUNT, Clients, EAST, clients, limited, refused, with_keys};
use crate::kit::Box;

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

fn policy(statements: Value) -> String {
    let mut policy = json!({ "Version": "2012-10-17" });
    policy["Statement"] = statements;
    policy.to_string()
}

fn session(sandbox: &Box, credentials: &Credentials) -> Clients {
    let id = credentials.access_key_id().to_owned();
    let keys = AwsKeys {
        id,
        secret: credentials.secret_access_key().to_owned(),
    };
    with_keys(
        sandbox,
        &keys,
        Some(credentials.session_token().to_owned()),
        EAST,
    )
}

/// A bucket with an object, and a role that may nothing, and would be kept to IAM if it might.
async fn stage(boundary: Option<&str>) -> (Box, Clients) {
    let sandbox = Box::scripted().await;
    let admin = clients(&sandbox, ACCOUNT, EAST);
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
        .assume_role_policy_document(policy(trust));
    role.set_permissions_boundary(boundary.map(str::to_owned))
        .send()
        .await
        .unwrap();
    (sandbox, admin)
}

async fn open(admin: &Clients, principal: &str) {
    let statement = json!([{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/*",
        "Principal": { "AWS": principal } }]);
    admin
        .s3
        .put_bucket_policy()
        .bucket("box")
        .policy(policy(statement))
        .send()
        .await
        .unwrap();
}

async fn reads(clients: &Clients) -> Result<(), String> {
    match clients.s3.get_object().bucket("box").key("a").send().await {
        Ok(_) => Ok(()),
        error => Err(refused(error).2),
    }
}

#[tokio::test]
async fn what_is_granted_to_a_role_stays_within_its_limits() {
    const IAM_ONLY: &str = "arn:aws:iam::aws:policy/IAMFullAccess";
    let other = policy(json!([{ "Effect": "Allow", "Action": "iam:*", "Resource": "*" }]));
    for (boundary, narrow, missing) in [
        (None, None, None),
        (Some(IAM_ONLY), None, Some("permissions boundary")),
        (None, Some(other), Some("session policy")),
    ] {
        let (sandbox, admin) = stage(boundary).await;
        let assumed = admin
            .sts
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session")
            .set_policy(narrow);
        let assumed = assumed.send().await.unwrap();
        let session = session(&sandbox, assumed.credentials().unwrap());
        let own = session
            .sts
            .get_caller_identity()
            .send()
            .await
            .unwrap()
            .arn()
            .unwrap()
            .to_owned();
        assert!(reads(&session).await.is_err(), "nothing is granted yet");
        open(&admin, ROLE).await;
        let expected = match missing {
            None => Ok(()),
            Some(kind) => Err(format!(
                "User: {own} is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::box/a\" because no \
                 {kind} allows the s3:GetObject action"
            )),
        };
        assert_eq!(reads(&session).await, expected);
        open(&admin, &own).await;
        assert_eq!(
            reads(&session).await,
            Ok(()),
            "what is granted to the session has no limits"
        );
    }
}

#[tokio::test]
async fn a_trust_policy_does_not_reach_past_the_limits_of_its_caller() {
    let (sandbox, admin) = stage(None).await;
    let deny = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*" }] });
    let denied = limited(&sandbox, deny).await;
    let powerless = json!({ "Version": "2012-10-17", "Statement":
        [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] });
    let powerless = limited(&sandbox, powerless).await;
    let name = async |clients: &Clients| {
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
        .policy_document(policy(trust));
    update.send().await.unwrap();
    let assume = |clients: &Clients| {
        clients
            .sts
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session")
            .send()
    };
    assume(&powerless).await.unwrap();
    let (status, _, message) = refused(assume(&denied).await);
    assert!(
        status == 403 && message.ends_with("with an explicit deny in an identity-based policy"),
        "{message}"
    );
}

#[tokio::test]
async fn a_role_that_comes_later_is_another_to_whatever_named_the_first() {
    let (sandbox, admin) = stage(None).await;
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
    open(&admin, ROLE).await;
    let trust = json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": [ROLE, ACCOUNT] } }]);
    let other = admin
        .iam
        .create_role()
        .role_name("other")
        .assume_role_policy_document(policy(trust.clone()));
    other.send().await.unwrap();
    admin.iam.delete_role().role_name("r").send().await.unwrap();
    let again = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy(trust[0].clone()));
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
        .assume_role_policy_document(policy(plain));
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
        reads(&session(&sandbox, assumed.credentials().unwrap()))
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
    assert_eq!(refused(put).1, "MalformedPolicy");
}
