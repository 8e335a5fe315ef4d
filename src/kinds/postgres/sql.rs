//! The scripts that `psql` runs on the primary of a cluster. Each is safe to repeat, and no password is in any of them.
//!
//! Values reach the statements through `psql` variables and `format`, which quote them. `CREATE DATABASE` cannot run inside a block,
//! hence `\gexec`, which runs the text that a query returns.

use crate::model::Secret;

/// Statements are not logged: a verifier is no password, but it need not be in a log either.
const QUIET: &str = "SET log_min_error_statement='panic'; SET log_statement='none'; SET client_min_messages='warning';\n";

/// What an app gets: a role, a database that it owns, and extensions in it.
pub(super) struct Attachment<'a> {
    pub(super) role: &'a str,
    pub(super) database: &'a str,
    /// The verifier of a new password.
    pub(super) verifier: Option<&'a Secret>,
    /// The label of the role and of the database.
    pub(super) label: &'a str,
    pub(super) extensions: &'a [&'a str],
}

impl Attachment<'_> {
    /// The script that makes the role and the database as they are to be.
    pub(super) fn script(&self) -> String {
        let mut script = String::new();
        set(&mut script, "role", self.role);
        set(&mut script, "db", self.database);
        set(&mut script, "label", self.label);
        if let Some(verifier) = self.verifier {
            set(&mut script, "verifier", verifier.expose());
        }
        script.push_str(QUIET);
        script.push_str(
            "SELECT pg_advisory_lock(hashtext('trimtab:' || :'db')) \\gset\n\
             SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', :'role')\n\
             \x20 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \\gexec\n\
             SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', :'role') \\gexec\n",
        );
        if self.verifier.is_some() {
            script.push_str(
                "SELECT format('ALTER ROLE %I PASSWORD %L', :'role', :'verifier') \\gexec\n",
            );
        }
        script.push_str(
            "SELECT format('CREATE DATABASE %I OWNER %I', :'db', :'role')\n\
             \x20 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \\gexec\n\
             SELECT format('ALTER DATABASE %I OWNER TO %I', :'db', :'role') FROM pg_database\n\
             \x20 WHERE datname = :'db' AND pg_get_userbyid(datdba) <> :'role' \\gexec\n\
             SELECT format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', :'db') \\gexec\n\
             SELECT format('COMMENT ON DATABASE %I IS %L', :'db', :'label') \\gexec\n\
             SELECT format('COMMENT ON ROLE %I IS %L', :'role', :'label') \\gexec\n",
        );
        if !self.extensions.is_empty() {
            // Names of databases and extensions are checked when the manifest is read.
            script.push_str(&format!("\\connect {}\n", self.database));
            for name in self.extensions {
                script.push_str(&format!("CREATE EXTENSION IF NOT EXISTS \"{name}\";\n"));
            }
        }
        script
    }
}

/// The script that removes a database and its role. The role may not log in any more before the sessions end, or a pool would connect
/// again in between.
pub(super) fn removal_script(role: &str, database: &str) -> String {
    let mut script = String::new();
    set(&mut script, "role", role);
    set(&mut script, "db", database);
    script.push_str(QUIET);
    script.push_str(
        "SELECT format('ALTER ROLE %I NOLOGIN', :'role') WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \\gexec\n\
         SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'db') \\gexec\n\
         SELECT format('DROP ROLE IF EXISTS %I', :'role') \\gexec\n",
    );
    script
}

/// Sets a `psql` variable. Inside its quotes `psql` reads escapes as C does.
fn set(script: &mut String, variable: &str, value: &str) {
    let quoted = value
        .replace('\\', "\\\\")
        .replace('\'', "''")
        .replace('\n', "\\n");
    script.push_str(&format!("\\set {variable} '{quoted}'\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        let mut script = String::new();
        set(&mut script, "label", r#"{"a":"it's \ here"}"#);
        assert_eq!(script, "\\set label '{\"a\":\"it''s \\\\ here\"}'\n");
    }

    #[test]
    fn statements_name_values_by_variable_only() {
        let attachment = Attachment {
            role: "web",
            database: "web",
            verifier: Some(&Secret::new("SCRAM-SHA-256$4096:a-unique-verifier")),
            label: "label",
            extensions: &["pg_trgm"],
        };
        let script = attachment.script();
        assert_eq!(script.matches("a-unique-verifier").count(), 1);
        assert!(script.ends_with("\\connect web\nCREATE EXTENSION IF NOT EXISTS \"pg_trgm\";\n"));
    }
}
