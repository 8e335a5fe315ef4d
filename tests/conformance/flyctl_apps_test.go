package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestFlyctlOnApplicationsAndOrganizations(t *testing.T) {
	f := newFlyctl(t)
	f.bare("version")
	f.says(f.bare("apps", "list"), "No apps found")
	f.create("demo")
	var apps []struct {
		Name, Status string
		Organization struct{ Slug string }
	}
	f.readBare(&apps, "apps", "list")
	equal(t, "the number of applications", len(apps), 1)
	equal(t, "its name, state and organization", apps[0].Name+" "+apps[0].Status+" "+apps[0].Organization.Slug, "demo pending "+org)
	f.bareFails("already been taken", "apps", "create", "demo", "-o", org)
	f.bareFails("Could not find App", "status", "-a", "nowhere")
	f.run("machine", "run", "nginx:1", "--region", "fra")
	var status struct {
		Deployed bool
		Hostname string
	}
	f.read(&status, "status")
	holds(t, "it is deployed under its name", status.Deployed && status.Hostname == "demo.fly.dev")
	f.organizations()
	f.tokens()
	f.launch()
	f.bare("apps", "destroy", "demo", "--yes")
	f.says(f.bare("apps", "list"), "No apps found")
}

func (f *flyctl) launch() {
	f.bare("launch", "--image", "nginx:1", "--name", "launched", "--org", org, "--region", "fra", "--no-deploy", "--yes", "--internal-port", "80")
	f.says(f.bare("apps", "list"), "launched")
	f.says(string(must(os.ReadFile(filepath.Join(f.dir, "fly.toml")))(f)), "app = 'launched'", "image = 'nginx:1'", "primary_region = 'fra'")
	f.bare("apps", "destroy", "launched", "--yes")
	ok(f, os.Remove(filepath.Join(f.dir, "fly.toml")))
	f.says(f.bare("doctor"), "Testing authentication token... PASSED")
}

func (f *flyctl) organizations() {
	var orgs map[string]string
	f.readBare(&orgs, "orgs", "list")
	same(f, "the organizations", orgs, map[string]string{org: org})
	f.says(f.bare("orgs", "show", org), "There are 1 members", "me@example.com")
	f.bareFails("Not authorized to create organizations", "orgs", "create", "other")
	f.bare("orgs", "replay-sources", "add", org, "-o", org)
	f.says(f.bare("orgs", "replay-sources", "list", "-o", org), org)
	f.bare("orgs", "replay-sources", "remove", org, "-o", org)
	f.says(f.bare("orgs", "replay-sources", "list", "-o", org), "No ")
	f.bare("orgs", "cross-network-replays", "enable", "-o", org, "--yes")
	f.says(f.bare("orgs", "cross-network-replays", "status", "-o", org), "enabled")
	f.bare("orgs", "cross-network-replays", "disable", "-o", org, "--yes")
	f.says(f.bare("orgs", "cross-network-replays", "status", "-o", org), "disabled")
	f.says(f.bare("auth", "whoami"), org+"@tokens.fly.io")
	var account struct{ Email string }
	f.readBare(&account, "auth", "whoami")
	equal(f, "who asks", account.Email, org+"@tokens.fly.io")
}

func (f *flyctl) tokens() {
	token := strings.TrimSpace(f.run("tokens", "create", "deploy", "--name", "ours", "--expiry", "1h"))
	// The token is for this application only, so it cannot list all applications.
	f.bare("status", "-a", f.app, "-t", token)
	all := strings.TrimSpace(f.bare("tokens", "create", "org", org, "--name", "all"))
	f.bare("apps", "list", "-t", all)
	f.bare("tokens", "create", "litefs-cloud", "-c", "cluster", "-o", org)
	f.says(f.bare("tokens", "list", "-o", org), "all", "LiteFS")
	id := regexp.MustCompile(`(\S+)\s+│ ours `).FindStringSubmatch(f.run("tokens", "list"))
	if id == nil {
		f.Fatal("the application's token is not listed")
	}
	f.says(f.bare("tokens", "revoke", id[1]), "1 tokens revoked")
	done, _, talk := f.attempt("", "status", "-a", f.app, "-t", token)
	holds(f, "a token that was revoked opens nothing", !done && talk != "")
}

func TestFlyctlOnThePlatform(t *testing.T) {
	f := newFlyctl(t)
	var regions []struct{ Code string }
	f.readBare(&regions, "platform", "regions")
	holds(t, "there are regions", len(regions) > 10)
	f.says(f.bare("platform", "vm-sizes"), "shared-cpu-1x", "performance-16x")
	var places []struct {
		Region string
		Count  int
	}
	f.readBare(&places, "machine", "place", "--region", "fra", "--count", "2", "-o", org)
	equal(t, "what fits", len(places), 1)
	for _, empty := range [][]string{{"postgres", "list"}, {"redis", "list"}, {"storage", "list"}, {"extensions", "sentry", "list"},
		{"extensions", "arcjet", "list"}, {"extensions", "kubernetes", "list"}, {"extensions", "vector", "list"},
		{"extensions", "storage", "list"}} {
		f.bare(empty...)
	}
	f.create("demo")
	f.toml(manifest)
	f.says(f.run("config", "validate"), "Configuration is valid")
	f.says(f.run("incidents", "hosts", "list"), "no active host issues")
	f.toml(strings.Replace(manifest, `strategy = "rolling"`, `strategy = "sideways"`, 1))
	f.fails("sideways", "config", "validate")
	ok(t, os.Remove(filepath.Join(f.dir, "fly.toml")))
}
