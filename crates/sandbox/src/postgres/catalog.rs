//! The tables of the system catalog, computed from the state. A further column is one more entry of a
//! row here.

use super::functions::quote_ident;
use super::select::SqlRows;
use super::session::SqlSession;
use super::state::{DatabasePrivileges, PREDEFINED_ROLES, PgDatabase, PgRole, format_lsn};
use super::value::SqlValue;

/// The columns of a row, by name.
type CatalogRow = Vec<(&'static str, SqlValue)>;

/// The extensions that Fly's image can create, with their versions.
pub(super) const EXTENSIONS: [(&str, &str); 22] = [
    ("btree_gin", "1.3"),
    ("btree_gist", "1.7"),
    ("citext", "1.6"),
    ("cube", "1.5"),
    ("earthdistance", "1.2"),
    ("fuzzystrmatch", "1.2"),
    ("hstore", "1.8"),
    ("intarray", "1.5"),
    ("isn", "1.2"),
    ("ltree", "1.3"),
    ("pg_buffercache", "1.5"),
    ("pg_prewarm", "1.2"),
    ("pg_stat_statements", "1.11"),
    ("pg_trgm", "1.6"),
    ("pgcrypto", "1.3"),
    ("plpgsql", "1.0"),
    ("postgis", "3.5.0"),
    ("postgres_fdw", "1.1"),
    ("repmgr", "5.5"),
    ("tablefunc", "1.0"),
    ("unaccent", "1.1"),
    ("uuid-ossp", "1.1"),
];

/// A table of the catalog; `None` when there is none with this name.
pub(super) fn read_table(session: &SqlSession<'_>, name: &str) -> Option<SqlRows> {
    let rows = match name {
        "pg_authid" => roles(session, true),
        "pg_roles" => roles(session, false),
        "pg_user" => users(session),
        "pg_auth_members" => memberships(session),
        "pg_database" => databases(session),
        "pg_db_role_setting" => settings(session),
        "pg_stat_activity" => sessions(session),
        "pg_replication_slots" => slots(session),
        "pg_stat_replication" => standbys(session),
        "pg_extension" => extensions(session),
        "pg_available_extensions" => available_extensions(session),
        "pg_tables" => tables(session),
        "pg_shdescription" => comments(session),
        _ => return None,
    };
    // Even an empty table has columns.
    let columns = match rows.first() {
        Some(row) => row.iter().map(|(name, _)| (*name).to_owned()).collect(),
        None => empty_columns(name),
    };
    let values = |row: CatalogRow| row.into_iter().map(|(_, value)| value).collect();
    Some(SqlRows {
        columns,
        rows: rows.into_iter().map(values).collect(),
    })
}

/// The columns of the tables that can be empty.
fn empty_columns(name: &str) -> Vec<String> {
    let row: CatalogRow = match name {
        "pg_auth_members" => membership_row(0, 0),
        "pg_db_role_setting" => setting_row(0, 0, Vec::new()),
        "pg_replication_slots" => slot_row("", false, 0),
        "pg_stat_replication" => standby_row("", "", 0),
        "pg_tables" => table_row("", ""),
        "pg_shdescription" => comment_row(0, 0, ""),
        _ => Vec::new(),
    };
    row.into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn int(number: impl Into<i64>) -> SqlValue {
    SqlValue::Int(number.into())
}

fn role_row(name: &str, role: &PgRole, shows_password: bool) -> CatalogRow {
    let password = if shows_password {
        SqlValue::optional(role.verifier.as_deref())
    } else {
        SqlValue::text("********")
    };
    let settings = setting_list(&role.settings);
    vec![
        ("oid", int(role.oid)),
        ("rolname", SqlValue::name(name)),
        ("rolsuper", SqlValue::Bool(role.superuser)),
        ("rolinherit", SqlValue::Bool(role.inherit)),
        ("rolcreaterole", SqlValue::Bool(role.createrole)),
        ("rolcreatedb", SqlValue::Bool(role.createdb)),
        ("rolcanlogin", SqlValue::Bool(role.login)),
        ("rolreplication", SqlValue::Bool(role.replication)),
        ("rolbypassrls", SqlValue::Bool(role.bypassrls)),
        ("rolconnlimit", int(role.connection_limit)),
        ("rolpassword", password),
        (
            "rolvaliduntil",
            SqlValue::optional(role.valid_until.as_deref()),
        ),
        (
            "rolconfig",
            if settings.is_empty() {
                SqlValue::Null
            } else {
                SqlValue::Array(settings)
            },
        ),
    ]
}

fn roles(session: &SqlSession<'_>, shows_password: bool) -> Vec<CatalogRow> {
    let predefined = PREDEFINED_ROLES
        .iter()
        .map(|(name, oid)| role_row(name, &PgRole::new(*oid), shows_password));
    let own = session.server.roles.iter();
    predefined
        .chain(own.map(|(name, role)| role_row(name, role, shows_password)))
        .collect()
}

fn users(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let roles = session.server.roles.iter().filter(|(_, role)| role.login);
    roles
        .map(|(name, role)| {
            vec![
                ("usename", SqlValue::name(&**name)),
                ("usesysid", int(role.oid)),
                ("usecreatedb", SqlValue::Bool(role.createdb)),
                ("usesuper", SqlValue::Bool(role.superuser)),
                ("userepl", SqlValue::Bool(role.replication)),
            ]
        })
        .collect()
}

fn role_oid(session: &SqlSession<'_>, name: &str) -> u32 {
    let predefined = PREDEFINED_ROLES.iter().find(|(known, _)| *known == name);
    let own = session.server.roles.get(name).map(|role| role.oid);
    own.or(predefined.map(|(_, oid)| *oid)).unwrap_or(0)
}

fn membership_row(of: u32, member: u32) -> CatalogRow {
    vec![
        ("roleid", int(of)),
        ("member", int(member)),
        ("grantor", int(10)),
        ("admin_option", SqlValue::Bool(false)),
    ]
}

fn memberships(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let mut rows = Vec::new();
    for role in session.server.roles.values() {
        for of in &role.member_of {
            rows.push(membership_row(role_oid(session, of), role.oid));
        }
    }
    rows
}

fn privilege_letters(privileges: DatabasePrivileges) -> String {
    let letters = [
        ("C", privileges.create),
        ("T", privileges.temporary),
        ("c", privileges.connect),
    ];
    letters
        .iter()
        .filter(|(_, granted)| *granted)
        .map(|(letter, _)| *letter)
        .collect()
}

/// `datacl`: null while nothing was granted or revoked.
fn access_list(database: &PgDatabase) -> SqlValue {
    let untouched = PgDatabase::new(0, "").public;
    if database.public == untouched && database.grants.is_empty() {
        return SqlValue::Null;
    }
    let owner = quote_ident(&database.owner);
    let item = |grantee: &str, privileges| {
        SqlValue::Text(format!(
            "{grantee}={}/{owner}",
            privilege_letters(privileges)
        ))
    };
    let all = DatabasePrivileges {
        connect: true,
        temporary: true,
        create: true,
    };
    let mut items = Vec::new();
    if database.public != DatabasePrivileges::default() {
        items.push(item("", database.public));
    }
    items.push(item(&owner, all));
    let grants = database.grants.iter();
    items.extend(grants.map(|(role, privileges)| item(&quote_ident(role), *privileges)));
    SqlValue::Array(items)
}

fn databases(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let row = |(name, database): (&String, &PgDatabase)| {
        vec![
            ("oid", int(database.oid)),
            ("datname", SqlValue::name(&**name)),
            ("datdba", int(role_oid(session, &database.owner))),
            ("encoding", int(6)),
            ("datcollate", SqlValue::text("en_US.utf8")),
            ("datctype", SqlValue::text("en_US.utf8")),
            ("datistemplate", SqlValue::Bool(database.is_template)),
            ("datallowconn", SqlValue::Bool(database.allow_connections)),
            ("datconnlimit", int(database.connection_limit)),
            ("dattablespace", int(1663)),
            ("datacl", access_list(database)),
        ]
    };
    session.server.databases.iter().map(row).collect()
}

fn setting_list(settings: &std::collections::BTreeMap<String, String>) -> Vec<SqlValue> {
    let item = |(name, value): (&String, &String)| SqlValue::Text(format!("{name}={value}"));
    settings.iter().map(item).collect()
}

fn setting_row(database: u32, role: u32, settings: Vec<SqlValue>) -> CatalogRow {
    vec![
        ("setdatabase", int(database)),
        ("setrole", int(role)),
        ("setconfig", SqlValue::Array(settings)),
    ]
}

fn settings(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let of_databases = session.server.databases.values();
    let of_databases = of_databases.filter(|database| !database.settings.is_empty());
    let of_roles = session.server.roles.values();
    let of_roles = of_roles.filter(|role| !role.settings.is_empty());
    of_databases
        .map(|database| setting_row(database.oid, 0, setting_list(&database.settings)))
        .chain(of_roles.map(|role| setting_row(0, role.oid, setting_list(&role.settings))))
        .collect()
}

fn session_row(
    pid: u32,
    role: (&str, u32),
    database: (&str, u32),
    application: &str,
    state: &str,
) -> CatalogRow {
    vec![
        ("datid", int(database.1)),
        ("datname", SqlValue::name(database.0)),
        ("pid", int(pid)),
        ("usesysid", int(role.1)),
        ("usename", SqlValue::name(role.0)),
        ("application_name", SqlValue::text(application)),
        ("state", SqlValue::text(state)),
        ("backend_type", SqlValue::text("client backend")),
    ]
}

fn sessions(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let with_oids = |role: &str, database: &str| {
        let databases = &session.server.databases;
        let oid = databases.get(database).map_or(0, |database| database.oid);
        (role_oid(session, role), oid)
    };
    let (role, database) = with_oids(&session.role, &session.database);
    let own = session_row(
        session.pid,
        (&session.role, role),
        (&session.database, database),
        "psql",
        "active",
    );
    let others = session.server.sessions.iter().map(|other| {
        let (role, database) = with_oids(&other.role, &other.database);
        session_row(
            other.pid,
            (&other.role, role),
            (&other.database, database),
            &other.application,
            "idle",
        )
    });
    [own].into_iter().chain(others).collect()
}

fn slot_row(name: &str, active: bool, restart_lsn: u64) -> CatalogRow {
    vec![
        ("slot_name", SqlValue::name(name)),
        ("plugin", SqlValue::Null),
        ("slot_type", SqlValue::text("physical")),
        ("datoid", SqlValue::Null),
        ("database", SqlValue::Null),
        ("temporary", SqlValue::Bool(false)),
        ("active", SqlValue::Bool(active)),
        ("restart_lsn", SqlValue::Text(format_lsn(restart_lsn))),
        (
            "wal_status",
            SqlValue::text(if active { "reserved" } else { "extended" }),
        ),
    ]
}

fn slots(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let slots = session.server.slots.iter();
    slots
        .map(|(name, slot)| slot_row(name, slot.active, slot.restart_lsn))
        .collect()
}

fn standby_row(name: &str, state: &str, lsn: u64) -> CatalogRow {
    let lsn = || SqlValue::Text(format_lsn(lsn));
    vec![
        ("pid", int(600)),
        ("usename", SqlValue::name("repmgr")),
        ("application_name", SqlValue::text(name)),
        ("state", SqlValue::text(state)),
        ("sent_lsn", lsn()),
        ("write_lsn", lsn()),
        ("flush_lsn", lsn()),
        ("replay_lsn", lsn()),
        ("sync_state", SqlValue::text("async")),
    ]
}

fn standbys(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let active = session.server.slots.values().filter(|slot| slot.active);
    active
        .map(|slot| standby_row(&slot.standby, "streaming", slot.restart_lsn))
        .collect()
}

fn extensions(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let database = session.server.databases.get(&session.database);
    let extensions = database
        .into_iter()
        .flat_map(|database| &database.extensions);
    extensions
        .enumerate()
        .map(|(index, (name, version))| {
            vec![
                ("oid", int(14_000 + index as i64)),
                ("extname", SqlValue::name(&**name)),
                ("extowner", int(10)),
                ("extversion", SqlValue::text(&**version)),
            ]
        })
        .collect()
}

fn available_extensions(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let database = session.server.databases.get(&session.database);
    let installed = |name: &str| database?.extensions.get(name).map(String::as_str);
    EXTENSIONS
        .iter()
        .map(|(name, version)| {
            vec![
                ("name", SqlValue::name(*name)),
                ("default_version", SqlValue::text(*version)),
                ("installed_version", SqlValue::optional(installed(name))),
            ]
        })
        .collect()
}

fn table_row(name: &str, owner: &str) -> CatalogRow {
    let (schema, table) = name.split_once('.').unwrap_or(("public", name));
    vec![
        ("schemaname", SqlValue::name(schema)),
        ("tablename", SqlValue::name(table)),
        ("tableowner", SqlValue::name(owner)),
    ]
}

fn tables(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let database = session.server.databases.get(&session.database);
    let tables = database.into_iter().flat_map(|database| &database.tables);
    tables.map(|(name, owner)| table_row(name, owner)).collect()
}

/// The object ids of the catalog tables that shared comments belong to.
const PG_AUTHID: u32 = 1260;
const PG_DATABASE: u32 = 1262;

fn comment_row(oid: u32, catalog: u32, text: &str) -> CatalogRow {
    vec![
        ("objoid", int(oid)),
        ("classoid", int(catalog)),
        ("description", SqlValue::text(text)),
    ]
}

fn comments(session: &SqlSession<'_>) -> Vec<CatalogRow> {
    let roles = session.server.roles.values();
    let of_roles = roles.filter_map(|r| Some(comment_row(r.oid, PG_AUTHID, r.comment.as_deref()?)));
    let databases = session.server.databases.values();
    let of_databases =
        databases.filter_map(|d| Some(comment_row(d.oid, PG_DATABASE, d.comment.as_deref()?)));
    of_roles.chain(of_databases).collect()
}
