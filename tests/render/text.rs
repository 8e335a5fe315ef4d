//! Plans, drift, reports, events and explanations in a terminal.

use snapbox::{assert_data_eq, file};
use trimtab::{
    model::Address,
    plan::Limits,
    render::{TextOptions, text},
};

use crate::render::fixture::{
    PLAIN, app_replacement, desired, every_kind_of_change, headline, hostile_values,
    plan_with_refusals, world_after_apply,
};

#[test]
fn first_apply() {
    let (plan, refusals) = plan_with_refusals(&desired(), &Default::default());
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/first.txt"]
    );
}

#[test]
fn every_kind_of_change_as_text() {
    let (desired, world) = every_kind_of_change();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/eventful.txt"]
    );
    let color = TextOptions {
        color: true,
        ..PLAIN
    };
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &color),
        file!["text/eventful.ansi.txt"].raw()
    );
}

#[test]
fn cascade_deletes_are_listed() {
    let (desired, world) = app_replacement();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    assert_data_eq!(
        text::plan(&plan, &refusals, &headline("plan"), &PLAIN),
        file!["text/moved.txt"]
    );
}

#[test]
fn empty_plan() {
    let desired = desired();
    let (plan, refusals) = plan_with_refusals(&desired, &world_after_apply(&desired));
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
fn targeted_plan_names_omitted_steps() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    let part = plan.only(&[Address::parse("fly.machine/web/app/ewr/0").unwrap()]);
    let refusals = trimtab::plan::refusals(&part, &Limits::default());
    assert_data_eq!(
        text::plan(&part, &refusals, &headline("plan"), &PLAIN),
        file!["text/only.txt"]
    );
}

#[test]
fn values_are_escaped() {
    let (desired, world) = hostile_values();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let text = text::plan(&plan, &refusals, &headline("plan"), &PLAIN);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
    assert_data_eq!(text, file!["text/nasty.txt"].raw());
}

#[test]
fn drift_lists_outside_changes() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    assert_data_eq!(
        text::drift(&plan, &headline("drift"), &PLAIN),
        file!["text/eventful.drift.txt"]
    );
}

#[test]
fn why_explains_a_change() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    let why = |address: &str| text::why(&plan, &Address::parse(address).unwrap(), &PLAIN);
    let answers = [
        "fly.machine/web/app/ewr/1",
        "fly.volume/web/data/iad/0",
        "fly.app/web",
    ]
    .map(why);
    assert_data_eq!(answers.join("----\n"), file!["text/why.txt"]);
}
