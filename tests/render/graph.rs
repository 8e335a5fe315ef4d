//! Pictures.

use snapbox::{assert_data_eq, file};
use trimtab::{
    plan::Verb,
    render::graph::{self, Deed, Drawing, Node},
};

use crate::render::fixture::{desired, eventful, large, moved, planned};

#[test]
fn a_plan_as_pictures() {
    let (desired, world) = eventful();
    let (plan, _) = planned(&desired, &world);
    assert_data_eq!(graph::svg(&plan), file!["graph/eventful.svg"].raw());
    assert_data_eq!(graph::mermaid(&plan), file!["graph/eventful.mmd"].raw());
    assert_data_eq!(graph::dot(&plan), file!["graph/eventful.dot"].raw());
}

#[test]
fn a_first_apply_as_a_picture() {
    let (plan, _) = planned(&desired(), &Default::default());
    assert_data_eq!(graph::svg(&plan), file!["graph/first.svg"].raw());
}

#[test]
fn replacements_do_not_go_in_circles() {
    let (desired, world) = moved();
    let (plan, _) = planned(&desired, &world);
    assert_data_eq!(graph::svg(&plan), file!["graph/moved.svg"].raw());
}

#[test]
fn a_whole_environment_as_a_picture() {
    assert_data_eq!(
        graph::inventory(&desired()).svg(),
        file!["graph/inventory.svg"].raw()
    );
}

/// Several apps of several machines: many arrows, and long ones.
#[test]
fn a_team_of_apps_as_a_picture() {
    let (plan, _) = planned(&crate::render::fixture::team(), &Default::default());
    assert_data_eq!(graph::svg(&plan), file!["graph/team.svg"].raw());
}

#[test]
fn a_large_plan_is_still_drawn() {
    let (desired, world) = large(300);
    let (plan, _) = planned(&desired, &world);
    assert!(graph::svg(&plan).ends_with("</svg>\n"));
    assert!(graph::mermaid(&plan).contains("too many to draw"));
}

#[test]
fn nothing_and_nonsense_are_drawn() {
    let empty = Drawing::default();
    assert!(empty.svg().ends_with("</svg>\n"));
    assert_eq!(
        empty.dot().matches('{').count(),
        empty.dot().matches('}').count()
    );
    let node = |label: &str| Node {
        label: label.to_owned(),
        sub: "\u{1b}".to_owned(),
        deed: Some(Deed::Change(Verb::Update)),
        kind: "<script>".to_owned(),
        together: String::new(),
    };
    let nonsense = Drawing {
        nodes: vec![node("a\"]; b"), node("</text><script>"), node("```")],
        edges: vec![
            (0, 1, "\"--".to_owned()),
            (1, 2, String::new()),
            (2, 0, "&".to_owned()),
            (9, 0, String::new()),
        ],
    };
    assert!(!nonsense.svg().contains("<script>"));
    assert_data_eq!(nonsense.dot(), file!["graph/nonsense.dot"].raw());
    assert_data_eq!(nonsense.mermaid(), file!["graph/nonsense.mmd"].raw());
}
