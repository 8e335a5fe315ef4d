//! After a run that did not finish: what runs which version, the way on and the way back; and the way back itself where
//! the manifest asks for it.

use std::collections::BTreeSet;

use super::{Context, Failure, progress, session::Session};
use crate::{
    apply::{Outcome, Report, event::Ended},
    kinds::{Desired, World, fly::Machine},
    model::{Name, Named},
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
        if self.command != "apply" || !report.outcomes.iter().any(is_rollout) {
            return Ok(());
        }
        let rolled_out = report.outcomes.iter().filter(|ended| is_rollout(ended));
        let apps: BTreeSet<Name> = rolled_out
            .filter(|ended| matches!(ended.outcome, Outcome::Failed(_)))
            .map(|ended| ended.address.name().root())
            .filter(|app| self.desired.meta.rolls_back.contains(app))
            .collect();
        // Who has asked to stop wants nothing more to begin; without the lock, what is there may be another run's by now.
        let apps = if report.stopped || report.lost.is_some() {
            BTreeSet::new()
        } else {
            apps
        };
        let mut now = self.session.observe(self.context).await?;
        let mut changed = self.changed(then, &now);
        let taken_back = !apps.is_empty() && apps.iter().any(|app| changed.contains(app));
        if taken_back {
            let complete = self.take_back(then, &now, &apps).await?;
            now = self.session.observe(self.context).await?;
            changed = self.changed(then, &now);
            changed.retain(|app| !complete || !apps.contains(app));
        } else if !apps.is_empty() {
            self.context.ui.talk(
                "There is nothing to roll back to: nothing ran before, or nothing has changed.",
            );
        }
        if self.show.is_text() {
            let fleet = Fleet::of(self.desired, &now);
            // Old machines that are still there can take over again, whichever run it was that hid them.
            let hidden = now.fly_machine.iter().filter(|(_, live)| live.retired);
            changed.extend(hidden.map(|(name, _)| name.root()));
            let versions = render::text::versions(&fleet, &self.context.ui.look());
            let headline = self.session.headline(self.command);
            let ways = self.ways(&headline.again, &changed);
            self.context
                .ui
                .data(&format!("\nWhat runs now:\n{versions}\n{ways}"))?;
            if taken_back {
                self.context.ui.talk(super::rollback::STILL_ASKED);
            }
        }
        Ok(())
    }

    /// The apps in which machines are other than they were.
    fn changed(&self, then: &World, now: &World) -> BTreeSet<Name> {
        let all = self.desired.fly_app.keys().cloned().collect();
        let before = Before::between(self.desired, then, now, &all);
        before
            .machines
            .keys()
            .chain(before.crons.keys())
            .map(Name::root)
            .collect()
    }

    /// The commands to go on, and to go back where there is something to go back to.
    fn ways(&self, again: &str, changed: &BTreeSet<Name>) -> String {
        let only: String = match self.desired.fly_app.len() {
            1 => String::new(),
            _ => changed
                .iter()
                .map(|app| format!(" --only fly.app/{app}"))
                .collect(),
        };
        let back = match changed.is_empty() {
            true => String::new(),
            false => format!("\nGo back:  trimtab rollback {again}{only}"),
        };
        format!("Go on:    trimtab apply {again}{back}\nLook:     trimtab status {again}")
    }

    /// Plans and carries out the way back, for the machines that changed.
    /// Says whether all of it is done.
    async fn take_back(
        &self,
        then: &World,
        now: &World,
        apps: &BTreeSet<Name>,
    ) -> Result<bool, Failure> {
        let before = Before::between(self.desired, then, now, apps);
        let (mut plan, world) = go_back(self.desired, now, &before)?;
        // What somebody else holds elsewhere is in nobody's way here.
        plan.blocked
            .retain(|blocked| apps.contains(&blocked.address.name().root()));
        if plan.is_empty() {
            return Ok(true);
        }
        let all = plan.steps().map(|step| step.address.clone()).collect();
        let limits = Limits {
            allow_destroy: all,
            everything: true,
            max_destroy: 100,
        };
        let names: Vec<&str> = apps.iter().map(Name::as_str).collect();
        let said = format!(
            "Rolling back {}: {}. Secrets, and what a release command did, do not go back.",
            names.join(", "),
            steps(&plan)
        );
        self.show.say(self.context, "rollback", &said)?;
        let approved = guard(plan, &limits)?;
        let work = progress::Work {
            session: self.session,
            approved: &approved,
            world,
            command: "rollback",
        };
        // The time that was given was for the way there.
        let report = progress::watch(self.context, &self.show.without_deadline(), work).await;
        if self.show.is_text() {
            self.context
                .ui
                .data(&render::text::rolled_back(&report, &self.context.ui.look()))?;
        }
        Ok(report.is_complete())
    }
}

/// What a way back does, in a few words.
fn steps(plan: &Plan) -> String {
    let changes = plan.changes();
    let count = |verb: fn(Verb) -> bool| changes.iter().filter(|change| verb(change.verb)).count();
    let (updated, removed) = (
        count(|verb| matches!(verb, Verb::Restart | Verb::Update)),
        count(|verb| verb == Verb::Destroy),
    );
    let handed = plan.steps().filter(|step| step.action == Action::HandOver);
    let groups: Vec<&str> = handed.map(|step| step.address.name().as_str()).collect();
    let parts = [
        (!groups.is_empty())
            .then(|| format!("the old machines of {} take over again", groups.join(", "))),
        (updated > 0).then(|| format!("{updated} become what they were before")),
        (removed > 0).then(|| format!("{removed} that were new are removed")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Whether a step is a part of what is rolled out, or its proof. That a cron machine or an address could not be changed says
/// nothing against a version.
fn is_rollout(ended: &Ended) -> bool {
    let gone = matches!(ended.action, Action::Retire | Action::Delete);
    ended.action == Action::Prove || ended.address.kind() == <Machine as Named>::NAME && !gone
}
