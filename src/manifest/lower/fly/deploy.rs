//! Lowers `[deploy]`: the strategy, the release command, and the verification request at the end.

use super::{
    app::AppContext,
    guest::{self, GuestLayer},
    machine_parts::MachineParts,
    mounts::LoweredMount,
    process_groups::{GroupScoped, ProcessGroups},
    scalars,
};
use crate::manifest::lower::{Diagnostics, Lowered};
use crate::{
    kinds::fly::{
        ReleaseCommand,
        app::Verification,
        release::{RELEASE_COMMAND_GROUP, ReleaseSpec},
        workload::{
            MachineConfig, Workload,
            config::{MachineInit, MachineRestart},
        },
    },
    manifest::{
        schema::{self, DeploySection, OnFailure},
        syntax::cursor::Cursor,
    },
    model::{GoDuration, Region, ResourceRef, RolloutPolicy, RolloutStrategy},
};

/// The checked settings of `[deploy]`.
pub(crate) struct DeploySettings {
    /// How long a machine may take to start, in seconds.
    pub(crate) wait_secs: u64,
    strategy: RolloutStrategy,
    max_unavailable: f64,
    /// The request that verifies that the app works.
    pub(crate) verify: Option<Verification>,
    /// Whether a failed rollout is rolled back.
    pub(crate) rolls_back: bool,
    /// Whether there is a release command.
    pub(crate) has_release_command: bool,
}

impl Default for DeploySettings {
    fn default() -> Self {
        Self {
            wait_secs: Workload::DEFAULT_WAIT_SECS,
            strategy: RolloutStrategy::default(),
            max_unavailable: RolloutPolicy::DEFAULT_MAX_UNAVAILABLE,
            verify: None,
            rolls_back: false,
            has_release_command: false,
        }
    }
}

impl DeploySettings {
    /// Lowers `[deploy]`.
    pub(crate) fn lower(
        app: &schema::AppSection,
        mounts: &[GroupScoped<LoweredMount>],
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let (Some(deploy), cursor) = (&app.deploy, cursor.key("deploy")) else {
            return Self::default();
        };
        let max_unavailable = deploy.max_unavailable;
        if max_unavailable.is_some_and(|share| {
            !share.is_finite() || share <= 0.0 || (share > 1.0 && share.fract() != 0.0)
        }) {
            let diagnostic = cursor
                .key("max_unavailable")
                .diagnostic("`max_unavailable` is an integer from 1, or a fraction below 1");
            diagnostics
                .error(diagnostic.with_help("`1` is one machine, `0.33` is a third of them"));
        }
        let wait = scalars::parse_duration(
            deploy.wait_timeout.as_ref(),
            cursor.key("wait_timeout"),
            diagnostics,
        );
        if wait.is_some_and(|wait| wait < GoDuration::from_secs(1)) {
            let mut diagnostic = cursor
                .key("wait_timeout")
                .diagnostic("a machine needs at least one second to start");
            // The reader of fly.toml writes this unit to a number that has none.
            let bare = deploy.wait_timeout.as_ref();
            if let Some(number) = bare.and_then(|text| text.0.strip_suffix("ns")) {
                diagnostic = diagnostic
                    .with_label(format!("this is {number} nanoseconds"))
                    .with_help(format!(
                        "write the unit: \"{number}s\" if seconds are meant"
                    ));
            }
            diagnostics.error(diagnostic);
        }
        let verify = deploy
            .verify
            .as_ref()
            .and_then(|verify| lower_verify(verify, app, cursor.key("verify"), diagnostics));
        Self {
            wait_secs: wait.map_or(Workload::DEFAULT_WAIT_SECS, |wait| {
                wait.as_millis().div_ceil(1000)
            }),
            strategy: lower_strategy(deploy.strategy, mounts, cursor.key("strategy"), diagnostics),
            max_unavailable: max_unavailable.unwrap_or(RolloutPolicy::DEFAULT_MAX_UNAVAILABLE),
            verify,
            rolls_back: deploy.on_failure == Some(OnFailure::Rollback),
            has_release_command: deploy.release_command.is_some(),
        }
    }

    /// The rollout policy of a process group with so many machines.
    pub(crate) fn rollout_policy(&self, size: u32) -> RolloutPolicy {
        RolloutPolicy::new(self.strategy, self.max_unavailable, size)
    }

    /// A reference to the app's release command, when it has one.
    pub(crate) fn release_command_ref(
        &self,
        app: &AppContext<'_>,
    ) -> Option<ResourceRef<ReleaseCommand>> {
        self.has_release_command
            .then(|| ResourceRef::new(app.name.clone()))
    }
}

