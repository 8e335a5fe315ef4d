//! How a lock is kept, and how its holder finds out that it is not.

use super::{
    LockErrorKind, LockLoss, LockTimings, RequestFault, Simulation, acquire, acquire_error,
    acquire_or_panic, expect_loss, secs, test_location, timings_with_timeout,
};
use crate::lock::unlock::unlock;

#[tokio::test]
async fn it_is_renewed_for_as_long_as_it_is_wanted() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    for _ in 0..20 {
        world.advance(secs(50)).await;
        assert!(
            lease.is_held_for(secs(50)),
            "{:?} at {:?}",
            lease.record(),
            world.now()
        );
        assert!(matches!(
            acquire_error(&world.new_client(), "bob").await,
            LockErrorKind::Held { .. }
        ));
    }
    assert_eq!(world.record().generation, 1, "a renewal is no new taking");
    let renewals = world.writes().len() - 1;
    assert!((31..=35).contains(&renewals), "{renewals} in 1000 s");
    drop(lease);
    let before = world.writes().len();
    world.advance(secs(500)).await;
    assert_eq!(world.writes().len(), before, "what was dropped is not kept");
}

#[tokio::test]
async fn asking_costs_a_request_only_when_little_is_left() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    let before = node.request_count();
    world
        .run_to_completion(lease.ensure_held_for(secs(30)))
        .await
        .unwrap();
    assert_eq!(node.request_count(), before);
    world
        .run_to_completion(lease.ensure_held_for(secs(92)))
        .await
        .unwrap_err();
    assert_eq!(
        node.request_count(),
        before + 2,
        "more than a renewal gives cannot be had"
    );
}

#[tokio::test]
async fn one_renewal_may_fail_and_two() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::Conflict,
        RequestFault::ResponseLost,
        RequestFault::AccessDenied,
        RequestFault::Hangs,
        RequestFault::Slow(25),
    ] {
        let world = Simulation::default();
        let node = world.new_client();
        let lease = acquire_or_panic(&node, "ann").await;
        node.queue_faults(&[fault, fault, RequestFault::None]);
        world.advance(secs(40)).await;
        assert!(lease.is_held_for(secs(10)), "{fault:?}");
        world.advance(secs(200)).await;
        assert!(lease.is_held_for(secs(30)), "{fault:?}");
        assert!(!lease.cancellation_token().is_cancelled(), "{fault:?}");
        assert_eq!(
            lease.record(),
            world.record(),
            "{fault:?}: what stands there is known"
        );
    }
}

#[tokio::test]
async fn without_renewals_it_ends_before_anybody_has_it() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::Hangs,
        RequestFault::AccessDenied,
        RequestFault::Conflict,
    ] {
        let world = Simulation::default();
        let (a, b) = (world.new_client(), world.new_client());
        let lease = acquire_or_panic(&a, "ann").await;
        a.set_permanent_fault(fault);
        let waiting = tokio::spawn(
            b.acquirer(super::test_holder("bob"), timings_with_timeout(1000))
                .acquire(|_, _| {}),
        );
        let mut ended = None;
        for second in 0..140 {
            world.advance(secs(1)).await;
            assert!(
                !(waiting.is_finished() && lease.is_held_for(secs(0))),
                "{fault:?}: both have it"
            );
            if lease.cancellation_token().is_cancelled() {
                ended.get_or_insert(second);
            }
            assert!(
                second >= 60 || !lease.cancellation_token().is_cancelled(),
                "{fault:?}: it ends too early"
            );
        }
        assert!(waiting.is_finished(), "{fault:?}: nobody gets it");
        // Bob may have it from 105 on.
        assert!(
            ended.is_some_and(|second| second <= 103),
            "{fault:?}: it ended at {ended:?}"
        );
        let error = world
            .run_to_completion(lease.ensure_held_for(secs(0)))
            .await
            .unwrap_err();
        assert!(
            matches!(expect_loss(error.kind), LockLoss::NotRenewed(_)),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_holder_that_slept_and_lost_it_writes_nothing_more() {
    let world = Simulation::default();
    let a = world.new_client();
    let lease = acquire_or_panic(&a, "ann").await;
    a.fall_asleep();
    world.advance(secs(300)).await;
    let bob = acquire_or_panic(&world.new_client(), "bob").await;
    a.wake_up();
    assert!(
        !lease.is_held_for(secs(0)),
        "the local clock tells that time has passed"
    );
    let error = world
        .run_to_completion(lease.ensure_held_for(secs(20)))
        .await
        .expect_err("bob has it");
    assert!(
        error
            .to_string()
            .contains("the lock ran out, and bob on host-of-bob"),
        "{error}"
    );
    assert!(
        matches!(expect_loss(error.kind), LockLoss::TakenOver(record) if record.holder == "bob")
    );
    assert!(lease.cancellation_token().is_cancelled());
    assert_eq!(world.record(), bob.record(), "bob's lock is as it was");
    world.run_to_completion(lease.release()).await.unwrap();
    assert_eq!(world.record(), bob.record(), "even then");
    assert!(bob.is_held_for(secs(20)));
}

#[tokio::test]
async fn a_holder_that_slept_without_a_wall_clock_learns_it_from_the_store() {
    // As above, on a machine whose local clock stood still too.
    let world = Simulation::default();
    let a = world.new_client();
    let lease = acquire_or_panic(&a, "ann").await;
    a.set_permanent_fault(RequestFault::Hangs);
    world.advance(secs(200)).await;
    a.set_permanent_fault(RequestFault::None);
    let bob = acquire_or_panic(&world.new_client(), "bob").await;
    let error = world
        .run_to_completion(lease.ensure_held_for(secs(20)))
        .await
        .expect_err("bob has it");
    assert!(matches!(error.kind, LockErrorKind::Lost(_)), "{error}");
    assert_eq!(world.record(), bob.record());
}

#[tokio::test]
async fn a_holder_that_slept_and_was_not_missed_goes_on() {
    let world = Simulation::default();
    let a = world.new_client();
    let lease = acquire_or_panic(&a, "ann").await;
    a.fall_asleep();
    world.advance(secs(4000)).await;
    a.wake_up();
    assert!(!lease.is_held_for(secs(0)));
    world
        .run_to_completion(lease.ensure_held_for(secs(30)))
        .await
        .unwrap();
    assert!(
        lease.is_held_for(secs(60)),
        "the new end is by the server's time, not by one that stood still"
    );
    assert!(matches!(
        acquire_error(&world.new_client(), "bob").await,
        LockErrorKind::Held { .. }
    ));
    assert_eq!(world.record().generation, 1);
}

#[tokio::test]
async fn a_server_that_is_ahead_of_the_last_one_costs_a_second_renewal() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    world.advance(secs(25)).await;
    node.set_server_skew(60);
    let before = node.request_count();
    world
        .run_to_completion(lease.ensure_held_for(secs(80)))
        .await
        .unwrap();
    assert_eq!(
        node.request_count() - before,
        2,
        "the first was by the clock of the last answer"
    );
    assert!(lease.is_held_for(secs(80)));
}

#[tokio::test]
async fn a_local_clock_that_is_set_costs_a_look_and_nothing_else() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    node.set_forward(secs(86_400));
    assert!(!lease.is_held_for(secs(0)), "it may have been asleep");
    world
        .run_to_completion(lease.ensure_held_for(secs(30)))
        .await
        .unwrap();
    let left = world
        .record()
        .expires_at
        .duration_since(lease.record().acquired_at);
    assert!(
        left.as_secs() < 95,
        "the day that did not pass is not in it: {left:?}"
    );
}

