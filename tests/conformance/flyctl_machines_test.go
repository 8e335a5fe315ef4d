package conformance

import (
	"strings"
	"testing"

	fly "github.com/superfly/fly-go"
)

func TestFlyctlOnMachines(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.run("machine", "run", "nginx:1", "--region", "fra", "--name", "one", "--port", "443:8080/tcp:http:tls", "--env", "A=b")
	one := f.machines()[0]
	equal(t, "its name", one.Name, "one")
	equal(t, "its image has one digest", strings.Count(one.Config.Image, "@"), 1)
	equal(t, "its variable", one.Config.Env["A"], "b")
	equal(t, "the port of its service", one.Config.Services[0].InternalPort, 8080)
	f.says(f.run("machine", "status", one.ID), "State: started")
	f.says(f.run("machine", "status", one.ID, "--display-config"), `"A": "b"`)

	for _, step := range []struct{ verb, state string }{
		{"stop", "stopped"}, {"start", "started"}, {"restart", "started"}, {"suspend", "suspended"}, {"start", "started"},
	} {
		f.run("machine", step.verb, one.ID)
		f.run("machine", "wait", one.ID, "--state", step.state)
		equal(t, "the state after "+step.verb, f.machine(one.ID).State, step.state)
	}
	f.run("machine", "kill", one.ID)
	// The machine is being restarted, and the wait may be answered by the start before.
	for tries := 0; f.machine(one.ID).State != "started"; tries++ {
		if tries == 20 {
			t.Fatal("a machine that was killed does not come back")
		}
	}
	f.run("machine", "cordon", one.ID)
	holds(t, "it is cordoned", f.cordoned(one.ID))
	f.run("machine", "uncordon", one.ID)
	holds(t, "it is not cordoned", !f.cordoned(one.ID))
	f.says(f.run("machine", "exec", one.ID, "echo hello"), "hello")
	f.says(f.run("logs", "--no-tail"), "Starting init", one.ID)

	f.run("machine", "update", one.ID, "--vm-memory", "512", "--env", "C=d", "--metadata", "team=web", "--yes")
	one = f.machine(one.ID)
	equal(t, "its memory", one.Config.Guest.MemoryMB, 512)
	equal(t, "its new variable", one.Config.Env["C"], "d")
	equal(t, "its metadata", one.Config.Metadata["team"], "web")
	f.run("machine", "clone", one.ID, "--region", "ams", "--name", "two")
	equal(t, "the number of machines", len(f.machines()), 2)
	for _, machine := range f.machines() {
		if machine.Name == "two" {
			equal(t, "where the clone is", machine.Region, "ams")
			equal(t, "the clone's memory", machine.Config.Guest.MemoryMB, 512)
		}
	}
	f.run("machine", "create", "nginx:2", "--region", "fra", "--name", "three")
	equal(t, "the number of machines", len(f.machines()), 3)
	f.leases(one)
	f.run("machine", "destroy", one.ID, "--force")
	f.run("machine", "wait", one.ID, "--state", "destroyed")
	equal(t, "the number of machines", len(f.machines()), 2)
}

func (f *flyctl) cordoned(id string) bool {
	f.Helper()
	var shown struct {
		Cordoned bool `json:"cordoned"`
	}
	f.get("/v1/apps/"+f.app+"/machines/"+id, &shown)
	return shown.Cordoned
}

// leases shows a foreign lease, and clears it.
func (f *flyctl) leases(machine fly.Machine) {
	f.Helper()
	var given struct {
		Data struct {
			Nonce string `json:"nonce"`
		} `json:"data"`
	}
	f.call("POST", "/v1/apps/"+f.app+"/machines/"+machine.ID+"/lease", map[string]any{"ttl": 3000, "description": "tests"}, &given)
	f.says(f.run("machine", "leases", "view", machine.ID), given.Data.Nonce)
	f.run("machine", "leases", "clear", machine.ID)
	f.says(f.run("machine", "leases", "view", machine.ID), "No leases found")
	f.run("machine", "stop", machine.ID)
}
