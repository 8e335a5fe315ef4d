//! Two runs of the program at the same time: one waits for the other and then does what is left.

use std::process::Output;

use super::{MANIFEST, SdkClients, spawn_trimtab, stderr, wait_for_exit};
use crate::support::TestEnv;

fn spawn_apply(env: &TestEnv, fault: Option<&str>) -> std::thread::JoinHandle<Output> {
    spawn_trimtab(env, &["apply", "test", "--yes"], fault)
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_applies_create_everything_once() {
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    let (one, two) = (spawn_apply(&env, None), spawn_apply(&env, None));
    let (one, two) = (
        wait_for_exit(&env, one).await,
        wait_for_exit(&env, two).await,
    );
    assert_eq!(
        (one.status.code(), two.status.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        stderr(&one),
        stderr(&two)
    );
    assert_eq!(env.summary().await, Vec::<String>::new());
    let world = env.world().await;
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
    let env = TestEnv::on_disk(MANIFEST, Vec::new()).await;
    env.apply().await;
    env.write_manifest(&MANIFEST.replace(
        "machines.app.count = { fra = 1 }",
        "machines.app = { count = { fra = 1 }, memory = \"512mb\" }",
    ));
    // Acquiring the lock takes one write and two that the store must reject; the fourth write is
    // the lease of a machine.
    let killed = wait_for_exit(&env, spawn_apply(&env, Some("die-after:w4"))).await;
    assert_eq!(killed.status.code(), None, "{}", stderr(&killed));
    let next = wait_for_exit(&env, spawn_apply(&env, None)).await;
    let text = stderr(&next);
    assert_eq!(next.status.code(), Some(0), "{text}");
    assert!(
        text.contains("Waiting for the lock: ada on ") && text.contains("planning again"),
        "{text}"
    );
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_conditional_writes_is_rejected() {
    let env = TestEnv::on_disk(MANIFEST, vec!["no-conditions".parse().unwrap()]).await;
    let run = wait_for_exit(&env, spawn_apply(&env, None)).await;
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(
        text.contains("this store ignores conditional writes"),
        "{text}"
    );
    // The bucket for the lock exists, and nothing else.
    let SdkClients { iam, .. } = SdkClients::administrator(&env);
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    assert!(env.world().await.fly_app.is_empty());
}
