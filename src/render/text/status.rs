//! What runs, for people: machines that are equal are one line, and what is not as it should be says so beneath.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

use super::{TextWriter, pad_to_width, versions::ImageFormat};
use crate::{
    render::{
        Headline, TextOptions,
        theme::paint,
        value::{sanitize, truncate_middle, wrap_words},
        wording,
    },
    status::{
        Activity, AppSummary, AwsResourceSummary, CheckCounts, CronSummary, EnvironmentStatus,
        GroupSummary, ImageSummary, LastRun, MachineSummary, VolumeSummary,
    },
};

/// An image gets at least this much of a line; where there is less, it gets a line of its own.
const MIN_IMAGE_WIDTH: usize = 30;
/// So far in stands what belongs to the line above.
const NESTED_INDENT: usize = 6;
/// As wide as the longest of the words that begin a line about something other than a machine.
const LABEL_WIDTH: usize = 11;

/// The fleet as text.
#[must_use]
pub fn status(fleet: &EnvironmentStatus, headline: &Headline, look: &TextOptions) -> String {
    let mut page = TextWriter::new(*look);
    page.write_headline(headline);
    let columns = ColumnWidths::measure(fleet, page.width);
    for app in &fleet.apps {
        page.write_gap();
        page.write_app(app, &columns);
    }
    for thing in &fleet.aws {
        page.write_gap();
        page.write_aws_resource(thing);
    }
    page.write_gap();
    page.write_unmanaged(fleet);
    page.write_gap();
    page.write_summary(fleet);
    page.finish()
}

/// Machines that are equal, as one line.
struct StatusRow<'a> {
    name: String,
    region: String,
    state: String,
    checks: String,
    release: String,
    image: Option<&'a ImageSummary>,
    /// Whether another version runs beside it.
    mixed: bool,
    activity: Activity,
}

/// How wide each column is, over the whole page.
#[derive(Default)]
struct ColumnWidths {
    name: usize,
    region: usize,
    state: usize,
    checks: usize,
    release: usize,
    image: Option<ImageFormat>,
    /// Whether images stand on lines of their own.
    image_below: bool,
}

impl ColumnWidths {
    fn measure(fleet: &EnvironmentStatus, width: usize) -> Self {
        let mut columns = Self::default();
        let rows: Vec<StatusRow<'_>> = fleet.apps.iter().flat_map(app_rows).collect();
        for row in &rows {
            columns.name = columns.name.max(row.name.width());
            columns.region = columns.region.max(row.region.width());
            columns.state = columns.state.max(row.state.width());
            columns.checks = columns.checks.max(row.checks.width());
            columns.release = columns.release.max(row.release.width());
        }
        let images: Vec<&ImageSummary> = rows.iter().filter_map(|row| row.image).collect();
        let room = width.saturating_sub(columns.width_before_image());
        columns.image_below = room < MIN_IMAGE_WIDTH;
        let room = if columns.image_below {
            width.saturating_sub(NESTED_INDENT)
        } else {
            room
        };
        columns.image = Some(ImageFormat::fitting_all(&images, room));
        columns
    }

