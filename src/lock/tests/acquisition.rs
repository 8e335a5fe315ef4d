//! Acquiring a lock, with every kind of request failure.

use std::sync::{Arc, Mutex};

use super::{
    LockErrorKind, LockRecord, LockTimings, RequestFault, Simulation, acquire, acquire_error,
    acquire_or_panic, secs, test_holder, timings_with_timeout,
};
use crate::clouds::ErrorKind;

#[tokio::test]
async fn acquires_a_free_lock_and_increments_the_generation() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let lease = acquire_or_panic(&client, "ann").await;
    let record = simulation.record();
    assert_eq!(lease.record(), record);
    assert_eq!((record.generation, record.released), (1, false));
    assert!(
        record
            .expires_at
            .duration_since(record.acquired_at)
            .as_secs()
            == 90
    );
    assert_eq!(
        client.request_count(),
        4,
        "a look, a write, and two writes that must be refused"
    );
    assert_eq!(simulation.writes().len(), 1, "which they were");
    simulation.run_to_completion(lease.release()).await.unwrap();
    let record = simulation.record();
    assert_eq!((record.generation, record.released), (1, true));
    let lease = acquire_or_panic(&client, "bob").await;
    assert_eq!(
        (lease.record().generation, lease.record().holder.as_str()),
        (2, "bob")
    );
}

/// A lifecycle rule moves what has lain for days to an archive, where it cannot be read.
#[tokio::test]
async fn acquires_a_lock_that_is_in_an_archive() {
    let simulation = Simulation::default();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    simulation.run_to_completion(lease.release()).await.unwrap();
    let written_at = simulation.record().acquired_at;
    simulation.archive_object(written_at - jiff::SignedDuration::from_hours(48));
    let lease = acquire_or_panic(&simulation.new_client(), "bob").await;
    assert_eq!(lease.record().holder, "bob");
    assert!(lease.record().generation > 1, "it only grows");

    // Written just now: its holder may be alive, whatever the archive hides.
    let written_at = lease.record().acquired_at;
    simulation.archive_object(written_at);
    let error = acquire_error(&simulation.new_client(), "eve").await;
    assert!(matches!(error, LockErrorKind::Held { .. }), "{error}");
}

#[tokio::test]
async fn detects_its_own_write_after_a_lost_response() {
    for (fault, writes) in [
        (RequestFault::ResponseLost, 1),
        (RequestFault::RequestLost, 1),
    ] {
        for released in [false, true] {
            let simulation = Simulation::default();
            if released {
                simulation
                    .run_to_completion(
                        acquire_or_panic(&simulation.new_client(), "old")
                            .await
                            .release(),
                    )
                    .await
                    .unwrap();
            }
            let before = simulation.writes().len();
            let client = simulation.new_client();
            client.queue_faults(&[RequestFault::None, fault]);
            let lease = acquire_or_panic(&client, "ann").await;
            assert!(lease.is_held_for(secs(60)));
            assert_eq!(lease.record(), simulation.record());
            assert_eq!(
                lease.record().generation,
                1 + u64::from(released),
                "{fault:?}"
            );
            assert_eq!(
                simulation.writes().len() - before,
                writes,
                "{fault:?} {released}"
            );
        }
    }
}

#[tokio::test]
async fn recognizes_its_own_write_when_it_was_sent_twice() {
    // If a response is lost, the SDK sends the request again and gets 412, as if another run had
    // been first.
    let simulation = Simulation::default();
    let client = simulation.new_client();
    let mine = LockRecord::new(
        &test_holder("ann"),
        1,
        "2026-11-21T12:00:00Z".parse().unwrap(),
        secs(90),
    );
    let early = client
        .clone()
        .acquirer(test_holder("ann"), timings_with_timeout(0));
    client.queue_faults(&[RequestFault::None, RequestFault::Slow(1)]);
    let taking = async {
        let taking = early.acquire(|_, _| {});
        tokio::join!(taking, async {
            simulation.run_ready_tasks().await;
            simulation.set_object(Some(&mine.to_json()));
        })
    };
    let (lease, ()) = simulation.run_to_completion(taking).await;
    assert_eq!(lease.unwrap().record(), mine);
    assert!(simulation.writes().is_empty());
}

