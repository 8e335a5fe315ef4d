//! Plans, drift, reports, events and reasons on a terminal.

use snapbox::{assert_data_eq, file};
use trimtab::{
    model::Address,
    plan::Limits,
    render::{Look, text},
};

use crate::render::fixture::{PLAIN, applied, desired, eventful, headline, moved, nasty, planned};

#[test]
fn a_first_apply() {
    let (plan, refusals) = planned(&desired(), &Default::default());
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/first.txt"]
    );
}

#[test]
fn something_of_every_sort() {
    let (desired, world) = eventful();
    let (plan, refusals) = planned(&desired, &world);
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/eventful.txt"]
    );
    let color = Look {
        color: true,
        ..PLAIN
    };
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &color),
        file!["text/eventful.ansi.txt"].raw()
    );
}

#[test]
fn what_vanishes_along_with_an_app_is_named() {
    let (desired, world) = moved();
    let (plan, refusals) = planned(&desired, &world);
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/moved.txt"]
    );
}

#[test]
fn nothing_to_do() {
    let desired = desired();
    let (plan, refusals) = planned(&desired, &applied(&desired));
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/empty.txt"]
    );
    assert_data_eq!(
        text::drift(&plan, &headline("drift"), &PLAIN),
        file!["text/empty.drift.txt"]
    );
}

#[test]
fn a_part_of_a_plan_says_what_it_leaves_out() {
    let (desired, world) = eventful();
    let (plan, _) = planned(&desired, &world);
    let part = plan.only(&[Address::parse("fly.machine/web/app/ewr/0").unwrap()]);
    let refusals = trimtab::plan::refusals(&part, &Limits::default());
    assert_data_eq!(
        text::plan(&part, &refusals, &headline("plan"), &PLAIN),
        file!["text/only.txt"]
    );
}

#[test]
fn values_cannot_break_out() {
    let (desired, world) = nasty();
    let (plan, refusals) = planned(&desired, &world);
    let text = text::plan(&plan, &refusals, &headline("plan"), &PLAIN);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert_data_eq!(text, file!["text/nasty.txt"].raw());
}

#[test]
fn drift_is_what_a_look_found() {
    let (desired, world) = eventful();
    let (plan, _) = planned(&desired, &world);
    assert_data_eq!(
        text::drift(&plan, &headline("drift"), &PLAIN),
        file!["text/eventful.drift.txt"]
    );
}

#[test]
fn why_a_machine_changes() {
    let (desired, world) = eventful();
    let (plan, _) = planned(&desired, &world);
    let why = |address: &str| text::why(&plan, &Address::parse(address).unwrap(), &PLAIN);
    let answers = [
        "fly.machine/web/app/ewr/1",
        "fly.volume/web/data/iad/0",
        "fly.app/web",
    ]
    .map(why);
    assert_data_eq!(answers.join("----\n"), file!["text/why.txt"]);
}
