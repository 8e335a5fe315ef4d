//! Progress of a running apply, as a few lines that a terminal redraws: active steps, a progress bar and the estimated
//! remaining time. Callers pass the time, so the output depends only on the recorded events.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use unicode_width::UnicodeWidthStr as _;

use super::pad_to_width;
use crate::{
    apply::event::ApplyEvent,
    model::Address,
    plan::Action,
    render::{
        TextOptions,
        theme::paint,
        value::{sanitize, truncate_middle},
        wording,
    },
};

/// The frames of the spinner.
const SPINNER_FRAMES: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];
/// How long each frame is shown, in milliseconds.
const FRAME_MILLIS: u128 = 100;
/// The width of everything but address and activity: spinner, gaps, time, and a free last column, because some terminals
/// wrap a full line.
const FIXED_WIDTH: usize = 2 + 2 + 2 + TIME_WIDTH + 1;
/// The width of the longest usual time, `12m05s`.
pub(super) const TIME_WIDTH: usize = 6;
/// The maximum width of the column that says what a step is doing.
const MAX_ACTIVITY_WIDTH: usize = 34;
/// The maximum width of the progress bar.
const MAX_BAR_WIDTH: usize = 24;
/// The maximum number of steps named in a waiting message.
const MAX_NAMED_STEPS: usize = 2;

/// The state of an apply, from the events so far. Times are relative to its start.
#[derive(Clone, Debug, Default)]
pub struct LiveProgress {
    total: usize,
    finished: usize,
    /// The width of the longest address in the plan, so that columns never move.
    address_width: usize,
    /// How long the whole apply will probably take, by the steps so far.
    estimate: Option<Duration>,
    active: BTreeMap<Address, ActiveStep>,
    stopping: bool,
    /// The machines whose leases another run holds, and who holds each.
    lease_waits: BTreeMap<String, String>,
}

/// A step that is running.
#[derive(Clone, Debug)]
struct ActiveStep {
    action: Action,
    started_at: Duration,
    /// The last reported progress; empty until there is one.
    state: String,
}

