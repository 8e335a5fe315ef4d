//! `CREATE ROLE`, `ALTER ROLE`, `GRANT` and `REVOKE`.

use super::{Parsed, SqlParser};
use crate::postgres::ast::{RoleChange, RoleOption, SqlStatement};
use crate::postgres::error::SqlError;
use crate::postgres::lexer::SqlTokenKind;

/// The roles that the session itself stands for.
const SESSION_ROLES: [&str; 3] = ["current_user", "current_role", "session_user"];

impl SqlParser<'_> {
    /// The name of a role, or a word for that of the session.
    pub(super) fn role_name(&mut self) -> Parsed<String> {
        let is_session = SESSION_ROLES.iter().any(|word| self.is_word(word));
        if is_session {
            return Err(SqlError::unsupported("CURRENT_USER as the name of a role"));
        }
        self.name()
    }

    pub(super) fn create_role(&mut self, login: bool) -> Parsed<SqlStatement> {
        let name = self.role_name()?;
        self.take_word("with");
        let options = self.role_options()?;
        Ok(SqlStatement::CreateRole {
            name,
            login,
            options,
        })
    }

    pub(super) fn alter_role(&mut self) -> Parsed<SqlStatement> {
        let name = self.role_name()?;
        let change = if self.take_words(&["rename", "to"]) {
            RoleChange::Rename(self.role_name()?)
        } else if self.take_word("set") {
            let (name, value) = self.assignment()?;
            RoleChange::Set { name, value }
        } else if self.take_word("reset") {
            let name = self.qualified_name()?;
            RoleChange::Set { name, value: None }
        } else if self.is_word("in") {
            return Err(SqlError::unsupported("ALTER ROLE … IN DATABASE"));
        } else {
            self.take_word("with");
            RoleChange::Options(self.role_options()?)
        };
        Ok(SqlStatement::AlterRole { name, change })
    }

    fn role_options(&mut self) -> Parsed<Vec<RoleOption>> {
        let mut options = Vec::new();
        while let SqlTokenKind::Word(word) = self.peek().clone() {
            options.push(self.role_option(&word)?);
        }
        Ok(options)
    }

    fn role_option(&mut self, word: &str) -> Parsed<RoleOption> {
        // `NOLOGIN` and the like negate the word after `NO`. `NOTHING` is none of them.
        let (attribute, is_set) = match word.strip_prefix("no") {
            Some(rest) => (rest, false),
            None => (word, true),
        };
        let flag: Option<fn(bool) -> RoleOption> = match attribute {
            "superuser" => Some(RoleOption::Superuser),
            "createdb" => Some(RoleOption::CreateDb),
            "createrole" => Some(RoleOption::CreateRole),
            "inherit" => Some(RoleOption::Inherit),
            "login" => Some(RoleOption::Login),
            "replication" => Some(RoleOption::Replication),
            "bypassrls" => Some(RoleOption::BypassRls),
            _ => None,
        };
        if let Some(flag) = flag {
            self.advance();
            return Ok(flag(is_set));
        }
        if self.take_words(&["connection", "limit"]) {
            return Ok(RoleOption::ConnectionLimit(self.integer()?));
        }
        self.take_word("encrypted");
        if self.take_word("password") {
            return Ok(RoleOption::Password(if self.take_word("null") {
                None
            } else {
                Some(self.text()?)
            }));
        }
        if self.take_words(&["valid", "until"]) {
            return Ok(RoleOption::ValidUntil(self.text()?));
        }
        if self.take_words(&["in", "role"]) || self.take_words(&["in", "group"]) {
            return Ok(RoleOption::InRole(self.list(Self::role_name)?));
        }
        if self.take_word("role") || self.take_word("user") {
            return Ok(RoleOption::Role(self.list(Self::role_name)?));
        }
        let message = format!("unrecognized role option \"{word}\"");
        Err(SqlError::new("42601", message).at(self.position()))
    }

    /// `GRANT` and `REVOKE`, of privileges on databases and of roles.
    pub(super) fn privileges(&mut self) -> Parsed<SqlStatement> {
        let is_grant = self.take_word("grant");
        if !is_grant {
            self.expect_word("revoke")?;
            if self.is_word("grant") || self.is_word("admin") {
                return Err(SqlError::unsupported("REVOKE of an option"));
            }
        }
        let granted = self.list(Self::privilege_name)?;
        let direction = if is_grant { "to" } else { "from" };
        if self.take_word(direction) {
            let members = self.list(Self::role_name)?;
            self.take_words(&["with", "admin", "option"]);
            return Ok(SqlStatement::Membership {
                is_grant,
                granted,
                members,
            });
        }
        self.expect_word("on")?;
        if !self.take_word("database") {
            return Err(SqlError::unsupported(
                "privileges on anything but databases",
            ));
        }
        let databases = self.names()?;
        self.expect_word(direction)?;
        let roles = self.list(Self::role_name)?;
        let _ = self.take_word("cascade") || self.take_word("restrict");
        Ok(SqlStatement::DatabasePrivileges {
            is_grant,
            privileges: granted,
            databases,
            roles,
        })
    }

    /// A privilege, or the name of a role that is granted.
    fn privilege_name(&mut self) -> Parsed<String> {
        let name = self.name()?;
        if name == "all" {
            self.take_word("privileges");
        }
        Ok(name)
    }
}
