//! The order of a rollout without any cloud: an arbitrary fleet as it may be found, the plan of its second release, and
//! the queue with steps that end in an arbitrary order.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use trimtab::{
    apply::StepQueue,
    clouds::fly::wire,
    kinds::{
        Desired, Impact, World,
        fly::{
            app::AppLive,
            machine::{MachineLive, MachineSpec},
            workload::WorkloadLive,
        },
    },
    manifest,
    model::{Name, OwnershipMark},
    plan::{Action, EdgeReason, Plan, Step, plan},
};

use super::{
    fleet::{FleetSpec, GROUPS, ReleaseChange, RolloutStyle, any_fleet, any_release_change},
    proptest_config,
};
use crate::support::inputs_with;

/// How a machine of the first release is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InitialState {
    Running,
    Asleep,
    /// It was started, and nobody saw it succeed.
    Unconfirmed,
    Cordoned,
    Missing,
}

fn initial_state() -> impl Strategy<Value = InitialState> {
    use InitialState::{Asleep, Cordoned, Missing, Running, Unconfirmed};
    select(vec![
        Running,
        Running,
        Running,
        Running,
        Asleep,
        Unconfirmed,
        Cordoned,
        Missing,
    ])
}

fn load_fleet(fleet: &FleetSpec) -> Desired {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), fleet.manifest()).unwrap();
    let inputs = inputs_with(&[("SECRET_KEY", fleet.secret)]);
    manifest::load(dir.path(), "test", &inputs)
        .unwrap_or_else(|_| panic!("{}", fleet.manifest()))
        .desired
}

/// A machine as the first release made it.
fn live_machine(name: &Name, spec: &MachineSpec, found: InitialState) -> MachineLive {
    let mut config = spec.workload.create_body();
    let mut labels = spec.workload.base_metadata();
    labels.extend(
        (found == InitialState::Unconfirmed)
            .then(|| (OwnershipMark::STARTING_KEY.to_owned(), "true".to_owned())),
    );
    config["metadata"] = json!(labels);
    let asleep = found == InitialState::Asleep || spec.workload.standby_for.is_some();
    let machine = json!({
        "id": name.as_str().replace('/', ""),
        "name": "any",
        "state": if asleep { "stopped" } else { "started" },
        "region": spec.workload.region.as_str(),
        "instance_id": "1",
        "created_at": "2026-01-01T00:00:00Z",
        "cordoned": found == InitialState::Cordoned,
        "config": config,
    });
    let machine: wire::MachineResponse = serde_json::from_value(machine).unwrap();
    let workload =
        WorkloadLive::from_wire(&spec.workload.app, &machine, &spec.workload.mark).unwrap();
    MachineLive {
        workload,
        volume: None,
        successor: None,
        retired: false,
    }
}

fn world_with(desired: &Desired, found: &[InitialState]) -> World {
    let mut world = World::default();
    for (name, spec) in &desired.fly_app {
        let labels = vec![spec.mark.app_label()];
        let (name_there, org) = (spec.name.clone(), spec.org.clone());
        let app = AppLive {
            name: name_there,
            id: "app".into(),
            org,
            network: "default".into(),
            labels,
        };
        world.fly_app.insert(name.clone(), app);
    }
    let machines = desired.fly_machine.iter().zip(found.iter().cycle());
    for ((name, spec), found) in machines.filter(|(_, found)| **found != InitialState::Missing) {
        world
            .fly_machine
            .insert(name.clone(), live_machine(name, spec, *found));
    }
    world
}

/// The process group that a machine's step belongs to; `None` for everything else.
fn machine_group(step: &Step) -> Option<&str> {
    (step.address.kind() == "fly.machine")
        .then(|| step.address.name().segments().nth(1))
        .flatten()
}

/// Whether a step makes a machine of its group unavailable, or may find it so.
fn is_disruptive(step: &Step) -> bool {
    let confirms = step.lines.iter().any(|line| line.path == "start");
    match step.action {
        Action::Update => step.impact == Impact::Restart || confirms,
        Action::ReplaceDelete | Action::ReplaceCreate => true,
        _ => false,
    }
}

/// One run of the queue.
struct QueueRun<'p> {
    plan: &'p Plan,
    running: Vec<NodeIndex>,
    begun: BTreeSet<NodeIndex>,
    done: BTreeSet<NodeIndex>,
}

