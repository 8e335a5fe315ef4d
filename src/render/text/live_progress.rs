//! A run under way, as a few lines that are redrawn: what is being done, how far it is, and how long it may yet take.
//! The time is handed in, so that the board is a function of what was told and when.

use std::{collections::BTreeMap, time::Duration};

use unicode_width::UnicodeWidthStr as _;

use super::{event::failure_reason, pad_to_width};
use crate::{
    apply::event::ApplyEvent,
    model::Address,
    plan::Action,
    render::{
        TextOptions, Theme,
        theme::paint,
        value::{prefix_of_width, truncate_middle},
        wording,
    },
};

/// One turn of the sign that something moves.
const SPINNER_FRAMES: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];
/// How long one picture of the turn stands.
const FRAME_MILLIS: u128 = 100;
/// The sign, the gaps between the columns, and a last column that stays free: some terminals wrap a line that is full.
const FIXED_WIDTH: usize = 2 + 2 + 2 + TIME_WIDTH + 1;
/// The widest time, `12m05s`.
const TIME_WIDTH: usize = 6;
/// The widest that is said of a step.
const MAX_ACTIVITY_WIDTH: usize = 34;
/// How long the bar is at most.
const MAX_BAR_WIDTH: usize = 24;
/// So many steps are named in one line about what is waited for.
const MAX_NAMED_STEPS: usize = 2;

/// What is known of a run so far.
#[derive(Clone, Debug, Default)]
pub struct LiveProgress {
    total: usize,
    finished: usize,
    /// When the last step ended.
    last_finished_at: Duration,
    /// The width of the longest address, so that columns stay where they are.
    address_width: usize,
    estimate: Option<Duration>,
    active: BTreeMap<Address, ActiveStep>,
    stopping: bool,
}

/// A step under way.
#[derive(Clone, Debug)]
struct ActiveStep {
    action: Action,
    started_at: Duration,
    /// How far it is, in words; empty until something is told.
    state: String,
}

impl LiveProgress {
    /// A board for steps on these resources.
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

