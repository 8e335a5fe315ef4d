//! A run with every kind of failure, as events and as a report.

use snapbox::{assert_data_eq, file};
use trimtab::{
    apply::event::{ApplyEvent, ApplyFailure, ApplyReport, Outcome, StepReport},
    model::Address,
    plan::Action,
    render::text,
};

use crate::render::fixture::PLAIN;

fn parse_address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn sample_failure() -> ApplyFailure {
    ApplyFailure {
        reason: "updating machine 90800000: 422 insufficient memory\nin region ewr \u{1b}[31m"
            .to_owned(),
        request_id: Some("01JREQ-ewr".to_owned()),
        hint: Some("say less memory, or another region".to_owned()),
    }
}

pub(crate) fn sample_events() -> Vec<ApplyEvent> {
    let machine = || parse_address("fly.machine/web/app/ewr/0");
    vec![
        ApplyEvent::Begun {
            total: 5,
            estimate_secs: Some(90),
        },
        ApplyEvent::Started {
            address: parse_address("fly.secrets/web"),
            action: Action::Update,
        },
        ApplyEvent::Finished {
            address: parse_address("fly.secrets/web"),
            action: Action::Update,
            millis: 340,
            estimate_millis: 90_000,
        },
        ApplyEvent::Started {
            address: machine(),
            action: Action::Update,
        },
        ApplyEvent::Progress {
            address: machine(),
            state: "started".to_owned(),
            passing: 1,
            checks: 2,
        },
        ApplyEvent::Failed {
            address: machine(),
            action: Action::Update,
            failure: sample_failure(),
        },
        ApplyEvent::Skipped {
            address: parse_address("fly.machine/web/app/ewr/1"),
            action: Action::Update,
            because: machine(),
        },
        ApplyEvent::Stopping,
        ApplyEvent::Finished {
            address: parse_address("fly.volume/web/data/ewr/0"),
            action: Action::ReplaceDelete,
            millis: 75_000,
            estimate_millis: 90_000,
        },
    ]
}

pub(crate) fn sample_report() -> ApplyReport {
    let ended = |at: &str, action, outcome| StepReport {
        address: parse_address(at),
        action,
        outcome,
    };
    let because = parse_address("fly.machine/web/app/ewr/0");
    ApplyReport {
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
                Outcome::Failed(sample_failure()),
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
fn events_as_log_lines() {
    let lines: Vec<String> = sample_events()
        .iter()
        .filter_map(|event| text::event(event, &PLAIN))
        .collect();
    assert_data_eq!(
        format!("{}\n", lines.join("\n")),
        file!["text/events.txt"].raw()
    );
}

#[test]
fn report_names_each_cause_once() {
    assert_data_eq!(
        text::report(&sample_report(), &PLAIN),
        file!["text/report.txt"].raw()
    );
    let mut done = sample_report();
    done.outcomes.truncate(1);
    assert_data_eq!(text::report(&done, &PLAIN), "Applied: 1 done.\n");
}
