//! The scripts with which a client attaches an app to a cluster, observes it and detaches it.

use serde_json::{Value, json};

use super::support::{admin, create_cluster, login, run_script, send_script};
use crate::support::TestSandbox;

/// The verifier of `pencil` in RFC 7677.
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

fn attach(name: &str) -> String {
    format!(
        r#"\set role '{name}'
\set db '{name}'
\set verifier '{VERIFIER}'
SET log_min_error_statement='panic'; SET log_statement='none'; SET client_min_messages='warning';
SELECT pg_advisory_lock(hashtext('trimtab:' || :'db')) \gset
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER PASSWORD %L', :'role', :'verifier') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'db', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', :'db', :'role') FROM pg_database
  WHERE datname = :'db' AND pg_get_userbyid(datdba) <> :'role' \gexec
SELECT format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', :'db') \gexec
SELECT format('COMMENT ON DATABASE %I IS %L', :'db', '{{"trimtab":{{"project":"it''s"}}}}') \gexec
SELECT format('COMMENT ON ROLE %I IS %L', :'role', 'label') \gexec
\connect :db
SET client_min_messages='warning';
CREATE EXTENSION IF NOT EXISTS pg_trgm;
"#
    )
}

fn detach(name: &str) -> String {
    format!(
        r"\set role '{name}'
SET client_min_messages='warning';
SELECT format('ALTER ROLE %I NOLOGIN', :'role') WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'role') \gexec
SELECT format('DROP ROLE IF EXISTS %I', :'role') \gexec
"
    )
}

const OBSERVE_ROLE: &str = "SELECT json_build_object('role',rolname,'super',rolsuper,'login',rolcanlogin,'verifier',\
     encode(sha256(convert_to(coalesce(rolpassword,''),'UTF8')),'hex'),'comment',shobj_description(oid,'pg_authid')) \
     FROM pg_authid WHERE rolname = 'pr_42_web' ORDER BY rolname;";
const OBSERVE_DATABASE: &str = "SELECT json_build_object('db',datname,'owner',pg_get_userbyid(datdba),'size',pg_database_size(oid),'comment',\
     shobj_description(oid,'pg_database'),'conns',(SELECT count(*) FROM pg_stat_activity a WHERE a.datname=d.datname),\
     'set',(SELECT setconfig FROM pg_db_role_setting s WHERE s.setdatabase=d.oid AND setrole=0)) \
     FROM pg_database d WHERE NOT datistemplate AND datname = 'pr_42_web';";

async fn observe(sandbox: &TestSandbox, path: &str, query: &str) -> Value {
    let line = run_script(sandbox, path, query).await;
    serde_json::from_str(&line).unwrap_or_default()
}

#[tokio::test]
async fn attached_role_owns_its_database() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    // The second run changes nothing.
    for _ in 0..2 {
        assert_eq!(run_script(&sandbox, &path, &attach("pr_42_web")).await, "");
        let role = observe(&sandbox, &path, OBSERVE_ROLE).await;
        let expected = json!({
            "role": "pr_42_web", "super": false, "login": true, "comment": "label",
            "verifier": "84f317fc10762644042d63b788b5f3f1c10b192d236cfb654451817202b15e9b",
        });
        assert_eq!(role, expected);
        let database = observe(&sandbox, &path, OBSERVE_DATABASE).await;
        assert_eq!(database["owner"], "pr_42_web");
        assert_eq!(database["comment"], r#"{"trimtab":{"project":"it's"}}"#);
        assert_eq!(
            (&database["conns"], &database["set"]),
            (&json!(0), &Value::Null)
        );
        assert!(database["size"].as_u64().unwrap() > 1_000_000);
    }
    let extensions = "\\connect pr_42_web\nSELECT extname FROM pg_extension ORDER BY 1;";
    assert_eq!(
        run_script(&sandbox, &path, extensions).await,
        "pg_trgm\nplpgsql\n"
    );
    run_script(&sandbox, &path, &attach("pr_43_web")).await;
    assert_eq!(
        login(&sandbox, "pr_42_web", "pencil", "pr_42_web").await,
        "ok"
    );
    assert_eq!(
        login(&sandbox, "pr_42_web", "pen", "pr_42_web").await,
        "28P01"
    );
    assert_eq!(
        login(&sandbox, "none", "pencil", "pr_42_web").await,
        "28P01"
    );
    assert_eq!(
        login(&sandbox, "pr_42_web", "pencil", "pr_43_web").await,
        "42501"
    );
    assert_eq!(
        login(&sandbox, "pr_42_web", "pencil", "none").await,
        "3D000"
    );
}

