//! Scalar functions.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::error::SqlError;
use super::session::SqlSession;
use super::state::format_lsn;
use super::value::SqlValue;
use crate::ids;

/// Words that `quote_ident` quotes, because they cannot be names without quotes.
const QUOTED_KEYWORDS: [&str; 68] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "cross",
    "current_user",
    "default",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "in",
    "inner",
    "int",
    "intersect",
    "into",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "primary",
    "references",
    "right",
    "row",
    "select",
    "session_user",
    "table",
    "then",
    "to",
    "true",
    "union",
    "unique",
    "user",
    "values",
    "when",
    "where",
];

/// Calls a function.
///
/// # Errors
/// `42883` for an unknown one; otherwise the server's error.
pub(super) fn call_function(
    session: &mut SqlSession<'_>,
    name: &str,
    arguments: &[SqlValue],
) -> Result<SqlValue, SqlError> {
    if let Some(value) = text_function(name, arguments)? {
        return Ok(value);
    }
    if let Some(value) = server_function(session, name, arguments)? {
        return Ok(value);
    }
    if let Some(value) = lock_function(session, name, arguments)? {
        return Ok(value);
    }
    let types: Vec<&str> = arguments.iter().map(SqlValue::type_name).collect();
    let message = format!("function {name}({}) does not exist", types.join(", "));
    Err(SqlError::new("42883", message).with_hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    ))
}

