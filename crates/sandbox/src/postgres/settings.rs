//! Configuration parameters: their defaults, and where their values come from.

use super::error::SqlError;
use super::session::SqlSession;
use super::state::PgServer;
use super::value::parse_bool;

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SettingKind {
    Bool,
    Choice(&'static [&'static str]),
    Text,
    /// Sessions cannot change it.
    Fixed,
}

const MESSAGE_LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "info", "notice", "warning",
    "error", "log", "fatal", "panic",
];
const STATEMENT_KINDS: &[&str] = &["none", "ddl", "mod", "all"];

/// The parameters that the model knows, with their defaults in Fly's image.
const SETTINGS: &[(&str, &str, SettingKind)] = &[
    ("application_name", "psql", SettingKind::Text),
    ("client_encoding", "UTF8", SettingKind::Text),
    (
        "client_min_messages",
        "notice",
        SettingKind::Choice(MESSAGE_LEVELS),
    ),
    ("data_directory", "/data/postgresql", SettingKind::Fixed),
    ("default_transaction_read_only", "off", SettingKind::Bool),
    (
        "idle_in_transaction_session_timeout",
        "0",
        SettingKind::Text,
    ),
    ("lock_timeout", "0", SettingKind::Text),
    ("log_min_duration_statement", "-1", SettingKind::Text),
    (
        "log_min_error_statement",
        "error",
        SettingKind::Choice(MESSAGE_LEVELS),
    ),
    (
        "log_min_messages",
        "warning",
        SettingKind::Choice(MESSAGE_LEVELS),
    ),
    (
        "log_statement",
        "none",
        SettingKind::Choice(STATEMENT_KINDS),
    ),
    ("max_connections", "300", SettingKind::Fixed),
    ("password_encryption", "scram-sha-256", SettingKind::Text),
    ("port", "5433", SettingKind::Fixed),
    ("search_path", "\"$user\", public", SettingKind::Text),
    ("server_encoding", "UTF8", SettingKind::Fixed),
    ("shared_preload_libraries", "repmgr", SettingKind::Fixed),
    ("standard_conforming_strings", "on", SettingKind::Bool),
    ("statement_timeout", "0", SettingKind::Text),
    ("synchronous_commit", "on", SettingKind::Text),
    ("timezone", "UTC", SettingKind::Text),
    ("transaction_read_only", "off", SettingKind::Bool),
    ("wal_level", "replica", SettingKind::Fixed),
    ("work_mem", "4MB", SettingKind::Text),
];

fn unknown_setting(name: &str) -> SqlError {
    SqlError::new(
        "42704",
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// Checks a value for a parameter, and returns it as it is stored.
///
/// # Errors
/// `42704` for an unknown parameter, `22023` for an invalid value, `55P02` for a fixed one.
pub(super) fn check_value(name: &str, value: &str) -> Result<String, SqlError> {
    // A name with a dot is a parameter of the user's own.
    if name.contains('.') {
        return Ok(value.to_owned());
    }
    let (_, _, kind) = SETTINGS
        .iter()
        .find(|(known, _, _)| *known == name)
        .ok_or_else(|| unknown_setting(name))?;
    match kind {
        SettingKind::Text => Ok(value.to_owned()),
        SettingKind::Fixed => Err(SqlError::new(
            "55P02",
            format!("parameter \"{name}\" cannot be changed without restarting the server"),
        )),
        SettingKind::Bool => parse_bool(value)
            .map(|on| if on { "on" } else { "off" }.to_owned())
            .ok_or_else(|| {
                let message = format!("parameter \"{name}\" requires a Boolean value");
                SqlError::new("22023", message)
            }),
        SettingKind::Choice(values) => {
            let value = value.to_ascii_lowercase();
            if values.contains(&value.as_str()) {
                return Ok(value);
            }
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
            let hint = format!("Available values: {}.", values.join(", "));
            Err(SqlError::new("22023", message).with_hint(hint))
        }
    }
}

/// The parameters that are facts of the server.
fn computed(server: &PgServer, name: &str) -> Option<String> {
    let (major, minor) = (server.major, server.minor());
    Some(match name {
        "server_version" => format!("{major}.{minor}"),
        "server_version_num" => (major * 10_000 + minor).to_string(),
        "in_hot_standby" => if server.standby { "on" } else { "off" }.to_owned(),
        "is_superuser" => "on".to_owned(),
        _ => return None,
    })
}

impl SqlSession<'_> {
    /// The value of a parameter in this session: set by it, for the database, for the role, for the
    /// server, or the default.
    ///
    /// # Errors
    /// `42704` for an unknown one.
    pub(super) fn setting(&self, name: &str) -> Result<String, SqlError> {
        let name = name.to_ascii_lowercase();
        if name == "transaction_read_only" {
            let read_only = self.server.standby || self.is_read_only();
            return Ok(if read_only { "on" } else { "off" }.to_owned());
        }
        if let Some(value) = computed(self.server, &name) {
            return Ok(value);
        }
        let database = self.server.databases.get(&self.database);
        let role = self.server.roles.get(&self.role);
        let stored = self
            .settings
            .get(&name)
            .or_else(|| role?.settings.get(&name))
            .or_else(|| database?.settings.get(&name))
            .or_else(|| self.server.settings.get(&name));
        if let Some(value) = stored {
            return Ok(value.clone());
        }
        SETTINGS
            .iter()
            .find(|(known, _, _)| *known == name)
            .map(|(_, default, _)| (*default).to_owned())
            .ok_or_else(|| unknown_setting(&name))
    }

    /// Whether its transactions refuse to write.
    pub(super) fn is_read_only(&self) -> bool {
        let is_on = |name: &str| {
            self.setting(name)
                .is_ok_and(|value| parse_bool(&value) == Some(true))
        };
        self.settings
            .get("transaction_read_only")
            .map_or_else(|| is_on("default_transaction_read_only"), |v| v == "on")
    }

    /// Whether a message of this level reaches the place that the parameter is about.
    pub(super) fn passes_level(&self, parameter: &str, severity: &str) -> bool {
        let level = |name: &str| MESSAGE_LEVELS.iter().position(|known| *known == name);
        let minimum = self.setting(parameter).unwrap_or_default();
        level(&severity.to_ascii_lowercase()) >= level(&minimum)
    }

    /// Sets a parameter in this session; `None` for the default.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), SqlError> {
        match value {
            Some(value) => {
                let value = check_value(name, value)?;
                self.settings.insert(name.to_owned(), value);
            }
            None if name == "all" => self.settings.clear(),
            None => {
                self.setting(name)?;
                self.settings.remove(name);
            }
        }
        Ok(())
    }
}
