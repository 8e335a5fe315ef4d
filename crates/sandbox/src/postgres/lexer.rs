//! Splits a statement into tokens.

use super::error::SqlError;
use super::state::{MAX_NAME_BYTES, truncate_name};

/// A token with its place in the statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SqlToken {
    pub(super) kind: SqlTokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SqlTokenKind {
    /// A keyword, or a name without quotes, in lower case.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    Text(String),
    Number(String),
    Operator(String),
    /// The end of the statement.
    End,
}

/// The characters that operators consist of.
const OPERATOR_CHARACTERS: &str = "+-*/<>=~!@#%^&|`?";

/// The tokens of a statement, the last of which is its end, and the notices about names that are too
/// long.
///
/// # Errors
/// `42601` for something that is not closed.
pub(super) fn tokenize(statement: &str) -> Result<(Vec<SqlToken>, Vec<SqlError>), SqlError> {
    let mut lexer = Lexer {
        statement,
        at: 0,
        notices: Vec::new(),
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let start = lexer.at;
        let kind = lexer.next_kind()?;
        let is_end = kind == SqlTokenKind::End;
        tokens.push(SqlToken {
            kind,
            start,
            end: lexer.at,
        });
        if is_end {
            return Ok((tokens, lexer.notices));
        }
    }
}

struct Lexer<'a> {
    statement: &'a str,
    at: usize,
    notices: Vec<SqlError>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.statement[self.at..]
    }

    fn skip_blanks(&mut self) -> Result<(), SqlError> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let end = rest
                    .find("*/")
                    .ok_or_else(|| self.unterminated("/* comment", self.at))?;
                self.at += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn unterminated(&self, what: &str, start: usize) -> SqlError {
        let near = &self.statement[start..];
        let message = format!("unterminated {what} at or near \"{near}\"");
        SqlError::new("42601", message).at(start)
    }

    fn next_kind(&mut self) -> Result<SqlTokenKind, SqlError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(SqlTokenKind::End);
        };
        let escapes = rest.starts_with("E'") || rest.starts_with("e'");
        if escapes || first == '\'' {
            return self.text(escapes);
        }
        if first == '"' {
            return self.quoted_name();
        }
        if first == '$'
            && let Some(kind) = self.dollar_text()?
        {
            return Ok(kind);
        }
        if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let number = rest[..end].to_owned();
            self.at += end;
            return Ok(SqlTokenKind::Number(number));
        }
        if is_name_start(first) {
            let end = rest
                .find(|c: char| !is_name_start(c) && !c.is_ascii_digit() && c != '$')
                .unwrap_or(rest.len());
            let word = rest[..end].to_lowercase();
            self.at += end;
            return Ok(SqlTokenKind::Word(self.cut_name(&word)));
        }
        Ok(SqlTokenKind::Operator(self.operator(first)))
    }

    fn operator(&mut self, first: char) -> String {
        let rest = self.rest();
        let length = if rest.starts_with("::") || rest.starts_with(":=") {
            2
        } else if OPERATOR_CHARACTERS.contains(first) {
            let end = rest.find(|c| !OPERATOR_CHARACTERS.contains(c));
            // A comment may follow an operator without a space.
            let end = end.unwrap_or(rest.len());
            let comment = rest[..end].find("--").or(rest[..end].find("/*"));
            comment.filter(|at| *at > 0).unwrap_or(end)
        } else {
            first.len_utf8()
        };
        let operator = rest[..length].to_owned();
        self.at += length;
        operator
    }

    fn text(&mut self, escapes: bool) -> Result<SqlTokenKind, SqlError> {
        let start = self.at;
        let open = start + usize::from(escapes) + 1;
        let mut out = String::new();
        let mut characters = self.statement[open..].char_indices().peekable();
        while let Some((offset, c)) = characters.next() {
            match c {
                '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                    characters.next();
                    out.push('\'');
                }
                '\'' => {
                    self.at = open + offset + 1;
                    return Ok(SqlTokenKind::Text(out));
                }
                '\\' if escapes => match characters.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some(other) => out.push(other),
                    None => {}
                },
                other => out.push(other),
            }
        }
        Err(self.unterminated("quoted string", start))
    }

    fn quoted_name(&mut self) -> Result<SqlTokenKind, SqlError> {
        let start = self.at;
        let mut out = String::new();
        let mut characters = self.statement[start + 1..].char_indices().peekable();
        while let Some((offset, c)) = characters.next() {
            if c != '"' {
                out.push(c);
            } else if characters.peek().is_some_and(|(_, next)| *next == '"') {
                characters.next();
                out.push('"');
            } else if out.is_empty() {
                return Err(SqlError::new("42601", "zero-length delimited identifier").at(start));
            } else {
                self.at = start + 1 + offset + 1;
                return Ok(SqlTokenKind::Quoted(self.cut_name(&out)));
            }
        }
        Err(self.unterminated("quoted identifier", start))
    }

    /// Text between `$tag$` and `$tag$`.
    fn dollar_text(&mut self) -> Result<Option<SqlTokenKind>, SqlError> {
        let rest = self.rest();
        let Some(tag_end) = rest[1..].find('$') else {
            return Ok(None);
        };
        let tag = &rest[..tag_end + 2];
        let inner = &tag[1..tag.len() - 1];
        let is_tag = inner
            .chars()
            .all(|c| is_name_start(c) || c.is_ascii_digit());
        if !is_tag || inner.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let body = &rest[tag.len()..];
        let end = body
            .find(tag)
            .ok_or_else(|| self.unterminated("dollar-quoted string", self.at))?;
        let text = body[..end].to_owned();
        self.at += 2 * tag.len() + end;
        Ok(Some(SqlTokenKind::Text(text)))
    }

    fn cut_name(&mut self, name: &str) -> String {
        let cut = truncate_name(name);
        if name.len() > MAX_NAME_BYTES {
            self.notices.push(SqlError::notice(
                "42622",
                format!("identifier \"{name}\" will be truncated to \"{cut}\""),
            ));
        }
        cut.to_owned()
    }
}

fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}
