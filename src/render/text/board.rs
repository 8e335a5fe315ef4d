//! A run under way, as a few lines that are redrawn: what is being done, how far it is, and how long it may yet take.
//! The time is handed in, so that the board is a function of what was told and when.

use std::{collections::BTreeMap, time::Duration};

use unicode_width::UnicodeWidthStr as _;

use super::{event::reason, pad};
use crate::{
    apply::event::Event,
    model::Address,
    plan::Action,
    render::{
        Look, Style,
        style::paint,
        value::{cut, head_of},
        words,
    },
};

/// One turn of the sign that something moves.
const TURN: [char; 8] = ['⣾', '⣽', '⣻', '⢿', '⡿', '⣟', '⣯', '⣷'];
/// How long one picture of the turn stands.
const FRAME: u128 = 100;
/// The sign, the gaps between the columns, and a last column that stays free: some terminals wrap a line that is full.
const FIXED: usize = 2 + 2 + 2 + TIME + 1;
/// The widest time, `12m05s`.
const TIME: usize = 6;
/// The widest that is said of a step.
const DOING: usize = 34;
/// How long the bar is at most.
const BAR: usize = 24;
/// So many steps are named in one line about what is waited for.
const NAMED: usize = 2;

/// What is known of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Board {
    total: usize,
    ended: usize,
    /// When the last step ended.
    last: Duration,
    /// The width of the longest address, so that columns stay where they are.
    widest: usize,
    estimate: Option<Duration>,
    rows: BTreeMap<Address, Row>,
    stopping: bool,
}

/// A step under way.
#[derive(Clone, Debug)]
struct Row {
    action: Action,
    begun: Duration,
    /// How far it is, in words; empty until something is told.
    state: String,
}

