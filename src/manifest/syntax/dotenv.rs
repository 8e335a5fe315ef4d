//! Dotenv files, read literally. A value that is a secret must arrive as it was written: nothing is substituted, so
//! `pa$word` stays `pa$word`. Quotes group, `\n` and the like mean something between double quotes only.

use std::collections::BTreeMap;

/// Reads `NAME=VALUE` lines.
///
/// # Errors
/// The number of the first line, counted from one, that is not of that form. Never its content.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let wrong = at + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line.split_once('=').ok_or(wrong)?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong);
        }
        let rest = rest.trim_start();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut quoted = rest[1..].to_owned();
                // A quoted value may go over several lines, as keys do. Each line is looked through once.
                let mut seen = QuoteScanner::default();
                let end = loop {
                    if let Some(end) = seen.find_closing_quote(&quoted, quote) {
                        break end;
                    }
                    let (_, more) = lines.next().ok_or(wrong)?;
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

/// How far a quoted value was looked through.
#[derive(Default)]
struct QuoteScanner {
    position: usize,
    escaped: bool,
}

impl QuoteScanner {
    /// Where the closing quote is.
    fn find_closing_quote(&mut self, text: &str, quote: char) -> Option<usize> {
        for (at, c) in text[self.position..].char_indices() {
            match c {
                '\\' if quote == '"' && !self.escaped => self.escaped = true,
                c if c == quote && !self.escaped => return Some(self.position + at),
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
    fn values_arrive_as_they_were_written() {
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
    fn an_error_is_a_line_number() {
        assert_eq!(parse("A=1\nsecret without a name"), Err(2));
        assert_eq!(parse("A='open"), Err(1));
    }
}
