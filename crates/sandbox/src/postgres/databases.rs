//! Statements about databases, and about what is in the current one.

use std::collections::btree_map::Entry;

use super::ast::{CommentTarget, DatabaseChange, DatabaseOption, SqlStatement};
use super::catalog::EXTENSIONS;
use super::error::SqlError;
use super::session::SqlSession;
use super::settings::check_value;
use super::state::{DatabasePrivileges, PgDatabase};

impl SqlSession<'_> {
    /// Executes a statement about databases or about what is in the current one.
    ///
    /// # Errors
    /// The server's error.
    pub(super) fn run_database_statement(
        &mut self,
        statement: SqlStatement,
    ) -> Result<(), SqlError> {
        match statement {
            SqlStatement::CreateDatabase { name, options } => self.create_database(&name, &options),
            SqlStatement::AlterDatabase { name, change } => self.alter_database(&name, change),
            SqlStatement::DropDatabase {
                name,
                if_exists,
                force,
            } => self.drop_database(&name, if_exists, force),
            SqlStatement::DatabasePrivileges {
                is_grant,
                privileges,
                databases,
                roles,
            } => self.change_privileges(is_grant, &privileges, &databases, &roles),
            SqlStatement::Comment { on, text } => self.comment(on, text),
            SqlStatement::CreateExtension {
                name,
                version,
                if_not_exists,
            } => self.create_extension(&name, version.as_deref(), if_not_exists),
            SqlStatement::DropExtension { names, if_exists } => {
                for name in names {
                    let removed = self.current_database()?.extensions.remove(&name);
                    if removed.is_none() {
                        self.missing("extension", &name, "42704", if_exists)?;
                    }
                }
                Ok(())
            }
            SqlStatement::CreateTable {
                name,
                if_not_exists,
            } => self.create_table(&name, if_not_exists),
            SqlStatement::DropTable { name, if_exists } => {
                let table = table_key(&name);
                match self.current_database()?.tables.remove(&table) {
                    Some(_) => Ok(()),
                    None => self.missing("table", &name, "42P01", if_exists),
                }
            }
            SqlStatement::AlterTableOwner { name, owner } => {
                self.require_role(&owner)?;
                let message = format!("relation \"{name}\" does not exist");
                let tables = &mut self.current_database()?.tables;
                let found = tables.get_mut(&table_key(&name));
                *found.ok_or_else(|| SqlError::new("42P01", message))? = owner;
                Ok(())
            }
            _ => Err(SqlError::unsupported("this statement")),
        }
    }

    /// The error about something that does not exist, or the notice if the statement expects that.
    fn missing(
        &mut self,
        kind: &str,
        name: &str,
        code: &'static str,
        if_exists: bool,
    ) -> Result<(), SqlError> {
        let message = format!("{kind} \"{name}\" does not exist");
        if !if_exists {
            return Err(SqlError::new(code, message));
        }
        self.notify(SqlError::notice("00000", format!("{message}, skipping")));
        Ok(())
    }

    fn current_database(&mut self) -> Result<&mut PgDatabase, SqlError> {
        let name = self.database.clone();
        self.database_mut(&name)
    }

    fn database_mut(&mut self, name: &str) -> Result<&mut PgDatabase, SqlError> {
        self.server
            .databases
            .get_mut(name)
            .ok_or_else(|| SqlError::no_database(name))
    }

    /// The sessions of others in a database.
    fn other_sessions(&self, database: &str) -> usize {
        let sessions = self.server.sessions.iter();
        sessions.filter(|other| other.database == database).count()
    }

    fn create_database(&mut self, name: &str, options: &[DatabaseOption]) -> Result<(), SqlError> {
        let owner = options.iter().rev().find_map(|option| match option {
            DatabaseOption::Owner(owner) => Some(owner.clone()),
            _ => None,
        });
        let owner = owner.unwrap_or_else(|| self.role.clone());
        self.require_role(&owner)?;
        if self.server.databases.contains_key(name) {
            return Err(duplicate_database(name));
        }
        let template = options.iter().rev().find_map(|option| match option {
            DatabaseOption::Template(template) => Some(template.as_str()),
            _ => None,
        });
        let template = template.unwrap_or("template1");
        let source = self.server.databases.get(template).ok_or_else(|| {
            let message = format!("template database \"{template}\" does not exist");
            SqlError::new("3D000", message)
        })?;
        // A copy needs a source that nobody changes.
        let own = usize::from(self.database == template && template != "template0");
        let sessions = self.other_sessions(template) + own;
        if self.other_sessions(template) > 0 {
            let message =
                format!("source database \"{template}\" is being accessed by other users");
            return Err(SqlError::new("55006", message).with_detail(session_count(sessions - own)));
        }
        let mut database = PgDatabase {
            extensions: source.extensions.clone(),
            tables: source.tables.clone(),
            size_bytes: source.size_bytes,
            ..PgDatabase::new(0, &owner)
        };
        database.oid = self.server.take_oid();
        apply_options(&mut database, options);
        self.server.databases.insert(name.to_owned(), database);
        Ok(())
    }

    fn alter_database(&mut self, name: &str, change: DatabaseChange) -> Result<(), SqlError> {
        self.database_mut(name)?;
        match change {
            DatabaseChange::Owner(owner) => {
                self.require_role(&owner)?;
                let database = self.database_mut(name)?;
                // What the new owner was granted is part of being the owner.
                database.grants.remove(&owner);
                database.owner = owner;
            }
            DatabaseChange::Rename(new_name) => self.rename_database(name, &new_name)?,
            DatabaseChange::Options(options) => {
                apply_options(self.database_mut(name)?, &options);
            }
            DatabaseChange::Set {
                name: setting,
                value,
            } => {
                let value = value
                    .map(|value| check_value(&setting, &value))
                    .transpose()?;
                let settings = &mut self.database_mut(name)?.settings;
                match value {
                    Some(value) => drop(settings.insert(setting, value)),
                    None if setting == "all" => settings.clear(),
                    None => drop(settings.remove(&setting)),
                }
            }
        }
        Ok(())
    }

    fn rename_database(&mut self, name: &str, new_name: &str) -> Result<(), SqlError> {
        if name == self.database {
            let message = "current database cannot be renamed";
            return Err(SqlError::new("0A000", message));
        }
        if self.server.databases.contains_key(new_name) {
            return Err(duplicate_database(new_name));
        }
        let sessions = self.other_sessions(name);
        if sessions > 0 {
            let message = format!("database \"{name}\" is being accessed by other users");
            return Err(SqlError::new("55006", message).with_detail(session_count(sessions)));
        }
        if let Some(database) = self.server.databases.remove(name) {
            self.server.databases.insert(new_name.to_owned(), database);
        }
        Ok(())
    }

    fn drop_database(&mut self, name: &str, if_exists: bool, force: bool) -> Result<(), SqlError> {
        let Some(database) = self.server.databases.get(name) else {
            return self.missing("database", name, "3D000", if_exists);
        };
        if name == self.database {
            let message = "cannot drop the currently open database";
            return Err(SqlError::new("55006", message));
        }
        if database.is_template {
            let message = "cannot drop a template database";
            return Err(SqlError::new("42809", message));
        }
        let sessions = self.other_sessions(name);
        if force {
            self.server.sessions.retain(|other| other.database != name);
        } else if sessions > 0 {
            let message = format!("database \"{name}\" is being accessed by other users");
            return Err(SqlError::new("55006", message).with_detail(session_count(sessions)));
        }
        self.server.databases.remove(name);
        Ok(())
    }

    fn change_privileges(
        &mut self,
        is_grant: bool,
        privileges: &[String],
        databases: &[String],
        roles: &[String],
    ) -> Result<(), SqlError> {
        let wanted = parse_privileges(privileges)?;
        for name in databases {
            self.database_mut(name)?;
        }
        for role in roles.iter().filter(|role| *role != "public") {
            self.require_role(role)?;
        }
        for name in databases {
            for role in roles {
                let database = self.database_mut(name)?;
                if *role == database.owner {
                    continue;
                }
                let entry = if role == "public" {
                    &mut database.public
                } else {
                    database.grants.entry(role.clone()).or_default()
                };
                let set =
                    |flag: &mut bool, named: bool| *flag = if named { is_grant } else { *flag };
                set(&mut entry.connect, wanted.connect);
                set(&mut entry.temporary, wanted.temporary);
                set(&mut entry.create, wanted.create);
                let none = DatabasePrivileges::default();
                database.grants.retain(|_, granted| *granted != none);
            }
        }
        Ok(())
    }

    fn comment(&mut self, on: CommentTarget, text: Option<String>) -> Result<(), SqlError> {
        match on {
            CommentTarget::Role(name) => self.role_mut(&name)?.comment = text,
            CommentTarget::Database(name) => match self.server.databases.get_mut(&name) {
                Some(database) => database.comment = text,
                // PostgreSQL only warns: a dump may be restored into a database with another name.
                None => {
                    let error = SqlError::no_database(&name);
                    self.notify(SqlError {
                        severity: "WARNING",
                        ..error
                    });
                }
            },
        }
        Ok(())
    }

    fn create_extension(
        &mut self,
        name: &str,
        version: Option<&str>,
        if_not_exists: bool,
    ) -> Result<(), SqlError> {
        if self.current_database()?.extensions.contains_key(name) {
            let message = format!("extension \"{name}\" already exists");
            if !if_not_exists {
                return Err(SqlError::new("42710", message));
            }
            self.notify(SqlError::notice("42710", format!("{message}, skipping")));
            return Ok(());
        }
        let Some((_, default)) = EXTENSIONS.iter().find(|(known, _)| *known == name) else {
            let major = self.server.major;
            let file = format!("/usr/share/postgresql/{major}/extension/{name}.control");
            let message = format!("extension \"{name}\" is not available");
            let detail = format!(
                "Could not open extension control file \"{file}\": No such file or directory."
            );
            return Err(SqlError::new("0A000", message)
                .with_detail(detail)
                .with_hint("The extension must first be installed on the system where PostgreSQL is running."));
        };
        if let Some(version) = version.filter(|version| version != default) {
            let message = format!(
                "extension \"{name}\" has no installation script nor update path for version \"{version}\""
            );
            return Err(SqlError::new("22023", message));
        }
        let extensions = &mut self.current_database()?.extensions;
        extensions.insert(name.to_owned(), (*default).to_owned());
        Ok(())
    }

    fn create_table(&mut self, name: &str, if_not_exists: bool) -> Result<(), SqlError> {
        let owner = self.role.clone();
        let tables = &mut self.current_database()?.tables;
        let key = table_key(name);
        if let Entry::Vacant(entry) = tables.entry(key) {
            entry.insert(owner);
            return Ok(());
        }
        let message = format!("relation \"{name}\" already exists");
        if !if_not_exists {
            return Err(SqlError::new("42P07", message));
        }
        self.notify(SqlError::notice("42P07", format!("{message}, skipping")));
        Ok(())
    }
}