#[tokio::test]
async fn one_of_two_concurrent_runs_acquires_it() {
    for first in ["ann", "bob"] {
        let simulation = Simulation::default();
        let (a, b) = (simulation.new_client(), simulation.new_client());
        // Both read before either writes.
        let slow = if first == "ann" { &b } else { &a };
        slow.queue_faults(&[RequestFault::None, RequestFault::Slow(1)]);
        let both = async {
            tokio::join!(
                acquire(&a, "ann", timings_with_timeout(0)),
                acquire(&b, "bob", timings_with_timeout(0))
            )
        };
        let (ann, bob) = simulation.run_to_completion(both).await;
        let (winner, loser) = if first == "ann" {
            (ann, bob)
        } else {
            (bob, ann)
        };
        assert_eq!(winner.unwrap().record().holder, first);
        let LockErrorKind::Held { record, .. } = loser.err().unwrap().kind else {
            panic!("it was refused for another reason")
        };
        assert_eq!(record.holder, first);
    }
}

#[tokio::test]
async fn one_of_many_concurrent_runs_acquires_it() {
    let simulation = Simulation::default();
    let names = ["ann", "bob", "cyd", "dan", "eve", "flo", "gus", "hal"];
    let clients = names.map(|_| simulation.new_client());
    let all = futures_util::future::join_all(
        clients
            .iter()
            .zip(names)
            .map(|(client, name)| acquire(client, name, timings_with_timeout(0))),
    );
    let all = simulation.run_to_completion(all).await;
    assert_eq!(all.iter().filter(|lease| lease.is_ok()).count(), 1);
    assert_eq!(simulation.writes().len(), 1);
}

#[tokio::test]
async fn reads_again_after_a_conflict() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    client.queue_faults(&[
        RequestFault::None,
        RequestFault::Conflict,
        RequestFault::None,
        RequestFault::Conflict,
    ]);
    assert_eq!(
        acquire_or_panic(&client, "ann").await.record().generation,
        1
    );
    let simulation = Simulation::default();
    let client = simulation.new_client();
    client.set_permanent_fault(RequestFault::Conflict);
    let error_kind = acquire_error(&client, "ann").await;
    assert!(
        matches!(error_kind, LockErrorKind::Contended(8)),
        "{error_kind}"
    );
    assert!(simulation.object().is_none());
}

#[tokio::test]
async fn acquires_a_lock_that_was_deleted_after_the_read() {
    let simulation = Simulation::default();
    simulation
        .run_to_completion(
            acquire_or_panic(&simulation.new_client(), "old")
                .await
                .release(),
        )
        .await
        .unwrap();
    let client = simulation.new_client();
    client.queue_faults(&[RequestFault::None, RequestFault::Slow(2)]);
    let taking = async {
        tokio::join!(acquire(&client, "ann", timings_with_timeout(0)), async {
            simulation.run_ready_tasks().await;
            simulation.set_object(None);
        })
    };
    let (lease, ()) = simulation.run_to_completion(taking).await;
    assert_eq!(lease.unwrap().record().generation, 1);
}

#[tokio::test]
async fn waiter_is_notified_once_then_acquires() {
    let simulation = Simulation::default();
    let (a, b) = (simulation.new_client(), simulation.new_client());
    let lease = acquire_or_panic(&a, "ann").await;
    let reported = Arc::new(Mutex::new(Vec::new()));
    let reports = reported.clone();
    let waiting = tokio::spawn(
        b.acquirer(test_holder("bob"), timings_with_timeout(1000))
            .acquire(move |record, until| {
                reports
                    .lock()
                    .unwrap()
                    .push((record.holder.clone(), until.to_string()));
            }),
    );
    simulation.advance(secs(200)).await;
    assert!(!waiting.is_finished());
    assert_eq!(
        *reported.lock().unwrap(),
        [("ann".to_owned(), "2026-11-21T12:01:46Z".to_owned())]
    );
    simulation.run_to_completion(lease.release()).await.unwrap();
    simulation.advance(LockTimings::AWS.poll_interval).await;
    assert!(waiting.is_finished());
    assert_eq!(waiting.await.unwrap().unwrap().record().generation, 2);
}

