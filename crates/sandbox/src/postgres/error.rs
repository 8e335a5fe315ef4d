//! Errors and notices of the server, and how `psql` prints them.

/// An error of the server, or a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlError {
    pub(crate) severity: &'static str,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// Where in the statement, as a byte offset.
    pub(crate) position: Option<usize>,
}

/// The code of the error that stands for a statement which waits for a lock. Clients never see it.
pub(crate) const BLOCKED: &str = "BLOCK";

/// How much of an error `psql` prints (`\set VERBOSITY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PsqlVerbosity {
    #[default]
    Default,
    Verbose,
    Terse,
    Sqlstate,
}

impl SqlError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: "ERROR",
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }

    pub(super) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: "FATAL",
            ..Self::new(code, message)
        }
    }

    pub(super) fn notice(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: "NOTICE",
            ..Self::new(code, message)
        }
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn at(mut self, position: usize) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// The statement waits for a lock of another session.
    pub(super) fn blocked() -> Self {
        Self::new(BLOCKED, "waiting for a lock")
    }

    /// PostgreSQL knows this, the model does not.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new(
            "0A000",
            format!("the sandbox's model of PostgreSQL does not support {what}"),
        )
    }

    /// A role that does not exist.
    pub(super) fn no_role(name: &str) -> Self {
        Self::new("42704", format!("role \"{name}\" does not exist"))
    }

    /// A database that does not exist.
    pub(super) fn no_database(name: &str) -> Self {
        Self::new("3D000", format!("database \"{name}\" does not exist"))
    }

    /// A syntax error at a token; at the end of the statement without one.
    pub(super) fn syntax(token: &str, position: usize) -> Self {
        let message = if token.is_empty() {
            "syntax error at end of input".to_owned()
        } else {
            format!("syntax error at or near \"{token}\"")
        };
        Self::new("42601", message).at(position)
    }

    /// The lines that `psql` prints, the first one without its prefix.
    pub(super) fn print(&self, statement: &str, verbosity: PsqlVerbosity) -> String {
        let Self {
            severity,
            code,
            message,
            ..
        } = self;
        if verbosity == PsqlVerbosity::Sqlstate {
            return format!("{severity}:  {code}\n");
        }
        let mut out = match verbosity {
            PsqlVerbosity::Verbose => format!("{severity}:  {code}: {message}\n"),
            _ => format!("{severity}:  {message}\n"),
        };
        if verbosity == PsqlVerbosity::Terse {
            if let Some(position) = self.position {
                out.pop();
                let character = statement[..position.min(statement.len())].chars().count() + 1;
                out += &format!(" at character {character}\n");
            }
            return out;
        }
        if let Some(position) = self.position {
            out += &point_at(statement, position);
        }
        for (label, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                out += &format!("{label}:  {text}\n");
            }
        }
        if verbosity == PsqlVerbosity::Verbose {
            out += "LOCATION:  the sandbox's model, postgres.rs:1\n";
        }
        out
    }

    /// The lines in the server's log.
    pub(super) fn log_lines(&self, statement: Option<&str>) -> Vec<String> {
        let mut first = format!("{}:  {}", self.severity, self.message);
        if let (Some(position), Some(statement)) = (self.position, statement) {
            let character = statement[..position.min(statement.len())].chars().count() + 1;
            first += &format!(" at character {character}");
        }
        let mut lines = vec![first];
        let parts = [
            ("DETAIL", self.detail.as_deref()),
            ("HINT", self.hint.as_deref()),
            ("STATEMENT", statement),
        ];
        let present = parts
            .into_iter()
            .filter_map(|(label, text)| Some(format!("{label}:  {}", text?)));
        lines.extend(present);
        lines
    }
}

/// The line of the statement in which the error is, with a caret below the place.
fn point_at(statement: &str, position: usize) -> String {
    let position = position.min(statement.len());
    let before = &statement[..position];
    let number = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = statement[start..].lines().next().unwrap_or_default();
    let label = format!("LINE {number}: ");
    let column = label.len() + statement[start..position].chars().count();
    format!("{label}{line}\n{}^\n", " ".repeat(column))
}