/// Functions that depend only on their arguments; `None` for others.
fn text_function(name: &str, arguments: &[SqlValue]) -> Result<Option<SqlValue>, SqlError> {
    let text = |index: usize| arguments.get(index).and_then(SqlValue::print);
    let value = match (name, arguments) {
        ("coalesce", values) => values
            .iter()
            .find(|value| !value.is_null())
            .cloned()
            .unwrap_or(SqlValue::Null),
        ("nullif", [left, right]) if left == right => SqlValue::Null,
        ("nullif", [left, _]) => left.clone(),
        ("format", [pattern, rest @ ..]) => match pattern.print() {
            Some(pattern) => SqlValue::Text(format(&pattern, rest)?),
            None => SqlValue::Null,
        },
        ("concat", values) => SqlValue::Text(values.iter().filter_map(SqlValue::print).collect()),
        ("json_build_object" | "jsonb_build_object", members) => {
            SqlValue::Json(build_object(members)?)
        }
        ("json_build_array" | "jsonb_build_array", items) => {
            SqlValue::Json(items.iter().map(SqlValue::to_json).collect())
        }
        (_, values) if values.iter().any(SqlValue::is_null) && is_strict(name) => SqlValue::Null,
        ("quote_ident", [_]) => SqlValue::Text(quote_ident(&text(0).unwrap_or_default())),
        ("quote_literal", [_]) => SqlValue::Text(quote_literal(&text(0).unwrap_or_default())),
        ("quote_nullable", [_]) => {
            SqlValue::Text(text(0).map_or_else(|| "NULL".to_owned(), |text| quote_literal(&text)))
        }
        ("lower", [_]) => SqlValue::Text(text(0).unwrap_or_default().to_lowercase()),
        ("upper", [_]) => SqlValue::Text(text(0).unwrap_or_default().to_uppercase()),
        ("length", [_]) => SqlValue::Int(text(0).unwrap_or_default().chars().count() as i64),
        ("md5", [_]) => {
            use md5::Digest as _;
            let hash = md5::Md5::digest(text(0).unwrap_or_default());
            SqlValue::Text(ids::hex(&hash))
        }
        ("convert_to", [SqlValue::Text(text) | SqlValue::Name(text), _]) => {
            SqlValue::Bytes(text.as_bytes().to_vec())
        }
        ("sha256", [SqlValue::Bytes(bytes)]) => SqlValue::Bytes(Sha256::digest(bytes).to_vec()),
        ("encode", [SqlValue::Bytes(bytes), _]) => encode(bytes, &text(1).unwrap_or_default())?,
        ("to_json" | "to_jsonb" | "row_to_json" | "array_to_json", [value]) => {
            SqlValue::Json(value.to_json())
        }
        ("hashtext", [_]) => SqlValue::Int(hash_text(&text(0).unwrap_or_default())),
        ("pg_wal_lsn_diff", [_, _]) => {
            let lsn = |index: usize| parse_lsn(&text(index).unwrap_or_default());
            SqlValue::Int(lsn(0)? - lsn(1)?)
        }
        ("array_length", [SqlValue::Array(items), _]) => SqlValue::Int(items.len() as i64),
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Whether null arguments give null.
fn is_strict(name: &str) -> bool {
    matches!(
        name,
        "quote_ident"
            | "quote_literal"
            | "lower"
            | "upper"
            | "length"
            | "md5"
            | "convert_to"
            | "sha256"
            | "encode"
            | "hashtext"
            | "has_database_privilege"
            | "pg_database_size"
            | "pg_get_userbyid"
            | "pg_has_role"
            | "pg_wal_lsn_diff"
            | "shobj_description"
            | "row_to_json"
            | "array_length"
    )
}

fn encode(bytes: &[u8], format: &str) -> Result<SqlValue, SqlError> {
    use base64::Engine as _;
    match format {
        "hex" => Ok(SqlValue::Text(ids::hex(bytes))),
        "base64" => Ok(SqlValue::Text(
            base64::engine::general_purpose::STANDARD.encode(bytes),
        )),
        _ => Err(SqlError::new(
            "22023",
            format!("unrecognized encoding: \"{format}\""),
        )),
    }
}

/// A 32-bit hash, as stable as that of PostgreSQL, but another one.
fn hash_text(text: &str) -> i64 {
    let bytes = ids::derive_bytes(&["hashtext", text]);
    i64::from(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn parse_lsn(text: &str) -> Result<i64, SqlError> {
    let invalid = || {
        let message = format!("invalid input syntax for type pg_lsn: \"{text}\"");
        SqlError::new("22P02", message)
    };
    let (high, low) = text.split_once('/').ok_or_else(invalid)?;
    let number = |part: &str| i64::from_str_radix(part, 16).map_err(|_| invalid());
    Ok((number(high)? << 32) + number(low)?)
}

fn build_object(members: &[SqlValue]) -> Result<Value, SqlError> {
    if !members.len().is_multiple_of(2) {
        let message = "argument list must have even number of elements";
        return Err(SqlError::new("22023", message).with_hint(
            "The arguments of json_build_object() must consist of alternating keys and values.",
        ));
    }
    let mut object = Map::new();
    for pair in members.chunks(2) {
        let key = pair[0]
            .print()
            .ok_or_else(|| SqlError::new("22023", "null value not allowed for object key"))?;
        object.insert(key, pair[1].to_json());
    }
    Ok(Value::Object(object))
}

/// `format()`: `%s`, `%I` and `%L`, also with positions such as `%2$I`.
fn format(pattern: &str, arguments: &[SqlValue]) -> Result<String, SqlError> {
    let mut out = String::new();
    let mut next = 0;
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut digits = String::new();
        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if !digits.is_empty() {
            if characters.next() != Some('$') {
                return Err(SqlError::unsupported("widths in format()"));
            }
            next = digits.parse::<usize>().unwrap_or(0).saturating_sub(1);
        }
        let specifier = characters.next().ok_or_else(|| {
            SqlError::new("22023", "unterminated format() type specifier")
                .with_hint("For a single \"%\" use \"%%\".")
        })?;
        if specifier == '%' {
            out.push('%');
            continue;
        }
        if !matches!(specifier, 's' | 'I' | 'L') {
            let message = format!("unrecognized format() type specifier \"{specifier}\"");
            return Err(SqlError::new("22023", message).with_hint("For a single \"%\" use \"%%\"."));
        }
        let argument = arguments
            .get(next)
            .ok_or_else(|| SqlError::new("22023", "too few arguments for format()"))?;
        next += 1;
        out += &match (specifier, argument.print()) {
            ('I', Some(text)) => quote_ident(&text),
            ('I', None) => {
                let message = "null values cannot be formatted as an SQL identifier";
                return Err(SqlError::new("22004", message));
            }
            ('L', Some(text)) => quote_literal(&text),
            ('L', None) => "NULL".to_owned(),
            (_, text) => text.unwrap_or_default(),
        };
    }
    Ok(out)
}

/// A name as SQL writes it, in quotes where it needs them.
pub(super) fn quote_ident(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c == '_' || c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c == '_' || c == '$' || c.is_ascii_lowercase() || c.is_ascii_digit())
        && !QUOTED_KEYWORDS.contains(&name);
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as SQL writes it.
pub(super) fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// Functions that read the server's state; `None` for others.
fn server_function(
    session: &SqlSession<'_>,
    name: &str,
    arguments: &[SqlValue],
) -> Result<Option<SqlValue>, SqlError> {
    let server = &*session.server;
    let value = match (name, arguments) {
        ("current_setting", [name]) => SqlValue::Text(session.setting(&print(name))?),
        ("current_setting", [name, missing_ok]) => match session.setting(&print(name)) {
            Err(_) if missing_ok.is_true() => SqlValue::Null,
            value => SqlValue::Text(value?),
        },
        ("version", []) => {
            let (major, minor) = (server.major, server.minor());
            SqlValue::Text(format!(
                "PostgreSQL {major}.{minor} on x86_64-pc-linux-gnu, compiled by gcc, 64-bit"
            ))
        }
        ("pg_is_in_recovery", []) => SqlValue::Bool(server.standby),
        ("pg_backend_pid", []) => SqlValue::Int(session.pid.into()),
        ("current_user" | "session_user" | "current_role", []) => SqlValue::name(&*session.role),
        ("current_database" | "current_catalog", []) => SqlValue::name(&*session.database),
        ("now" | "current_timestamp" | "clock_timestamp", []) => {
            let time = crate::clock::format_millis(session.now_ms);
            SqlValue::Text(time.replace('T', " ").replace('Z', "+00"))
        }
        ("pg_current_wal_lsn", []) if server.standby => {
            return Err(SqlError::new("55000", "recovery is in progress")
                .with_hint("WAL control functions cannot be executed during recovery."));
        }
        ("pg_current_wal_lsn" | "pg_last_wal_replay_lsn" | "pg_last_wal_receive_lsn", []) => {
            SqlValue::Text(format_lsn(server.lsn))
        }
        ("pg_get_userbyid", [SqlValue::Int(oid)]) => {
            let found = server
                .roles
                .iter()
                .find(|(_, role)| i64::from(role.oid) == *oid);
            SqlValue::name(
                found.map_or_else(|| format!("unknown (OID={oid})"), |(name, _)| name.clone()),
            )
        }
        ("pg_database_size", [database]) => {
            let by_oid = |oid: i64| server.databases.values().find(|d| i64::from(d.oid) == oid);
            let found = match database {
                SqlValue::Int(oid) => by_oid(*oid),
                name => server.databases.get(&print(name)),
            };
            let missing = || SqlError::no_database(&print(database));
            SqlValue::Int(found.ok_or_else(missing)?.size_bytes.cast_signed())
        }
        ("shobj_description", [SqlValue::Int(oid), catalog]) => {
            shared_comment(session, *oid, &print(catalog))
        }
        ("has_database_privilege", [role, database, privilege]) => {
            let (role, database) = (print(role), print(database));
            SqlValue::Bool(has_database_privilege(
                session,
                &role,
                &database,
                &print(privilege),
            )?)
        }
        ("pg_has_role", [role, of, _]) => {
            SqlValue::Bool(server.is_member(&print(role), &print(of)))
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn print(value: &SqlValue) -> String {
    value.print().unwrap_or_default()
}

fn shared_comment(session: &SqlSession<'_>, oid: i64, catalog: &str) -> SqlValue {
    let server = &*session.server;
    let comment = match catalog {
        "pg_authid" => server
            .roles
            .values()
            .find(|role| i64::from(role.oid) == oid)
            .and_then(|role| role.comment.as_deref()),
        "pg_database" => server
            .databases
            .values()
            .find(|database| i64::from(database.oid) == oid)
            .and_then(|database| database.comment.as_deref()),
        _ => None,
    };
    SqlValue::optional(comment)
}

/// `has_database_privilege` with the names of a role, or `public`, and of a database.
fn has_database_privilege(
    session: &SqlSession<'_>,
    role: &str,
    name: &str,
    privilege: &str,
) -> Result<bool, SqlError> {
    let server = &*session.server;
    let database = server
        .databases
        .get(name)
        .ok_or_else(|| SqlError::no_database(name))?;
    if role != "public" && !server.roles.contains_key(role) {
        return Err(SqlError::no_role(role));
    }
    let is_superuser = server.roles.get(role).is_some_and(|role| role.superuser);
    let granted = super::login::database_privileges(server, database, role);
    let allowed = match privilege.to_ascii_lowercase().as_str() {
        "connect" => granted.connect,
        "temporary" | "temp" => granted.temporary,
        "create" => granted.create,
        other => {
            let message = format!("unrecognized privilege type: \"{other}\"");
            return Err(SqlError::new("22023", message));
        }
    };
    Ok(allowed || is_superuser)
}

/// Advisory locks, and functions that act on other sessions or the server; `None` for others.
fn lock_function(
    session: &mut SqlSession<'_>,
    name: &str,
    arguments: &[SqlValue],
) -> Result<Option<SqlValue>, SqlError> {
    let key = match arguments {
        [SqlValue::Int(key)] => *key,
        [SqlValue::Int(high), SqlValue::Int(low)] => (high << 32) | (low & 0xffff_ffff),
        _ => 0,
    };
    let is_taken = session
        .server
        .sessions
        .iter()
        .any(|s| s.locks.contains(&key));
    let value = match (name, arguments) {
        (_, []) if name.contains("advisory") => return Ok(None),
        ("pg_advisory_lock" | "pg_advisory_xact_lock", [SqlValue::Int(_), ..]) => {
            if is_taken {
                return Err(SqlError::blocked());
            }
            session.locks.insert(key);
            SqlValue::Void
        }
        ("pg_try_advisory_lock" | "pg_try_advisory_xact_lock", [SqlValue::Int(_), ..]) => {
            if !is_taken {
                session.locks.insert(key);
            }
            SqlValue::Bool(!is_taken)
        }
        ("pg_advisory_unlock", [SqlValue::Int(_), ..]) => {
            SqlValue::Bool(session.locks.remove(&key))
        }
        ("pg_advisory_unlock_all", []) => {
            session.locks.clear();
            SqlValue::Void
        }
        ("pg_terminate_backend", [SqlValue::Int(pid)]) => {
            let before = session.server.sessions.len();
            session.server.sessions.retain(|s| i64::from(s.pid) != *pid);
            SqlValue::Bool(session.server.sessions.len() < before)
        }
        ("pg_reload_conf", []) => SqlValue::Bool(true),
        _ => return Ok(None),
    };
    Ok(Some(value))
}
