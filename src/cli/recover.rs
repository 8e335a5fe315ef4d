//! After a run that did not finish: what runs which version, the way on and the way back; and the way back itself where
//! the manifest asks for it.

use std::collections::BTreeSet;

use super::{Context, Failure, progress, session::Session};
use crate::{
    apply::{Outcome, Report},
    kinds::{Desired, World},
    model::Name,
    plan::{Action, Before, Limits, Plan, Verb, go_back, guard},
    render::{self, fleet::Fleet},
};

/// What the run that failed worked with.
pub(super) struct Recovery<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) session: &'a Session,
    pub(super) desired: &'a Desired,
    pub(super) show: &'a progress::Show,
    pub(super) command: &'static str,
}

impl Recovery<'_> {
    /// Takes back what the manifest wants taken back, and says what runs now and what can be done.
    pub(super) async fn after(&self, report: &Report, then: &World) -> Result<(), Failure> {
        let machines = |ended: &crate::apply::event::Ended| ended.address.kind() == "fly.machine";
        if self.command != "apply" || !report.outcomes.iter().any(machines) {
            return Ok(());
        }
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        let apps: BTreeSet<Name> = report
            .outcomes
            .iter()
            .filter(|ended| failed(&ended.outcome))
            .map(|ended| ended.address.name().root())
            .filter(|app| self.desired.meta.rolls_back.contains(app))
            .collect();
        let mut now = self.session.observe(self.context).await?;
        let mut changed = !Before::between(self.desired, then, &now, &all_apps(self.desired)).is_empty();
        let taken_back = changed && !apps.is_empty();
        if !apps.is_empty() {
            self.take_back(then, &now, &apps).await?;
            now = self.session.observe(self.context).await?;
            changed = !Before::between(self.desired, then, &now, &all_apps(self.desired)).is_empty();
        }
        if self.show.is_text() {
            let fleet = Fleet::of(self.desired, &now);
            // Old machines that are still there can take over again, whichever run it was that hid them.
            let back = changed || fleet.machines().any(|machine| machine.retired);
            let versions = render::text::versions(&fleet, &self.context.ui.look());
            let headline = self.session.headline(self.command);
            let ways = ways(&headline.again, back);
            self.context.ui.data(&format!("\nWhat runs now:\n{versions}\n{ways}"))?;
            if taken_back {
                self.context.ui.talk(super::rollback::STILL_ASKED);
            }
        }
        Ok(())
    }

    /// Plans and carries out the way back, for the machines that changed.
    async fn take_back(&self, then: &World, now: &World, apps: &BTreeSet<Name>) -> Result<(), Failure> {
        let before = Before::between(self.desired, then, now, apps);
        if before.is_empty() {
            return Ok(());
        }
        let (plan, world) = go_back(self.desired, now, &before)?;
        let all = plan.steps().map(|step| step.address.clone()).collect();
        let limits = Limits { allow_destroy: all, everything: true, max_destroy: 100 };
        let names: Vec<&str> = apps.iter().map(Name::as_str).collect();
        let said = format!(
            "Rolling back {}: {}. Secrets, and what a release command did, do not go back.",
            names.join(", "),
            steps(&plan)
        );
        self.show.say(self.context, "rollback", &said)?;
        let approved = guard(plan, &limits)?;
        let work = progress::Work { session: self.session, approved: &approved, world, command: "rollback" };
        let report = progress::watch(self.context, self.show, work).await;
        if self.show.is_text() {
            self.context.ui.data(&render::text::rolled_back(&report, &self.context.ui.look()))?;
        }
        Ok(())
    }
}

/// What a way back does, in a few words.
fn steps(plan: &Plan) -> String {
    let changes = plan.changes();
    let count = |verb: fn(Verb) -> bool| changes.iter().filter(|change| verb(change.verb)).count();
    let (updated, removed) =
        (count(|verb| matches!(verb, Verb::Restart | Verb::Update)), count(|verb| verb == Verb::Destroy));
    let handed = plan.steps().filter(|step| step.action == Action::HandOver);
    let groups: Vec<&str> = handed.map(|step| step.address.name().as_str()).collect();
    match (updated, removed) {
        (0, 0) => format!("the old machines of {} take over again", groups.join(", ")),
        (updated, 0) => format!("{updated} to what they were before"),
        (0, removed) => format!("{removed} that were new are removed"),
        (updated, removed) => {
            format!("{updated} to what they were before, {removed} that were new are removed")
        }
    }
}

fn all_apps(desired: &Desired) -> BTreeSet<Name> {
    desired.fly_app.keys().cloned().collect()
}

/// The commands to go on, and to go back where there is something to go back to.
fn ways(again: &str, back: bool) -> String {
    let back = if back { format!("\nGo back:  trimtab rollback {again}") } else { String::new() };
    format!("Go on:    trimtab apply {again}{back}\nLook:     trimtab status {again}")
}