impl LiveProgress {
    /// Creates the state for a plan; `addresses` has the address of each step.
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> Self {
        let widths: Vec<usize> = addresses
            .into_iter()
            .map(|address| address.to_string().width())
            .collect();
        Self {
            total: widths.len(),
            address_width: widths.into_iter().max().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Records an event. `now` is the time since the start of the apply, here and below.
    pub fn record_event(&mut self, event: &ApplyEvent, now: Duration) {
        match event {
            ApplyEvent::Begun {
                total,
                estimate_secs,
            } => {
                self.total = *total;
                self.estimate = estimate_secs
                    .filter(|secs| *secs > 0)
                    .map(Duration::from_secs);
            }
            ApplyEvent::WaitingForLease {
                machine, holder, ..
            } => {
                self.lease_waits.insert(machine.clone(), holder.clone());
            }
            ApplyEvent::Started { address, action } => {
                // All leases are held before the first step.
                self.lease_waits.clear();
                let step = ActiveStep {
                    action: *action,
                    started_at: now,
                    state: String::new(),
                };
                self.active.insert(address.clone(), step);
            }
            ApplyEvent::Progress {
                address,
                state,
                passing,
                checks,
            } => {
                if let Some(step) = self.active.get_mut(address) {
                    step.state = wording::format_progress(state, *passing, *checks);
                }
            }
            ApplyEvent::Finished {
                address,
                estimate_millis,
                ..
            } => {
                self.end_step(address);
                self.estimate = Some(Duration::from_millis(*estimate_millis));
            }
            ApplyEvent::Failed { address, .. } | ApplyEvent::HeldBack { address, .. } => {
                self.end_step(address);
            }
            ApplyEvent::Skipped { .. } => self.finished += 1,
            ApplyEvent::Stopping => self.stopping = true,
            ApplyEvent::OutOfTime | ApplyEvent::Output { .. } => {}
        }
    }

    fn end_step(&mut self, address: &Address) {
        self.active.remove(address);
        self.finished += 1;
    }

    /// The lines to redraw: at most `max_steps` active steps, and the progress bar.
    #[must_use]
    pub fn render_lines(
        &self,
        now: Duration,
        options: &TextOptions,
        max_steps: usize,
    ) -> Vec<String> {
        let theme = options.theme();
        let mut lines: Vec<String> = self
            .active
            .iter()
            .take(max_steps)
            .map(|(address, step)| self.render_step(address, step, now, options))
            .collect();
        if self.active.len() > max_steps {
            let hidden = format!("  and {} more", self.active.len() - max_steps);
            lines.push(paint(theme.dim, hidden));
        }
        lines.extend(self.lease_message());
        lines.push(self.render_bar(now, options));
        lines
    }

    /// A message about the active steps, for logs without output for a while; `None` if there are none.
    #[must_use]
    pub fn waiting_message(&self, now: Duration) -> Option<String> {
        let describe = |(address, step): (&Address, &ActiveStep)| {
            let state = if step.state.is_empty() {
                wording::action_participles(step.action).0
            } else {
                &step.state
            };
            format!(
                "{address} ({state}, {})",
                format_seconds(now.saturating_sub(step.started_at))
            )
        };
        if let Some(message) = self.lease_message() {
            return Some(message);
        }
        let all: Vec<String> = self.active.iter().map(describe).collect();
        let steps = wording::format_count(u64::try_from(self.total).unwrap_or(u64::MAX), "step");
        let list = wording::join_limited(&all, MAX_NAMED_STEPS);
        (!all.is_empty()).then(|| format!("{} of {steps} done, waiting for {list}", self.finished))
    }

    /// What is being waited for before the first step; `None` if nothing is.
    fn lease_message(&self) -> Option<String> {
        let holders: BTreeSet<&String> = self.lease_waits.values().collect();
        let holders: Vec<String> = holders.into_iter().map(|name| sanitize(name)).collect();
        let count = u64::try_from(self.lease_waits.len()).unwrap_or(u64::MAX);
        (!holders.is_empty()).then(|| {
            format!(
                "waiting for the leases of {}, held by {}",
                wording::format_count(count, "machine"),
                wording::join_limited(&holders, MAX_NAMED_STEPS)
            )
        })
    }

    fn render_step(
        &self,
        address: &Address,
        step: &ActiveStep,
        now: Duration,
        options: &TextOptions,
    ) -> String {
        let theme = options.theme();
        let (address_width, activity_width) = self.column_widths(options);
        let frame = SPINNER_FRAMES[usize::try_from(now.as_millis() / FRAME_MILLIS)
            .unwrap_or_default()
            % SPINNER_FRAMES.len()];
        let action = wording::action_participles(step.action).0;
        let full_text = if step.state.is_empty() {
            action.to_owned()
        } else {
            format!("{action}, {}", step.state)
        };
        // If both do not fit, the state matters more: the plan has already shown the action.
        let text = if full_text.width() > activity_width && !step.state.is_empty() {
            &step.state
        } else {
            &full_text
        };
        let time = format_seconds(now.saturating_sub(step.started_at));
        format!(
            "{} {}  {}  {}",
            paint(theme.progress, frame),
            pad_to_width(
                &truncate_middle(&address.to_string(), address_width),
                address_width
            ),
            paint(
                theme.dim,
                pad_to_width(&truncate_middle(text, activity_width), activity_width)
            ),
            paint(theme.dim, format!("{time:>TIME_WIDTH$}")),
        )
    }

    /// The widths of the address and activity columns. They depend only on the plan and the terminal width, so that
    /// columns do not move during an apply.
    pub(super) fn column_widths(&self, options: &TextOptions) -> (usize, usize) {
        let available_width = options.width.saturating_sub(FIXED_WIDTH);
        let address_width = self
            .address_width
            .min(available_width.saturating_sub(available_width / 3));
        (
            address_width,
            MAX_ACTIVITY_WIDTH.min(available_width.saturating_sub(address_width)),
        )
    }

    fn render_bar(&self, now: Duration, options: &TextOptions) -> String {
        let theme = options.theme();
        let mut parts = vec![
            format!("{}/{} steps", self.finished, self.total),
            format_seconds(now),
        ];
        parts.extend(
            self.time_left(now)
                .map(|remaining| format!("{} left", format_rough_time(remaining))),
        );
        if self.stopping {
            parts.push("stopping".to_owned());
        }
        let text = parts.join(" · ");
        let width = MAX_BAR_WIDTH.min(options.width.saturating_sub(text.width() + 5));
        let done = (width * self.finished)
            .checked_div(self.total)
            .unwrap_or(width)
            .min(width);
        let (filled, unfilled) = ("━".repeat(done), "─".repeat(width.saturating_sub(done)));
        let text = truncate_middle(&text, options.width.saturating_sub(width + 5));
        format!(
            "  {}{}  {text}",
            paint(theme.progress, filled),
            paint(theme.dim, unfilled)
        )
    }

    /// The remaining time. `None` without an estimate, or once it is used up.
    fn time_left(&self, now: Duration) -> Option<Duration> {
        self.estimate?
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }
}

/// A duration in whole seconds: flickering tenths would be useless.
fn format_seconds(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..60 => format!("{secs} s"),
        _ => wording::format_duration(time),
    }
}

/// An estimate, rounded so that it does not look exact.
fn format_rough_time(time: Duration) -> String {
    match time.as_secs() {
        0..5 => "a few seconds".to_owned(),
        secs @ 5..60 => format!("about {} s", secs.div_ceil(5) * 5),
        secs => format!("about {} min", (secs + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::event::ApplyFailure;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    /// Three steps: one finished, one running, one not started.
    fn progress() -> LiveProgress {
        let all = [
            "fly.secrets/web",
            "fly.machine/web/app/ewr/0",
            "fly.machine/web/app/ewr/1",
        ]
        .map(address);
        let mut progress = LiveProgress::new(&all);
        progress.record_event(
            &ApplyEvent::Begun {
                total: 3,
                estimate_secs: Some(90),
            },
            Duration::ZERO,
        );
        for running in &all[..2] {
            progress.record_event(
                &ApplyEvent::Started {
                    address: running.clone(),
                    action: Action::Update,
                },
                SECOND,
            );
        }
        let done = ApplyEvent::Finished {
            address: all[0].clone(),
            action: Action::Update,
            millis: 400,
            estimate_millis: 31_000,
        };
        progress.record_event(&done, 2 * SECOND);
        let state = "started\u{7}".to_owned();
        progress.record_event(
            &ApplyEvent::Progress {
                address: all[1].clone(),
                state,
                passing: 1,
                checks: 2,
            },
            3 * SECOND,
        );
        progress
    }

    #[test]
    fn lines_keep_their_columns_and_never_wrap() {
        let options = |width| TextOptions {
            color: false,
            width,
        };
        let lines = progress().render_lines(13 * SECOND, &options(100), 9);
        assert_eq!(
            lines[0],
            "⣻ fly.machine/web/app/ewr/0  updating, started\\u{7}, 1/2 checks    12 s"
        );
        assert_eq!(
            lines[1],
            "  ━━━━━━━━────────────────  1/3 steps · 13 s · about 20 s left"
        );
        for width in [40, 60, 61, 80, 120] {
            for line in progress().render_lines(700 * SECOND, &options(width), 9) {
                assert!(line.width() < width, "{width}: {line}");
            }
        }
        assert_eq!(
            progress().render_lines(SECOND, &options(100), 0)[0],
            "  and 1 more"
        );
    }

    #[test]
    fn finished_lines_use_the_same_columns() {
        let machine = address("fly.machine/web/app/ewr/0");
        let options = TextOptions {
            color: false,
            width: 60,
        };
        let done = ApplyEvent::Finished {
            address: machine.clone(),
            action: Action::Update,
            millis: 12_000,
            estimate_millis: 31_000,
        };
        let line = progress().finished_line(&done, &options).unwrap();
        assert_eq!(
            line,
            "✓ fly.machine/web/app/ewr/0  updated                   12 s"
        );
        let failure = ApplyFailure {
            reason: "a\nb ".repeat(40),
            request_id: None,
            hint: None,
        };
        let failed = ApplyEvent::Failed {
            address: machine,
            action: Action::Update,
            failure,
        };
        let line = progress().finished_line(&failed, &options).unwrap();
        assert!(line.width() < 60 && line.ends_with('…'), "{line}");
    }

    #[test]
    fn time_left_follows_the_latest_estimate() {
        let mut progress = progress();
        let left = |progress: &LiveProgress, secs: u32| {
            let left = progress.time_left(secs * SECOND)?;
            Some(left.as_secs())
        };
        assert_eq!(left(&progress, 11), Some(20));
        assert_eq!(left(&progress, 31), None, "an estimate that is used up");
        let slow = ApplyEvent::Finished {
            address: address("fly.machine/web/app/ewr/0"),
            action: Action::Update,
            millis: 30_000,
            estimate_millis: 80_000,
        };
        progress.record_event(&slow, 31 * SECOND);
        assert_eq!(left(&progress, 31), Some(49));
    }

    #[test]
    fn waiting_message_names_active_steps() {
        let message = progress().waiting_message(31 * SECOND).unwrap();
        assert!(
            message
                .starts_with("1 of 3 steps done, waiting for fly.machine/web/app/ewr/0 (started"),
            "{message}"
        );
        assert!(message.ends_with("1/2 checks, 30 s)"), "{message}");
        assert_eq!(LiveProgress::default().waiting_message(SECOND), None);
    }
}
