//! How a lock is taken, whatever happens to the requests.

use std::sync::{Arc, Mutex};

use super::{Fault, Record, Terms, Why, World, patient, refusal, secs, take, taken, who};
use crate::clouds::Trouble;

#[tokio::test]
async fn a_free_lock_is_taken_and_counted() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
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
        node.requests(),
        4,
        "a look, a write, and two writes that must be refused"
    );
    assert_eq!(world.written().len(), 1, "which they were");
    world.run(lease.release()).await.unwrap();
    let record = world.record();
    assert_eq!((record.generation, record.released), (1, true));
    let lease = taken(&node, "bob").await;
    assert_eq!(
        (lease.record().generation, lease.record().holder.as_str()),
        (2, "bob")
    );
}

#[tokio::test]
async fn a_lost_answer_to_our_own_write_is_found_out() {
    for (fault, writes) in [(Fault::AnswerLost, 1), (Fault::Lost, 1)] {
        for released in [false, true] {
            let world = World::default();
            if released {
                world
                    .run(taken(&world.node(), "old").await.release())
                    .await
                    .unwrap();
            }
            let before = world.written().len();
            let node = world.node();
            node.next(&[Fault::None, fault]);
            let lease = taken(&node, "ann").await;
            assert!(lease.is_mine(secs(60)));
            assert_eq!(lease.record(), world.record());
            assert_eq!(
                lease.record().generation,
                1 + u64::from(released),
                "{fault:?}"
            );
            assert_eq!(
                world.written().len() - before,
                writes,
                "{fault:?} {released}"
            );
        }
    }
}

#[tokio::test]
async fn a_write_that_was_sent_twice_does_not_lose_to_itself() {
    // The SDK sends a request again whose answer was lost, and gets 412 for the second: as if somebody had been first.
    let world = World::default();
    let node = world.node();
    let mine = Record::new(
        &who("ann"),
        1,
        "2026-11-21T12:00:00Z".parse().unwrap(),
        secs(90),
    );
    let early = node.clone().taker(who("ann"), patient(0));
    node.next(&[Fault::None, Fault::Slow(1)]);
    let taking = async {
        let taking = early.take(|_, _| {});
        tokio::join!(taking, async {
            world.settle().await;
            world.set(Some(&mine.body()));
        })
    };
    let (lease, ()) = world.run(taking).await;
    assert_eq!(lease.unwrap().record(), mine);
    assert!(world.written().is_empty());
}

#[tokio::test]
async fn of_two_at_once_one_has_it() {
    for first in ["ann", "bob"] {
        let world = World::default();
        let (a, b) = (world.node(), world.node());
        // Both look before either writes.
        let slow = if first == "ann" { &b } else { &a };
        slow.next(&[Fault::None, Fault::Slow(1)]);
        let both = async { tokio::join!(take(&a, "ann", patient(0)), take(&b, "bob", patient(0))) };
        let (ann, bob) = world.run(both).await;
        let (winner, loser) = if first == "ann" {
            (ann, bob)
        } else {
            (bob, ann)
        };
        assert_eq!(winner.unwrap().record().holder, first);
        let Why::Held { record, .. } = loser.err().unwrap().why else {
            panic!("it was refused for another reason")
        };
        assert_eq!(record.holder, first);
    }
}

#[tokio::test]
async fn of_many_at_once_one_has_it() {
    let world = World::default();
    let names = ["ann", "bob", "cyd", "dan", "eve", "flo", "gus", "hal"];
    let nodes = names.map(|_| world.node());
    let all = futures_util::future::join_all(
        nodes
            .iter()
            .zip(names)
            .map(|(node, name)| take(node, name, patient(0))),
    );
    let all = world.run(all).await;
    assert_eq!(all.iter().filter(|lease| lease.is_ok()).count(), 1);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test]
