package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"
)

// The organization of the sandbox and of the token.
const org = "acme"

// The timeout of a condition. Everything happens within a second of the sandbox's clock, which runs twenty times
// faster, so only a defect reaches it.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	for _, name := range []string{"FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL", "FLY_UIEX_BASE_URL", "FLY_API_TOKEN"} {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "%s is not set; scripts/conformance starts a sandbox and sets it\n", name)
			os.Exit(1)
		}
	}
	// These tests create and destroy: they must never reach the real Fly.
	for _, name := range []string{"FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL", "FLY_UIEX_BASE_URL"} {
		base, err := url.Parse(os.Getenv(name))
		if err != nil || base.Hostname() != "127.0.0.1" {
			fmt.Fprintf(os.Stderr, "%s must be the address of a sandbox on 127.0.0.1\n", name)
			os.Exit(1)
		}
	}
	fly.SetBaseURL(os.Getenv("FLY_API_BASE_URL"))
	os.Exit(judged(m.Run()))
}

// rig has the clients of one test.
type rig struct {
	*testing.T
	ctx   context.Context
	flaps *flaps.Client
	gql   *fly.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	return rigWith(t, os.Getenv("FLY_API_TOKEN"))
}

func rigWith(t *testing.T, token string) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	client, err := flaps.NewWithOptions(ctx, flaps.NewClientOpts{
		UserAgent: "trimtab-conformance",
		Tokens:    tokens.Parse(token),
		Transport: polite{},
	})
	if err != nil {
		t.Fatal(err)
	}
	gql := fly.NewClientFromOptions(fly.ClientOptions{Tokens: tokens.Parse(token), Name: "trimtab-conformance", Version: "1"})
	return &rig{T: t, ctx: ctx, flaps: client, gql: gql}
}

// polite waits and retries when a request was rate limited, as Fly's documentation asks of clients; the client library
// does not.
type polite struct{}

func (polite) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	for {
		again := request.Clone(request.Context())
		if body != nil {
			again.Body = io.NopCloser(bytes.NewReader(body))
		}
		answer, err := http.DefaultTransport.RoundTrip(again)
		if err != nil || answer.StatusCode != http.StatusTooManyRequests {
			return answer, err
		}
		answer.Body.Close()
		select {
		case <-request.Context().Done():
			return nil, request.Context().Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var counter atomic.Int64

// app creates an application for the test, and deletes it afterwards.
func (r *rig) app() string {
	r.Helper()
	name := fmt.Sprintf("conf-%d-%d", os.Getpid(), counter.Add(1))
	created := must(r.flaps.CreateApp(r.ctx, flaps.CreateAppRequest{Name: name, Org: org}))(r)
	equal(r, "the created application's name", created.Name, name)
	r.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.flaps.DeleteApp(ctx, name); err != nil && !errors.Is(err, flaps.ErrFlapsNotFound) {
			r.Errorf("cannot delete %s: %v", name, err)
		}
	})
	return name
}

// nginx is the smallest configuration.
func nginx() *fly.MachineConfig {
	return &fly.MachineConfig{
		Image: "nginx:1",
		Guest: &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256},
	}
}

// group is a configuration as `fly deploy` writes it for a process group: metadata, and a service with a check.
func group(name, version string) *fly.MachineConfig {
	config := nginx()
	config.Env = map[string]string{"FLY_PROCESS_GROUP": name, "PRIMARY_REGION": "fra", "VERSION": version}
	config.Metadata = map[string]string{
		fly.MachineConfigMetadataKeyFlyPlatformVersion: fly.MachineFlyPlatformVersion2,
		fly.MachineConfigMetadataKeyFlyProcessGroup:    name,
		fly.MachineConfigMetadataKeyFlyReleaseVersion:  version,
	}
	config.Services = []fly.MachineService{service()}
	return config
}

