//! Text of others inside Markdown: it stays text. It opens no tag, ends no cell, calls nobody and links nothing.

use crate::render::value::clean;

/// Keeps `@name` and `#1` from becoming a mention or a link: both need their next character to be a letter or a digit.
const NOTHING: char = '\u{200b}';

/// Text within a sentence or a cell.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.extend([c, NOTHING]),
            '#' => out.extend(['\\', c, NOTHING]),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    out
}

/// A span of code, which neither mentions nor links. It may stand in a cell.
pub(super) fn code(text: &str) -> String {
    let text = clean(text);
    let ticks = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    // Inside a table this is the only way to write a bar; elsewhere no text of ours has one.
    format!("{ticks}{pad}{}{pad}{ticks}", text.replace('|', "\\|"))
}

/// Text between tags.
pub(super) fn html(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', &format!("@{NOTHING}"))
}

/// A fenced block whose fence is longer than any inside.
pub(super) fn fence(language: &str, content: &str) -> String {
    let ticks = "`".repeat((longest_run(content) + 1).max(3));
    let end = if content.ends_with('\n') { "" } else { "\n" };
    format!("{ticks}{language}\n{content}{end}{ticks}\n")
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_stays_prose() {
        assert_eq!(prose("a|b"), "a\\|b");
        assert_eq!(prose("<b>&"), "&lt;b&gt;&amp;");
        assert_eq!(prose("@all"), "@\u{200b}all");
        assert_eq!(prose("x\n# y"), "x\\\\u{a}\\#\u{200b} y");
    }

    #[test]
    fn code_and_fences_are_longer_than_what_they_hold() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(fence("diff", "```\n"), "````diff\n```\n````\n");
    }
}