#[tokio::test]
async fn occasional_failures_do_not_add_up_while_waiting() {
    let simulation = Simulation::default();
    let (a, b) = (simulation.new_client(), simulation.new_client());
    let lease = acquire_or_panic(&a, "ann").await;
    b.queue_faults(&[RequestFault::None, RequestFault::RequestLost].repeat(40));
    let waiting = tokio::spawn(
        b.acquirer(test_holder("bob"), timings_with_timeout(1000))
            .acquire(|_, _| {}),
    );
    simulation.advance(secs(300)).await;
    assert!(!waiting.is_finished());
    simulation.run_to_completion(lease.release()).await.unwrap();
    simulation.advance(secs(10)).await;
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn gives_up_after_the_acquire_timeout() {
    let simulation = Simulation::default();
    let _lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    let started = simulation.now();
    let error = acquire(&simulation.new_client(), "bob", timings_with_timeout(150))
        .await
        .expect_err("ann has it");
    let LockErrorKind::Held { record, waited, .. } = error.kind else {
        panic!("{error}")
    };
    assert_eq!(record.holder, "ann");
    assert!((150..152).contains(&waited.as_secs()), "{waited:?}");
    assert!((150..152).contains(&(simulation.now() - started).as_secs()));
}

#[tokio::test]
async fn lock_of_a_dead_run_is_available_after_ttl_and_margin() {
    let simulation = Simulation::default();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    let ends = lease.record().expires_at;
    drop(lease);
    let error = acquire(&simulation.new_client(), "bob", timings_with_timeout(100))
        .await
        .expect_err("it has not run out for sure");
    assert!(matches!(error.kind, LockErrorKind::Held { .. }), "{error}");
    let lease = acquire(&simulation.new_client(), "bob", timings_with_timeout(10))
        .await
        .unwrap();
    assert_eq!(lease.record().generation, 2);
    let taken = lease.record().acquired_at.duration_since(ends).as_secs();
    assert!((15..=21).contains(&taken), "{taken} s after its end");
}

#[tokio::test]
async fn rejects_a_store_that_ignores_conditions_and_releases_the_lock() {
    for (ignored, reported) in [
        (&["If-None-Match"][..], "If-None-Match: *"),
        (&["If-Match"][..], "If-Match"),
        (&["If-None-Match", "If-Match"][..], "If-None-Match: *"),
    ] {
        let simulation = Simulation::default();
        simulation.ignore_conditions(ignored);
        let error_kind = acquire_error(&simulation.new_client(), "ann").await;
        assert!(
            matches!(error_kind, LockErrorKind::ConditionalWritesIgnored(name) if name == reported),
            "{error_kind}"
        );
        assert!(simulation.record().released, "nobody believes to hold it");
        // What the first run left does not mislead the next one either.
        let error_kind = acquire_error(&simulation.new_client(), "bob").await;
        assert!(
            matches!(error_kind, LockErrorKind::ConditionalWritesIgnored(name) if name == reported),
            "{error_kind}"
        );
    }
}

#[tokio::test]
async fn verification_survives_network_failures() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::Conflict,
        RequestFault::Slow(5),
    ] {
        let simulation = Simulation::default();
        let client = simulation.new_client();
        client.queue_faults(&[RequestFault::None, RequestFault::None, fault, fault]);
        assert!(
            acquire_or_panic(&client, "ann").await.is_held_for(secs(60)),
            "{fault:?}"
        );
        assert_eq!(simulation.writes().len(), 1, "{fault:?}");
    }
    let simulation = Simulation::default();
    let client = simulation.new_client();
    client.queue_faults(&[
        RequestFault::None,
        RequestFault::None,
        RequestFault::AccessDenied,
    ]);
    let error_kind = acquire_error(&client, "ann").await;
    assert!(
        matches!(&error_kind, LockErrorKind::Cloud(error) if error.kind == ErrorKind::PermissionDenied),
        "{error_kind}"
    );
    assert!(
        simulation.record().released,
        "what is not proven is given back"
    );
}

