//! How a lock is taken, whatever happens to the requests.

use std::sync::{Arc, Mutex};

use super::{
    LockErrorKind, LockRecord, LockTimings, RequestFault, Simulation, acquire, acquire_error,
    acquire_or_panic, secs, test_holder, timings_with_timeout,
};
use crate::clouds::ErrorKind;

#[tokio::test]
async fn a_free_lock_is_taken_and_counted() {
    let world = Simulation::default();
    let node = world.new_client();
    let lease = acquire_or_panic(&node, "ann").await;
    let record = world.record();
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
        node.request_count(),
        4,
        "a look, a write, and two writes that must be refused"
    );
    assert_eq!(world.writes().len(), 1, "which they were");
    world.run_to_completion(lease.release()).await.unwrap();
    let record = world.record();
    assert_eq!((record.generation, record.released), (1, true));
    let lease = acquire_or_panic(&node, "bob").await;
    assert_eq!(
        (lease.record().generation, lease.record().holder.as_str()),
        (2, "bob")
    );
}

#[tokio::test]
async fn a_lost_answer_to_our_own_write_is_found_out() {
    for (fault, writes) in [
        (RequestFault::ResponseLost, 1),
        (RequestFault::RequestLost, 1),
    ] {
        for released in [false, true] {
            let world = Simulation::default();
            if released {
                world
                    .run_to_completion(acquire_or_panic(&world.new_client(), "old").await.release())
                    .await
                    .unwrap();
            }
            let before = world.writes().len();
            let node = world.new_client();
            node.queue_faults(&[RequestFault::None, fault]);
            let lease = acquire_or_panic(&node, "ann").await;
            assert!(lease.is_held_for(secs(60)));
            assert_eq!(lease.record(), world.record());
            assert_eq!(
                lease.record().generation,
                1 + u64::from(released),
                "{fault:?}"
            );
            assert_eq!(
                world.writes().len() - before,
                writes,
                "{fault:?} {released}"
            );
        }
    }
}

