//! Killed at every write of a second release, before it is sent and after it took effect: the next run finishes it, or
//! takes it back, and neither of the two ever lets two versions serve beside each other or runs a release command twice.

use std::collections::BTreeMap;

use trimtab::{
    clouds::{Burnt, Fuse, Nth},
    kinds::fly::release::GROUP,
};

use super::{
    fleet::{Fleet, GROUPS, Style},
    history::{History, now},
};
use crate::support::Team;

/// What comes after the run that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The same release again.
    Finished,
    /// The release before.
    TakenBack,
}

/// One run that is killed, and what comes after it. Says whether the fuse was reached.
async fn killed(fleet: &Fleet, fuse: Fuse, next: Next) -> bool {
    let what = format!("{fuse:?}, {next:?}");
    let team = Team::new(&fleet.manifest()).await;
    team.apply().await;
    let mut history = History::default();
    history.look(&team).await;
    let commands = |history: &History| history.group(GROUP).filter(|life| life.succeeded()).count();
    let (from, before) = (now(&team).await, commands(&history));
    team.write(&fleet.repaired().manifest());
    let burnt = !team.try_apply(Some(fuse)).await.unwrap().is_complete();
    // What is hidden from its first moment on shows only until it is shown.
    history.look(&team).await;
    if fleet.strategy == Style::BlueGreen {
        history.one_generation_serves(GROUPS[0], from, now(&team).await);
    }
    if next == Next::TakenBack {
        team.write(&fleet.manifest());
    }
    team.apply().await;
    history.look(&team).await;
    if fleet.strategy == Style::BlueGreen {
        history.one_generation_serves(GROUPS[0], from, now(&team).await);
    }
    assert_eq!(team.summary().await, Vec::<String>::new(), "{what}");
    let slots: Vec<&str> = history.there().map(|life| life.slot.as_str()).collect();
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
        history.there().all(|life| !life.cordoned),
        "{what}: {history:#?}"
    );
    if next == Next::Finished {
        assert_eq!(
            commands(&history) - before,
            usize::from(fleet.command),
            "{what}: {history:#?}"
        );
    }
    burnt
}

/// Kills at each write until there is none left to kill at.
async fn at_every_write(fleet: Fleet, next: Next, least: u64) {
    for after in [false, true] {
        for write in 1.. {
            if !killed(
                &fleet,
                Fuse {
                    at: Nth::Write(write),
                    after,
                    then: Burnt::FallSilent,
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

fn blue_green() -> Fleet {
    Fleet::plain(BTreeMap::from([("ewr", 2)]), Style::BlueGreen)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_never_serve_when_a_killed_release_is_taken_back() {
    at_every_write(blue_green(), Next::TakenBack, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_command_runs_once_wherever_its_run_is_killed() {
    let fleet = Fleet::plain(BTreeMap::from([("ewr", 2)]), Style::Immediate);
    at_every_write(fleet.with_command(), Next::Finished, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_never_serve_when_a_killed_release_is_finished() {
    at_every_write(blue_green().with_command(), Next::Finished, 11).await;
}