#[tokio::test]
async fn detached_role_and_database_are_gone() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    run_script(&sandbox, &path, &attach("pr_42_web")).await;
    let session = json!({ "app": "db", "role": "pr_42_web", "database": "pr_42_web" });
    admin(&sandbox, "session", session).await;
    let plain = send_script(&sandbox, &path, "DROP DATABASE pr_42_web;").await;
    let plain = plain.assert_status(200);
    assert_eq!(
        plain["stderr"],
        "psql:<stdin>:1: ERROR:  database \"pr_42_web\" is being accessed by other users\n\
         DETAIL:  There is 1 other session using the database.\n"
    );
    for _ in 0..2 {
        run_script(&sandbox, &path, &detach("pr_42_web")).await;
        assert_eq!(observe(&sandbox, &path, OBSERVE_ROLE).await, Value::Null);
        assert_eq!(
            observe(&sandbox, &path, OBSERVE_DATABASE).await,
            Value::Null
        );
    }
    assert_eq!(
        login(&sandbox, "pr_42_web", "pencil", "pr_42_web").await,
        "28P01"
    );
}

/// What PostgreSQL refuses, with its SQLSTATE. A script stops at the first error.
#[tokio::test]
async fn errors_have_the_sqlstate_of_postgresql() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    run_script(
        &sandbox,
        &path,
        "CREATE ROLE web; CREATE DATABASE shop OWNER web;",
    )
    .await;
    let cases = [
        ("CREATE ROLE web;", "42710"),
        ("CREATE DATABASE shop;", "42P04"),
        ("CREATE DATABASE other OWNER nobody;", "42704"),
        ("ALTER DATABASE shop OWNER TO nobody;", "42704"),
        ("ALTER DATABASE none OWNER TO web;", "3D000"),
        ("DROP ROLE web;", "2BP01"),
        ("DROP ROLE nobody;", "42704"),
        ("DROP DATABASE template1;", "42809"),
        ("DROP DATABASE postgres;", "55006"),
        ("BEGIN; CREATE DATABASE other;", "25001"),
        (
            "SET default_transaction_read_only = on; DROP ROLE web;",
            "25006",
        ),
        ("SET log_statement = 'some';", "22023"),
        ("CREATE EXTENSION vector;", "0A000"),
        ("CREATE ROLE pg_web;", "42939"),
        ("SELECT * FROM none;", "42P01"),
        ("SELECT none FROM pg_roles;", "42703"),
        ("SELECT none(1);", "42883"),
        ("SELEC 1;", "42601"),
        ("INSERT INTO jobs VALUES (1);", "0A000"),
    ];
    for (statement, code) in cases {
        let script = format!("\\set VERBOSITY sqlstate\n{statement}\nCREATE ROLE never;");
        let response = send_script(&sandbox, &path, &script)
            .await
            .assert_status(200);
        assert_eq!(response["exit_code"], 3, "{statement}");
        assert_eq!(
            response["stderr"],
            format!("psql:<stdin>:2: ERROR:  {code}\n"),
            "{statement}"
        );
    }
    let query = "SELECT count(*) FROM pg_roles WHERE rolname = 'never';";
    assert_eq!(run_script(&sandbox, &path, query).await, "0\n");
}

#[tokio::test]
async fn source_of_new_database_must_be_unused() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    let session = json!({ "app": "db", "role": "postgres", "database": "template1" });
    admin(&sandbox, "session", session).await;
    let script = "\\set VERBOSITY sqlstate\nCREATE DATABASE shop;";
    let response = send_script(&sandbox, &path, script)
        .await
        .assert_status(200);
    assert_eq!(response["stderr"], "psql:<stdin>:2: ERROR:  55006\n");
}

