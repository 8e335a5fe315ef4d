//! Renewing a lock, and how its holder notices that it is lost.

use super::{
    LockErrorKind, LockLoss, LockTimings, RequestFault, Simulation, acquire, acquire_error,
    acquire_or_panic, expect_loss, secs, test_location, timings_with_timeout,
};
use crate::lock::unlock::unlock;

#[tokio::test]
async fn is_renewed_until_it_is_dropped() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    for _ in 0..20 {
        simulation.advance(secs(50)).await;
        assert!(
            lease.is_held_for(secs(50)),
            "{:?} at {:?}",
            lease.record(),
            simulation.now()
        );
        assert!(matches!(
            acquire_error(&simulation.new_client(), "bob").await,
            LockErrorKind::Held { .. }
        ));
    }
    assert_eq!(
        simulation.record().generation,
        1,
        "a renewal is no new taking"
    );
    let renewals = simulation.writes().len() - 1;
    assert!((31..=35).contains(&renewals), "{renewals} in 1000 s");
    drop(lease);
    let before = simulation.writes().len();
    simulation.advance(secs(500)).await;
    assert_eq!(
        simulation.writes().len(),
        before,
        "what was dropped is not kept"
    );
}

#[tokio::test]
async fn confirming_sends_a_request_only_near_expiry() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    let before = client.request_count();
    simulation
        .run_to_completion(lease.ensure_held_for(secs(30)))
        .await
        .unwrap();
    assert_eq!(client.request_count(), before);
    simulation
        .run_to_completion(lease.ensure_held_for(secs(92)))
        .await
        .unwrap_err();
    assert_eq!(
        client.request_count(),
        before + 2,
        "more than a renewal gives cannot be had"
    );
}

#[tokio::test]
async fn survives_two_failed_renewals() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::Conflict,
        RequestFault::ResponseLost,
        RequestFault::AccessDenied,
        RequestFault::Hangs,
        RequestFault::Slow(25),
    ] {
        let simulation = Simulation::default();
        let client = simulation.new_client();
        let lease = acquire_or_panic(&client, "ann").await;
        client.queue_faults(&[fault, fault, RequestFault::None]);
        simulation.advance(secs(40)).await;
        assert!(lease.is_held_for(secs(10)), "{fault:?}");
        simulation.advance(secs(200)).await;
        assert!(lease.is_held_for(secs(30)), "{fault:?}");
        assert!(!lease.cancellation_token().is_cancelled(), "{fault:?}");
        assert_eq!(
            lease.record(),
            simulation.record(),
            "{fault:?}: what stands there is known"
        );
    }
}

#[tokio::test]
async fn without_renewals_it_is_lost_before_another_run_acquires_it() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::Hangs,
        RequestFault::AccessDenied,
        RequestFault::Conflict,
    ] {
        let simulation = Simulation::default();
        let (a, b) = (simulation.new_client(), simulation.new_client());
        let lease = acquire_or_panic(&a, "ann").await;
        a.set_permanent_fault(fault);
        let waiting = tokio::spawn(
            b.acquirer(super::test_holder("bob"), timings_with_timeout(1000))
                .acquire(|_, _| {}),
        );
        let mut ended = None;
        for second in 0..140 {
            simulation.advance(secs(1)).await;
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
        // Bob may acquire it after 105 seconds.
        assert!(
            ended.is_some_and(|second| second <= 103),
            "{fault:?}: it ended at {ended:?}"
        );
        let error = simulation
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
async fn a_holder_that_slept_and_lost_the_lock_stops() {
    let simulation = Simulation::default();
    let a = simulation.new_client();
    let lease = acquire_or_panic(&a, "ann").await;
    a.fall_asleep();
    simulation.advance(secs(300)).await;
    let bob = acquire_or_panic(&simulation.new_client(), "bob").await;
    a.wake_up();
    assert!(
        !lease.is_held_for(secs(0)),
        "the local clock tells that time has passed"
    );
    let error = simulation
        .run_to_completion(lease.ensure_held_for(secs(20)))
        .await
        .expect_err("bob has it");
    assert!(
        error
            .to_string()
            .contains("the lock expired, and bob on host-of-bob"),
        "{error}"
    );
    assert!(
        matches!(expect_loss(error.kind), LockLoss::TakenOver(record) if record.holder == "bob")
    );
    assert!(lease.cancellation_token().is_cancelled());
    assert_eq!(simulation.record(), bob.record(), "bob's lock is as it was");
    simulation.run_to_completion(lease.release()).await.unwrap();
    assert_eq!(simulation.record(), bob.record(), "even then");
    assert!(bob.is_held_for(secs(20)));
}

#[tokio::test]
async fn a_holder_without_wall_clock_learns_the_loss_from_the_store() {
    // As above, on a machine whose wall clock stood still as well.
    let simulation = Simulation::default();
    let a = simulation.new_client();
    let lease = acquire_or_panic(&a, "ann").await;
    a.set_permanent_fault(RequestFault::Hangs);
    simulation.advance(secs(200)).await;
    a.set_permanent_fault(RequestFault::None);
    let bob = acquire_or_panic(&simulation.new_client(), "bob").await;
    let error = simulation
        .run_to_completion(lease.ensure_held_for(secs(20)))
        .await
        .expect_err("bob has it");
    assert!(matches!(error.kind, LockErrorKind::Lost(_)), "{error}");
    assert_eq!(simulation.record(), bob.record());
}

#[tokio::test]
async fn a_holder_that_slept_renews_if_nobody_acquired_it() {
    let simulation = Simulation::default();
    let a = simulation.new_client();
    let lease = acquire_or_panic(&a, "ann").await;
    a.fall_asleep();
    simulation.advance(secs(4000)).await;
    a.wake_up();
    assert!(!lease.is_held_for(secs(0)));
    simulation
        .run_to_completion(lease.ensure_held_for(secs(30)))
        .await
        .unwrap();
    assert!(
        lease.is_held_for(secs(60)),
        "the new end is by the server's time, not by one that stood still"
    );
    assert!(matches!(
        acquire_error(&simulation.new_client(), "bob").await,
        LockErrorKind::Held { .. }
    ));
    assert_eq!(simulation.record().generation, 1);
}

#[tokio::test]
async fn a_server_clock_ahead_costs_a_second_renewal() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    simulation.advance(secs(25)).await;
    client.set_server_skew(60);
    let before = client.request_count();
    simulation
        .run_to_completion(lease.ensure_held_for(secs(80)))
        .await
        .unwrap();
    assert_eq!(
        client.request_count() - before,
        2,
        "the first was by the clock of the last answer"
    );
    assert!(lease.is_held_for(secs(80)));
}

#[tokio::test]
async fn setting_the_local_clock_costs_only_a_read() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    client.set_forward(secs(86_400));
    assert!(!lease.is_held_for(secs(0)), "it may have been asleep");
    simulation
        .run_to_completion(lease.ensure_held_for(secs(30)))
        .await
        .unwrap();
    let left = simulation
        .record()
        .expires_at
        .duration_since(lease.record().acquired_at);
    assert!(
        left.as_secs() < 95,
        "the day that did not pass is not in it: {left:?}"
    );
}

