//! Properties of whole runs against the sandbox.

use std::{collections::BTreeSet, future::Future};

use proptest::prelude::*;
use serde_json::Value;
use trimtab::{
    model::{Address, Ownership, resources_in_app},
    observe::observe,
    ops,
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
    support::{TestEnv, default_inputs, operations, plan_summary, proptest_config},
};

/// How many applies may be needed when responses get lost.
const MAX_APPLIES: usize = 20;
/// How many plans are made until the clouds do not change by themselves in between.
const MAX_PLANS: usize = 50;
/// Any seed other than 0, which keeps the order.
const SHUFFLE_SEED: u64 = 7;

async fn start_environment(manifest: &GeneratedManifest, faults: Vec<Fault>) -> TestEnv {
    let dir = tempfile::tempdir().unwrap();
    plans::write_manifest(dir.path(), manifest, 0);
    let mut env = TestEnv::with_manifests(dir, "test", default_inputs(), faults).await;
    // When our last machine was destroyed and a foreign one is left, nobody can tell who owns the
    // app.
    env.adopt = true;
    env
}

fn rewrite_manifest(env: &TestEnv, manifest: &GeneratedManifest) {
    plans::write_manifest(env.dir.path(), manifest, 0);
    let own = toml_files::manifest_files(manifest, 0).pop().unwrap();
    env.write_manifest(&own.1);
}

/// Applies until a run is complete. With faults that may need several runs.
async fn apply_until_complete(env: &TestEnv, flaky: bool) -> Result<(), TestCaseError> {
    let mut last = String::new();
    for _ in 0..MAX_APPLIES {
        match env.try_apply(None).await {
            Ok(report) if report.is_complete() => return Ok(()),
            Ok(report) => last = format!("{report:#?}"),
            Err(error) => last = format!("{error:?}"),
        }
        prop_assert!(!last.contains(CANARY), "a secret is said");
        // Only faults can be fixed by another attempt.
        if !flaky {
            break;
        }
    }
    Err(TestCaseError::fail(format!(
        "it does not come to an end: {last}"
    )))
}

/// Checks that nothing is left to do, no slot has two machines, and the live state can be written
/// as a manifest.
async fn check_settled(env: &TestEnv) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        env.summary().await,
        Vec::<String>::new(),
        "a plan after an apply is not empty"
    );
    let (desired, mut world) = (env.desired(), env.world().await);
    let there: BTreeSet<_> = world.fly_machine.keys().collect();
    prop_assert_eq!(
        there,
        desired.fly_machine.keys().collect(),
        "these machines are there"
    );
    let names: BTreeSet<_> = world
        .fly_machine
        .values()
        .map(|machine| &machine.workload.metadata[trimtab::model::OwnershipMark::NAME_KEY])
        .collect();
    prop_assert_eq!(
        names.len(),
        world.fly_machine.len(),
        "a slot is filled twice"
    );
    // A release command that has run is no object that a manifest could ask for.
    world.fly_release.clear();
    let replan = plan::plan(&desired_from_live(&desired, &world), &world).unwrap();
    prop_assert_eq!(
        plan_summary(&replan),
        Vec::<String>::new(),
        "what is there, asked for, is a change"
    );
    Ok(())
}

/// Checks that a plan depends only on the manifest and the live state, not on the order of either.
async fn check_plan_is_deterministic(
    env: &TestEnv,
    manifest: &GeneratedManifest,
) -> Result<Plan, TestCaseError> {
    let url = shuffling_proxy::start(env.sandbox.url(), SHUFFLE_SEED).await;
    let (shuffled, desired) = (
        env.readers_at(url).await,
        env.desired_with_digests().await.unwrap(),
    );
    for _ in 0..MAX_PLANS {
        let plan = plan::plan(&desired, &env.world().await).unwrap();
        let other = plan::plan(&desired, &observe(&shuffled, &desired).await.unwrap()).unwrap();
        let shown = plans::render_everything(&plan);
        if shown != plans::plan_and_render(&desired, &env.world().await) {
            // A scheduled job has ended in between.
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
            env.desired().fly_machine,
            "keys in another order ask for other machines"
        );
        return Ok(plan);
    }
    Err(TestCaseError::fail("a plan never stays the same"))
}

/// Whether the generated manifest is rejected after all.
fn is_refused(manifest: &GeneratedManifest) -> bool {
    plans::load_manifest(manifest, 0).is_err()
}

