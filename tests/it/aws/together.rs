//! Two runs of the program at once: one waits for the other, and then does what is left.

use std::process::Output;

use super::{Clients, HARBOR, ended, program, said};
use crate::support::Team;

fn apply(team: &Team, fault: Option<&str>) -> std::thread::JoinHandle<Output> {
    program(team, &["apply", "test", "--yes"], fault)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_applies_at_once_make_everything_once() {
    let team = Team::kept(HARBOR, Vec::new()).await;
    let (one, two) = (apply(&team, None), apply(&team, None));
    let (one, two) = (ended(&team, one).await, ended(&team, two).await);
    assert_eq!(
        (one.status.code(), two.status.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        said(&one),
        said(&two)
    );
    assert_eq!(team.summary().await, Vec::<String>::new());
    let world = team.world().await;
    assert_eq!(
        (
            world.fly_machine.len(),
            world.aws_role.len(),
            world.aws_bucket.len()
        ),
        (2, 1, 1)
    );
    assert!(
        world.found.unmanaged.is_empty(),
        "{:?}",
        world.found.unmanaged
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_a_run_that_was_killed_is_waited_for_and_then_taken() {
    let team = Team::kept(HARBOR, Vec::new()).await;
    team.apply().await;
    team.write(&HARBOR.replace(
        "machines.app.count = { fra = 1 }",
        "machines.app = { count = { fra = 1 }, memory = \"512mb\" }",
    ));
    // Taking the lock is one write and two that the store refuses; the next one is a lease on a machine.
    let killed = ended(&team, apply(&team, Some("die-after:w4"))).await;
    assert_eq!(killed.status.code(), None, "{}", said(&killed));
    let next = ended(&team, apply(&team, None)).await;
    let text = said(&next);
    assert_eq!(next.status.code(), Some(0), "{text}");
    assert!(
        text.contains("Waiting for the lock: ada on ") && text.contains("looking again"),
        "{text}"
    );
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_is_refused() {
    let team = Team::kept(HARBOR, vec!["no-conditions".parse().unwrap()]).await;
    let run = ended(&team, apply(&team, None)).await;
    let text = said(&run);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(
        text.contains("this store ignores conditional writes"),
        "{text}"
    );
    // The bucket that should have held the lock is there, and nothing else.
    let Clients { iam, .. } = Clients::of(&team);
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    assert!(team.world().await.fly_app.is_empty());
}