impl Board {
    /// A board for steps on these resources.
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a Address>) -> Self {
        let widths: Vec<usize> = addresses
            .into_iter()
            .map(|address| address.to_string().width())
            .collect();
        Self {
            total: widths.len(),
            widest: widths.into_iter().max().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Takes note of an event that happened so long after the beginning.
    pub fn tell(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Begun {
                total,
                estimate_secs,
            } => {
                self.total = *total;
                self.estimate = estimate_secs
                    .filter(|secs| *secs > 0)
                    .map(Duration::from_secs);
            }
            Event::Started { address, action } => {
                let row = Row {
                    action: *action,
                    begun: at,
                    state: String::new(),
                };
                self.rows.insert(address.clone(), row);
            }
            Event::Progress {
                address,
                state,
                passing,
                checks,
            } => {
                if let Some(row) = self.rows.get_mut(address) {
                    row.state = words::progress(state, *passing, *checks);
                }
            }
            Event::Finished { address, .. }
            | Event::Failed { address, .. }
            | Event::HeldBack { address, .. } => {
                self.rows.remove(address);
                (self.ended, self.last) = (self.ended + 1, at);
            }
            Event::Skipped { .. } => self.ended += 1,
            Event::Stopping => self.stopping = true,
            Event::OutOfTime | Event::Output { .. } => {}
        }
    }

    /// The lines that are redrawn: at most so many steps, and the bar.
    #[must_use]
    pub fn lines(&self, at: Duration, look: &Look, most: usize) -> Vec<String> {
        let style = look.style();
        let mut lines: Vec<String> = self
            .rows
            .iter()
            .take(most)
            .map(|(address, row)| self.row(address, row, at, look))
            .collect();
        if self.rows.len() > most {
            let more = format!("  and {} more", self.rows.len() - most);
            lines.push(paint(style.quiet, more));
        }
        lines.push(self.bar(at, look));
        lines
    }

    /// The line that an event leaves behind, laid out as the lines that are redrawn. `None` when it leaves none.
    #[must_use]
    pub fn left_behind(&self, event: &Event, look: &Look) -> Option<String> {
        let style = look.style();
        let (address, sign, what, time) = match event {
            Event::Begun { .. } | Event::Started { .. } | Event::Progress { .. } => return None,
            Event::Stopping | Event::OutOfTime | Event::Output { .. } => {
                return super::event(event, look);
            }
            Event::HeldBack {
                address, failure, ..
            } => {
                let why = reason(failure, Style::plain());
                (
                    address,
                    paint(style.change, '–'),
                    format!("held back: {why}"),
                    None,
                )
            }
            Event::Finished {
                address,
                action,
                millis,
            } => {
                let time = words::duration(Duration::from_millis(*millis));
                (
                    address,
                    paint(style.create, '✓'),
                    words::action(*action).1.to_owned(),
                    Some(time),
                )
            }
            Event::Failed {
                address,
                action,
                failure,
            } => {
                let why = reason(failure, Style::plain());
                let what = format!("FAILED to {}: {why}", words::imperative(*action));
                (address, paint(style.alarm, '✗'), what, None)
            }
            Event::Skipped {
                address, because, ..
            } => (
                address,
                paint(style.change, '–'),
                format!("skipped, because {because} failed"),
                None,
            ),
        };
        let (name, doing) = self.columns(look);
        let address = pad(&cut(&address.to_string(), name), name);
        Some(match time {
            Some(time) => {
                let what = pad(&cut(&what, doing), doing);
                format!(
                    "{sign} {address}  {what}  {}",
                    paint(style.quiet, format!("{time:>TIME$}"))
                )
            }
            None => {
                // The report at the end says it in full.
                let room = look.width.saturating_sub(2 + name + 2 + 1);
                let what = if what.width() <= room {
                    what
                } else {
                    format!("{}…", head_of(&what, room.saturating_sub(1)))
                };
                let style = if matches!(event, Event::Failed { .. }) {
                    style.alarm
                } else {
                    style.change
                };
                format!("{sign} {address}  {}", paint(style, what))
            }
        })
    }

    /// What is waited for, for a log in which nothing has been said for long.
    #[must_use]
    pub fn waits_for(&self, at: Duration) -> Option<String> {
        let waits = |(address, row): (&Address, &Row)| {
            let state = if row.state.is_empty() {
                words::action(row.action).0
            } else {
                &row.state
            };
            format!(
                "{address} ({state}, {})",
                seconds(at.saturating_sub(row.begun))
            )
        };
        let all: Vec<String> = self.rows.iter().map(waits).collect();
        let steps = words::count(u64::try_from(self.total).unwrap_or(u64::MAX), "step");
        let list = words::few(&all, NAMED);
        (!all.is_empty()).then(|| format!("{} of {steps} done, waiting for {list}", self.ended))
    }

    fn row(&self, address: &Address, row: &Row, at: Duration, look: &Look) -> String {
        let style = look.style();
        let (name, doing) = self.columns(look);
        let turn = TURN[usize::try_from(at.as_millis() / FRAME).unwrap_or_default() % TURN.len()];
        let action = words::action(row.action).0;
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
        let time = seconds(at.saturating_sub(row.begun));
        format!(
            "{} {}  {}  {}",
            paint(style.bar, turn),
            pad(&cut(&address.to_string(), name), name),
            paint(style.quiet, pad(&cut(words, doing), doing)),
            paint(style.quiet, format!("{time:>TIME$}")),
        )
    }

    /// The widths of the address and of what is done: both stay the same as long as the terminal does.
    fn columns(&self, look: &Look) -> (usize, usize) {
        let room = look.width.saturating_sub(FIXED);
        let name = self.widest.min(room.saturating_sub(room / 3));
        (name, DOING.min(room.saturating_sub(name)))
    }

    fn bar(&self, at: Duration, look: &Look) -> String {
        let style = look.style();
        let mut words = vec![format!("{}/{} steps", self.ended, self.total), seconds(at)];
        words.extend(self.left(at).map(|left| format!("{} left", rough(left))));
        if self.stopping {
            words.push("stopping".to_owned());
        }
        let words = words.join(" · ");
        let width = BAR.min(look.width.saturating_sub(words.width() + 5));
        let done = (width * self.ended)
            .checked_div(self.total)
            .unwrap_or(width)
            .min(width);
        let (full, rest) = ("━".repeat(done), "─".repeat(width.saturating_sub(done)));
        let words = cut(&words, look.width.saturating_sub(width + 5));
        format!(
            "  {}{}  {words}",
            paint(style.bar, full),
            paint(style.quiet, rest)
        )
    }

    /// How long it may yet take: what the estimate leaves, scaled by how much faster or slower it went so far. The
    /// further the run is, the more its own pace counts. It is guessed anew whenever a step ends, and counts down in
    /// between; a guess that has run out says nothing.
    fn left(&self, at: Duration) -> Option<Duration> {
        let estimate = self.estimate?.as_secs_f64();
        let done = self.ended as f64 / self.total.max(self.ended).max(1) as f64;
        let scale = match self.ended {
            0 => 1.0,
            _ => (self.last.as_secs_f64() / (estimate * done))
                .clamp(PACES.0, PACES.1)
                .powf(done),
        };
        let guess = Duration::from_secs_f64(estimate * (1.0 - done) * scale);
        guess
            .checked_sub(at.saturating_sub(self.last))
            .filter(|left| !left.is_zero())
    }
}

