//! Killed, and hit by faults, at every write of an apply that makes a bucket, a provider and a role: the next apply
//! converges, nothing is there twice, and no bucket or role is ever without its mark.

use trimtab::clouds::{CrashMode, CrashPoint, RequestOrdinal};
use trimtab_sandbox::Fault;

use super::{BUCKET, MANIFEST, ROLE, SdkClients};
use crate::support::TestEnv;

/// What must hold at any moment: whatever is there says whose it is.
async fn assert_everything_is_marked(team: &TestEnv, what: &str) {
    let SdkClients { s3, iam, .. } = SdkClients::administrator(team);
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
            "{what}"
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
            "{what}"
        );
    }
}

async fn assert_converged(team: &TestEnv, what: &str) {
    assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
    let SdkClients { s3, iam, .. } = SdkClients::administrator(team);
    let buckets = s3.list_buckets().send().await.unwrap();
    let names: Vec<&str> = buckets
        .buckets()
        .iter()
        .filter_map(|bucket| bucket.name())
        .collect();
    assert_eq!(names, [BUCKET], "{what}");
    let roles = iam.list_roles().send().await.unwrap();
    let names: Vec<&str> = roles
        .roles()
        .iter()
        .map(aws_sdk_iam::types::Role::role_name)
        .collect();
    assert_eq!(names, [ROLE], "{what}");
    let world = team.world().await;
    assert_eq!(
        (world.aws_provider.len(), world.fly_machine.len()),
        (1, 2),
        "{what}"
    );
}

/// What a fresh environment's apply writes at least: the bucket and its settings, the provider, the role and its policy.
const MIN_WRITES: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn apply_recovers_from_crash_at_every_write() {
    let mut runs = tokio::task::JoinSet::new();
    for after in [false, true] {
        runs.spawn(async move {
            for write in 1.. {
                let what = format!("write {write}, after: {after}");
                let team = TestEnv::new(MANIFEST).await;
                let fuse = CrashPoint {
                    request: RequestOrdinal::Write(write),
                    after_response: after,
                    mode: CrashMode::Simulate,
                };
                let burnt = !team.try_apply(Some(fuse)).await.unwrap().is_complete();
                assert_everything_is_marked(&team, &what).await;
                if burnt {
                    team.apply().await;
                }
                assert_converged(&team, &what).await;
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
        for write in 1.. {
            let what = format!("write {write}, after: {after}");
            let team = TestEnv::new(MANIFEST).await;
            team.apply().await;
            let head = MANIFEST.split("[buckets.backups]").next().unwrap();
            team.write_manifest(&format!(
                "{head}[apps.web]\n{}",
                MANIFEST.split("[apps.web]\n").nth(1).unwrap()
            ));
            let fuse = CrashPoint {
                request: RequestOrdinal::Write(write),
                after_response: after,
                mode: CrashMode::Simulate,
            };
            let burnt = !team.try_apply(Some(fuse)).await.unwrap().is_complete();
            if burnt {
                team.apply().await;
            }
            assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
            let SdkClients { s3, iam, .. } = SdkClients::administrator(&team);
            assert!(
                s3.list_buckets().send().await.unwrap().buckets().is_empty(),
                "{what}"
            );
            assert!(
                iam.list_roles().send().await.unwrap().roles().is_empty(),
                "{what}"
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
            // Each kind begins at another write, so that together they strike at all of them.
            for write in (1 + nth % 3..=14).step_by(3) {
                let text = kind.replace('N', &write.to_string());
                let fault: Fault = text.parse().unwrap();
                let team = TestEnv::with_faults(MANIFEST, vec![fault]).await;
                if !team.try_apply(None).await.unwrap().is_complete() {
                    team.apply().await;
                }
                assert_converged(&team, &text).await;
            }
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

/// Settings that spread slowly are waited for, so that one apply is enough.
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
        let team = TestEnv::with_faults(MANIFEST, faults).await;
        let report = team.try_apply(None).await.unwrap();
        assert!(report.is_complete(), "{text}: {report:#?}");
        team.sandbox
            .advance_clock(std::time::Duration::from_secs(60))
            .unwrap();
        assert_converged(&team, text).await;
    }
}
