//! A run that goes wrong in every way, as events and as a report.

use snapbox::{assert_data_eq, file};
use trimtab::{
    apply::event::{Ended, Event, Failure, Outcome, Report},
    model::Address,
    plan::Action,
    render::text,
};

use crate::render::fixture::PLAIN;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn failure() -> Failure {
    Failure {
        reason: "updating machine 90800000: 422 insufficient memory\nin region ewr \u{1b}[31m"
            .to_owned(),
        request_id: Some("01JREQ-ewr".to_owned()),
        hint: Some("say less memory, or another region".to_owned()),
    }
}

pub(crate) fn events() -> Vec<Event> {
    let machine = || address("fly.machine/web/app/ewr/0");
    vec![
        Event::Begun {
            total: 5,
            estimate_secs: Some(90),
        },
        Event::Started {
            address: address("fly.secrets/web"),
            action: Action::Update,
        },
        Event::Finished {
            address: address("fly.secrets/web"),
            action: Action::Update,
            millis: 340,
        },
        Event::Started {
            address: machine(),
            action: Action::Update,
        },
        Event::Progress {
            address: machine(),
            state: "started".to_owned(),
            passing: 1,
            checks: 2,
        },
        Event::Failed {
            address: machine(),
            action: Action::Update,
            failure: failure(),
        },
        Event::Skipped {
            address: address("fly.machine/web/app/ewr/1"),
            action: Action::Update,
            because: machine(),
        },
        Event::Stopping,
        Event::Finished {
            address: address("fly.volume/web/data/ewr/0"),
            action: Action::ReplaceDelete,
            millis: 75_000,
        },
    ]
}

pub(crate) fn report() -> Report {
    let ended = |at: &str, action, outcome| Ended {
        address: address(at),
        action,
        outcome,
    };
    let because = address("fly.machine/web/app/ewr/0");
    Report {
        halted: None,
        lost: None,
        outdated: false,
        stopped: false,
        late: false,
        outcomes: vec![
            ended("fly.secrets/web", Action::Update, Outcome::Done),
            ended(
                "fly.machine/web/app/ewr/0",
                Action::Update,
                Outcome::Failed(failure()),
            ),
            ended(
                "fly.machine/web/app/ewr/1",
                Action::Update,
                Outcome::Skipped {
                    because: because.clone(),
                },
            ),
            ended(
                "fly.machine/web/app/iad/0",
                Action::Update,
                Outcome::Skipped { because },
            ),
            ended("fly.ip/web/v6", Action::Create, Outcome::NotRun),
        ],
    }
}

#[test]
fn a_run_in_a_log() {
    let lines: Vec<String> = events()
        .iter()
        .filter_map(|event| text::event(event, &PLAIN))
        .collect();
    assert_data_eq!(
        format!("{}\n", lines.join("\n")),
        file!["text/events.txt"].raw()
    );
}

#[test]
fn a_report_names_each_cause_once_and_says_what_to_do() {
    assert_data_eq!(
        text::report(&report(), &PLAIN),
        file!["text/report.txt"].raw()
    );
    let mut done = report();
    done.outcomes.truncate(1);
    assert_data_eq!(text::report(&done, &PLAIN), "Applied: 1 done.\n");
}
