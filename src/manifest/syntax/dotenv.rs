//! Parses dotenv files literally. A secret must arrive as it was written, so nothing is
//! substituted: `pa$word` stays `pa$word`. Quotes group, and escapes such as `\n` only work in
//! double quotes.

use std::collections::BTreeMap;

/// Parses `NAME=VALUE` lines.
///
/// # Errors
/// The number of the first invalid line, counted from one. Never its content.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line_number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line.split_once('=').ok_or(line_number)?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(line_number);
        }
        let rest = rest.trim_start();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut quoted = rest[1..].to_owned();
                // A quoted value may span several lines, as private keys do. Each line is scanned
                // once.
                let mut scanner = QuoteScanner::default();
                let end = loop {
                    if let Some(end) = scanner.find_closing_quote(&quoted, quote) {
                        break end;
                    }
                    let (_, more) = lines.next().ok_or(line_number)?;
                    quoted.push('\n');
                    quoted.push_str(more);
                };
                if quote == '"' {
                    unescape(&quoted[..end])
                } else {
                    quoted[..end].to_owned()
                }
            }
            // A comment needs a space before it: `#` occurs in passwords.
            _ => rest
                .split(" #")
                .next()
                .unwrap_or_default()
                .trim_end()
                .to_owned(),
        };
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// A scanner for the end of a quoted value; it continues where the previous call stopped.
#[derive(Default)]
struct QuoteScanner {
    position: usize,
    escaped: bool,
}

impl QuoteScanner {
    /// The position of the closing quote, if the text has it.
    fn find_closing_quote(&mut self, text: &str, quote: char) -> Option<usize> {
        for (index, c) in text[self.position..].char_indices() {
            match c {
                '\\' if quote == '"' && !self.escaped => self.escaped = true,
                c if c == quote && !self.escaped => return Some(self.position + index),
                _ => self.escaped = false,
            }
        }
        self.position = text.len();
        None
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some(literal @ ('"' | '\\' | '$' | '`'))) => out.push(literal),
            ('\\', Some(other)) => out.extend(['\\', other]),
            (c, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_quoted_and_unquoted_values() {
        let text = "A=pa$word1\nB = a$ # comment\nexport C='it $HOME'\nD=\"two\\nlines \\$x $y\"\nE=\"-----\nkey\n\"\nF=a#b\n\n# no\nG=";
        let values = parse(text).unwrap();
        let expected = [
            ("A", "pa$word1"),
            ("B", "a$"),
            ("C", "it $HOME"),
            ("D", "two\nlines $x $y"),
            ("E", "-----\nkey\n"),
            ("F", "a#b"),
            ("G", ""),
        ];
        for (name, value) in expected {
            assert_eq!(values[name], value, "{name}");
        }
    }

    #[test]
    fn error_is_the_line_number() {
        assert_eq!(parse("A=1\nsecret without a name"), Err(2));
        assert_eq!(parse("A='open"), Err(1));
    }
}
