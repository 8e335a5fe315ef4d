//! What runs, for people: machines that are equal are one line, and what is not as it should be says so beneath.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

use super::{Page, pad, versions::Brevity};
use crate::render::{
    Headline, Look,
    fleet::{Activity, App, Checks, Cron, Fleet, Group, Image, LastRun, Machine, OnAws, Volume},
    style::paint,
    value::{clean, cut, wrapped},
    words,
};

/// An image gets at least this much of a line; where there is less, it gets a line of its own.
const IMAGE: usize = 30;
/// So far in stands what belongs to the line above.
const DEEPER: usize = 6;
/// As wide as the longest of the words that begin a line about something other than a machine.
const LABEL: usize = 11;

/// The fleet as text.
#[must_use]
pub fn status(fleet: &Fleet, headline: &Headline, look: &Look) -> String {
    let mut page = Page::new(*look);
    page.headline(headline);
    let columns = Columns::of(fleet, page.width);
    for app in &fleet.apps {
        page.gap();
        page.app(app, &columns);
    }
    for thing in &fleet.aws {
        page.gap();
        page.on_aws(thing);
    }
    page.gap();
    page.left_alone(fleet);
    page.gap();
    page.sum(fleet);
    page.done()
}

/// Machines that are equal, as one line.
struct Row<'a> {
    name: String,
    region: String,
    state: String,
    checks: String,
    release: String,
    image: Option<&'a Image>,
    /// Whether another version runs beside it.
    mixed: bool,
    activity: Activity,
}

/// How wide each column is, over the whole page.
#[derive(Default)]
struct Columns {
    name: usize,
    region: usize,
    state: usize,
    checks: usize,
    release: usize,
    image: Option<Brevity>,
    /// Whether images stand on lines of their own.
    beneath: bool,
}

impl Columns {
    fn of(fleet: &Fleet, width: usize) -> Self {
        let mut columns = Self::default();
        let rows: Vec<Row<'_>> = fleet.apps.iter().flat_map(rows).collect();
        for row in &rows {
            columns.name = columns.name.max(row.name.width());
            columns.region = columns.region.max(row.region.width());
            columns.state = columns.state.max(row.state.width());
            columns.checks = columns.checks.max(row.checks.width());
            columns.release = columns.release.max(row.release.width());
        }
        let images: Vec<&Image> = rows.iter().filter_map(|row| row.image).collect();
        let room = width.saturating_sub(columns.before_image());
        columns.beneath = room < IMAGE;
        let room = if columns.beneath {
            width.saturating_sub(DEEPER)
        } else {
            room
        };
        columns.image = Some(Brevity::for_all(&images, room));
        columns
    }

