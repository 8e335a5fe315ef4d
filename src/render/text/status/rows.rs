//! Builds the lines of machines: which machines share a line, what each column says, and how wide it is.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

use super::{MIN_IMAGE_WIDTH, NESTED_INDENT};
use crate::{
    render::{text::versions::ImageFormat, value::sanitize},
    status::{
        Activity, AppSummary, CheckCounts, CronSummary, EnvironmentStatus, GroupSummary,
        ImageSummary, LastRun, MachineSummary,
    },
};

/// A line for machines in the same state.
pub(super) struct StatusRow<'a> {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) state: String,
    pub(super) checks: String,
    pub(super) release: String,
    pub(super) image: Option<&'a ImageSummary>,
    /// Whether machines of the same process group run another version.
    pub(super) mixed: bool,
    pub(super) activity: Activity,
}

/// The width of each column, the same for all apps.
#[derive(Default)]
pub(super) struct ColumnWidths {
    pub(super) name: usize,
    pub(super) region: usize,
    pub(super) state: usize,
    pub(super) checks: usize,
    pub(super) release: usize,
    pub(super) image: Option<ImageFormat>,
    /// Whether images are on lines of their own.
    pub(super) image_below: bool,
}

impl ColumnWidths {
    pub(super) fn measure(status: &EnvironmentStatus, width: usize) -> Self {
        let mut columns = Self::default();
        let rows: Vec<StatusRow<'_>> = status.apps.iter().flat_map(app_rows).collect();
        for row in &rows {
            columns.name = columns.name.max(row.name.width());
            columns.region = columns.region.max(row.region.width());
            columns.state = columns.state.max(row.state.width());
            columns.checks = columns.checks.max(row.checks.width());
            columns.release = columns.release.max(row.release.width());
        }
        let images: Vec<&ImageSummary> = rows.iter().filter_map(|row| row.image).collect();
        let available_width = width.saturating_sub(columns.width_before_image());
        columns.image_below = available_width < MIN_IMAGE_WIDTH;
        let available_width = if columns.image_below {
            width.saturating_sub(NESTED_INDENT)
        } else {
            available_width
        };
        columns.image = Some(ImageFormat::fitting_all(&images, available_width));
        columns
    }

    fn width_before_image(&self) -> usize {
        let widths = [
            self.name,
            self.region,
            self.state,
            self.checks,
            self.release,
        ];
        2 + widths
            .iter()
            .filter(|width| **width > 0)
            .map(|width| width + 2)
            .sum::<usize>()
    }
}

fn app_rows(app: &AppSummary) -> Vec<StatusRow<'_>> {
    let groups = app.groups.iter().flat_map(|group| group_rows(app, group));
    groups.chain(app.cron.iter().map(cron_row)).collect()
}

/// What machines must have in common to share a line. The order of the keys is the order of the lines.
fn grouping_key(machine: &MachineSummary) -> impl Ord {
    let failing =
        machine.activity == Activity::Running && machine.checks.passing < machine.checks.total;
    (
        !machine.wanted,
        machine.retired,
        machine.activity,
        state_word(machine).to_owned(),
        machine.role.clone(),
        machine.version_key(),
        machine.cordoned,
        failing,
        !machine.proven,
    )
}

