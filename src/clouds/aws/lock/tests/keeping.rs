//! How a lock is kept, and how its holder finds out that it is not.

use super::{Fault, Loss, Terms, Why, World, loss, patient, place, refusal, secs, take, taken};
use crate::clouds::aws::lock::unlock::unlock;

#[tokio::test]
async fn it_is_renewed_for_as_long_as_it_is_wanted() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    for _ in 0..20 {
        world.pass(secs(50)).await;
        assert!(
            lease.is_mine(secs(50)),
            "{:?} at {:?}",
            lease.record(),
            world.now()
        );
        assert!(matches!(
            refusal(&world.node(), "bob").await,
            Why::Held { .. }
        ));
    }
    assert_eq!(world.record().generation, 1, "a renewal is no new taking");
    let renewals = world.written().len() - 1;
    assert!((31..=35).contains(&renewals), "{renewals} in 1000 s");
    drop(lease);
    let before = world.written().len();
    world.pass(secs(500)).await;
    assert_eq!(
        world.written().len(),
        before,
        "what was dropped is not kept"
    );
}

#[tokio::test]
async fn asking_costs_a_request_only_when_little_is_left() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    let before = node.requests();
    world.run(lease.confirm(secs(30))).await.unwrap();
    assert_eq!(node.requests(), before);
    world.run(lease.confirm(secs(92))).await.unwrap_err();
    assert_eq!(
        node.requests(),
        before + 2,
        "more than a renewal gives cannot be had"
    );
}

#[tokio::test]
async fn one_renewal_may_fail_and_two() {
    for fault in [
        Fault::Lost,
        Fault::Busy,
        Fault::AnswerLost,
        Fault::Denied,
        Fault::Hangs,
        Fault::Slow(25),
    ] {
        let world = World::default();
        let node = world.node();
        let lease = taken(&node, "ann").await;
        node.next(&[fault, fault, Fault::None]);
        world.pass(secs(40)).await;
        assert!(lease.is_mine(secs(10)), "{fault:?}");
        world.pass(secs(200)).await;
        assert!(lease.is_mine(secs(30)), "{fault:?}");
        assert!(!lease.over().is_cancelled(), "{fault:?}");
        assert_eq!(
            lease.record(),
            world.record(),
            "{fault:?}: what stands there is known"
        );
    }
}