/// How much faster and slower than the estimate a run is believed to be: its first steps may be no measure.
const PACES: (f64, f64) = (0.1, 10.0);

/// Whole seconds: tenths that change all the time say nothing.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..60 => format!("{secs} s"),
        _ => words::duration(time),
    }
}

/// A guess must not look exact.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        0..5 => "a few seconds".to_owned(),
        secs @ 5..60 => format!("about {} s", secs.div_ceil(5) * 5),
        secs => format!("about {} min", (secs + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::event::Failure;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    /// Three steps, of which one is done and one under way.
    fn board() -> Board {
        let all = [
            "fly.secrets/web",
            "fly.machine/web/app/ewr/0",
            "fly.machine/web/app/ewr/1",
        ]
        .map(address);
        let mut board = Board::new(&all);
        board.tell(
            &Event::Begun {
                total: 3,
                estimate_secs: Some(90),
            },
            Duration::ZERO,
        );
        for at in &all[..2] {
            board.tell(
                &Event::Started {
                    address: at.clone(),
                    action: Action::Update,
                },
                SECOND,
            );
        }
        let done = Event::Finished {
            address: all[0].clone(),
            action: Action::Update,
            millis: 400,
        };
        board.tell(&done, 2 * SECOND);
        let state = "started\u{7}".to_owned();
        board.tell(
            &Event::Progress {
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
        let look = |width| Look {
            color: false,
            width,
        };
        let lines = board().lines(13 * SECOND, &look(100), 9);
        assert_eq!(
            lines[0],
            "⣻ fly.machine/web/app/ewr/0  updating, started\\u{7}, 1/2 checks    12 s"
        );
        assert_eq!(
            lines[1],
            "  ━━━━━━━━────────────────  1/3 steps · 13 s · about 20 s left"
        );
        for width in [40, 60, 61, 80, 120] {
            for line in board().lines(700 * SECOND, &look(width), 9) {
                assert!(line.width() < width, "{width}: {line}");
            }
        }
        assert_eq!(board().lines(SECOND, &look(100), 0)[0], "  and 1 more");
    }

    #[test]
    fn what_ended_leaves_one_line_in_the_same_columns() {
        let machine = address("fly.machine/web/app/ewr/0");
        let look = Look {
            color: false,
            width: 60,
        };
        let done = Event::Finished {
            address: machine.clone(),
            action: Action::Update,
            millis: 12_000,
        };
        let line = board().left_behind(&done, &look).unwrap();
        assert_eq!(
            line,
            "✓ fly.machine/web/app/ewr/0  updated                   12 s"
        );
        let failure = Failure {
            reason: "a\nb ".repeat(40),
            request_id: None,
            hint: None,
        };
        let failed = Event::Failed {
            address: machine,
            action: Action::Update,
            failure,
        };
        let line = board().left_behind(&failed, &look).unwrap();
        assert!(line.width() < 60 && line.ends_with('…'), "{line}");
    }

    #[test]
    fn the_time_left_follows_the_estimate_and_then_the_run() {
        let left = |ended: usize, last: u32, secs: u32| {
            let mut board = board();
            (board.total, board.ended, board.last) = (10, ended, last * SECOND);
            board.left(secs * SECOND).map(|left| left.as_secs())
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
        let said = board().waits_for(31 * SECOND).unwrap();
        assert!(
            said.starts_with("1 of 3 steps done, waiting for fly.machine/web/app/ewr/0 (started"),
            "{said}"
        );
        assert!(said.ends_with("1/2 checks, 30 s)"), "{said}");
        assert_eq!(Board::default().waits_for(SECOND), None);
    }
}
