//! `CREATE DATABASE`, `ALTER DATABASE` and `DROP DATABASE`.

use super::{Parsed, SqlParser};
use crate::postgres::ast::{DatabaseChange, DatabaseOption, SqlStatement};
use crate::postgres::error::SqlError;
use crate::postgres::lexer::SqlTokenKind;
use crate::postgres::value::parse_bool;

impl SqlParser<'_> {
    pub(super) fn create_database(&mut self) -> Parsed<SqlStatement> {
        let name = self.name()?;
        self.take_word("with");
        let options = self.database_options()?;
        Ok(SqlStatement::CreateDatabase { name, options })
    }

    pub(super) fn alter_database(&mut self) -> Parsed<SqlStatement> {
        let name = self.name()?;
        let change = if self.take_words(&["owner", "to"]) {
            DatabaseChange::Owner(self.role_name()?)
        } else if self.take_words(&["rename", "to"]) {
            DatabaseChange::Rename(self.name()?)
        } else if self.take_word("set") {
            let (name, value) = self.assignment()?;
            DatabaseChange::Set { name, value }
        } else if self.take_word("reset") {
            let name = self.qualified_name()?;
            DatabaseChange::Set { name, value: None }
        } else {
            self.take_word("with");
            DatabaseChange::Options(self.database_options()?)
        };
        Ok(SqlStatement::AlterDatabase { name, change })
    }

    pub(super) fn drop_database(&mut self) -> Parsed<SqlStatement> {
        let if_exists = self.take_words(&["if", "exists"]);
        let name = self.name()?;
        let has_with = self.take_word("with");
        let mut force = false;
        if has_with || self.is_operator("(") {
            self.expect_operator("(")?;
            self.expect_word("force")?;
            self.expect_operator(")")?;
            force = true;
        }
        Ok(SqlStatement::DropDatabase {
            name,
            if_exists,
            force,
        })
    }

    fn database_options(&mut self) -> Parsed<Vec<DatabaseOption>> {
        let mut options = Vec::new();
        while let SqlTokenKind::Word(word) = self.peek().clone() {
            self.advance();
            if word == "connection" {
                self.expect_word("limit")?;
            }
            self.take_operator("=");
            options.push(match word.as_str() {
                "owner" => DatabaseOption::Owner(self.role_name()?),
                "template" => DatabaseOption::Template(self.name()?),
                "connection" => DatabaseOption::ConnectionLimit(self.integer()?),
                "allow_connections" => DatabaseOption::AllowConnections(self.boolean()?),
                "is_template" => DatabaseOption::IsTemplate(self.boolean()?),
                "encoding" | "lc_collate" | "lc_ctype" | "locale" | "locale_provider"
                | "icu_locale" | "strategy" | "tablespace" => {
                    self.advance();
                    DatabaseOption::Ignored
                }
                _ => {
                    let message = format!("option \"{word}\" not recognized");
                    return Err(SqlError::new("42601", message));
                }
            });
        }
        Ok(options)
    }

    fn boolean(&mut self) -> Parsed<bool> {
        let value = match self.peek() {
            SqlTokenKind::Word(word) | SqlTokenKind::Text(word) => parse_bool(word),
            _ => None,
        };
        let value = value.ok_or_else(|| self.unexpected())?;
        self.advance();
        Ok(value)
    }
}
