//! The meaning of a record and the error messages: tables without requests.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    LockError, LockErrorKind, LockLoss, LockRecord, LockTimings, secs, test_holder, test_location,
};
use crate::{
    clouds::{CloudError, ErrorKind},
    lock::record::{LockStatus, determine_status},
};

fn time_on_test_day(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

/// Acquired at noon by `ann`, for 90 seconds.
fn record_acquired_at_noon() -> LockRecord {
    LockRecord::new(
        &test_holder("ann"),
        7,
        time_on_test_day("12:00:00"),
        secs(90),
    )
}

/// A record, the nonce of the run that asks, the time, and the status that must come out.
type StatusCase<'a> = (&'a str, Option<LockRecord>, &'a str, &'a str, LockStatus);

fn check_statuses(cases: Vec<StatusCase<'_>>) {
    for (name, record, nonce, now, expected) in cases {
        assert_eq!(
            determine_status(record.as_ref(), nonce, time_on_test_day(now), secs(15)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn determines_status_by_server_time() {
    let other = &test_holder("bob").nonce;
    let held = LockStatus::Held {
        available_at: time_on_test_day("12:01:45"),
    };
    let released = record_acquired_at_noon().to_released();
    check_statuses(vec![
        ("nothing there", None, other, "12:00:00", LockStatus::Absent),
        (
            "just taken",
            Some(record_acquired_at_noon()),
            other,
            "12:00:01",
            held,
        ),
        (
            "before it was taken, by a clock that is behind",
            Some(record_acquired_at_noon()),
            other,
            "11:00:00",
            held,
        ),
        (
            "at its end",
            Some(record_acquired_at_noon()),
            other,
            "12:01:30",
            held,
        ),
        (
            "within the margin",
            Some(record_acquired_at_noon()),
            other,
            "12:01:44",
            held,
        ),
        (
            "at the margin's end",
            Some(record_acquired_at_noon()),
            other,
            "12:01:45",
            held,
        ),
        (
            "after the margin",
            Some(record_acquired_at_noon()),
            other,
            "12:01:46",
            LockStatus::Available,
        ),
        (
            "given back",
            Some(released.clone()),
            other,
            "12:00:01",
            LockStatus::Available,
        ),
    ]);
}

#[test]
fn determines_status_of_released_and_renewed_locks() {
    let other = &test_holder("bob").nonce;
    let own = &test_holder("ann").nonce;
    let held = LockStatus::Held {
        available_at: time_on_test_day("12:01:45"),
    };
    let released = record_acquired_at_noon().to_released();
    check_statuses(vec![
        (
            "given back by ourselves",
            Some(released),
            own,
            "12:00:01",
            LockStatus::Available,
        ),
        (
            "ended",
            Some(record_acquired_at_noon().to_unlocked(time_on_test_day("12:00:00"))),
            other,
            "12:01:44",
            held,
        ),
        (
            "ended, and over",
            Some(record_acquired_at_noon().to_unlocked(time_on_test_day("12:00:00"))),
            other,
            "12:01:46",
            LockStatus::Available,
        ),
        (
            "ours, and ended",
            Some(record_acquired_at_noon().to_unlocked(time_on_test_day("12:00:00"))),
            own,
            "12:00:01",
            held,
        ),
        (
            "ended when it was over",
            Some(record_acquired_at_noon().to_unlocked(time_on_test_day("12:01:31"))),
            other,
            "12:01:32",
            LockStatus::Available,
        ),
        (
            "ours",
            Some(record_acquired_at_noon()),
            own,
            "12:00:01",
            LockStatus::Ours,
        ),
        (
            "ours in its last moment",
            Some(record_acquired_at_noon()),
            own,
            "12:01:29",
            LockStatus::Ours,
        ),
        (
            "ours, run out",
            Some(record_acquired_at_noon()),
            own,
            "12:01:30",
            LockStatus::Available,
        ),
        (
            "renewed",
            Some(record_acquired_at_noon().to_renewed(time_on_test_day("12:01:00"), secs(90))),
            other,
            "12:02:40",
            LockStatus::Held {
                available_at: time_on_test_day("12:02:45"),
            },
        ),
    ]);
}

#[test]
fn timestamps_saturate() {
    let mut record = record_acquired_at_noon();
    record.expires_at = Timestamp::MAX;
    let verdict = determine_status(
        Some(&record),
        "x",
        time_on_test_day("12:00:00"),
        Duration::MAX,
    );
    assert_eq!(
        verdict,
        LockStatus::Held {
            available_at: Timestamp::MAX
        }
    );
    assert_eq!(
        record_acquired_at_noon()
            .to_renewed(Timestamp::MAX, Duration::MAX)
            .expires_at,
        Timestamp::MAX
    );
}

#[test]
fn record_round_trips_through_json() {
    let body = String::from_utf8(record_acquired_at_noon().to_json()).unwrap();
    assert_eq!(
        body,
        r#"{"nonce":"ann-0123456789abcdef","generation":7,"holder":"ann","host":"host-of-ann","pid":42,"#
            .to_owned()
            + r#""run_url":"https://ci.example/ann","command":"trimtab apply production","#
            + r#""acquired_at":"2026-11-21T12:00:00Z","expires_at":"2026-11-21T12:01:30Z","released":false}"#
    );
    assert_eq!(
        LockRecord::parse(body.as_bytes()),
        Ok(record_acquired_at_noon())
    );
    let without = LockRecord {
        run_url: None,
        ..record_acquired_at_noon()
    };
    assert_eq!(LockRecord::parse(&without.to_json()), Ok(without));
    // Fields that a later version adds are ignored.
    assert_eq!(
        LockRecord::parse(body.replacen('{', r#"{"future":[1],"#, 1).as_bytes()),
        Ok(record_acquired_at_noon())
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
        assert!(LockRecord::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    assert!(LockRecord::parse(&[0xff]).is_err());
    assert!(LockRecord::parse("[".repeat(60_000).as_bytes()).is_err());
}

#[test]
fn control_characters_are_removed() {
    let record = LockRecord {
        holder: "a\u{1b}[31mb\n".to_owned() + &"x".repeat(10_000),
        ..record_acquired_at_noon()
    };
    let read = LockRecord::parse(&record.to_json()).unwrap();
    assert!(
        read.holder.starts_with("a[31mbxxx") && read.holder.len() == 200,
        "{}",
        read.holder
    );
}

#[test]
fn an_id_matches_a_prefix_of_the_nonce() {
    let record = record_acquired_at_noon();
    assert_eq!(record.short_id(), "ann-0123");
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
        assert_eq!(record.matches_id(id), answers, "{id}");
    }
    let short = LockRecord {
        nonce: "ab".to_owned(),
        ..record_acquired_at_noon()
    };
    assert!(!short.matches_id("ab"), "a nonce that short names nobody");
}

#[test]
fn errors_name_the_holder_and_the_next_step() {
    let record = Box::new(record_acquired_at_noon());
    let held = LockErrorKind::Held {
        record: record.clone(),
        available_at: time_on_test_day("12:01:45"),
        waited: secs(150),
    };
    let passing = CloudError::new_aws(
        "write s3://b/k",
        ErrorKind::PermissionDenied,
        "403 AccessDenied",
    );
    let unlock = "`trimtab unlock production --id ann-0123`";
    for (kind, text, hint) in [
        (
            held,
            "ann on host-of-ann (process 42, `trimtab apply production`, https://ci.example/ann) has held it since \
             2026-11-21T12:00:00Z, until 2026-11-21T12:01:45Z unless it is renewed, and did not let go within 150 s",
            Some(format!("wait for it; a run that is dead loses the lock at 2026-11-21T12:01:45Z; if you know that it has stopped: {unlock}")),
        ),
        (
            LockErrorKind::WrongHolder { requested_id: "bob-0123".to_owned(), record },
            "`bob-0123` does not hold it: ann on host-of-ann (process 42, `trimtab apply production`, \
             https://ci.example/ann) does, since 2026-11-21T12:00:00Z",
            Some(format!("if you mean that one, and know that it has stopped: {unlock}")),
        ),
        (
            LockErrorKind::Lost(LockLoss::Unlocked),
            "somebody released the lock with `trimtab unlock`; nothing more is written",
            Some("run the same command again: what was done is not done twice".to_owned()),
        ),
        (
            LockErrorKind::ConditionalWritesIgnored("If-Match"),
            "this store ignores conditional writes (a write with `If-Match` was carried out instead of rejected with 412), \
             so two runs could both believe that they hold the lock",
            Some("name a bucket of S3 itself, or of a store that supports `If-Match` and `If-None-Match` on PUT".to_owned()),
        ),
        (LockErrorKind::NotHeld, "nobody holds it", None),
        (
            LockErrorKind::from_cloud_error(passing.clone()),
            "write s3://b/k: 403 AccessDenied",
            passing.hint().map(str::to_owned),
        ),
    ] {
        let error = LockError { target: test_location().display_name(), kind };
        assert_eq!(error.to_string(), format!("lock harbor/production: {text}"));
        assert_eq!(error.hint(), hint);
        let cloud = CloudError::from(error.clone());
        assert_eq!(cloud.to_string(), error.to_string());
    }
}

#[test]
fn location_has_a_key_and_a_url() {
    assert_eq!(
        test_location().object_key(),
        ".trimtab/locks/harbor/production.json"
    );
    assert_eq!(
        test_location().s3_url(),
        "s3://harbor-locks/.trimtab/locks/harbor/production.json"
    );
}

#[test]
fn fast_sandbox_clocks_leave_time_for_renewals() {
    assert_eq!(LockTimings::at_speed(1.0), LockTimings::AWS);
    let fast = LockTimings::at_speed(1000.0);
    assert_eq!(fast.ttl, secs(3000));
    assert!(fast.acquire_timeout > fast.ttl + fast.margin);
}