fn lower_strategy(
    strategy: Option<schema::DeployStrategy>,
    mounts: &[GroupScoped<LoweredMount>],
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> RolloutStrategy {
    match strategy {
        Some(schema::DeployStrategy::Canary) => RolloutStrategy::Canary,
        Some(schema::DeployStrategy::Immediate) => RolloutStrategy::Immediate,
        Some(schema::DeployStrategy::Bluegreen) => {
            if !mounts.is_empty() {
                let diagnostic = cursor.diagnostic(
                    "`bluegreen` needs machines beside the old ones, which a volume does not allow",
                );
                let help = if diagnostics.is_in_fly_toml(cursor.location()) {
                    // flyctl refuses `canary` with volumes, and so does the reader of fly.toml.
                    "set `strategy = \"rolling\"`"
                } else {
                    "set `strategy = \"rolling\"`, or `canary` to try one machine first"
                };
                diagnostics.error(diagnostic.with_help(help));
            }
            RolloutStrategy::BlueGreen
        }
        Some(schema::DeployStrategy::Rolling) | None => RolloutStrategy::Rolling,
    }
}

/// Lowers `[deploy.verify]`.
fn lower_verify(
    verify: &schema::VerifySection,
    app: &schema::AppSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Verification> {
    let schema::VerifySection {
        path,
        host,
        status,
        body,
        retries,
        interval,
    } = verify;
    let path = path.clone().unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()) {
        diagnostics.error(
            cursor
                .key("path")
                .diagnostic(format!("`{path}` is not a path"))
                .with_help("begin it with `/`"),
        );
        return None;
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if let Some(host) = host
        .as_ref()
        .filter(|host| host.is_empty() || !host.chars().all(is_allowed))
    {
        let diagnostic = cursor
            .key("host")
            .diagnostic(format!("`{host}` is not a host name"));
        diagnostics.error(diagnostic.with_help("write it without `https://` and without a path"));
        return None;
    }
    if let Some(Err(error)) = body.as_ref().map(|pattern| regex::Regex::new(pattern)) {
        let reason = error.to_string();
        let reason = reason
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        diagnostics.error(
            cursor
                .key("body")
                .diagnostic(format!("this is not a regular expression: {reason}")),
        );
        return None;
    }
    if app.http_service.is_none() && app.services.is_empty() && app.machine_config.is_none() {
        let diagnostic =
            cursor.diagnostic("the public cannot reach this app, so nothing can be verified");
        diagnostics.error(diagnostic.with_help("leave `verify` out, or give the app a service"));
        return None;
    }
    let interval = scalars::parse_duration(interval.as_ref(), cursor.key("interval"), diagnostics);
    Some(Verification {
        host: host.clone(),
        path,
        status: status.unwrap_or(200),
        body: body.clone(),
        retries: retries.unwrap_or(Verification::DEFAULT_RETRIES),
        interval: interval.unwrap_or(Verification::DEFAULT_INTERVAL),
    })
}

/// Adds the release command of an app, which runs on a machine of its own.
pub(crate) fn lower_release_command(
    app: &AppContext<'_>,
    groups: &ProcessGroups,
    parts: &MachineParts<'_>,
    wait_secs: u64,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let (Some(deploy), cursor) = (&app.app.deploy, app.cursor.key("deploy")) else {
        return;
    };
    let Some(command) = &deploy.release_command else {
        if deploy.release_command_timeout.is_some() || deploy.release_command_vm.is_some() {
            diagnostics.warn(cursor.diagnostic("there is no `release_command` for these settings"));
        }
        return;
    };
    let field = cursor.key("release_command");
    let words = scalars::parse_command(command, field, diagnostics);
    if words.iter().all(String::is_empty) {
        diagnostics.error(
            field
                .diagnostic("the release command is empty")
                .with_help("leave it out"),
        );
        return;
    }
    let limit_secs = release_timeout_secs(deploy, cursor, diagnostics);
    // A missing region is reported with the app's machines.
    let Some(region) = release_region(app, groups) else {
        return;
    };
    let mut config = release_config(
        parts.group_config(app, groups, groups.default_group(), diagnostics),
        words,
    );
    if let Some(vm) = &deploy.release_command_vm {
        config.guest = Some(guest::lower_guest(
            &[GuestLayer::from_vm(vm, cursor.key("release_command_vm"))],
            diagnostics,
        ));
    }
    let mut workload = app.build_workload(&app.name, region, config, wait_secs);
    workload.guest_stated =
        deploy.release_command_vm.is_some() || parts.states_guest(app, groups.default_group());
    workload.labels.clear();
    app.record_location::<ReleaseCommand>(&app.name, field, lowered);
    let spec = ReleaseSpec {
        workload,
        limit_secs,
        release: None,
    };
    lowered.desired.fly_release.insert(app.name.clone(), spec);
}

/// The time limit of the release command, in seconds; `0s` sets no limit, as in flyctl.
fn release_timeout_secs(
    deploy: &DeploySection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    let cursor = cursor.key("release_command_timeout");
    match scalars::parse_duration(deploy.release_command_timeout.as_ref(), cursor, diagnostics) {
        Some(span) if span.as_millis() == 0 => None,
        Some(span) => Some(span.as_millis().div_ceil(1000)),
        None => Some(ReleaseSpec::DEFAULT_LIMIT_SECS),
    }
}

/// The primary region, or else the first in which the default group has machines.
fn release_region(app: &AppContext<'_>, groups: &ProcessGroups) -> Option<Region> {
    let stated = app
        .app
        .machines
        .get(groups.default_group())
        .and_then(|group| group.count.as_ref());
    let first = || match stated {
        Some(schema::MachineCount::Regions(regions)) => regions.keys().next(),
        _ => None,
    };
    app.app
        .primary_region
        .as_ref()
        .or_else(first)
        .map(scalars::to_region)
}

/// The configuration of the default group without services, checks and mounts.
fn release_config(group: MachineConfig, words: Vec<String>) -> MachineConfig {
    let mut env = group.env;
    env.insert("RELEASE_COMMAND".to_owned(), "1".to_owned());
    env.insert(
        "FLY_PROCESS_GROUP".to_owned(),
        RELEASE_COMMAND_GROUP.to_owned(),
    );
    MachineConfig {
        image: group.image,
        env,
        init: MachineInit {
            exec: Vec::new(),
            cmd: words,
            ..group.init
        },
        guest: group.guest,
        files: group.files,
        stop_config: group.stop_config,
        restart: Some(MachineRestart {
            policy: "no".to_owned(),
            max_retries: None,
        }),
        ..MachineConfig::default()
    }
}
