package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	blocks "encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
)

func TestFlyctlOnVolumes(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.run("volumes", "create", "data", "-r", "fra", "-s", "1", "-y", "--snapshot-retention", "7")
	volume := f.volumes()[0]
	equal(t, "its size", volume.SizeGb, 1)
	f.run("volumes", "extend", volume.ID, "-s", "2")
	f.run("volumes", "update", volume.ID, "--snapshot-retention", "9", "--scheduled-snapshots=false")
	f.read(&volume, "volumes", "show", volume.ID)
	equal(t, "its size", volume.SizeGb, 2)
	equal(t, "its retention", volume.SnapshotRetention, 9)
	holds(t, "it is not backed up", !volume.AutoBackupEnabled)
	f.run("volumes", "snapshots", "create", volume.ID)
	var snapshots []fly.VolumeSnapshot
	f.readBare(&snapshots, "volumes", "snapshots", "list", volume.ID)
	equal(t, "the number of snapshots", len(snapshots), 1)
	f.run("volumes", "fork", volume.ID, "--name", "copy")
	f.run("volumes", "create", "restored", "-r", "fra", "-s", "5", "-y", "--snapshot-id", snapshots[0].ID)
	sizes := map[string]int{}
	for _, volume := range f.volumes() {
		sizes[volume.Name] = volume.SizeGb
	}
	same(t, "the sizes", sizes, map[string]int{"data": 2, "copy": 2, "restored": 5})
	f.run("machine", "run", "nginx:1", "--region", "fra", "--volume", volume.ID+":/data")
	machine := f.machines()[0]
	equal(t, "what is mounted", machine.Config.Mounts[0].Volume, volume.ID)
	f.fails("bound to machine", "volumes", "destroy", volume.ID, "--yes")
	f.run("machine", "destroy", machine.ID, "--force")
	f.run("machine", "wait", machine.ID, "--state", "destroyed")
	f.run("volumes", "destroy", volume.ID, "--yes")
	equal(t, "the number of volumes", len(f.volumes()), 2)
}

func TestFlyctlOnSecrets(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.toml(manifest)
	// Without a machine there is nothing to deploy the secrets to.
	f.run("secrets", "set", "A=b")
	// Without addresses there are no hostnames that flyctl would wait for; not every command can skip that.
	f.deploy("web:1", "--ha=false", "--no-public-ips", impatient)
	listed := func() map[string]string {
		var secrets []struct{ Name, Status string }
		f.read(&secrets, "secrets", "list")
		all := map[string]string{}
		for _, secret := range secrets {
			all[secret.Name] = secret.Status
		}
		return all
	}
	same(t, "the secrets", listed(), map[string]string{"A": "Deployed"})
	version := f.machines()[0].InstanceID
	f.run("secrets", "set", "C=d", "--stage")
	same(t, "the secrets", listed(), map[string]string{"A": "Deployed", "C": "Staged"})
	equal(t, "the version, as nothing is deployed", f.machines()[0].InstanceID, version)
	f.run("secrets", "deploy", "--dns-checks=false")
	same(t, "the secrets", listed(), map[string]string{"A": "Deployed", "C": "Deployed"})
	holds(t, "the machine was updated", f.machines()[0].InstanceID != version)
	f.run("secrets", "unset", "A", "--dns-checks=false")
	done, _, _ := f.attempt("E=f\nG=h\n", f.mine([]string{"secrets", "import", "--dns-checks=false"})...)
	holds(t, "they are imported", done)
	same(t, "the secrets", listed(), map[string]string{"C": "Deployed", "E": "Deployed", "G": "Deployed"})
	f.run("secrets", "sync")
	f.run("consul", "attach")
	equal(t, "what attaching Consul sets", listed()["FLY_CONSUL_URL"], "Deployed")
	f.run("consul", "detach")
	equal(t, "what detaching Consul leaves", listed()["FLY_CONSUL_URL"], "")
	f.says(f.run("config", "env"), "C", "E", "G")
	for _, release := range f.releases() {
		equal(t, "the status of a release", release.Status, "complete")
	}
}

