//! `psql`: reads a script, fills in its variables, carries out its backslash commands, and sends its
//! statements to the server.

use std::collections::BTreeMap;

use super::error::{BLOCKED, PsqlVerbosity, SqlError};
use super::functions::{quote_ident, quote_literal};
use super::psql_options::PsqlInvocation;
use super::select::SqlRows;
use super::session::SqlSession;
use super::state::PgServer;
use super::value::parse_bool;

/// Where the server of the image listens.
const PORT: &str = "5433";

/// What a run of `psql` left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PsqlOutput {
    pub(crate) exit_code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why a script ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptEnd {
    /// With this exit code.
    Exit(i32),
    /// A statement waits for a lock of another session.
    Blocked,
}

/// Exit codes of `psql`.
const EXIT_FAILURE: i32 = 1;
pub(super) const EXIT_BAD_CONNECTION: i32 = 2;
const EXIT_SCRIPT_ERROR: i32 = 3;

/// Runs `psql`; `None` when a statement would wait for a lock of another session. What the script
/// changed before is in `server` even then.
pub(crate) fn run_psql(
    server: &mut PgServer,
    invocation: &PsqlInvocation,
    script: &str,
    now_ms: i64,
) -> Option<PsqlOutput> {
    let mut output = PsqlOutput::default();
    if !invocation.tuples_only || !invocation.unaligned {
        let text = "psql: error: the sandbox's psql prints only unaligned tuples: add -A and -t\n";
        output.stderr.push_str(text);
        output.exit_code = EXIT_FAILURE;
        return Some(output);
    }
    let user = invocation.user.as_deref().unwrap_or("root");
    let database = invocation.database.as_deref().unwrap_or(user);
    let session = match connect(server, invocation, user, database, now_ms) {
        Ok(session) => session,
        Err(message) => {
            output.stderr = format!("psql: error: {message}\n");
            output.exit_code = EXIT_BAD_CONNECTION;
            return Some(output);
        }
    };
    let mut run = ScriptRun {
        session: Some(session),
        invocation,
        variables: invocation.variables.clone(),
        output,
        line: 1,
        buffer: String::new(),
    };
    let end = run.run_all(script);
    if let Some(session) = run.session.take() {
        session.close();
    }
    match end {
        Ok(()) => {}
        Err(ScriptEnd::Exit(code)) => run.output.exit_code = code,
        Err(ScriptEnd::Blocked) => return None,
    }
    Some(run.output)
}

/// Connects over the socket. Anything else would need a password, and `psql` gets none here.
fn connect<'a>(
    server: &'a mut PgServer,
    invocation: &PsqlInvocation,
    user: &str,
    database: &str,
    now_ms: i64,
) -> Result<SqlSession<'a>, String> {
    let port = invocation.port.as_deref().unwrap_or("5432");
    if let Some(host) = invocation.host.as_deref().filter(|h| !h.starts_with('/')) {
        return Err(format!(
            "connection to server at \"{host}\", port {port} failed: fe_sendauth: no password supplied"
        ));
    }
    if port != PORT {
        return Err(format!(
            "connection to server on socket \"{}\" failed: No such file or directory\n\tIs the server running \
             locally and accepting connections on that socket?",
            socket(port)
        ));
    }
    SqlSession::connect(server, user, database, now_ms).map_err(|error| connection_failure(&error))
}

fn socket(port: &str) -> String {
    format!("/var/run/postgresql/.s.PGSQL.{port}")
}

/// What a client says about a connection that the server refused.
pub(super) fn connection_failure(error: &SqlError) -> String {
    let text = error.print("", PsqlVerbosity::Default);
    let socket = socket(PORT);
    format!(
        "connection to server on socket \"{socket}\" failed: {}",
        text.trim_end()
    )
}

/// A script that is being run.
pub(super) struct ScriptRun<'a, 'i> {
    pub(super) session: Option<SqlSession<'a>>,
    invocation: &'i PsqlInvocation,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) output: PsqlOutput,
    /// The line that is being read, from 1.
    line: usize,
    /// The statement so far.
    pub(super) buffer: String,
}

