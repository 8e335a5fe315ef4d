//! Text for terminals and CI logs. The most dangerous things come first, every object has one line, and details are
//! indented below it.

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
mod finished_line;
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
pub use plan::{plan, plan_totals};
pub use report::{report, rollback_report};
pub use status::status;
pub use versions::versions;
pub use why::why;

/// The indentation of attribute rows, in columns.
const DETAIL_INDENT: usize = 7;
/// The minimum layout width; on narrower terminals, lines wrap.
const MIN_WIDTH: usize = 60;
/// The maximum number of objects in a list; more are counted.
const MAX_LISTED: usize = 5;

/// Builds the text of one output.
struct TextWriter {
    text: String,
    theme: Theme,
    width: usize,
}

impl TextWriter {
    fn new(options: TextOptions) -> Self {
        Self {
            text: String::new(),
            theme: options.theme(),
            width: options.width.max(MIN_WIDTH),
        }
    }

    /// Adds a line.
    fn write_line(&mut self, text: impl AsRef<str>) {
        // The padding of the last column would leave trailing spaces.
        self.text.push_str(text.as_ref().trim_end());
        self.text.push('\n');
    }

    /// Adds an empty line, unless the text is empty or ends with one.
    fn write_gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Adds attribute rows with aligned values, with or without a marker for each.
    fn write_attribute_rows(&mut self, rows: &[AttributeRow], with_markers: bool) {
        let width = path_width(rows);
        for row in rows {
            let line = format!("{}  {}", pad_to_width(&row.path, width), row.text);
            let remark = match row.remark.as_str() {
                "" => String::new(),
                remark => format!("  {}", paint(self.theme.dim, remark)),
            };
            let marker = if with_markers {
                self.paint_marker(row.marker)
            } else {
                String::from(" ")
            };
            self.write_line(format!(
                "{}{marker} {line}{remark}",
                " ".repeat(DETAIL_INDENT - 2)
            ));
            for (marker, text) in &row.nested_lines {
                let marker = self.paint_marker(*marker);
                self.write_line(format!("{}{marker} {text}", " ".repeat(DETAIL_INDENT + 2)));
            }
        }
    }

    fn paint_marker(&self, marker: LineMarker) -> String {
        let style = match marker {
            LineMarker::Add => self.theme.create,
            LineMarker::Change => self.theme.change,
            LineMarker::Remove => self.theme.destroy,
            LineMarker::Context => self.theme.dim,
        };
        paint(style, marker.symbol())
    }

    /// The width that is left for an attribute row.
    fn detail_width(&self) -> usize {
        self.width.saturating_sub(DETAIL_INDENT)
    }

    /// Warnings, and the objects that trimtab does not manage.
    fn write_found(&mut self, findings: &Findings) {
        for warning in &findings.warnings {
            let word = paint(self.theme.change, "warning:");
            self.write_line(format!("{word} {}", sanitize(warning)));
        }
        let count = findings.unmanaged.len();
        if count == 0 {
            return;
        }
        let counted =
            super::wording::format_count(u64::try_from(count).unwrap_or(u64::MAX), "object");
        let punctuation = if count <= MAX_LISTED { ":" } else { "." };
        self.write_line(format!("Not managed: {counted} left alone{punctuation}"));
        for unmanaged in findings.unmanaged.iter().filter(|_| count <= MAX_LISTED) {
            let what = sanitize(&unmanaged.description);
            let why = sanitize(&unmanaged.why);
            let line = format!("  {what} in {}: {why}", unmanaged.container.name());
            self.write_line(paint(self.theme.dim, line));
        }
    }

    /// What `--only` included in addition and what it left out.
    fn write_narrowed(&mut self, plan: &Plan) {
        let Some(selection) = &plan.selection else {
            return;
        };
        let list = |addresses: &[crate::model::Address]| {
            let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            super::wording::join_limited(&texts, MAX_LISTED)
        };
        if !selection.pulled_in.is_empty() {
            let names = list(&selection.pulled_in);
            self.write_line(format!(
                "Also included, because the others need it: {names}"
            ));
        }
        if !selection.left_out.is_empty() {
            let count = u64::try_from(selection.left_out.len()).unwrap_or(u64::MAX);
            let (counted, names) = (
                super::wording::format_count(count, "object"),
                list(&selection.left_out),
            );
            self.write_line(format!(
                "Left out by --only, so still to do: {counted} ({names})"
            ));
        }
    }

    fn finish(self) -> String {
        self.text
    }
}

/// Pads text with spaces to a width in columns (not bytes or characters).
fn pad_to_width(text: &str, columns: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    let mut padded = text.to_owned();
    let _ = write!(padded, "{:1$}", "", columns.saturating_sub(text.width()));
    padded
}
