# Runs the statements that trimtab sends to a Postgres cluster on a real PostgreSQL, byte for byte: the sandbox imitates Fly, and hands
# the scripts to `psql`. Sourced by scripts/conformance.

step "PostgreSQL is installed"
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null; then
  apt-get update -qq >/dev/null
  apt-get install -y -qq postgresql >/dev/null
fi
postgres_bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -1 || command -v initdb)")
ok

step "PostgreSQL serves"
# The server refuses to run as root.
postgres_dir=$(mktemp -d)
as_postgres=()
if [ "$(id -u)" = 0 ]; then
  chown postgres "$postgres_dir"
  as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups --)
fi
postgres_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as_postgres[@]}" "$postgres_bin/initdb" --pgdata "$postgres_dir/data" --username postgres --auth trust >/dev/null
# As the image has it: the superuser comes in without a password, everybody else logs in.
printf '%s\n' 'local all all trust' 'host all postgres 127.0.0.1/32 trust' 'host all all 127.0.0.1/32 md5' |
  "${as_postgres[@]}" tee "$postgres_dir/data/pg_hba.conf" >/dev/null
postgres_log="$work/postgres.log"
"${as_postgres[@]}" "$postgres_bin/postgres" -D "$postgres_dir/data" -p "$postgres_port" -k "$postgres_dir" \
  -c listen_addresses=127.0.0.1 -c log_statement=all >"$postgres_log" 2>&1 &
servers+=($!)
postgres_url="postgres://postgres@127.0.0.1:$postgres_port/postgres"
for _ in $(seq 100); do
  psql -Atq "$postgres_url" -c 'SELECT 1' >/dev/null 2>&1 && break
  sleep 0.1
done
printf '      PostgreSQL %s\n' "$(psql -Atq "$postgres_url" -c 'SHOW server_version')"
ok

cat >"$work/pg.toml" <<'MANIFEST'
project = "harbor"
[fly]
org = "acme"
[postgres.db]
name = "harbor-db"
region = "iad"
image = "flyio/postgres-flex:17.7@sha256:3f1ac2b0c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
[apps.web.databases.main]
cluster = "db"
extensions = ["pg_trgm"]
[apps.worker]
name = "harbor-worker"
primary_region = "iad"
image = "registry.fly.io/harbor-worker:v1"
[apps.worker.databases.main]
cluster = "db"
ephemeral = true
MANIFEST
serve "$work/pg-exports" FLY_SYNTHETICS_AGENT \
  "$TRIMTAB" sandbox --dir "$work/pg-sandbox" --listen 127.0.0.1:0 --org acme --speed 100 --postgres "$postgres_url"

pg_trimtab() { (source "$work/pg-exports" && "$TRIMTAB" "$@" --environments "$work"); }
# The URL that an app has, for the real server.
delivered_url() {
  python3 - "$work/pg-sandbox/server.json" "$1" "$postgres_port" <<'PYTHON'
import json, re, sys, urllib.request
server = json.load(open(sys.argv[1]))
request = urllib.request.Request(server["url"] + "/_sandbox/state", headers={"Authorization": "Bearer " + server["admin_token"]})
state = json.load(urllib.request.urlopen(request))
url = state["apps"][sys.argv[2]]["secrets"]["DATABASE_URL"]["value"]
print(re.sub(r"@[^/]+/", f"@127.0.0.1:{sys.argv[3]}/", url))
PYTHON
}
asks() { test "$(psql -Atq "$1" -c "$2")" = "$3"; }

checks "apply makes the databases" pg_trimtab apply pg --yes
checks "a plan after it is empty" sh -c '. "$1" && "$2" plan pg --environments "$3" --detailed-exitcode --deep' _ "$work/pg-exports" "$TRIMTAB" "$work"
web=$(delivered_url harbor-web) worker=$(delivered_url harbor-worker)
checks "the delivered URL logs in" asks "$web" 'SELECT current_user' harbor_web
checks "the role owns its database, and has no other right" asks "$web" \
  "SELECT pg_get_userbyid(datdba) = current_user, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user" 't|f'
checks "the role may create tables" psql -q "$web" -c 'CREATE TABLE notes (id int)' -c 'INSERT INTO notes VALUES (1)'
checks "the extension is there" asks "$web" "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'" 1
refuses "another app's role cannot connect" psql -q "${worker%/*}/harbor_web" -c 'SELECT 1'
refuses "a wrong password does not log in" psql -q "$(printf '%s' "$web" | sed 's/:[^:@]*@/:wrong@/')" -c 'SELECT 1'

psql -q "$postgres_url" -c 'ALTER ROLE harbor_web SUPERUSER' -c 'GRANT CONNECT ON DATABASE harbor_web TO PUBLIC'
ends "what was changed inside is drift" 2 'role.superuser' pg_trimtab drift pg --deep
checks "apply repairs it" pg_trimtab apply pg --yes --deep
checks "nothing is left of it" pg_trimtab drift pg --deep
checks "rotation makes a new password" pg_trimtab apply pg --yes --rotate postgres.database/web/main
refuses "the earlier password does not log in any more" psql -q "$web" -c 'SELECT 1'
rotated=$(delivered_url harbor-web)
checks "the new one does, and the data is there" asks "$rotated" 'SELECT count(*) FROM notes' 1

# A session that stays open while its database is dropped.
psql -q "$worker" -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 &
session=$!
sed -i '/^\[apps.worker.databases.main\]/,$d' "$work/pg.toml"
checks "a database goes with its block, open sessions or not" pg_trimtab apply pg --yes
wait "$session" 2>/dev/null || true
checks "nothing of it is left" asks "$postgres_url" \
  "SELECT (SELECT count(*) FROM pg_database WHERE datname = 'harbor_worker') + (SELECT count(*) FROM pg_roles WHERE rolname = 'harbor_worker')" 0

step "the log of the server has neither password nor verifier"
password_of() { printf '%s' "$1" | sed 's/.*:\([^:@]*\)@.*/\1/'; }
for url in "$web" "$worker" "$rotated"; do
  if grep -qF -- "$(password_of "$url")" "$postgres_log"; then
    echo "a password is in the log"
    false
  fi
done
grep -q 'CREATE EXTENSION' "$postgres_log" # the log is that of these statements
! grep -q 'SCRAM-SHA-256' "$postgres_log"
ok
rm -rf "$postgres_dir"
