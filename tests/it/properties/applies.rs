//! Properties of whole runs, against the sandbox.

use std::{collections::BTreeSet, future::Future};

use proptest::prelude::*;
use serde_json::Value;
use trimtab::{
    observe::observe,
    plan::{self, Action, Plan},
};
use trimtab_sandbox::Fault;

use super::{
    CANARY, consistency,
    desired_from_live::desired_from_live,
    generator::{self, GeneratedManifest},
    manual_requests, plans,
    scenario::{self, ManifestScenario, ScenarioStep, any_scenario, without_irreversible_settings},
    shuffling_proxy, toml_files,
};
use crate::{
    matrix::normalized_state,
    support::{TestEnv, default_inputs, plan_summary},
};

/// How many runs may be needed where answers get lost.
const MAX_APPLIES: usize = 20;
/// How often a plan is made until nothing happens by itself meanwhile.
const MAX_PLANS: usize = 50;
/// Any order but the usual one.
const SHUFFLE_SEED: u64 = 7;

async fn start_environment(manifest: &GeneratedManifest, faults: Vec<Fault>) -> TestEnv {
    let dir = tempfile::tempdir().unwrap();
    plans::write_manifest(dir.path(), manifest, 0);
    let mut team = TestEnv::with_manifests(dir, "test", default_inputs(), faults).await;
    // When the last machine of ours is destroyed and a stranger's stays, nobody can tell whose the app is.
    team.adopt = true;
    team
}

/// Writes the manifest anew.
fn rewrite_manifest(team: &TestEnv, manifest: &GeneratedManifest) {
    plans::write_manifest(team.dir.path(), manifest, 0);
    let own = toml_files::manifest_files(manifest, 0).pop().unwrap();
    team.write_manifest(&own.1);
}

/// Applies until a run is complete; faults may need a few.
async fn apply_until_complete(team: &TestEnv, flaky: bool) -> Result<(), TestCaseError> {
    let mut last = String::new();
    for _ in 0..MAX_APPLIES {
        match team.try_apply(None).await {
            Ok(report) if report.is_complete() => return Ok(()),
            Ok(report) => last = format!("{report:#?}"),
            Err(error) => last = format!("{error:?}"),
        }
        prop_assert!(!last.contains(CANARY), "a secret is said");
        // Nothing but lost answers is cured by another try.
        if !flaky {
            break;
        }
    }
    Err(TestCaseError::fail(format!(
        "it does not come to an end: {last}"
    )))
}

/// Nothing is left to do, no slot is filled twice, and what is there can be said.
async fn check_settled(team: &TestEnv) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        team.summary().await,
        Vec::<String>::new(),
        "a plan after an apply is not empty"
    );
    let (desired, mut world) = (team.desired(), team.world().await);
    let there: BTreeSet<_> = world.fly_machine.keys().collect();
    prop_assert_eq!(
        there,
        desired.fly_machine.keys().collect(),
        "these machines are there"
    );
    let marks: BTreeSet<_> = world
        .fly_machine
        .values()
        .map(|machine| &machine.workload.metadata[trimtab::model::OwnershipMark::NAME_KEY])
        .collect();
    prop_assert_eq!(
        marks.len(),
        world.fly_machine.len(),
        "a slot is filled twice"
    );
    // What was run once is no object that anybody could ask for.
    world.fly_release.clear();
    let said = plan::plan(&desired_from_live(&desired, &world), &world).unwrap();
    prop_assert_eq!(
        plan_summary(&said),
        Vec::<String>::new(),
        "what is there, asked for, is a change"
    );
    Ok(())
}

/// A plan depends on nothing but the manifest and what is there: on no order of either.
async fn check_plan_is_deterministic(
    team: &TestEnv,
    manifest: &GeneratedManifest,
) -> Result<Plan, TestCaseError> {
    let url = shuffling_proxy::start(team.sandbox.url(), SHUFFLE_SEED).await;
    let (shuffled, desired) = (
        team.readers_at(url).await,
        team.desired_with_digests().await.unwrap(),
    );
    for _ in 0..MAX_PLANS {
        let plan = plan::plan(&desired, &team.world().await).unwrap();
        let other = plan::plan(&desired, &observe(&shuffled, &desired).await.unwrap()).unwrap();
        let shown = plans::render_everything(&plan);
        if shown != plans::plan_and_render(&desired, &team.world().await) {
            // A job by the clock has ended meanwhile.
            continue;
        }
        prop_assert_eq!(
            plan.id(),
            other.id(),
            "lists in another order are another plan"
        );
        prop_assert_eq!(
            &shown,
            &plans::render_everything(&other),
            "lists in another order are shown otherwise"
        );
        let reordered =
            plans::load_manifest(manifest, SHUFFLE_SEED).map_err(TestCaseError::fail)?;
        prop_assert_eq!(
            reordered.fly_machine,
            team.desired().fly_machine,
            "keys in another order ask for other machines"
        );
        return Ok(plan);
    }
    Err(TestCaseError::fail("a plan never stays the same"))
}

