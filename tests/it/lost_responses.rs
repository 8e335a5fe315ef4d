//! Lost responses are resolved within the same run. The matrix does not show that: there, running
//! again would be enough.

use crate::{reconcile::MANIFEST, support::TestEnv};

/// The least number of writes of an apply of the fixture.
const MIN_WRITES: u64 = 7;

/// Must hold after every recovery.
async fn assert_converged(env: &TestEnv, context: &str) {
    assert_eq!(env.summary().await, Vec::<String>::new(), "{context}");
    let world = env.world().await;
    assert_eq!(world.fly_machine.len(), 3, "{context}");
    assert_eq!(world.fly_volume.len(), 3, "{context}");
    assert_eq!(world.fly_ip.len(), 2, "{context}");
    assert_eq!(world.fly_cron.len(), 1, "{context}");
    assert!(
        world.findings.unmanaged.is_empty(),
        "{context}: {:?}",
        world.findings.unmanaged
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_response_is_resolved_in_same_run() {
    for kind in [
        "drop-after:wN",
        "status-after:wN:502",
        "status-after:wN:408",
    ] {
        for write in 1.. {
            let text = kind.replace('N', &write.to_string());
            let env = TestEnv::with_faults(MANIFEST, vec![text.parse().unwrap()]).await;
            let report = env.try_apply(None).await.unwrap();
            assert!(report.is_complete(), "{text}: {report:#?}");
            if env.sandbox.injected_fault_count() == 0 {
                assert!(write > MIN_WRITES, "only {write} writes were reached");
                break;
            }
            assert_converged(&env, &text).await;
        }
    }
}