/// Runs a scenario. It ends where a plan is blocked: the blocker is reported and nothing is
/// applied.
async fn run_scenario(scenario: ManifestScenario) -> Result<(), TestCaseError> {
    let ScenarioStep::Apply(first) = &scenario.steps[0] else {
        unreachable!("a story begins with an apply")
    };
    let faults = (scenario.loss_percent > 0).then(|| {
        format!("flaky:0.0{}", scenario.loss_percent)
            .parse()
            .unwrap()
    });
    let env = start_environment(first, faults.into_iter().collect()).await;
    let (mut names, mut flaky) = (Vec::new(), scenario.loss_percent > 0);
    for event in &scenario.steps {
        match event {
            ScenarioStep::Manual(request) => {
                manual_requests::send_manual_request(&env, &names, request).await;
            }
            ScenarioStep::Rollback => check_rollback(&env).await?,
            ScenarioStep::Apply(manifest) => {
                if is_refused(manifest) {
                    return Err(TestCaseError::reject("refused"));
                }
                rewrite_manifest(&env, manifest);
                names = scenario::fly_app_names(manifest);
                let plan = match flaky {
                    true => None,
                    false => Some(check_plan_is_deterministic(&env, manifest).await?),
                };
                if plan.as_ref().is_some_and(|plan| !plan.blocked.is_empty()) {
                    return Ok(());
                }
                let before = data_holders(&env.sandbox.state());
                apply_until_complete(&env, flaky).await?;
                if let Some(plan) = plan {
                    check_losses_are_named(&plan, &before, &data_holders(&env.sandbox.state()))?;
                }
                flaky = false;
                env.sandbox.set_faults(Vec::new());
                check_settled(&env).await?;
            }
        }
    }
    Ok(())
}

