package conformance

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
)

// deployment does what `fly deploy --image` does, call by call, with flyctl's own library.
type deployment struct {
	*rig
	app      string
	image    string
	release  release
	strategy string
}

// release is the part of a response of flyctl's third API that flyctl decodes; that API has no public client.
type release struct {
	ID         string    `json:"id"`
	Version    int       `json:"version"`
	Status     string    `json:"status"`
	InProgress bool      `json:"in_progress"`
	Stable     bool      `json:"stable"`
	Strategy   string    `json:"strategy"`
	User       string    `json:"user"`
	CreatedAt  time.Time `json:"created_at"`
	ImageRef   string    `json:"image_ref"`
}

// The duration of leases that the tests release themselves: an hour, which passes in three minutes here.
const leaseTTL = 3600

func (r *rig) deploy(app, image, strategy string) *deployment {
	r.Helper()
	current := must(r.flaps.GetApp(r.ctx, app))(r)
	var organization struct {
		Organization struct {
			Slug    string `json:"slug"`
			RawSlug string `json:"raw_slug"`
			Number  int    `json:"internal_numeric_id"`
		} `json:"organization"`
	}
	equal(r, "the status of the organization", r.call("GET", "/api/v1/organizations/"+current.Organization.Slug, nil, &organization), 200)
	equal(r, "the organization", organization.Organization.RawSlug, org)

	var build struct {
		ID     int64  `json:"id"`
		Status string `json:"status"`
	}
	r.call("POST", "/api/v1/builds", map[string]any{"app_name": app, "builder_type": "remote"}, &build)
	holds(r, "the build has an id", build.ID != 0)
	resolved := must(r.gql.ResolveImageForApp(r.ctx, app, image))(r)
	finish := map[string]any{"build_id": build.ID, "app_name": app, "status": "completed"}
	equal(r, "the status of finishing a build", r.call("POST", "/api/v1/builds/finish", finish, &build), 200)
	equal(r, "the build", build.Status, "completed")

	d := &deployment{rig: r, app: app, image: resolved.Ref, strategy: strategy}
	var made struct {
		Release release `json:"release"`
	}
	status := r.call("POST", "/api/v1/releases", map[string]any{
		"app_name": app, "build_id": build.ID, "image": d.image, "strategy": strategy, "definition": map[string]any{"app": app},
	}, &made)
	holds(r, "the release was made", status == 200 || status == 201)
	d.release = made.Release
	equal(r, "its status", d.release.Status, "pending")
	equal(r, "its strategy", d.release.Strategy, strategy)
	holds(r, "it has a time", !d.release.CreatedAt.IsZero())
	d.mark("running")
	return d
}

func (d *deployment) mark(status string) {
	d.Helper()
	var changed release
	equal(d, "the status of changing a release", d.call("PATCH", "/api/v1/releases/"+d.release.ID, map[string]any{"status": status}, &changed), 200)
	equal(d, "the release", changed.Status, status)
	equal(d, "whether the release is stable", changed.Stable, status == "complete")
	equal(d, "whether the release is in progress", changed.InProgress, status == "running")
}

func (d *deployment) config(process string) *fly.MachineConfig {
	config := group(process, strconv.Itoa(d.release.Version))
	config.Image = d.image
	config.Metadata[fly.MachineConfigMetadataKeyFlyReleaseId] = d.release.ID
	return config
}

// releaseCommand runs a command on a machine of its own and returns its exit code.
func (d *deployment) releaseCommand() int {
	d.Helper()
	_, left, err := d.flaps.ListFlyAppsMachines(d.ctx, d.app)
	ok(d, err)
	if left != nil {
		ok(d, d.flaps.Destroy(d.ctx, d.app, fly.RemoveMachineInput{ID: left.ID, Kill: true}, ""))
	}
	config := d.config(fly.MachineProcessGroupFlyAppReleaseCommand)
	config.Services = nil
	config.Init.Cmd = []string{"migrate"}
	config.Env["RELEASE_COMMAND"] = "1"
	config.Restart = &fly.MachineRestart{Policy: fly.MachineRestartPolicyNo}
	config.AutoDestroy = true
	config.DNS = &fly.DNSConfig{SkipRegistration: true}
	machine := must(d.flaps.Launch(d.ctx, d.app, fly.LaunchMachineInput{Config: config, Region: "fra", SkipLaunch: true}))(d)
	d.wait(d.app, machine.ID, "stopped")
	equal(d, "the state before the start", must(d.flaps.Start(d.ctx, d.app, machine.ID, ""))(d).PreviousState, "stopped")
	// The command may end before the first of these requests: then the first reports the exit, and the second that the
	// machine is gone.
	for _, state := range []string{"started", "destroyed"} {
		if err := d.flaps.Wait(d.ctx, d.app, machine.ID, flaps.WithWaitStates(state)); err != nil && !errors.Is(err, flaps.ErrFlapsNotFound) {
			d.Fatal(err)
		}
	}
	machine = d.get(d.app, machine.ID)
	equal(d, "the state of the release command's machine", machine.State, fly.MachineStateDestroyed)
	exit := machine.GetLatestEventOfTypeAfterType("exit", "start")
	if exit == nil {
		d.Fatalf("there is no exit after the start in %+v", machine.Events)
	}
	return must(exit.Request.GetExitCode())(d)
}

