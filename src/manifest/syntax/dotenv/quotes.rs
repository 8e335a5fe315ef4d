//! The quotes of a dotenv file: where a quoted value begins and ends, and the escapes in it.

/// The quote that a value begins with, and the text after it.
pub(super) fn opening_quote(value: &str) -> Option<(&'static str, &str)> {
    ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find_map(|quote| Some((quote, value.strip_prefix(quote)?)))
}

/// A scanner for the end of a quoted value; it continues where the previous call stopped.
#[derive(Default)]
pub(super) struct QuoteScanner {
    position: usize,
    escaped: bool,
}

impl QuoteScanner {
    /// The position of the closing quote, if the text has it.
    pub(super) fn find_closing_quote(&mut self, text: &str, quote: &str) -> Option<usize> {
        for (index, c) in text[self.position..].char_indices() {
            let index = self.position + index;
            // Of more than three quotes the last three close, so a value may end with one.
            let closes = |text: &str| {
                text.starts_with(quote) && (quote.len() == 1 || !text[1..].starts_with(quote))
            };
            match c {
                '\\' if quote == "\"" && !self.escaped => self.escaped = true,
                _ if !self.escaped && closes(&text[index..]) => return Some(index),
                _ => self.escaped = false,
            }
        }
        self.position = text.len();
        None
    }
}

pub(super) fn unescape(text: &str) -> String {
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