    /// Takes note of an event that happened so long after the beginning.
    pub fn record_event(&mut self, event: &ApplyEvent, at: Duration) {
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
            ApplyEvent::Started { address, action } => {
                let row = ActiveStep {
                    action: *action,
                    started_at: at,
                    state: String::new(),
                };
                self.active.insert(address.clone(), row);
            }
            ApplyEvent::Progress {
                address,
                state,
                passing,
                checks,
            } => {
                if let Some(row) = self.active.get_mut(address) {
                    row.state = wording::format_progress(state, *passing, *checks);
                }
            }
            ApplyEvent::Finished { address, .. }
            | ApplyEvent::Failed { address, .. }
            | ApplyEvent::HeldBack { address, .. } => {
                self.active.remove(address);
                (self.finished, self.last_finished_at) = (self.finished + 1, at);
            }
            ApplyEvent::Skipped { .. } => self.finished += 1,
            ApplyEvent::Stopping => self.stopping = true,
            ApplyEvent::OutOfTime | ApplyEvent::Output { .. } => {}
        }
    }

    /// The lines that are redrawn: at most so many steps, and the bar.
    #[must_use]
    pub fn render_lines(&self, at: Duration, look: &TextOptions, most: usize) -> Vec<String> {
        let style = look.theme();
        let mut lines: Vec<String> = self
            .active
            .iter()
            .take(most)
            .map(|(address, row)| self.render_step(address, row, at, look))
            .collect();
        if self.active.len() > most {
            let more = format!("  and {} more", self.active.len() - most);
            lines.push(paint(style.dim, more));
        }
        lines.push(self.render_bar(at, look));
        lines
    }

    /// The line that an event leaves behind, laid out as the lines that are redrawn. `None` when it leaves none.
    #[must_use]
    pub fn finished_line(&self, event: &ApplyEvent, look: &TextOptions) -> Option<String> {
        let style = look.theme();
        let (address, sign, what, time) = match event {
            ApplyEvent::Begun { .. } | ApplyEvent::Started { .. } | ApplyEvent::Progress { .. } => {
                return None;
            }
            ApplyEvent::Stopping | ApplyEvent::OutOfTime | ApplyEvent::Output { .. } => {
                return super::event(event, look);
            }
            ApplyEvent::HeldBack {
                address, failure, ..
            } => {
                let why = failure_reason(failure, Theme::plain());
                (
                    address,
                    paint(style.change, '–'),
                    format!("held back: {why}"),
                    None,
                )
            }
            ApplyEvent::Finished {
                address,
                action,
                millis,
            } => {
                let time = wording::format_duration(Duration::from_millis(*millis));
                (
                    address,
                    paint(style.create, '✓'),
                    wording::action_participles(*action).1.to_owned(),
                    Some(time),
                )
            }
            ApplyEvent::Failed {
                address,
                action,
                failure,
            } => {
                let why = failure_reason(failure, Theme::plain());
                let what = format!("FAILED to {}: {why}", wording::action_imperative(*action));
                (address, paint(style.error, '✗'), what, None)
            }
            ApplyEvent::Skipped {
                address, because, ..
            } => (
                address,
                paint(style.change, '–'),
                format!("skipped, because {because} failed"),
                None,
            ),
        };
        let (name, doing) = self.column_widths(look);
        let address = pad_to_width(&truncate_middle(&address.to_string(), name), name);
        Some(match time {
            Some(time) => {
                let what = pad_to_width(&truncate_middle(&what, doing), doing);
                format!(
                    "{sign} {address}  {what}  {}",
                    paint(style.dim, format!("{time:>TIME_WIDTH$}"))
                )
            }
            None => {
                // The report at the end says it in full.
                let room = look.width.saturating_sub(2 + name + 2 + 1);
                let what = if what.width() <= room {
                    what
                } else {
                    format!("{}…", prefix_of_width(&what, room.saturating_sub(1)))
                };
                let style = if matches!(event, ApplyEvent::Failed { .. }) {
                    style.error
                } else {
                    style.change
                };
                format!("{sign} {address}  {}", paint(style, what))
            }
        })
    }

    /// What is waited for, for a log in which nothing has been said for long.
    #[must_use]
    pub fn waiting_message(&self, at: Duration) -> Option<String> {
        let waits = |(address, row): (&Address, &ActiveStep)| {
            let state = if row.state.is_empty() {
                wording::action_participles(row.action).0
            } else {
                &row.state
            };
            format!(
                "{address} ({state}, {})",
                format_seconds(at.saturating_sub(row.started_at))
            )
        };
        let all: Vec<String> = self.active.iter().map(waits).collect();
        let steps = wording::format_count(u64::try_from(self.total).unwrap_or(u64::MAX), "step");
        let list = wording::join_limited(&all, MAX_NAMED_STEPS);
        (!all.is_empty()).then(|| format!("{} of {steps} done, waiting for {list}", self.finished))
    }

    fn render_step(
        &self,
        address: &Address,
        row: &ActiveStep,
        at: Duration,
        look: &TextOptions,
    ) -> String {
        let style = look.theme();
        let (name, doing) = self.column_widths(look);
        let turn = SPINNER_FRAMES[usize::try_from(at.as_millis() / FRAME_MILLIS)
            .unwrap_or_default()
            % SPINNER_FRAMES.len()];
        let action = wording::action_participles(row.action).0;
        let whole = if row.state.is_empty() {
            action.to_owned()
        } else {
            format!("{action}, {}", row.state)
        };
        // Where there is little room the state counts: what is done to it was said by the plan.
        let words = if whole.width() > doing && !row.state.is_empty() {
            &row.state
        } else {
            &whole
        };
        let time = format_seconds(at.saturating_sub(row.started_at));
        format!(
            "{} {}  {}  {}",
            paint(style.progress, turn),
            pad_to_width(&truncate_middle(&address.to_string(), name), name),
            paint(
                style.dim,
                pad_to_width(&truncate_middle(words, doing), doing)
            ),
            paint(style.dim, format!("{time:>TIME_WIDTH$}")),
        )
    }

    /// The widths of the address and of what is done: both stay the same as long as the terminal does.
    fn column_widths(&self, look: &TextOptions) -> (usize, usize) {
        let room = look.width.saturating_sub(FIXED_WIDTH);
        let name = self.address_width.min(room.saturating_sub(room / 3));
        (name, MAX_ACTIVITY_WIDTH.min(room.saturating_sub(name)))
    }

    fn render_bar(&self, at: Duration, look: &TextOptions) -> String {
        let style = look.theme();
        let mut words = vec![
            format!("{}/{} steps", self.finished, self.total),
            format_seconds(at),
        ];
        words.extend(
            self.time_left(at)
                .map(|left| format!("{} left", format_rough_time(left))),
        );
        if self.stopping {
            words.push("stopping".to_owned());
        }
        let words = words.join(" · ");
        let width = MAX_BAR_WIDTH.min(look.width.saturating_sub(words.width() + 5));
        let done = (width * self.finished)
            .checked_div(self.total)
            .unwrap_or(width)
            .min(width);
        let (full, rest) = ("━".repeat(done), "─".repeat(width.saturating_sub(done)));
        let words = truncate_middle(&words, look.width.saturating_sub(width + 5));
        format!(
            "  {}{}  {words}",
            paint(style.progress, full),
            paint(style.dim, rest)
        )
    }

    /// How long it may yet take: what the estimate leaves, scaled by how much faster or slower it went so far. The
    /// further the run is, the more its own pace counts. It is guessed anew whenever a step ends, and counts down in
    /// between; a guess that has run out says nothing.
    fn time_left(&self, at: Duration) -> Option<Duration> {
        let estimate = self.estimate?.as_secs_f64();
        let done = self.finished as f64 / self.total.max(self.finished).max(1) as f64;
        let scale = match self.finished {
            0 => 1.0,
            _ => (self.last_finished_at.as_secs_f64() / (estimate * done))
                .clamp(PACE_LIMITS.0, PACE_LIMITS.1)
                .powf(done),
        };
        let guess = Duration::from_secs_f64(estimate * (1.0 - done) * scale);
        guess
            .checked_sub(at.saturating_sub(self.last_finished_at))
            .filter(|left| !left.is_zero())
    }
}

