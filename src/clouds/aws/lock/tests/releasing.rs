//! How a lock is given back: by its holder, and by somebody else for a holder that cannot.

use super::{Fault, LockError, Loss, Record, Why, World, patient, place, secs, take, taken, who};
use crate::clouds::aws::lock::unlock::{holder, remove, unlock};

async fn unlocked(world: &World, node: &super::Node, id: &str) -> Result<Record, LockError> {
    world.run(unlock(node, &node.clock(), &place(), id)).await
}

async fn held_by(world: &World) -> Option<String> {
    let node = world.node();
    world
        .run(holder(&node, &node.clock(), &place()))
        .await
        .unwrap()
        .map(|record| record.holder)
}

#[tokio::test]
async fn it_is_given_back_whatever_happens_to_the_requests() {
    for fault in [
        Fault::None,
        Fault::Lost,
        Fault::AnswerLost,
        Fault::Busy,
        Fault::Slow(5),
        Fault::Ghost(3),
    ] {
        for after in [Fault::None, Fault::Lost] {
            let world = World::default();
            let node = world.node();
            let lease = taken(&node, "ann").await;
            assert_eq!(held_by(&world).await.as_deref(), Some("ann"));
            node.next(&[fault, after]);
            world.run(lease.release()).await.unwrap();
            let record = world.record();
            assert!(record.released, "{fault:?} {after:?}");
            assert_eq!((record.generation, record.holder.as_str()), (1, "ann"));
            assert_eq!(held_by(&world).await, None);
            let before = world.written().len();
            world.pass(secs(200)).await;
            assert_eq!(world.written().len(), before, "nothing is renewed any more");
        }
    }
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_is_given_back_too() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    node.next(&[Fault::AnswerLost, Fault::Lost]);
    world.pass(secs(31)).await;
    assert_ne!(
        lease.record(),
        world.record(),
        "the holder does not know what it wrote"
    );
    world.run(lease.release()).await.unwrap();
    assert!(world.record().released);
}

#[tokio::test]
async fn a_renewal_that_arrives_late_takes_nothing_back() {
    for late in [1, 3, 20] {
        let world = World::default();
        let node = world.node();
        let lease = taken(&node, "ann").await;
        // It arrives before the lock is given back, or after it.
        node.next(&[Fault::Ghost(late), Fault::Lost]);
        world.pass(secs(32)).await;
        world.run(lease.release()).await.unwrap();
        world.pass(secs(60)).await;
        assert!(world.record().released, "{late}");
    }
}

#[tokio::test]
async fn a_renewal_that_is_under_way_is_not_waited_for() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    node.next(&[Fault::Hangs]);
    world.pass(secs(31)).await;
    let begun = world.now();
    world.run(lease.release()).await.unwrap();
    assert!(world.record().released && world.now() - begun < secs(2));
}