pub(super) fn group_rows<'a>(app: &AppSummary, group: &'a GroupSummary) -> Vec<StatusRow<'a>> {
    let name = format!("{}/{}", sanitize(&app.app), sanitize(&group.group));
    let mut similar: BTreeMap<_, Vec<&MachineSummary>> = BTreeMap::new();
    for machine in &group.machines {
        similar
            .entry(grouping_key(machine))
            .or_default()
            .push(machine);
    }
    let look = |machine: &MachineSummary| {
        let word = state_word(machine).to_owned();
        (word, machine.role.clone(), machine.version_key())
    };
    let others = similar.values().filter_map(|machines| machines.first());
    let looks: Vec<_> = others
        .filter(|machine| machine.wanted)
        .map(|machine| look(machine))
        .collect();
    // Two lines of one group that would be alike, because only the proxy or the confirmation tells their machines apart.
    let has_twin = |machine: &MachineSummary| {
        let own = look(machine);
        looks.iter().filter(|other| **other == own).count() > 1
    };
    let row = |machines: &Vec<&'a MachineSummary>| {
        let first = machines.first().copied();
        let count = machines.len();
        let word = first.map_or("", state_word);
        let role = first.and_then(|machine| machine.role.as_ref());
        let role = role.map_or_else(String::new, |role| format!(", {}", sanitize(role)));
        let retired = first.is_some_and(|machine| machine.retired);
        let wanted = first.is_some_and(|machine| machine.wanted);
        StatusRow {
            name: name.clone(),
            region: sanitize(&group.region),
            state: match wanted {
                true => {
                    let twin = first.filter(|machine| has_twin(machine));
                    let distinction = twin.map_or("", distinction);
                    let word = sanitize(word);
                    format!("{count}/{} {word}{role}{distinction}", group.desired)
                }
                false if retired => format!("{count} old, hidden"),
                false => format!("{count} {}, extra", sanitize(word)),
            },
            checks: checks_text(machines),
            release: first.map(release_text).unwrap_or_default(),
            image: first.and_then(|machine| machine.image.as_ref()),
            mixed: group.mixed,
            activity: first.map_or(Activity::Stopped, |machine| machine.activity),
        }
    };
    let mut rows: Vec<StatusRow<'a>> = similar.values().map(row).collect();
    if rows.is_empty() {
        rows.push(StatusRow {
            name,
            region: sanitize(&group.region),
            state: format!("0/{} created", group.desired),
            checks: String::new(),
            release: String::new(),
            image: None,
            mixed: false,
            activity: Activity::Failed,
        });
    }
    rows
}

pub(super) fn cron_row(cron: &CronSummary) -> StatusRow<'_> {
    let schedule = cron.schedule.as_deref().unwrap_or("no schedule");
    let running = cron.machine.activity == Activity::Running;
    StatusRow {
        name: sanitize(&cron.machine.name),
        region: sanitize(&cron.machine.region),
        state: format!(
            "cron {}{}",
            sanitize(schedule),
            if running { ", runs now" } else { "" }
        ),
        checks: String::new(),
        release: release_text(&cron.machine),
        image: cron.machine.image.as_ref(),
        mixed: cron.other_image,
        activity: if cron.machine.reachable {
            Activity::Running
        } else {
            Activity::Unreachable
        },
    }
}

/// What tells a machine from others in the same state.
fn distinction(machine: &MachineSummary) -> &'static str {
    match (machine.cordoned, machine.proven) {
        (true, true) => ", cordoned",
        (true, false) => ", cordoned, unconfirmed",
        (false, true) => "",
        (false, false) => ", unconfirmed",
    }
}

/// The most specific word for the state of a machine.
fn state_word(machine: &MachineSummary) -> &str {
    match machine.activity {
        Activity::Asleep => "asleep",
        Activity::Standby => "standby",
        Activity::Unreachable => "unreachable",
        Activity::Running | Activity::Changing | Activity::Stopped | Activity::Failed => {
            &machine.state
        }
    }
}

/// Passing and total checks of the running machines; checks of others are meaningless.
fn checks_text(machines: &[&MachineSummary]) -> String {
    let running = machines
        .iter()
        .filter(|machine| machine.activity == Activity::Running);
    let counts = running.fold(CheckCounts::default(), |counts, machine| CheckCounts {
        passing: counts.passing + machine.checks.passing,
        total: counts.total + machine.checks.total,
    });
    if counts.total == 0 {
        String::new()
    } else {
        format!("{}/{} checks", counts.passing, counts.total)
    }
}

fn release_text(machine: &MachineSummary) -> String {
    machine
        .release
        .as_ref()
        .map(|release| format!("release {}", sanitize(release)))
        .unwrap_or_default()
}

/// When a run ended, to the minute, and how.
pub(super) fn last_run_text(run: &LastRun) -> String {
    let minute: String = run.ended_at.chars().take(16).collect();
    format!("{} UTC, {}", minute.replace('T', " "), exit_text(run))
}

fn exit_text(run: &LastRun) -> String {
    match (run.oom_killed, run.exit_code) {
        (true, _) => "it ran out of memory".to_owned(),
        (_, Some(code)) => format!("exit code {code}"),
        (_, None) => "exit code unknown".to_owned(),
    }
}

/// Whether a run failed on its own: a run that was asked to stop may exit with any code.
pub(super) fn is_failed_run(run: &LastRun) -> bool {
    !run.requested && (run.oom_killed || run.exit_code.is_some_and(|code| code != 0))
}
