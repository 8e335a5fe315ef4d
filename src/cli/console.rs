//! The frontend of operations on the command line: what each event prints, and how the user confirms.

use std::{collections::BTreeSet, path::Path};

use super::{
    CommandContext, CommandError,
    apply_summary::ApplyRecorder,
    confirm::Confirmation,
    exit,
    progress::{self, ProgressArgs},
    session::Session,
    ui::Spinner,
};
use crate::{
    apply::ApplyReport,
    model::Address,
    ops::{ApplyJob, Event, Frontend},
    plan::{Action, DeferredChange, Plan, PlanId, Refusal, Verb},
    render,
    status::EnvironmentStatus,
};

/// Printed before a rollback is confirmed.
const NOT_ROLLED_BACK_NOTE: &str =
    "Secrets keep their current values, and the effects of a release command remain.";

/// Printed after a rollback.
const MANIFEST_UNCHANGED_NOTE: &str =
    "The manifest still asks for the newer version: change it before the next apply.";

/// The command line as the frontend of an operation.
pub(super) struct Console<'a> {
    pub(super) context: &'a CommandContext<'a>,
    pub(super) session: &'a Session,
    pub(super) progress: &'a ProgressArgs,
    pub(super) command: &'static str,
    pub(super) confirmation: Confirmation,
    /// What may be destroyed, as it was given.
    pub(super) allow_destroy: &'a [Address],
    /// What happens is recorded here, for a summary.
    pub(super) recorder: &'a ApplyRecorder,
    /// The file with the plan that was reviewed, and its id.
    pub(super) reviewed: Option<(&'a Path, &'a PlanId)>,
}

impl Frontend for Console<'_> {
    type Error = CommandError;
    type Busy = Option<Spinner>;

    fn observing(&self) -> Self::Busy {
        self.session.start_spinner(self.context)
    }

    fn show_plan(&self, plan: &Plan, refusals: &[Refusal]) -> Result<(), CommandError> {
        if self.progress.is_text() {
            let (headline, options) = (
                self.session.headline(self.command),
                self.context.ui.stdout_options(),
            );
            let seen = self
                .reviewed
                .filter(|(_, id)| is_seen(plan, id) && refusals.is_empty());
            let mut text = match seen {
                Some((file, id)) => format!(
                    "{}{}",
                    render::text::plan_totals(plan, &headline, &options),
                    compare_with_file(plan, id, file)
                ),
                None => render::text::plan(plan, refusals, &headline, &options),
            };
            if self.command == "rollback" {
                text = format!("{text}\n{NOT_ROLLED_BACK_NOTE}");
            }
            self.context.ui.print(&text)?;
            if refusals.is_empty() {
                warn_of_unused_permissions(self.context, self.allow_destroy, plan);
            }
        }
        Ok(())
    }

    fn notify(&self, event: Event<'_>) {
        let (context, ui) = (self.context, self.context.ui);
        match event {
            Event::NothingToDo => self.message("rollback", "Nothing to do: that is what runs."),
            Event::CreatingLockBucket => self.progress.print_notice(
                context,
                "lock",
                "Making the bucket that holds the lock, before anything else.",
            ),
            Event::WaitingForLock { record, available_at } => {
                let text = match record.unlocked {
                    false => format!(
                        "Waiting for the lock: {record} has it, until {available_at:.0} unless it is renewed."
                    ),
                    true => format!(
                        "Waiting for the lock: that of {record} was ended, and is free after {available_at:.0}."
                    ),
                };
                self.progress.print_notice(context, "waiting", &text);
            }
            Event::Replanning => ui.eprint("Another run was at work meanwhile: reading and planning again."),
            Event::AlreadyDone => ui.eprint("Nothing is left to do: another run has done it already."),
            Event::DeadlineTooShort { estimate, deadline } => ui.eprint(&format!(
                "This takes about {}, and the deadline is {}: what does not fit is left for the next run.",
                render::format_duration(estimate),
                render::format_duration(deadline),
            )),
            Event::Applied(report) => {
                self.recorder.record_report(report);
                self.text(|options| render::text::report(report, options));
            }
            Event::Verified { status } => {
                self.recorder.record_running(status);
                ui.eprint("Verified: a new plan is empty.");
            }
            Event::HeldBack(deferred) => {
                let held_back: String = deferred
                    .iter()
                    .map(|DeferredChange { address, blocker, .. }| {
                        format!("\n  {address}: {}; {}", blocker.reason, blocker.hint)
                    })
                    .collect();
                ui.eprint(&format!("Incomplete, because this is held back:{held_back}"));
            }
            Event::NotConverged(plan) => {
                let headline = self.session.headline(self.command);
                ui.eprint(&render::text::plan(plan, &[], &headline, &ui.stderr_options()));
            }
            Event::RollingBack { apps, plan } => {
                let names: Vec<&str> = apps.iter().map(|app| app.as_str()).collect();
                self.message("rollback", &format!(
                    "Rolling back {}: {}. Secrets and the effects of a release command stay as they are.",
                    names.join(", "),
                    describe_rollback(plan)
                ));
            }
            Event::NothingToRollBack => ui.eprint(
                "There is nothing to roll back to: nothing ran before, or nothing has changed.",
            ),
            Event::RolledBack(report) => {
                self.text(|options| render::text::rollback_report(report, options));
            }
            Event::Running(status) => {
                self.progress.print_event(context, render::json::running(status, None));
                self.text(|options| {
                    format!("\nWhat runs now:\n{}", render::text::versions(status, options))
                });
                if self.progress.is_text() {
                    ui.eprint(MANIFEST_UNCHANGED_NOTE);
                }
            }
            Event::RolloutFailed { status, rollback, rolled_back } => {
                self.recorder.record_running(status);
                self.print_failed_rollout(status, rollback, rolled_back);
            }
        }
    }

    fn confirm(&self, _plan: &Plan) -> Result<(), CommandError> {
        self.confirmation.ask(self.context)?;
        // From here on something may be written, so a signal must not end the process any more.
        self.session.signals();
        Ok(())
    }

    async fn interrupted(&self) {
        self.session.signals().wait_for(1).await;
    }

    /// The plan that was printed says what is blocked. Where none was printed, the error does.
    fn refused(&self, refusals: Vec<Refusal>) -> CommandError {
        if self.progress.is_text() {
            return CommandError::new(
                "this plan is refused, see BLOCKED above; nothing was changed",
            )
            .with_exit_code(exit::REFUSED);
        }
        CommandError::from(refusals)
    }

    async fn execute(&self, job: ApplyJob<'_>) -> ApplyReport {
        progress::apply_with_progress(self.context, self.progress, self.session, job).await
    }

    fn warn(&self, error: CommandError) {
        error.print(self.context.ui);
    }
}

