package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fly "github.com/superfly/fly-go"
)

// shared is a fly.toml that both tools deploy, and team the environment that uses it. Its check has no grace period,
// because `config save` drops those.
const shared = `app = "demo"
primary_region = "fra"
[env]
  LOG_LEVEL = "info"
[mounts]
  source = "data"
  destination = "/data"
  initial_size = "1gb"
[http_service]
  internal_port = 8080
  force_https = true
  [[http_service.checks]]
    interval = "15s"
    timeout = "2s"
    path = "/up"
[[vm]]
  size = "shared-cpu-1x"
`

const team = `project = "team"
[fly]
org = "acme"
[apps.web]
name = "demo"
config = "fly.toml"
image = "web:1"
ips = ["v6", "shared_v4"]
[apps.web.secrets]
SESSION = { env = "SESSION" }
[apps.web.machines.app]
count = { fra = 2 }
`

// trimtab runs the program on flyctl's sandbox, with the variables that a person would paste.
func (f *flyctl) trimtab(arguments ...string) (int, string) {
	f.Helper()
	command := exec.Command(os.Getenv("TRIMTAB"), append(arguments, "--environments", f.dir)...)
	command.Dir, command.Env = f.dir, append(slices.Clone(f.environment), "SESSION="+secret)
	var out, talk bytes.Buffer
	command.Stdout, command.Stderr = &out, &talk
	err := command.Run()
	f.Logf("trimtab %s: %v\n%s%s", strings.Join(arguments, " "), err, out.String(), talk.String())
	holds(f, "no value of a secret is written", !strings.Contains(out.String()+talk.String(), secret))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String()
}

func (f *flyctl) exits(code int, arguments ...string) string {
	f.Helper()
	have, out := f.trimtab(arguments...)
	if have != code {
		f.Fatalf("trimtab %s ended with %d, expected %d", strings.Join(arguments, " "), have, code)
	}
	return out
}

// writes counts the write requests so far.
func (f *flyctl) writes() int {
	f.Helper()
	var requests []struct{ Method, Path string }
	f.get("/_sandbox/requests", &requests)
	writes := 0
	for _, request := range requests {
		if request.Method != "GET" && request.Method != "HEAD" && request.Path != "/graphql" {
			writes++
		}
	}
	return writes
}

func (f *flyctl) ids() (ids []string) {
	f.Helper()
	for _, machine := range f.settled() {
		ids = append(ids, machine.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestTrimtabTakesOverWhatFlyctlMade(t *testing.T) {
	f := newFlyctl(t)
	f.toml(shared)
	ok(t, os.WriteFile(filepath.Join(f.dir, "live.toml"), []byte(team), 0o600))
	f.create("demo")
	f.run("secrets", "set", "SESSION=else", "OTHERS=kept")
	f.deploy("web:1", impatient)
	f.run("scale", "count", "2", "--yes")
	ids, volumes := f.ids(), f.volumes()
	equal(t, "the number of machines", len(ids), 2)

	before := f.writes()
	var plan struct {
		Refusals []struct{ Address, Hint string }
		Changes  []any
	}
	ok(t, json.Unmarshal([]byte(f.exits(3, "plan", "live", "--format", "json")), &plan))
	equal(t, "the number of changes to what somebody else made", len(plan.Changes), 0)
	equal(t, "the number of refusals", len(plan.Refusals), 1)
	f.says(plan.Refusals[0].Hint, "--adopt fly.app/web")
	f.exits(3, "apply", "live", "--yes")
	equal(t, "the number of writes of a plan and an apply that were refused", f.writes()-before, 0)

	f.exits(0, "plan", "live", "--adopt", "fly.app/web")
	equal(t, "the number of writes of a plan", f.writes()-before, 0)
	f.exits(0, "apply", "live", "--adopt", "fly.app/web", "--yes")
	f.exits(0, "plan", "live", "--detailed-exitcode")
	same(t, "the machines, which stay", f.ids(), ids)
	equal(t, "the number of volumes, which stay", len(f.volumes()), len(volumes))
	var secrets []struct{ Name string }
	f.read(&secrets, "secrets", "list")
	names := []string{}
	for _, secret := range secrets {
		names = append(names, secret.Name)
	}
	holds(t, "a secret that the manifest does not name stays", slices.Contains(names, "OTHERS"))
	for _, machine := range f.machines() {
		equal(t, "the group that flyctl sees", machine.ProcessGroup(), "app")
		equal(t, "the platform that flyctl sees", machine.Config.Metadata["fly_platform_version"], "v2")
	}

	// trimtab detects and repairs what flyctl changes afterwards, and flyctl can still deploy.
	f.run("scale", "memory", "512")
	f.exits(2, "drift", "live")
	f.exits(0, "apply", "live", "--yes")
	equal(t, "the memory", f.machines()[0].Config.Guest.MemoryMB, 256)
	_, tags := f.deploy("web:2", impatient)
	same(t, "what runs", tags, map[string]int{"2": 2})
	f.exits(2, "plan", "live", "--detailed-exitcode")
	f.exits(0, "apply", "live", "--yes", "--image", "web=web:2")
	f.exits(0, "plan", "live", "--detailed-exitcode", "--image", "web=web:2")
	same(t, "what runs", f.images(), map[string]int{"2": 2})
}

func TestFlyctlReadsWhatTrimtabMade(t *testing.T) {
	f := newFlyctl(t)
	f.toml(strings.Replace(shared, "app = \"demo\"\n", "", 1))
	ok(t, os.WriteFile(filepath.Join(f.dir, "live.toml"), []byte(team), 0o600))
	f.exits(0, "apply", "live", "--yes")
	f.app = "demo"
	f.says(f.bare("apps", "list"), "demo")
	var status struct {
		Deployed bool
		Machines []fly.Machine
	}
	f.read(&status, "status")
	equal(t, "the number of machines in the status", len(status.Machines), 2)
	f.says(f.run("status"), "started", "1 total, 1 passing")
	same(t, "what runs", f.images(), map[string]int{"1": 2})
	for _, volume := range f.volumes() {
		holds(t, "the volume is attached", volume.AttachedMachine != nil)
		f.run("volumes", "show", volume.ID)
	}
	for _, machine := range f.machines() {
		f.says(f.run("machine", "status", machine.ID), "State: started")
	}
	f.says(f.run("secrets", "list"), "SESSION")
	f.says(f.run("ips", "list"), "shared", "v6")
	f.says(f.run("services", "list"), "80 => 8080")
	f.says(f.run("scale", "show"), "app", "2")
	f.says(f.run("checks", "list"), "passing")
	f.says(f.run("image", "show"), "web")
	// flyctl saves a fly.toml of what trimtab deployed, finds it valid, and would not change the machines.
	saved := f.run("config", "save", "--yes")
	holds(t, "flyctl has no warning", !strings.Contains(saved, "WARNING"))
	f.says(f.run("config", "validate"), "Configuration is valid")
	f.run("machine", "restart", f.ids()[0])
	// The manifest now uses the configuration that flyctl wrote.
	f.exits(0, "plan", "live", "--detailed-exitcode")
}