// create creates the first machine of its group, with a lease from the beginning.
func (d *deployment) create(config *fly.MachineConfig, hidden bool) *fly.Machine {
	d.Helper()
	machine := must(d.flaps.Launch(d.ctx, d.app, fly.LaunchMachineInput{
		Config: config, Region: "fra", LeaseTTL: leaseTTL, SkipServiceRegistration: hidden,
	}))(d)
	holds(d, "the new machine comes with a lease", machine.LeaseNonce != "")
	d.wait(d.app, machine.ID, "started")
	d.passing(d.app, machine.ID)
	sockets := must(d.flaps.GetProcesses(d.ctx, d.app, machine.ID))(d)[0].ListenSockets
	same(d, "where the program listens", sockets, []fly.ListenSocket{{Proto: "tcp", Address: "0.0.0.0:8080"}})
	ok(d, d.flaps.ReleaseLease(d.ctx, d.app, machine.ID, machine.LeaseNonce))
	return machine
}

// update replaces the configuration of a machine under a lease.
func (d *deployment) update(machine *fly.Machine) error {
	d.Helper()
	lease := must(d.flaps.AcquireLease(d.ctx, d.app, machine.ID, fly.Pointer(leaseTTL)))(d).Data
	equal(d, "the version that is leased", lease.Version, machine.InstanceID)
	defer func() { ok(d, d.flaps.ReleaseLease(d.ctx, d.app, machine.ID, lease.Nonce)) }()
	input := fly.LaunchMachineInput{
		ID: machine.ID, Name: machine.Name, Region: machine.Region, Config: d.config(machine.ProcessGroup()),
		SkipLaunch: machine.State != "started",
	}
	updated := must(d.flaps.Update(d.ctx, d.app, input, lease.Nonce))(d)
	equal(d, "the number of checks in the answer, by which flyctl decides to wait", len(updated.Config.Services[0].Checks), 1)
	if input.SkipLaunch {
		return nil
	}
	if err := d.flaps.Wait(d.ctx, d.app, machine.ID, flaps.WithWaitStates("started"), flaps.WithWaitTimeout(10*time.Second)); err != nil {
		return err
	}
	refreshed := must(d.flaps.RefreshLease(d.ctx, d.app, machine.ID, fly.Pointer(leaseTTL), lease.Nonce))(d).Data
	equal(d, "the nonce after a refresh", refreshed.Nonce, lease.Nonce)
	equal(d, "the version after the update", refreshed.Version, updated.InstanceID)
	d.passing(d.app, machine.ID)
	return nil
}

func (d *deployment) machines() []*fly.Machine {
	d.Helper()
	machines, _, err := d.flaps.ListFlyAppsMachines(d.ctx, d.app)
	ok(d, err)
	slices.SortFunc(machines, func(a, b *fly.Machine) int { return cmp.Compare(a.ID, b.ID) })
	return machines
}

// all returns the number of machines by image tag.
func (d *deployment) all() map[string]int {
	tags := map[string]int{}
	for _, machine := range d.machines() {
		tags[machine.ImageRef.Tag]++
	}
	return tags
}

// first deploys an application that has no machines yet.
func (r *rig) first(app string, machines int) *deployment {
	r.Helper()
	d := r.deploy(app, "web:1", "ROLLING")
	equal(r, "the exit code of the release command", d.releaseCommand(), 0)
	for range machines {
		d.create(d.config("app"), false)
	}
	d.mark("complete")
	return d
}