#[tokio::test]
async fn a_local_clock_that_is_set_back_makes_nothing_longer() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    node.set_back(secs(86_400));
    node.set_permanent_fault(RequestFault::RequestLost);
    world.advance(secs(91)).await;
    assert!(!lease.is_held_for(secs(0)) && lease.cancellation_token().is_cancelled());
}

#[tokio::test]
async fn a_machine_that_sleeps_after_its_clock_was_set_back_knows_that_it_slept() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    node.set_back(secs(86_400));
    assert!(lease.is_held_for(secs(60)));
    node.fall_asleep();
    world.advance(secs(120)).await;
    node.wake_up();
    assert!(!lease.is_held_for(secs(0)));
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_counts() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    let before = node.request_count();
    node.queue_faults(&[RequestFault::ResponseLost]);
    world.advance(secs(55)).await;
    assert_eq!(
        node.request_count() - before,
        2,
        "the write and the look; the next renewal is not earlier for it"
    );
    assert!(lease.is_held_for(secs(60)));
}

#[tokio::test]
async fn what_others_do_to_it_is_found_out_by_the_next_renewal() {
    for what in ["unlocked", "deleted", "no bucket", "overwritten"] {
        let world = Simulation::default();
        let node = world.new_client();
        let lease = acquire_or_panic(&node, "ann").await;
        let other = world.new_client();
        match what {
            "unlocked" => {
                let released = world
                    .run_to_completion(unlock(&other, &other.clock(), &test_location(), "ann-0123"))
                    .await;
                assert_eq!(released.unwrap().holder, "ann");
            }
            "deleted" => world.set_object(None),
            "no bucket" => world.delete_bucket(),
            _ => world.set_object(Some(b"not a lock")),
        }
        world.advance(secs(31)).await;
        assert!(lease.cancellation_token().is_cancelled(), "{what}");
        let lost = expect_loss(
            world
                .run_to_completion(lease.ensure_held_for(secs(0)))
                .await
                .unwrap_err()
                .kind,
        );
        let expected = match what {
            "unlocked" => matches!(lost, LockLoss::Unlocked),
            "overwritten" => matches!(lost, LockLoss::Overwritten(_)),
            _ => matches!(lost, LockLoss::Deleted),
        };
        assert!(expected, "{what}: {lost}");
    }
}

#[tokio::test]
async fn the_same_bytes_are_never_written_twice() {
    // An `ETag` of S3 is made of the content: were two bodies the same, a condition would hold for the wrong one.
    let world = Simulation::default();
    for round in 0..3 {
        let lease = acquire(&world.new_client(), "ann", LockTimings::AWS)
            .await
            .unwrap();
        world.advance(secs(100)).await;
        world.run_to_completion(lease.release()).await.unwrap();
        assert_eq!(world.record().generation, round + 1);
    }
    let written = world.writes();
    for (at, record) in written.iter().enumerate() {
        assert!(!written[..at].contains(record), "{record:?}");
    }
}
