//! Releasing a lock, and ending it for a holder that cannot release it.

use super::{
    LockError, LockErrorKind, LockLoss, LockRecord, RequestFault, Simulation, acquire,
    acquire_or_panic, secs, test_holder, test_location, timings_with_timeout,
};
use crate::lock::unlock::{delete_lock, find_holder, unlock};

async fn run_unlock(
    simulation: &Simulation,
    client: &super::SimulatedClient,
    id: &str,
) -> Result<LockRecord, LockError> {
    simulation
        .run_to_completion(unlock(client, &client.clock(), &test_location(), id))
        .await
}

async fn current_holder(simulation: &Simulation) -> Option<String> {
    let client = simulation.new_client();
    simulation
        .run_to_completion(find_holder(&client, &client.clock(), &test_location()))
        .await
        .unwrap()
        .map(|record| record.holder)
}

#[tokio::test]
async fn releases_despite_request_failures() {
    for fault in [
        RequestFault::None,
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::Conflict,
        RequestFault::Slow(5),
        RequestFault::AppliedLate(3),
    ] {
        for after in [RequestFault::None, RequestFault::RequestLost] {
            let simulation = Simulation::default();
            let client = simulation.new_client();
            let lease = acquire_or_panic(&client, "ann").await;
            assert_eq!(current_holder(&simulation).await.as_deref(), Some("ann"));
            client.queue_faults(&[fault, after]);
            simulation.run_to_completion(lease.release()).await.unwrap();
            let record = simulation.record();
            assert!(record.released, "{fault:?} {after:?}");
            assert_eq!((record.generation, record.holder.as_str()), (1, "ann"));
            assert_eq!(current_holder(&simulation).await, None);
            let before = simulation.writes().len();
            simulation.advance(secs(200)).await;
            assert_eq!(
                simulation.writes().len(),
                before,
                "nothing is renewed any more"
            );
        }
    }
}

#[tokio::test]
async fn releases_after_a_renewal_with_a_lost_response() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    client.queue_faults(&[RequestFault::ResponseLost, RequestFault::RequestLost]);
    simulation.advance(secs(31)).await;
    assert_ne!(
        lease.record(),
        simulation.record(),
        "the holder does not know what it wrote"
    );
    simulation.run_to_completion(lease.release()).await.unwrap();
    assert!(simulation.record().released);
}

#[tokio::test]
async fn a_late_renewal_does_not_undo_the_release() {
    for late in [1, 3, 20] {
        let simulation = Simulation::default();
        let client = simulation.new_client();
        let lease = acquire_or_panic(&client, "ann").await;
        // The renewal arrives before or after the release.
        client.queue_faults(&[RequestFault::AppliedLate(late), RequestFault::RequestLost]);
        simulation.advance(secs(32)).await;
        simulation.run_to_completion(lease.release()).await.unwrap();
        simulation.advance(secs(60)).await;
        assert!(simulation.record().released, "{late}");
    }
}

#[tokio::test]
async fn release_does_not_wait_for_a_renewal() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    client.queue_faults(&[RequestFault::Hangs]);
    simulation.advance(secs(31)).await;
    let started = simulation.now();
    simulation.run_to_completion(lease.release()).await.unwrap();
    assert!(simulation.record().released && simulation.now() - started < secs(2));
}

#[tokio::test]
async fn releasing_a_deleted_lock_is_no_error() {
    for what in ["object", "bucket"] {
        let simulation = Simulation::default();
        let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
        if what == "bucket" {
            simulation.delete_bucket();
        } else {
            simulation.set_object(None);
        }
        simulation.run_to_completion(lease.release()).await.unwrap();
        assert!(
            simulation.object().is_none(),
            "{what}: nothing is made anew"
        );
    }
}

