//! A session: connects, executes statements, and writes the server's log.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::SqlStatement;
use super::error::{BLOCKED, SqlError};
use super::parser::parse_statement;
use super::select::{SqlRows, run_select};
use super::state::PgServer;
use super::value::SqlValue;

/// A session of a superuser.
#[derive(Debug)]
pub(super) struct SqlSession<'a> {
    pub(super) server: &'a mut PgServer,
    pub(super) now_ms: i64,
    pub(super) pid: u32,
    pub(super) role: String,
    pub(super) database: String,
    /// Set by `SET`.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) locks: BTreeSet<i64>,
    /// For the client, since they were last taken.
    pub(super) notices: Vec<SqlError>,
    /// The name of the last statement, which the server confirms it with.
    pub(super) tag: &'static str,
    transaction: Option<SqlTransaction>,
}

/// A transaction block.
#[derive(Debug)]
struct SqlTransaction {
    /// The state before it.
    before: Box<PgServer>,
    /// Whether a statement in it failed.
    failed: bool,
}

impl<'a> SqlSession<'a> {
    /// Connects over the socket, which lets superusers of the image in without a password.
    ///
    /// # Errors
    /// A fatal error, as the server sends it.
    pub(super) fn connect(
        server: &'a mut PgServer,
        role: &str,
        database: &str,
        now_ms: i64,
    ) -> Result<Self, SqlError> {
        let pid = server.take_pid();
        if let Err(error) = check_connection(server, role, database) {
            server.append_log(now_ms, pid, &error.log_lines(None));
            return Err(error);
        }
        Ok(Self {
            server,
            now_ms,
            pid,
            role: role.to_owned(),
            database: database.to_owned(),
            settings: BTreeMap::new(),
            locks: BTreeSet::new(),
            notices: Vec::new(),
            tag: "",
            transaction: None,
        })
    }

    /// Ends the session and connects to another database.
    ///
    /// # Errors
    /// As [`SqlSession::connect`]; the old session is over then as well.
    pub(super) fn reconnect(self, role: &str, database: &str) -> Result<Self, SqlError> {
        let now_ms = self.now_ms;
        let server = self.close();
        Self::connect(server, role, database, now_ms)
    }

