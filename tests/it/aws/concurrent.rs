//! Two runs of the program at once: one waits for the other, and then does what is left.

use std::process::Output;

use super::{MANIFEST, SdkClients, spawn_trimtab, stderr, wait_for_exit};
use crate::support::TestEnv;

fn spawn_apply(team: &TestEnv, fault: Option<&str>) -> std::thread::JoinHandle<Output> {
    spawn_trimtab(team, &["apply", "test", "--yes"], fault)
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_applies_create_everything_once() {
    let team = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    let (one, two) = (spawn_apply(&team, None), spawn_apply(&team, None));
    let (one, two) = (
        wait_for_exit(&team, one).await,
        wait_for_exit(&team, two).await,
    );
    assert_eq!(
        (one.status.code(), two.status.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        stderr(&one),
        stderr(&two)
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
        world.findings.unmanaged.is_empty(),
        "{:?}",
        world.findings.unmanaged
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_of_killed_run_is_taken_after_expiry() {
    let team = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    team.apply().await;
    team.write_manifest(&MANIFEST.replace(
        "machines.app.count = { fra = 1 }",
        "machines.app = { count = { fra = 1 }, memory = \"512mb\" }",
    ));
    // Taking the lock is one write and two that the store refuses; the next one is a lease on a machine.
    let killed = wait_for_exit(&team, spawn_apply(&team, Some("die-after:w4"))).await;
    assert_eq!(killed.status.code(), None, "{}", stderr(&killed));
    let next = wait_for_exit(&team, spawn_apply(&team, None)).await;
    let text = stderr(&next);
    assert_eq!(next.status.code(), Some(0), "{text}");
    assert!(
        text.contains("Waiting for the lock: ada on ") && text.contains("looking again"),
        "{text}"
    );
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_conditional_writes_is_rejected() {
    let team = TestEnv::on_disk(MANIFEST, vec!["no-conditions".parse().unwrap()]).await;
    let run = wait_for_exit(&team, spawn_apply(&team, None)).await;
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(
        text.contains("this store ignores conditional writes"),
        "{text}"
    );
    // The bucket that should have held the lock is there, and nothing else.
    let SdkClients { iam, .. } = SdkClients::administrator(&team);
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    assert!(team.world().await.fly_app.is_empty());
}