/// The ids of everything that holds data for good: apps and volumes.
fn data_holders(state: &Value) -> BTreeSet<String> {
    let apps = state["apps"].as_object().into_iter().flatten();
    apps.flat_map(|(_, app)| {
        let volumes = app["volumes"].as_object().into_iter().flatten();
        let living = volumes.filter(|(_, volume)| volume["state"] == "created");
        let app_id = app["id"].as_str().map(str::to_owned);
        living
            .map(|(id, _)| id.clone())
            .chain(app_id)
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Checks that whatever an apply has lost stands in its plan under its own address, and that the guard refuses each of these
/// addresses without its own permission.
fn check_losses_are_named(
    plan: &Plan,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), TestCaseError> {
    let deletions = plan
        .steps()
        .filter(|step| matches!(step.action, Action::Delete | Action::ReplaceDelete))
        .map(|step| (&step.identity, &step.address, step.data_loss));
    let cascades = plan
        .cascade_deletes
        .iter()
        .map(|deletion| (&deletion.identity, &deletion.address, deletion.data_loss));
    let named: Vec<_> = deletions.chain(cascades).collect();
    let refused: BTreeSet<String> = plan::refusals(plan, &plan::Limits::default())
        .into_iter()
        .filter_map(|refusal| Some(refusal.address?.to_string()))
        .collect();
    for lost in before.difference(after) {
        let Some((_, address, data_loss)) = named.iter().find(|(identity, _, _)| *identity == lost)
        else {
            return Err(TestCaseError::fail(format!(
                "{lost} is gone, and no plan named it"
            )));
        };
        prop_assert!(
            data_loss.is_some(),
            "{} loses nothing, says the plan",
            address
        );
        prop_assert!(
            refused.contains(&address.to_string()),
            "{} goes without its own permission",
            address
        );
    }
    Ok(())
}

/// Takes every app back. All machines of an app are then on one release, or the run says which are not.
async fn check_rollback(env: &TestEnv) -> Result<(), TestCaseError> {
    let apps: Vec<_> = env.desired().fly_app.keys().cloned().collect();
    for key in apps {
        let address = Address::new::<trimtab::kinds::fly::App>(&key);
        // An app may have no earlier release, or live objects that the manifest has no place for.
        let result = operations::roll_back(env, &address).await;
        let Ok((completion, held_back)) = result else {
            continue;
        };
        let world = env.world().await;
        let machines = resources_in_app(&world.fly_machine, &key);
        let images: BTreeSet<_> = machines
            .filter(|(_, machine)| machine.workload.ownership == Ownership::Ours)
            .filter(|(name, _)| {
                let address = Address::new::<trimtab::kinds::fly::Machine>(name);
                !held_back.contains(&address)
            })
            .map(|(_, machine)| machine.workload.config.image.clone())
            .collect();
        if completion == ops::Completion::Complete {
            prop_assert!(held_back.is_empty(), "complete, and {:?} stay", held_back);
            prop_assert!(
                images.len() <= 1,
                "{} runs {:?} after a rollback",
                key,
                images
            );
        }
    }
    Ok(())
}

/// Applies one manifest, another one, and the first one again.
async fn apply_and_revert(
    one: GeneratedManifest,
    other: GeneratedManifest,
) -> Result<(), TestCaseError> {
    if is_refused(&one) || is_refused(&other) {
        return Err(TestCaseError::reject("refused"));
    }
    let env = start_environment(&one, Vec::new()).await;
    apply_until_complete(&env, false).await?;
    env.expire_leases();
    let before = normalized_state::normalize(&env.sandbox.state());
    rewrite_manifest(&env, &other);
    let there = env.plan().await;
    if !there.blocked.is_empty() {
        return Ok(());
    }
    apply_until_complete(&env, false).await?;
    check_settled(&env).await?;
    rewrite_manifest(&env, &one);
    let back = env.plan().await;
    prop_assert_eq!(
        changed_addresses(&there, Action::Create),
        changed_addresses(&back, Action::Delete),
        "the way back removes what the way there made"
    );
    apply_until_complete(&env, false).await?;
    check_settled(&env).await?;
    env.expire_leases();
    normalized_state::compare(
        &without_unmanaged_leftovers(normalized_state::normalize(&env.sandbox.state())),
        &without_unmanaged_leftovers(before),
    )
    .map_err(TestCaseError::fail)
}

/// The addresses that a plan creates or deletes, of kinds with ownership marks: objects without
/// marks stay when the manifest no longer names them.
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

/// The normalized state without objects that stay although no manifest names them: unattached
/// volumes, addresses and certificates.
fn without_unmanaged_leftovers(mut state: Value) -> Value {
    for app in state["apps"].as_object_mut().unwrap().values_mut() {
        app["volumes"]
            .as_array_mut()
            .unwrap()
            .retain(|volume| !volume["holder"].is_null());
        for machine in app["machines"].as_array_mut().unwrap() {
            // Which machine was replaced, and for which release a command ran, depends on the
            // history.
            let metadata = machine["config"]["metadata"].as_object_mut().unwrap();
            metadata
                .retain(|key, _| !["trimtab_succeeds", "trimtab_released"].contains(&key.as_str()));
        }
        for kept in ["ips", "certificates", "secrets"] {
            app[kept] = Value::Null;
        }
    }
    sort_tags(&mut state["aws"]);
    state
}

/// Tags are a set, but are stored in the order in which they were set.
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

/// Two manifests that differ in some parts, as a scenario.
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

/// Removes settings whose default the platform or an earlier apply determines, such as the size, and names: renaming an app makes
/// a new one and keeps the old one.
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
                    "memory",
                    "cpus",
                    "cpu_kind",
                    "vm",
                    "persist_rootfs",
                    "managed_policies",
                    "network",
                    "encrypted",
                ];
                let disk = ["snapshot_retention", "scheduled_snapshots"];
                // A volume has a `size` as well, such as "2gb".
                let is_machine_size =
                    |size: &str| size.contains("cpu") || size.contains("performance");
                let is_removed = |key: &str, value: &Value| {
                    left.contains(&key)
                        || disk.contains(&key)
                        || key == "size" && value.as_str().is_some_and(is_machine_size)
                };
                table.retain(|key, value| !is_removed(key, value));
                if let Some(count) = table.get_mut("count") {
                    peopled(count);
                }
                table.values_mut().for_each(without);
            }
            Value::Array(list) => list.iter_mut().for_each(without),
            _ => {}
        }
    }
    /// An app without machines that leaves the manifest is not found again.
    fn peopled(count: &mut Value) {
        match count {
            Value::Object(regions) => regions.values_mut().for_each(peopled),
            number if *number == 0 => *number = 1.into(),
            _ => {}
        }
    }
    let mut document = manifest.0.clone();
    without(&mut document);
    consistency::make_consistent(document.as_object_mut().unwrap());
    GeneratedManifest(document)
}

proptest! {
    #![proptest_config(proptest_config(4))]

    #[test]
    fn any_scenario_converges(scenario in any_scenario(false, 5)) {
        block_on(run_scenario(scenario))?;
    }

    #[test]
    fn reverting_a_manifest_restores_the_state(scenario in edit_and_revert(false)) {
        let [ScenarioStep::Apply(one), ScenarioStep::Apply(other), _] = &scenario.steps[..] else { unreachable!("two manifests") };
        block_on(apply_and_revert(one.clone(), other.clone()))?;
    }
}

proptest! {
    #![proptest_config(proptest_config(1))]

    #[test]
    fn any_scenario_with_aws_converges(scenario in any_scenario(true, 3)) {
        block_on(run_scenario(scenario))?;
    }

    #[test]
    fn reverting_a_manifest_with_aws_restores_the_state(scenario in edit_and_revert(true)) {
        let [ScenarioStep::Apply(one), ScenarioStep::Apply(other), _] = &scenario.steps[..] else { unreachable!("two manifests") };
        block_on(apply_and_revert(one.clone(), other.clone()))?;
    }
}
