//! Random fleets of one app, the changes in their second release, and how that release may be
//! broken.

use std::{collections::BTreeMap, fmt::Write as _};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

pub(crate) const APP_NAME: &str = "any-fleet";
/// The part of an image's name that the sandbox's rules match to make a program fail.
pub(crate) const BROKEN_IMAGE: &str = "bad";

/// A deployment strategy of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RolloutStyle {
    Rolling,
    Canary,
    BlueGreen,
    Immediate,
}

#[derive(Clone, Debug)]
pub(crate) struct GroupSpec {
    pub(crate) regions: BTreeMap<&'static str, u32>,
    service: bool,
    checks: bool,
    volume: bool,
    standby: bool,
    memory: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct FleetSpec {
    pub(crate) groups: Vec<GroupSpec>,
    pub(crate) strategy: RolloutStyle,
    max_unavailable: Option<&'static str>,
    secrets: bool,
    cron: bool,
    /// Whether each release has a release command.
    pub(crate) release_command: bool,
    image: &'static str,
    env: u32,
    pub(crate) secret: &'static str,
}

/// What the second release changes.
#[derive(Clone, Debug)]
pub(crate) struct ReleaseChange {
    image: bool,
    env: bool,
    secret: bool,
    /// More memory, by group.
    memory: Vec<bool>,
    /// How many machines are added or removed in the first region of each group.
    count: Vec<i8>,
    pub(crate) broken: Option<BrokenRelease>,
}

/// How the second release is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrokenRelease {
    mode: FailureMode,
    /// The group that is broken; `None` for all groups.
    group: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureMode {
    /// The program exits at once.
    Crash,
    /// The program starts, fails its checks, and exits after six seconds.
    CrashLater,
    /// The program runs out of memory at once.
    OutOfMemory,
    /// The program runs, and its checks fail.
    FailingChecks,
}

fn any_group() -> impl Strategy<Value = GroupSpec> {
    let region = select(vec!["ewr", "iad", "fra"]);
    let regions =
        prop::collection::btree_map(region, select(vec![0, 1, 1, 2, 2, 3, 4, 5]), 1..4usize);
    (regions, any::<[bool; 4]>()).prop_map(|(regions, [service, checks, volume, standby])| {
        GroupSpec {
            regions,
            service,
            checks,
            volume,
            standby,
            memory: 512,
        }
    })
}

pub(crate) fn any_fleet() -> impl Strategy<Value = FleetSpec> {
    use RolloutStyle::{BlueGreen, Canary, Immediate, Rolling};
    let strategy = select(vec![Rolling, Canary, BlueGreen, BlueGreen, Immediate]);
    let limit = select(vec![
        None,
        Some("1"),
        Some("2"),
        Some("3"),
        Some("0.5"),
        Some("0.9"),
    ]);
    (vec(any_group(), 1..4), strategy, limit, any::<[bool; 2]>()).prop_map(
        |(groups, strategy, limit, [secrets, cron])| FleetSpec {
            groups,
            strategy,
            max_unavailable: limit,
            secrets,
            cron,
            release_command: false,
            image: "any:1",
            env: 1,
            secret: "canary-one",
        },
    )
}

fn any_broken_release() -> impl Strategy<Value = Option<BrokenRelease>> {
    let how = select(vec![
        FailureMode::Crash,
        FailureMode::CrashLater,
        FailureMode::OutOfMemory,
        FailureMode::FailingChecks,
    ]);
    let group = prop::option::of(0..3usize);
    prop::option::of((how, group).prop_map(|(how, group)| BrokenRelease { mode: how, group }))
}

pub(crate) fn any_release_change() -> impl Strategy<Value = ReleaseChange> {
    let count = vec(select(vec![0, 0, 0, 1, -1, 2]), 3);
    (
        any::<[bool; 3]>(),
        vec(any::<bool>(), 3),
        count,
        any_broken_release(),
    )
        .prop_map(
            |([image, env, secret], memory, count, broken)| ReleaseChange {
                image,
                env,
                secret,
                memory,
                count,
                broken,
            },
        )
}

/// The names of the groups, in the order of [`FleetSpec::groups`].
pub(crate) const GROUPS: [&str; 3] = ["app", "side", "work"];

impl GroupSpec {
    pub(crate) fn size(&self) -> u32 {
        self.regions.values().sum()
    }

