//! When a release command runs: once for each release, and only when something is rolled out.

use super::{LeftoverMachine, ReleaseCommand, ReleaseLive, ReleaseSpec};
use crate::{
    kinds::{
        Blocker, Cost, DescribeEdit, Diff, DiffContext, Kind, Op, Phase, References as _,
        fly::workload::with_default_image,
    },
    model::{Address, DiffLine, DisplayValue},
};

/// What is done.
#[derive(Clone, Debug)]
pub enum ReleaseEdit {
    /// The command runs.
    Run(Box<ReleaseSpec>),
    /// Machines that an earlier run left are removed, once their command has ended.
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

    /// Cleaning up is a part of what was reviewed when it was begun.
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

/// The command as it runs: with the app's image, for this release.
fn resolve_command(spec: &ReleaseSpec, around: &DiffContext<'_>) -> Result<ReleaseSpec, Blocker> {
    let release = around
        .releases
        .get(spec.workload.app.name())
        .map(ToString::to_string);
    Ok(ReleaseSpec {
        workload: with_default_image(&spec.workload, around)?,
        release,
        ..spec.clone()
    })
}

impl Kind for ReleaseCommand {
    type Spec = ReleaseSpec;
    type Live = ReleaseLive;
    type Edit = ReleaseEdit;

    const PHASE: Phase = Phase::PreRollout;

    fn diff(spec: &ReleaseSpec, live: &ReleaseLive, around: &DiffContext<'_>) -> Diff<ReleaseEdit> {
        let app = spec.workload.app.name();
        let release = around
            .releases
            .get(app)
            .filter(|_| around.rolling_out.contains(app));
        let new =
            release.is_some_and(|release| !live.done.iter().any(|done| release.matches(done)));
        if new {
            return match resolve_command(spec, around) {
                Ok(spec) => Diff::Edit(vec![ReleaseEdit::Run(Box::new(spec))]),
                Err(refused) => Diff::Blocked(refused),
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
        around: &DiffContext<'_>,
    ) -> Result<ReleaseSpec, Blocker> {
        resolve_command(spec, around)
    }

    fn creation_lines(spec: &ReleaseSpec, _: &DiffContext<'_>) -> Vec<DiffLine> {
        command_lines(spec)
    }

    fn identity(_: &ReleaseLive) -> String {
        String::new()
    }

    fn describe(_: &ReleaseLive) -> String {
        String::new()
    }

    fn deleted_with(live: &ReleaseLive) -> Option<Address> {
        live.references().pop()
    }

    /// A machine is made and boots, and what the command itself takes, nobody knows: a migration that finds nothing to do
    /// is done in seconds.
    fn cost(_: &Op<Self>) -> Cost {
        Cost {
            secs: 10,
            is_create: true,
        }
    }
}
