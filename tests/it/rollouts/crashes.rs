//! Killed at every write of a second release, before it is sent and after it took effect: the next run finishes it, or
//! takes it back, and neither of the two ever lets two versions serve beside each other or runs a release command twice.

use std::collections::BTreeMap;

use trimtab::{
    clouds::{CrashMode, CrashPoint, RequestOrdinal},
    kinds::fly::release::RELEASE_COMMAND_GROUP,
};

use super::{
    fleet::{FleetSpec, GROUPS, RolloutStyle},
    history::{AppHistory, sandbox_now},
};
use crate::support::TestEnv;

/// What comes after the run that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecoveryMode {
    /// The same release again.
    Retry,
    /// The release before.
    Revert,
}

/// One run that is killed, and what comes after it. Says whether the fuse was reached.
async fn crash_and_recover(fleet: &FleetSpec, fuse: CrashPoint, next: RecoveryMode) -> bool {
    let what = format!("{fuse:?}, {next:?}");
    let team = TestEnv::new(&fleet.manifest()).await;
    team.apply().await;
    let mut history = AppHistory::default();
    history.refresh(&team).await;
    let commands = |history: &AppHistory| {
        history
            .machines_of_group(RELEASE_COMMAND_GROUP)
            .filter(|life| life.exited_cleanly())
            .count()
    };
    let (from, before) = (sandbox_now(&team).await, commands(&history));
    team.write_manifest(&fleet.with_working_image().manifest());
    let burnt = !team.try_apply(Some(fuse)).await.unwrap().is_complete();
    // What is hidden from its first moment on shows only until it is shown.
    history.refresh(&team).await;
    if fleet.strategy == RolloutStyle::BlueGreen {
        history.assert_single_version_serves(GROUPS[0], from, sandbox_now(&team).await);
    }
    if next == RecoveryMode::Revert {
        team.write_manifest(&fleet.manifest());
    }
    team.apply().await;
    history.refresh(&team).await;
    if fleet.strategy == RolloutStyle::BlueGreen {
        history.assert_single_version_serves(GROUPS[0], from, sandbox_now(&team).await);
    }
    assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
    let slots: Vec<&str> = history.existing().map(|life| life.slot.as_str()).collect();
    let mut wanted: Vec<String> = team
        .desired()
        .fly_machine
        .keys()
        .map(ToString::to_string)
        .collect();
    wanted.sort();
    let mut sorted = slots.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted, "{what}: {history:#?}");
    assert!(
        history.existing().all(|life| !life.cordoned),
        "{what}: {history:#?}"
    );
    if next == RecoveryMode::Retry {
        assert_eq!(
            commands(&history) - before,
            usize::from(fleet.release_command),
            "{what}: {history:#?}"
        );
    }
    burnt
}

/// Kills at each write until there is none left to kill at.
async fn crash_at_every_write(fleet: FleetSpec, next: RecoveryMode, least: u64) {
    for after in [false, true] {
        for write in 1.. {
            if !crash_and_recover(
                &fleet,
                CrashPoint {
                    request: RequestOrdinal::Write(write),
                    after_response: after,
                    mode: CrashMode::Simulate,
                },
                next,
            )
            .await
            {
                assert!(write > least, "only {write} writes were reached");
                break;
            }
        }
    }
}

fn blue_green_fleet() -> FleetSpec {
    FleetSpec::single_group(BTreeMap::from([("ewr", 2)]), RolloutStyle::BlueGreen)
}

#[tokio::test(flavor = "multi_thread")]
async fn reverting_crashed_release_never_mixes_versions() {
    crash_at_every_write(blue_green_fleet(), RecoveryMode::Revert, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_command_runs_once_after_crash() {
    let fleet = FleetSpec::single_group(BTreeMap::from([("ewr", 2)]), RolloutStyle::Immediate);
    crash_at_every_write(fleet.with_release_command(), RecoveryMode::Retry, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finishing_crashed_release_never_mixes_versions() {
    crash_at_every_write(
        blue_green_fleet().with_release_command(),
        RecoveryMode::Retry,
        11,
    )
    .await;
}
