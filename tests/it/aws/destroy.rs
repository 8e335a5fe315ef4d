//! Destroying an environment deletes what it owns and keeps what it shares.

use serde_json::json;

use super::{BUCKET, MANIFEST, SdkClients, spawn_trimtab, stderr, wait_for_exit};
use crate::support::TestEnv;

const DESTROY: [&str; 5] = [
    "destroy",
    "test",
    "--yes",
    "--allow-destroy",
    "aws.bucket/backups",
];

/// Destroys the environment and asserts that nothing is left but this number of providers.
async fn assert_destroyed(env: &TestEnv, providers: usize) {
    let run = wait_for_exit(env, spawn_trimtab(env, &DESTROY, None)).await;
    let (code, text) = (run.status.code(), stderr(&run));
    assert_eq!(
        code,
        Some(0),
        "{}{text}",
        String::from_utf8_lossy(&run.stdout)
    );
    let SdkClients { s3, iam, .. } = SdkClients::administrator(env);
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
    let left = iam.list_open_id_connect_providers().send().await.unwrap();
    assert_eq!(left.open_id_connect_provider_list().len(), providers);
    let again = wait_for_exit(env, spawn_trimtab(env, &DESTROY, None)).await;
    assert_eq!(
        again.status.code(),
        Some(0),
        "there is nothing left to do: {}",
        stderr(&again)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn last_environment_deletes_provider() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    env.apply().await;
    assert_destroyed(&env, 0).await;
}

/// Without an account trimtab does not look at AWS, so resources there would be orphaned, and the
/// role could still be assumed.
#[tokio::test(flavor = "multi_thread")]
async fn removing_aws_section_lists_orphaned_resources() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    env.apply().await;
    let start = MANIFEST.find("[aws]").unwrap();
    let without = MANIFEST[..start].to_owned() + &MANIFEST[MANIFEST.find("[apps.web]").unwrap()..];
    env.write_manifest(&without);
    let run = wait_for_exit(&env, spawn_trimtab(&env, &["apply", "test", "--yes"], None)).await;
    assert_eq!(run.status.code(), Some(3), "{}", stderr(&run));
    let all = format!("{}{}", String::from_utf8_lossy(&run.stdout), stderr(&run));
    for words in [
        "role harbor-test-backup was made for this environment",
        "app web takes it",
        "put `[aws]`",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
    // Follow the advice: restore the account, apply so that the role and bucket are deleted, then
    // remove the account.
    env.write_manifest(&without.replace(
        "[apps.web]",
        "[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n\n[apps.web]",
    ));
    env.apply().await;
    env.write_manifest(&without);
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert!(
        SdkClients::administrator(&env)
            .iam
            .list_roles()
            .send()
            .await
            .unwrap()
            .roles()
            .is_empty()
    );
}

/// A lock that was acquired often has many versions, and here another run waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn lock_is_held_until_bucket_is_deleted() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    env.apply().await;
    let s3 = SdkClients::administrator(&env).s3;
    let lock = trimtab::model::OwnershipMark {
        project: "harbor".to_owned(),
        environment: "test".to_owned(),
    }
    .lock_key();
    let old = |n: u64| {
        json!({
            "nonce": format!("{n:032}"), "generation": n, "holder": "cyd", "host": "h", "pid": 1, "command": "c",
            "acquired_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T00:01:30Z", "released": true,
        })
    };
    for n in 1..=60 {
        let body = old(n).to_string().into_bytes();
        s3.put_object()
            .bucket(BUCKET)
            .key(&lock)
            .body(body.into())
            .send()
            .await
            .unwrap();
    }
    let (destroy, apply) = (
        spawn_trimtab(&env, &DESTROY, None),
        spawn_trimtab(&env, &["apply", "test", "--yes"], None),
    );
    let (destroy, apply) = (
        wait_for_exit(&env, destroy).await,
        wait_for_exit(&env, apply).await,
    );
    // Either run may be first. Neither loses its lock while it holds it; the second one finds that
    // the plan is outdated or the bucket gone.
    for run in [&destroy, &apply] {
        let text = stderr(run);
        assert!(
            run.status.code().is_some() && !text.contains("the lock expired"),
            "{text}"
        );
        assert!(!text.contains("somebody deleted the lock"), "{text}");
    }
    assert!(
        destroy.status.success() || apply.status.success(),
        "{}{}",
        stderr(&destroy),
        stderr(&apply)
    );
    let last = wait_for_exit(&env, spawn_trimtab(&env, &DESTROY, None)).await;
    assert_eq!(last.status.code(), Some(0), "{}", stderr(&last));
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_trusted_by_foreign_role_is_kept() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    env.apply().await;
    let iam = SdkClients::administrator(&env).iam;
    let trust = &env.world().await.aws_role["backup"].trust;
    let trust = trust.document().unwrap().to_json_string();
    iam.create_role()
        .role_name("theirs")
        .assume_role_policy_document(trust)
        .send()
        .await
        .unwrap();
    assert_destroyed(&env, 1).await;
}

