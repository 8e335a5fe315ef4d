//! What a record means, and how it is told: pure tables.

use std::time::Duration;

use jiff::Timestamp;

use super::{LockError, Loss, Record, Terms, Why, place, secs, who};
use crate::clouds::{
    CloudError, Trouble,
    aws::lock::record::{Verdict, judge},
};

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

/// Taken at noon by `a`, for 90 seconds.
fn noon() -> Record {
    Record::new(&who("ann"), 7, at("12:00:00"), secs(90))
}

#[test]
fn a_record_is_judged_by_the_servers_time() {
    let other = &who("bob").nonce;
    let own = &who("ann").nonce;
    let held = Verdict::Held {
        until: at("12:01:45"),
    };
    let released = noon().released();
    for (name, record, nonce, now, expected) in [
        ("nothing there", None, other, "12:00:00", Verdict::Free),
        ("just taken", Some(noon()), other, "12:00:01", held),
        (
            "before it was taken, by a clock that is behind",
            Some(noon()),
            other,
            "11:00:00",
            held,
        ),
        ("at its end", Some(noon()), other, "12:01:30", held),
        ("within the margin", Some(noon()), other, "12:01:44", held),
        ("at the margin's end", Some(noon()), other, "12:01:45", held),
        (
            "after the margin",
            Some(noon()),
            other,
            "12:01:46",
            Verdict::Takeable,
        ),
        (
            "given back",
            Some(released.clone()),
            other,
            "12:00:01",
            Verdict::Takeable,
        ),
        (
            "given back by ourselves",
            Some(released),
            own,
            "12:00:01",
            Verdict::Takeable,
        ),
        (
            "ended",
            Some(noon().unlocked(at("12:00:00"))),
            other,
            "12:01:44",
            held,
        ),
        (
            "ended, and over",
            Some(noon().unlocked(at("12:00:00"))),
            other,
            "12:01:46",
            Verdict::Takeable,
        ),
        (
            "ours, and ended",
            Some(noon().unlocked(at("12:00:00"))),
            own,
            "12:00:01",
            held,
        ),
        (
            "ended when it was over",
            Some(noon().unlocked(at("12:01:31"))),
            other,
            "12:01:32",
            Verdict::Takeable,
        ),
        ("ours", Some(noon()), own, "12:00:01", Verdict::Ours),
        (
            "ours in its last moment",
            Some(noon()),
            own,
            "12:01:29",
            Verdict::Ours,
        ),
        (
            "ours, run out",
            Some(noon()),
            own,
            "12:01:30",
            Verdict::Takeable,
        ),
        (
            "renewed",
            Some(noon().renewed(at("12:01:00"), secs(90))),
            other,
            "12:02:40",
            Verdict::Held {
                until: at("12:02:45"),
            },
        ),
    ] {
        assert_eq!(
            judge(record.as_ref(), nonce, at(now), secs(15)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn time_does_not_overflow() {
    let mut record = noon();
    record.expires_at = Timestamp::MAX;
    let verdict = judge(Some(&record), "x", at("12:00:00"), Duration::MAX);
    assert_eq!(
        verdict,
        Verdict::Held {
            until: Timestamp::MAX
        }
    );
    assert_eq!(
        noon().renewed(Timestamp::MAX, Duration::MAX).expires_at,
        Timestamp::MAX
    );
}

#[test]
fn a_record_is_stored_in_the_open_and_read_back() {
    let body = String::from_utf8(noon().body()).unwrap();
    assert_eq!(
        body,
        r#"{"nonce":"ann-0123456789abcdef","generation":7,"holder":"ann","host":"host-of-ann","pid":42,"#
            .to_owned()
            + r#""run_url":"https://ci.example/ann","command":"trimtab apply production","#
            + r#""acquired_at":"2026-11-21T12:00:00Z","expires_at":"2026-11-21T12:01:30Z","released":false}"#
    );
    assert_eq!(Record::read(body.as_bytes()), Ok(noon()));
    let without = Record {
        run_url: None,
        ..noon()
    };
    assert_eq!(Record::read(&without.body()), Ok(without));
    // What a later version adds is no reason to call it broken.
    assert_eq!(
        Record::read(body.replacen('{', r#"{"future":[1],"#, 1).as_bytes()),
        Ok(noon())
    );
    for wrong in [
        "",
        "{}",
        "null",
        "[]",
        "not a lock",
        &body.replace("2026-11-21T12:01:30Z", "soon"),
        &body[..90],
    ] {
        assert!(Record::read(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert!(Record::read(&[0xff]).is_err());
    assert!(Record::read("[".repeat(60_000).as_bytes()).is_err());
}

#[test]
fn what_others_wrote_cannot_reach_the_terminal() {
    let record = Record {
        holder: "a\u{1b}[31mb\n".to_owned() + &"x".repeat(10_000),
        ..noon()
    };
    let read = Record::read(&record.body()).unwrap();
    assert!(
        read.holder.starts_with("a[31mbxxx") && read.holder.len() == 200,
        "{}",
        read.holder
    );
}

#[test]
fn a_holder_answers_to_the_beginning_of_its_nonce() {
    let record = noon();
    assert_eq!(record.id(), "ann-0123");
    for (id, answers) in [
        ("ann-0123", true),
        ("ann-", true),
        ("ann-0123456789abcdef", true),
        ("ann", false),
        ("", false),
        ("ann-0123456789abcdef0", false),
        ("nn-0123", false),
        ("ANN-0123", false),
    ] {
        assert_eq!(record.answers_to(id), answers, "{id}");
    }
    let short = Record {
        nonce: "ab".to_owned(),
        ..noon()
    };
    assert!(!short.answers_to("ab"), "a nonce that short names nobody");
}

#[test]
fn an_error_says_who_where_since_when_and_what_to_do() {
    let record = Box::new(noon());
    let held = Why::Held {
        record: record.clone(),
        until: at("12:01:45"),
        waited: secs(150),
    };
    let passing = CloudError::aws("write s3://b/k", Trouble::Denied, "403 AccessDenied");
    let unlock = "`trimtab unlock production --id ann-0123`";
    for (why, text, hint) in [
        (
            held,
            "ann on host-of-ann (process 42, `trimtab apply production`, https://ci.example/ann) has held it since \
             2026-11-21T12:00:00Z, until 2026-11-21T12:01:30Z unless it is renewed, and did not let go within 150 s",
            Some(format!("wait for it; a run that is dead loses the lock at 2026-11-21T12:01:45Z; one that you know to have stopped: {unlock}")),
        ),
        (
            Why::OtherHolder { asked: "bob-0123".to_owned(), record },
            "`bob-0123` does not hold it: ann on host-of-ann (process 42, `trimtab apply production`, \
             https://ci.example/ann) does, since 2026-11-21T12:00:00Z",
            Some(format!("if that is the one, and you know it to have stopped: {unlock}")),
        ),
        (
            Why::Lost(Loss::Unlocked),
            "somebody released the lock with `trimtab unlock`; nothing more is written",
            Some("run the same command again: what was done is not done twice".to_owned()),
        ),
        (
            Why::Ignores("If-Match"),
            "this store ignores conditional writes (a write with `If-Match` was carried out and had to be refused with 412), \
             so two runs would both believe to hold the lock",
            Some("name a bucket of S3 itself, or of a store that honours `If-Match` and `If-None-Match` on PUT".to_owned()),
        ),
        (Why::NotHeld, "nobody holds it", None),
        (
            Why::of(passing.clone()),
            "write s3://b/k: 403 AccessDenied",
            passing.hint().map(str::to_owned),
        ),
    ] {
        let error = LockError { place: place().name(), why };
        assert_eq!(error.to_string(), format!("lock harbor/production: {text}"));
        assert_eq!(error.hint(), hint);
        let cloud = CloudError::from(error.clone());
        assert_eq!(cloud.to_string(), error.to_string());
    }
}

#[test]
fn a_place_has_a_key_of_its_own() {
    assert_eq!(place().key(), ".trimtab/locks/harbor/production.json");
    assert_eq!(
        place().address(),
        "s3://harbor-locks/.trimtab/locks/harbor/production.json"
    );
}

#[test]
fn a_faster_imitation_leaves_time_for_renewals() {
    assert_eq!(Terms::at_speed(1.0), Terms::AWS);
    let fast = Terms::at_speed(1000.0);
    assert_eq!(fast.ttl, secs(3000));
    assert!(fast.patience > fast.ttl + fast.margin);
}
