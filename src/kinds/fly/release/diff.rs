//! Decides when a release command runs: once for each release, and only when something is rolled out.

use super::{LeftoverMachine, ReleaseCommand, ReleaseLive, ReleaseSpec};
use crate::{
    kinds::{
        Blocker, Cost, DeletionRules, DescribeEdit, Diff, DiffContext, Kind, Op, OperationRules,
        Phase, References as _, RolloutNote, RolloutRules, fly,
        fly::workload::{with_default_image, with_largest_guest},
    },
    model::{Address, DiffLine, DisplayValue, KindName as _},
};

/// What a step of a release command does.
#[derive(Clone, Debug)]
pub enum ReleaseEdit {
    /// Runs the command.
    Run(Box<ReleaseSpec>),
    /// Deletes machines that an interrupted apply left behind, once their command has ended.
    RemoveLeftovers(Vec<LeftoverMachine>),
}

impl DescribeEdit for ReleaseEdit {
    fn lines(&self) -> Vec<DiffLine> {
        match self {
            Self::Run(spec) => command_lines(spec),
            Self::RemoveLeftovers(machines) => machines
                .iter()
                .map(|machine| {
                    DiffLine::remove("machine", machine.id.as_str())
                        .with_note("left by an earlier run")
                })
                .collect(),
        }
    }

    /// Removing leftovers belongs to the apply that left them, and was reviewed with it.
    fn completes_earlier_apply(&self) -> bool {
        matches!(self, Self::RemoveLeftovers(_))
    }
}

fn command_lines(spec: &ReleaseSpec) -> Vec<DiffLine> {
    let config = &spec.workload.config;
    let image = config.image.as_ref();
    let image = image.map(|image| {
        DiffLine::new(
            "image",
            None,
            Some(DisplayValue::Value(image.as_str().into())),
        )
    });
    let command = shell_words::join(&config.init.cmd);
    [DiffLine::add("command", command)]
        .into_iter()
        .chain(image)
        .collect()
}

/// The spec with the image of the app and the id of the release.
fn resolve_command(spec: &ReleaseSpec, context: &DiffContext<'_>) -> Result<ReleaseSpec, Blocker> {
    let release = context
        .releases
        .get(spec.workload.app.name())
        .map(ToString::to_string);
    Ok(ReleaseSpec {
        workload: with_largest_guest(&with_default_image(&spec.workload, context)?, context),
        release,
        ..spec.clone()
    })
}

impl Kind for ReleaseCommand {
    type Spec = ReleaseSpec;
    type Live = ReleaseLive;
    type Edit = ReleaseEdit;

    const CONTAINER: Option<&'static str> = Some(fly::App::NAME);

    fn diff(
        spec: &ReleaseSpec,
        live: &ReleaseLive,
        context: &DiffContext<'_>,
    ) -> Diff<ReleaseEdit> {
        let app = spec.workload.app.name();
        let release = context
            .releases
            .get(app)
            .filter(|_| context.rolling_out.contains(app));
        let is_new_release =
            release.is_some_and(|release| !live.done.iter().any(|done| release.matches(done)));
        if is_new_release {
            return match resolve_command(spec, context) {
                Ok(spec) => Diff::Edit(vec![ReleaseEdit::Run(Box::new(spec))]),
                Err(blocker) => Diff::Blocked(blocker),
            };
        }
        if live.leftovers.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(vec![ReleaseEdit::RemoveLeftovers(live.leftovers.clone())])
        }
    }

    fn resolve_defaults(
        spec: &ReleaseSpec,
        context: &DiffContext<'_>,
    ) -> Result<ReleaseSpec, Blocker> {
        resolve_command(spec, context)
    }

    fn creation_lines(spec: &ReleaseSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        command_lines(spec)
    }

    fn identity(_: &ReleaseLive) -> String {
        String::new()
    }

    fn describe(live: &ReleaseLive) -> String {
        match live.leftovers.len() {
            0 => String::new(),
            1 => "1 machine that an earlier run left".to_owned(),
            n => format!("{n} machines that an earlier run left"),
        }
    }
}

impl RolloutRules for ReleaseCommand {
    const PHASE: Phase = Phase::PreRollout;

    fn rollout_note(op: &Op<Self>) -> Option<RolloutNote> {
        let spec = match op {
            Op::Create(spec) => spec,
            // Removing leftovers runs no command.
            Op::Edit(_, edits) => edits.iter().find_map(|edit| match edit {
                ReleaseEdit::Run(spec) => Some(&**spec),
                ReleaseEdit::RemoveLeftovers(_) => None,
            })?,
            _ => return None,
        };
        let command = shell_words::join(&spec.workload.config.init.cmd);
        Some(RolloutNote::ReleaseCommand(command))
    }
}

impl DeletionRules for ReleaseCommand {
    /// A release command leaves no resource behind, unless it was interrupted.
    fn is_object(live: &ReleaseLive) -> bool {
        !live.leftovers.is_empty()
    }

    fn deleted_with(live: &ReleaseLive) -> Option<Address> {
        live.references().pop()
    }
}

impl OperationRules for ReleaseCommand {
    /// The time to create and boot the machine, and a few seconds for a command that finds nothing to do. How long a real
    /// migration takes cannot be known.
    fn cost(_: &Op<Self>) -> Cost {
        Cost::creation(10)
    }
}