/// The role changes first, so that it never trusts a provider that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn provider_goes_in_the_apply_in_which_the_last_role_lets_it_go() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    env.apply().await;
    let identity = "[identities.backup]\napp = \"web\"\nbuckets.backups = { prefix = \"db/\" }\n";
    let role = "[roles.backup.trust]\nVersion = \"2012-10-17\"\n\
                Statement = [{ Effect = \"Allow\", Action = \"sts:AssumeRole\", Principal = { AWS = \"123456789012\" } }]\n";
    env.write_manifest(&MANIFEST.replace(identity, role));
    let plan = env.plan().await;
    let steps: Vec<String> = plan.steps().map(|step| step.address.to_string()).collect();
    let position = |address: &str| steps.iter().position(|planned| planned == address);
    let (role, provider) = (
        position("aws.role/backup"),
        position("aws.oidc_provider/fly"),
    );
    assert!(role.is_some() && role < provider, "{steps:?}");
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_provider_is_kept() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    let iam = SdkClients::administrator(&env).iam;
    let url = "https://oidc.fly.io/acme";
    iam.create_open_id_connect_provider()
        .url(url)
        .client_id_list("sts.amazonaws.com")
        .send()
        .await
        .unwrap();
    env.apply().await;
    assert_destroyed(&env, 1).await;
}

/// IAM shows deleted policies for a while.
#[tokio::test(flavor = "multi_thread")]
async fn update_waits_for_policy_removal() {
    let env = TestEnv::on_disk(MANIFEST, vec!["late-removal:15000".parse().unwrap()]).await;
    env.apply().await;
    let iam = SdkClients::administrator(&env).iam;
    let roles = iam.list_roles().send().await.unwrap();
    let role = roles.roles()[0].role_name();
    let grant = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    iam.put_role_policy()
        .role_name(role)
        .policy_name("theirs")
        .policy_document(grant)
        .send()
        .await
        .unwrap();
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.attach_role_policy()
        .role_name(role)
        .policy_arn(arn)
        .send()
        .await
        .unwrap();
    let report = env.try_apply(None).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    env.sandbox
        .advance_clock(std::time::Duration::from_secs(60))
        .unwrap();
    let left = iam
        .list_role_policies()
        .role_name(role)
        .send()
        .await
        .unwrap();
    assert!(!left.policy_names().contains(&"theirs".to_owned()));
}

/// IAM shows deleted policies for a while, and does not delete a role that seems to have policies.
#[tokio::test(flavor = "multi_thread")]
async fn destroy_waits_for_removals_to_propagate() {
    let env = TestEnv::on_disk(MANIFEST, vec!["late-removal:15000".parse().unwrap()]).await;
    env.apply().await;
    let run = wait_for_exit(&env, spawn_trimtab(&env, &DESTROY, None)).await;
    assert_eq!(
        run.status.code(),
        Some(0),
        "{}{}",
        stderr(&run),
        String::from_utf8_lossy(&run.stdout)
    );
    env.sandbox
        .advance_clock(std::time::Duration::from_secs(60))
        .unwrap();
    assert_destroyed(&env, 0).await;
}
