//! A second release that crashes at every write, before the request or after its effect. The next
//! run finishes or reverts it, and neither run ever lets two versions serve side by side or runs a
//! release command twice.

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

/// What follows the crashed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecoveryMode {
    /// The same release again.
    Retry,
    /// The previous release.
    Revert,
}

/// Crashes once and recovers. Returns whether the run got as far as the crash point.
async fn crash_and_recover(fleet: &FleetSpec, crash: CrashPoint, next: RecoveryMode) -> bool {
    let context = format!("{crash:?}, {next:?}");
    let env = TestEnv::new(&fleet.manifest()).await;
    env.apply().await;
    let mut history = AppHistory::default();
    history.refresh(&env).await;
    let commands = |history: &AppHistory| {
        history
            .machines_of_group(RELEASE_COMMAND_GROUP)
            .filter(|machine| machine.exited_cleanly())
            .count()
    };
    let (from, before) = (sandbox_now(&env).await, commands(&history));
    env.write_manifest(&fleet.with_working_image().manifest());
    let burnt = !env.try_apply(Some(crash)).await.unwrap().is_complete();
    // A machine that is created cordoned shows in the history only until it is uncordoned.
    history.refresh(&env).await;
    if fleet.strategy == RolloutStyle::BlueGreen {
        history.assert_single_version_serves(GROUPS[0], from, sandbox_now(&env).await);
    }
    if next == RecoveryMode::Revert {
        env.write_manifest(&fleet.manifest());
    }
    env.apply().await;
    history.refresh(&env).await;
    if fleet.strategy == RolloutStyle::BlueGreen {
        history.assert_single_version_serves(GROUPS[0], from, sandbox_now(&env).await);
    }
    assert_eq!(env.summary().await, Vec::<String>::new(), "{context}");
    let slots: Vec<&str> = history
        .existing()
        .map(|machine| machine.slot.as_str())
        .collect();
    let mut expected: Vec<String> = env
        .desired()
        .fly_machine
        .keys()
        .map(ToString::to_string)
        .collect();
    expected.sort();
    let mut sorted = slots.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{context}: {history:#?}");
    assert!(
        history.existing().all(|machine| !machine.cordoned),
        "{context}: {history:#?}"
    );
    if next == RecoveryMode::Retry {
        assert_eq!(
            commands(&history) - before,
            usize::from(fleet.release_command),
            "{context}: {history:#?}"
        );
    }
    burnt
}

/// Crashes at each write, until a run has no more writes.
async fn crash_at_every_write(fleet: FleetSpec, next: RecoveryMode, min_writes: u64) {
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
                assert!(write > min_writes, "only {write} writes were reached");
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
