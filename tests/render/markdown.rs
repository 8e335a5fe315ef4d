//! Plans as comments on a pull request.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use snapbox::{assert_data_eq, file};
use trimtab::{
    iam::policy::{LivePolicy, PolicyDocument},
    kinds::{
        Desired, World,
        aws::role::{RoleLive, RoleSpec, Trust},
    },
    render::{Headline, markdown},
};

use crate::render::fixture::{
    app_replacement, desired, every_kind_of_change, headline, hostile_values, many_apps,
    parse_name, plan_with_refusals, world_after_apply,
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

/// Twelve roles with twenty statements each; one of them is also granted everything.
fn many_grants() -> (Desired, World) {
    let policy = |statements: Vec<Value>| {
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        PolicyDocument::from_json(&document).unwrap()
    };
    let trust = policy(vec![json!({
        "Effect": "Allow", "Principal": { "AWS": "123456789012" }, "Action": "sts:AssumeRole",
    })]);
    let statements = |role: usize, action: &str| -> Vec<Value> {
        let table = |nth| format!("arn:aws:dynamodb:eu-central-1:123456789012:table/t{role}-{nth}");
        let statement = |nth| json!({ "Sid": format!("S{nth}"), "Effect": "Allow", "Action": action, "Resource": table(nth) });
        (0..20).map(statement).collect()
    };
    let (mut desired, mut world) = (desired(), World::default());
    for role in 0..12 {
        let address = parse_name(&format!("role{role:02}"));
        let mut wanted = statements(role, "dynamodb:Scan");
        if role == 7 {
            wanted
                .push(json!({ "Sid": "Admin", "Effect": "Allow", "Action": "*", "Resource": "*" }));
        }
        let spec = RoleSpec {
            name: format!("shop-role{role:02}"),
            account: "123456789012".to_owned(),
            path: "/trimtab/shop/staging/".to_owned(),
            description: String::new(),
            trust: Trust::Document(trust.clone()),
            policies: BTreeMap::from([("p".to_owned(), policy(wanted))]),
            managed: None,
            boundary: None,
            max_session: RoleSpec::DEFAULT_MAX_SESSION_SECS,
            tags: BTreeMap::new(),
            provider: None,
            trusted_roles: Default::default(),
            trusts_later: false,
        };
        let before = policy(statements(role, "dynamodb:Query"));
        let live = RoleLive {
            name: spec.name.clone(),
            arn: spec.arn(),
            path: spec.path.clone(),
            description: String::new(),
            trust: LivePolicy::Document(trust.clone()),
            policies: BTreeMap::from([("p".to_owned(), LivePolicy::Document(before))]),
            managed: Default::default(),
            boundary: None,
            max_session: spec.max_session,
            tags: BTreeMap::new(),
            provider: None,
            users: Default::default(),
        };
        desired.aws_role.insert(address.clone(), spec);
        world.aws_role.insert(address, live);
    }
    (desired, world)
}

#[test]
fn budget_is_filled_with_what_is_dangerous_first() {
    let (desired, world) = many_grants();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let render = |budget| markdown::plan(&plan, &refusals, &headline("plan"), budget);
    let whole = render(usize::MAX);
    for budget in [whole.len() - 1, 60_000, 20_000, 6_000] {
        let comment = render(budget);
        assert!(comment.len() <= budget, "{} > {budget}", comment.len());
        assert!(comment.contains("Left out here"), "{comment}");
        let row = comment
            .lines()
            .find(|line| line.contains("`aws.role/role07`"))
            .unwrap();
        assert!(
            row.contains("**grants EVERYTHING or to EVERYONE**"),
            "{row}"
        );
        assert!(row.contains("policy.p.Admin"), "{row}");
        let (_, details) = split_at_fence(&comment);
        assert!(details.contains("policy.p.Admin"), "{budget}: {details}");
    }
    // Not much is left unused.
    assert!(render(60_000).len() > 50_000, "{}", render(60_000).len());
}

#[test]
fn drift_comment_is_not_that_of_the_plan() {
    let (desired, world) = every_kind_of_change();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let comment = markdown::drift(
        &plan,
        &refusals,
        &headline("drift"),
        markdown::COMMENT_BUDGET,
    );
    assert!(comment.starts_with("<!-- trimtab:drift:shop/staging -->\n### drift"));
    for wrong in ["to add", "--expect", "plan id"] {
        assert!(!comment.contains(wrong), "{wrong}: {comment}");
    }
    assert!(comment.contains("To repair:"), "{comment}");
    assert_data_eq!(comment, file!["markdown/drift.md"].raw());
}
