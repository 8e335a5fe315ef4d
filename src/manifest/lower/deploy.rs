//! How a new version comes out. Rollouts beyond the order of steps, and release commands, are checked and carried, and a
//! warning says what does not happen yet.

use super::{Sink, groups::Scoped, guest, guest::Layer, mounts::Mounted, scalars};
use crate::{
    kinds::fly::workload::Workload,
    manifest::{
        shape::{App, Strategy},
        spot::Spot,
    },
    model::Span,
};

/// How long a start may take, in seconds.
pub(super) fn deploy(app: &App, mounts: &[Scoped<Mounted>], at: Spot<'_>, sink: &mut Sink) -> u64 {
    let (Some(deploy), at) = (&app.deploy, at.key("deploy")) else {
        return Workload::DEFAULT_WAIT_SECS;
    };
    strategy(deploy.strategy, mounts, at.key("strategy"), sink);
    if deploy.max_unavailable.is_some_and(|share| share <= 0.0 || (share > 1.0 && share.fract() != 0.0)) {
        let problem = at
            .key("max_unavailable")
            .problem("`max_unavailable` is a whole number from 1, or a fraction below 1");
        sink.error(problem.help("`1` is one machine, `0.33` is a third of them"));
    }
    if let Some(command) = &deploy.release_command {
        let spot = at.key("release_command");
        if scalars::command(command, spot, sink).is_empty() {
            sink.error(spot.problem("the release command is empty").help("leave it out"));
        }
        let problem = spot.problem("release commands are not run yet");
        sink.warn(problem.help("run it in CI, before `apply`, until a later version does"));
    } else if deploy.release_command_timeout.is_some() || deploy.release_command_vm.is_some() {
        sink.warn(at.problem("there is no `release_command` for these settings"));
    }
    let _checked =
        scalars::span(deploy.release_command_timeout.as_ref(), at.key("release_command_timeout"), sink);
    if let Some(vm) = &deploy.release_command_vm {
        let _checked = guest::guest(&[Layer::vm(vm, at.key("release_command_vm"))], sink);
    }
    let wait = scalars::span(deploy.wait_timeout.as_ref(), at.key("wait_timeout"), sink);
    if wait.is_some_and(|wait| wait < Span::from_secs(1)) {
        sink.error(at.key("wait_timeout").problem("a machine needs at least one second to start"));
    }
    wait.map_or(Workload::DEFAULT_WAIT_SECS, |wait| wait.millis().div_ceil(1000))
}

fn strategy(strategy: Option<Strategy>, mounts: &[Scoped<Mounted>], at: Spot<'_>, sink: &mut Sink) {
    let name = match strategy {
        Some(Strategy::Canary) => "canary",
        Some(Strategy::Bluegreen) => "bluegreen",
        Some(Strategy::Immediate) => "immediate",
        Some(Strategy::Rolling) | None => return,
    };
    if name != "immediate" && !mounts.is_empty() {
        let problem =
            at.problem(format!("`{name}` needs machines beside the old ones, which a volume does not allow"));
        sink.error(problem.help("say `strategy = \"rolling\"`"));
        return;
    }
    sink.warn(at.problem(format!("`{name}` is not done yet; machines change one after the other")));
}