#[tokio::test]
async fn does_not_acquire_without_server_time() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    client.omit_date();
    assert!(matches!(
        acquire_error(&client, "ann").await,
        LockErrorKind::MissingDateHeader
    ));
    assert!(simulation.object().is_none());
}

#[tokio::test]
async fn leaves_an_object_alone_that_is_not_a_lock() {
    let simulation = Simulation::default();
    simulation.set_object(Some(b"{\"somebody\": \"elses\"}"));
    let error = acquire(&simulation.new_client(), "ann", timings_with_timeout(500))
        .await
        .expect_err("it is no lock");
    assert!(
        error
            .to_string()
            .contains("s3://harbor-locks/.trimtab/locks/harbor/production.json is not a lock")
    );
    let hint = "look at the object, and if nothing needs it: `aws s3 rm s3://harbor-locks/.trimtab/locks/harbor/production.json`";
    assert_eq!(error.hint().as_deref(), Some(hint));
    assert!(simulation.writes().is_empty());
}

#[tokio::test]
async fn does_not_retry_permanent_errors() {
    let simulation = Simulation::default();
    let client = simulation.new_client();
    client.set_permanent_fault(RequestFault::AccessDenied);
    assert!(matches!(
        acquire_error(&client, "ann").await,
        LockErrorKind::Cloud(_)
    ));
    assert_eq!(client.request_count(), 1);
    let client = simulation.new_client();
    simulation.delete_bucket();
    let error_kind = acquire_error(&client, "ann").await;
    assert!(
        matches!(&error_kind, LockErrorKind::BucketNotFound(name) if name == "harbor-locks"),
        "{error_kind}"
    );
    let simulation = Simulation::default();
    let client = simulation.new_client();
    client.set_permanent_fault(RequestFault::RequestLost);
    let error_kind = acquire_error(&client, "ann").await;
    assert!(
        matches!(&error_kind, LockErrorKind::Cloud(error) if error.is_ambiguous()),
        "{error_kind}"
    );
    assert_eq!(client.request_count(), 8);
}

#[tokio::test]
async fn a_wrong_local_clock_never_takes_over_a_lock() {
    let simulation = Simulation::default();
    let lease = acquire_or_panic(&simulation.new_client(), "ann").await;
    let client = simulation.new_client();
    client.set_forward(secs(86_400));
    let error = acquire(&client, "bob", timings_with_timeout(30))
        .await
        .expect_err("ann has it");
    assert!(matches!(error.kind, LockErrorKind::Held { .. }), "{error}");
    client.set_forward(secs(86_400));
    assert!(matches!(
        acquire_error(&client, "bob").await,
        LockErrorKind::Held { .. }
    ));
    assert!(lease.is_held_for(secs(0)));
}

#[tokio::test]
async fn server_clock_skew_never_takes_over_a_lock() {
    // Ann's server is behind and Ann dies; Bob's server is ahead. Together the difference is less
    // than the margin.
    for (behind, ahead) in [(-6, 6), (6, -6)] {
        let simulation = Simulation::default();
        let (a, b) = (simulation.new_client(), simulation.new_client());
        a.set_server_skew(behind);
        b.set_server_skew(ahead);
        let lease = acquire_or_panic(&a, "ann").await;
        a.set_permanent_fault(RequestFault::RequestLost);
        let waiting = tokio::spawn(
            b.acquirer(test_holder("bob"), timings_with_timeout(1000))
                .acquire(|_, _| {}),
        );
        for _ in 0..200 {
            simulation.advance(secs(1)).await;
            assert!(
                !(waiting.is_finished() && lease.is_held_for(secs(0))),
                "both have it"
            );
        }
        assert!(waiting.is_finished());
    }
}