func TestFlyctlOnAddresses(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	listed := func() map[string]string {
		var addresses []struct{ Address, Type string }
		f.read(&addresses, "ips", "list")
		all := map[string]string{}
		for _, address := range addresses {
			all[address.Type] = address.Address
		}
		return all
	}
	f.run("ips", "allocate-v4", "--yes")
	f.run("ips", "allocate-v4", "--shared")
	f.run("ips", "allocate-v6")
	f.run("ips", "allocate-v6", "--private")
	f.run("ips", "allocate-egress", "-r", "fra", "--yes")
	all := listed()
	kinds := map[string]bool{}
	for kind := range all {
		kinds[kind] = true
	}
	same(t, "the kinds of addresses", kinds, map[string]bool{
		"v4": true, "shared_v4": true, "v6": true, "private_v6": true, "egress_v4": true, "egress_v6": true,
	})
	f.run("ips", "release", all["v4"], all["private_v6"])
	f.run("ips", "release-egress", all["egress_v4"])
	left := listed()
	holds(t, "what was released is gone", left["v4"] == "" && left["private_v6"] == "" && left["egress_v4"] == "")
	holds(t, "what was not stays", left["v6"] == all["v6"] && left["egress_v6"] == all["egress_v6"])
	f.toml(manifest)
	f.deploy("web:1", "--ha=false", impatient)
	var inside []string
	f.read(&inside, "ips", "private")
	same(t, "the addresses of the machines", inside, []string{f.machines()[0].PrivateIP})
}

func TestFlyctlOnSSHCertificates(t *testing.T) {
	f := newFlyctl(t)
	f.bare("ssh", "issue", org, "key.pem")
	certificate := string(must(os.ReadFile(filepath.Join(f.dir, "key.pem-cert.pub")))(t))
	holds(t, "it is a certificate", strings.HasPrefix(certificate, "ssh-ed25519-cert-v01@openssh.com "))
	// The cluster's machines log into each other with one.
	f.bare("postgres", "create", "--name", "pg", "-o", org, "--region", "fra", "--vm-size", "shared-cpu-1x",
		"--volume-size", "1", "--initial-cluster-size", "1")
	f.app = "pg"
	equal(t, "the number of machines", len(f.machines()), 1)
}

func TestFlyctlOnCertificates(t *testing.T) {
	f := newFlyctl(t)
	f.create("demo")
	f.run("ips", "allocate-v6")
	f.run("certs", "add", "www.example.com")
	f.says(f.run("certs", "list"), "www.example.com")
	f.says(f.run("certs", "show", "www.example.com"), "www.example.com", "Issuing")
	f.says(f.run("certs", "check", "www.example.com"), "www.example.com")
	f.says(f.run("certs", "setup", "www.example.com"), "_acme-challenge.www.example.com", "AAAA")
	f.fails("already", "certs", "add", "www.example.com")
	f.ownCertificate("own.example.com")
	f.says(f.run("certs", "list"), "own.example.com", "Custom")
	f.run("certs", "remove", "www.example.com", "--yes")
	holds(t, "it is gone", !strings.Contains(f.run("certs", "list"), "www.example.com"))
	f.fails("ound", "certs", "show", "www.example.com")
}

// ownCertificate imports a self-signed certificate.
func (f *flyctl) ownCertificate(name string) {
	f.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(f)
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	chain := must(x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key))(f)
	private := must(x509.MarshalPKCS8PrivateKey(key))(f)
	file := func(kind string, content []byte) string {
		path := filepath.Join(f.dir, strings.ReplaceAll(kind, " ", "-")+".pem")
		ok(f, os.WriteFile(path, blocks.EncodeToMemory(&blocks.Block{Type: kind, Bytes: content}), 0o600))
		return path
	}
	f.run("certs", "import", name, "--fullchain", file("CERTIFICATE", chain), "--private-key", file("PRIVATE KEY", private))
}
