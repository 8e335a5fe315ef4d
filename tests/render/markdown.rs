//! Plans as comments on a pull request.

use snapbox::{assert_data_eq, file};
use trimtab::render::{Headline, markdown};

use crate::render::fixture::{applied, desired, eventful, headline, large, moved, nasty, planned};

#[test]
fn something_of_every_sort() {
    let (desired, world) = eventful();
    let (plan, refusals) = planned(&desired, &world);
    let comment = markdown::plan(&plan, &refusals, &headline("plan"), markdown::BUDGET);
    assert_data_eq!(comment, file!["markdown/eventful.md"].raw());
}

#[test]
fn what_vanishes_along_with_an_app_is_named() {
    let (desired, world) = moved();
    let (plan, refusals) = planned(&desired, &world);
    let comment = markdown::plan(&plan, &refusals, &headline("plan"), markdown::BUDGET);
    assert_data_eq!(comment, file!["markdown/moved.md"].raw());
}

#[test]
fn nothing_to_do() {
    let desired = desired();
    let (plan, refusals) = planned(&desired, &applied(&desired));
    let comment = markdown::plan(&plan, &refusals, &headline("plan"), markdown::BUDGET);
    assert_data_eq!(comment, file!["markdown/empty.md"].raw());
}

#[test]
fn values_cannot_break_out() {
    let (desired, world) = nasty();
    let (plan, refusals) = planned(&desired, &world);
    let comment = markdown::plan(&plan, &refusals, &headline("plan"), markdown::BUDGET);
    let (outside, inside) = split_at_fence(&comment);
    assert!(
        !outside.contains("@here") && !outside.contains("<b>") && !outside.contains("<script>")
    );
    assert!(inside.contains("</details>"), "it stays inside the fence");
    assert_data_eq!(comment, file!["markdown/nasty.md"].raw());
}

/// What Markdown reads, and what it leaves alone.
fn split_at_fence(comment: &str) -> (String, String) {
    let (mut outside, mut inside, mut open) = (String::new(), String::new(), None::<String>);
    for line in comment.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &open {
            Some(fence) if ticks.len() >= fence.len() && line == ticks => open = None,
            Some(_) => inside.extend([line, "\n"]),
            None if ticks.len() >= 3 => open = Some(ticks),
            None => outside.extend([line, "\n"]),
        }
    }
    assert!(open.is_none(), "a fence is left open:\n{comment}");
    (outside, inside)
}

#[test]
fn three_thousand_changes_fit_any_budget_without_a_cut() {
    let (desired, world) = large(3000);
    let (plan, refusals) = planned(&desired, &world);
    assert!(plan.changes().len() >= 3000);
    for budget in [60_000, 20_000, 5_000, 1_000, 400] {
        let comment = markdown::plan(&plan, &refusals, &headline("plan"), budget);
        assert!(comment.len() <= budget, "{} > {budget}", comment.len());
        assert!(comment.starts_with("<!-- trimtab:plan:shop/staging -->\n### plan"));
        split_at_fence(&comment);
    }
    let comment = markdown::plan(&plan, &refusals, &headline("plan"), 2_000);
    assert_data_eq!(comment, file!["markdown/large.md"].raw());
}

#[test]
fn a_name_cannot_end_the_marker() {
    let desired = desired();
    let (plan, refusals) = planned(&desired, &applied(&desired));
    let headline = Headline {
        project: "a--><b>".to_owned(),
        ..headline("plan")
    };
    let comment = markdown::plan(&plan, &refusals, &headline, markdown::BUDGET);
    assert_eq!(comment.lines().next().unwrap().matches("-->").count(), 1);
}
