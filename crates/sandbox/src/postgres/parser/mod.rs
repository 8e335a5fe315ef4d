//! Parses statements. Only the forms that clients use to manage and observe a server are known.

mod databases;
mod expressions;
mod queries;
mod roles;
mod statements;

use super::ast::SqlStatement;
use super::error::SqlError;
use super::lexer::{SqlToken, SqlTokenKind, tokenize};

/// The result of parsing a part.
type Parsed<T> = Result<T, SqlError>;

/// The tokens of a statement, and how many of them have been parsed.
struct SqlParser<'a> {
    statement: &'a str,
    tokens: Vec<SqlToken>,
    at: usize,
    /// How deep the expression that is being parsed is nested.
    depth: usize,
}

/// Words that end an expression or a select list, so they are no aliases.
const RESERVED: [&str; 30] = [
    "and",
    "as",
    "asc",
    "case",
    "cross",
    "desc",
    "else",
    "end",
    "except",
    "from",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "offset",
    "on",
    "or",
    "order",
    "select",
    "then",
    "union",
    "when",
    "where",
];

/// Parses a statement, which may end with a semicolon; `None` when it is empty. Also returns the
/// notices about names that are too long.
///
/// # Errors
/// `42601` for a syntax error, `0A000` for what the model does not support.
pub(super) fn parse_statement(
    statement: &str,
) -> Result<(Option<SqlStatement>, Vec<SqlError>), SqlError> {
    let (tokens, notices) = tokenize(statement)?;
    let mut parser = SqlParser {
        statement,
        tokens,
        at: 0,
        depth: 0,
    };
    if parser.at_end() {
        return Ok((None, notices));
    }
    let parsed = parser.statement()?;
    parser.take_operator(";");
    if parser.at_end() {
        Ok((Some(parsed), notices))
    } else {
        Err(parser.unexpected())
    }
}

impl SqlParser<'_> {
    fn peek(&self) -> &SqlTokenKind {
        self.peek_at(0)
    }

    /// The token after `offset` others; the end of the statement beyond it.
    fn peek_at(&self, offset: usize) -> &SqlTokenKind {
        let index = (self.at + offset).min(self.tokens.len() - 1);
        &self.tokens[index].kind
    }

    fn position(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].start
    }

    fn at_end(&self) -> bool {
        *self.peek() == SqlTokenKind::End
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    /// A syntax error at the next token.
    fn unexpected(&self) -> SqlError {
        let token = &self.tokens[self.at.min(self.tokens.len() - 1)];
        SqlError::syntax(&self.statement[token.start..token.end], token.start)
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, offset: usize, word: &str) -> bool {
        matches!(self.peek_at(offset), SqlTokenKind::Word(found) if found == word)
    }

    /// Parses a keyword, if it is next.
    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    /// Parses these keywords, if all of them are next.
    fn take_words(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(offset, word)| self.is_word_at(offset, word));
        if found {
            self.at += words.len();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), SqlTokenKind::Operator(found) if found == operator)
    }

    fn take_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        self.at += usize::from(found);
        found
    }

    fn expect_operator(&mut self, operator: &str) -> Parsed<()> {
        if self.take_operator(operator) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// A name, with or without quotes.
    fn name(&mut self) -> Parsed<String> {
        let name = match self.peek() {
            SqlTokenKind::Word(word) if !RESERVED.contains(&word.as_str()) => word.clone(),
            SqlTokenKind::Quoted(name) => name.clone(),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(name)
    }

    /// A name that a schema may precede, such as `public.jobs`.
    fn qualified_name(&mut self) -> Parsed<String> {
        let first = self.name()?;
        if self.take_operator(".") {
            Ok(format!("{first}.{}", self.name()?))
        } else {
            Ok(first)
        }
    }

    fn text(&mut self) -> Parsed<String> {
        let SqlTokenKind::Text(text) = self.peek() else {
            return Err(self.unexpected());
        };
        let text = text.clone();
        self.advance();
        Ok(text)
    }

    /// A whole number, which may be negative.
    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.take_operator("-");
        let SqlTokenKind::Number(number) = self.peek() else {
            return Err(self.unexpected());
        };
        let number: i64 = number.parse().map_err(|_| self.unexpected())?;
        self.advance();
        Ok(if negative { -number } else { number })
    }

    /// One or more items, separated by commas.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take_operator(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn names(&mut self) -> Parsed<Vec<String>> {
        self.list(Self::name)
    }
}
