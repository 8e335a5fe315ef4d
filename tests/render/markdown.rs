//! Plans as comments on a pull request.

use snapbox::{assert_data_eq, file};
use trimtab::render::{Headline, markdown};

use crate::render::fixture::{
    app_replacement, desired, every_kind_of_change, headline, hostile_values, many_apps,
    plan_with_refusals, world_after_apply,
};

#[test]
fn every_kind_of_change_as_markdown() {
    let (desired, world) = every_kind_of_change();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let comment = markdown::plan(
        &plan,
        &refusals,
        &headline("plan"),
        markdown::COMMENT_BUDGET,
    );
    assert_data_eq!(comment, file!["markdown/eventful.md"].raw());
}

#[test]
fn cascade_deletes_are_listed() {
    let (desired, world) = app_replacement();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let comment = markdown::plan(
        &plan,
        &refusals,
        &headline("plan"),
        markdown::COMMENT_BUDGET,
    );
    assert_data_eq!(comment, file!["markdown/moved.md"].raw());
}

#[test]
fn empty_plan() {
    let desired = desired();
    let (plan, refusals) = plan_with_refusals(&desired, &world_after_apply(&desired));
    let comment = markdown::plan(
        &plan,
        &refusals,
        &headline("plan"),
        markdown::COMMENT_BUDGET,
    );
    assert_data_eq!(comment, file!["markdown/empty.md"].raw());
}

#[test]
fn values_are_escaped() {
    let (desired, world) = hostile_values();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let comment = markdown::plan(
        &plan,
        &refusals,
        &headline("plan"),
        markdown::COMMENT_BUDGET,
    );
    let (outside, inside) = split_at_fence(&comment);
    assert!(
        !outside.contains("@here") && !outside.contains("<b>") && !outside.contains("<script>")
    );
    assert!(inside.contains("</details>"), "it stays inside the fence");
    assert_data_eq!(comment, file!["markdown/nasty.md"].raw());
}

/// Splits a comment into what is outside and what is inside of fenced code blocks.
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
fn large_plan_fits_any_budget() {
    let (desired, world) = many_apps(3000);
    let (plan, refusals) = plan_with_refusals(&desired, &world);
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
fn project_name_cannot_close_marker_comment() {
    let desired = desired();
    let (plan, refusals) = plan_with_refusals(&desired, &world_after_apply(&desired));
    let headline = Headline {
        project: "a--><b>".to_owned(),
        ..headline("plan")
    };
    let comment = markdown::plan(&plan, &refusals, &headline, markdown::COMMENT_BUDGET);
    assert_eq!(comment.lines().next().unwrap().matches("-->").count(), 1);
}