    fn before_image(&self) -> usize {
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

fn rows(app: &App) -> Vec<Row<'_>> {
    let groups = app.groups.iter().flat_map(|group| group_rows(app, group));
    groups.chain(app.cron.iter().map(cron_row)).collect()
}

/// What machines must share to be one line.
fn likeness(machine: &Machine) -> impl Ord {
    let failing =
        machine.activity == Activity::Running && machine.checks.passing < machine.checks.total;
    (
        !machine.wanted,
        machine.retired,
        machine.activity,
        state_word(machine).to_owned(),
        machine.version(),
        machine.cordoned,
        failing,
        !machine.proven,
    )
}

fn group_rows<'a>(app: &App, group: &'a Group) -> Vec<Row<'a>> {
    let name = format!("{}/{}", clean(&app.app), clean(&group.group));
    let mut alike: BTreeMap<_, Vec<&Machine>> = BTreeMap::new();
    for machine in &group.machines {
        alike.entry(likeness(machine)).or_default().push(machine);
    }
    let row = |machines: &Vec<&'a Machine>| {
        let first = machines.first().copied();
        let count = machines.len();
        let word = first.map_or("", state_word);
        let retired = first.is_some_and(|machine| machine.retired);
        let wanted = first.is_some_and(|machine| machine.wanted);
        Row {
            name: name.clone(),
            region: clean(&group.region),
            state: match wanted {
                true => format!("{count}/{} {}", group.desired, clean(word)),
                false if retired => format!("{count} old, hidden"),
                false => format!("{count} {}, extra", clean(word)),
            },
            checks: checks_words(machines),
            release: first.map(release_words).unwrap_or_default(),
            image: first.and_then(|machine| machine.image.as_ref()),
            mixed: group.mixed,
            activity: first.map_or(Activity::Stopped, |machine| machine.activity),
        }
    };
    let mut rows: Vec<Row<'a>> = alike.values().map(row).collect();
    if rows.is_empty() {
        rows.push(Row {
            name,
            region: clean(&group.region),
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

fn cron_row(cron: &Cron) -> Row<'_> {
    let schedule = cron.schedule.as_deref().unwrap_or("no schedule");
    let running = cron.machine.activity == Activity::Running;
    Row {
        name: clean(&cron.machine.name),
        region: clean(&cron.machine.region),
        state: format!(
            "cron {}{}",
            clean(schedule),
            if running { ", runs now" } else { "" }
        ),
        checks: String::new(),
        release: release_words(&cron.machine),
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
fn state_word(machine: &Machine) -> &str {
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
fn checks_words(machines: &[&Machine]) -> String {
    let running = machines
        .iter()
        .filter(|machine| machine.activity == Activity::Running);
    let sum = running.fold(Checks::default(), |sum, machine| Checks {
        passing: sum.passing + machine.checks.passing,
        total: sum.total + machine.checks.total,
    });
    if sum.total == 0 {
        String::new()
    } else {
        format!("{}/{} checks", sum.passing, sum.total)
    }
}

fn release_words(machine: &Machine) -> String {
    machine
        .release
        .as_ref()
        .map(|release| format!("release {}", clean(release)))
        .unwrap_or_default()
}

/// When a run ended, and how.
fn run_words(run: &LastRun) -> String {
    let at: String = run.ended_at.chars().take(16).collect();
    format!("{} UTC, {}", at.replace('T', " "), exit_words(run))
}

fn exit_words(run: &LastRun) -> String {
    match (run.oom_killed, run.exit_code) {
        (true, _) => "it ran out of memory".to_owned(),
        (_, Some(code)) => format!("exit code {code}"),
        (_, None) => "exit code unknown".to_owned(),
    }
}

/// Whether a run went wrong by itself.
fn went_wrong(run: &LastRun) -> bool {
    !run.requested && (run.oom_killed || run.exit_code.is_some_and(|code| code != 0))
}

impl Page {
    fn app(&mut self, app: &App, columns: &Columns) {
        let name = paint(self.style.title, clean(&app.app));
        self.line(format!(
            "{name}  {}",
            paint(self.style.quiet, clean(&app.fly_name))
        ));
        if !app.exists {
            return self.line("  not there yet");
        }
        for (at, group) in app.groups.iter().enumerate() {
            for row in group_rows(app, group) {
                self.row(&row, columns);
            }
            self.machine_notes(group);
            let last_region = app
                .groups
                .get(at + 1)
                .is_none_or(|next| next.group != group.group);
            if group.mixed && last_region {
                let name = format!("{}/{}", clean(&app.app), clean(&group.group));
                self.note(&format!(
                    "{name} runs different versions at once: a rollout is half done"
                ));
            }
        }
        for cron in &app.cron {
            self.row(&cron_row(cron), columns);
            self.cron_notes(cron);
        }
        self.things(app);
    }

    /// One line; the image last, or beneath where there is no room for it.
    fn row(&mut self, row: &Row<'_>, columns: &Columns) {
        let state = pad(&row.state, columns.state);
        let state = match row.activity {
            Activity::Running => state,
            Activity::Asleep | Activity::Standby => paint(self.style.quiet, state),
            Activity::Changing | Activity::Stopped => paint(self.style.change, state),
            Activity::Failed | Activity::Unreachable => paint(self.style.alarm, state),
        };
        let mut line = format!(
            "  {}  {}  {state}",
            pad(&row.name, columns.name),
            pad(&row.region, columns.region)
        );
        for (text, width) in [
            (&row.checks, columns.checks),
            (&row.release, columns.release),
        ] {
            if width > 0 {
                line.push_str("  ");
                line.push_str(&pad(text, width));
            }
        }
        let style = if row.mixed {
            self.style.alarm
        } else {
            self.style.quiet
        };
        let image = row
            .image
            .zip(columns.image)
            .map(|(image, brevity)| brevity.image(image, row.mixed));
        let image = paint(style, image.unwrap_or_default());
        if !columns.beneath || row.image.is_none() {
            return self.line(format!("{line}  {image}"));
        }
        self.line(line);
        self.line(format!("{}{image}", " ".repeat(DEEPER)));
    }

    /// Something that is not as it should be.
    fn note(&mut self, text: &str) {
        let sign = paint(self.style.alarm, "!");
        self.line(format!("    {sign} {text}"));
    }

    fn machine_notes(&mut self, group: &Group) {
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
            self.note(&format!(
                "new machines have taken over; the rollout did not end: apply ends it and removes {them}, and with a \
                 rollback {they} take{} over again",
                if old == 1 { "s" } else { "" }
            ));
        }
        for machine in group.machines.iter().filter(|machine| !machine.retired) {
            let who = format!("{} ({})", clean(&machine.name), clean(&machine.id));
            for why in complaints(machine) {
                self.note(&format!("{who} {why}"));
            }
        }
    }

    fn cron_notes(&mut self, cron: &Cron) {
        let run = cron.machine.last_run.as_ref();
        match run {
            Some(run) if went_wrong(run) => {
                self.note(&format!("last run ended {}", run_words(run)))
            }
            Some(run) => {
                let text = format!("{}last run ended {}", " ".repeat(DEEPER), run_words(run));
                self.line(paint(self.style.quiet, text));
            }
            None => {
                let text = format!("{}no run is known of", " ".repeat(DEEPER));
                self.line(paint(self.style.quiet, text));
            }
        }
        if cron.other_image {
            self.note("it runs another image than its app");
        }
        if !cron.machine.reachable {
            self.note("its host cannot be reached");
        }
        if !cron.machine.wanted {
            self.note("it is not in the manifest");
        }
    }

    /// What an app has besides machines.
    fn things(&mut self, app: &App) {
        let part = |name: &str| clean(name.split_once('/').map_or(name, |(_, rest)| rest));
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
            let words = volume_words(volume);
            self.thing(
                "volume",
                &format!("{}  {words}", pad(&part(&volume.name), names)),
            );
            if !volume.reachable {
                self.note("its host cannot be reached");
            }
        }
        let addresses = app
            .ips
            .iter()
            .map(|ip| ip.address.width())
            .max()
            .unwrap_or_default();
        for ip in &app.ips {
            let place =
                Some(clean(&ip.region)).filter(|region| !matches!(region.as_str(), "" | "global"));
            let place = place
                .map(|region| format!(", {region}"))
                .unwrap_or_default();
            self.thing(
                "ip",
                &format!(
                    "{}  {}{place}",
                    pad(&clean(&ip.address), addresses),
                    clean(&ip.kind)
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
            self.thing(
                "certificate",
                &format!("{}  {state}", pad(&clean(&certificate.hostname), hosts)),
            );
        }
        self.list("secrets", &app.secrets);
        self.list("missing", &app.missing);
    }

    fn thing(&mut self, label: &str, text: &str) {
        let label = paint(self.style.quiet, pad(label, LABEL));
        let text = cut(text, self.width.saturating_sub(LABEL + 4));
        self.line(format!("  {label}  {text}"));
    }

    /// Names, over as many lines as they need.
    fn list(&mut self, label: &str, names: &[String]) {
        let room = self.width.saturating_sub(LABEL + 4);
        let mut lines: Vec<String> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let comma = if at + 1 < names.len() { "," } else { "" };
            let word = format!("{}{comma}", clean(name));
            match lines.last_mut() {
                Some(line) if line.width() + 1 + word.width() <= room => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        for (at, line) in lines.iter().enumerate() {
            self.thing(if at == 0 { label } else { "" }, line);
        }
    }

    fn on_aws(&mut self, thing: &OnAws) {
        let name = paint(self.style.title, clean(&thing.address));
        self.line(format!(
            "{name}  {}",
            paint(self.style.quiet, clean(&thing.name))
        ));
        let about = if thing.exists {
            clean(&thing.about)
        } else {
            "not there yet".to_owned()
        };
        let lines = wrapped(&about, self.width.saturating_sub(2));
        lines.iter().for_each(|line| self.line(format!("  {line}")));
        if !thing.wanted {
            self.note("it is not in the manifest");
        }
    }

    fn left_alone(&mut self, fleet: &Fleet) {
        for warning in &fleet.warnings {
            let word = paint(self.style.change, "warning:");
            self.line(format!("{word} {}", clean(warning)));
        }
        if fleet.unmanaged.is_empty() {
            return;
        }
        self.line("Not managed, and left alone:");
        for left in &fleet.unmanaged {
            let line = format!(
                "  {} in {}: {}",
                clean(&left.what),
                clean(&left.within),
                clean(&left.why)
            );
            self.line(paint(self.style.quiet, line));
        }
    }

    /// The whole in one sentence.
    fn sum(&mut self, fleet: &Fleet) {
        let title = self.style.title;
        if !fleet.apps.iter().any(|app| app.exists) {
            let on_aws = fleet.aws.iter().any(|thing| thing.exists);
            let what = if on_aws {
                "No machine is there."
            } else {
                "Nothing is there."
            };
            return self.line(paint(title, what));
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
            .filter(|machine| machine.activity == Activity::Running && !machine.is_well())
            .count();
        let mixed = fleet
            .versions()
            .iter()
            .filter(|group| group.is_mixed())
            .count();
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let runs = words::verb_for(running.max(usize::from(desired == 1)), "run");
        let parts = [
            Some(format!(
                "{running} of {} {runs}",
                words::count(number(desired), "machine")
            )),
            (asleep > 0).then(|| format!("{asleep} asleep, woken by the next request")),
            (standby > 0).then(|| format!("{standby} on standby")),
            (unwell > 0).then(|| format!("{unwell} with checks that fail")),
            (mixed > 0).then(|| {
                format!(
                    "{} with different versions",
                    words::count(number(mixed), "group")
                )
            }),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        self.line(paint(title, format!("{}.", parts.join("; "))));
    }
}

/// What is not as it should be with a machine.
fn complaints(machine: &Machine) -> Vec<String> {
    let Checks { passing, total } = machine.checks;
    let mut all = Vec::new();
    match machine.activity {
        Activity::Unreachable => all.push("is on a host that cannot be reached".to_owned()),
        Activity::Stopped => all.push(match &machine.last_run {
            Some(run) if !run.requested => format!("stopped by itself: {}", run_words(run)),
            Some(_) => "was stopped by hand: no request wakes it".to_owned(),
            None => "does not run, and no request wakes it".to_owned(),
        }),
        Activity::Failed => all.push(match &machine.last_run {
            Some(run) => format!("failed to start: {}", run_words(run)),
            None => "failed to start".to_owned(),
        }),
        Activity::Running if passing < total => {
            all.push(format!(
                "fails {} of {}",
                total - passing,
                words::count(u64::try_from(total).unwrap_or(u64::MAX), "check")
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
fn volume_words(volume: &Volume) -> String {
    let used = match (volume.bytes_used, volume.bytes_total) {
        (Some(used), Some(total)) if total > 0 => {
            let percent = u128::from(used) * 100 / u128::from(total);
            format!(", {percent}% used")
        }
        _ => String::new(),
    };
    let held = match (&volume.held_by_name, &volume.held_by) {
        (Some(name), _) => format!("held by {}", clean(name)),
        (None, Some(id)) => format!("held by {}", clean(id)),
        (None, None) => "free".to_owned(),
    };
    let state = match volume.state.as_str() {
        "created" | "" => String::new(),
        other => format!("  {}", clean(other)),
    };
    let extra = if volume.wanted {
        ""
    } else {
        "  not in the manifest"
    };
    format!(
        "{} GB{used}  {}  {held}{state}{extra}",
        volume.size_gb,
        clean(&volume.id)
    )
}
