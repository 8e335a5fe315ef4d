package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An unsupported command fails at once, for the reason that the table gives, and changes nothing.
func TestFlyctlIsRefusedWhatTheSandboxDoesNotImitate(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.toml(manifest)
	f.deploy("web:1", "--ha=false", "--no-public-ips", impatient)
	before := f.machines()[0]
	// The error text for each reason.
	const (
		tunnel   = "validateWireGuardPeers"
		badToken = "no valid tokens found"
		noProxy  = "proxyconnect"
		provider = "addOnProvider"
	)
	for command, words := range map[string]string{
		"apps errors": "No project found", "image update --yes": tunnel, "ips allocate": "allocate-v4",
		"console": tunnel, "proxy 8080": tunnel, "dig demo.internal": tunnel,
		"ssh console": tunnel, "sftp find": tunnel, "postgres restart": "not a postgres app",
		"tokens create machine-exec --command ls": badToken, "tokens create ssh": badToken,
		"storage status none": "addOn", "extensions sentry create": provider, "deploy --remote-only": "depot builder failed",
	} {
		if command == "deploy --remote-only" {
			ok(t, os.WriteFile(filepath.Join(f.dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600))
		}
		f.fails(words, strings.Fields(command)...)
	}
	for command, words := range map[string]string{
		"apps restart demo": tunnel, "machine api-proxy -o acme": tunnel, "ping -o acme": tunnel,
		"orgs create other": "Not authorized", "orgs delete acme --yes": "Not authorized",
		"orgs invite acme you@example.com": "createOrganizationInvitation", "orgs remove acme you@example.com": "user not found",
		"tokens create readonly acme": badToken, "tokens attenuate": "pass a macaroon", "tokens debug": "pass a macaroon",
		"tokens 3p ticket -l https://example.com": "macaroon",
		"redis status none":                       "addOn", "mpg list -o acme": "older-style tokens",
		"litefs-cloud clusters list -o acme": noProxy, "incidents list": noProxy, "auth docker": noProxy,
		"wireguard list acme": "wireGuardPeers",
	} {
		f.bareFails(words, strings.Fields(command)...)
	}
	equal(t, "the machine's version", f.machine(before.ID).InstanceID, before.InstanceID)
}