#[tokio::test]
async fn release_reports_a_failing_store() {
    for (fault, least) in [
        (RequestFault::AccessDenied, 1),
        (RequestFault::RequestLost, 8),
        (RequestFault::Hangs, 1),
    ] {
        let simulation = Simulation::default();
        let client = simulation.new_client();
        let lease = acquire_or_panic(&client, "ann").await;
        let before = client.request_count();
        client.set_permanent_fault(fault);
        let error = simulation
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
        assert!(client.request_count() - before >= least, "{fault:?}");
        // The lock expires by itself.
        assert!(
            acquire(&simulation.new_client(), "bob", timings_with_timeout(110))
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn unlocks_only_the_named_holder() {
    let simulation = Simulation::default();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    let client = simulation.new_client();
    for wrong in ["bob-0123", "", "ann", "ann-9"] {
        let error = run_unlock(&simulation, &client, wrong)
            .await
            .expect_err("that is not its name");
        let LockErrorKind::WrongHolder {
            record,
            requested_id,
        } = &error.kind
        else {
            panic!("{error}")
        };
        assert_eq!(
            (record.holder.as_str(), requested_id.as_str()),
            ("ann", wrong)
        );
        assert_eq!(simulation.record(), lease.record(), "nothing was done");
    }
    let ended = run_unlock(&simulation, &client, &lease.record().short_id())
        .await
        .unwrap();
    assert_eq!(
        ended,
        LockRecord {
            unlocked: true,
            ..lease.record()
        }
    );
    assert_eq!(simulation.record(), ended);
    assert_eq!(
        run_unlock(&simulation, &client, &lease.record().short_id())
            .await
            .unwrap(),
        ended,
        "once more is no error"
    );
    // Ann is alive, notices, and releases the lock, so Bob acquires it long before its expiry.
    let bob = simulation.new_client();
    let (bob, ()) = simulation
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
    assert!(simulation.now() < secs(60), "{:?}", simulation.now());
}

#[tokio::test]
async fn an_unreachable_holder_keeps_an_unlocked_lock_until_expiry() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    client.set_permanent_fault(RequestFault::Hangs);
    run_unlock(&simulation, &simulation.new_client(), "ann-0123")
        .await
        .unwrap();
    assert_eq!(current_holder(&simulation).await.as_deref(), Some("ann"));
    let bob = simulation.new_client();
    let (bob, ()) = simulation
        .run_to_completion(async {
            tokio::join!(
                bob.acquirer(test_holder("bob"), timings_with_timeout(200))
                    .acquire(|_, _| {}),
                async {
                    lease.cancellation_token().cancelled().await;
                    assert_eq!(
                        simulation.record().generation,
                        1,
                        "nobody has it before ann knows"
                    );
                }
            )
        })
        .await;
    assert!(
        bob.is_ok() && simulation.now() > secs(100),
        "{:?}",
        simulation.now()
    );
}

#[tokio::test]
async fn deletes_only_a_lock_that_nobody_holds() {
    let simulation = Simulation::default();
    let remove = async || {
        let client = simulation.new_client();
        simulation
            .run_to_completion(delete_lock(
                &client,
                &client.clock(),
                &test_location(),
                secs(15),
            ))
            .await
    };
    remove().await.unwrap();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    assert!(matches!(
        remove().await.unwrap_err().kind,
        LockErrorKind::Held { .. }
    ));
    assert_eq!(simulation.record(), lease.record());
    simulation.run_to_completion(lease.release()).await.unwrap();
    remove().await.unwrap();
    assert!(simulation.object().is_none());
}

#[tokio::test]
async fn a_run_can_delete_its_own_lock_with_the_bucket() {
    for fault in [
        RequestFault::None,
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::AppliedLate(3),
        RequestFault::Slow(4),
    ] {
        let simulation = Simulation::default();
        let client = simulation.new_client();
        let lease = acquire_or_panic(&client, "ann").await;
        // A renewal is in progress.
        client.queue_faults(&[fault]);
        simulation.advance(secs(31)).await;
        client.queue_faults(&[RequestFault::None, fault]);
        simulation
            .run_to_completion(lease.delete_object())
            .await
            .unwrap();
        assert!(
            !lease.cancellation_token().is_cancelled(),
            "{fault:?}: the run goes on"
        );
        simulation.advance(secs(30)).await;
        assert!(
            simulation.object().is_none() && !lease.cancellation_token().is_cancelled(),
            "{fault:?}"
        );
        simulation.delete_bucket();
        simulation.run_to_completion(lease.release()).await.unwrap();
    }
}

#[tokio::test]
async fn does_not_delete_a_lock_of_another_holder() {
    let simulation = Simulation::default();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    let others = LockRecord {
        nonce: "bob-0123".to_owned(),
        generation: 2,
        ..lease.record()
    };
    simulation.set_object(Some(&others.to_json()));
    let error = simulation
        .run_to_completion(lease.delete_object())
        .await
        .expect_err("it is bob's");
    assert!(
        matches!(&error.kind, LockErrorKind::Lost(LockLoss::TakenOver(record)) if record.nonce == "bob-0123"),
        "{error}"
    );
    assert_eq!(simulation.record(), others);
}

#[tokio::test]
async fn cannot_unlock_a_lock_that_nobody_holds() {
    let simulation = Simulation::default();
    assert!(matches!(
        run_unlock(&simulation, &simulation.new_client(), "ann-0123")
            .await
            .unwrap_err()
            .kind,
        LockErrorKind::NotHeld
    ));
    simulation
        .run_to_completion(
            acquire_or_panic(&simulation.new_client(), "ann")
                .await
                .release(),
        )
        .await
        .unwrap();
    let before = simulation.writes().len();
    assert!(matches!(
        run_unlock(&simulation, &simulation.new_client(), "ann-0123")
            .await
            .unwrap_err()
            .kind,
        LockErrorKind::NotHeld
    ));
    assert_eq!(simulation.writes().len(), before);
    assert_eq!(current_holder(&simulation).await, None);
}

#[tokio::test]
async fn unlocking_an_expired_lock_skips_the_margin() {
    let simulation = Simulation::default();
    drop(acquire_or_panic(&simulation.new_client(), "ann").await);
    simulation.advance(secs(95)).await;
    assert_eq!(current_holder(&simulation).await, None);
    run_unlock(&simulation, &simulation.new_client(), "ann-0123")
        .await
        .unwrap();
    assert!(
        acquire(&simulation.new_client(), "bob", timings_with_timeout(0))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn unlock_survives_lost_responses() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::Conflict,
    ] {
        let simulation = Simulation::default();
        drop(acquire_or_panic(&simulation.new_client(), "ann").await);
        let client = simulation.new_client();
        client.queue_faults(&[RequestFault::RequestLost, RequestFault::None, fault, fault]);
        assert_eq!(
            run_unlock(&simulation, &client, "ann-0123")
                .await
                .unwrap()
                .holder,
            "ann",
            "{fault:?}"
        );
        assert!(simulation.record().unlocked, "{fault:?}");
    }
}

#[tokio::test]
async fn unlock_survives_a_concurrent_renewal() {
    let simulation = Simulation::default();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    simulation.advance(secs(28)).await;
    let client = simulation.new_client();
    // The write arrives after the renewal at 30 seconds.
    client.queue_faults(&[RequestFault::None, RequestFault::Slow(4)]);
    run_unlock(&simulation, &client, "ann-0123").await.unwrap();
    let record = simulation.record();
    assert!(
        record.unlocked
            && record.expires_at > record.acquired_at + jiff::SignedDuration::from_secs(100)
    );
    simulation.advance(secs(40)).await;
    assert!(
        lease.cancellation_token().is_cancelled() && simulation.record() == record,
        "it is not renewed"
    );
}

#[tokio::test]
async fn unlock_never_hits_a_new_holder() {
    let simulation = Simulation::default();
    let ann = acquire_or_panic(&simulation.new_client(), "ann").await;
    let client = simulation.new_client();
    client.queue_faults(&[RequestFault::None, RequestFault::Slow(4)]);
    let (clock, place) = (client.clock(), test_location());
    let both = async {
        tokio::join!(unlock(&client, &clock, &place, "ann-0123"), async {
            simulation.run_ready_tasks().await;
            ann.release().await.unwrap();
            simulation
                .new_client()
                .acquirer(test_holder("bob"), timings_with_timeout(0))
                .acquire(|_, _| {})
                .await
        })
    };
    let (unlocked, bob) = simulation.run_to_completion(both).await;
    let error = unlocked.expect_err("bob has it");
    assert!(
        matches!(&error.kind, LockErrorKind::WrongHolder { record, .. } if record.holder == "bob"),
        "{error}"
    );
    assert_eq!(simulation.record(), bob.unwrap().record());
}
