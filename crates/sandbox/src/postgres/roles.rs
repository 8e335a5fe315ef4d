//! Statements about roles.

use std::collections::BTreeSet;

use super::ast::{RoleChange, RoleOption, SqlStatement};
use super::error::SqlError;
use super::scram;
use super::session::SqlSession;
use super::settings::check_value;
use super::state::{PREDEFINED_ROLES, PgRole};

impl SqlSession<'_> {
    /// Executes a statement about roles.
    ///
    /// # Errors
    /// The server's error.
    pub(super) fn run_role_statement(&mut self, statement: SqlStatement) -> Result<(), SqlError> {
        match statement {
            SqlStatement::CreateRole {
                name,
                login,
                options,
            } => self.create_role(&name, login, options),
            SqlStatement::AlterRole { name, change } => self.alter_role(&name, change),
            SqlStatement::DropRole { names, if_exists } => {
                for name in names {
                    self.drop_role(&name, if_exists)?;
                }
                Ok(())
            }
            SqlStatement::Membership {
                is_grant,
                granted,
                members,
            } => {
                for member in &members {
                    for role in &granted {
                        self.change_membership(is_grant, role, member)?;
                    }
                }
                Ok(())
            }
            SqlStatement::ReassignOwned { from, to } => self.reassign_owned(&from, &to),
            SqlStatement::DropOwned(roles) => self.drop_owned(&roles),
            _ => Err(SqlError::unsupported("this statement")),
        }
    }

    /// A role that can be changed.
    ///
    /// # Errors
    /// `42704` when it does not exist.
    pub(super) fn role_mut(&mut self, name: &str) -> Result<&mut PgRole, SqlError> {
        self.server
            .roles
            .get_mut(name)
            .ok_or_else(|| SqlError::no_role(name))
    }

    /// Checks that a role exists.
    ///
    /// # Errors
    /// `42704` otherwise.
    pub(super) fn require_role(&self, name: &str) -> Result<(), SqlError> {
        let predefined = PREDEFINED_ROLES.iter().any(|(known, _)| *known == name);
        if predefined || self.server.roles.contains_key(name) {
            Ok(())
        } else {
            Err(SqlError::no_role(name))
        }
    }

    fn create_role(
        &mut self,
        name: &str,
        login: bool,
        options: Vec<RoleOption>,
    ) -> Result<(), SqlError> {
        check_new_name(name)?;
        if self.server.roles.contains_key(name) {
            let message = format!("role \"{name}\" already exists");
            return Err(SqlError::new("42710", message));
        }
        let mut role = PgRole::new(self.server.take_oid());
        role.login = login;
        let mut members = Vec::new();
        for option in check_options(options)? {
            match option {
                RoleOption::InRole(groups) => {
                    for group in groups {
                        self.require_role(&group)?;
                        role.member_of.insert(group);
                    }
                }
                RoleOption::Role(names) => members.extend(names),
                option => apply_option(&mut role, name, self.pid, option),
            }
        }
        self.server.roles.insert(name.to_owned(), role);
        for member in members {
            self.change_membership(true, name, &member)?;
        }
        Ok(())
    }

    fn alter_role(&mut self, name: &str, change: RoleChange) -> Result<(), SqlError> {
        match change {
            RoleChange::Options(options) => {
                let options = check_options(options)?;
                let pid = self.pid;
                let role = self.role_mut(name)?;
                for option in options {
                    apply_option(role, name, pid, option);
                }
            }
            RoleChange::Rename(new_name) => self.rename_role(name, &new_name)?,
            RoleChange::Set {
                name: setting,
                value,
            } => {
                let value = value
                    .map(|value| check_value(&setting, &value))
                    .transpose()?;
                let settings = &mut self.role_mut(name)?.settings;
                match value {
                    Some(value) => drop(settings.insert(setting, value)),
                    None if setting == "all" => settings.clear(),
                    None => drop(settings.remove(&setting)),
                }
            }
        }
        Ok(())
    }

    fn rename_role(&mut self, name: &str, new_name: &str) -> Result<(), SqlError> {
        self.role_mut(name)?;
        if name == self.role {
            let message = "session user cannot be renamed";
            return Err(SqlError::new("0A000", message));
        }
        check_new_name(new_name)?;
        if self.server.roles.contains_key(new_name) {
            let message = format!("role \"{new_name}\" already exists");
            return Err(SqlError::new("42710", message));
        }
        let Some(mut role) = self.server.roles.remove(name) else {
            return Ok(());
        };
        // An MD5 hash contains the name, a SCRAM verifier does not.
        let is_md5 = role
            .verifier
            .as_deref()
            .is_some_and(|v| v.starts_with("md5"));
        if is_md5 {
            role.verifier = None;
            self.notify(SqlError::notice(
                "00000",
                "MD5 password cleared because of role rename",
            ));
        }
        self.server.roles.insert(new_name.to_owned(), role);
        let rename = |text: &mut String| {
            if text == name {
                new_name.clone_into(text);
            }
        };
        for role in self.server.roles.values_mut() {
            if role.member_of.remove(name) {
                role.member_of.insert(new_name.to_owned());
            }
        }
        for database in self.server.databases.values_mut() {
            rename(&mut database.owner);
            database.tables.values_mut().for_each(rename);
            if let Some(privileges) = database.grants.remove(name) {
                database.grants.insert(new_name.to_owned(), privileges);
            }
        }
        Ok(())
    }

    fn drop_role(&mut self, name: &str, if_exists: bool) -> Result<(), SqlError> {
        if !self.server.roles.contains_key(name) {
            let message = format!("role \"{name}\" does not exist");
            if !if_exists {
                return Err(SqlError::new("42704", message));
            }
            self.notify(SqlError::notice("00000", format!("{message}, skipping")));
            return Ok(());
        }
        if name == self.role {
            return Err(SqlError::new("55006", "current user cannot be dropped"));
        }
        if name == "postgres" {
            let message = "cannot drop role postgres because it is required by the database system";
            return Err(SqlError::new("2BP01", message));
        }
        let dependents = self.dependents_of(name);
        if !dependents.is_empty() {
            let message =
                format!("role \"{name}\" cannot be dropped because some objects depend on it");
            return Err(SqlError::new("2BP01", message).with_detail(dependents.join("\n")));
        }
        self.server.roles.remove(name);
        for role in self.server.roles.values_mut() {
            role.member_of.remove(name);
        }
        Ok(())
    }

    /// What depends on a role, as the message about it lists it.
    fn dependents_of(&self, name: &str) -> Vec<String> {
        let databases = || self.server.databases.iter();
        let owned = databases().filter(|(_, database)| database.owner == name);
        let granted = databases().filter(|(_, database)| database.grants.contains_key(name));
        let mut dependents: Vec<String> = owned
            .map(|(database, _)| format!("owner of database {database}"))
            .chain(granted.map(|(database, _)| format!("privileges for database {database}")))
            .collect();
        for (database, content) in databases() {
            let tables = content.tables.iter().filter(|(_, owner)| *owner == name);
            if *database == self.database {
                dependents.extend(tables.map(|(table, _)| format!("owner of table {table}")));
            } else {
                match tables.count() {
                    0 => {}
                    1 => dependents.push(format!("1 object in database {database}")),
                    count => dependents.push(format!("{count} objects in database {database}")),
                }
            }
        }
        dependents
    }

    fn change_membership(
        &mut self,
        is_grant: bool,
        role: &str,
        member: &str,
    ) -> Result<(), SqlError> {
        self.require_role(role)?;
        self.require_role(member)?;
        if is_grant && self.server.is_member(role, member) {
            let message = format!("role \"{role}\" is a member of role \"{member}\"");
            return Err(SqlError::new("0LP01", message));
        }
        let groups: &mut BTreeSet<String> = &mut self.role_mut(member)?.member_of;
        let changed = if is_grant {
            groups.insert(role.to_owned())
        } else {
            groups.remove(role)
        };
        if changed {
            return Ok(());
        }
        self.notify(if is_grant {
            let message = format!("role \"{member}\" is already a member of role \"{role}\"");
            SqlError::notice("00000", message)
        } else {
            let message = format!("role \"{member}\" is not a member of role \"{role}\"");
            SqlError {
                severity: "WARNING",
                ..SqlError::notice("01000", message)
            }
        });
        Ok(())
    }

    /// Gives the databases of these roles, and their objects in this database, to another one.
    fn reassign_owned(&mut self, from: &[String], to: &str) -> Result<(), SqlError> {
        for name in from {
            self.require_role(name)?;
        }
        self.require_role(to)?;
        let current = self.database.clone();
        for (name, database) in &mut self.server.databases {
            if from.contains(&database.owner) {
                to.clone_into(&mut database.owner);
            }
            if *name == current {
                let owners = database.tables.values_mut();
                owners
                    .filter(|owner| from.contains(owner))
                    .for_each(|owner| to.clone_into(owner));
            }
        }
        Ok(())
    }

    /// Drops the objects of these roles in this database, and revokes what they were granted.
    fn drop_owned(&mut self, roles: &[String]) -> Result<(), SqlError> {
        for name in roles {
            self.require_role(name)?;
        }
        let current = self.database.clone();
        for (name, database) in &mut self.server.databases {
            database.grants.retain(|role, _| !roles.contains(role));
            if *name == current {
                database.tables.retain(|_, owner| !roles.contains(owner));
            }
        }
        Ok(())
    }
}