impl Console<'_> {
    /// Prints text on stdout, unless the output is JSON.
    fn text(&self, render: impl FnOnce(&render::TextOptions) -> String) {
        if self.progress.is_text() {
            let text = render(&self.context.ui.stdout_options());
            self.report_output(self.context.ui.print(&text));
        }
    }

    /// Prints a message on stdout, or as a JSON event.
    fn message(&self, kind: &str, text: &str) {
        self.report_output(self.progress.print_message(self.context, kind, text));
    }

    /// A full disk must not stop an operation half-way, so it is only reported.
    fn report_output(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            self.context
                .ui
                .eprint(&format!("cannot write the output: {error}"));
        }
    }

    fn print_failed_rollout(
        &self,
        status: &EnvironmentStatus,
        rollback: Option<&str>,
        rolled_back: bool,
    ) {
        let failed = Some(render::json::RolledBack(rolled_back));
        let event = render::json::running(status, failed);
        self.progress.print_event(self.context, event);
        let target = self.session.target_args();
        let go_back = match rollback {
            Some(selectors) => format!("\nGo back:  trimtab rollback {target}{selectors}"),
            None => String::new(),
        };
        self.text(|options| {
            let versions = render::text::versions(status, options);
            format!(
                "\nWhat runs now:\n{versions}\nGo on:    trimtab apply {target}{go_back}\nLook:     trimtab status {target}"
            )
        });
        if rolled_back && self.progress.is_text() {
            self.context.ui.eprint(MANIFEST_UNCHANGED_NOTE);
        }
    }
}

/// Whether whoever applies a saved plan has seen every step. What completes an earlier apply is no part of the id, so the file need not
/// have it.
fn is_seen(plan: &Plan, saved: &PlanId) -> bool {
    saved.covers(&plan.id()) && !plan.steps().any(|step| step.completes_earlier_apply)
}

/// What the plan has to do with the one in a file, whose id is `saved`.
fn compare_with_file(plan: &Plan, saved: &PlanId, file: &Path) -> String {
    let file = file.display();
    match () {
        () if *saved == plan.id() => format!("The plan is the one in {file}."),
        () if plan.is_empty() => format!("Nothing is left of the plan in {file}."),
        () => format!("The plan is what is left of the one in {file}."),
    }
}

/// Warns of addresses that may be destroyed, and are not: probably a typing error.
pub(super) fn warn_of_unused_permissions(
    context: &CommandContext<'_>,
    allow_destroy: &[Address],
    plan: &Plan,
) {
    let with_others = plan.cascade_deletes.iter().map(|cascade| &cascade.address);
    let by_themselves = plan
        .steps()
        .filter(|step| matches!(step.action, Action::Delete | Action::ReplaceDelete));
    let destroyed: BTreeSet<&Address> = by_themselves
        .map(|step| &step.address)
        .chain(with_others)
        .collect();
    for address in allow_destroy
        .iter()
        .filter(|address| !destroyed.contains(address))
    {
        context.ui.eprint(&format!(
            "warning: --allow-destroy {address} is not needed: the plan does not destroy it"
        ));
    }
}

/// What a rollback does, in a few words.
fn describe_rollback(plan: &Plan) -> String {
    let changes = plan.changes();
    let count = |verb: fn(Verb) -> bool| changes.iter().filter(|change| verb(change.verb)).count();
    let updated = count(|verb| matches!(verb, Verb::Restart | Verb::Update));
    let removed = count(|verb| verb == Verb::Destroy);
    let handed_over = plan.steps().filter(|step| step.action == Action::HandOver);
    let groups: Vec<&str> = handed_over
        .map(|step| step.address.name().as_str())
        .collect();
    let parts = [
        (!groups.is_empty())
            .then(|| format!("the old machines of {} take over again", groups.join(", "))),
        match updated {
            0 => None,
            1 => Some("1 machine becomes what it was before".to_owned()),
            n => Some(format!("{n} machines become what they were before")),
        },
        match removed {
            0 => None,
            1 => Some("1 machine that was new is removed".to_owned()),
            n => Some(format!("{n} machines that were new are removed")),
        },
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
