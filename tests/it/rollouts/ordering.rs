//! The order of the steps of a rollout, without any cloud: a random fleet in a random initial
//! state, the plan of its second release, and the step queue, whose steps finish in random order.

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

use super::fleet::{FleetSpec, GROUPS, ReleaseChange, RolloutStyle, any_fleet, any_release_change};
use crate::support::{inputs_with, proptest_config};

/// The initial state of a machine of the first release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InitialState {
    Running,
    Asleep,
    /// It was started, but no run has confirmed that it became healthy.
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

/// A live machine as the first release created it.
fn live_machine(name: &Name, spec: &MachineSpec, states: InitialState) -> MachineLive {
    let mut config = spec.workload.create_body();
    let mut labels = spec.workload.base_metadata();
    labels.extend(
        (states == InitialState::Unconfirmed)
            .then(|| (OwnershipMark::STARTING_KEY.to_owned(), "true".to_owned())),
    );
    config["metadata"] = json!(labels);
    let asleep = states == InitialState::Asleep || spec.workload.standby_for.is_some();
    let machine = json!({
        "id": name.as_str().replace('/', ""),
        "name": "any",
        "state": if asleep { "stopped" } else { "started" },
        "region": spec.workload.region.as_str(),
        "instance_id": "1",
        "created_at": "2026-01-01T00:00:00Z",
        "cordoned": states == InitialState::Cordoned,
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

fn world_with(desired: &Desired, states: &[InitialState]) -> World {
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
    let machines = desired.fly_machine.iter().zip(states.iter().cycle());
    for ((name, spec), states) in machines.filter(|(_, states)| **states != InitialState::Missing) {
        world
            .fly_machine
            .insert(name.clone(), live_machine(name, spec, *states));
    }
    world
}

/// The process group of a machine's step; `None` for other steps.
fn machine_group(step: &Step) -> Option<&str> {
    (step.address.kind() == "fly.machine")
        .then(|| step.address.name().segments().nth(1))
        .flatten()
}

/// Whether a step makes a machine unavailable, or works on one that may be.
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
    started: BTreeSet<NodeIndex>,
    done: BTreeSet<NodeIndex>,
}

impl QueueRun<'_> {
    fn steps(&self, group: &str, action: impl Fn(&Step) -> bool) -> Vec<NodeIndex> {
        let nodes = self.plan.graph().node_indices();
        let matches = |step: &Step| machine_group(step) == Some(group) && action(step);
        nodes
            .filter(|node| matches(self.plan.step(*node)))
            .collect()
    }

    fn are_done(&self, group: &str, action: impl Fn(&Step) -> bool) -> bool {
        self.steps(group, action)
            .iter()
            .all(|node| self.done.contains(node))
    }

    /// The machines of a group with a disruptive step that has started and another that has not
    /// finished.
    fn machines_in_turn(&self, group: &str) -> BTreeSet<&Name> {
        let mut turns: BTreeMap<&Name, Vec<NodeIndex>> = BTreeMap::new();
        for node in self.steps(group, is_disruptive) {
            turns
                .entry(self.plan.step(node).address.name())
                .or_default()
                .push(node);
        }
        let open = |steps: &Vec<NodeIndex>| {
            steps.iter().any(|step| self.started.contains(step))
                && !steps.iter().all(|step| self.done.contains(step))
        };
        turns
            .into_iter()
            .filter(|(_, steps)| open(steps))
            .map(|(name, _)| name)
            .collect()
    }

    /// Asserts that a step may start now.
    fn assert_may_start(&self, node: NodeIndex, fleet: &FleetSpec) {
        let step = self.plan.step(node);
        let Some(group) = machine_group(step) else {
            return self.assert_cron_is_last(step);
        };
        let at = GROUPS.iter().position(|name| *name == group).unwrap();
        let describe = || format!("{:?} {} in {fleet:?}", step.action, step.address);
        let allowed = fleet.max_unavailable_of(&fleet.groups[at]);
        if is_disruptive(step) {
            let turns = self.machines_in_turn(group);
            assert!(
                allowed.is_none_or(|allowed| turns.len() <= allowed),
                "{turns:?}: {}",
                describe()
            );
            let ended = self
                .steps(group, is_disruptive)
                .into_iter()
                .any(|node| self.done.contains(&node));
            let first = turns.len() == 1;
            assert!(
                fleet.strategy != RolloutStyle::Canary || first || ended,
                "{turns:?}: {}",
                describe()
            );
        }
        let hands_over = !self
            .steps(group, |step| step.action == Action::HandOver)
            .is_empty();
        let handed_over = self.are_done(group, |step| step.action == Action::HandOver);
        match step.action {
            Action::HandOver => {
                assert!(
                    self.are_done(group, |step| step.action == Action::CreateSuccessor),
                    "{}",
                    describe()
                );
            }
            Action::Retire => assert!(hands_over && handed_over, "{}", describe()),
            Action::Create => assert!(handed_over, "{}", describe()),
            Action::Delete => {
                assert!(handed_over, "{}", describe());
                assert!(self.are_done(group, is_disruptive), "{}", describe());
                assert!(
                    self.are_done(group, |step| step.action == Action::Create),
                    "{}",
                    describe()
                );
            }
            Action::Update if step.lines.iter().any(|line| line.path == "cordoned") => {
                assert!(handed_over, "{}", describe());
            }
            Action::Update
                if step.impact == Impact::Asleep && fleet.strategy != RolloutStyle::Immediate =>
            {
                // A standby that runs in place of another machine waits for that machine, which may
                // be stopped.
                let is_leader = |step: &Step| {
                    is_disruptive(step) && !step.address.name().as_str().ends_with("/standby")
                };
                assert!(self.are_done(group, is_leader), "{}", describe());
            }
            _ => {}
        }
    }

    /// Cron machines are updated after all other machines.
    fn assert_cron_is_last(&self, step: &Step) {
        if step.address.kind() == "fly.cron" {
            let is_removal = |step: &Step| matches!(step.action, Action::Delete | Action::Retire);
            let all = GROUPS
                .iter()
                .all(|group| self.are_done(group, |step| !is_removal(step)));
            assert!(all, "{} begins too soon", step.address);
        }
    }
}

/// Asserts that a plan has no more edges than necessary: some for the references of each step, one
/// for each turn, and one for each pair where several steps wait for several others.
fn assert_edge_count_is_bounded(plan: &Plan) {
    let graph = plan.graph();
    let count = |group: &str, matches: &dyn Fn(&Step) -> bool| {
        graph
            .node_weights()
            .filter(|step| machine_group(step) == Some(group) && matches(step))
            .count()
    };
    let mut most = graph.node_count() * 6;
    for group in GROUPS {
        let is_removal = count(group, &|step| {
            matches!(step.action, Action::Delete | Action::Retire)
        });
        let waits = is_removal + count(group, &|step| step.impact == Impact::Asleep);
        most += waits * (count(group, &|_| true) - is_removal);
    }
    assert!(
        graph.edge_count() <= most,
        "{} edges, {most} expected",
        graph.edge_count()
    );
    // A disruptive step waits for one before it, and for the canary, whatever the size of the
    // group. Deletions and stopped machines may wait for several.
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

fn run_queue(fleet: &FleetSpec, change: &ReleaseChange, states: &[InitialState], picks: &[usize]) {
    let next = fleet.with_change(change);
    let plan = plan(&load_fleet(&next), &world_with(&load_fleet(fleet), states)).unwrap();
    assert_edge_count_is_bounded(&plan);
    let mut queue = StepQueue::new(plan.graph());
    let (running, started, done) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut run = QueueRun {
        plan: &plan,
        running,
        started,
        done,
    };
    for pick in picks.iter().cycle() {
        while let Some(node) = queue.take_ready() {
            run.started.insert(node);
            run.assert_may_start(node, &next);
            run.running.push(node);
        }
        if run.running.is_empty() {
            break;
        }
        let node = run.running.swap_remove(pick % run.running.len());
        run.done.insert(node);
        queue.complete(node);
    }
    assert_eq!(
        run.done.len(),
        plan.graph().node_count(),
        "something waits for ever"
    );
}

proptest! {
    #![proptest_config(proptest_config(32))]

    #[test]
    fn steps_start_only_when_allowed(
        fleet in any_fleet(),
        change in any_release_change(),
        states in vec(initial_state(), 1..20),
        picks in vec(0..64usize, 1..40),
    ) {
        run_queue(&fleet, &change, &states, &picks);
    }
}