#[tokio::test]
async fn a_write_that_was_sent_twice_does_not_lose_to_itself() {
    // The SDK sends a request again whose answer was lost, and gets 412 for the second: as if somebody had been first.
    let world = Simulation::default();
    let node = world.new_client();
    let mine = LockRecord::new(
        &test_holder("ann"),
        1,
        "2026-11-21T12:00:00Z".parse().unwrap(),
        secs(90),
    );
    let early = node
        .clone()
        .acquirer(test_holder("ann"), timings_with_timeout(0));
    node.queue_faults(&[RequestFault::None, RequestFault::Slow(1)]);
    let taking = async {
        let taking = early.acquire(|_, _| {});
        tokio::join!(taking, async {
            world.run_ready_tasks().await;
            world.set_object(Some(&mine.to_json()));
        })
    };
    let (lease, ()) = world.run_to_completion(taking).await;
    assert_eq!(lease.unwrap().record(), mine);
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn of_two_at_once_one_has_it() {
    for first in ["ann", "bob"] {
        let world = Simulation::default();
        let (a, b) = (world.new_client(), world.new_client());
        // Both look before either writes.
        let slow = if first == "ann" { &b } else { &a };
        slow.queue_faults(&[RequestFault::None, RequestFault::Slow(1)]);
        let both = async {
            tokio::join!(
                acquire(&a, "ann", timings_with_timeout(0)),
                acquire(&b, "bob", timings_with_timeout(0))
            )
        };
        let (ann, bob) = world.run_to_completion(both).await;
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
async fn of_many_at_once_one_has_it() {
    let world = Simulation::default();
    let names = ["ann", "bob", "cyd", "dan", "eve", "flo", "gus", "hal"];
    let nodes = names.map(|_| world.new_client());
    let all = futures_util::future::join_all(
        nodes
            .iter()
            .zip(names)
            .map(|(node, name)| acquire(node, name, timings_with_timeout(0))),
    );
    let all = world.run_to_completion(all).await;
    assert_eq!(all.iter().filter(|lease| lease.is_ok()).count(), 1);
    assert_eq!(world.writes().len(), 1);
}

#[tokio::test]
async fn a_conflict_is_looked_at_again() {
    let world = Simulation::default();
    let node = world.new_client();
    node.queue_faults(&[
        RequestFault::None,
        RequestFault::Conflict,
        RequestFault::None,
        RequestFault::Conflict,
    ]);
    assert_eq!(acquire_or_panic(&node, "ann").await.record().generation, 1);
    let world = Simulation::default();
    let node = world.new_client();
    node.set_permanent_fault(RequestFault::Conflict);
    let why = acquire_error(&node, "ann").await;
    assert!(matches!(why, LockErrorKind::Contended(8)), "{why}");
    assert!(world.object().is_none());
}

#[tokio::test]
async fn what_was_deleted_since_the_look_is_taken_anew() {
    let world = Simulation::default();
    world
        .run_to_completion(acquire_or_panic(&world.new_client(), "old").await.release())
        .await
        .unwrap();
    let node = world.new_client();
    node.queue_faults(&[RequestFault::None, RequestFault::Slow(2)]);
    let taking = async {
        tokio::join!(acquire(&node, "ann", timings_with_timeout(0)), async {
            world.run_ready_tasks().await;
            world.set_object(None);
        })
    };
    let (lease, ()) = world.run_to_completion(taking).await;
    assert_eq!(lease.unwrap().record().generation, 1);
}

#[tokio::test]
async fn who_waits_is_told_once_who_has_it_and_gets_it_when_it_is_given_back() {
    let world = Simulation::default();
    let (a, b) = (world.new_client(), world.new_client());
    let lease = acquire_or_panic(&a, "ann").await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let waiting = tokio::spawn(
        b.acquirer(test_holder("bob"), timings_with_timeout(1000))
            .acquire(move |record, until| {
                heard
                    .lock()
                    .unwrap()
                    .push((record.holder.clone(), until.to_string()));
            }),
    );
    world.advance(secs(200)).await;
    assert!(!waiting.is_finished());
    assert_eq!(
        *told.lock().unwrap(),
        [("ann".to_owned(), "2026-11-21T12:01:46Z".to_owned())]
    );
    world.run_to_completion(lease.release()).await.unwrap();
    world.advance(LockTimings::AWS.poll_interval).await;
    assert!(waiting.is_finished());
    assert_eq!(waiting.await.unwrap().unwrap().record().generation, 2);
}

#[tokio::test]
async fn what_fails_now_and_then_does_not_add_up_while_somebody_waits() {
    let world = Simulation::default();
    let (a, b) = (world.new_client(), world.new_client());
    let lease = acquire_or_panic(&a, "ann").await;
    b.queue_faults(&[RequestFault::None, RequestFault::RequestLost].repeat(40));
    let waiting = tokio::spawn(
        b.acquirer(test_holder("bob"), timings_with_timeout(1000))
            .acquire(|_, _| {}),
    );
    world.advance(secs(300)).await;
    assert!(!waiting.is_finished());
    world.run_to_completion(lease.release()).await.unwrap();
    world.advance(secs(10)).await;
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn patience_ends() {
    let world = Simulation::default();
    let _lease = acquire_or_panic(&world.new_client(), "ann").await;
    let begun = world.now();
    let error = acquire(&world.new_client(), "bob", timings_with_timeout(150))
        .await
        .expect_err("ann has it");
    let LockErrorKind::Held { record, waited, .. } = error.kind else {
        panic!("{error}")
    };
    assert_eq!(record.holder, "ann");
    assert!((150..152).contains(&waited.as_secs()), "{waited:?}");
    assert!((150..152).contains(&(world.now() - begun).as_secs()));
}

#[tokio::test]
async fn a_dead_run_loses_it_after_its_time_and_the_margin() {
    let world = Simulation::default();
    let lease = acquire_or_panic(&world.new_client(), "ann").await;
    let ends = lease.record().expires_at;
    drop(lease);
    let error = acquire(&world.new_client(), "bob", timings_with_timeout(100))
        .await
        .expect_err("it has not run out for sure");
    assert!(matches!(error.kind, LockErrorKind::Held { .. }), "{error}");
    let lease = acquire(&world.new_client(), "bob", timings_with_timeout(10))
        .await
        .unwrap();
    assert_eq!(lease.record().generation, 2);
    let taken = lease.record().acquired_at.duration_since(ends).as_secs();
    assert!((15..=21).contains(&taken), "{taken} s after its end");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_and_left_as_it_was_found() {
    for (ignored, told) in [
        (&["If-None-Match"][..], "If-None-Match: *"),
        (&["If-Match"][..], "If-Match"),
        (&["If-None-Match", "If-Match"][..], "If-None-Match: *"),
    ] {
        let world = Simulation::default();
        world.ignore_conditions(ignored);
        let why = acquire_error(&world.new_client(), "ann").await;
        assert!(
            matches!(why, LockErrorKind::ConditionalWritesIgnored(name) if name == told),
            "{why}"
        );
        assert!(world.record().released, "nobody believes to hold it");
        // Nor is the next run fooled by what the first one left.
        let why = acquire_error(&world.new_client(), "bob").await;
        assert!(
            matches!(why, LockErrorKind::ConditionalWritesIgnored(name) if name == told),
            "{why}"
        );
    }
}

#[tokio::test]
async fn the_proof_bears_what_a_network_does() {
    for fault in [
        RequestFault::RequestLost,
        RequestFault::ResponseLost,
        RequestFault::Conflict,
        RequestFault::Slow(5),
    ] {
        let world = Simulation::default();
        let node = world.new_client();
        node.queue_faults(&[RequestFault::None, RequestFault::None, fault, fault]);
        assert!(
            acquire_or_panic(&node, "ann").await.is_held_for(secs(60)),
            "{fault:?}"
        );
        assert_eq!(world.writes().len(), 1, "{fault:?}");
    }
    let world = Simulation::default();
    let node = world.new_client();
    node.queue_faults(&[
        RequestFault::None,
        RequestFault::None,
        RequestFault::AccessDenied,
    ]);
    let why = acquire_error(&node, "ann").await;
    assert!(
        matches!(&why, LockErrorKind::Cloud(error) if error.kind == ErrorKind::PermissionDenied),
        "{why}"
    );
    assert!(world.record().released, "what is not proven is given back");
}

#[tokio::test]
async fn without_the_servers_time_nothing_is_taken() {
    let world = Simulation::default();
    let node = world.new_client();
    node.omit_date();
    assert!(matches!(
        acquire_error(&node, "ann").await,
        LockErrorKind::MissingDateHeader
    ));
    assert!(world.object().is_none());
}

#[tokio::test]
async fn what_is_no_lock_is_left_alone() {
    let world = Simulation::default();
    world.set_object(Some(b"{\"somebody\": \"elses\"}"));
    let error = acquire(&world.new_client(), "ann", timings_with_timeout(500))
        .await
        .expect_err("it is no lock");
    assert!(
        error
            .to_string()
            .contains("s3://harbor-locks/.trimtab/locks/harbor/production.json is not a lock")
    );
    let hint = "look at it, and if nothing needs it: `aws s3 rm s3://harbor-locks/.trimtab/locks/harbor/production.json`";
    assert_eq!(error.hint().as_deref(), Some(hint));
    assert!(world.writes().is_empty());
}

#[tokio::test]
async fn what_cannot_be_mended_is_not_tried_again() {
    let world = Simulation::default();
    let node = world.new_client();
    node.set_permanent_fault(RequestFault::AccessDenied);
    assert!(matches!(
        acquire_error(&node, "ann").await,
        LockErrorKind::Cloud(_)
    ));
    assert_eq!(node.request_count(), 1);
    let node = world.new_client();
    world.delete_bucket();
    let why = acquire_error(&node, "ann").await;
    assert!(
        matches!(&why, LockErrorKind::BucketNotFound(name) if name == "harbor-locks"),
        "{why}"
    );
    let world = Simulation::default();
    let node = world.new_client();
    node.set_permanent_fault(RequestFault::RequestLost);
    let why = acquire_error(&node, "ann").await;
    assert!(
        matches!(&why, LockErrorKind::Cloud(error) if error.is_ambiguous()),
        "{why}"
    );
    assert_eq!(node.request_count(), 8);
}

#[tokio::test]
async fn a_local_clock_takes_nothing_from_anybody() {
    let world = Simulation::default();
    let lease = acquire_or_panic(&world.new_client(), "ann").await;
    let node = world.new_client();
    node.set_forward(secs(86_400));
    let error = acquire(&node, "bob", timings_with_timeout(30))
        .await
        .expect_err("ann has it");
    assert!(matches!(error.kind, LockErrorKind::Held { .. }), "{error}");
    node.set_forward(secs(86_400));
    assert!(matches!(
        acquire_error(&node, "bob").await,
        LockErrorKind::Held { .. }
    ));
    assert!(lease.is_held_for(secs(0)));
}

#[tokio::test]
async fn servers_whose_clocks_differ_take_nothing_from_anybody() {
    // Ann's server is behind and she dies; Bob's is ahead: together less than the margin.
    for (behind, ahead) in [(-6, 6), (6, -6)] {
        let world = Simulation::default();
        let (a, b) = (world.new_client(), world.new_client());
        a.set_server_skew(behind);
        b.set_server_skew(ahead);
        let lease = acquire_or_panic(&a, "ann").await;
        a.set_permanent_fault(RequestFault::RequestLost);
        let waiting = tokio::spawn(
            b.acquirer(test_holder("bob"), timings_with_timeout(1000))
                .acquire(|_, _| {}),
        );
        for _ in 0..200 {
            world.advance(secs(1)).await;
            assert!(
                !(waiting.is_finished() && lease.is_held_for(secs(0))),
                "both have it"
            );
        }
        assert!(waiting.is_finished());
    }
}
