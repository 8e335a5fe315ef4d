//! How a lock is given back: by its holder, and by somebody else for a holder that cannot.

use super::{
    LockError, LockErrorKind, LockLoss, LockRecord, RequestFault, Simulation, acquire,
    acquire_or_panic, secs, test_holder, test_location, timings_with_timeout,
};
use crate::lock::unlock::{delete_lock, find_holder, unlock};

async fn run_unlock(
    world: &Simulation,
    node: &super::SimulatedClient,
    id: &str,
) -> Result<LockRecord, LockError> {
    world
        .run_to_completion(unlock(node, &node.clock(), &test_location(), id))
        .await
}

async fn current_holder(world: &Simulation) -> Option<String> {
    let node = world.new_client();
    world
        .run_to_completion(find_holder(&node, &node.clock(), &test_location()))
        .await
        .unwrap()
        .map(|record| record.holder)
}

#[tokio::test]
async fn it_is_given_back_whatever_happens_to_the_requests() {
    for fault in [
        RequestFault::None,
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::Conflict,
        RequestFault::Slow(5),
        RequestFault::AppliedLate(3),
    ] {
        for after in [RequestFault::None, RequestFault::RequestLost] {
            let world = Simulation::default();
            let node = world.new_client();
            let lease = acquire_or_panic(&node, "ann").await;
            assert_eq!(current_holder(&world).await.as_deref(), Some("ann"));
            node.queue_faults(&[fault, after]);
            world.run_to_completion(lease.release()).await.unwrap();
            let record = world.record();
            assert!(record.released, "{fault:?} {after:?}");
            assert_eq!((record.generation, record.holder.as_str()), (1, "ann"));
            assert_eq!(current_holder(&world).await, None);
            let before = world.writes().len();
            world.advance(secs(200)).await;
            assert_eq!(world.writes().len(), before, "nothing is renewed any more");
        }
    }
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_is_given_back_too() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    node.queue_faults(&[RequestFault::ResponseLost, RequestFault::RequestLost]);
    world.advance(secs(31)).await;
    assert_ne!(
        lease.record(),
        world.record(),
        "the holder does not know what it wrote"
    );
    world.run_to_completion(lease.release()).await.unwrap();
    assert!(world.record().released);
}

#[tokio::test]
async fn a_renewal_that_arrives_late_takes_nothing_back() {
    for late in [1, 3, 20] {
        let world = Simulation::default();
        let node = world.new_client();
        let lease = acquire_or_panic(&node, "ann").await;
        // It arrives before the lock is given back, or after it.
        node.queue_faults(&[RequestFault::AppliedLate(late), RequestFault::RequestLost]);
        world.advance(secs(32)).await;
        world.run_to_completion(lease.release()).await.unwrap();
        world.advance(secs(60)).await;
        assert!(world.record().released, "{late}");
    }
}

#[tokio::test]
async fn a_renewal_that_is_under_way_is_not_waited_for() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    node.queue_faults(&[RequestFault::Hangs]);
    world.advance(secs(31)).await;
    let begun = world.now();
    world.run_to_completion(lease.release()).await.unwrap();
    assert!(world.record().released && world.now() - begun < secs(2));
}

