//! The status of an environment for people. Machines in the same state share a line; problems are listed below it.

use unicode_width::UnicodeWidthStr as _;

use super::{TextWriter, pad_to_width};
use crate::{
    render::{
        Headline, TextOptions,
        theme::paint,
        value::{sanitize, wrap_words},
        wording,
    },
    status::{
        Activity, AppSummary, AwsResourceSummary, CheckCounts, CronSummary, DatabaseSummary,
        EnvironmentStatus, GroupSummary, MachineSummary, VolumeSummary,
    },
};

mod rows;

use rows::{ColumnWidths, StatusRow, cron_row, group_rows, is_failed_run, last_run_text};

/// The minimum width of an image beside the other columns. If there is less, images get lines of their own.
const MIN_IMAGE_WIDTH: usize = 30;
/// The indentation of lines that belong to the line above.
const NESTED_INDENT: usize = 6;
/// The width of labels of resources other than machines: that of the longest, `certificate`.
const LABEL_WIDTH: usize = 11;

/// Renders the status of an environment.
#[must_use]
pub fn status(status: &EnvironmentStatus, headline: &Headline, options: &TextOptions) -> String {
    let mut writer = TextWriter::new(*options);
    writer.write_headline(headline);
    let columns = ColumnWidths::measure(status, writer.width);
    for app in &status.apps {
        writer.write_gap();
        writer.write_app(app, &columns);
    }
    for resource in &status.aws {
        writer.write_gap();
        writer.write_aws_resource(resource);
    }
    writer.write_gap();
    writer.write_unmanaged(status);
    writer.write_gap();
    writer.write_summary(status);
    writer.finish()
}

