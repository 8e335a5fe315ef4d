//! No output contains a secret, wherever it is.

use trimtab::{
    kinds::Desired,
    model::{OwnershipMark, Secret},
    plan::Plan,
    render::{TextOptions, graph, json, markdown, text, tfjson},
};

use crate::render::{
    fixture::{
        CANARY, CANARY_FINGERPRINT, app_replacement, desired, every_kind_of_change, headline,
        plan_with_refusals, world_after_apply,
    },
    rollout::every_strategy,
};

#[test]
fn no_output_shows_a_secret() {
    let (mut gone, mut world) = every_kind_of_change();
    gone.fly_secrets.clear();
    let removed = (gone, std::mem::take(&mut world));
    let same = desired();
    let nothing = (same.clone(), world_after_apply(&same));
    let cases = [
        (with_canaries(desired()), Default::default()),
        every_kind_of_change(),
        app_replacement(),
        every_strategy(),
        removed,
        nothing,
    ];
    for (desired, world) in &cases {
        let (plan, refusals) = plan_with_refusals(desired, world);
        let (look, head) = (
            TextOptions {
                color: true,
                width: 80,
            },
            headline("plan"),
        );
        let mut all = vec![
            text::plan(&plan, &refusals, &head, &look),
            text::drift(&plan, &head, &look),
            markdown::plan(&plan, &refusals, &head, markdown::COMMENT_BUDGET),
            json::plan(&plan, &refusals, &head).to_string(),
            json::summary(&plan).to_string(),
            tfjson::plan(&plan).to_string(),
            graph::svg(&plan),
            graph::mermaid(&plan),
            graph::dot(&plan),
            graph::desired_diagram(desired).svg(),
        ];
        all.extend(
            plan.steps()
                .map(|step| text::why(&plan, &step.address, &look)),
        );
        // The file in the fixture holds the canary in base64.
        for hidden in [
            CANARY,
            CANARY_FINGERPRINT,
            "Y2FuYXJ5",
            OwnershipMark::SECRET_FINGERPRINTS_KEY,
        ] {
            assert!(
                all.iter().all(|output| !output.contains(hidden)),
                "{hidden} is shown"
            );
        }
    }
}

/// The desired state with the canary as the value of every secret.
fn with_canaries(mut desired: Desired) -> Desired {
    let secrets = desired.fly_secrets.values_mut();
    for secret in secrets.flat_map(|secrets| secrets.values.values_mut()) {
        secret.value = Some(Secret::new(CANARY));
    }
    desired
}

/// Which values a run knows to be secret differs: a check of a pull request has no secrets, an
/// apply has all of them.
#[test]
fn plan_does_not_depend_on_known_secrets() {
    const ONCE_OPEN: &str = "open-before-it-became-a-secret";
    let desired = desired();
    let mut world = world_after_apply(&desired);
    for machine in world.fly_machine.values_mut() {
        machine
            .workload
            .config
            .env
            .insert("TOKEN".to_owned(), ONCE_OPEN.to_owned());
    }
    let shown = |plan: &Plan| {
        let (look, head) = (
            TextOptions {
                color: false,
                width: 200,
            },
            headline("plan"),
        );
        [
            text::plan(plan, &[], &head, &look),
            markdown::plan(plan, &[], &head, markdown::COMMENT_BUDGET),
            json::plan(plan, &[], &head).to_string(),
            tfjson::plan(plan).to_string(),
        ]
    };
    let (before, _) = plan_with_refusals(&desired, &world);
    assert!(
        shown(&before)
            .iter()
            .all(|output| output.contains(ONCE_OPEN)),
        "nobody knows yet that it is one"
    );
    let _known = Secret::new(ONCE_OPEN);
    let (after, _) = plan_with_refusals(&desired, &world);
    assert_eq!(before.id(), after.id());
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert!(
        shown(&after)
            .iter()
            .all(|output| !output.contains(ONCE_OPEN) && output.contains("TOKEN"))
    );
}