/// Whether the generator went too far, and the manifest is refused.
fn is_refused(manifest: &GeneratedManifest) -> bool {
    plans::load_manifest(manifest, 0).is_err()
}

/// Plays a story. It ends where a plan is refused: what stands in the way is said, and nothing is done.
async fn run_scenario(story: ManifestScenario) -> Result<(), TestCaseError> {
    let ScenarioStep::Apply(first) = &story.steps[0] else {
        unreachable!("a story begins with an apply")
    };
    let faults = (story.loss_percent > 0)
        .then(|| format!("flaky:0.0{}", story.loss_percent).parse().unwrap());
    let team = start_environment(first, faults.into_iter().collect()).await;
    let (mut names, mut flaky) = (Vec::new(), story.loss_percent > 0);
    for event in &story.steps {
        match event {
            ScenarioStep::Manual(deed) => {
                manual_requests::send_manual_request(&team, &names, deed).await;
            }
            ScenarioStep::Apply(manifest) => {
                if is_refused(manifest) {
                    return Err(TestCaseError::reject("refused"));
                }
                rewrite_manifest(&team, manifest);
                names = scenario::fly_app_names(manifest);
                if !flaky
                    && !check_plan_is_deterministic(&team, manifest)
                        .await?
                        .blocked
                        .is_empty()
                {
                    return Ok(());
                }
                apply_until_complete(&team, flaky).await?;
                flaky = false;
                team.sandbox.set_faults(Vec::new());
                check_settled(&team).await?;
            }
        }
    }
    Ok(())
}

/// Goes from one manifest to another and back.
async fn apply_and_revert(
    one: GeneratedManifest,
    other: GeneratedManifest,
) -> Result<(), TestCaseError> {
    if is_refused(&one) || is_refused(&other) {
        return Err(TestCaseError::reject("refused"));
    }
    let team = start_environment(&one, Vec::new()).await;
    apply_until_complete(&team, false).await?;
    team.expire_leases();
    let before = normalized_state::normalize(&team.sandbox.state());
    rewrite_manifest(&team, &other);
    let there = team.plan().await;
    if !there.blocked.is_empty() {
        return Ok(());
    }
    apply_until_complete(&team, false).await?;
    check_settled(&team).await?;
    rewrite_manifest(&team, &one);
    let back = team.plan().await;
    prop_assert_eq!(
        changed_addresses(&there, Action::Create),
        changed_addresses(&back, Action::Delete),
        "the way back removes what the way there made"
    );
    apply_until_complete(&team, false).await?;
    check_settled(&team).await?;
    team.expire_leases();
    normalized_state::compare(
        &without_unmanaged_leftovers(normalized_state::normalize(&team.sandbox.state())),
        &without_unmanaged_leftovers(before),
    )
    .map_err(TestCaseError::fail)
}

/// What a plan makes, or removes, of that which bears marks: the rest stays where the manifest no longer names it.
fn changed_addresses(plan: &Plan, action: Action) -> BTreeSet<String> {
    let steps = plan
        .steps()
        .filter(|step| step.action == action)
        .map(|step| &step.address);
    let folded = plan
        .cascade_deletes
        .iter()
        .filter(|_| action == Action::Delete)
        .map(|folded| &folded.address);
    let marked = [
        "fly.app",
        "fly.machine",
        "fly.cron",
        "aws.bucket",
        "aws.role",
    ];
    let all = steps
        .chain(folded)
        .filter(|address| marked.contains(&address.kind()));
    all.map(ToString::to_string).collect()
}

