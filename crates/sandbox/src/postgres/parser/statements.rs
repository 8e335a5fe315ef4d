//! Which statement it is, and the statements that are about the session or about objects in a database.

use super::{Parsed, SqlParser};
use crate::postgres::ast::{CommentTarget, SqlStatement};
use crate::postgres::error::SqlError;
use crate::postgres::lexer::SqlTokenKind;

/// Statements of PostgreSQL that the model does not know, by their first word.
const UNSUPPORTED: [&str; 22] = [
    "analyze",
    "call",
    "checkpoint",
    "cluster",
    "copy",
    "declare",
    "delete",
    "discard",
    "do",
    "explain",
    "fetch",
    "insert",
    "listen",
    "lock",
    "merge",
    "notify",
    "prepare",
    "refresh",
    "truncate",
    "update",
    "vacuum",
    "with",
];

impl SqlParser<'_> {
    pub(super) fn statement(&mut self) -> Parsed<SqlStatement> {
        let SqlTokenKind::Word(first) = self.peek().clone() else {
            return Err(self.unexpected());
        };
        match first.as_str() {
            "select" => Ok(SqlStatement::Select(Box::new(self.select()?))),
            "set" | "reset" | "show" => self.setting_statement(),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" => self.transaction(),
            "create" => self.create(),
            "alter" => self.alter(),
            "drop" => self.drop_statement(),
            "grant" | "revoke" => self.privileges(),
            "comment" => self.comment(),
            "reassign" => self.reassign_owned(),
            word if UNSUPPORTED.contains(&word) => Err(SqlError::unsupported(&word.to_uppercase())),
            _ => Err(self.unexpected()),
        }
    }

    fn setting_statement(&mut self) -> Parsed<SqlStatement> {
        if self.take_word("show") {
            return Ok(SqlStatement::Show(self.setting_name()?));
        }
        if self.take_word("reset") {
            let name = self.setting_name()?;
            return Ok(SqlStatement::Set { name, value: None });
        }
        self.expect_word("set")?;
        if self.take_word("local") {
            return Err(SqlError::unsupported("SET LOCAL"));
        }
        self.take_word("session");
        if self.is_word("role") || self.is_word("authorization") {
            return Err(SqlError::unsupported("SET ROLE"));
        }
        let (name, value) = self.assignment()?;
        Ok(SqlStatement::Set { name, value })
    }

    fn setting_name(&mut self) -> Parsed<String> {
        Ok(self.qualified_name()?.to_lowercase())
    }

    /// `name = value`, or `name TO value`; `None` for the default.
    pub(super) fn assignment(&mut self) -> Parsed<(String, Option<String>)> {
        let name = self.setting_name()?;
        if !self.take_word("to") {
            self.expect_operator("=")?;
        }
        if self.take_word("default") {
            return Ok((name, None));
        }
        let values = self.list(Self::setting_value)?;
        Ok((name, Some(values.join(", "))))
    }

    fn setting_value(&mut self) -> Parsed<String> {
        if matches!(self.peek(), SqlTokenKind::Number(_)) || self.is_operator("-") {
            return Ok(self.integer()?.to_string());
        }
        // Words such as `on` are values here, although they are keywords elsewhere.
        let value = match self.peek() {
            SqlTokenKind::Word(text) | SqlTokenKind::Quoted(text) | SqlTokenKind::Text(text) => {
                text.clone()
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(value)
    }

    fn transaction(&mut self) -> Parsed<SqlStatement> {
        let statement = match self.peek() {
            SqlTokenKind::Word(word) if word == "begin" || word == "start" => SqlStatement::Begin,
            SqlTokenKind::Word(word) if word == "commit" || word == "end" => SqlStatement::Commit,
            _ => SqlStatement::Rollback,
        };
        let is_start = self.is_word("start");
        self.advance();
        let has_noun = self.take_word("transaction") || self.take_word("work");
        if is_start && !has_noun {
            return Err(self.unexpected());
        }
        Ok(statement)
    }

    fn create(&mut self) -> Parsed<SqlStatement> {
        self.expect_word("create")?;
        if self.take_word("role") || self.take_word("group") {
            return self.create_role(false);
        }
        if self.take_word("user") {
            return self.create_role(true);
        }
        if self.take_word("database") {
            return self.create_database();
        }
        if self.take_word("extension") {
            return self.create_extension();
        }
        if self.take_word("table") {
            let if_not_exists = self.take_words(&["if", "not", "exists"]);
            let name = self.qualified_name()?;
            self.skip_parentheses()?;
            return Ok(SqlStatement::CreateTable {
                name,
                if_not_exists,
            });
        }
        self.unsupported_object("CREATE")
    }

    fn alter(&mut self) -> Parsed<SqlStatement> {
        self.expect_word("alter")?;
        if self.take_word("role") || self.take_word("user") {
            return self.alter_role();
        }
        if self.take_word("database") {
            return self.alter_database();
        }
        if self.take_words(&["system", "set"]) {
            let (name, value) = self.assignment()?;
            return Ok(SqlStatement::AlterSystem { name, value });
        }
        if self.take_words(&["system", "reset"]) {
            let name = self.setting_name()?;
            return Ok(SqlStatement::AlterSystem { name, value: None });
        }
        if self.take_word("table") {
            let name = self.qualified_name()?;
            if !self.take_words(&["owner", "to"]) {
                return Err(SqlError::unsupported("this form of ALTER TABLE"));
            }
            let owner = self.role_name()?;
            return Ok(SqlStatement::AlterTableOwner { name, owner });
        }
        self.unsupported_object("ALTER")
    }

    fn drop_statement(&mut self) -> Parsed<SqlStatement> {
        self.expect_word("drop")?;
        if self.take_words(&["owned", "by"]) {
            let roles = self.list(Self::role_name)?;
            self.take_drop_behaviour();
            return Ok(SqlStatement::DropOwned(roles));
        }
        if self.take_word("role") || self.take_word("user") {
            let if_exists = self.take_words(&["if", "exists"]);
            let names = self.list(Self::role_name)?;
            return Ok(SqlStatement::DropRole { names, if_exists });
        }
        if self.take_word("database") {
            return self.drop_database();
        }
        if self.take_word("extension") {
            let if_exists = self.take_words(&["if", "exists"]);
            let names = self.names()?;
            self.take_drop_behaviour();
            return Ok(SqlStatement::DropExtension { names, if_exists });
        }
        if self.take_word("table") {
            let if_exists = self.take_words(&["if", "exists"]);
            let name = self.qualified_name()?;
            self.take_drop_behaviour();
            return Ok(SqlStatement::DropTable { name, if_exists });
        }
        self.unsupported_object("DROP")
    }

    fn take_drop_behaviour(&mut self) {
        let _ = self.take_word("cascade") || self.take_word("restrict");
    }

    /// For an object that the model does not have, and the syntax error when a word is missing.
    fn unsupported_object(&self, verb: &str) -> Parsed<SqlStatement> {
        match self.peek() {
            SqlTokenKind::Word(noun) => {
                let what = format!("{verb} {}", noun.to_uppercase());
                Err(SqlError::unsupported(&what))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn create_extension(&mut self) -> Parsed<SqlStatement> {
        let if_not_exists = self.take_words(&["if", "not", "exists"]);
        let name = self.name()?;
        self.take_word("with");
        let mut version = None;
        loop {
            if self.take_word("schema") {
                self.name()?;
            } else if self.take_word("version") {
                version = Some(match self.peek() {
                    SqlTokenKind::Text(_) => self.text()?,
                    _ => self.name()?,
                });
            } else if !self.take_word("cascade") {
                break;
            }
        }
        Ok(SqlStatement::CreateExtension {
            name,
            version,
            if_not_exists,
        })
    }

    fn comment(&mut self) -> Parsed<SqlStatement> {
        self.expect_word("comment")?;
        self.expect_word("on")?;
        let on = if self.take_word("database") {
            CommentTarget::Database(self.name()?)
        } else if self.take_word("role") {
            CommentTarget::Role(self.name()?)
        } else {
            return self.unsupported_object("COMMENT ON");
        };
        self.expect_word("is")?;
        let text = if self.take_word("null") {
            None
        } else {
            Some(self.text()?)
        };
        // An empty comment removes it as well.
        let text = text.filter(|text| !text.is_empty());
        Ok(SqlStatement::Comment { on, text })
    }

    fn reassign_owned(&mut self) -> Parsed<SqlStatement> {
        self.expect_word("reassign")?;
        self.expect_word("owned")?;
        self.expect_word("by")?;
        let from = self.list(Self::role_name)?;
        self.expect_word("to")?;
        let to = self.role_name()?;
        Ok(SqlStatement::ReassignOwned { from, to })
    }

    fn skip_parentheses(&mut self) -> Parsed<()> {
        self.expect_operator("(")?;
        let mut depth = 1;
        while depth > 0 {
            if self.at_end() {
                return Err(self.unexpected());
            }
            depth += i32::from(self.is_operator("(")) - i32::from(self.is_operator(")"));
            self.advance();
        }
        Ok(())
    }
}