impl ScriptRun<'_, '_> {
    fn run_all(&mut self, script: &str) -> Result<(), ScriptEnd> {
        if self.invocation.single_transaction {
            self.send("BEGIN")?;
        }
        if self.invocation.commands.is_empty() {
            self.run_script(script, true)?;
        }
        for command in &self.invocation.commands {
            self.run_script(command, false)?;
        }
        if self.invocation.single_transaction {
            self.send("COMMIT")?;
        }
        Ok(())
    }

    fn run_script(&mut self, script: &str, interpolates: bool) -> Result<(), ScriptEnd> {
        let mut at = 0;
        while let Some(c) = script[at..].chars().next() {
            let rest = &script[at..];
            let length = match c {
                '\'' | '"' => quoted_length(rest, c),
                '$' => dollar_length(rest),
                '-' if rest.starts_with("--") => {
                    at += rest.find('\n').unwrap_or(rest.len());
                    continue;
                }
                '/' if rest.starts_with("/*") => {
                    let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
                    self.line += rest[..length].matches('\n').count();
                    at += length;
                    continue;
                }
                ':' if interpolates => {
                    at += self.interpolate(rest);
                    continue;
                }
                ';' => {
                    self.buffer.push(';');
                    at += 1;
                    self.send_buffer()?;
                    continue;
                }
                '\\' => {
                    let end = rest.find('\n').unwrap_or(rest.len());
                    self.backslash(&rest[1..end])?;
                    at += end;
                    continue;
                }
                c => c.len_utf8(),
            };
            self.line += rest[..length].matches('\n').count();
            // Blanks before a statement are no part of it.
            if !(self.buffer.is_empty() && c.is_whitespace()) {
                self.buffer.push_str(&rest[..length]);
            }
            at += length;
        }
        self.send_buffer()
    }

    /// Fills in the variable at the beginning of the text, and returns its length.
    fn interpolate(&mut self, rest: &str) -> usize {
        if rest.starts_with("::") || rest.starts_with(":=") {
            self.buffer.push_str(&rest[..2]);
            return 2;
        }
        match self.variable_at(rest) {
            Some((text, length)) => {
                self.buffer.push_str(&text);
                length
            }
            // Text after a colon that names no variable stays as it is.
            None => {
                self.buffer.push(':');
                1
            }
        }
    }

    /// The value of `:name`, `:'name'` or `:"name"`, quoted accordingly, and the length of the
    /// reference.
    pub(super) fn variable_at(&self, rest: &str) -> Option<(String, usize)> {
        let after = &rest[1..];
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let name = match quote {
            Some(quote) => &after[1..1 + after[1..].find(quote)?],
            None => {
                let end = after.find(|c: char| !is_variable_character(c));
                &after[..end.unwrap_or(after.len())]
            }
        };
        let value = self.variables.get(name)?;
        if name.is_empty() || !name.chars().all(is_variable_character) {
            return None;
        }
        Some(match quote {
            Some('\'') => (quote_literal(value), name.len() + 3),
            // `psql` quotes every name, even if it needs no quotes.
            Some(_) => {
                let plain = quote_ident(value);
                let quoted = if plain.starts_with('"') {
                    plain
                } else {
                    format!("\"{plain}\"")
                };
                (quoted, name.len() + 3)
            }
            None => (value.clone(), name.len() + 1),
        })
    }

    /// Sends what has been read, and prints the rows.
    pub(super) fn send_buffer(&mut self) -> Result<(), ScriptEnd> {
        let statement = std::mem::take(&mut self.buffer);
        let statement = statement.trim();
        if statement.trim_end_matches(';').is_empty() {
            return Ok(());
        }
        if let Some(rows) = self.send(statement)? {
            self.print_rows(&rows);
        }
        Ok(())
    }

