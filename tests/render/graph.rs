//! Plans as graphs.

use snapbox::{assert_data_eq, file};
use trimtab::{
    plan::Verb,
    render::graph::{self, Diagram, DiagramNode, NodeAction},
};

use crate::render::fixture::{
    app_replacement, desired, every_kind_of_change, many_apps, plan_with_refusals,
};

#[test]
fn plan_as_every_graph_format() {
    let (desired, world) = every_kind_of_change();
    let (plan, _) = plan_with_refusals(&desired, &world);
    assert_data_eq!(graph::svg(&plan), file!["graph/eventful.svg"].raw());
    assert_data_eq!(graph::mermaid(&plan), file!["graph/eventful.mmd"].raw());
    assert_data_eq!(graph::dot(&plan), file!["graph/eventful.dot"].raw());
}

#[test]
fn first_apply_as_svg() {
    let (plan, _) = plan_with_refusals(&desired(), &Default::default());
    assert_data_eq!(graph::svg(&plan), file!["graph/first.svg"].raw());
}

#[test]
fn replacement_graph_has_no_cycle() {
    let (desired, world) = app_replacement();
    let (plan, _) = plan_with_refusals(&desired, &world);
    assert_data_eq!(graph::svg(&plan), file!["graph/moved.svg"].raw());
}

#[test]
fn inventory_as_svg() {
    assert_data_eq!(
        graph::desired_diagram(&desired()).svg(),
        file!["graph/inventory.svg"].raw()
    );
}

/// Several apps with several machines: many edges, and long ones.
#[test]
fn dependent_apps_as_svg() {
    let (plan, _) = plan_with_refusals(
        &crate::render::fixture::dependent_apps(),
        &Default::default(),
    );
    assert_data_eq!(graph::svg(&plan), file!["graph/team.svg"].raw());
}

#[test]
fn large_plan_is_drawn() {
    let (desired, world) = many_apps(300);
    let (plan, _) = plan_with_refusals(&desired, &world);
    assert!(graph::svg(&plan).ends_with("</svg>\n"));
    assert!(graph::mermaid(&plan).contains("too many to draw"));
}

#[test]
fn empty_and_malformed_graphs_are_drawn() {
    let empty = Diagram::default();
    assert!(empty.svg().ends_with("</svg>\n"));
    assert_eq!(
        empty.dot().matches('{').count(),
        empty.dot().matches('}').count()
    );
    let node = |label: &str| DiagramNode {
        label: label.to_owned(),
        detail: "\u{1b}".to_owned(),
        action: Some(NodeAction::Change(Verb::Update)),
        kind: "<script>".to_owned(),
        concurrency: String::new(),
    };
    let nonsense = Diagram {
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
