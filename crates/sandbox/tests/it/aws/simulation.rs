//! `SimulatePrincipalPolicy`: what the policies of a user would say to a request.

use std::collections::BTreeMap;

use serde_json::json;

use super::support::{assert_error, clients_with_policy, policy_with};
use crate::support::TestSandbox;

#[tokio::test]
async fn a_simulation_says_what_the_policies_say() {
    let sandbox = TestSandbox::scripted().await;
    let tagged = json!({ "StringEquals": { "aws:RequestTag/team": "web" } });
    let statements = json!([
        { "Effect": "Allow", "Action": ["iam:Simulate*", "s3:Get*"], "Resource": "*" },
        { "Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::secret/*" },
        { "Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*", "Condition": tagged },
    ]);
    let clients = clients_with_policy(&sandbox, policy_with(statements)).await;
    let caller = clients.sts.get_caller_identity().send().await.unwrap();
    let arn = caller.arn().unwrap();
    let simulation = clients
        .iam
        .simulate_principal_policy()
        .policy_source_arn(arn);
    let answer = simulation
        .clone()
        .action_names("s3:GetObject")
        .action_names("s3:PutObject")
        .action_names("iam:CreateRole")
        .resource_arns("arn:aws:s3:::box/a")
        .resource_arns("arn:aws:s3:::secret/a")
        .send()
        .await
        .unwrap();
    let decisions: BTreeMap<(&str, &str), (&str, usize)> = answer
        .evaluation_results()
        .iter()
        .map(|result| {
            let specific = &result.resource_specific_results()[0];
            let resource = result.eval_resource_name().unwrap();
            assert_eq!(specific.eval_resource_decision(), result.eval_decision());
            let missing = specific.missing_context_values().len();
            let decision = result.eval_decision().as_str();
            ((result.eval_action_name(), resource), (decision, missing))
        })
        .collect();
    let (open, secret) = ("arn:aws:s3:::box/a", "arn:aws:s3:::secret/a");
    assert_eq!(decisions[&("s3:GetObject", open)], ("allowed", 0));
    assert_eq!(decisions[&("s3:GetObject", secret)], ("explicitDeny", 0));
    assert_eq!(decisions[&("s3:PutObject", open)], ("implicitDeny", 0));
    // It depends on a tag that only a real request has.
    assert_eq!(decisions[&("iam:CreateRole", open)], ("implicitDeny", 1));
    let nobody = arn.replace(":user/", ":user/nobody-");
    let unknown = simulation
        .policy_source_arn(nobody)
        .action_names("s3:GetObject");
    assert_error(unknown.send().await, 404, "NoSuchEntity");
    let nothing = json!([{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" }]);
    let other = clients_with_policy(&sandbox, policy_with(nothing)).await;
    let refused = other
        .iam
        .simulate_principal_policy()
        .policy_source_arn(arn)
        .action_names("s3:GetObject");
    assert_error(refused.send().await, 403, "AccessDenied");
}