    /// Ends the session, which rolls an open transaction back.
    pub(super) fn close(mut self) -> &'a mut PgServer {
        self.roll_back();
        self.server
    }

    fn roll_back(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            restore(self.server, *transaction.before);
        }
    }

    /// Executes one statement; `None` when it returns no rows.
    ///
    /// # Errors
    /// The server's error, which is in its log as well.
    pub(super) fn execute(&mut self, statement: &str) -> Result<Option<SqlRows>, SqlError> {
        let result = self.parse_and_run(statement);
        if let Err(error) = &result
            && error.code != BLOCKED
        {
            if let Some(transaction) = &mut self.transaction {
                transaction.failed = true;
            }
            let shows_statement = self.passes_level("log_min_error_statement", error.severity);
            if self.passes_level("log_min_messages", error.severity) {
                let lines = error.log_lines(shows_statement.then_some(statement));
                self.server.append_log(self.now_ms, self.pid, &lines);
            }
        }
        result
    }

    fn parse_and_run(&mut self, text: &str) -> Result<Option<SqlRows>, SqlError> {
        let (statement, notices) = parse_statement(text)?;
        for notice in notices {
            self.notify(notice);
        }
        let Some(statement) = statement else {
            return Ok(None);
        };
        self.log_statement(text, &statement);
        self.tag = statement.tag();
        let ends = matches!(statement, SqlStatement::Commit | SqlStatement::Rollback);
        if self.transaction.as_ref().is_some_and(|t| t.failed) && !ends {
            return Err(SqlError::new(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        if let Some(name) = statement.written() {
            self.check_write(name, &statement)?;
            // A statement that fails changes nothing.
            let before = self.server.clone();
            let result = self.run(statement);
            if result.is_err() {
                restore(self.server, before);
            } else {
                self.server.record_change();
            }
            return result;
        }
        self.run(statement)
    }

    fn check_write(&self, name: &str, statement: &SqlStatement) -> Result<(), SqlError> {
        let changes_data = !matches!(statement, SqlStatement::AlterSystem { .. });
        if changes_data && (self.server.standby || self.is_read_only()) {
            let message = format!("cannot execute {name} in a read-only transaction");
            return Err(SqlError::new("25006", message));
        }
        if self.transaction.is_some() && statement.forbids_transaction() {
            let message = format!("{name} cannot run inside a transaction block");
            return Err(SqlError::new("25001", message));
        }
        Ok(())
    }

    /// Writes the statement to the log, if `log_statement` asks for it.
    fn log_statement(&mut self, text: &str, statement: &SqlStatement) {
        let wanted = match self.setting("log_statement").as_deref() {
            Ok("all") => true,
            Ok("ddl" | "mod") => statement.written().is_some(),
            _ => false,
        };
        if wanted {
            let line = format!("LOG:  statement: {text}");
            self.server.append_log(self.now_ms, self.pid, &[line]);
        }
    }

    /// Sends a notice to the client, unless the session does not want it.
    pub(super) fn notify(&mut self, notice: SqlError) {
        if self.passes_level("client_min_messages", notice.severity) {
            self.notices.push(notice);
        }
    }

    fn run(&mut self, statement: SqlStatement) -> Result<Option<SqlRows>, SqlError> {
        match statement {
            SqlStatement::Select(query) => return run_select(self, None, &query).map(Some),
            SqlStatement::Show(name) => {
                let value = SqlValue::Text(self.setting(&name)?);
                return Ok(Some(SqlRows {
                    columns: vec![name],
                    rows: vec![vec![value]],
                }));
            }
            SqlStatement::Set { name, value } => self.set(&name, value.as_deref())?,
            SqlStatement::Begin => self.begin(),
            SqlStatement::Commit => self.commit(),
            SqlStatement::Rollback => self.end_by_rollback(),
            statement @ (SqlStatement::CreateRole { .. }
            | SqlStatement::AlterRole { .. }
            | SqlStatement::DropRole { .. }
            | SqlStatement::Membership { .. }
            | SqlStatement::ReassignOwned { .. }
            | SqlStatement::DropOwned(_)) => self.run_role_statement(statement)?,
            SqlStatement::AlterSystem { name, value } => match value {
                Some(value) => {
                    let value = super::settings::check_value(&name, &value)?;
                    self.server.settings.insert(name, value);
                }
                None => drop(self.server.settings.remove(&name)),
            },
            statement => self.run_database_statement(statement)?,
        }
        Ok(None)
    }

    fn begin(&mut self) {
        if self.transaction.is_some() {
            let text = "there is already a transaction in progress";
            self.notify(SqlError {
                severity: "WARNING",
                ..SqlError::notice("25001", text)
            });
            return;
        }
        self.transaction = Some(SqlTransaction {
            before: Box::new(self.server.clone()),
            failed: false,
        });
    }

    fn commit(&mut self) {
        match &self.transaction {
            Some(transaction) if transaction.failed => self.roll_back(),
            Some(_) => self.transaction = None,
            None => self.warn_no_transaction(),
        }
    }

    fn end_by_rollback(&mut self) {
        if self.transaction.is_none() {
            self.warn_no_transaction();
        }
        self.roll_back();
    }

    fn warn_no_transaction(&mut self) {
        self.notify(SqlError {
            severity: "WARNING",
            ..SqlError::notice("25P01", "there is no transaction in progress")
        });
    }
}

/// Undoes all changes but those of the log.
fn restore(server: &mut PgServer, before: PgServer) {
    let log = std::mem::take(&mut server.log);
    let new_log_lines = std::mem::take(&mut server.new_log_lines);
    *server = PgServer {
        log,
        new_log_lines,
        ..before
    };
}

/// Whether a session of this superuser over the socket may begin.
fn check_connection(server: &PgServer, role: &str, database: &str) -> Result<(), SqlError> {
    // The access rules of the image: only these two are trusted.
    if !matches!(role, "postgres" | "flypgadmin") {
        let message = format!(
            "no pg_hba.conf entry for host \"[local]\", user \"{role}\", database \"{database}\", no encryption"
        );
        return Err(SqlError::fatal("28000", message));
    }
    let missing_role = || SqlError::fatal("28000", format!("role \"{role}\" does not exist"));
    let found = server.roles.get(role).ok_or_else(missing_role)?;
    if !found.login {
        let message = format!("role \"{role}\" is not permitted to log in");
        return Err(SqlError::fatal("28000", message));
    }
    let Some(found) = server.databases.get(database) else {
        let message = format!("database \"{database}\" does not exist");
        return Err(SqlError::fatal("3D000", message));
    };
    if !found.allow_connections {
        let message = format!("database \"{database}\" is not currently accepting connections");
        return Err(SqlError::fatal("55000", message));
    }
    Ok(())
}