#[tokio::test]
async fn long_names_are_cut() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    let (long, cut) = ("n".repeat(70), "n".repeat(63));
    let script = format!("CREATE ROLE {long};");
    let response = send_script(&sandbox, &path, &script)
        .await
        .assert_status(200);
    assert_eq!(
        response["stderr"],
        format!("psql:<stdin>:1: NOTICE:  identifier \"{long}\" will be truncated to \"{cut}\"\n")
    );
    let query = format!("SELECT length(rolname) FROM pg_roles WHERE rolname = '{long}';");
    assert_eq!(run_script(&sandbox, &path, &query).await, "63\n");
}

/// A statement that fails is in the log with everything in it, unless the session says otherwise.
#[tokio::test]
async fn failed_statement_is_logged() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    run_script(&sandbox, &path, "CREATE ROLE web;").await;
    let log = async || sandbox.get("/_sandbox/postgres/db/log").await.text;
    let quiet = "SET log_min_error_statement = 'panic'; CREATE ROLE web PASSWORD 'first-secret';";
    send_script(&sandbox, &path, quiet).await.assert_status(200);
    assert!(
        log()
            .await
            .contains("ERROR:  role \\\"web\\\" already exists")
    );
    assert!(!log().await.contains("first-secret"));
    send_script(&sandbox, &path, "CREATE ROLE web PASSWORD 'second-secret';")
        .await
        .assert_status(200);
    assert!(
        log()
            .await
            .contains("STATEMENT:  CREATE ROLE web PASSWORD 'second-secret';")
    );
    let machine_logs = sandbox.get("/api/v1/apps/db/logs").await.text;
    assert!(machine_logs.contains("second-secret"));
    run_script(&sandbox, &path, "ALTER SYSTEM SET log_statement = 'ddl';").await;
    run_script(&sandbox, &path, "CREATE ROLE logged; SELECT 'silent';").await;
    assert!(log().await.contains("LOG:  statement: CREATE ROLE logged;"));
    assert!(!log().await.contains("silent"));
}

/// Somebody else changes the server, and the owner of a database changes.
#[tokio::test]
async fn tampering_is_visible() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = create_cluster(&sandbox).await;
    run_script(&sandbox, &path, &attach("pr_42_web")).await;
    let script = "ALTER ROLE pr_42_web PASSWORD 'other' SUPERUSER; CREATE ROLE old; ALTER DATABASE pr_42_web OWNER TO old;\n\
                  \\connect pr_42_web\nCREATE TABLE jobs (id int); ALTER TABLE jobs OWNER TO old;";
    let response = admin(&sandbox, "script", json!({ "app": "db", "script": script })).await;
    assert_eq!(response["exit_code"], 0, "{response}");
    assert_eq!(
        login(&sandbox, "pr_42_web", "pencil", "pr_42_web").await,
        "28P01"
    );
    assert_eq!(
        login(&sandbox, "pr_42_web", "other", "pr_42_web").await,
        "ok"
    );
    assert_eq!(observe(&sandbox, &path, OBSERVE_ROLE).await["super"], true);
    assert_eq!(
        observe(&sandbox, &path, OBSERVE_DATABASE).await["owner"],
        "old"
    );
    run_script(
        &sandbox,
        &path,
        "\\connect pr_42_web\nREASSIGN OWNED BY old TO pr_42_web; DROP ROLE old;",
    )
    .await;
    let owners = "\\connect pr_42_web\nSELECT tableowner FROM pg_tables;";
    assert_eq!(run_script(&sandbox, &path, owners).await, "pr_42_web\n");
    let cluster = sandbox
        .get("/_sandbox/postgres/db")
        .await
        .assert_status(200);
    let node = &cluster["nodes"][0];
    assert_eq!(
        (&node["ready"], &node["role"]),
        (&json!(true), &json!("primary"))
    );
    assert_eq!(
        node["server"]["databases"]["pr_42_web"]["owner"],
        "pr_42_web"
    );
    assert_eq!(
        node["server"]["databases"]["pr_42_web"]["public"]["connect"],
        false
    );
}
