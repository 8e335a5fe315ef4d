//! Condition keys about the session of a role.

use serde_json::json;

use super::support::{ACCOUNT, US_EAST, admin_clients, assert_error, policy_with, session_clients};
use crate::support::TestSandbox;

#[tokio::test]
async fn session_condition_keys_are_evaluated() {
    let sandbox = TestSandbox::scripted().await;
    let admin = admin_clients(&sandbox, ACCOUNT, US_EAST);
    admin.s3.create_bucket().bucket("box").send().await.unwrap();
    let trust =
        json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } }]);
    let tag = aws_sdk_iam::types::Tag::builder()
        .key("Team")
        .value("blue")
        .build()
        .unwrap();
    let role = admin
        .iam
        .create_role()
        .role_name("r")
        .assume_role_policy_document(policy_with(trust).to_string())
        .tags(tag);
    role.send().await.unwrap();
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
    let all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let issued_at = "2026-01-01T00:00:00Z";
    for (condition, holds) in [
        (
            json!({ "StringEquals": { "aws:PrincipalTag/team": "blue" } }),
            true,
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalTag/Team": "red" } }),
            false,
        ),
        (
            json!({ "DateLessThan": { "aws:TokenIssueTime": "2026-01-01T00:00:01Z" } }),
            true,
        ),
        (
            json!({ "DateLessThan": { "aws:TokenIssueTime": issued_at } }),
            false,
        ),
        (
            json!({ "BoolIfExists": { "aws:MultiFactorAuthPresent": "false" } }),
            true,
        ),
        (json!({ "Bool": { "aws:ViaAWSService": "false" } }), true),
        (json!({ "Null": { "aws:FederatedProvider": "true" } }), true),
    ] {
        let mut deny = json!({ "Effect": "Deny", "Action": "s3:*", "Resource": "*" });
        deny["Condition"] = condition.clone();
        let text = policy_with(json!([all, deny])).to_string();
        admin
            .iam
            .put_role_policy()
            .role_name("r")
            .policy_name("p")
            .policy_document(text)
            .send()
            .await
            .unwrap();
        let head = session.s3.list_objects_v2().bucket("box").send().await;
        match holds {
            true => assert_error(head, 403, "AccessDenied"),
            false => assert!(head.is_ok(), "{condition}"),
        }
    }
}
