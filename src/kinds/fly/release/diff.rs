//! When a release command runs: once for each release, and only when something is rolled out.

use super::{Leftover, ReleaseCommand, ReleaseLive, ReleaseSpec};
use crate::{
    kinds::{
        Announce, Around, Diff, Kind, Op, Phase, Refers as _, Refused, Takes,
        fly::workload::with_image,
    },
    model::{Address, Line, Shown},
};

/// What is done.
#[derive(Clone, Debug)]
pub enum ReleaseEdit {
    /// The command runs.
    Run(Box<ReleaseSpec>),
    /// Machines that an earlier run left are removed, once their command has ended.
    Sweep(Vec<Leftover>),
}

impl Announce for ReleaseEdit {
    fn lines(&self) -> Vec<Line> {
        match self {
            Self::Run(spec) => outline(spec),
            Self::Sweep(machines) => machines
                .iter()
                .map(|machine| {
                    Line::remove("machine", machine.id.as_str()).with_note("left by an earlier run")
                })
                .collect(),
        }
    }

    /// Cleaning up is a part of what was reviewed when it was begun.
    fn finishes(&self) -> bool {
        matches!(self, Self::Sweep(_))
    }
}

fn outline(spec: &ReleaseSpec) -> Vec<Line> {
    let config = &spec.workload.config;
    let image = config.image.as_ref();
    let image =
        image.map(|image| Line::new("image", None, Some(Shown::Value(image.as_str().into()))));
    let command = shell_words::join(&config.init.cmd);
    [Line::add("command", command)]
        .into_iter()
        .chain(image)
        .collect()
}

/// The command as it runs: with the app's image, for this release.
fn ready(spec: &ReleaseSpec, around: &Around<'_>) -> Result<ReleaseSpec, Refused> {
    let release = around
        .releases
        .get(spec.workload.app.name())
        .map(ToString::to_string);
    Ok(ReleaseSpec {
        workload: with_image(&spec.workload, around)?,
        release,
        ..spec.clone()
    })
}

impl Kind for ReleaseCommand {
    type Spec = ReleaseSpec;
    type Live = ReleaseLive;
    type Edit = ReleaseEdit;

    const PHASE: Phase = Phase::Before;

    fn diff(spec: &ReleaseSpec, live: &ReleaseLive, around: &Around<'_>) -> Diff<ReleaseEdit> {
        let app = spec.workload.app.name();
        let release = around
            .releases
            .get(app)
            .filter(|_| around.rolling.contains(app));
        let new = release.is_some_and(|release| !live.done.iter().any(|done| release.is(done)));
        if new {
            return match ready(spec, around) {
                Ok(spec) => Diff::Edit(vec![ReleaseEdit::Run(Box::new(spec))]),
                Err(refused) => Diff::Refuse(refused),
            };
        }
        if live.leftovers.is_empty() {
            Diff::Same
        } else {
            Diff::Edit(vec![ReleaseEdit::Sweep(live.leftovers.clone())])
        }
    }

    fn complete(spec: &ReleaseSpec, around: &Around<'_>) -> Result<ReleaseSpec, Refused> {
        ready(spec, around)
    }

    fn outline(spec: &ReleaseSpec, _: &Around<'_>) -> Vec<Line> {
        outline(spec)
    }

    fn identity(_: &ReleaseLive) -> String {
        String::new()
    }

    fn describe(_: &ReleaseLive) -> String {
        String::new()
    }

    fn goes_with(live: &ReleaseLive) -> Option<Address> {
        live.refs().pop()
    }

    /// A machine is made and boots, and what the command itself takes, nobody knows: a migration that finds nothing to do
    /// is done in seconds.
    fn takes(_: &Op<Self>) -> Takes {
        Takes {
            secs: 10,
            makes: true,
        }
    }
}
