//! Logins over the network, as clients other than the image's own superusers make them.

use super::error::SqlError;
use super::scram::matches_password;
use super::state::{DatabasePrivileges, PgDatabase, PgServer};

/// What a role may do in a database, also through the roles that it is a member of; `public` stands for
/// every role.
pub(super) fn database_privileges(
    server: &PgServer,
    database: &PgDatabase,
    role: &str,
) -> DatabasePrivileges {
    if server.is_member(role, &database.owner) {
        return DatabasePrivileges {
            connect: true,
            temporary: true,
            create: true,
        };
    }
    let granted = database.grants.iter();
    let granted = granted.filter(|(grantee, _)| server.is_member(role, grantee));
    let mut sum = database.public;
    for (_, privileges) in granted {
        sum.connect |= privileges.connect;
        sum.temporary |= privileges.temporary;
        sum.create |= privileges.create;
    }
    sum
}

/// Tries a login with a password.
///
/// # Errors
/// The server's fatal error, which is in its log as well.
pub(crate) fn try_login(
    server: &mut PgServer,
    role: &str,
    password: &str,
    database: &str,
    now_ms: i64,
) -> Result<(), SqlError> {
    let result = check_login(server, role, password, database);
    if let Err(error) = &result {
        let pid = server.take_pid();
        server.append_log(now_ms, pid, &error.log_lines(None));
    }
    result
}

fn check_login(
    server: &PgServer,
    name: &str,
    password: &str,
    database_name: &str,
) -> Result<(), SqlError> {
    let role = server.roles.get(name);
    // A role that does not exist fails like a wrong password, so that nobody learns which ones exist.
    let Some(role) = role.filter(|role| {
        let stored = role.verifier.as_deref();
        stored.is_some_and(|stored| matches_password(stored, name, password))
    }) else {
        let message = format!("password authentication failed for user \"{name}\"");
        return Err(SqlError::fatal("28P01", message));
    };
    if !role.login {
        let message = format!("role \"{name}\" is not permitted to log in");
        return Err(SqlError::fatal("28000", message));
    }
    let limit = usize::try_from(role.connection_limit);
    let open = |by: &dyn Fn(&super::ClientSession) -> bool| {
        server.sessions.iter().filter(|session| by(session)).count()
    };
    if limit.is_ok_and(|limit| !role.superuser && open(&|s| s.role == name) >= limit) {
        let message = format!("too many connections for role \"{name}\"");
        return Err(SqlError::fatal("53300", message));
    }
    let Some(database) = server.databases.get(database_name) else {
        let message = format!("database \"{database_name}\" does not exist");
        return Err(SqlError::fatal("3D000", message));
    };
    if !database.allow_connections {
        let message =
            format!("database \"{database_name}\" is not currently accepting connections");
        return Err(SqlError::fatal("55000", message));
    }
    if !role.superuser && !database_privileges(server, database, name).connect {
        let message = format!("permission denied for database \"{database_name}\"");
        return Err(
            SqlError::fatal("42501", message).with_detail("User does not have CONNECT privilege.")
        );
    }
    let limit = usize::try_from(database.connection_limit);
    let is_full =
        limit.is_ok_and(|limit| open(&|s| s.database == database_name) >= limit && !role.superuser);
    if is_full {
        let message = format!("too many connections for database \"{database_name}\"");
        return Err(SqlError::fatal("53300", message));
    }
    Ok(())
}
