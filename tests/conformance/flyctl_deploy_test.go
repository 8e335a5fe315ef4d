package conformance

import "testing"

// manifest is what flyctl deploys; a release command and checks make it a long deployment.
const manifest = `app = "demo"
primary_region = "fra"
[deploy]
  strategy = "rolling"
  release_command = "migrate"
  wait_timeout = "20s"
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

// By default flyctl watches each new machine for ten seconds of real time, to see whether it crashes. One test shows
// that this works; the others skip it.
const impatient = "--smoke-checks=false"

func TestFlyctlDeploysByEveryStrategy(t *testing.T) {
	f := newFlyctl(t)
	f.toml(manifest)
	f.create("demo")
	f.run("secrets", "set", "A=B")
	words, tags := f.deploy("web:1")
	f.says(words, "completed successfully")
	same(t, "what runs, with one machine more for availability", tags, map[string]int{"1": 2})
	var addresses []struct{ Type string }
	f.read(&addresses, "ips", "list")
	equal(t, "the number of addresses of a first deployment", len(addresses), 2)
	f.run("scale", "count", "3", "--yes")
	for _, strategy := range []string{"rolling", "immediate", "canary", "bluegreen"} {
		_, tags := f.deploy("web:"+strategy, "--strategy", strategy, impatient)
		same(t, "what runs", tags, map[string]int{strategy: 3})
	}
	f.says(f.run("checks", "list"), "passing")
	var status struct{ Deployed bool }
	f.read(&status, "status")
	holds(t, "it is deployed", status.Deployed)
	releases := f.releases()
	equal(t, "the number of releases", len(releases), 5)
	for _, release := range releases {
		holds(t, "a release is complete", release.Status == "complete" && release.Stable)
	}
	f.says(f.run("apps", "releases"), "v5")
	f.says(f.run("services", "list"), "TCP", "80 => 8080", "443 => 8080")
	f.says(f.run("image", "show"), "bluegreen")
	var config struct {
		App           string `json:"app"`
		PrimaryRegion string `json:"primary_region"`
	}
	f.readConfig(&config)
	equal(t, "the configuration", config.App+" "+config.PrimaryRegion, "demo fra")
	f.run("config", "save", "--yes")
	f.says(f.run("config", "validate"), "Configuration is valid")
}

func TestFlyctlStopsAtADeploymentThatFails(t *testing.T) {
	f := newFlyctl(t)
	f.toml(manifest)
	f.create("demo")
	f.deploy("web:1", impatient)
	// Only the expected error occurs.
	f.admin("rules", map[string]any{"match": map[string]any{"image_contains": "migration"},
		"behave": map[string]any{"exit_code": 1, "after_ms": 500, "logs": []string{"no such table"}}})
	f.admin("rules", map[string]any{"match": map[string]any{"image_contains": "sick", "process_group": "app"}, "behave": map[string]any{"checks": "critical"}})

	f.fails("no such table", deploying("web:migration")...)
	same(t, "what runs after a release command that failed", f.images(), map[string]int{"1": 2})
	equal(t, "the release that failed", f.releases()[0].Status, "failed")

	sick := func(strategy string, words string) {
		t.Helper()
		f.fails(words, append(deploying("web:sick"), "--wait-timeout", "6s", "--strategy", strategy, impatient)...)
		equal(t, "the release that failed", f.releases()[0].Status, "failed")
	}
	sick("bluegreen", "could not get all green machines to be healthy")
	same(t, "what runs after a deployment in blue and green that failed", f.images(), map[string]int{"1": 2})

	sick("rolling", "health checks")
	same(t, "what runs after a rolling one that stopped at the first", f.images(), map[string]int{"1": 1, "sick": 1})
	sick("canary", "Failed to create canary machine")
	same(t, "what runs with the canary that flyctl leaves", f.images(), map[string]int{"1": 1, "sick": 2})
	_, tags := f.deploy("web:2", impatient)
	same(t, "what runs after the repair", tags, map[string]int{"2": 3})
}

func TestFlyctlDeploysVolumesAndGroupsAndScales(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.toml(`app = "demo"
primary_region = "fra"
[processes]
  web = "serve"
  worker = "work"
[mounts]
  source = "data"
  destination = "/data"
  initial_size = "2gb"
  processes = ["web"]
[[services]]
  internal_port = 8080
  protocol = "tcp"
  processes = ["web"]
  [[services.ports]]
    port = 443
    handlers = ["tls", "http"]
[checks.alive]
  type = "tcp"
  port = 8080
  interval = "10s"
  timeout = "2s"
  grace_period = "1s"
  processes = ["web"]
[[vm]]
  memory = "512mb"
`)
	f.deploy("web:1", "--ha=false", impatient)
	f.grouped(map[string]int{"web": 1, "worker": 1})
	volumes := f.volumes()
	equal(t, "the number of volumes", len(volumes), 1)
	holds(t, "the volume is attached", volumes[0].AttachedMachine != nil && volumes[0].SizeGb == 2)
	f.run("scale", "count", "web=2", "worker=3", "--yes")
	f.grouped(map[string]int{"web": 2, "worker": 3})
	equal(t, "the number of volumes", len(f.volumes()), 2)
	f.run("scale", "count", "worker=1", "--yes")
	f.grouped(map[string]int{"web": 2, "worker": 1})
	f.run("scale", "memory", "1024", "--group", "worker")
	f.run("scale", "vm", "shared-cpu-2x", "--group", "web")
	for _, machine := range f.machines() {
		guest := machine.Config.Guest
		if machine.ProcessGroup() == "web" {
			equal(t, "the processors of web", guest.CPUs, 2)
		} else {
			equal(t, "the memory of worker", guest.MemoryMB, 1024)
		}
	}
	var shown []struct {
		Process string
		Count   int
		CPUs    int `json:"CPUs"`
		Memory  int
	}
	f.read(&shown, "scale", "show")
	equal(t, "the number of groups", len(shown), 2)
	_, tags := f.deploy("web:2", "--strategy", "rolling", impatient)
	same(t, "what runs", tags, map[string]int{"2": 3})
	equal(t, "the number of volumes, which are kept", len(f.volumes()), 2)
	var checks map[string][]struct{ Status string }
	f.read(&checks, "checks", "list")
	for _, machine := range f.machines() {
		equal(t, "the number of checks of "+machine.ProcessGroup(), len(checks[machine.ID]), map[string]int{"web": 1}[machine.ProcessGroup()])
	}
}

func (f *flyctl) grouped(wanted map[string]int) {
	f.Helper()
	groups := map[string]int{}
	for _, machine := range f.settled() {
		groups[machine.ProcessGroup()]++
	}
	same(f, "the machines of each group", groups, wanted)
}