    /// Sends a statement; `None` when it failed or returned no rows.
    pub(super) fn send(&mut self, statement: &str) -> Result<Option<SqlRows>, ScriptEnd> {
        let Some(session) = &mut self.session else {
            return Err(ScriptEnd::Exit(EXIT_BAD_CONNECTION));
        };
        let result = session.execute(statement);
        let tag = session.tag;
        let notices = std::mem::take(&mut session.notices);
        for notice in notices {
            self.print_message(&notice, statement);
        }
        match result {
            Ok(rows) => {
                self.set("ERROR", "false");
                self.set("SQLSTATE", "00000");
                let count = rows.as_ref().map_or(0, |rows| rows.rows.len());
                self.set("ROW_COUNT", &count.to_string());
                if rows.is_none() && !self.invocation.quiet {
                    self.output.stdout += &format!("{tag}\n");
                }
                Ok(rows)
            }
            Err(error) if error.code == BLOCKED => Err(ScriptEnd::Blocked),
            Err(error) => {
                self.set("ERROR", "true");
                self.set("SQLSTATE", error.code);
                self.set("LAST_ERROR_SQLSTATE", error.code);
                self.set("LAST_ERROR_MESSAGE", &error.message);
                self.print_message(&error, statement);
                self.after_error()?;
                Ok(None)
            }
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Ends the script, if errors do that.
    fn after_error(&self) -> Result<(), ScriptEnd> {
        if !self.invocation.commands.is_empty() {
            return Err(ScriptEnd::Exit(EXIT_FAILURE));
        }
        let stops = self.variables.get("ON_ERROR_STOP");
        let stops = stops.is_some_and(|v| v.is_empty() || parse_bool(v) == Some(true));
        if stops {
            Err(ScriptEnd::Exit(EXIT_SCRIPT_ERROR))
        } else {
            Ok(())
        }
    }

    fn verbosity(&self) -> PsqlVerbosity {
        match self.variables.get("VERBOSITY").map(String::as_str) {
            Some("verbose") => PsqlVerbosity::Verbose,
            Some("terse") => PsqlVerbosity::Terse,
            Some("sqlstate") => PsqlVerbosity::Sqlstate,
            _ => PsqlVerbosity::Default,
        }
    }

    /// The place in the script, which precedes messages.
    fn location(&self) -> String {
        if self.invocation.names_input {
            format!("psql:<stdin>:{}: ", self.line)
        } else {
            String::new()
        }
    }

    fn print_message(&mut self, message: &SqlError, statement: &str) {
        let text = message.print(statement, self.verbosity());
        self.output.stderr += &format!("{}{text}", self.location());
    }

    /// An error of `psql` itself.
    pub(super) fn client_error(&mut self, message: &str) -> Result<(), ScriptEnd> {
        let location = self.location();
        let location = if location.is_empty() {
            "psql: "
        } else {
            &location
        };
        self.output.stderr += &format!("{location}error: {message}\n");
        self.after_error()
    }

    pub(super) fn print_rows(&mut self, rows: &SqlRows) {
        let separator = self.invocation.separator.as_deref().unwrap_or("|");
        for row in &rows.rows {
            let fields: Vec<String> = row
                .iter()
                .map(|value| value.print().unwrap_or_default())
                .collect();
            self.output.stdout += &format!("{}\n", fields.join(separator));
        }
    }
}

fn is_variable_character(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The length of a text in quotes; that of everything when it is not closed.
pub(super) fn quoted_length(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

/// The length of a text between `$tag$` and `$tag$`, or of a single `$`.
fn dollar_length(text: &str) -> usize {
    let Some(tag_end) = text[1..].find('$') else {
        return 1;
    };
    let tag = &text[..tag_end + 2];
    if !tag[1..=tag_end].chars().all(is_variable_character) {
        return 1;
    }
    text[tag.len()..]
        .find(tag)
        .map_or(text.len(), |end| end + 2 * tag.len())
}