    fn has_volume(&self, strategy: RolloutStyle) -> bool {
        self.volume && strategy != RolloutStyle::BlueGreen
    }

    /// Whether new machines start next to the old ones.
    pub(crate) fn is_blue_green(&self, strategy: RolloutStyle) -> bool {
        strategy == RolloutStyle::BlueGreen && self.service
    }
}

impl FleetSpec {
    /// A fleet with one group without extras; with a service if the strategy is blue-green.
    pub(crate) fn single_group(
        regions: BTreeMap<&'static str, u32>,
        strategy: RolloutStyle,
    ) -> Self {
        let (service, volume, standby, memory) =
            (strategy == RolloutStyle::BlueGreen, false, false, 512);
        let group = GroupSpec {
            regions,
            service,
            checks: service,
            volume,
            standby,
            memory,
        };
        let (secrets, cron, command) = (false, false, false);
        let (groups, image, env, secret) = (vec![group], "any:1", 1, "canary-one");
        Self {
            groups,
            strategy,
            max_unavailable: None,
            secrets,
            cron,
            release_command: command,
            image,
            env,
            secret,
        }
    }

    pub(crate) fn with_release_command(self) -> Self {
        Self {
            release_command: true,
            ..self
        }
    }

    pub(crate) fn with_broken_image(&self) -> Self {
        Self {
            image: "any:bad2",
            ..self.clone()
        }
    }

    /// How many machines of a group may be unavailable at once; `None` for any number.
    pub(crate) fn max_unavailable_of(&self, group: &GroupSpec) -> Option<usize> {
        let size = f64::from(group.size().max(1));
        let limit: f64 = self.max_unavailable.unwrap_or("0.33").parse().unwrap();
        let count = if limit < 1.0 {
            (size * limit).ceil()
        } else {
            limit.min(size)
        };
        (self.strategy != RolloutStyle::Immediate).then_some(count as usize)
    }

    /// The second release.
    pub(crate) fn with_change(&self, change: &ReleaseChange) -> Self {
        let mut next = self.clone();
        if change.image {
            next.image = "any:2";
        }
        if change.broken.is_some() {
            next = next.with_broken_image();
        }
        next.env += u32::from(change.env);
        if change.secret {
            next.secret = "canary-two";
        }
        for (at, group) in next.groups.iter_mut().enumerate() {
            group.memory += 256 * u32::from(change.memory[at]);
            if let Some(number) = group.regions.values_mut().next() {
                *number = number.saturating_add_signed(change.count[at].into());
            }
        }
        next
    }

    pub(crate) fn with_working_image(&self) -> Self {
        Self {
            image: "any:3",
            ..self.clone()
        }
    }

    /// Whether a release changes the configuration or the number of machines of a group.
    pub(crate) fn group_changes(&self, next: &Self, at: usize) -> bool {
        let of = |fleet: &Self| {
            let group = &fleet.groups[at];
            let secret = fleet.secrets.then_some(fleet.secret);
            (
                fleet.image,
                fleet.env,
                secret,
                group.memory,
                group.regions.clone(),
            )
        };
        of(self) != of(next)
    }

    /// Whether the broken image makes the machines of a group fail.
    pub(crate) fn breaks_group(&self, broken: BrokenRelease, at: usize) -> bool {
        let meant = broken.group.is_none_or(|group| group == at);
        meant && (broken.mode != FailureMode::FailingChecks || self.groups[at].checks)
    }

    pub(crate) fn has_broken_image(&self) -> bool {
        self.image.contains(BROKEN_IMAGE)
    }

    /// The image, the variable and the memory that every machine of a group must have.
    pub(crate) fn expected_config(&self, at: usize) -> (String, String, u64) {
        (
            self.image.to_owned(),
            self.env.to_string(),
            self.groups[at].memory.into(),
        )
    }