impl TextWriter {
    fn write_app(&mut self, app: &AppSummary, columns: &ColumnWidths) {
        let name = paint(self.theme.title, sanitize(&app.app));
        self.write_line(format!(
            "{name}  {}",
            paint(self.theme.dim, sanitize(&app.fly_name))
        ));
        if !app.exists {
            return self.write_line("  does not exist yet");
        }
        for (position, group) in app.groups.iter().enumerate() {
            for row in group_rows(app, group) {
                self.write_status_row(&row, columns);
            }
            self.write_machine_notes(group);
            // Groups are per region, but a rollout covers all regions, so the note comes after the last of them.
            let last_region = app
                .groups
                .get(position + 1)
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

    /// Writes a line of machines, with the image at its end or on the next line.
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
            .map(|(image, format)| format.format_image(image, row.mixed));
        let image = paint(style, image.unwrap_or_default());
        if !columns.image_below || row.image.is_none() {
            return self.write_line(format!("{line}  {image}"));
        }
        self.write_line(line);
        self.write_line(format!("{}{image}", " ".repeat(NESTED_INDENT)));
    }

    /// Writes a problem.
    fn write_note(&mut self, text: &str) {
        let symbol = paint(self.theme.error, "!");
        self.write_line(format!("    {symbol} {text}"));
    }

    fn write_machine_notes(&mut self, group: &GroupSummary) {
        let retired_count = group
            .machines
            .iter()
            .filter(|machine| machine.retired)
            .count();
        if retired_count > 0 {
            let (they, them) = if retired_count == 1 {
                ("it", "it")
            } else {
                ("they", "them")
            };
            self.write_note(&format!(
                "new machines have taken over; the rollout did not end: apply ends it and removes {them}, and with a \
                 rollback {they} take{} over again",
                if retired_count == 1 { "s" } else { "" }
            ));
        }
        for machine in group.machines.iter().filter(|machine| !machine.retired) {
            let machine_label = format!("{} ({})", sanitize(&machine.name), sanitize(&machine.id));
            for problem in machine_problems(machine) {
                self.write_note(&format!("{machine_label} {problem}"));
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
                let text = format!("{}no run is recorded", " ".repeat(NESTED_INDENT));
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

    /// Volumes, addresses, certificates, secrets and missing resources.
    fn write_other_resources(&mut self, app: &AppSummary) {
        let short_name = |name: &str| sanitize(name.split_once('/').map_or(name, |(_, rest)| rest));
        let width = |names: Vec<&str>| {
            names
                .iter()
                .map(|name| short_name(name).width())
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
                &format!(
                    "{}  {words}",
                    pad_to_width(&short_name(&volume.name), names)
                ),
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
            let region = Some(sanitize(&ip.region))
                .filter(|region| !matches!(region.as_str(), "" | "global"));
            let region = region
                .map(|region| format!(", {region}"))
                .unwrap_or_default();
            self.write_labelled(
                "ip",
                &format!(
                    "{}  {}{region}",
                    pad_to_width(&sanitize(&ip.address), addresses),
                    sanitize(&ip.kind)
                ),
            );
        }
        let hosts = app
            .certificates
            .iter()
            .map(|certificate| certificate.hostname.width())
            .max()
            .unwrap_or_default();
        for certificate in &app.certificates {
            let state = if certificate.configured {
                "configured".to_owned()
            } else {
                format!(
                    "waits for DNS: `fly certs setup {} -a {}` lists the records to set",
                    sanitize(&certificate.hostname),
                    sanitize(&app.fly_name)
                )
            };
            self.write_labelled(
                "certificate",
                &format!(
                    "{}  {state}",
                    pad_to_width(&sanitize(&certificate.hostname), hosts)
                ),
            );
        }
        for database in &app.databases {
            self.write_labelled("database", &database_text(database));
        }
        self.write_list("secrets", &app.secrets);
        self.write_list("missing", &app.missing);
    }

    fn write_labelled(&mut self, label: &str, text: &str) {
        let label = paint(self.theme.dim, pad_to_width(label, LABEL_WIDTH));
        // Not shortened: an id without its middle is of no use.
        self.write_line(format!("  {label}  {text}"));
    }

    /// Writes names on as many lines as they need.
    fn write_list(&mut self, label: &str, names: &[String]) {
        let available_width = self.width.saturating_sub(LABEL_WIDTH + 4);
        let mut lines: Vec<String> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let comma = if index + 1 < names.len() { "," } else { "" };
            let word = format!("{}{comma}", sanitize(name));
            match lines.last_mut() {
                Some(line) if line.width() + 1 + word.width() <= available_width => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        for (index, line) in lines.iter().enumerate() {
            self.write_labelled(if index == 0 { label } else { "" }, line);
        }
    }

    fn write_aws_resource(&mut self, resource: &AwsResourceSummary) {
        let name = paint(self.theme.title, sanitize(&resource.address));
        self.write_line(format!(
            "{name}  {}",
            paint(self.theme.dim, sanitize(&resource.name))
        ));
        let description = if resource.exists {
            sanitize(&resource.about)
        } else {
            "does not exist yet".to_owned()
        };
        let lines = wrap_words(&description, self.width.saturating_sub(2));
        lines
            .iter()
            .for_each(|line| self.write_line(format!("  {line}")));
        if !resource.wanted {
            self.write_note("it is not in the manifest");
        }
    }

    fn write_unmanaged(&mut self, status: &EnvironmentStatus) {
        for warning in &status.warnings {
            let word = paint(self.theme.change, "warning:");
            self.write_line(format!("{word} {}", sanitize(warning)));
        }
        if status.unmanaged.is_empty() {
            return;
        }
        self.write_line("Not managed, and left alone:");
        for object in &status.unmanaged {
            let line = format!(
                "  {} in {}: {}",
                sanitize(&object.what),
                sanitize(&object.within),
                sanitize(&object.why)
            );
            self.write_line(paint(self.theme.dim, line));
        }
    }

    /// Summarizes the environment in one sentence.
    fn write_summary(&mut self, status: &EnvironmentStatus) {
        let title = self.theme.title;
        if !status.apps.iter().any(|app| app.exists) {
            let on_aws = status.aws.iter().any(|resource| resource.exists);
            let what = if on_aws {
                "There are no machines."
            } else {
                "Nothing exists yet."
            };
            return self.write_line(paint(title, what));
        }
        let desired: usize = status
            .apps
            .iter()
            .flat_map(|app| &app.groups)
            .map(|group| group.desired)
            .sum();
        let serving = || {
            status
                .machines()
                .filter(|machine| !machine.retired && machine.wanted)
        };
        let count = |activity| {
            serving()
                .filter(|machine| machine.activity == activity)
                .count()
        };
        let (running, asleep) = (count(Activity::Running), count(Activity::Asleep));
        let standby = count(Activity::Standby);
        let extra = status
            .machines()
            .filter(|machine| !machine.retired && !machine.wanted)
            .filter(|machine| machine.activity == Activity::Running)
            .count();
        let unhealthy = serving()
            .filter(|machine| machine.activity == Activity::Running && !machine.is_healthy())
            .count();
        let mixed = status
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
            (extra > 0).then(|| {
                let run = wording::inflect_verb(extra, "run");
                format!("{extra} more {run} without being in the manifest")
            }),
            (asleep > 0).then(|| format!("{asleep} asleep until the next request")),
            (standby > 0).then(|| format!("{standby} on standby")),
            (unhealthy > 0).then(|| format!("{unhealthy} with checks that fail")),
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

/// The problems of a machine, as predicates that follow its name.
fn machine_problems(machine: &MachineSummary) -> Vec<String> {
    let CheckCounts { passing, total } = machine.checks;
    let mut problems = Vec::new();
    match machine.activity {
        Activity::Unreachable => problems.push("is on a host that cannot be reached".to_owned()),
        Activity::Stopped => problems.push(match &machine.last_run {
            Some(run) if !run.requested => format!("stopped by itself: {}", last_run_text(run)),
            Some(_) => "was stopped by hand: no request wakes it".to_owned(),
            None => "does not run, and no request wakes it".to_owned(),
        }),
        Activity::Failed => problems.push(match &machine.last_run {
            Some(run) => format!("failed to start: {}", last_run_text(run)),
            None => "failed to start".to_owned(),
        }),
        Activity::Running if passing < total => {
            problems.push(format!(
                "fails {} of {}",
                total - passing,
                wording::format_count(u64::try_from(total).unwrap_or(u64::MAX), "check")
            ));
        }
        Activity::Running | Activity::Changing | Activity::Asleep | Activity::Standby => {}
    }
    // It is expected to be cordoned and extra, so these are no problems.
    if machine.retired {
        problems.push("has handed over to its successor: the next apply removes it".to_owned());
        return problems;
    }
    if machine.cordoned {
        problems.push("is cordoned: the proxy leaves it out".to_owned());
    }
    if !machine.proven {
        problems.push("was never seen to start successfully".to_owned());
    }
    if !machine.wanted {
        problems.push("is not in the manifest".to_owned());
    }
    problems
}

/// Where a database is, who owns it, and which secret has its URL.
fn database_text(database: &DatabaseSummary) -> String {
    let DatabaseSummary {
        name: _,
        cluster,
        database,
        role,
        variable,
        wanted,
    } = database;
    let note = if *wanted { "" } else { "  not in the manifest" };
    format!(
        "{}  in {}, owned by {}, URL in {}{note}",
        sanitize(database),
        sanitize(cluster),
        sanitize(role),
        sanitize(variable)
    )
}

/// The size, usage, id, attachment and state of a volume.
fn volume_text(volume: &VolumeSummary) -> String {
    let usage = match (volume.bytes_used, volume.bytes_total) {
        (Some(usage), Some(total)) if total > 0 => {
            let percent = u128::from(usage) * 100 / u128::from(total);
            format!(", {percent}% used")
        }
        _ => String::new(),
    };
    let attachment = match (&volume.held_by_name, &volume.held_by) {
        (Some(name), _) => format!("held by {}", sanitize(name)),
        (None, Some(id)) => format!("held by {}", sanitize(id)),
        (None, None) => "free".to_owned(),
    };
    let state = match volume.state.as_str() {
        "created" | "" => String::new(),
        other => format!("  {}", sanitize(other)),
    };
    let note = if volume.wanted {
        ""
    } else {
        "  not in the manifest"
    };
    format!(
        "{} GB{usage}  {}  {attachment}{state}{note}",
        volume.size_gb,
        sanitize(&volume.id)
    )
}