#[tokio::test]
async fn what_is_gone_already_is_no_error() {
    for what in ["object", "bucket"] {
        let world = World::default();
        let lease = taken(&world.node(), "ann").await;
        if what == "bucket" {
            world.drop_bucket();
        } else {
            world.set(None);
        }
        world.run(lease.release()).await.unwrap();
        assert!(world.object().is_none(), "{what}: nothing is made anew");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told() {
    for (fault, least) in [(Fault::Denied, 1), (Fault::Lost, 8), (Fault::Hangs, 1)] {
        let world = World::default();
        let node = world.node();
        let lease = taken(&node, "ann").await;
        let before = node.requests();
        node.always(fault);
        let error = world
            .run(lease.release())
            .await
            .expect_err("it was not given back");
        assert!(
            matches!(error.why, Why::Cloud(_) | Why::SlowRelease),
            "{error}"
        );
        assert!(node.requests() - before >= least, "{fault:?}");
        // It runs out by itself.
        assert!(take(&world.node(), "bob", patient(110)).await.is_ok());
    }
}

#[tokio::test]
async fn the_one_who_is_named_is_unlocked() {
    let world = World::default();
    let lease = taken(&world.node(), "ann").await;
    let node = world.node();
    for wrong in ["bob-0123", "", "ann", "ann-9"] {
        let error = unlocked(&world, &node, wrong)
            .await
            .expect_err("that is not its name");
        let Why::OtherHolder { record, asked } = &error.why else {
            panic!("{error}")
        };
        assert_eq!((record.holder.as_str(), asked.as_str()), ("ann", wrong));
        assert_eq!(world.record(), lease.record(), "nothing was done");
    }
    let ended = unlocked(&world, &node, &lease.record().id()).await.unwrap();
    assert_eq!(
        ended,
        Record {
            unlocked: true,
            ..lease.record()
        }
    );
    assert_eq!(world.record(), ended);
    assert_eq!(
        unlocked(&world, &node, &lease.record().id()).await.unwrap(),
        ended,
        "once more is no error"
    );
    // She lives after all, notices, and gives it back: bob has it long before its end.
    let bob = world.node();
    let (bob, ()) = world
        .run(async {
            tokio::join!(bob.taker(who("bob"), patient(40)).take(|_, _| {}), async {
                lease.over().cancelled().await;
                lease.release().await.unwrap();
            })
        })
        .await;
    assert_eq!(bob.unwrap().record().generation, 2);
    assert!(world.now() < secs(60), "{:?}", world.now());
}

#[tokio::test]
async fn a_holder_that_is_cut_off_has_it_to_its_end_although_it_is_unlocked() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    node.always(Fault::Hangs);
    unlocked(&world, &world.node(), "ann-0123").await.unwrap();
    assert_eq!(held_by(&world).await.as_deref(), Some("ann"));
    let bob = world.node();
    let (bob, ()) = world
        .run(async {
            tokio::join!(bob.taker(who("bob"), patient(200)).take(|_, _| {}), async {
                lease.over().cancelled().await;
                assert_eq!(
                    world.record().generation,
                    1,
                    "nobody has it before ann knows"
                );
            })
        })
        .await;
    assert!(bob.is_ok() && world.now() > secs(100), "{:?}", world.now());
}

#[tokio::test]
async fn a_lock_that_nobody_holds_can_be_removed_with_its_bucket() {
    let world = World::default();
    let remove = async || {
        let node = world.node();
        world
            .run(remove(&node, &node.clock(), &place(), secs(15)))
            .await
    };
    remove().await.unwrap();
    let lease = taken(&world.node(), "ann").await;
    assert!(matches!(remove().await.unwrap_err().why, Why::Held { .. }));
    assert_eq!(world.record(), lease.record());
    world.run(lease.release()).await.unwrap();
    remove().await.unwrap();
    assert!(world.object().is_none());
}

#[tokio::test]
async fn a_run_that_removes_its_bucket_takes_its_lock_along_and_goes_on() {
    for fault in [
        Fault::None,
        Fault::Lost,
        Fault::AnswerLost,
        Fault::Ghost(3),
        Fault::Slow(4),
    ] {
        let world = World::default();
        let node = world.node();
        let lease = taken(&node, "ann").await;
        // A renewal is under way.
        node.next(&[fault]);
        world.pass(secs(31)).await;
        node.next(&[Fault::None, fault]);
        world.run(lease.retire()).await.unwrap();
        assert!(!lease.over().is_cancelled(), "{fault:?}: the run goes on");
        world.pass(secs(30)).await;
        assert!(
            world.object().is_none() && !lease.over().is_cancelled(),
            "{fault:?}"
        );
        world.drop_bucket();
        world.run(lease.release()).await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_that_is_not_ours_any_more_is_not_removed() {
    let world = World::default();
    let lease = taken(&world.node(), "ann").await;
    let others = Record {
        nonce: "bob-0123".to_owned(),
        generation: 2,
        ..lease.record()
    };
    world.set(Some(&others.body()));
    let error = world.run(lease.retire()).await.expect_err("it is bob's");
    assert!(
        matches!(&error.why, Why::Lost(Loss::Taken(record)) if record.nonce == "bob-0123"),
        "{error}"
    );
    assert_eq!(world.record(), others);
}

#[tokio::test]
async fn a_lock_that_nobody_holds_cannot_be_unlocked() {
    let world = World::default();
    assert!(matches!(
        unlocked(&world, &world.node(), "ann-0123")
            .await
            .unwrap_err()
            .why,
        Why::NotHeld
    ));
    world
        .run(taken(&world.node(), "ann").await.release())
        .await
        .unwrap();
    let before = world.written().len();
    assert!(matches!(
        unlocked(&world, &world.node(), "ann-0123")
            .await
            .unwrap_err()
            .why,
        Why::NotHeld
    ));
    assert_eq!(world.written().len(), before);
    assert_eq!(held_by(&world).await, None);
}

#[tokio::test]
async fn a_lock_that_has_run_out_can_be_unlocked_without_waiting_for_the_margin() {
    let world = World::default();
    drop(taken(&world.node(), "ann").await);
    world.pass(secs(95)).await;
    assert_eq!(held_by(&world).await, None);
    unlocked(&world, &world.node(), "ann-0123").await.unwrap();
    assert!(take(&world.node(), "bob", patient(0)).await.is_ok());
}

#[tokio::test]
async fn unlocking_bears_lost_answers() {
    for fault in [Fault::Lost, Fault::AnswerLost, Fault::Busy] {
        let world = World::default();
        drop(taken(&world.node(), "ann").await);
        let node = world.node();
        node.next(&[Fault::Lost, Fault::None, fault, fault]);
        assert_eq!(
            unlocked(&world, &node, "ann-0123").await.unwrap().holder,
            "ann",
            "{fault:?}"
        );
        assert!(world.record().unlocked, "{fault:?}");
    }
}

#[tokio::test]
async fn unlocking_a_holder_that_renews_meanwhile_unlocks_it_all_the_same() {
    let world = World::default();
    let lease = taken(&world.node(), "ann").await;
    world.pass(secs(28)).await;
    let node = world.node();
    // The write arrives after the renewal at 30 seconds.
    node.next(&[Fault::None, Fault::Slow(4)]);
    unlocked(&world, &node, "ann-0123").await.unwrap();
    let record = world.record();
    assert!(
        record.unlocked
            && record.expires_at > record.acquired_at + jiff::SignedDuration::from_secs(100)
    );
    world.pass(secs(40)).await;
    assert!(
        lease.over().is_cancelled() && world.record() == record,
        "it is not renewed"
    );
}

#[tokio::test]
async fn unlocking_never_hits_another_who_took_it_meanwhile() {
    let world = World::default();
    let ann = taken(&world.node(), "ann").await;
    let node = world.node();
    node.next(&[Fault::None, Fault::Slow(4)]);
    let (clock, place) = (node.clock(), place());
    let both = async {
        tokio::join!(unlock(&node, &clock, &place, "ann-0123"), async {
            world.settle().await;
            ann.release().await.unwrap();
            world
                .node()
                .taker(who("bob"), patient(0))
                .take(|_, _| {})
                .await
        })
    };
    let (unlocked, bob) = world.run(both).await;
    let error = unlocked.expect_err("bob has it");
    assert!(
        matches!(&error.why, Why::OtherHolder { record, .. } if record.holder == "bob"),
        "{error}"
    );
    assert_eq!(world.record(), bob.unwrap().record());
}
