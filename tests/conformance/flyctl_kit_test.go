package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
)

// flyctl runs the real flyctl, in a folder of its own, against a sandbox of its own.
type flyctl struct {
	*testing.T
	binary, dir, app string
	environment      []string
}

// The speed of flyctl's sandbox. Its leases last 13 seconds, a fifth of which must be enough for a command that does
// not renew them. A deployment renews its leases in real time, so it asks for longer ones.
const hurry = "5"

func newFlyctl(t *testing.T) *flyctl {
	t.Helper()
	binary := flyctlBinary()
	if binary == "" {
		t.Skip("flyctl is not installed")
	}
	t.Parallel()
	f := &flyctl{T: t, binary: binary, dir: t.TempDir()}
	f.environment = []string{"HOME=" + f.dir, "FLY_CONFIG_DIR=" + f.dir, "PATH=" + os.Getenv("PATH"), "NO_COLOR=1", "TERM=dumb"}
	// Requests to any other host must fail at once instead of leaving this machine.
	f.environment = append(f.environment, "HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1")
	for _, line := range f.serve() {
		pairs := strings.Fields(strings.TrimPrefix(line, "export "))
		for i, pair := range pairs {
			if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "FLY_") && strings.HasSuffix(name, "_BASE_URL") {
				pairs[i] = name + "=" + f.between(value)
			}
		}
		f.environment = append(f.environment, pairs...)
	}
	return f
}

// serve starts a sandbox and returns the lines that a person would paste into a shell.
func (f *flyctl) serve() []string {
	f.Helper()
	server := exec.Command(os.Getenv("TRIMTAB"), "sandbox", "--dir", f.sandbox(), "--listen", "127.0.0.1:0", "--org", org, "--speed", hurry)
	exports := must(server.StdoutPipe())(f)
	ok(f, server.Start())
	f.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	printed, buffer := "", make([]byte, 4096)
	for !strings.Contains(printed, "FLY_SYNTHETICS_AGENT") {
		n, err := exports.Read(buffer)
		printed += string(buffer[:n])
		if err != nil {
			f.Fatalf("the sandbox ended after saying %q: %v", printed, err)
		}
	}
	return strings.Split(strings.TrimSpace(printed), "\n")
}

func (f *flyctl) sandbox() string { return filepath.Join(f.dir, "sandbox") }

// between is a proxy between flyctl and the sandbox that waits and retries when a request was rate limited. One command
// lists the machines of an application four times; Fly allows three at once and one more each second, which the latency
// to Fly makes up for, but not the latency within this machine.
func (f *flyctl) between(sandbox string) string {
	f.Helper()
	target := must(url.Parse(sandbox))(f)
	proxy := httputil.ReverseProxy{Transport: polite{}, Rewrite: func(request *httputil.ProxyRequest) { request.SetURL(target) }}
	server := httptest.NewServer(&proxy)
	f.Cleanup(server.Close)
	return server.URL
}

