//! After a run that did not finish: what runs which version, the way on and the way back; and the way back itself where
//! the manifest asks for it.

use std::collections::BTreeSet;

use super::{CommandContext, CommandError, progress, session::Session};
use crate::{
    apply::{ApplyReport, Outcome, event::StepReport},
    kinds::{Desired, World, fly::Machine},
    model::{KindName, Name},
    plan::{Action, Limits, Plan, PreviousStates, Verb, guard, plan_rollback},
    render,
    status::EnvironmentStatus,
};

/// What the run that failed worked with.
pub(super) struct Recovery<'a> {
    pub(super) context: &'a CommandContext<'a>,
    pub(super) session: &'a Session,
    pub(super) desired: &'a Desired,
    pub(super) show: &'a progress::ProgressArgs,
    pub(super) command: &'static str,
}

impl Recovery<'_> {
    /// Takes back what the manifest wants taken back, and says what runs now and what can be done.
    pub(super) async fn run(&self, report: &ApplyReport, then: &World) -> Result<(), CommandError> {
        if self.command != "apply" || !report.outcomes.iter().any(is_rollout_step) {
            return Ok(());
        }
        let rolled_out = report
            .outcomes
            .iter()
            .filter(|ended| is_rollout_step(ended));
        let apps: BTreeSet<Name> = rolled_out
            .filter(|ended| matches!(ended.outcome, Outcome::Failed(_)))
            .map(|ended| ended.address.name().root())
            .filter(|app| self.desired.meta.rollback_on_failure.contains(app))
            .collect();
        // Who has asked to stop wants nothing more to begin; without the lock, what is there may be another run's by now.
        let apps = if report.stopped || report.lost.is_some() {
            BTreeSet::new()
        } else {
            apps
        };
        let mut now = self.session.observe(self.context).await?;
        let mut changed = self.changed_apps(then, &now);
        let taken_back = !apps.is_empty() && apps.iter().any(|app| changed.contains(app));
        if taken_back {
            let complete = self.roll_back(then, &now, &apps).await?;
            now = self.session.observe(self.context).await?;
            changed = self.changed_apps(then, &now);
            changed.retain(|app| !complete || !apps.contains(app));
        } else if !apps.is_empty() {
            self.context.ui.eprint(
                "There is nothing to roll back to: nothing ran before, or nothing has changed.",
            );
        }
        if self.show.is_text() {
            let fleet = EnvironmentStatus::from_world(self.desired, &now);
            // Old machines that are still there can take over again, whichever run it was that hid them.
            let hidden = now.fly_machine.iter().filter(|(_, live)| live.retired);
            changed.extend(hidden.map(|(name, _)| name.root()));
            let versions = render::text::versions(&fleet, &self.context.ui.stdout_options());
            let headline = self.session.headline(self.command);
            let ways = self.next_commands(&headline.target_args, &changed);
            self.context
                .ui
                .print(&format!("\nWhat runs now:\n{versions}\n{ways}"))?;
            if taken_back {
                self.context
                    .ui
                    .eprint(super::rollback::MANIFEST_UNCHANGED_NOTE);
            }
        }
        Ok(())
    }

    /// The apps in which machines are other than they were.
    fn changed_apps(&self, then: &World, now: &World) -> BTreeSet<Name> {
        let all = self.desired.fly_app.keys().cloned().collect();
        let before = PreviousStates::from_worlds(self.desired, then, now, &all);
        before
            .machines
            .keys()
            .chain(before.crons.keys())
            .map(Name::root)
            .collect()
    }

    /// The commands to go on, and to go back where there is something to go back to.
    fn next_commands(&self, again: &str, changed: &BTreeSet<Name>) -> String {
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
    async fn roll_back(
        &self,
        then: &World,
        now: &World,
        apps: &BTreeSet<Name>,
    ) -> Result<bool, CommandError> {
        let before = PreviousStates::from_worlds(self.desired, then, now, apps);
        let (mut plan, world) = plan_rollback(self.desired, now, &before)?;
        // What somebody else holds elsewhere is in nobody's way here.
        plan.blocked
            .retain(|blocked| apps.contains(&blocked.address.name().root()));
        if plan.is_empty() {
            return Ok(true);
        }
        let all = plan.steps().map(|step| step.address.clone()).collect();
        let limits = Limits {
            allow_destroy: all,
            destroy_all: true,
            max_destroy: 100,
        };
        let names: Vec<&str> = apps.iter().map(Name::as_str).collect();
        let said = format!(
            "Rolling back {}: {}. Secrets, and what a release command did, do not go back.",
            names.join(", "),
            describe_rollback(&plan)
        );
        self.show.print_message(self.context, "rollback", &said)?;
        let approved = guard(plan, &limits)?;
        let work = progress::ApplyJob {
            session: self.session,
            approved: &approved,
            world,
            command: "rollback",
        };
        // The time that was given was for the way there.
        let report =
            progress::apply_with_progress(self.context, &self.show.without_deadline(), work).await;
        if self.show.is_text() {
            self.context.ui.print(&render::text::rollback_report(
                &report,
                &self.context.ui.stdout_options(),
            ))?;
        }
        Ok(report.is_complete())
    }
}

/// What a way back does, in a few words.
fn describe_rollback(plan: &Plan) -> String {
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
fn is_rollout_step(ended: &StepReport) -> bool {
    let gone = matches!(ended.action, Action::Retire | Action::Delete);
    ended.action == Action::Prove || ended.address.kind() == <Machine as KindName>::NAME && !gone
}
