//! Crashes and faults at every write of an apply that creates a bucket, a provider and a role. The
//! next apply converges, nothing exists twice, and no bucket or role is ever without its ownership
//! tags.

use trimtab::clouds::{CrashMode, CrashPoint, RequestOrdinal};
use trimtab_sandbox::Fault;

use super::{BUCKET, MANIFEST, ROLE, SdkClients};
use crate::support::{TestEnv, sample};

/// Must hold at any moment: every bucket and role has ownership tags.
async fn assert_everything_is_marked(env: &TestEnv, context: &str) {
    let SdkClients { s3, iam, .. } = SdkClients::administrator(env);
    for bucket in s3.list_buckets().send().await.unwrap().buckets() {
        let tags = s3
            .get_bucket_tagging()
            .bucket(bucket.name().unwrap())
            .send()
            .await
            .unwrap();
        assert!(
            tags.tag_set()
                .iter()
                .any(|tag| tag.key() == "trimtab_project"),
            "{context}"
        );
    }
    for role in iam.list_roles().send().await.unwrap().roles() {
        let tags = iam
            .list_role_tags()
            .role_name(role.role_name())
            .send()
            .await
            .unwrap();
        assert!(
            tags.tags().iter().any(|tag| tag.key() == "trimtab_project"),
            "{context}"
        );
    }
}

async fn assert_converged(env: &TestEnv, context: &str) {
    assert_eq!(env.summary().await, Vec::<String>::new(), "{context}");
    let SdkClients { s3, iam, .. } = SdkClients::administrator(env);
    let buckets = s3.list_buckets().send().await.unwrap();
    let names: Vec<&str> = buckets
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, [BUCKET], "{context}");
    let roles = iam.list_roles().send().await.unwrap();
    let names: Vec<&str> = roles
        .roles()
        .iter()
        .map(aws_sdk_iam::types::Role::role_name)
        .collect();
    assert_eq!(names, [ROLE], "{context}");
    let world = env.world().await;
    assert_eq!(
        (world.aws_provider.len(), world.fly_machine.len()),
        (1, 2),
        "{context}"
    );
}

/// The writes of a first apply: the bucket and its settings, the provider, the role and its policy.
const MIN_WRITES: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn apply_recovers_from_crash_at_every_write() {
    let mut runs = tokio::task::JoinSet::new();
    for after in [false, true] {
        runs.spawn(async move {
            for write in sample(1.., usize::from(after), 3) {
                let context = format!("write {write}, after: {after}");
                let env = TestEnv::new(MANIFEST).await;
                let crash = CrashPoint {
                    request: RequestOrdinal::Write(write),
                    after_response: after,
                    mode: CrashMode::Simulate,
                };
                let burnt = !env.try_apply(Some(crash)).await.unwrap().is_complete();
                assert_everything_is_marked(&env, &context).await;
                if burnt {
                    env.apply().await;
                }
                assert_converged(&env, &context).await;
                if !burnt {
                    assert!(write > MIN_WRITES, "only {write} writes were reached");
                    break;
                }
            }
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_recovers_from_crash_at_every_write() {
    for after in [false, true] {
        for write in sample(1.., usize::from(after), 3) {
            let context = format!("write {write}, after: {after}");
            let env = TestEnv::new(MANIFEST).await;
            env.apply().await;
            let head = MANIFEST.split("[buckets.backups]").next().unwrap();
            env.write_manifest(&format!(
                "{head}[apps.web]\n{}",
                MANIFEST.split("[apps.web]\n").nth(1).unwrap()
            ));
            let crash = CrashPoint {
                request: RequestOrdinal::Write(write),
                after_response: after,
                mode: CrashMode::Simulate,
            };
            let burnt = !env.try_apply(Some(crash)).await.unwrap().is_complete();
            if burnt {
                env.apply().await;
            }
            assert_eq!(env.summary().await, Vec::<String>::new(), "{context}");
            let SdkClients { s3, iam, .. } = SdkClients::administrator(&env);
            assert!(
                s3.list_buckets().send().await.unwrap().buckets().is_empty(),
                "{context}"
            );
            assert!(
                iam.list_roles().send().await.unwrap().roles().is_empty(),
                "{context}"
            );
            if !burnt {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_recovers_from_every_fault_at_every_write() {
    let kinds = [
        "drop-before:wN",
        "drop-after:wN",
        "status:wN:500",
        "status-after:wN:502",
        "status-after:wN:408",
        "truncate:wN",
        "429:wN:2",
        "operation-aborted:N:3",
        "conditional-conflict:N:2",
    ];
    let mut runs = tokio::task::JoinSet::new();
    for (nth, kind) in kinds.into_iter().enumerate() {
        runs.spawn(async move {
            // Each kind of fault begins at another write, so that together they cover all of them.
            for write in sample((1 + nth % 3..=14).step_by(3), nth, 3) {
                let text = kind.replace('N', &write.to_string());
                let fault: Fault = text.parse().unwrap();
                let env = TestEnv::with_faults(MANIFEST, vec![fault]).await;
                if !env.try_apply(None).await.unwrap().is_complete() {
                    env.apply().await;
                }
                assert_converged(&env, &text).await;
            }
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

/// Settings that propagate slowly are waited for, so that one apply is enough.
#[tokio::test(flavor = "multi_thread")]
async fn apply_waits_for_eventual_consistency() {
    for text in [
        "late-bucket:20000",
        "stale-config:15000",
        "late-bucket:20000,stale-config:15000",
    ] {
        let faults = text
            .split(',')
            .map(|fault| fault.parse().unwrap())
            .collect();
        let env = TestEnv::with_faults(MANIFEST, faults).await;
        let report = env.try_apply(None).await.unwrap();
        assert!(report.is_complete(), "{text}: {report:#?}");
        env.sandbox
            .advance_clock(std::time::Duration::from_secs(60))
            .unwrap();
        assert_converged(&env, text).await;
    }
}
