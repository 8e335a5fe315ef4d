//! How a new version comes out: the strategy, the release command, the proof at the end.

use super::{
    Lowered, Sink,
    app::AppScene,
    groups::{Groups, Scoped},
    guest::{self, Layer},
    mounts::Mounted,
    parts::Parts,
    scalars,
};
use crate::{
    kinds::fly::{
        ReleaseCommand,
        app::Verify,
        release::{GROUP, ReleaseSpec},
        workload::{
            MachineConfig, Workload,
            config::{Init, Restart},
        },
    },
    manifest::{
        shape::{self, Deploy, OnFailure},
        spot::Spot,
    },
    model::{Ref, Region, Span, Strategy, Turns},
};

/// What `[deploy]` says, checked.
pub(super) struct Deployment {
    /// How long a start may take, in seconds.
    pub(super) wait_secs: u64,
    strategy: Strategy,
    limit: f64,
    /// The request that proves that the app works.
    pub(super) verify: Option<Verify>,
    /// Whether a rollout that fails is taken back.
    pub(super) rolls_back: bool,
    /// Whether there is a release command.
    pub(super) has_command: bool,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            wait_secs: Workload::DEFAULT_WAIT_SECS,
            strategy: Strategy::default(),
            limit: Turns::DEFAULT_SHARE,
            verify: None,
            rolls_back: false,
            has_command: false,
        }
    }
}

impl Deployment {
    /// Reads and checks `[deploy]`.
    pub(super) fn of(
        app: &shape::App,
        mounts: &[Scoped<Mounted>],
        at: Spot<'_>,
        sink: &mut Sink,
    ) -> Self {
        let (Some(deploy), at) = (&app.deploy, at.key("deploy")) else {
            return Self::default();
        };
        let limit = deploy.max_unavailable;
        if limit.is_some_and(|share| {
            !share.is_finite() || share <= 0.0 || (share > 1.0 && share.fract() != 0.0)
        }) {
            let problem = at
                .key("max_unavailable")
                .problem("`max_unavailable` is a whole number from 1, or a fraction below 1");
            sink.error(problem.help("`1` is one machine, `0.33` is a third of them"));
        }
        let wait = scalars::span(deploy.wait_timeout.as_ref(), at.key("wait_timeout"), sink);
        if wait.is_some_and(|wait| wait < Span::from_secs(1)) {
            sink.error(
                at.key("wait_timeout")
                    .problem("a machine needs at least one second to start"),
            );
        }
        let verify = deploy
            .verify
            .as_ref()
            .and_then(|verify| self::verify(verify, app, at.key("verify"), sink));
        Self {
            wait_secs: wait.map_or(Workload::DEFAULT_WAIT_SECS, |wait| {
                wait.millis().div_ceil(1000)
            }),
            strategy: strategy(deploy.strategy, mounts, at.key("strategy"), sink),
            limit: limit.unwrap_or(Turns::DEFAULT_SHARE),
            verify,
            rolls_back: deploy.on_failure == Some(OnFailure::Rollback),
            has_command: deploy.release_command.is_some(),
        }
    }

    /// How a group of this size takes turns.
    pub(super) fn turns(&self, size: u32) -> Turns {
        Turns::new(self.strategy, self.limit, size)
    }

    /// A reference to the app's release command, when it has one.
    pub(super) fn command(&self, app: &AppScene<'_>) -> Option<Ref<ReleaseCommand>> {
        self.has_command.then(|| Ref::to(app.name.clone()))
    }
}

fn strategy(
    strategy: Option<shape::Strategy>,
    mounts: &[Scoped<Mounted>],
    at: Spot<'_>,
    sink: &mut Sink,
) -> Strategy {
    match strategy {
        Some(shape::Strategy::Canary) => Strategy::Canary,
        Some(shape::Strategy::Immediate) => Strategy::Immediate,
        Some(shape::Strategy::Bluegreen) => {
            if !mounts.is_empty() {
                let problem = at.problem(
                    "`bluegreen` needs machines beside the old ones, which a volume does not allow",
                );
                sink.error(
                    problem
                        .help("say `strategy = \"rolling\"`, or `canary` to try one machine first"),
                );
            }
            Strategy::BlueGreen
        }
        Some(shape::Strategy::Rolling) | None => Strategy::Rolling,
    }
}

