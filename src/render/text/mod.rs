//! The terminal and CI logs. What is dangerous comes first, every object has one line, and details are indented.

use std::fmt::Write as _;

use super::{
    TextOptions, Theme,
    attribute_rows::{AttributeRow, LineMarker, path_width},
    theme::paint,
    value::sanitize,
};
use crate::{kinds::Findings, plan::Plan};

mod drift;
mod event;
mod live_progress;
mod plan;
mod report;
mod rollout;
mod status;
mod versions;
mod why;

pub use drift::drift;
pub use event::{begin_text, event};
pub use live_progress::LiveProgress;
pub use plan::plan;
pub use report::{report, rollback_report};
pub use status::status;
pub use versions::versions;
pub use why::why;

/// Details are indented by so much.
const DETAIL_INDENT: usize = 7;
/// Below this width nothing is laid out any narrower.
const MIN_WIDTH: usize = 60;
/// So many unmanaged objects are listed; more are counted.
const MAX_LISTED: usize = 5;

/// Text under construction.
struct TextWriter {
    out: String,
    theme: Theme,
    width: usize,
}

impl TextWriter {
    fn new(look: TextOptions) -> Self {
        Self {
            out: String::new(),
            theme: look.theme(),
            width: look.width.max(MIN_WIDTH),
        }
    }

    /// Adds a line.
    fn write_line(&mut self, text: impl AsRef<str>) {
        // Padding may leave blanks at the end of a line; they would only be noise in stored output.
        self.out.push_str(text.as_ref().trim_end());
        self.out.push('\n');
    }

    /// Adds an empty line, unless there is one already.
    fn write_gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Adds the rows of an entry, their values aligned.
    fn write_attribute_rows(&mut self, rows: &[AttributeRow], signs: bool) {
        let width = path_width(rows);
        for row in rows {
            let line = format!("{}  {}", pad_to_width(&row.path, width), row.text);
            let after = match row.remark.as_str() {
                "" => String::new(),
                after => format!("  {}", paint(self.theme.dim, after)),
            };
            let sign = if signs {
                self.paint_marker(row.marker)
            } else {
                String::from(" ")
            };
            self.write_line(format!(
                "{}{sign} {line}{after}",
                " ".repeat(DETAIL_INDENT - 2)
            ));
            for (sign, text) in &row.nested_lines {
                let sign = self.paint_marker(*sign);
                self.write_line(format!("{}{sign} {text}", " ".repeat(DETAIL_INDENT + 2)));
            }
        }
    }

    fn paint_marker(&self, sign: LineMarker) -> String {
        let style = match sign {
            LineMarker::Add => self.theme.create,
            LineMarker::Change => self.theme.change,
            LineMarker::Remove => self.theme.destroy,
            LineMarker::Context => self.theme.dim,
        };
        paint(style, sign.symbol())
    }

    /// The room for a row of detail.
    fn detail_width(&self) -> usize {
        self.width.saturating_sub(DETAIL_INDENT)
    }

    /// What observing found besides: warnings, and objects that are left alone.
    fn write_found(&mut self, found: &Findings) {
        for warning in &found.warnings {
            let word = paint(self.theme.change, "warning:");
            self.write_line(format!("{word} {}", sanitize(warning)));
        }
        let number = found.unmanaged.len();
        if number == 0 {
            return;
        }
        let objects =
            super::wording::format_count(u64::try_from(number).unwrap_or(u64::MAX), "object");
        let end = if number <= MAX_LISTED { ":" } else { "." };
        self.write_line(format!("Not managed: {objects} left alone{end}"));
        for unmanaged in found.unmanaged.iter().filter(|_| number <= MAX_LISTED) {
            let what = sanitize(&unmanaged.what);
            let why = sanitize(&unmanaged.why);
            let line = format!("  {what} in {}: {why}", unmanaged.within);
            self.write_line(paint(self.theme.dim, line));
        }
    }

    /// What the whole narrowed plan leaves undone.
    fn write_narrowed(&mut self, plan: &Plan) {
        let Some(narrowed) = &plan.selection else {
            return;
        };
        let list = |addresses: &[crate::model::Address]| {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            super::wording::join_limited(&texts, MAX_LISTED)
        };
        if !narrowed.pulled_in.is_empty() {
            let also = list(&narrowed.pulled_in);
            self.write_line(format!("Also included, because the others need it: {also}"));
        }
        if !narrowed.left_out.is_empty() {
            let number = u64::try_from(narrowed.left_out.len()).unwrap_or(u64::MAX);
            let (count, left) = (
                super::wording::format_count(number, "object"),
                list(&narrowed.left_out),
            );
            self.write_line(format!(
                "Left out by --only, so still to do: {count} ({left})"
            ));
        }
    }

    fn finish(self) -> String {
        self.out
    }
}

/// Pads by columns, not by bytes or characters.
fn pad_to_width(text: &str, columns: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let mut out = text.to_owned();
    let _ = write!(out, "{:1$}", "", columns.saturating_sub(text.width()));
    out
}