async fn a_conflict_is_looked_at_again() {
    let world = World::default();
    let node = world.node();
    node.next(&[Fault::None, Fault::Busy, Fault::None, Fault::Busy]);
    assert_eq!(taken(&node, "ann").await.record().generation, 1);
    let world = World::default();
    let node = world.node();
    node.always(Fault::Busy);
    let why = refusal(&node, "ann").await;
    assert!(matches!(why, Why::Contended(8)), "{why}");
    assert!(world.object().is_none());
}

#[tokio::test]
async fn what_was_deleted_since_the_look_is_taken_anew() {
    let world = World::default();
    world
        .run(taken(&world.node(), "old").await.release())
        .await
        .unwrap();
    let node = world.node();
    node.next(&[Fault::None, Fault::Slow(2)]);
    let taking = async {
        tokio::join!(take(&node, "ann", patient(0)), async {
            world.settle().await;
            world.set(None);
        })
    };
    let (lease, ()) = world.run(taking).await;
    assert_eq!(lease.unwrap().record().generation, 1);
}

#[tokio::test]
async fn who_waits_is_told_once_who_has_it_and_gets_it_when_it_is_given_back() {
    let world = World::default();
    let (a, b) = (world.node(), world.node());
    let lease = taken(&a, "ann").await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let waiting = tokio::spawn(
        b.taker(who("bob"), patient(1000))
            .take(move |record, until| {
                heard
                    .lock()
                    .unwrap()
                    .push((record.holder.clone(), until.to_string()));
            }),
    );
    world.pass(secs(200)).await;
    assert!(!waiting.is_finished());
    assert_eq!(
        *told.lock().unwrap(),
        [("ann".to_owned(), "2026-11-21T12:01:46Z".to_owned())]
    );
    world.run(lease.release()).await.unwrap();
    world.pass(Terms::AWS.look).await;
    assert!(waiting.is_finished());
    assert_eq!(waiting.await.unwrap().unwrap().record().generation, 2);
}

#[tokio::test]
async fn what_fails_now_and_then_does_not_add_up_while_somebody_waits() {
    let world = World::default();
    let (a, b) = (world.node(), world.node());
    let lease = taken(&a, "ann").await;
    b.next(&[Fault::None, Fault::Lost].repeat(40));
    let waiting = tokio::spawn(b.taker(who("bob"), patient(1000)).take(|_, _| {}));
    world.pass(secs(300)).await;
    assert!(!waiting.is_finished());
    world.run(lease.release()).await.unwrap();
    world.pass(secs(10)).await;
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn patience_ends() {
    let world = World::default();
    let _lease = taken(&world.node(), "ann").await;
    let begun = world.now();
    let error = take(&world.node(), "bob", patient(150))
        .await
        .expect_err("ann has it");
    let Why::Held { record, waited, .. } = error.why else {
        panic!("{error}")
    };
    assert_eq!(record.holder, "ann");
    assert!((150..152).contains(&waited.as_secs()), "{waited:?}");
    assert!((150..152).contains(&(world.now() - begun).as_secs()));
}

#[tokio::test]
async fn a_dead_run_loses_it_after_its_time_and_the_margin() {
    let world = World::default();
    let lease = taken(&world.node(), "ann").await;
    let ends = lease.record().expires_at;
    drop(lease);
    let error = take(&world.node(), "bob", patient(100))
        .await
        .expect_err("it has not run out for sure");
    assert!(matches!(error.why, Why::Held { .. }), "{error}");
    let lease = take(&world.node(), "bob", patient(10)).await.unwrap();
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
        let world = World::default();
        world.ignore(ignored);
        let why = refusal(&world.node(), "ann").await;
        assert!(matches!(why, Why::Ignores(name) if name == told), "{why}");
        assert!(world.record().released, "nobody believes to hold it");
        // Nor is the next run fooled by what the first one left.
        let why = refusal(&world.node(), "bob").await;
        assert!(matches!(why, Why::Ignores(name) if name == told), "{why}");
    }
}

