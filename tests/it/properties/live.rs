//! Properties of whole runs, against the sandbox.

use std::{collections::BTreeSet, future::Future};

use proptest::prelude::*;
use serde_json::Value;
use trimtab::{observe::observe, plan::{self, Action, Plan}};
use trimtab_sandbox::Fault;

use super::{
    CANARY,
    back::back,
    deeds, fit,
    generator::{self, Manifest},
    proxy, pure,
    story::{self, Event, Story, kept, story},
    text,
};
use crate::{
    matrix::census,
    support::{Team, summary, values},
};

/// How many runs may be needed where answers get lost.
const RUNS: usize = 20;
/// How often a plan is made until nothing happens by itself meanwhile.
const LOOKS: usize = 50;
/// Any order but the usual one.
const SEED: u64 = 7;

async fn team(manifest: &Manifest, faults: Vec<Fault>) -> Team {
    let dir = tempfile::tempdir().unwrap();
    pure::write(dir.path(), manifest, 0);
    let mut team = Team::at(dir, "test", values(), faults).await;
    // When the last machine of ours is destroyed and a stranger's stays, nobody can tell whose the app is.
    team.adopt = true;
    team
}

/// Writes the manifest anew.
fn rewrite(team: &Team, manifest: &Manifest) {
    pure::write(team.dir.path(), manifest, 0);
    let own = text::files(manifest, 0).pop().unwrap();
    team.write(&own.1);
}

/// Applies until a run is complete; faults may need a few.
async fn until_quiet(team: &Team, flaky: bool) -> Result<(), TestCaseError> {
    let mut last = String::new();
    for _ in 0..RUNS {
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
async fn settled(team: &Team) -> Result<(), TestCaseError> {
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
        .map(|machine| &machine.workload.metadata[trimtab::model::Mark::NAME])
        .collect();
    prop_assert_eq!(
        marks.len(),
        world.fly_machine.len(),
        "a slot is filled twice"
    );
    // What was run once is no object that anybody could ask for.
    world.fly_release.clear();
    let said = plan::plan(&back(&desired, &world), &world).unwrap();
    prop_assert_eq!(
        summary(&said),
        Vec::<String>::new(),
        "what is there, asked for, is a change"
    );
    Ok(())
}

/// A plan depends on nothing but the manifest and what is there: on no order of either.
async fn judged(team: &Team, manifest: &Manifest) -> Result<Plan, TestCaseError> {
    let url = proxy::shuffling(team.sandbox.url(), SEED).await;
    let (shuffled, desired) = (team.readers_at(url).await, team.pinned().await.unwrap());
    for _ in 0..LOOKS {
        let plan = plan::plan(&desired, &team.world().await).unwrap();
        let other = plan::plan(&desired, &observe(&shuffled, &desired).await.unwrap()).unwrap();
        let shown = pure::shown(&plan);
        if shown != pure::planned(&desired, &team.world().await) {
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
            &pure::shown(&other),
            "lists in another order are shown otherwise"
        );
        let reordered = pure::load(manifest, SEED).map_err(TestCaseError::fail)?;
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
fn is_refused(manifest: &Manifest) -> bool {
    pure::load(manifest, 0).is_err()
}

/// Plays a story. It ends where a plan is refused: what stands in the way is said, and nothing is done.
async fn told(story: Story) -> Result<(), TestCaseError> {
    let Event::Apply(first) = &story.events[0] else {
        unreachable!("a story begins with an apply")
    };
    let faults = (story.flaky > 0).then(|| format!("flaky:0.0{}", story.flaky).parse().unwrap());
    let team = team(first, faults.into_iter().collect()).await;
    let (mut names, mut flaky) = (Vec::new(), story.flaky > 0);
    for event in &story.events {
        match event {
            Event::ByHand(deed) => deeds::done(&team, &names, deed).await,
            Event::Apply(manifest) => {
                if is_refused(manifest) {
                    return Err(TestCaseError::reject("refused"));
                }
                rewrite(&team, manifest);
                names = story::apps(manifest);
                if !flaky && !judged(&team, manifest).await?.blocked.is_empty() {
                    return Ok(());
                }
                until_quiet(&team, flaky).await?;
                flaky = false;
                team.sandbox.set_faults(Vec::new());
                settled(&team).await?;
            }
        }
    }
    Ok(())
}

/// Goes from one manifest to another and back.
async fn there_and_back(one: Manifest, other: Manifest) -> Result<(), TestCaseError> {
    if is_refused(&one) || is_refused(&other) {
        return Err(TestCaseError::reject("refused"));
    }
    let team = team(&one, Vec::new()).await;
    until_quiet(&team, false).await?;
    team.outlive();
    let before = census::of(&team.sandbox.state());
    rewrite(&team, &other);
    let there = team.plan().await;
    if !there.blocked.is_empty() {
        return Ok(());
    }
    until_quiet(&team, false).await?;
    settled(&team).await?;
    rewrite(&team, &one);
    let back = team.plan().await;
    prop_assert_eq!(
        changed(&there, Action::Create),
        changed(&back, Action::Delete),
        "the way back removes what the way there made"
    );
    until_quiet(&team, false).await?;
    settled(&team).await?;
    team.outlive();
    census::same(
        &remembered(census::of(&team.sandbox.state())),
        &remembered(before),
    )
    .map_err(TestCaseError::fail)
}

/// What a plan makes, or removes, of that which bears marks: the rest stays where the manifest no longer names it.
fn changed(plan: &Plan, action: Action) -> BTreeSet<String> {
    let steps = plan
        .steps()
        .filter(|step| step.action == action)
        .map(|step| &step.address);
    let folded = plan
        .folded
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
fn remembered(mut census: Value) -> Value {
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

fn run(property: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(property)
}

/// Two manifests, of which the second differs in a part, as a story.
fn two(with_aws: bool) -> impl Strategy<Value = Story> {
    (
        generator::manifest(with_aws),
        generator::manifest(with_aws),
        any::<u64>(),
    )
        .prop_map(|(one, other, seed)| {
            let one = stated(&kept(&one));
            let other = stated(&kept(&generator::mixed(&one, &other, seed)));
            let events = [&one, &other, &one].map(|manifest| Event::Apply(manifest.clone()));
            Story {
                events: events.to_vec(),
                flaky: 0,
            }
        })
}

/// Without what the platform or an earlier apply decides where a manifest says nothing, and without names: an app that is
/// renamed is another, and the old one stays; and what `machine_config` alone can say stays as well.
fn stated(manifest: &Manifest) -> Manifest {
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
    fit::fit(whole.as_object_mut().unwrap());
    Manifest(whole)
}

proptest! {
    #![proptest_config(super::cases(12))]

    #[test]
    fn any_story_converges(story in story(false, 5)) {
        run(told(story))?;
    }

    #[test]
    fn the_way_there_and_back_leads_to_where_it_began(story in two(false)) {
        let [Event::Apply(one), Event::Apply(other), _] = &story.events[..] else { unreachable!("two manifests") };
        run(there_and_back(one.clone(), other.clone()))?;
    }
}

proptest! {
    #![proptest_config(super::cases(4))]

    #[test]
    fn any_story_on_two_clouds_converges(story in story(true, 3)) {
        run(told(story))?;
    }

    #[test]
    fn the_way_there_and_back_on_two_clouds(story in two(true)) {
        let [Event::Apply(one), Event::Apply(other), _] = &story.events[..] else { unreachable!("two manifests") };
        run(there_and_back(one.clone(), other.clone()))?;
    }
}
