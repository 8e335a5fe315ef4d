//! Escapes untrusted text for GitHub Markdown, so that it creates no tags, table cells, mentions or links.

use crate::render::value::sanitize;

/// Inserted after `@` and `#`: mentions and issue links need a letter or digit there.
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// Prefixes that GitHub turns into links, and the position of a zero-width space that prevents it.
const AUTOLINK_PREFIXES: [(&str, usize); 3] = [("://", 1), ("www.", 3), ("GH-", 2)];

/// Escapes text for use in a paragraph, list item or table cell.
pub(super) fn escape_prose(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut text = sanitize(text);
    for (prefix, position) in AUTOLINK_PREFIXES {
        text = text.replace(
            prefix,
            &format!(
                "{}{ZERO_WIDTH_SPACE}{}",
                &prefix[..position],
                &prefix[position..]
            ),
        );
    }
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.extend([c, ZERO_WIDTH_SPACE]),
            '#' => escaped.extend(['\\', c, ZERO_WIDTH_SPACE]),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => escaped.extend(['\\', c]),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A code span, in which nothing is a mention or a link. Safe in a table cell as well.
pub(super) fn code_span(text: &str) -> String {
    let text = sanitize(text);
    if text.contains('|') {
        // In a table, `|` ends the cell even inside a code span, and escaping it with a backslash is read differently
        // inside and outside of tables. Entities work in both.
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
    let padding = if text.starts_with('`') || text.ends_with('`') || text.is_empty() {
        " "
    } else {
        ""
    };
    format!("{ticks}{padding}{text}{padding}{ticks}")
}

/// Escapes text for use between HTML tags.
pub(super) fn escape_html(text: &str) -> String {
    sanitize(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', &format!("@{ZERO_WIDTH_SPACE}"))
}

/// A fenced code block, with a fence longer than any run of backticks in the content.
pub(super) fn fenced_block(language: &str, content: &str) -> String {
    let ticks = "`".repeat((longest_backtick_run(content) + 1).max(3));
    let end = if content.ends_with('\n') { "" } else { "\n" };
    format!("{ticks}{language}\n{content}{end}{ticks}\n")
}

/// The length of the longest run of backticks.
fn longest_backtick_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_escaped() {
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
    fn delimiters_are_longer_than_backticks_in_the_content() {
        assert_eq!(code_span("a`b"), "``a`b``");
        assert_eq!(code_span("`"), "`` ` ``");
        assert_eq!(code_span("a\\|@b`"), "<code>a&#92;&#124;&#64;b&#96;</code>");
        assert_eq!(fenced_block("diff", "```\n"), "````diff\n```\n````\n");
    }
}
