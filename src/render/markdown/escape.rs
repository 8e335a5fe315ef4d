//! Text of others inside Markdown: it stays text. It opens no tag, ends no cell, calls nobody and links nothing.

use crate::render::value::sanitize;

/// Keeps `@name` and `#1` from becoming a mention or a link: both need their next character to be a letter or a digit.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// What GitHub makes a link of in plain text, and after how many characters it is broken.
const AUTOLINK_PREFIXES: [(&str, usize); 3] = [("://", 1), ("www.", 3), ("GH-", 2)];

/// Text within a sentence or a cell.
pub(super) fn escape_prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut text = sanitize(text);
    for (linked, at) in AUTOLINK_PREFIXES {
        text = text.replace(
            linked,
            &format!("{}{ZERO_WIDTH_SPACE}{}", &linked[..at], &linked[at..]),
        );
    }
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.extend([c, ZERO_WIDTH_SPACE]),
            '#' => out.extend(['\\', c, ZERO_WIDTH_SPACE]),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    out
}

/// A span of code, which neither mentions nor links. It may stand in a cell.
pub(super) fn code_span(text: &str) -> String {
    let text = sanitize(text);
    if text.contains('|') {
        // In a cell, a bar ends even a span of code, and how a backslash before it is read differs. What is written as
        // an entity is never taken for Markdown.
        let entity = |c: char| {
            if c.is_ascii_punctuation() {
                format!("&#{};", u32::from(c))
            } else {
                c.to_string()
            }
        };
        return format!(
            "<code>{}</code>",
            text.chars().map(entity).collect::<String>()
        );
    }
    let ticks = "`".repeat(longest_backtick_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// Text between tags.
pub(super) fn escape_html(text: &str) -> String {
    sanitize(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', &format!("@{ZERO_WIDTH_SPACE}"))
}

/// A fenced block whose fence is longer than any inside.
pub(super) fn fenced_block(language: &str, content: &str) -> String {
    let ticks = "`".repeat((longest_backtick_run(content) + 1).max(3));
    let end = if content.ends_with('\n') { "" } else { "\n" };
    format!("{ticks}{language}\n{content}{end}{ticks}\n")
}

/// The longest run of backticks.
fn longest_backtick_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_stays_prose() {
        assert_eq!(escape_prose("a|b"), "a\\|b");
        assert_eq!(escape_prose("<b>&"), "&lt;b&gt;&amp;");
        assert_eq!(escape_prose("@all"), "@\u{200b}all");
        assert_eq!(
            escape_prose("https://a www.b GH-1"),
            "https:\u{200b}//a www\u{200b}.b GH\u{200b}-1"
        );
        assert_eq!(escape_prose("![i](j) a\\|b"), "!\\[i\\](j) a\\\\\\|b");
        assert_eq!(escape_prose("x\n# y"), "x\\\\u{a}\\#\u{200b} y");
    }

    #[test]
    fn code_and_fences_are_longer_than_what_they_hold() {
        assert_eq!(code_span("a`b"), "``a`b``");
        assert_eq!(code_span("`"), "`` ` ``");
        assert_eq!(code_span("a\\|@b`"), "<code>a&#92;&#124;&#64;b&#96;</code>");
        assert_eq!(fenced_block("diff", "```\n"), "````diff\n```\n````\n");
    }
}
