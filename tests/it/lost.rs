//! An answer that is lost: whoever only runs again would pass the matrix. Looking again means that the same run goes on.

use crate::{story::TEAM, support::Team};

/// An apply of the fixture takes at least so many writes.
const LEAST: u64 = 7;

/// What must hold after a recovery, whatever happened before.
async fn whole(team: &Team, what: &str) {
    assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
    let world = team.world().await;
    assert_eq!(world.fly_machine.len(), 3, "{what}");
    assert_eq!(world.fly_volume.len(), 3, "{what}");
    assert_eq!(world.fly_ip.len(), 2, "{what}");
    assert_eq!(world.fly_cron.len(), 1, "{what}");
    assert!(
        world.found.unmanaged.is_empty(),
        "{what}: {:?}",
        world.found.unmanaged
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_answer_is_lost_is_found_in_the_same_run() {
    for kind in [
        "drop-after:wN",
        "status-after:wN:502",
        "status-after:wN:408",
    ] {
        for write in 1.. {
            let text = kind.replace('N', &write.to_string());
            let team = Team::with_faults(TEAM, vec![text.parse().unwrap()]).await;
            let report = team.try_apply(None).await.unwrap();
            assert!(report.is_complete(), "{text}: {report:#?}");
            if team.sandbox.struck() == 0 {
                assert!(write > LEAST, "only {write} writes were reached");
                break;
            }
            whole(&team, &text).await;
        }
    }
}