func TestTheFirstDeploymentOfAppendixA(t *testing.T) {
	r := newRig(t)
	app := r.app()
	equal(t, "whether it is deployed", must(r.flaps.GetApp(r.ctx, app))(t).Deployed(), false)
	equal(t, "the number of machines", len(must(r.flaps.ListActive(r.ctx, app))(t)), 0)
	equal(t, "the number of addresses", len(must(r.flaps.GetIPAssignments(r.ctx, app))(t).IPs), 0)
	must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "v6"}))(t)
	must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "shared_v4"}))(t)
	equal(t, "the status of an application without a release", r.call("GET", "/api/v1/apps/"+app+"/releases/current", nil, nil), 404)

	d := r.first(app, 1)
	equal(t, "the version of the release", d.release.Version, 1)
	equal(t, "the number of machines, without that of the release command", len(d.machines()), 1)
	equal(t, "whether it is deployed", must(r.flaps.GetApp(r.ctx, app))(t).Deployed(), true)
	equal(t, "the image of the release", must(r.gql.LatestImage(r.ctx, app))(t), d.image)
	var current release
	equal(t, "the status of the current release", r.call("GET", "/api/v1/apps/"+app+"/releases/current", nil, &current), 200)
	equal(t, "the current release", current.ID, d.release.ID)
	var list struct {
		Releases []release `json:"releases"`
	}
	r.call("GET", "/api/v1/apps/"+app+"/releases?limit=5", nil, &list)
	equal(t, "the number of releases", len(list.Releases), 1)
	dates := map[string]time.Time{}
	r.call("GET", "/api/v1/releases/all_current", nil, &dates)
	holds(t, "the overview of all releases has it", !dates[app].IsZero())
}

func TestAReleaseCommandThatFailsStopsTheDeployment(t *testing.T) {
	r := newRig(t)
	app := r.app()
	before := r.first(app, 1).machines()[0]
	r.rule(app, map[string]any{"process_group": fly.MachineProcessGroupFlyAppReleaseCommand}, map[string]any{"exit_code": 3, "after_ms": 500})
	d := r.deploy(app, "web:2", "ROLLING")
	equal(t, "the exit code of the release command", d.releaseCommand(), 3)
	d.mark("failed")
	after := d.machines()
	equal(t, "the number of machines", len(after), 1)
	equal(t, "the version of the machine", after[0].InstanceID, before.InstanceID)
	var current release
	r.call("GET", "/api/v1/apps/"+app+"/releases/current", nil, &current)
	equal(t, "the current release is still the first", current.Version, 1)
}

func TestARollingUpdateGoesMachineByMachine(t *testing.T) {
	r := newRig(t)
	app := r.app()
	r.first(app, 3)
	d := r.deploy(app, "web:2", "ROLLING")
	equal(t, "the exit code of the release command", d.releaseCommand(), 0)
	machines := d.machines()
	ok(t, r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: machines[2].ID}, ""))
	r.wait(app, machines[2].ID, "stopped")
	for i, machine := range d.machines() {
		ok(t, d.update(machine))
		equal(t, "the number of machines with the new image", d.all()["2"], i+1)
	}
	d.mark("complete")
	after := d.machines()
	for i, machine := range after {
		equal(t, "the id", machine.ID, machines[i].ID)
		equal(t, "the release in its metadata", machine.GetMetadataByKey(fly.MachineConfigMetadataKeyFlyReleaseVersion), "2")
	}
	r.eventually("the machine that was stopped staying so", func() bool { return r.get(app, after[2].ID).State == "stopped" })
	equal(t, "what started after the update of a stopped machine", r.get(app, after[2].ID).Events[0].Type, "update")
	releases := must(r.gql.GetAppReleasesMachines(r.ctx, app, "complete", 1))(t)
	equal(t, "the newest release", releases[0].Version, 2)
}

func TestABadImageStopsARollingUpdate(t *testing.T) {
	r := newRig(t)
	app := r.app()
	r.first(app, 2)
	d := r.deploy(app, "web:bad", "ROLLING")
	r.rule(app, map[string]any{"image_contains": "web:bad", "process_group": "app"}, map[string]any{"exit_code": 1, "after_ms": 0})
	machines := d.machines()
	refused(t, d.update(machines[0]), 408, "machine failed to reach desired state")
	d.mark("failed")
	same(t, "what runs", d.all(), map[string]int{"1": 1, "bad": 1})
	exit := r.get(app, machines[0].ID).GetLatestEventOfType("exit")
	equal(t, "the exit code of the bad image", must(exit.Request.GetExitCode())(t), 1)
	equal(t, "the other machine", r.get(app, machines[1].ID).State, "started")
}