#[tokio::test]
async fn the_proof_bears_what_a_network_does() {
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::Busy, Fault::Slow(5)] {
        let world = World::default();
        let node = world.node();
        node.next(&[Fault::None, Fault::None, fault, fault]);
        assert!(taken(&node, "ann").await.is_mine(secs(60)), "{fault:?}");
        assert_eq!(world.written().len(), 1, "{fault:?}");
    }
    let world = World::default();
    let node = world.node();
    node.next(&[Fault::None, Fault::None, Fault::Denied]);
    let why = refusal(&node, "ann").await;
    assert!(
        matches!(&why, Why::Cloud(error) if error.trouble == Trouble::Denied),
        "{why}"
    );
    assert!(world.record().released, "what is not proven is given back");
}

#[tokio::test]
async fn without_the_servers_time_nothing_is_taken() {
    let world = World::default();
    let node = world.node();
    node.without_date();
    assert!(matches!(refusal(&node, "ann").await, Why::NoDate));
    assert!(world.object().is_none());
}

#[tokio::test]
async fn what_is_no_lock_is_left_alone() {
    let world = World::default();
    world.set(Some(b"{\"somebody\": \"elses\"}"));
    let error = take(&world.node(), "ann", patient(500))
        .await
        .expect_err("it is no lock");
    assert!(
        error
            .to_string()
            .contains("s3://harbor-locks/.trimtab/locks/harbor/production.json is not a lock")
    );
    let hint = "look at it, and if nothing needs it: `aws s3 rm s3://harbor-locks/.trimtab/locks/harbor/production.json`";
    assert_eq!(error.hint().as_deref(), Some(hint));
    assert!(world.written().is_empty());
}

#[tokio::test]
async fn what_cannot_be_mended_is_not_tried_again() {
    let world = World::default();
    let node = world.node();
    node.always(Fault::Denied);
    assert!(matches!(refusal(&node, "ann").await, Why::Cloud(_)));
    assert_eq!(node.requests(), 1);
    let node = world.node();
    world.drop_bucket();
    let why = refusal(&node, "ann").await;
    assert!(
        matches!(&why, Why::NoBucket(name) if name == "harbor-locks"),
        "{why}"
    );
    let world = World::default();
    let node = world.node();
    node.always(Fault::Lost);
    let why = refusal(&node, "ann").await;
    assert!(
        matches!(&why, Why::Cloud(error) if error.is_ambiguous()),
        "{why}"
    );
    assert_eq!(node.requests(), 8);
}

#[tokio::test]
async fn a_local_clock_takes_nothing_from_anybody() {
    let world = World::default();
    let lease = taken(&world.node(), "ann").await;
    let node = world.node();
    node.set_forward(secs(86_400));
    let error = take(&node, "bob", patient(30))
        .await
        .expect_err("ann has it");
    assert!(matches!(error.why, Why::Held { .. }), "{error}");
    node.set_forward(secs(86_400));
    assert!(matches!(refusal(&node, "bob").await, Why::Held { .. }));
    assert!(lease.is_mine(secs(0)));
}

#[tokio::test]
async fn servers_whose_clocks_differ_take_nothing_from_anybody() {
    // Ann's server is behind and she dies; Bob's is ahead: together less than the margin.
    for (behind, ahead) in [(-6, 6), (6, -6)] {
        let world = World::default();
        let (a, b) = (world.node(), world.node());
        a.skew(behind);
        b.skew(ahead);
        let lease = taken(&a, "ann").await;
        a.always(Fault::Lost);
        let waiting = tokio::spawn(b.taker(who("bob"), patient(1000)).take(|_, _| {}));
        for _ in 0..200 {
            world.pass(secs(1)).await;
            assert!(
                !(waiting.is_finished() && lease.is_mine(secs(0))),
                "both have it"
            );
        }
        assert!(waiting.is_finished());
    }
}
