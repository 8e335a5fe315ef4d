//! An answer that is lost: whoever only runs again would pass the matrix. Looking again means that the same run goes on.

use crate::{reconcile::MANIFEST, support::TestEnv};

/// An apply of the fixture takes at least so many writes.
const MIN_WRITES: u64 = 7;

/// What must hold after a recovery, whatever happened before.
async fn assert_converged(team: &TestEnv, what: &str) {
    assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
    let world = team.world().await;
    assert_eq!(world.fly_machine.len(), 3, "{what}");
    assert_eq!(world.fly_volume.len(), 3, "{what}");
    assert_eq!(world.fly_ip.len(), 2, "{what}");
    assert_eq!(world.fly_cron.len(), 1, "{what}");
    assert!(
        world.findings.unmanaged.is_empty(),
        "{what}: {:?}",
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
            let team = TestEnv::with_faults(MANIFEST, vec![text.parse().unwrap()]).await;
            let report = team.try_apply(None).await.unwrap();
            assert!(report.is_complete(), "{text}: {report:#?}");
            if team.sandbox.injected_fault_count() == 0 {
                assert!(write > MIN_WRITES, "only {write} writes were reached");
                break;
            }
            assert_converged(&team, &text).await;
        }
    }
}