func TestACanaryGoesFirstAndIsDestroyed(t *testing.T) {
	r := newRig(t)
	app := r.app()
	r.first(app, 2)
	d := r.deploy(app, "web:2", "CANARY")
	machines := d.machines()
	config := d.config("app")
	config.Metadata["fly_canary"] = "true"
	config.DNS = &fly.DNSConfig{SkipRegistration: true}
	canary := d.create(config, false)
	same(t, "what runs beside the canary", d.all(), map[string]int{"1": 2, "2": 1})
	// flyctl sends the nonce of a lease that it released just before.
	ok(t, r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: canary.ID, Kill: true}, canary.LeaseNonce))
	r.wait(app, canary.ID, "destroyed")
	for _, machine := range machines {
		ok(t, d.update(machine))
	}
	d.mark("complete")
	same(t, "what runs", d.all(), map[string]int{"2": 2})
}

func TestBlueGreenSwitchesAndRetiresTheOld(t *testing.T) {
	r := newRig(t)
	app := r.app()
	r.first(app, 2)
	d := r.deploy(app, "web:2", "BLUEGREEN")
	equal(t, "whether it may be", must(r.gql.CanPerformBluegreenDeployment(r.ctx, app))(t), true)
	blue := d.machines()
	green := []*fly.Machine{}
	for range blue {
		machine := d.create(d.config("app"), true)
		equal(t, "whether a green machine takes requests", r.get(app, machine.ID).Cordoned, true)
		green = append(green, machine)
	}
	for _, machine := range green {
		ok(t, r.flaps.Uncordon(r.ctx, app, machine.ID, ""))
		ok(t, r.flaps.SetMetadata(r.ctx, app, machine.ID, fly.MachineConfigMetadataKeyFlyctlBGTag, "1"))
	}
	for _, machine := range blue {
		nonce := must(r.flaps.AcquireLease(r.ctx, app, machine.ID, fly.Pointer(leaseTTL)))(t).Data.Nonce
		ok(t, r.flaps.SetMetadata(r.ctx, app, machine.ID, fly.MachineConfigMetadataKeyFlyctlBGTag, "safe_to_destroy"))
		ok(t, r.flaps.Cordon(r.ctx, app, machine.ID, nonce))
		ok(t, r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: machine.ID}, nonce))
		r.wait(app, machine.ID, "stopped")
		equal(t, "the tag of a retired machine", r.get(app, machine.ID).GetMetadataByKey(fly.MachineConfigMetadataKeyFlyctlBGTag), "safe_to_destroy")
		ok(t, r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: machine.ID, Kill: true}, nonce))
		r.wait(app, machine.ID, "destroyed")
	}
	d.mark("complete")
	have := map[string]bool{}
	for _, machine := range d.machines() {
		have[machine.ID] = machine.Cordoned
	}
	same(t, "what is there, and whether it is cordoned", slices.Sorted(maps.Keys(have)), sortedIDs(green))
	holds(t, "none is cordoned", !slices.Contains(slices.Collect(maps.Values(have)), true))
	same(t, "what runs", d.all(), map[string]int{"2": 2})
}

func TestAStandbyIsMadeAndNotLaunched(t *testing.T) {
	r := newRig(t)
	app := r.app()
	d := r.deploy(app, "web:1", "ROLLING")
	config := d.config("worker")
	config.Services = nil
	first := r.launch(app, config)
	config.Standbys = []string{first.ID}
	config.Env["FLY_STANDBY_FOR"] = first.ID
	standby := must(r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: config, Region: "fra", SkipLaunch: true}))(t)
	r.wait(app, standby.ID, "stopped")
	same(t, "whom it stands by", r.get(app, standby.ID).Config.Standbys, []string{first.ID})
	equal(t, "whether it ever started", r.get(app, standby.ID).GetLatestEventOfType("start") == nil, true)
}

func sortedIDs(machines []*fly.Machine) []string {
	ids := []string{}
	for _, machine := range machines {
		ids = append(ids, machine.ID)
	}
	slices.Sort(ids)
	return ids
}
