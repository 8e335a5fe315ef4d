//! Reading roles and databases of a Postgres cluster on Fly. The script is fixed and cannot write, so a client that cannot write may
//! send it.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{FlyReader, FlyWriter, wire};
use crate::{
    clouds::{
        CloudError, ErrorKind, RateLimitedAction,
        http::{ApiRequest, Idempotency},
    },
    model::redact,
};

/// The command for a script on its standard input. The local socket of the image trusts the user `postgres`, and port 5433 is the
/// server itself rather than its proxy (fly-apps/postgres-flex, `internal/flypg/node.go`). Terse messages quote no statement.
pub const PSQL: [&str; 14] = [
    "psql",
    "-XqAt",
    "-v",
    "ON_ERROR_STOP=1",
    "-v",
    "VERBOSITY=terse",
    "-U",
    "postgres",
    "-p",
    "5433",
    "-d",
    "postgres",
    "-f",
    "-",
];

/// How long a command may take, in seconds: the most that Fly allows.
pub(super) const EXEC_TIMEOUT_SECS: u32 = 60;

/// Prints one JSON object in each line.
const CATALOG_SCRIPT: &str = "SET default_transaction_read_only=on;\n\
    SELECT json_build_object('role',rolname,'login',rolcanlogin,'superuser',rolsuper,'create_db',rolcreatedb,\
    'create_role',rolcreaterole,'replication',rolreplication,\
    'verifier',encode(sha256(convert_to(coalesce(rolpassword,''),'UTF8')),'hex'),\
    'comment',shobj_description(oid,'pg_authid')) FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY rolname;\n\
    SELECT json_build_object('database',datname,'owner',pg_get_userbyid(datdba),'size',pg_database_size(oid),\
    'public_connect',has_database_privilege('public',datname,'CONNECT'),\
    'comment',shobj_description(oid,'pg_database')) FROM pg_database WHERE NOT datistemplate ORDER BY datname;\n\
    SELECT json_build_object('slot',slot_name,'active',active,\
    'retained',pg_wal_lsn_diff(pg_current_wal_lsn(),restart_lsn)) FROM pg_replication_slots ORDER BY slot_name;\n";

/// What a cluster has.
#[derive(Clone, Debug, Default)]
pub struct PostgresCatalog {
    /// The roles, without those of the server itself.
    pub roles: Vec<CatalogRole>,
    /// The databases, without templates.
    pub databases: Vec<CatalogDatabase>,
    /// The replication slots.
    pub slots: Vec<CatalogSlot>,
}

/// A role.
#[derive(Clone, Debug, Deserialize)]
pub struct CatalogRole {
    /// Its name.
    #[serde(rename = "role")]
    pub name: String,
    /// Whether it may log in.
    pub login: bool,
    /// Whether it passes every check of rights.
    pub superuser: bool,
    /// Whether it may create databases.
    pub create_db: bool,
    /// Whether it may create roles.
    pub create_role: bool,
    /// Whether it may replicate.
    pub replication: bool,
    /// The SHA-256 of the verifier of its password, in hexadecimal.
    pub verifier: String,
    /// Its comment.
    pub comment: Option<String>,
}

/// A database.
#[derive(Clone, Debug, Deserialize)]
pub struct CatalogDatabase {
    /// Its name.
    #[serde(rename = "database")]
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether every role may connect to it.
    pub public_connect: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A replication slot.
#[derive(Clone, Debug, Deserialize)]
pub struct CatalogSlot {
    /// Its name.
    #[serde(rename = "slot")]
    pub name: String,
    /// Whether a standby uses it.
    pub active: bool,
    /// How many bytes of the log the server keeps for it.
    pub retained: Option<f64>,
}

/// A line of the answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum CatalogObject {
    Role(CatalogRole),
    Database(CatalogDatabase),
    Slot(CatalogSlot),
}

impl PostgresCatalog {
    fn parse(stdout: &str) -> Result<Self, serde_json::Error> {
        let mut catalog = Self::default();
        for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line)? {
                CatalogObject::Role(role) => catalog.roles.push(role),
                CatalogObject::Database(database) => catalog.databases.push(database),
                CatalogObject::Slot(slot) => catalog.slots.push(slot),
            }
        }
        Ok(catalog)
    }

    fn from_answer(answer: wire::ExecResponse, operation: String) -> Result<Self, CloudError> {
        let stdout = answer.psql_output(&operation)?;
        Self::parse(&stdout).map_err(|error| {
            CloudError::new(operation, ErrorKind::InvalidResponse, error.to_string())
        })
    }
}