impl QueueRun<'_> {
    fn steps(&self, within: &str, action: impl Fn(&Step) -> bool) -> Vec<NodeIndex> {
        let nodes = self.plan.graph().node_indices();
        let fits = |step: &Step| machine_group(step) == Some(within) && action(step);
        nodes.filter(|node| fits(self.plan.step(*node))).collect()
    }

    fn are_done(&self, within: &str, action: impl Fn(&Step) -> bool) -> bool {
        self.steps(within, action)
            .iter()
            .all(|node| self.done.contains(node))
    }

    /// The machines of a group whose turn has begun and has not ended.
    fn machines_in_turn(&self, within: &str) -> BTreeSet<&Name> {
        let mut turns: BTreeMap<&Name, Vec<NodeIndex>> = BTreeMap::new();
        for node in self.steps(within, is_disruptive) {
            turns
                .entry(self.plan.step(node).address.name())
                .or_default()
                .push(node);
        }
        let open = |steps: &Vec<NodeIndex>| {
            steps.iter().any(|step| self.begun.contains(step))
                && !steps.iter().all(|step| self.done.contains(step))
        };
        turns
            .into_iter()
            .filter(|(_, steps)| open(steps))
            .map(|(name, _)| name)
            .collect()
    }

    /// What must be so when a step begins.
    fn assert_may_start(&self, node: NodeIndex, fleet: &FleetSpec) {
        let step = self.plan.step(node);
        let Some(within) = machine_group(step) else {
            return self.assert_cron_is_last(step);
        };
        let at = GROUPS.iter().position(|group| *group == within).unwrap();
        let told = || format!("{:?} {} in {fleet:?}", step.action, step.address);
        let allowed = fleet.max_unavailable_of(&fleet.groups[at]);
        if is_disruptive(step) {
            let turns = self.machines_in_turn(within);
            assert!(
                allowed.is_none_or(|allowed| turns.len() <= allowed),
                "{turns:?}: {}",
                told()
            );
            let ended = self
                .steps(within, is_disruptive)
                .into_iter()
                .any(|node| self.done.contains(&node));
            let first = turns.len() == 1;
            assert!(
                fleet.strategy != RolloutStyle::Canary || first || ended,
                "{turns:?}: {}",
                told()
            );
        }
        let hands_over = !self
            .steps(within, |step| step.action == Action::HandOver)
            .is_empty();
        let handed_over = self.are_done(within, |step| step.action == Action::HandOver);
        match step.action {
            Action::HandOver => {
                assert!(
                    self.are_done(within, |step| step.action == Action::Succeed),
                    "{}",
                    told()
                );
            }
            Action::Retire => assert!(hands_over && handed_over, "{}", told()),
            Action::Create => assert!(handed_over, "{}", told()),
            Action::Delete => {
                assert!(handed_over, "{}", told());
                assert!(self.are_done(within, is_disruptive), "{}", told());
                assert!(
                    self.are_done(within, |step| step.action == Action::Create),
                    "{}",
                    told()
                );
            }
            Action::Update if step.lines.iter().any(|line| line.path == "cordoned") => {
                assert!(handed_over, "{}", told());
            }
            Action::Update
                if step.impact == Impact::Asleep && fleet.strategy != RolloutStyle::Immediate =>
            {
                // A standby that runs in another's stead waits for that one, which may sleep.
                let leads = |step: &Step| {
                    is_disruptive(step) && !step.address.name().as_str().ends_with("/standby")
                };
                assert!(self.are_done(within, leads), "{}", told());
            }
            _ => {}
        }
    }

    /// Cron machines come when every machine is as it shall be.
    fn assert_cron_is_last(&self, step: &Step) {
        if step.address.kind() == "fly.cron" {
            let goes = |step: &Step| matches!(step.action, Action::Delete | Action::Retire);
            let all = GROUPS
                .iter()
                .all(|group| self.are_done(group, |step| !goes(step)));
            assert!(all, "{} begins too soon", step.address);
        }
    }
}

/// So many edges, and no more: one for each thing that a step refers to, one for each turn, and one for each pair where
/// several wait for several.
fn assert_edge_count_is_bounded(plan: &Plan) {
    let graph = plan.graph();
    let count = |within: &str, fits: &dyn Fn(&Step) -> bool| {
        graph
            .node_weights()
            .filter(|step| machine_group(step) == Some(within) && fits(step))
            .count()
    };
    let mut most = graph.node_count() * 6;
    for within in GROUPS {
        let goes = count(within, &|step| {
            matches!(step.action, Action::Delete | Action::Retire)
        });
        let waits = goes + count(within, &|step| step.impact == Impact::Asleep);
        most += waits * (count(within, &|_| true) - goes);
    }
    assert!(
        graph.edge_count() <= most,
        "{} edges, {most} expected",
        graph.edge_count()
    );
    // A turn has one before it, and the canary, whatever the size of its group; what goes and what sleeps has several.
    for node in graph
        .node_indices()
        .filter(|node| is_disruptive(plan.step(*node)))
    {
        let before = graph.edges_directed(node, petgraph::Direction::Incoming);
        let turns = before
            .filter(|edge| matches!(edge.weight(), EdgeReason::InTurn | EdgeReason::Healthy))
            .count();
        assert!(
            turns <= 2,
            "{} waits for {turns} turns",
            plan.step(node).address
        );
    }
}

fn run_queue(fleet: &FleetSpec, change: &ReleaseChange, found: &[InitialState], picks: &[usize]) {
    let next = fleet.with_change(change);
    let plan = plan(&load_fleet(&next), &world_with(&load_fleet(fleet), found)).unwrap();
    assert_edge_count_is_bounded(&plan);
    let mut queue = StepQueue::new(plan.graph());
    let (running, begun, done) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut walk = QueueRun {
        plan: &plan,
        running,
        begun,
        done,
    };
    for pick in picks.iter().cycle() {
        while let Some(node) = queue.take_ready() {
            walk.begun.insert(node);
            walk.assert_may_start(node, &next);
            walk.running.push(node);
        }
        if walk.running.is_empty() {
            break;
        }
        let node = walk.running.swap_remove(pick % walk.running.len());
        walk.done.insert(node);
        queue.complete(node);
    }
    assert_eq!(
        walk.done.len(),
        plan.graph().node_count(),
        "something waits for ever"
    );
}

proptest! {
    #![proptest_config(proptest_config(96))]

    #[test]
    fn steps_start_only_when_allowed(
        fleet in any_fleet(),
        change in any_release_change(),
        found in vec(initial_state(), 1..20),
        picks in vec(0..64usize, 1..40),
    ) {
        run_queue(&fleet, &change, &found, &picks);
    }
}
