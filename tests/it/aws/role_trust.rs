//! Roles that trust each other, roles that somebody works with, and documents that cannot be read.

use serde_json::json;

use super::{
    SdkClients,
    permissions::{LimitedRun, real_speed_env},
};
use crate::support::TestEnv;

const HEAD: &str = "project = \"harbor\"\nfly.org = \"acme\"\n[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n\
    [buckets.backups]\n";

/// A role that these principals may assume.
fn role(key: &str, principals: &str) -> String {
    format!(
        "[roles.{key}.trust]\nVersion = \"2012-10-17\"\n[[roles.{key}.trust.Statement]]\nEffect = \"Allow\"\n\
         Principal = {{ AWS = {principals} }}\nAction = \"sts:AssumeRole\"\n"
    )
}

/// A policy of a role, with these actions on everything.
fn policy(key: &str, name: &str, actions: &str) -> String {
    format!(
        "[roles.{key}.policies.{name}]\nVersion = \"2012-10-17\"\n[[roles.{key}.policies.{name}.Statement]]\n\
         Effect = \"Allow\"\nAction = {actions}\nResource = \"*\"\n"
    )
}

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/trimtab/harbor/test/{name}")
}

#[tokio::test]
async fn roles_that_trust_themselves_and_each_other_are_created() {
    let manifest = [
        HEAD.to_owned(),
        role("itself", "[\"123456789012\", \"${roles.itself.arn}\"]"),
        role("one", "\"${roles.other.arn}\""),
        role("other", "\"${roles.one.arn}\""),
        role("follower", "\"${roles.one.arn}\""),
    ]
    .concat();
    let env = TestEnv::new(&manifest).await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let iam = SdkClients::administrator(&env).iam;
    let created = iam.get_role().role_name("harbor-test-itself").send();
    let trust = created.await.unwrap().role.unwrap();
    let trust = trust.assume_role_policy_document.unwrap();
    assert!(trust.contains("harbor-test-itself"), "{trust}");
}

#[tokio::test]
async fn document_that_cannot_be_read_is_different_and_replaced() {
    let manifest = format!("{HEAD}{}", role("ops", "\"123456789012\""));
    let env = TestEnv::new(&manifest).await;
    env.apply().await;
    // The reader does not guess what is left of a number with so many digits.
    let unreadable = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": "123456789012" }, "Action": "sts:AssumeRole",
        "Condition": { "NumericEquals": { "aws:MultiFactorAuthAge": 1_234_567_890_123_456_789_012.0_f64 } },
    }] });
    let iam = SdkClients::administrator(&env).iam;
    iam.update_assume_role_policy()
        .role_name("harbor-test-ops")
        .policy_document(unreadable.to_string())
        .send()
        .await
        .unwrap();
    let summary = env.summary().await;
    assert!(
        summary.len() == 1 && summary[0].starts_with("update aws.role/ops trust"),
        "{summary:?}"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

fn manifest_with_ci(policies: &str) -> String {
    format!("{HEAD}{}{policies}", role("ci", "\"123456789012\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn role_that_the_run_works_with_is_neither_removed_nor_weakened() {
    let all = policy("ci", "all", "[\"s3:*\", \"iam:*\"]");
    let extra = policy("ci", "extra", "\"s3:ListAllMyBuckets\"");
    let env = real_speed_env(&manifest_with_ci(&format!("{all}{extra}"))).await;
    env.apply().await;
    let run = LimitedRun::as_role(&env, &role_arn("harbor-test-ci")).await;
    // More rights than before do no harm.
    let more = policy("ci", "all", "[\"s3:*\", \"iam:*\", \"kms:*\"]");
    env.write_manifest(&manifest_with_ci(&format!("{more}{extra}")));
    run.assert_succeeds(&["apply", "test", "--yes"]).await;
    for manifest in [
        HEAD.to_owned(),
        manifest_with_ci(&all),
        manifest_with_ci(&more),
    ] {
        env.write_manifest(&manifest);
        let (code, text) = run
            .run(&["apply", "test", "--yes", "--max-destroy", "100"])
            .await;
        assert_eq!(code, Some(3), "{text}");
        assert!(
            text.contains("the credentials of this run are a session of role harbor-test-ci"),
            "{text}"
        );
    }
    // Others may.
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}