impl wire::ExecResponse {
    /// The output of `psql`.
    ///
    /// # Errors
    /// What the server said, when a statement failed.
    pub fn psql_output(self, operation: &str) -> Result<String, CloudError> {
        let Self {
            exit_code,
            exit_signal,
            stdout,
            stderr,
        } = self;
        if exit_code == 0 && exit_signal == 0 {
            return Ok(stdout);
        }
        let message = |line: &str| {
            line.split_once("ERROR:")
                .map_or(line.to_owned(), |(_, message)| message.to_owned())
        };
        let errors: Vec<String> = stderr
            .lines()
            .map(|line| message(line).trim().to_owned())
            .filter(|line| !line.is_empty())
            .take(3)
            .collect();
        let message = match errors.is_empty() {
            true => format!("psql exited with {exit_code}"),
            false => format!("psql: {}", redact(&errors.join("; "))),
        };
        Err(CloudError::new(operation, ErrorKind::Failed, message))
    }
}

impl FlyReader {
    /// Reads what a cluster has, on its primary. The machine must run: reading wakes nothing.
    ///
    /// # Errors
    /// When the request fails, or a statement does.
    pub async fn read_postgres_catalog(
        &self,
        app: &str,
        id: &str,
    ) -> Result<PostgresCatalog, CloudError> {
        let operation = catalog_operation(app);
        let answer: wire::ExecResponse = self
            .http
            .send(&ApiRequest {
                method: Method::POST,
                path: format!("/v1/apps/{app}/machines/{id}/exec"),
                body: Some(json!({ "command": PSQL, "stdin": CATALOG_SCRIPT, "timeout": EXEC_TIMEOUT_SECS })),
                action: RateLimitedAction::Other("machine exec"),
                identifier: id,
                idempotency: Idempotency::Idempotent,
                operation: operation.clone(),
            })
            .await?;
        PostgresCatalog::from_answer(answer, operation)
    }
}

impl FlyWriter {
    /// Reads what a cluster has, as [`FlyReader::read_postgres_catalog`] does, during an apply: a run that has just changed the
    /// primary holds its lease, and the machine answers only to whoever names it.
    ///
    /// # Errors
    /// When the request fails, or a statement does.
    pub async fn read_postgres_catalog_under_lease(
        &self,
        app: &str,
        id: &str,
    ) -> Result<PostgresCatalog, CloudError> {
        let answer = self.run_command(app, id, &PSQL, CATALOG_SCRIPT).await?;
        PostgresCatalog::from_answer(answer, catalog_operation(app))
    }
}

fn catalog_operation(app: &str) -> String {
    format!("read the roles and databases of the Postgres cluster {app}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_parsed() {
        let text = "{\"role\" : \"web\", \"login\" : true, \"superuser\" : false, \"create_db\" : false, \"create_role\" : false, \
                    \"replication\" : false, \"verifier\" : \"ab\", \"comment\" : null}\n\
                    {\"database\" : \"web\", \"owner\" : \"web\", \"size\" : 7, \"public_connect\" : false, \"comment\" : \"x\"}\n\
                    {\"slot\" : \"repmgr_slot_2\", \"active\" : false, \"retained\" : 16777216}\n";
        let catalog = PostgresCatalog::parse(text).unwrap();
        assert_eq!(catalog.roles[0].name, "web");
        assert_eq!(catalog.databases[0].comment.as_deref(), Some("x"));
        assert!(!catalog.slots[0].active);
        assert!(PostgresCatalog::parse("no JSON").is_err());
    }

    #[test]
    fn error_of_psql_is_told() {
        let failed = wire::ExecResponse {
            exit_code: 3,
            stderr: "psql:<stdin>:4: ERROR:  permission denied\n".to_owned(),
            ..wire::ExecResponse::default()
        };
        assert_eq!(
            failed.psql_output("ask").unwrap_err().message,
            "psql: permission denied"
        );
    }
}