    pub(crate) fn manifest(&self) -> String {
        let mut text = format!(
            "project = \"any\"\n[fly]\norg = \"any\"\n[apps.web]\nname = \"{APP_NAME}\"\nprimary_region = \"ewr\"\n\
             image = \"{}\"\nips = []\n[apps.web.env]\nRELEASE = \"{}\"\n",
            self.image, self.env
        );
        let strategy = format!("{:?}", self.strategy).to_lowercase();
        write!(text, "[apps.web.deploy]\nstrategy = \"{strategy}\"\n").unwrap();
        if let Some(limit) = self.max_unavailable {
            writeln!(text, "max_unavailable = {limit}").unwrap();
        }
        if self.release_command {
            writeln!(text, "release_command = \"bin/migrate\"").unwrap();
        }
        // How long a check that never passes is waited for.
        if self.has_broken_image() {
            writeln!(text, "wait_timeout = \"40s\"").unwrap();
        }
        text.push_str("[apps.web.processes]\n");
        for name in &GROUPS[..self.groups.len()] {
            writeln!(text, "{name} = \"bin/{name}\"").unwrap();
        }
        for (at, group) in self.groups.iter().enumerate() {
            group.write_toml(&mut text, at, self.strategy);
        }
        if self.secrets {
            text.push_str("[apps.web.secrets]\nSECRET_KEY = { env = \"SECRET_KEY\" }\n");
        }
        if self.cron {
            text.push_str("[apps.web.cron.job]\nschedule = \"daily\"\ncommand = [\"job\"]\n");
        }
        text
    }
}

impl GroupSpec {
    fn write_toml(&self, text: &mut String, at: usize, strategy: RolloutStyle) {
        let (name, port) = (GROUPS[at], 8_000 + at);
        let count: Vec<String> = self
            .regions
            .iter()
            .map(|(region, n)| format!("{region} = {n}"))
            .collect();
        write!(
            text,
            "[apps.web.machines.{name}]\nmemory = \"{}mb\"\ncount = {{ {} }}\n",
            self.memory,
            count.join(", ")
        )
        .unwrap();
        let volume = self.has_volume(strategy);
        if self.standby && !self.service && !volume {
            text.push_str("standby = true\n");
        }
        let check = "interval = \"5s\"\ntimeout = \"1s\"\n";
        if self.service {
            write!(
                text,
                "[[apps.web.services]]\ninternal_port = {port}\nprotocol = \"tcp\"\nprocesses = [\"{name}\"]\n\
                 [[apps.web.services.ports]]\nport = {port}\n"
            )
            .unwrap();
            if self.checks {
                write!(text, "[[apps.web.services.tcp_checks]]\n{check}").unwrap();
            }
        } else if self.checks {
            write!(
                text,
                "[apps.web.checks.{name}]\ntype = \"tcp\"\nport = {port}\n{check}processes = [\"{name}\"]\n"
            )
            .unwrap();
        }
        if volume {
            write!(
                text,
                "[[apps.web.mounts]]\nsource = \"{name}_data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n\
                 processes = [\"{name}\"]\n"
            )
            .unwrap();
        }
    }
}

impl BrokenRelease {
    /// A program that crashes after some seconds, again and again.
    pub(crate) fn crash_later() -> Self {
        Self {
            mode: FailureMode::CrashLater,
            group: None,
        }
    }

    /// The sandbox's rule that makes the programs fail.
    pub(crate) fn sandbox_rule(self) -> Value {
        let behave = match self.mode {
            FailureMode::Crash => json!({ "exit_code": 1, "after_ms": 0 }),
            FailureMode::CrashLater => {
                json!({ "exit_code": 1, "after_ms": 6_000, "checks": "critical" })
            }
            FailureMode::OutOfMemory => json!({ "oom": true, "after_ms": 0 }),
            FailureMode::FailingChecks => json!({ "checks": "critical" }),
        };
        let mut matches = json!({ "image_contains": BROKEN_IMAGE });
        if let Some(group) = self.group {
            matches["process_group"] = GROUPS[group].into();
        }
        json!({ "match": matches, "behave": behave })
    }
}