// variable returns one of the variables that the sandbox printed.
func (f *flyctl) variable(name string) string {
	f.Helper()
	at := slices.IndexFunc(f.environment, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
	if at < 0 {
		f.Fatalf("the sandbox printed no %s", name)
	}
	return strings.TrimPrefix(f.environment[at], name+"=")
}

// attempt runs a command and returns whether it succeeded, its stdout and its stderr.
func (f *flyctl) attempt(input string, arguments ...string) (bool, string, string) {
	f.Helper()
	command := exec.Command(f.binary, arguments...)
	command.Dir, command.Env, command.Stdin = f.dir, f.environment, strings.NewReader(input)
	var out, talk bytes.Buffer
	command.Stdout, command.Stderr = &out, &talk
	began := time.Now()
	err := command.Run()
	took := time.Since(began).Round(time.Millisecond)
	f.Logf("flyctl %s: %v after %s\n%s%s", strings.Join(arguments, " "), err, took, out.String(), talk.String())
	ran(arguments, err == nil)
	return err == nil, out.String(), talk.String()
}

// mine adds the application to a command.
func (f *flyctl) mine(arguments []string) []string {
	if f.app == "" {
		return arguments
	}
	return append(slices.Clone(arguments), "-a", f.app)
}

// bare runs a command that needs no application.
func (f *flyctl) bare(arguments ...string) string {
	f.Helper()
	done, out, talk := f.attempt("", arguments...)
	if !done {
		f.Fatalf("flyctl %s failed: %s%s", strings.Join(arguments, " "), out, talk)
	}
	return out + talk
}

// run runs a command for the application.
func (f *flyctl) run(arguments ...string) string {
	f.Helper()
	return f.bare(f.mine(arguments)...)
}

// fails runs a command for the application that must fail with these words.
func (f *flyctl) fails(words string, arguments ...string) string {
	f.Helper()
	return f.bareFails(words, f.mine(arguments)...)
}

func (f *flyctl) bareFails(words string, arguments ...string) string {
	f.Helper()
	done, out, talk := f.attempt("", arguments...)
	holds(f, "flyctl "+strings.Join(arguments, " ")+" fails", !done)
	f.says(out+talk, words)
	return out + talk
}

// says checks that an output contains words.
func (f *flyctl) says(said string, words ...string) {
	f.Helper()
	for _, word := range words {
		if !strings.Contains(said, word) {
			f.Errorf("expected %q in:\n%s", word, said)
		}
	}
}

// read decodes the JSON output of a command.
func (f *flyctl) read(out any, arguments ...string) {
	f.Helper()
	f.readBare(out, f.mine(arguments)...)
}

func (f *flyctl) readBare(out any, arguments ...string) {
	f.Helper()
	done, text, talk := f.attempt("", append(arguments, "--json")...)
	if !done {
		f.Fatalf("flyctl %s failed: %s%s", strings.Join(arguments, " "), text, talk)
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		f.Fatalf("flyctl %s wrote %q: %v", strings.Join(arguments, " "), text, err)
	}
}

func (f *flyctl) machines() (machines []fly.Machine) {
	f.Helper()
	f.read(&machines, "machine", "list")
	return machines
}

func (f *flyctl) machine(id string) fly.Machine {
	f.Helper()
	for _, machine := range f.machines() {
		if machine.ID == id {
			return machine
		}
	}
	f.Fatalf("there is no machine %s", id)
	return fly.Machine{}
}

func (f *flyctl) volumes() (volumes []fly.Volume) {
	f.Helper()
	f.read(&volumes, "volumes", "list")
	return volumes
}

// create creates the application for the following commands.
func (f *flyctl) create(app string) {
	f.Helper()
	f.bare("apps", "create", app, "-o", org)
	f.app = app
}

// admin sends a request to the sandbox's admin API.
func (f *flyctl) admin(path string, body any) {
	f.Helper()
	text := must(json.Marshal(body))(f)
	answer := must(http.Post(f.variable("FLY_FLAPS_BASE_URL")+"/_sandbox/"+path, "application/json", bytes.NewReader(text)))(f)
	defer answer.Body.Close()
	equal(f, "the status of "+path, answer.StatusCode, http.StatusOK)
}

// toml writes the application's fly.toml.
func (f *flyctl) toml(text string) {
	f.Helper()
	ok(f, os.WriteFile(filepath.Join(f.dir, "fly.toml"), []byte(text), 0o600))
}

// deploy deploys an image, and returns how many machines run it and how many run another.
func (f *flyctl) deploy(image string, more ...string) (string, map[string]int) {
	f.Helper()
	words := f.run(append(deploying(image), more...)...)
	return words, f.images()
}

// A lease of half an hour outlasts a deployment even at the sandbox's speed.
func deploying(image string) []string {
	return []string{"deploy", "--image", image, "--dns-checks=false", "--lease-timeout", "30m", "--yes"}
}

// settled returns all machines once none is changing: flyctl does not wait for machines that it destroys, nor for any
// with the immediate strategy.
func (f *flyctl) settled() []fly.Machine {
	f.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		machines := f.machines()
		if !slices.ContainsFunc(machines, func(machine fly.Machine) bool { return machine.State != "started" }) {
			return machines
		}
	}
	f.Fatalf("the machines are not all started within %s", patience)
	return nil
}

// images counts the machines by image tag.
func (f *flyctl) images() map[string]int {
	f.Helper()
	tags := map[string]int{}
	for _, machine := range f.settled() {
		tags[machine.ImageRef.Tag]++
	}
	return tags
}

// shownRelease is an element of `flyctl releases --json`.
type shownRelease struct {
	Version            int
	Status             string
	InProgress, Stable bool
}

func (f *flyctl) releases() (releases []shownRelease) {
	f.Helper()
	f.read(&releases, "releases")
	return releases
}

// call sends a request to the sandbox without flyctl.
func (f *flyctl) call(method, path string, in, out any) {
	f.Helper()
	body := must(json.Marshal(in))(f)
	request := must(http.NewRequest(method, f.variable("FLY_FLAPS_BASE_URL")+path, bytes.NewReader(body)))(f)
	request.Header.Set("Authorization", "Bearer "+f.variable("FLY_API_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	answer := must(http.DefaultClient.Do(request))(f)
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		f.Fatalf("%s %s answered %d", method, path, answer.StatusCode)
	}
	ok(f, json.NewDecoder(answer.Body).Decode(out))
}

func (f *flyctl) get(path string, out any) {
	f.Helper()
	f.call("GET", path, nil, out)
}

// readConfig decodes the configuration, which flyctl prints as JSON without a flag.
func (f *flyctl) readConfig(out any) {
	f.Helper()
	ok(f, json.Unmarshal([]byte(f.run("config", "show")), out))
}
