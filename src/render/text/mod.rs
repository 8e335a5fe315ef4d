//! The terminal and CI logs. What is dangerous comes first, every object has one line, and details are indented.

use std::fmt::Write as _;

use super::{
    Look, Style,
    detail::{Row, Sign, path_width},
    style::paint,
    value::clean,
};
use crate::{kinds::Found, plan::Plan};

mod board;
mod drift;
mod event;
mod plan;
mod report;
mod rollout;
mod status;
mod versions;
mod why;

pub use board::Board;
pub use drift::drift;
pub use event::{begun, event};
pub use plan::plan;
pub use report::{report, rolled_back};
pub use status::status;
pub use versions::versions;
pub use why::why;

/// Details are indented by so much.
const INDENT: usize = 7;
/// Below this width nothing is laid out any narrower.
const LEAST_WIDTH: usize = 60;
/// So many unmanaged objects are listed; more are counted.
const FEW: usize = 5;

/// Text under construction.
struct Page {
    out: String,
    style: Style,
    width: usize,
}

impl Page {
    fn new(look: Look) -> Self {
        Self {
            out: String::new(),
            style: look.style(),
            width: look.width.max(LEAST_WIDTH),
        }
    }

    /// Adds a line.
    fn line(&mut self, text: impl AsRef<str>) {
        // Padding may leave blanks at the end of a line; they would only be noise in stored output.
        self.out.push_str(text.as_ref().trim_end());
        self.out.push('\n');
    }

    /// Adds an empty line, unless there is one already.
    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Adds the rows of an entry, their values aligned.
    fn rows(&mut self, rows: &[Row], signs: bool) {
        let width = path_width(rows);
        for row in rows {
            let line = format!("{}  {}", pad(&row.path, width), row.text);
            let after = match row.after.as_str() {
                "" => String::new(),
                after => format!("  {}", paint(self.style.quiet, after)),
            };
            let sign = if signs {
                self.sign(row.sign)
            } else {
                String::from(" ")
            };
            self.line(format!("{}{sign} {line}{after}", " ".repeat(INDENT - 2)));
            for (sign, text) in &row.below {
                let sign = self.sign(*sign);
                self.line(format!("{}{sign} {text}", " ".repeat(INDENT + 2)));
            }
        }
    }

    fn sign(&self, sign: Sign) -> String {
        let style = match sign {
            Sign::Add => self.style.create,
            Sign::Change => self.style.change,
            Sign::Remove => self.style.destroy,
            Sign::Same => self.style.quiet,
        };
        paint(style, sign.symbol())
    }

    /// The room for a row of detail.
    fn detail_width(&self) -> usize {
        self.width.saturating_sub(INDENT)
    }

    /// What observing found besides: warnings, and objects that are left alone.
    fn found(&mut self, found: &Found) {
        for warning in &found.warnings {
            let word = paint(self.style.change, "warning:");
            self.line(format!("{word} {}", clean(warning)));
        }
        let number = found.unmanaged.len();
        if number == 0 {
            return;
        }
        let objects = super::words::count(u64::try_from(number).unwrap_or(u64::MAX), "object");
        let end = if number <= FEW { ":" } else { "." };
        self.line(format!("Not managed: {objects} left alone{end}"));
        for unmanaged in found.unmanaged.iter().filter(|_| number <= FEW) {
            let what = clean(&unmanaged.what);
            let why = clean(&unmanaged.why);
            let line = format!("  {what} in {}: {why}", unmanaged.within);
            self.line(paint(self.style.quiet, line));
        }
    }

    /// What the whole narrowed plan leaves undone.
    fn narrowed(&mut self, plan: &Plan) {
        let Some(narrowed) = &plan.narrowed else {
            return;
        };
        let list = |addresses: &[crate::model::Address]| {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            super::words::few(&texts, FEW)
        };
        if !narrowed.pulled_in.is_empty() {
            let also = list(&narrowed.pulled_in);
            self.line(format!("Also included, because the others need it: {also}"));
        }
        if !narrowed.left_out.is_empty() {
            let number = u64::try_from(narrowed.left_out.len()).unwrap_or(u64::MAX);
            let (count, left) = (
                super::words::count(number, "object"),
                list(&narrowed.left_out),
            );
            self.line(format!(
                "Left out by --only, so still to do: {count} ({left})"
            ));
        }
    }

    fn done(self) -> String {
        self.out
    }
}

/// Pads by columns, not by bytes or characters.
fn pad(text: &str, columns: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let mut out = text.to_owned();
    let _ = write!(out, "{:1$}", "", columns.saturating_sub(text.width()));
    out
}