    fn width_before_image(&self) -> usize {
        let each = [
            self.name,
            self.region,
            self.state,
            self.checks,
            self.release,
        ];
        2 + each
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

/// What machines must share to be one line.
fn grouping_key(machine: &MachineSummary) -> impl Ord {
    let failing =
        machine.activity == Activity::Running && machine.checks.passing < machine.checks.total;
    (
        !machine.wanted,
        machine.retired,
        machine.activity,
        state_word(machine).to_owned(),
        machine.version_key(),
        machine.cordoned,
        failing,
        !machine.proven,
    )
}

fn group_rows<'a>(app: &AppSummary, group: &'a GroupSummary) -> Vec<StatusRow<'a>> {
    let name = format!("{}/{}", sanitize(&app.app), sanitize(&group.group));
    let mut alike: BTreeMap<_, Vec<&MachineSummary>> = BTreeMap::new();
    for machine in &group.machines {
        alike
            .entry(grouping_key(machine))
            .or_default()
            .push(machine);
    }
    let row = |machines: &Vec<&'a MachineSummary>| {
        let first = machines.first().copied();
        let count = machines.len();
        let word = first.map_or("", state_word);
        let retired = first.is_some_and(|machine| machine.retired);
        let wanted = first.is_some_and(|machine| machine.wanted);
        StatusRow {
            name: name.clone(),
            region: sanitize(&group.region),
            state: match wanted {
                true => format!("{count}/{} {}", group.desired, sanitize(word)),
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
    let mut rows: Vec<StatusRow<'a>> = alike.values().map(row).collect();
    if rows.is_empty() {
        rows.push(StatusRow {
            name,
            region: sanitize(&group.region),
            state: format!("0/{} there", group.desired),
            checks: String::new(),
            release: String::new(),
            image: None,
            mixed: false,
            activity: Activity::Failed,
        });
    }
    rows
}

fn cron_row(cron: &CronSummary) -> StatusRow<'_> {
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

/// A state in the word that tells most.
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

/// Checks of machines that do not run say nothing.
fn checks_text(machines: &[&MachineSummary]) -> String {
    let running = machines
        .iter()
        .filter(|machine| machine.activity == Activity::Running);
    let sum = running.fold(CheckCounts::default(), |sum, machine| CheckCounts {
        passing: sum.passing + machine.checks.passing,
        total: sum.total + machine.checks.total,
    });
    if sum.total == 0 {
        String::new()
    } else {
        format!("{}/{} checks", sum.passing, sum.total)
    }
}

fn release_text(machine: &MachineSummary) -> String {
    machine
        .release
        .as_ref()
        .map(|release| format!("release {}", sanitize(release)))
        .unwrap_or_default()
}

/// When a run ended, and how.
fn last_run_text(run: &LastRun) -> String {
    let at: String = run.ended_at.chars().take(16).collect();
    format!("{} UTC, {}", at.replace('T', " "), exit_text(run))
}

fn exit_text(run: &LastRun) -> String {
    match (run.oom_killed, run.exit_code) {
        (true, _) => "it ran out of memory".to_owned(),
        (_, Some(code)) => format!("exit code {code}"),
        (_, None) => "exit code unknown".to_owned(),
    }
}

/// Whether a run went wrong by itself.
fn is_failed_run(run: &LastRun) -> bool {
    !run.requested && (run.oom_killed || run.exit_code.is_some_and(|code| code != 0))
}

impl TextWriter {
    fn write_app(&mut self, app: &AppSummary, columns: &ColumnWidths) {
        let name = paint(self.theme.title, sanitize(&app.app));
        self.write_line(format!(
            "{name}  {}",
            paint(self.theme.dim, sanitize(&app.fly_name))
        ));
        if !app.exists {
            return self.write_line("  not there yet");
        }
        for (at, group) in app.groups.iter().enumerate() {
            for row in group_rows(app, group) {
                self.write_status_row(&row, columns);
            }
            self.write_machine_notes(group);
            let last_region = app
                .groups
                .get(at + 1)
                .is_none_or(|next| next.group != group.group);
            if group.mixed && last_region {
                let name = format!("{}/{}", sanitize(&app.app), sanitize(&group.group));
                self.write_note(&format!(
                    "{name} runs different versions at once: a rollout is half done"
                ));
            }
        }
        for cron in &app.cron {
            self.write_status_row(&cron_row(cron), columns);
            self.write_cron_notes(cron);
        }
        self.write_other_resources(app);
    }

    /// One line; the image last, or beneath where there is no room for it.
    fn write_status_row(&mut self, row: &StatusRow<'_>, columns: &ColumnWidths) {
        let state = pad_to_width(&row.state, columns.state);
        let state = match row.activity {
            Activity::Running => state,
            Activity::Asleep | Activity::Standby => paint(self.theme.dim, state),
            Activity::Changing | Activity::Stopped => paint(self.theme.change, state),
            Activity::Failed | Activity::Unreachable => paint(self.theme.error, state),
        };
        let mut line = format!(
            "  {}  {}  {state}",
            pad_to_width(&row.name, columns.name),
            pad_to_width(&row.region, columns.region)
        );
        for (text, width) in [
            (&row.checks, columns.checks),
            (&row.release, columns.release),
        ] {
            if width > 0 {
                line.push_str("  ");
                line.push_str(&pad_to_width(text, width));
            }
        }
        let style = if row.mixed {
            self.theme.error
        } else {
            self.theme.dim
        };
        let image = row
            .image
            .zip(columns.image)
            .map(|(image, brevity)| brevity.format_image(image, row.mixed));
        let image = paint(style, image.unwrap_or_default());
        if !columns.image_below || row.image.is_none() {
            return self.write_line(format!("{line}  {image}"));
        }
        self.write_line(line);
        self.write_line(format!("{}{image}", " ".repeat(NESTED_INDENT)));
    }

    /// Something that is not as it should be.
    fn write_note(&mut self, text: &str) {
        let sign = paint(self.theme.error, "!");
        self.write_line(format!("    {sign} {text}"));
    }

    fn write_machine_notes(&mut self, group: &GroupSummary) {
        let old = group
            .machines
            .iter()
            .filter(|machine| machine.retired)
            .count();
        if old > 0 {
            let (they, them) = if old == 1 {
                ("it", "it")
            } else {
                ("they", "them")
            };
            self.write_note(&format!(
                "new machines have taken over; the rollout did not end: apply ends it and removes {them}, and with a \
                 rollback {they} take{} over again",
                if old == 1 { "s" } else { "" }
            ));
        }
        for machine in group.machines.iter().filter(|machine| !machine.retired) {
            let who = format!("{} ({})", sanitize(&machine.name), sanitize(&machine.id));
            for why in machine_problems(machine) {
                self.write_note(&format!("{who} {why}"));
            }
        }
    }

    fn write_cron_notes(&mut self, cron: &CronSummary) {
        let run = cron.machine.last_run.as_ref();
        match run {
            Some(run) if is_failed_run(run) => {
                self.write_note(&format!("last run ended {}", last_run_text(run)));
            }
            Some(run) => {
                let text = format!(
                    "{}last run ended {}",
                    " ".repeat(NESTED_INDENT),
                    last_run_text(run)
                );
                self.write_line(paint(self.theme.dim, text));
            }
            None => {
                let text = format!("{}no run is known of", " ".repeat(NESTED_INDENT));
                self.write_line(paint(self.theme.dim, text));
            }
        }
        if cron.other_image {
            self.write_note("it runs another image than its app");
        }
        if !cron.machine.reachable {
            self.write_note("its host cannot be reached");
        }
        if !cron.machine.wanted {
            self.write_note("it is not in the manifest");
        }
    }

    /// What an app has besides machines.
    fn write_other_resources(&mut self, app: &AppSummary) {
        let part = |name: &str| sanitize(name.split_once('/').map_or(name, |(_, rest)| rest));
        let width = |names: Vec<&str>| {
            names
                .iter()
                .map(|name| part(name).width())
                .max()
                .unwrap_or_default()
        };
        let names = width(
            app.volumes
                .iter()
                .map(|volume| volume.name.as_str())
                .collect(),
        );
        for volume in &app.volumes {
            let words = volume_text(volume);
            self.write_labelled(
                "volume",
                &format!("{}  {words}", pad_to_width(&part(&volume.name), names)),
            );
            if !volume.reachable {
                self.write_note("its host cannot be reached");
            }
        }
        let addresses = app
            .ips
            .iter()
            .map(|ip| ip.address.width())
            .max()
            .unwrap_or_default();
        for ip in &app.ips {
            let place = Some(sanitize(&ip.region))
                .filter(|region| !matches!(region.as_str(), "" | "global"));
            let place = place
                .map(|region| format!(", {region}"))
                .unwrap_or_default();
            self.write_labelled(
                "ip",
                &format!(
                    "{}  {}{place}",
                    pad_to_width(&sanitize(&ip.address), addresses),
                    sanitize(&ip.kind)
                ),
            );
        }
        let hosts = app
            .certificates
            .iter()
            .map(|one| one.hostname.width())
            .max()
            .unwrap_or_default();
        for certificate in &app.certificates {
            let state = if certificate.configured {
                "configured"
            } else {
                "waits for DNS"
            };
            self.write_labelled(
                "certificate",
                &format!(
                    "{}  {state}",
                    pad_to_width(&sanitize(&certificate.hostname), hosts)
                ),
            );
        }
        self.write_list("secrets", &app.secrets);
        self.write_list("missing", &app.missing);
    }

    fn write_labelled(&mut self, label: &str, text: &str) {
        let label = paint(self.theme.dim, pad_to_width(label, LABEL_WIDTH));
        let text = truncate_middle(text, self.width.saturating_sub(LABEL_WIDTH + 4));
        self.write_line(format!("  {label}  {text}"));
    }

    /// Names, over as many lines as they need.
    fn write_list(&mut self, label: &str, names: &[String]) {
        let room = self.width.saturating_sub(LABEL_WIDTH + 4);
        let mut lines: Vec<String> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let comma = if at + 1 < names.len() { "," } else { "" };
            let word = format!("{}{comma}", sanitize(name));
            match lines.last_mut() {
                Some(line) if line.width() + 1 + word.width() <= room => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        for (at, line) in lines.iter().enumerate() {
            self.write_labelled(if at == 0 { label } else { "" }, line);
        }
    }

    fn write_aws_resource(&mut self, thing: &AwsResourceSummary) {
        let name = paint(self.theme.title, sanitize(&thing.address));
        self.write_line(format!(
            "{name}  {}",
            paint(self.theme.dim, sanitize(&thing.name))
        ));
        let about = if thing.exists {
            sanitize(&thing.about)
        } else {
            "not there yet".to_owned()
        };
        let lines = wrap_words(&about, self.width.saturating_sub(2));
        lines
            .iter()
            .for_each(|line| self.write_line(format!("  {line}")));
        if !thing.wanted {
            self.write_note("it is not in the manifest");
        }
    }

    fn write_unmanaged(&mut self, fleet: &EnvironmentStatus) {
        for warning in &fleet.warnings {
            let word = paint(self.theme.change, "warning:");
            self.write_line(format!("{word} {}", sanitize(warning)));
        }
        if fleet.unmanaged.is_empty() {
            return;
        }
        self.write_line("Not managed, and left alone:");
        for left in &fleet.unmanaged {
            let line = format!(
                "  {} in {}: {}",
                sanitize(&left.what),
                sanitize(&left.within),
                sanitize(&left.why)
            );
            self.write_line(paint(self.theme.dim, line));
        }
    }

    /// The whole in one sentence.
    fn write_summary(&mut self, fleet: &EnvironmentStatus) {
        let title = self.theme.title;
        if !fleet.apps.iter().any(|app| app.exists) {
            let on_aws = fleet.aws.iter().any(|thing| thing.exists);
            let what = if on_aws {
                "No machine is there."
            } else {
                "Nothing is there."
            };
            return self.write_line(paint(title, what));
        }
        let desired: usize = fleet
            .apps
            .iter()
            .flat_map(|app| &app.groups)
            .map(|group| group.desired)
            .sum();
        let serving = || fleet.machines().filter(|machine| !machine.retired);
        let of = |activity| {
            serving()
                .filter(|machine| machine.activity == activity)
                .count()
        };
        let (running, asleep) = (of(Activity::Running), of(Activity::Asleep));
        let standby = of(Activity::Standby);
        let unwell = serving()
            .filter(|machine| machine.activity == Activity::Running && !machine.is_healthy())
            .count();
        let mixed = fleet
            .versions()
            .iter()
            .filter(|group| group.is_mixed())
            .count();
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let runs = wording::inflect_verb(running.max(usize::from(desired == 1)), "run");
        let parts = [
            Some(format!(
                "{running} of {} {runs}",
                wording::format_count(number(desired), "machine")
            )),
            (asleep > 0).then(|| format!("{asleep} asleep, woken by the next request")),
            (standby > 0).then(|| format!("{standby} on standby")),
            (unwell > 0).then(|| format!("{unwell} with checks that fail")),
            (mixed > 0).then(|| {
                format!(
                    "{} with different versions",
                    wording::format_count(number(mixed), "group")
                )
            }),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        self.write_line(paint(title, format!("{}.", parts.join("; "))));
    }
}

/// What is not as it should be with a machine.
fn machine_problems(machine: &MachineSummary) -> Vec<String> {
    let CheckCounts { passing, total } = machine.checks;
    let mut all = Vec::new();
    match machine.activity {
        Activity::Unreachable => all.push("is on a host that cannot be reached".to_owned()),
        Activity::Stopped => all.push(match &machine.last_run {
            Some(run) if !run.requested => format!("stopped by itself: {}", last_run_text(run)),
            Some(_) => "was stopped by hand: no request wakes it".to_owned(),
            None => "does not run, and no request wakes it".to_owned(),
        }),
        Activity::Failed => all.push(match &machine.last_run {
            Some(run) => format!("failed to start: {}", last_run_text(run)),
            None => "failed to start".to_owned(),
        }),
        Activity::Running if passing < total => {
            all.push(format!(
                "fails {} of {}",
                total - passing,
                wording::format_count(u64::try_from(total).unwrap_or(u64::MAX), "check")
            ));
        }
        Activity::Running | Activity::Changing | Activity::Asleep | Activity::Standby => {}
    }
    if machine.retired {
        all.push("has handed over to its successor: the next apply removes it".to_owned());
        return all;
    }
    if machine.cordoned {
        all.push("is cordoned: the proxy leaves it out".to_owned());
    }
    if !machine.proven {
        all.push("was never seen to start well".to_owned());
    }
    if !machine.wanted {
        all.push("is not in the manifest".to_owned());
    }
    all
}

/// Size, use and holder.
fn volume_text(volume: &VolumeSummary) -> String {
    let used = match (volume.bytes_used, volume.bytes_total) {
        (Some(used), Some(total)) if total > 0 => {
            let percent = u128::from(used) * 100 / u128::from(total);
            format!(", {percent}% used")
        }
        _ => String::new(),
    };
    let held = match (&volume.held_by_name, &volume.held_by) {
        (Some(name), _) => format!("held by {}", sanitize(name)),
        (None, Some(id)) => format!("held by {}", sanitize(id)),
        (None, None) => "free".to_owned(),
    };
    let state = match volume.state.as_str() {
        "created" | "" => String::new(),
        other => format!("  {}", sanitize(other)),
    };
    let extra = if volume.wanted {
        ""
    } else {
        "  not in the manifest"
    };
    format!(
        "{} GB{used}  {}  {held}{state}{extra}",
        volume.size_gb,
        sanitize(&volume.id)
    )
}