/// The census without what stays although no manifest names it: volumes that nobody holds, addresses, certificates.
fn without_unmanaged_leftovers(mut census: Value) -> Value {
    for app in census["apps"].as_object_mut().unwrap().values_mut() {
        app["volumes"]
            .as_array_mut()
            .unwrap()
            .retain(|volume| !volume["holder"].is_null());
        for machine in app["machines"].as_array_mut().unwrap() {
            // What its rollouts were: which machine was there before, and for which release a command ran.
            let metadata = machine["config"]["metadata"].as_object_mut().unwrap();
            metadata
                .retain(|key, _| !["trimtab_succeeds", "trimtab_released"].contains(&key.as_str()));
        }
        for kept in ["ips", "certificates", "secrets"] {
            app[kept] = Value::Null;
        }
    }
    sort_tags(&mut census["aws"]);
    census
}

/// Tags are a set, and stand in the order in which they were set.
fn sort_tags(value: &mut Value) {
    match value {
        Value::Object(table) => {
            if let Some(Value::Array(tags)) = table.get_mut("tags") {
                tags.sort_by_cached_key(ToString::to_string);
            }
            table.values_mut().for_each(sort_tags);
        }
        Value::Array(list) => list.iter_mut().for_each(sort_tags),
        _ => {}
    }
}

fn block_on(
    property: impl Future<Output = Result<(), TestCaseError>>,
) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(property)
}

/// Two manifests, of which the second differs in a part, as a story.
fn edit_and_revert(with_aws: bool) -> impl Strategy<Value = ManifestScenario> {
    (
        generator::manifest(with_aws),
        generator::manifest(with_aws),
        any::<u64>(),
    )
        .prop_map(|(one, other, seed)| {
            let one = without_platform_defaults(&without_irreversible_settings(&one));
            let other = without_platform_defaults(&without_irreversible_settings(
                &generator::mix_manifests(&one, &other, seed),
            ));
            let events = [&one, &other, &one].map(|manifest| ScenarioStep::Apply(manifest.clone()));
            ManifestScenario {
                steps: events.to_vec(),
                loss_percent: 0,
            }
        })
}

/// Without what the platform or an earlier apply decides where a manifest says nothing, and without names: an app that is
/// renamed is another, and the old one stays; and what `machine_config` alone can say stays as well.
fn without_platform_defaults(manifest: &GeneratedManifest) -> GeneratedManifest {
    fn without(value: &mut Value) {
        match value {
            Value::Object(table) => {
                let left = [
                    "name",
                    "machine_config",
                    "container",
                    "restart",
                    "auto_start_machines",
                    "persist_rootfs",
                    "managed_policies",
                    "network",
                    "encrypted",
                ];
                let disk = ["snapshot_retention", "scheduled_snapshots"];
                table.retain(|key, _| {
                    !left.contains(&key.as_str()) && !disk.contains(&key.as_str())
                });
                if let Some(count) = table.get_mut("count") {
                    peopled(count);
                }
                table.values_mut().for_each(without);
            }
            Value::Array(list) => list.iter_mut().for_each(without),
            _ => {}
        }
    }
    /// An app that keeps no machine and leaves the manifest is not found again.
    fn peopled(count: &mut Value) {
        match count {
            Value::Object(regions) => regions.values_mut().for_each(peopled),
            number if *number == 0 => *number = 1.into(),
            _ => {}
        }
    }
    let mut whole = manifest.0.clone();
    without(&mut whole);
    consistency::make_consistent(whole.as_object_mut().unwrap());
    GeneratedManifest(whole)
}

proptest! {
    #![proptest_config(super::proptest_config(12))]

    #[test]
    fn any_scenario_converges(story in any_scenario(false, 5)) {
        block_on(run_scenario(story))?;
    }

    #[test]
    fn reverting_a_manifest_restores_the_state(story in edit_and_revert(false)) {
        let [ScenarioStep::Apply(one), ScenarioStep::Apply(other), _] = &story.steps[..] else { unreachable!("two manifests") };
        block_on(apply_and_revert(one.clone(), other.clone()))?;
    }
}

proptest! {
    #![proptest_config(super::proptest_config(4))]

    #[test]
    fn any_scenario_with_aws_converges(story in any_scenario(true, 3)) {
        block_on(run_scenario(story))?;
    }

    #[test]
    fn reverting_a_manifest_with_aws_restores_the_state(story in edit_and_revert(true)) {
        let [ScenarioStep::Apply(one), ScenarioStep::Apply(other), _] = &story.steps[..] else { unreachable!("two manifests") };
        block_on(apply_and_revert(one.clone(), other.clone()))?;
    }
}