/// How much faster and slower than the estimate a run is believed to be: its first steps may be no measure.
const PACE_LIMITS: (f64, f64) = (0.1, 10.0);

/// Whole seconds: tenths that change all the time say nothing.
fn format_seconds(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..60 => format!("{secs} s"),
        _ => wording::format_duration(time),
    }
}

/// A guess must not look exact.
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

    /// Three steps, of which one is done and one under way.
    fn board() -> LiveProgress {
        let all = [
            "fly.secrets/web",
            "fly.machine/web/app/ewr/0",
            "fly.machine/web/app/ewr/1",
        ]
        .map(address);
        let mut board = LiveProgress::new(&all);
        board.record_event(
            &ApplyEvent::Begun {
                total: 3,
                estimate_secs: Some(90),
            },
            Duration::ZERO,
        );
        for at in &all[..2] {
            board.record_event(
                &ApplyEvent::Started {
                    address: at.clone(),
                    action: Action::Update,
                },
                SECOND,
            );
        }
        let done = ApplyEvent::Finished {
            address: all[0].clone(),
            action: Action::Update,
            millis: 400,
        };
        board.record_event(&done, 2 * SECOND);
        let state = "started\u{7}".to_owned();
        board.record_event(
            &ApplyEvent::Progress {
                address: all[1].clone(),
                state,
                passing: 1,
                checks: 2,
            },
            3 * SECOND,
        );
        board
    }

    #[test]
    fn a_board_keeps_its_columns_and_never_wraps() {
        let look = |width| TextOptions {
            color: false,
            width,
        };
        let lines = board().render_lines(13 * SECOND, &look(100), 9);
        assert_eq!(
            lines[0],
            "⣻ fly.machine/web/app/ewr/0  updating, started\\u{7}, 1/2 checks    12 s"
        );
        assert_eq!(
            lines[1],
            "  ━━━━━━━━────────────────  1/3 steps · 13 s · about 20 s left"
        );
        for width in [40, 60, 61, 80, 120] {
            for line in board().render_lines(700 * SECOND, &look(width), 9) {
                assert!(line.width() < width, "{width}: {line}");
            }
        }
        assert_eq!(
            board().render_lines(SECOND, &look(100), 0)[0],
            "  and 1 more"
        );
    }

    #[test]
    fn what_ended_leaves_one_line_in_the_same_columns() {
        let machine = address("fly.machine/web/app/ewr/0");
        let look = TextOptions {
            color: false,
            width: 60,
        };
        let done = ApplyEvent::Finished {
            address: machine.clone(),
            action: Action::Update,
            millis: 12_000,
        };
        let line = board().finished_line(&done, &look).unwrap();
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
        let line = board().finished_line(&failed, &look).unwrap();
        assert!(line.width() < 60 && line.ends_with('…'), "{line}");
    }

    #[test]
    fn the_time_left_follows_the_estimate_and_then_the_run() {
        let left = |ended: usize, last: u32, secs: u32| {
            let mut board = board();
            (board.total, board.finished, board.last_finished_at) = (10, ended, last * SECOND);
            board.time_left(secs * SECOND).map(|left| left.as_secs())
        };
        assert_eq!(left(0, 0, 30), Some(60));
        assert_eq!(
            left(0, 0, 100),
            None,
            "an estimate that has run out says nothing"
        );
        assert_eq!(left(5, 45, 45), Some(45));
        assert_eq!(
            left(5, 45, 60),
            Some(30),
            "it counts down while nothing ends"
        );
        assert!(left(5, 90, 90) > Some(45) && left(5, 20, 20) < Some(45));
        assert!(
            left(9, 810, 810).unwrap() > 60,
            "at a tenth of the pace the last tenth takes long"
        );
    }

    #[test]
    fn silence_is_explained() {
        let said = board().waiting_message(31 * SECOND).unwrap();
        assert!(
            said.starts_with("1 of 3 steps done, waiting for fly.machine/web/app/ewr/0 (started"),
            "{said}"
        );
        assert!(said.ends_with("1/2 checks, 30 s)"), "{said}");
        assert_eq!(LiveProgress::default().waiting_message(SECOND), None);
    }
}