fn check_new_name(name: &str) -> Result<(), SqlError> {
    if matches!(name, "public" | "none") {
        let message = format!("role name \"{name}\" is reserved");
        return Err(SqlError::new("42939", message));
    }
    if name.starts_with("pg_") {
        let message = format!("role name \"{name}\" is reserved");
        return Err(SqlError::new("42939", message)
            .with_detail("Role names starting with \"pg_\" are reserved."));
    }
    Ok(())
}

/// Checks that no attribute is named twice.
fn check_options(options: Vec<RoleOption>) -> Result<Vec<RoleOption>, SqlError> {
    let mut seen = Vec::new();
    for option in &options {
        let kind = std::mem::discriminant(option);
        if seen.contains(&kind) {
            return Err(SqlError::new("42601", "conflicting or redundant options"));
        }
        seen.push(kind);
    }
    Ok(options)
}

fn apply_option(role: &mut PgRole, name: &str, pid: u32, option: RoleOption) {
    match option {
        RoleOption::Superuser(on) => role.superuser = on,
        RoleOption::CreateDb(on) => role.createdb = on,
        RoleOption::CreateRole(on) => role.createrole = on,
        RoleOption::Inherit(on) => role.inherit = on,
        RoleOption::Login(on) => role.login = on,
        RoleOption::Replication(on) => role.replication = on,
        RoleOption::BypassRls(on) => role.bypassrls = on,
        RoleOption::ConnectionLimit(limit) => role.connection_limit = limit,
        RoleOption::Password(password) => {
            // A text that is hashed already is stored as it is.
            role.verifier = password.filter(|p| !p.is_empty()).map(|password| {
                if scram::is_hashed(&password) {
                    password
                } else {
                    scram::make_verifier(&password, &[name, &pid.to_string()])
                }
            });
        }
        RoleOption::ValidUntil(time) => role.valid_until = Some(time),
        RoleOption::InRole(_) | RoleOption::Role(_) => {}
    }
}
