package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rich is a fly.toml with nearly every setting. Not included are files: flyctl gives them to the machines of all
// groups, whatever their `processes` say, and trimtab does not.
const rich = `app = "demo"
primary_region = "fra"
kill_signal = "SIGTERM"
kill_timeout = "30s"
console_command = "/bin/sh"
[deploy]
  strategy = "rolling"
  release_command = "migrate --now"
  max_unavailable = 1
[env]
  LOG_LEVEL = "info"
  DEPTH = "3"
[processes]
  web = "serve --port 8080"
  worker = "work 'two words'"
[http_service]
  internal_port = 8080
  force_https = true
  auto_stop_machines = "suspend"
  auto_start_machines = true
  min_machines_running = 1
  processes = ["web"]
  [http_service.concurrency]
    type = "requests"
    soft_limit = 20
    hard_limit = 25
  [http_service.http_options]
    compress = true
    idle_timeout = 600
    [http_service.http_options.response.headers]
      X-Frame-Options = "DENY"
  [http_service.tls_options]
    alpn = ["h2", "http/1.1"]
    versions = ["TLSv1.2", "TLSv1.3"]
  [[http_service.checks]]
    interval = "15s"
    timeout = "2s"
    grace_period = "5s"
    method = "GET"
    path = "/up"
    protocol = "http"
    [http_service.checks.headers]
      X-Check = "yes"
[[services]]
  internal_port = 5432
  protocol = "tcp"
  processes = ["worker"]
  auto_stop_machines = "off"
  [services.concurrency]
    type = "connections"
    hard_limit = 100
    soft_limit = 80
  [[services.ports]]
    port = 5432
    handlers = ["pg_tls"]
  [[services.ports]]
    start_port = 6000
    end_port = 6010
    handlers = ["proxy_proto"]
    [services.ports.proxy_proto_options]
      version = "v2"
  [[services.tcp_checks]]
    interval = "20s"
    timeout = "3s"
    grace_period = "2s"
[checks.alive]
  type = "http"
  port = 8080
  path = "/alive"
  interval = "30s"
  timeout = "5s"
  grace_period = "3s"
  processes = ["web"]
[checks.open]
  type = "tcp"
  port = 5432
  interval = "30s"
  timeout = "5s"
  processes = ["worker"]
[[statics]]
  guest_path = "/app/public"
  url_prefix = "/static"
[[metrics]]
  port = 9091
  path = "/metrics"
  processes = ["web"]
[[restart]]
  policy = "always"
  processes = ["worker"]
[mounts]
  source = "data"
  destination = "/data"
  initial_size = "2gb"
  auto_extend_size_threshold = 80
  auto_extend_size_increment = "1gb"
  auto_extend_size_limit = "10gb"
  scheduled_snapshots = true
  snapshot_retention = 9
  processes = ["web"]
[[vm]]
  size = "shared-cpu-2x"
  memory = "1gb"
  processes = ["web"]
[[vm]]
  cpu_kind = "performance"
  cpus = 1
  memory_mb = 2048
  processes = ["worker"]
`

const richTeam = `project = "team"
[fly]
org = "acme"
[apps.web]
name = "demo"
config = "fly.toml"
image = "web:1"
[apps.web.secrets]
SESSION = { env = "SESSION" }
[apps.web.machines.web]
count = { fra = 1 }
[apps.web.machines.worker]
count = { fra = 2 }
`

// Both read the same fly.toml. Any difference in the result would be a change of a machine.
func TestTrimtabMakesOfAFlyTomlWhatFlyctlMakesOfIt(t *testing.T) {
	f := newFlyctl(t)
	f.toml(rich)
	ok(t, os.WriteFile(filepath.Join(f.dir, "live.toml"), []byte(richTeam), 0o600))
	f.create("demo")
	f.run("secrets", "set", "SESSION=else")
	f.deploy("web:1", "--no-public-ips", impatient)
	var plan struct {
		Changes []struct {
			Address    string
			Attributes []struct{ Path string }
		}
		Unmanaged []struct{ What string }
	}
	ok(t, json.Unmarshal([]byte(f.exits(0, "plan", "live", "--adopt", "fly.app/web", "--format", "json")), &plan))
	changed := map[string][]string{}
	for _, change := range plan.Changes {
		if strings.HasPrefix(change.Address, "fly.machine/") {
			for _, attribute := range change.Attributes {
				changed[change.Address] = append(changed[change.Address], attribute.Path)
			}
			slices.Sort(changed[change.Address])
		}
	}
	marks := []string{"owner", "secrets.SESSION"}
	same(t, "what changes in the machines", changed, map[string][]string{
		"fly.machine/web/web/fra/0": marks, "fly.machine/web/worker/fra/0": marks, "fly.machine/web/worker/fra/1": marks,
	})
	equal(t, "the number of things that a manifest cannot say", len(plan.Unmanaged), 0)
	ids := f.ids()
	f.exits(0, "apply", "live", "--adopt", "fly.app/web", "--yes")
	f.exits(0, "plan", "live", "--detailed-exitcode")
	same(t, "the machines, which stay", f.ids(), ids)
	// flyctl sees no difference to its own deployment.
	f.deploy("web:1", impatient)
	same(t, "the machines, which stay", f.ids(), ids)
}