#[tokio::test]
async fn setting_the_local_clock_back_does_not_extend_the_lease() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    client.set_back(secs(86_400));
    client.set_permanent_fault(RequestFault::RequestLost);
    simulation.advance(secs(91)).await;
    assert!(!lease.is_held_for(secs(0)) && lease.cancellation_token().is_cancelled());
}

#[tokio::test]
async fn detects_sleep_after_the_clock_was_set_back() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    client.set_back(secs(86_400));
    assert!(lease.is_held_for(secs(60)));
    client.fall_asleep();
    simulation.advance(secs(120)).await;
    client.wake_up();
    assert!(!lease.is_held_for(secs(0)));
}

#[tokio::test]
async fn a_renewal_with_a_lost_response_counts() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    let before = client.request_count();
    client.queue_faults(&[RequestFault::ResponseLost]);
    simulation.advance(secs(55)).await;
    assert_eq!(
        client.request_count() - before,
        2,
        "the write and the look; the next renewal is not earlier for it"
    );
    assert!(lease.is_held_for(secs(60)));
}

#[tokio::test]
async fn the_next_renewal_detects_changes_by_others() {
    for what in ["unlocked", "deleted", "no bucket", "overwritten"] {
        let simulation = Simulation::default();
        let client = simulation.new_client();
        let lease = acquire_or_panic(&client, "ann").await;
        let other = simulation.new_client();
        match what {
            "unlocked" => {
                let released = simulation
                    .run_to_completion(unlock(&other, &other.clock(), &test_location(), "ann-0123"))
                    .await;
                assert_eq!(released.unwrap().holder, "ann");
            }
            "deleted" => simulation.set_object(None),
            "no bucket" => simulation.delete_bucket(),
            _ => simulation.set_object(Some(b"not a lock")),
        }
        simulation.advance(secs(31)).await;
        assert!(lease.cancellation_token().is_cancelled(), "{what}");
        let lost = expect_loss(
            simulation
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
async fn never_writes_the_same_content_twice() {
    // S3 computes an `ETag` from the content. If two runs wrote the same content, a condition would
    // hold for the wrong write.
    let simulation = Simulation::default();
    for round in 0..3 {
        let lease = acquire(&simulation.new_client(), "ann", LockTimings::AWS)
            .await
            .unwrap();
        simulation.advance(secs(100)).await;
        simulation.run_to_completion(lease.release()).await.unwrap();
        assert_eq!(simulation.record().generation, round + 1);
    }
    let written = simulation.writes();
    for (at, record) in written.iter().enumerate() {
        assert!(!written[..at].contains(record), "{record:?}");
    }
}
