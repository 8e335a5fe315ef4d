//! Scripts, and what `psql` 15 printed for them against PostgreSQL 15.18.

use super::*;

/// Runs a script; returns exit code, standard output and standard error.
fn run(server: &mut PgServer, options: &[&str], script: &str) -> (i32, String, String) {
    let connection = [
        "-XqAt", "-U", "postgres", "-p", "5433", "-d", "postgres", "-f", "-",
    ];
    let arguments: Vec<String> = connection
        .iter()
        .chain(options)
        .map(|&argument| argument.to_owned())
        .collect();
    let invocation = parse_arguments(&arguments).unwrap();
    let output = run_psql(server, &invocation, script, 0).unwrap();
    (output.exit_code, output.stdout, output.stderr)
}

fn new_server() -> PgServer {
    PgServer::initialized(15, 1, "operator")
}

#[test]
fn messages_are_those_of_psql() {
    let script = r"\set role 'pr_42_web'
CREATE ROLE x;
DROP ROLE IF EXISTS nope;
SELECT format('%I %L', :'role', :'nope');
SELECT 1 AS a, true AS b, NULL AS c, 'x' AS d;
CREATE ROLE x;
\foo
CREATE DATABASE dx OWNER x; DROP ROLE x;
select nofun(1);
COMMENT ON DATABASE zz IS 'x';
select 1 from pg_roles \gset
select 2 where false \gset
begin; select 1/0; select 1; commit;
\connect nope
select 3;
";
    let (code, stdout, stderr) = run(&mut new_server(), &[], script);
    let expected = r#"psql:<stdin>:3: NOTICE:  role "nope" does not exist, skipping
psql:<stdin>:4: ERROR:  syntax error at or near ":"
LINE 1: SELECT format('%I %L', 'pr_42_web', :'nope');
                                            ^
psql:<stdin>:6: ERROR:  role "x" already exists
psql:<stdin>:7: error: invalid command \foo
psql:<stdin>:8: ERROR:  role "x" cannot be dropped because some objects depend on it
DETAIL:  owner of database dx
psql:<stdin>:9: ERROR:  function nofun(integer) does not exist
LINE 1: select nofun(1);
               ^
HINT:  No function matches the given name and argument types. You might need to add explicit type casts.
psql:<stdin>:10: WARNING:  database "zz" does not exist
psql:<stdin>:11: error: more than one row returned for \gset
psql:<stdin>:12: error: no rows returned for \gset
psql:<stdin>:13: ERROR:  division by zero
psql:<stdin>:13: ERROR:  current transaction is aborted, commands ignored until end of transaction block
psql:<stdin>:14: error: \connect: connection to server on socket "/var/run/postgresql/.s.PGSQL.5433" failed: FATAL:  database "nope" does not exist
"#;
    assert_eq!(stderr, expected);
    assert_eq!((code, stdout.as_str()), (2, "1|t||x\n"));
}

#[test]
fn expressions_have_the_values_of_postgresql() {
    let cases = [
        (
            "SELECT format('%I', 'Aa'), format('%L', null), format('%I','user'), format('%%%s', 1)",
            "\"Aa\"|NULL|\"user\"|%1",
        ),
        (
            "SELECT encode(sha256(convert_to('x','UTF8')),'hex')",
            "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        ),
        (
            "SELECT 1 IN (1,2), 3 NOT IN (1,2), NULL IS NULL, 'a' LIKE '_', 5 % 3, NOT false",
            "t|t|t|t|2|t",
        ),
        (
            "SELECT coalesce(NULL, 'a') || 'b', CASE WHEN 1 > 2 THEN 'x' ELSE 'y' END, '7'::int + 1",
            "ab|y|8",
        ),
        (
            "SELECT count(*) FROM pg_database WHERE NOT datistemplate",
            "1",
        ),
        (
            "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database",
            "postgres,template0,template1",
        ),
        (
            "SELECT datistemplate, count(*) FROM pg_database GROUP BY 1 ORDER BY 1",
            "f|1\nt|2",
        ),
        ("SELECT a FROM (SELECT 1 AS a) t", "1"),
        (
            "SELECT d.datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba AND r.rolname = 'postgres' ORDER BY 1 LIMIT 1",
            "postgres",
        ),
        ("SELECT '{\"a\":{\"b\":\"c\"}}'::json -> 'a' ->> 'b'", "c"),
        (
            "SELECT pg_get_userbyid(1), shobj_description(NULL, 'pg_database') IS NULL",
            "unknown (OID=1)|t",
        ),
        (
            "SELECT rolpassword FROM pg_roles WHERE rolname = 'postgres'",
            "********",
        ),
        ("SELECT $tag$it's$tag$, E'a\\tb', 'it''s'", "it's|a\tb|it's"),
    ];
    for (query, expected) in cases {
        let (code, stdout, stderr) = run(&mut new_server(), &[], &format!("{query};"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{query}");
        assert_eq!(stdout, format!("{expected}\n"), "{query}");
    }
}

/// `\connect` begins a new session, without the settings and locks of the old one.
#[test]
fn connect_begins_a_new_session() {
    let script = "SET client_min_messages = 'warning'; SELECT pg_advisory_lock(7) \\gset\n\\connect template1\n\
                  SHOW client_min_messages; SELECT pg_advisory_unlock(7);";
    let (_, stdout, _) = run(&mut new_server(), &[], script);
    assert_eq!(stdout, "notice\nf\n");
}

#[test]
fn failed_transaction_changes_nothing() {
    let mut server = new_server();
    let script = "BEGIN; CREATE ROLE a; CREATE ROLE a; COMMIT; CREATE ROLE b;";
    let (code, _, _) = run(&mut server, &[], script);
    assert_eq!(code, 0);
    assert_eq!(
        (
            server.roles.contains_key("a"),
            server.roles.contains_key("b")
        ),
        (false, true)
    );
    let (code, _, _) = run(
        &mut server,
        &["-v", "ON_ERROR_STOP=1"],
        "DROP ROLE a; DROP ROLE b;",
    );
    assert_eq!(code, 3);
    assert!(server.roles.contains_key("b"));
}

/// A plain password is stored as a verifier, a verifier as it is.
#[test]
fn passwords_are_stored_as_verifiers() {
    let mut server = new_server();
    let script = "CREATE ROLE web LOGIN PASSWORD 'secret'; GRANT pg_read_all_data TO web;";
    run(&mut server, &[], script);
    assert_eq!(
        try_login(&mut server, "web", "secret", "postgres", 0),
        Ok(())
    );
    let verifier = server.roles["web"].verifier.clone().unwrap();
    let script = format!("CREATE ROLE other LOGIN PASSWORD '{verifier}';");
    run(&mut server, &[], &script);
    assert_eq!(server.roles["other"].verifier, Some(verifier));
    let code = |server: &mut PgServer, role: &str| {
        try_login(server, role, "secret", "postgres", 0)
            .err()
            .map(|error| error.code)
    };
    assert_eq!(code(&mut server, "other"), None);
    run(&mut server, &[], "ALTER ROLE web NOLOGIN;");
    assert_eq!(code(&mut server, "web"), Some("28000"));
    run(&mut server, &[], "ALTER ROLE web PASSWORD NULL;");
    assert_eq!(code(&mut server, "web"), Some("28P01"));
}

/// Deeply nested input must not overflow the stack.
#[test]
fn nesting_is_limited() {
    let script = format!("SELECT {}1{};", "(".repeat(5_000), ")".repeat(5_000));
    let (_, _, stderr) = run(&mut new_server(), &[], &script);
    assert!(stderr.contains("stack depth limit exceeded"), "{stderr}");
}
