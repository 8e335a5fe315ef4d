//! Parses dotenv files literally. A secret must arrive as it was written, so nothing is
//! substituted: `pa$word` stays `pa$word`. Quotes group, and escapes such as `\n` only work in
//! double quotes. Triple quotes are those of `fly secrets import`: everything between them is the
//! value, on one line or several.

use std::collections::BTreeMap;

use quotes::{QuoteScanner, opening_quote, unescape};

mod quotes;

/// A line that cannot be read. It never contains the line, which may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {problem}")]
pub struct DotenvError {
    /// The number of the line, counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub problem: DotenvProblem,
}

/// What can be wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DotenvProblem {
    /// It has no name, or no `=`.
    #[error("is not of the form NAME=VALUE")]
    NotAnAssignment,
    /// A quote is never closed.
    #[error("begins a quoted value that does not end")]
    UnclosedQuote,
    /// There is more after the value, so the quotes are not those of the whole value.
    #[error("has text after the closing quote")]
    TextAfterQuote,
}

/// Parses `NAME=VALUE` lines.
///
/// # Errors
/// The first line that is not valid.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, DotenvError> {
    let mut values = BTreeMap::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let error = |problem| DotenvError {
            line: index + 1,
            problem,
        };
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, rest) = line
            .split_once('=')
            .ok_or_else(|| error(DotenvProblem::NotAnAssignment))?;
        let name = without_export(name.trim());
        if !is_name(name) {
            return Err(error(DotenvProblem::NotAnAssignment));
        }
        let value = match opening_quote(rest.trim_start()) {
            Some((quote, begin)) => {
                let mut quoted = begin.to_owned();
                // A quoted value may span several lines, as private keys do. Each line is scanned
                // once.
                let mut scanner = QuoteScanner::default();
                let end = loop {
                    if let Some(end) = scanner.find_closing_quote(&quoted, quote) {
                        break end;
                    }
                    let (_, more) = lines
                        .next()
                        .ok_or_else(|| error(DotenvProblem::UnclosedQuote))?;
                    quoted.push('\n');
                    quoted.push_str(more);
                };
                let after = quoted[end + quote.len()..].trim_start();
                if !after.is_empty() && !after.starts_with('#') {
                    return Err(error(DotenvProblem::TextAfterQuote));
                }
                if quote == "\"" {
                    unescape(&quoted[..end])
                } else {
                    quoted[..end].to_owned()
                }
            }
            None => unquoted_value(rest),
        };
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// The name without the `export` of a shell.
fn without_export(name: &str) -> &str {
    match name.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
        _ => name,
    }
}

/// Whether a text is a name. Some programs have names such as `discovery.type`.
fn is_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !text.is_empty() && text.chars().all(is_allowed)
}

/// A value without quotes. A comment needs a space before it: `#` occurs in passwords.
fn unquoted_value(rest: &str) -> String {
    let mut before = ' ';
    // Right after the `=` a `#` belongs to the value.
    let mut is_first = true;
    let comment = rest.char_indices().find_map(|(index, c)| {
        let begins = c == '#' && before.is_whitespace() && !is_first;
        (before, is_first) = (c, false);
        begins.then_some(index)
    });
    rest[..comment.unwrap_or(rest.len())].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_values(text: &str, expected: &[(&str, &str)]) {
        let values = parse(text).unwrap();
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(values, expected, "{text}");
    }

    #[test]
    fn values_arrive_as_they_were_written() {
        assert_values(
            "A=pa$word1\nB = a$ # comment\nexport C='it $HOME'\nD=\"two\\nlines \\$x $y\"\nE=\"-----\nkey\n\"\nF=a#b\n\n# no\nG=\nH=#1\nI= # none\nJ=a\t# tab",
            &[
                ("A", "pa$word1"),
                ("B", "a$"),
                ("C", "it $HOME"),
                ("D", "two\nlines $x $y"),
                ("E", "-----\nkey\n"),
                ("F", "a#b"),
                ("G", ""),
                ("H", "#1"),
                ("I", ""),
                ("J", "a"),
            ],
        );
    }

    /// The format of `fly secrets import` (superfly/flyctl#4509, #589, #1824).
    #[test]
    fn triple_quotes_hold_everything_between_them() {
        assert_values(
            "ONE=\"\"\"one line\"\"\"\nEMPTY=\"\"\"\"\"\"\nSPACES = \"\"\"  x  \"\"\" # why\nMANY=\"\"\"SOMETHING\nANOTHER \"LINE\" \\n\n\nENDSHERE\"\"\"\nNEXT='''it's'''\nLAST=\"\"\"a\"\"\"\"\n",
            &[
                ("ONE", "one line"),
                ("EMPTY", ""),
                ("SPACES", "  x  "),
                ("MANY", "SOMETHING\nANOTHER \"LINE\" \\n\n\nENDSHERE"),
                ("NEXT", "it's"),
                ("LAST", "a\""),
            ],
        );
    }

    #[test]
    fn files_of_windows_and_of_shells_are_read() {
        assert_values(
            "\u{feff}FOO=BAR\r\nexport\tQUX=\"two\r\nlines\"\r\ndiscovery.type=single-node\r\nexported=1\r\n",
            &[
                ("FOO", "BAR"),
                ("QUX", "two\nlines"),
                ("discovery.type", "single-node"),
                ("exported", "1"),
            ],
        );
    }

    #[test]
    fn an_error_is_a_line_number_and_a_reason() {
        for (text, line, problem) in [
            (
                "A=1\nsecret without a name",
                2,
                DotenvProblem::NotAnAssignment,
            ),
            ("A=1\n=2", 2, DotenvProblem::NotAnAssignment),
            ("A='open", 1, DotenvProblem::UnclosedQuote),
            ("A=\"\"\"open\"\"\nB=1", 1, DotenvProblem::UnclosedQuote),
            ("A=\"x\"y", 1, DotenvProblem::TextAfterQuote),
            ("A=''b''", 1, DotenvProblem::TextAfterQuote),
        ] {
            assert_eq!(parse(text), Err(DotenvError { line, problem }), "{text}");
        }
    }
}
