//! No output holds a secret, wherever one was put.

use trimtab::{
    kinds::Desired,
    model::{Mark, Secret},
    render::{Look, graph, json, markdown, text, tfjson},
};

use crate::render::{
    fixture::{CANARY, PRINT, applied, desired, eventful, headline, moved, planned},
    rollout::everything,
};

#[test]
fn no_rendering_shows_a_secret() {
    let (mut gone, mut world) = eventful();
    gone.fly_secrets.clear();
    let removed = (gone, std::mem::take(&mut world));
    let same = desired();
    let nothing = (same.clone(), applied(&same));
    let cases =
        [(planted(desired()), Default::default()), eventful(), moved(), everything(), removed, nothing];
    for (desired, world) in &cases {
        let (plan, refusals) = planned(desired, world);
        let (look, head) = (Look { color: true, width: 80 }, headline("plan"));
        let mut all = vec![
            text::plan(&plan, &refusals, &head, &look),
            text::drift(&plan, &head, &look),
            markdown::plan(&plan, &refusals, &head, markdown::BUDGET),
            json::plan(&plan, &refusals, &head).to_string(),
            json::summary(&plan).to_string(),
            tfjson::plan(&plan).to_string(),
            graph::svg(&plan),
            graph::mermaid(&plan),
            graph::dot(&plan),
            graph::inventory(desired).svg(),
        ];
        all.extend(plan.steps().map(|step| text::why(&plan, &step.address, &look)));
        // The file in the fixture holds the canary in base64.
        for hidden in [CANARY, PRINT, "Y2FuYXJ5", Mark::SECRETS] {
            assert!(all.iter().all(|output| !output.contains(hidden)), "{hidden} is shown");
        }
    }
}

/// The canary in every place of a manifest that is secret.
fn planted(mut desired: Desired) -> Desired {
    let secrets = desired.fly_secrets.values_mut();
    for secret in secrets.flat_map(|secrets| secrets.values.values_mut()) {
        secret.value = Some(Secret::new(CANARY));
    }
    desired
}