/// The proof, checked.
fn verify(
    verify: &shape::Verify,
    app: &shape::App,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Option<Verify> {
    let shape::Verify {
        path,
        host,
        status,
        body,
        retries,
        interval,
    } = verify;
    let path = path.clone().unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        sink.error(
            at.key("path")
                .problem(format!("`{path}` is not a path"))
                .help("begin it with `/`"),
        );
        return None;
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if let Some(host) = host
        .as_ref()
        .filter(|host| host.is_empty() || !host.chars().all(fits))
    {
        let problem = at
            .key("host")
            .problem(format!("`{host}` is not a host name"));
        sink.error(problem.help("write it without `https://` and without a path"));
        return None;
    }
    if let Some(Err(error)) = body.as_ref().map(|pattern| regex::Regex::new(pattern)) {
        let why = error.to_string();
        let why = why
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        sink.error(
            at.key("body")
                .problem(format!("this is not a regular expression: {why}")),
        );
        return None;
    }
    if app.http_service.is_none() && app.services.is_empty() && app.machine_config.is_none() {
        let problem = at.problem("the public cannot reach this app, so nothing can be verified");
        sink.error(problem.help("leave `verify` out, or give the app a service"));
        return None;
    }
    let interval = scalars::span(interval.as_ref(), at.key("interval"), sink);
    Some(Verify {
        host: host.clone(),
        path,
        status: status.unwrap_or(200),
        body: body.clone(),
        retries: retries.unwrap_or(Verify::RETRIES),
        interval: interval.unwrap_or(Verify::INTERVAL),
    })
}

/// The release command of an app, as a machine of its own.
pub(super) fn release(
    app: &AppScene<'_>,
    groups: &Groups,
    parts: &Parts<'_>,
    wait_secs: u64,
    out: &mut Lowered,
    sink: &mut Sink,
) {
    let (Some(deploy), at) = (&app.app.deploy, app.at.key("deploy")) else {
        return;
    };
    let Some(command) = &deploy.release_command else {
        if deploy.release_command_timeout.is_some() || deploy.release_command_vm.is_some() {
            sink.warn(at.problem("there is no `release_command` for these settings"));
        }
        return;
    };
    let spot = at.key("release_command");
    let words = scalars::command(command, spot, sink);
    if words.iter().all(String::is_empty) {
        sink.error(
            spot.problem("the release command is empty")
                .help("leave it out"),
        );
        return;
    }
    let limit = limit(deploy, at, sink);
    // An app that does not say where it runs is told so with its machines.
    let Some(region) = region(app, groups) else {
        return;
    };
    let mut config = config(parts.config(app, groups, groups.default(), sink), words);
    if let Some(vm) = &deploy.release_command_vm {
        config.guest = Some(guest::guest(
            &[Layer::vm(vm, at.key("release_command_vm"))],
            sink,
        ));
    }
    let mut workload = app.workload(&app.name, region, config, wait_secs);
    workload.labels.clear();
    app.place::<ReleaseCommand>(&app.name, spot, out);
    let spec = ReleaseSpec {
        workload,
        limit_secs: limit,
        release: None,
    };
    out.desired.fly_release.insert(app.name.clone(), spec);
}

/// How long the command may take, in seconds; 0 sets no limit, as in flyctl.
fn limit(deploy: &Deploy, at: Spot<'_>, sink: &mut Sink) -> Option<u64> {
    let at = at.key("release_command_timeout");
    match scalars::span(deploy.release_command_timeout.as_ref(), at, sink) {
        Some(span) if span.millis() == 0 => None,
        Some(span) => Some(span.millis().div_ceil(1000)),
        None => Some(ReleaseSpec::DEFAULT_LIMIT_SECS),
    }
}

/// The primary region, else the first in which the default group has machines.
fn region(app: &AppScene<'_>, groups: &Groups) -> Option<Region> {
    let stated = app
        .app
        .machines
        .get(groups.default())
        .and_then(|group| group.count.as_ref());
    let first = || match stated {
        Some(shape::Count::Regions(regions)) => regions.keys().next(),
        _ => None,
    };
    app.app
        .primary_region
        .as_ref()
        .or_else(first)
        .map(scalars::region)
}

/// The configuration of the default group, without all that serves.
fn config(group: MachineConfig, words: Vec<String>) -> MachineConfig {
    let mut env = group.env;
    env.insert("RELEASE_COMMAND".to_owned(), "1".to_owned());
    env.insert("FLY_PROCESS_GROUP".to_owned(), GROUP.to_owned());
    MachineConfig {
        image: group.image,
        env,
        init: Init {
            exec: Vec::new(),
            cmd: words,
            ..group.init
        },
        guest: group.guest,
        files: group.files,
        stop_config: group.stop_config,
        restart: Some(Restart {
            policy: "no".to_owned(),
            max_retries: None,
        }),
        ..MachineConfig::default()
    }
}