#[tokio::test]
async fn what_is_gone_already_is_no_error() {
    for what in ["object", "bucket"] {
        let world = Simulation::default();
        let lease = acquire_or_panic(&world.new_client(), "ann").await;
        if what == "bucket" {
            world.delete_bucket();
        } else {
            world.set_object(None);
        }
        world.run_to_completion(lease.release()).await.unwrap();
        assert!(world.object().is_none(), "{what}: nothing is made anew");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told() {
    for (fault, least) in [
        (RequestFault::AccessDenied, 1),
        (RequestFault::RequestLost, 8),
        (RequestFault::Hangs, 1),
    ] {
        let world = Simulation::default();
        let node = world.new_client();
        let lease = acquire_or_panic(&node, "ann").await;
        let before = node.request_count();
        node.set_permanent_fault(fault);
        let error = world
            .run_to_completion(lease.release())
            .await
            .expect_err("it was not given back");
        assert!(
            matches!(
                error.kind,
                LockErrorKind::Cloud(_) | LockErrorKind::ReleaseTimedOut
            ),
            "{error}"
        );
        assert!(node.request_count() - before >= least, "{fault:?}");
        // It runs out by itself.
        assert!(
            acquire(&world.new_client(), "bob", timings_with_timeout(110))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn the_one_who_is_named_is_unlocked() {
    let world = Simulation::default();
    let lease = acquire_or_panic(&world.new_client(), "ann").await;
    let node = world.new_client();
    for wrong in ["bob-0123", "", "ann", "ann-9"] {
        let error = run_unlock(&world, &node, wrong)
            .await
            .expect_err("that is not its name");
        let LockErrorKind::WrongHolder { record, asked } = &error.kind else {
            panic!("{error}")
        };
        assert_eq!((record.holder.as_str(), asked.as_str()), ("ann", wrong));
        assert_eq!(world.record(), lease.record(), "nothing was done");
    }
    let ended = run_unlock(&world, &node, &lease.record().short_id())
        .await
        .unwrap();
    assert_eq!(
        ended,
        LockRecord {
            unlocked: true,
            ..lease.record()
        }
    );
    assert_eq!(world.record(), ended);
    assert_eq!(
        run_unlock(&world, &node, &lease.record().short_id())
            .await
            .unwrap(),
        ended,
        "once more is no error"
    );
    // She lives after all, notices, and gives it back: bob has it long before its end.
    let bob = world.new_client();
    let (bob, ()) = world
        .run_to_completion(async {
            tokio::join!(
                bob.acquirer(test_holder("bob"), timings_with_timeout(40))
                    .acquire(|_, _| {}),
                async {
                    lease.cancellation_token().cancelled().await;
                    lease.release().await.unwrap();
                }
            )
        })
        .await;
    assert_eq!(bob.unwrap().record().generation, 2);
    assert!(world.now() < secs(60), "{:?}", world.now());
}

#[tokio::test]
async fn a_holder_that_is_cut_off_has_it_to_its_end_although_it_is_unlocked() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    node.set_permanent_fault(RequestFault::Hangs);
    run_unlock(&world, &world.new_client(), "ann-0123")
        .await
        .unwrap();
    assert_eq!(current_holder(&world).await.as_deref(), Some("ann"));
    let bob = world.new_client();
    let (bob, ()) = world
        .run_to_completion(async {
            tokio::join!(
                bob.acquirer(test_holder("bob"), timings_with_timeout(200))
                    .acquire(|_, _| {}),
                async {
                    lease.cancellation_token().cancelled().await;
                    assert_eq!(
                        world.record().generation,
                        1,
                        "nobody has it before ann knows"
                    );
                }
            )
        })
        .await;
    assert!(bob.is_ok() && world.now() > secs(100), "{:?}", world.now());
}

#[tokio::test]
async fn a_lock_that_nobody_holds_can_be_removed_with_its_bucket() {
    let world = Simulation::default();
    let remove = async || {
        let node = world.new_client();
        world
            .run_to_completion(delete_lock(
                &node,
                &node.clock(),
                &test_location(),
                secs(15),
            ))
            .await
    };
    remove().await.unwrap();
    let lease = acquire_or_panic(&world.new_client(), "ann").await;
    assert!(matches!(
        remove().await.unwrap_err().kind,
        LockErrorKind::Held { .. }
    ));
    assert_eq!(world.record(), lease.record());
    world.run_to_completion(lease.release()).await.unwrap();
    remove().await.unwrap();
    assert!(world.object().is_none());
}

#[tokio::test]
async fn a_run_that_removes_its_bucket_takes_its_lock_along_and_goes_on() {
    for fault in [
        RequestFault::None,
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::AppliedLate(3),
        RequestFault::Slow(4),
    ] {
        let world = Simulation::default();
        let node = world.new_client();
        let lease = acquire_or_panic(&node, "ann").await;
        // A renewal is under way.
        node.queue_faults(&[fault]);
        world.advance(secs(31)).await;
        node.queue_faults(&[RequestFault::None, fault]);
        world
            .run_to_completion(lease.delete_object())
            .await
            .unwrap();
        assert!(
            !lease.cancellation_token().is_cancelled(),
            "{fault:?}: the run goes on"
        );
        world.advance(secs(30)).await;
        assert!(
            world.object().is_none() && !lease.cancellation_token().is_cancelled(),
            "{fault:?}"
        );
        world.delete_bucket();
        world.run_to_completion(lease.release()).await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_that_is_not_ours_any_more_is_not_removed() {
    let world = Simulation::default();
    let lease = acquire_or_panic(&world.new_client(), "ann").await;
    let others = LockRecord {
        nonce: "bob-0123".to_owned(),
        generation: 2,
        ..lease.record()
    };
    world.set_object(Some(&others.to_json()));
    let error = world
        .run_to_completion(lease.delete_object())
        .await
        .expect_err("it is bob's");
    assert!(
        matches!(&error.kind, LockErrorKind::Lost(LockLoss::TakenOver(record)) if record.nonce == "bob-0123"),
        "{error}"
    );
    assert_eq!(world.record(), others);
}

#[tokio::test]
async fn a_lock_that_nobody_holds_cannot_be_unlocked() {
    let world = Simulation::default();
    assert!(matches!(
        run_unlock(&world, &world.new_client(), "ann-0123")
            .await
            .unwrap_err()
            .kind,
        LockErrorKind::NotHeld
    ));
    world
        .run_to_completion(acquire_or_panic(&world.new_client(), "ann").await.release())
        .await
        .unwrap();
    let before = world.writes().len();
    assert!(matches!(
        run_unlock(&world, &world.new_client(), "ann-0123")
            .await
            .unwrap_err()
            .kind,
        LockErrorKind::NotHeld
    ));
    assert_eq!(world.writes().len(), before);
    assert_eq!(current_holder(&world).await, None);
}

#[tokio::test]
async fn a_lock_that_has_run_out_can_be_unlocked_without_waiting_for_the_margin() {
    let world = Simulation::default();
    drop(acquire_or_panic(&world.new_client(), "ann").await);
    world.advance(secs(95)).await;
    assert_eq!(current_holder(&world).await, None);
    run_unlock(&world, &world.new_client(), "ann-0123")
        .await
        .unwrap();
    assert!(
        acquire(&world.new_client(), "bob", timings_with_timeout(0))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn unlocking_bears_lost_answers() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::Conflict,
    ] {
        let world = Simulation::default();
        drop(acquire_or_panic(&world.new_client(), "ann").await);
        let node = world.new_client();
        node.queue_faults(&[RequestFault::RequestLost, RequestFault::None, fault, fault]);
        assert_eq!(
            run_unlock(&world, &node, "ann-0123").await.unwrap().holder,
            "ann",
            "{fault:?}"
        );
        assert!(world.record().unlocked, "{fault:?}");
    }
}

#[tokio::test]
async fn unlocking_a_holder_that_renews_meanwhile_unlocks_it_all_the_same() {
    let world = Simulation::default();
    let lease = acquire_or_panic(&world.new_client(), "ann").await;
    world.advance(secs(28)).await;
    let node = world.new_client();
    // The write arrives after the renewal at 30 seconds.
    node.queue_faults(&[RequestFault::None, RequestFault::Slow(4)]);
    run_unlock(&world, &node, "ann-0123").await.unwrap();
    let record = world.record();
    assert!(
        record.unlocked
            && record.expires_at > record.acquired_at + jiff::SignedDuration::from_secs(100)
    );
    world.advance(secs(40)).await;
    assert!(
        lease.cancellation_token().is_cancelled() && world.record() == record,
        "it is not renewed"
    );
}

#[tokio::test]
async fn unlocking_never_hits_another_who_took_it_meanwhile() {
    let world = Simulation::default();
    let ann = acquire_or_panic(&world.new_client(), "ann").await;
    let node = world.new_client();
    node.queue_faults(&[RequestFault::None, RequestFault::Slow(4)]);
    let (clock, place) = (node.clock(), test_location());
    let both = async {
        tokio::join!(unlock(&node, &clock, &place, "ann-0123"), async {
            world.run_ready_tasks().await;
            ann.release().await.unwrap();
            world
                .new_client()
                .acquirer(test_holder("bob"), timings_with_timeout(0))
                .acquire(|_, _| {})
                .await
        })
    };
    let (unlocked, bob) = world.run_to_completion(both).await;
    let error = unlocked.expect_err("bob has it");
    assert!(
        matches!(&error.kind, LockErrorKind::WrongHolder { record, .. } if record.holder == "bob"),
        "{error}"
    );
    assert_eq!(world.record(), bob.unwrap().record());
}