func service() fly.MachineService {
	return fly.MachineService{
		Protocol:           "tcp",
		InternalPort:       8080,
		Autostop:           fly.Pointer(fly.MachineAutostopStop),
		Autostart:          fly.Pointer(true),
		MinMachinesRunning: fly.Pointer(0),
		Ports: []fly.MachinePort{
			{Port: fly.Pointer(80), Handlers: []string{"http"}, ForceHTTPS: true},
			{Port: fly.Pointer(443), Handlers: []string{"http", "tls"}},
		},
		Checks: []fly.MachineServiceCheck{{
			Type:        fly.Pointer("http"),
			Interval:    &fly.Duration{Duration: 15 * time.Second},
			Timeout:     &fly.Duration{Duration: 2 * time.Second},
			GracePeriod: &fly.Duration{Duration: time.Second},
			HTTPPath:    fly.Pointer("/up"),
		}},
	}
}

func (r *rig) launch(app string, config *fly.MachineConfig) *fly.Machine {
	r.Helper()
	return must(r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: config, Region: "fra"}))(r)
}

func (r *rig) running(app string, config *fly.MachineConfig) *fly.Machine {
	r.Helper()
	machine := r.launch(app, config)
	r.wait(app, machine.ID, "started")
	return r.get(app, machine.ID)
}

func (r *rig) get(app, id string) *fly.Machine {
	r.Helper()
	return must(r.flaps.Get(r.ctx, app, id))(r)
}

func (r *rig) wait(app, id, state string) {
	r.Helper()
	ok(r, r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates(state)))
}

// eventually retries until the condition holds.
func (r *rig) eventually(what string, true func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if true() {
			return
		}
	}
	r.Fatalf("%s did not happen within %s", what, patience)
}

// passing waits, as flyctl does, until there are checks and all of them pass.
func (r *rig) passing(app, id string) *fly.Machine {
	r.Helper()
	var machine *fly.Machine
	r.eventually("all checks of "+id+" passing", func() bool {
		machine = r.get(app, id)
		status := machine.AllHealthChecks()
		return status.Total > 0 && status.AllPassing()
	})
	return machine
}

// call sends a request without the client library: to the admin API, or to the third API, whose client is part of
// flyctl.
func (r *rig) call(method, path string, in, out any) int {
	r.Helper()
	body := must(json.Marshal(in))(r)
	request := must(http.NewRequestWithContext(r.ctx, method, os.Getenv("FLY_UIEX_BASE_URL")+path, bytes.NewReader(body)))(r)
	request.Header.Set("Authorization", "Bearer "+os.Getenv("FLY_API_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	answer := must(http.DefaultClient.Do(request))(r)
	defer answer.Body.Close()
	text := must(io.ReadAll(answer.Body))(r)
	if out != nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		if err := decoder.Decode(out); err != nil {
			r.Fatalf("%s %s answered %d %s: %v", method, path, answer.StatusCode, text, err)
		}
	}
	return answer.StatusCode
}

// rule defines how the programs of an application behave from their next start on.
func (r *rig) rule(app string, matches, behave map[string]any) {
	r.Helper()
	if matches == nil {
		matches = map[string]any{}
	}
	matches["app"] = app
	status := r.call("POST", "/_sandbox/rules", map[string]any{"match": matches, "behave": behave}, nil)
	equal(r, "the status of adding a rule", status, 200)
}

// must unwraps a result: must(f())(t).
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, have, want T) {
	t.Helper()
	if have != want {
		t.Errorf("%s is %v, expected %v", what, have, want)
	}
}

// same compares the JSON of two values, as it crosses the wire: there, nil and empty are equal.
func same(t testing.TB, what string, have, want any) {
	t.Helper()
	left, right := string(must(json.Marshal(have))(t)), string(must(json.Marshal(want))(t))
	if left != right {
		t.Errorf("%s is\n  %s\nexpected\n  %s", what, left, right)
	}
}

func holds(t testing.TB, what string, condition bool) {
	t.Helper()
	if !condition {
		t.Errorf("it does not hold that %s", what)
	}
}

// refused checks the client's error: its type, status, request id and text.
func refused(t testing.TB, err error, status int, words string) *flaps.FlapsError {
	t.Helper()
	var failure *flaps.FlapsError
	if !errors.As(err, &failure) {
		t.Fatalf("expected a refusal with %d, got %v", status, err)
	}
	equal(t, "the status of the refusal", failure.ResponseStatusCode, status)
	if !strings.Contains(failure.Error(), words) {
		t.Errorf("the refusal says %q, expected %q in it", failure.Error(), words)
	}
	holds(t, "the refusal carries the id of its request", flaps.GetErrorRequestID(err) != "")
	return failure
}
