package conformance

import "testing"

// What does not work says so at once, and touches nothing.
func TestFlyctlIsRefusedWhatTheSandboxDoesNotImitate(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.run("machine", "run", "nginx:1", "--region", "fra", "--name", "one")
	machine := f.machines()[0]
	f.fails("No project found", "apps", "errors")
	f.bareFails("agent", "apps", "restart", f.app)
	f.bareFails("", "apps", "move", f.app, "-o", org, "--yes")
	f.fails("", "image", "update", "--yes")
	f.fails("", "ips", "allocate")
	f.fails("", "deploy", "--remote-only", "--image", "")
	for _, arguments := range [][]string{
		{"console"}, {"proxy", "8080"}, {"dig", "demo.internal"}, {"ssh", "console"}, {"sftp", "find"}, {"postgres", "restart"},
		{"tokens", "create", "machine-exec", "--command", "ls"}, {"tokens", "create", "ssh"}, {"redis", "status", "none"},
		{"storage", "status", "none"},
	} {
		f.fails("", arguments...)
	}
	for _, arguments := range [][]string{
		{"machine", "api-proxy", "-o", org}, {"orgs", "create", "other"}, {"orgs", "delete", "other", "--yes"},
		{"orgs", "invite", org, "you@example.com"}, {"orgs", "remove", org, "you@example.com"},
		{"tokens", "create", "readonly", org}, {"tokens", "attenuate"}, {"tokens", "debug"},
		{"postgres", "create", "--name", "pg", "--org", org, "--region", "fra", "--vm-size", "shared-cpu-1x", "--volume-size", "1", "--initial-cluster-size", "1"},
		{"mpg", "list", "--org", org}, {"litefs-cloud", "clusters", "list", "--org", org}, {"wireguard", "list", org},
		{"extensions", "sentry", "create", "-a", f.app}, {"incidents", "list"}, {"auth", "docker"}, {"ping", "-o", org}, {"launch", "--no-deploy"},
	} {
		f.bareFails("", arguments...)
	}
	equal(t, "the machine's version", f.machine(machine.ID).InstanceID, machine.InstanceID)
}