#[tokio::test]
async fn without_renewals_it_ends_before_anybody_has_it() {
    for fault in [Fault::Lost, Fault::Hangs, Fault::Denied, Fault::Busy] {
        let world = World::default();
        let (a, b) = (world.node(), world.node());
        let lease = taken(&a, "ann").await;
        a.always(fault);
        let waiting = tokio::spawn(b.taker(super::who("bob"), patient(1000)).take(|_, _| {}));
        let mut ended = None;
        for second in 0..140 {
            world.pass(secs(1)).await;
            assert!(
                !(waiting.is_finished() && lease.is_mine(secs(0))),
                "{fault:?}: both have it"
            );
            if lease.over().is_cancelled() {
                ended.get_or_insert(second);
            }
            assert!(
                second >= 60 || !lease.over().is_cancelled(),
                "{fault:?}: it ends too early"
            );
        }
        assert!(waiting.is_finished(), "{fault:?}: nobody gets it");
        // Bob may have it from 105 on.
        assert!(
            ended.is_some_and(|second| second <= 103),
            "{fault:?}: it ended at {ended:?}"
        );
        let error = world.run(lease.confirm(secs(0))).await.unwrap_err();
        assert!(matches!(loss(error.why), Loss::NotRenewed(_)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_holder_that_slept_and_lost_it_writes_nothing_more() {
    let world = World::default();
    let a = world.node();
    let lease = taken(&a, "ann").await;
    a.fall_asleep();
    world.pass(secs(300)).await;
    let bob = taken(&world.node(), "bob").await;
    a.wake();
    assert!(
        !lease.is_mine(secs(0)),
        "the local clock tells that time has passed"
    );
    let error = world
        .run(lease.confirm(secs(20)))
        .await
        .expect_err("bob has it");
    assert!(
        error
            .to_string()
            .contains("the lock ran out, and bob on host-of-bob"),
        "{error}"
    );
    assert!(matches!(loss(error.why), Loss::Taken(record) if record.holder == "bob"));
    assert!(lease.over().is_cancelled());
    assert_eq!(world.record(), bob.record(), "bob's lock is as it was");
    world.run(lease.release()).await.unwrap();
    assert_eq!(world.record(), bob.record(), "even then");
    assert!(bob.is_mine(secs(20)));
}

#[tokio::test]
async fn a_holder_that_slept_without_a_wall_clock_learns_it_from_the_store() {
    // As above, on a machine whose local clock stood still too.
    let world = World::default();
    let a = world.node();
    let lease = taken(&a, "ann").await;
    a.always(Fault::Hangs);
    world.pass(secs(200)).await;
    a.always(Fault::None);
    let bob = taken(&world.node(), "bob").await;
    let error = world
        .run(lease.confirm(secs(20)))
        .await
        .expect_err("bob has it");
    assert!(matches!(error.why, Why::Lost(_)), "{error}");
    assert_eq!(world.record(), bob.record());
}

#[tokio::test]
async fn a_holder_that_slept_and_was_not_missed_goes_on() {
    let world = World::default();
    let a = world.node();
    let lease = taken(&a, "ann").await;
    a.fall_asleep();
    world.pass(secs(4000)).await;
    a.wake();
    assert!(!lease.is_mine(secs(0)));
    world.run(lease.confirm(secs(30))).await.unwrap();
    assert!(
        lease.is_mine(secs(60)),
        "the new end is by the server's time, not by one that stood still"
    );
    assert!(matches!(
        refusal(&world.node(), "bob").await,
        Why::Held { .. }
    ));
    assert_eq!(world.record().generation, 1);
}

#[tokio::test]
async fn a_server_that_is_ahead_of_the_last_one_costs_a_second_renewal() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    world.pass(secs(25)).await;
    node.skew(60);
    let before = node.requests();
    world.run(lease.confirm(secs(80))).await.unwrap();
    assert_eq!(
        node.requests() - before,
        2,
        "the first was by the clock of the last answer"
    );
    assert!(lease.is_mine(secs(80)));
}

#[tokio::test]
async fn a_local_clock_that_is_set_costs_a_look_and_nothing_else() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    node.set_forward(secs(86_400));
    assert!(!lease.is_mine(secs(0)), "it may have been asleep");
    world.run(lease.confirm(secs(30))).await.unwrap();
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
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    node.set_back(secs(86_400));
    node.always(Fault::Lost);
    world.pass(secs(91)).await;
    assert!(!lease.is_mine(secs(0)) && lease.over().is_cancelled());
}

#[tokio::test]
async fn a_machine_that_sleeps_after_its_clock_was_set_back_knows_that_it_slept() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    node.set_back(secs(86_400));
    assert!(lease.is_mine(secs(60)));
    node.fall_asleep();
    world.pass(secs(120)).await;
    node.wake();
    assert!(!lease.is_mine(secs(0)));
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_counts() {
    let world = World::default();
    let node = world.node();
    let lease = taken(&node, "ann").await;
    let before = node.requests();
    node.next(&[Fault::AnswerLost]);
    world.pass(secs(55)).await;
    assert_eq!(
        node.requests() - before,
        2,
        "the write and the look; the next renewal is not earlier for it"
    );
    assert!(lease.is_mine(secs(60)));
}

#[tokio::test]
async fn what_others_do_to_it_is_found_out_by_the_next_renewal() {
    for what in ["unlocked", "deleted", "no bucket", "overwritten"] {
        let world = World::default();
        let node = world.node();
        let lease = taken(&node, "ann").await;
        let other = world.node();
        match what {
            "unlocked" => {
                let released = world
                    .run(unlock(&other, &other.clock(), &place(), "ann-0123"))
                    .await;
                assert_eq!(released.unwrap().holder, "ann");
            }
            "deleted" => world.set(None),
            "no bucket" => world.drop_bucket(),
            _ => world.set(Some(b"not a lock")),
        }
        world.pass(secs(31)).await;
        assert!(lease.over().is_cancelled(), "{what}");
        let lost = loss(world.run(lease.confirm(secs(0))).await.unwrap_err().why);
        let expected = match what {
            "unlocked" => matches!(lost, Loss::Unlocked),
            "overwritten" => matches!(lost, Loss::Overwritten(_)),
            _ => matches!(lost, Loss::Deleted),
        };
        assert!(expected, "{what}: {lost}");
    }
}

#[tokio::test]
async fn the_same_bytes_are_never_written_twice() {
    // An `ETag` of S3 is made of the content: were two bodies the same, a condition would hold for the wrong one.
    let world = World::default();
    for round in 0..3 {
        let lease = take(&world.node(), "ann", Terms::AWS).await.unwrap();
        world.pass(secs(100)).await;
        world.run(lease.release()).await.unwrap();
        assert_eq!(world.record().generation, round + 1);
    }
    let written = world.written();
    for (at, record) in written.iter().enumerate() {
        assert!(!written[..at].contains(record), "{record:?}");
    }
}
