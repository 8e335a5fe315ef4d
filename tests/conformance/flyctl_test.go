package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
)

// flyctl is the real one, in a folder of its own, against a sandbox of its own. That one runs at the ordinary speed:
// flyctl renews its leases by the clock on the wall.
type flyctl struct {
	*testing.T
	binary, dir string
	environment []string
}

func newFlyctl(t *testing.T) *flyctl {
	t.Helper()
	binary, err := exec.LookPath("flyctl")
	if err != nil {
		t.Skip("flyctl is not installed")
	}
	t.Parallel()
	dir := t.TempDir()
	server := exec.Command(os.Getenv("TRIMTAB"), "sandbox", "--dir", filepath.Join(dir, "sandbox"), "--org", org)
	exports := must(server.StdoutPipe())(t)
	ok(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	environment := []string{"HOME=" + dir, "FLY_CONFIG_DIR=" + dir, "PATH=" + os.Getenv("PATH"), "NO_COLOR=1"}
	// Whatever it asks of other hosts shall fail at once instead of leaving this machine.
	environment = append(environment, "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1")
	printed, buffer := "", make([]byte, 4096)
	for !strings.Contains(printed, "FLY_SYNTHETICS_AGENT") {
		n, err := exports.Read(buffer)
		printed += string(buffer[:n])
		if err != nil {
			t.Fatalf("the sandbox ended after saying %q: %v", printed, err)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(printed), "\n") {
		environment = append(environment, strings.Fields(strings.TrimPrefix(line, "export "))...)
	}
	return &flyctl{T: t, binary: binary, dir: dir, environment: environment}
}

// try runs a command and says whether it succeeded, and with which words.
func (f *flyctl) try(arguments ...string) (bool, string) {
	f.Helper()
	// A person is slower than that; so many lists of one application in a second would be refused.
	time.Sleep(500 * time.Millisecond)
	command := exec.Command(f.binary, arguments...)
	command.Dir, command.Env = f.dir, f.environment
	var out, talk bytes.Buffer
	command.Stdout, command.Stderr = &out, &talk
	err := command.Run()
	f.Logf("flyctl %s: %v\n%s%s", strings.Join(arguments, " "), err, out.String(), talk.String())
	return err == nil, out.String() + talk.String()
}

func (f *flyctl) run(arguments ...string) string {
	f.Helper()
	done, words := f.try(arguments...)
	if !done {
		f.Fatalf("flyctl %s failed", strings.Join(arguments, " "))
	}
	return words
}

func (f *flyctl) read(out any, arguments ...string) {
	f.Helper()
	ok(f, json.Unmarshal([]byte(f.run(append(arguments, "--json")...)), out))
}

func (f *flyctl) machines() (machines []fly.Machine) {
	f.Helper()
	f.read(&machines, "machine", "list", "-a", "demo")
	return machines
}

// deploy deploys an image, and says how many machines run it and how many run another.
func (f *flyctl) deploy(image string, more ...string) (string, map[string]int) {
	f.Helper()
	words := f.run(append([]string{"deploy", "--image", image, "-a", "demo", "--dns-checks=false", "--yes"}, more...)...)
	tags := map[string]int{}
	for _, machine := range f.machines() {
		equal(f, "the state of "+machine.ID, machine.State, "started")
		tags[machine.ImageRef.Tag]++
	}
	return words, tags
}

const manifest = `app = "demo"
primary_region = "fra"
[deploy]
  release_command = "migrate"
[http_service]
  internal_port = 8080
  auto_stop_machines = "off"
  min_machines_running = 1
  [[http_service.checks]]
    interval = "15s"
    timeout = "2s"
    grace_period = "1s"
    path = "/up"
[[vm]]
  size = "shared-cpu-1x"
`

func TestFlyctlItselfDeploys(t *testing.T) {
	f := newFlyctl(t)
	ok(t, os.WriteFile(filepath.Join(f.dir, "fly.toml"), []byte(manifest), 0o600))
	f.run("version")
	f.run("apps", "create", "demo", "-o", org)
	f.run("secrets", "set", "A=B", "-a", "demo")
	words, tags := f.deploy("web:1")
	holds(t, "the release command ran", strings.Contains(words, "completed successfully"))
	same(t, "what runs, with one machine more for availability", tags, map[string]int{"1": 2})
	holds(t, "the secret is deployed", strings.Contains(f.run("secrets", "list", "-a", "demo"), "Deployed"))
	var addresses []struct{ Type string }
	f.read(&addresses, "ips", "list", "-a", "demo")
	equal(t, "the number of addresses of a first deployment", len(addresses), 2)

	f.run("scale", "count", "3", "-a", "demo", "--yes")
	for _, strategy := range []string{"rolling", "canary", "bluegreen"} {
		_, tags := f.deploy("web:"+strategy, "--strategy", strategy)
		same(t, "what runs", tags, map[string]int{strategy: 3})
	}
	var status struct{ Deployed bool }
	f.read(&status, "status", "-a", "demo")
	holds(t, "it is deployed", status.Deployed)
	var releases []struct{ Status string }
	f.read(&releases, "releases", "-a", "demo")
	equal(t, "the number of releases", len(releases), 4)
	for _, release := range releases {
		equal(t, "the status of a release", release.Status, "complete")
	}
	f.run("apps", "destroy", "demo", "--yes")
	holds(t, "nothing is left", strings.Contains(f.run("apps", "list"), "No apps found"))
}

func TestFlyctlItselfWorksOnMachinesAndVolumes(t *testing.T) {
	f := newFlyctl(t)
	f.run("apps", "create", "demo", "-o", org)
	f.run("machine", "run", "nginx:1", "-a", "demo", "--region", "fra", "--name", "one")
	machine := f.machines()[0]
	equal(t, "its name", machine.Name, "one")
	equal(t, "its image has one digest", strings.Count(machine.Config.Image, "@"), 1)
	for _, verb := range []string{"stop", "start", "restart", "suspend", "start", "cordon", "uncordon"} {
		f.run("machine", verb, machine.ID, "-a", "demo")
	}
	holds(t, "a command inside says its words", strings.Contains(f.run("machine", "exec", machine.ID, "echo hello", "-a", "demo"), "hello"))
	f.run("machine", "update", machine.ID, "--vm-memory", "512", "-a", "demo", "--yes")
	equal(t, "its memory", f.machines()[0].Config.Guest.MemoryMB, 512)
	f.run("machine", "clone", machine.ID, "-a", "demo", "--region", "ams")
	equal(t, "the number of machines", len(f.machines()), 2)
	f.run("machine", "destroy", machine.ID, "--force", "-a", "demo")
	equal(t, "the number of machines", len(f.machines()), 1)

	f.run("volumes", "create", "data", "-r", "fra", "-s", "1", "-y", "-a", "demo")
	var volumes []fly.Volume
	f.read(&volumes, "volumes", "list", "-a", "demo")
	f.run("volumes", "extend", volumes[0].ID, "-s", "3", "-a", "demo")
	f.run("volumes", "snapshots", "create", volumes[0].ID, "-a", "demo")
	f.read(&volumes, "volumes", "list", "-a", "demo")
	equal(t, "its size", volumes[0].SizeGb, 3)
	f.run("volumes", "destroy", volumes[0].ID, "-a", "demo", "--yes")

	for _, arguments := range [][]string{{"allocate-v6"}, {"allocate-v4", "--shared"}, {"allocate-v6", "--private"}} {
		f.run(append([]string{"ips"}, append(arguments, "-a", "demo")...)...)
	}
	f.run("certs", "add", "www.example.com", "-a", "demo")
	f.run("certs", "list", "-a", "demo")
	f.run("tokens", "create", "deploy", "-a", "demo")
	done, words := f.try("status", "-a", "nowhere")
	holds(t, "an application that is not there is reported", !done && strings.Contains(words, "Could not find App"))
}