/// A table's name without the default schema.
fn table_key(name: &str) -> String {
    name.strip_prefix("public.").unwrap_or(name).to_owned()
}

fn duplicate_database(name: &str) -> SqlError {
    SqlError::new("42P04", format!("database \"{name}\" already exists"))
}

fn session_count(count: usize) -> String {
    if count == 1 {
        "There is 1 other session using the database.".to_owned()
    } else {
        format!("There are {count} other sessions using the database.")
    }
}

fn apply_options(database: &mut PgDatabase, options: &[DatabaseOption]) {
    for option in options {
        match option {
            DatabaseOption::ConnectionLimit(limit) => database.connection_limit = *limit,
            DatabaseOption::AllowConnections(allow) => database.allow_connections = *allow,
            DatabaseOption::IsTemplate(is_template) => database.is_template = *is_template,
            DatabaseOption::Owner(_) | DatabaseOption::Template(_) | DatabaseOption::Ignored => {}
        }
    }
}

fn parse_privileges(names: &[String]) -> Result<DatabasePrivileges, SqlError> {
    let mut privileges = DatabasePrivileges::default();
    for name in names {
        match name.as_str() {
            "connect" => privileges.connect = true,
            "temporary" | "temp" => privileges.temporary = true,
            "create" => privileges.create = true,
            "all" => {
                privileges = DatabasePrivileges {
                    connect: true,
                    temporary: true,
                    create: true,
                }
            }
            other => {
                let message = format!("unrecognized privilege type \"{other}\"");
                return Err(SqlError::new("42601", message));
            }
        }
    }
    Ok(privileges)
}
