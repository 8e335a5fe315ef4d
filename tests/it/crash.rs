//! Killed at every write of an apply, before it is sent and after it took effect: the next apply converges, nothing is
//! there twice, and nothing is lost.

use trimtab::{
    clouds::{Burnt, Fuse, Nth},
    sandbox::Fault,
};

use crate::{story::TEAM, support::Team};

/// An apply of the fixture takes at least so many writes: the loops below must have killed at each of them.
const LEAST: u64 = 7;

/// What must hold after a recovery, whatever happened before.
async fn whole(team: &Team, what: &str) {
    assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
    let world = team.world().await;
    assert_eq!(world.fly_machine.len(), 3, "{what}");
    assert_eq!(world.fly_volume.len(), 3, "{what}");
    assert_eq!(world.fly_ip.len(), 2, "{what}");
    assert_eq!(world.fly_cron.len(), 1, "{what}");
    assert!(world.found.unmanaged.is_empty(), "{what}: {:?}", world.found.unmanaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_write_of_the_first_apply() {
    for after in [false, true] {
        for write in 1.. {
            let team = Team::new(TEAM).await;
            let fuse = Fuse { at: Nth::Write(write), after, then: Burnt::FallSilent };
            let report = team.try_apply(Some(fuse)).await.unwrap();
            let burnt = !report.is_complete();
            if burnt {
                team.try_apply(None).await.unwrap();
            }
            whole(&team, &format!("write {write}, after: {after}")).await;
            if !burnt {
                assert!(write > LEAST, "only {write} writes were reached");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_write_of_a_new_release() {
    for after in [false, true] {
        for write in 1.. {
            let team = Team::new(TEAM).await;
            team.apply().await;
            team.write(&TEAM.replace("harbor-web:v1", "harbor-web:v2").replace("512mb", "1gb"));
            let fuse = Fuse { at: Nth::Write(write), after, then: Burnt::FallSilent };
            let burnt = !team.try_apply(Some(fuse)).await.unwrap().is_complete();
            if burnt {
                team.apply().await;
            }
            whole(&team, &format!("write {write}, after: {after}")).await;
            if !burnt {
                assert!(write > LEAST, "only {write} writes were reached");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_fault_is_survived() {
    for kind in [
        "drop-before:wN",
        "drop-after:wN",
        "status:wN:500",
        "status-after:wN:502",
        "status-after:wN:408",
        "truncate:wN",
        "429:wN:2",
    ] {
        for write in 1..=12 {
            let text = kind.replace('N', &write.to_string());
            let fault: Fault = text.parse().unwrap();
            let team = Team::with_faults(TEAM, vec![fault]).await;
            let report = team.try_apply(None).await.unwrap();
            if !report.is_complete() {
                team.apply().await;
            }
            whole(&team, &text).await;
        }
    }
}

/// Whoever only runs again would pass the tests above. Looking again means that the same run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_answer_is_lost_is_found_in_the_same_run() {
    for kind in ["drop-after:wN", "status-after:wN:502", "status-after:wN:408"] {
        for write in 1..=12 {
            let text = kind.replace('N', &write.to_string());
            let team = Team::with_faults(TEAM, vec![text.parse().unwrap()]).await;
            let report = team.try_apply(None).await.unwrap();
            assert!(report.is_complete(), "{text}: {report:#?}");
            whole(&team, &text).await;
        }
    }
}
