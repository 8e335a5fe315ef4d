package conformance

import (
	"slices"
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
)

func TestAConfigurationComesBackAsItWasSent(t *testing.T) {
	r := newRig(t)
	app := r.app()
	data := must(r.flaps.CreateVolume(r.ctx, app, volume("data")))(t)
	sent := group("web", "7")
	sent.Init = fly.MachineInit{Cmd: []string{"serve", "--port", "8080"}, Entrypoint: []string{"/init"}, SwapSizeMB: fly.Pointer(512)}
	sent.Mounts = []fly.MachineMount{{Volume: data.ID, Path: "/data"}}
	sent.Metrics = &fly.MachineMetrics{Port: 9091, Path: "/metrics"}
	sent.Checks = map[string]fly.MachineCheck{"up": {
		Port: fly.Pointer(8080), Type: fly.Pointer("tcp"), Interval: &fly.Duration{Duration: 10 * time.Second},
		Timeout: &fly.Duration{Duration: time.Second}, Kind: fly.Pointer(fly.MachineCheckKindReadiness),
	}}
	sent.Files = []*fly.File{{GuestPath: "/etc/motd", RawValue: fly.Pointer("aGVsbG8=")}}
	sent.Restart = &fly.MachineRestart{Policy: fly.MachineRestartPolicyOnFailure, MaxRetries: 3}
	sent.StopConfig = &fly.StopConfig{Timeout: &fly.Duration{Duration: 30 * time.Second}, Signal: fly.Pointer("SIGTERM")}
	sent.Statics = []*fly.Static{{GuestPath: "/public", UrlPrefix: "/static"}}

	launched := must(r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: sent, Region: "fra", Name: "one"}))(t)
	equal(t, "its name", launched.Name, "one")
	equal(t, "its region", launched.Region, "fra")
	equal(t, "its state at first", launched.State, "created")
	equal(t, "its host", launched.HostStatus, fly.HostStatusOk)
	equal(t, "the length of its id", len(launched.ID), 14)
	equal(t, "the length of its version's id", len(launched.InstanceID), 26)
	equal(t, "its private address begins with that of 6PN", launched.PrivateIP[:5], "fdaa:")
	equal(t, "its image", launched.FullImageRef()[:len("docker-hub-mirror.fly.io/library/nginx:1@sha256:")], "docker-hub-mirror.fly.io/library/nginx:1@sha256:")
	equal(t, "its lease, for which nobody asked", launched.LeaseNonce, "")
	must(time.Parse(time.RFC3339, launched.CreatedAt))(t)

	r.wait(app, launched.ID, "started")
	have := r.get(app, launched.ID)
	equal(t, "its state", have.State, "started")
	equal(t, "its process group", have.ProcessGroup(), "web")
	equal(t, "whether it belongs to Fly Launch", have.IsFlyAppsPlatform(), true)
	for what, pair := range map[string][2]any{
		"env": {have.Config.Env, sent.Env}, "guest": {have.Config.Guest, sent.Guest}, "metadata": {have.Config.Metadata, sent.Metadata},
		"services": {have.Config.Services, sent.Services}, "checks": {have.Config.Checks, sent.Checks},
		"files": {have.Config.Files, sent.Files}, "restart": {have.Config.Restart, sent.Restart},
		"stop_config": {have.Config.StopConfig, sent.StopConfig}, "statics": {have.Config.Statics, sent.Statics},
		"metrics": {have.Config.Metrics, sent.Metrics}, "init": {have.Config.Init, sent.Init}, "image": {have.Config.Image, sent.Image},
	} {
		same(t, what, pair[0], pair[1])
	}
	mount := have.Config.Mounts[0]
	same(t, "the mount, with what only the volume knows", mount, fly.MachineMount{
		Volume: data.ID, Path: "/data", Name: "data", SizeGb: data.SizeGb, Encrypted: true,
	})
	equal(t, "autostop, which comes back as a boolean", *have.Config.Services[0].Autostop, fly.MachineAutostopStop)
}

func TestChecksOfServicesAndOfTheMachineAreNamedAndPass(t *testing.T) {
	r := newRig(t)
	app := r.app()
	config := group("web", "1")
	config.Checks = map[string]fly.MachineCheck{"up": {Port: fly.Pointer(8080), Type: fly.Pointer("tcp")}}
	machine := r.passing(app, r.running(app, config).ID)
	names := []string{}
	for _, check := range machine.Checks {
		names = append(names, check.Name)
		equal(t, "the status of "+check.Name, check.Status, fly.Passing)
		holds(t, check.Name+" says when", check.UpdatedAt != nil && !check.UpdatedAt.IsZero())
	}
	slices.Sort(names)
	same(t, "the names of the checks", names, []string{"servicecheck-00-http-8080", "up"})
	equal(t, "the number of the machine's own checks", machine.TopLevelChecks().Total, 1)

	r.rule(app, nil, map[string]any{"checks": "critical", "check_output": "no"})
	r.eventually("failing checks", func() bool { return r.get(app, machine.ID).AllHealthChecks().Critical == 2 })
}

func TestAMachineLivesThroughAllItsStates(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, nginx()).ID
	started := must(r.get(app, id).MostRecentStartTimeAfterLaunch())(t)
	holds(t, "the start has a time", started.Unix() > 0)

	ok(t, r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: id, Signal: "SIGTERM", Timeout: fly.Duration{Duration: 5 * time.Second}}, ""))
	r.wait(app, id, "stopped")
	machine := r.get(app, id)
	exit := machine.GetLatestEventOfTypeAfterType("exit", "start")
	if exit == nil || exit.Request == nil {
		t.Fatalf("there is no exit event after the start in %+v", machine.Events)
	}
	equal(t, "the exit code", must(exit.Request.GetExitCode())(t), 0)
	equal(t, "whether the stop was asked for", exit.Request.ExitEvent.RequestedStop, true)
	holds(t, "the exit has a time", !exit.Request.ExitEvent.ExitedAt.IsZero())
	ok(t, r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: id}, ""))

	answer := must(r.flaps.Start(r.ctx, app, id, ""))(t)
	equal(t, "the state before the start", answer.PreviousState, "stopped")
	r.wait(app, id, "started")
	ok(t, r.flaps.Suspend(r.ctx, app, id, ""))
	r.wait(app, id, "suspended")
	equal(t, "its state", r.get(app, id).State, fly.MachineStateSuspended)
	equal(t, "the state before the resume", must(r.flaps.Start(r.ctx, app, id, ""))(t).PreviousState, "suspended")
	r.wait(app, id, "started")

	version := r.get(app, id).InstanceID
	ok(t, r.flaps.Restart(r.ctx, app, fly.RestartMachineInput{ID: id, Timeout: 5 * time.Second, Signal: "SIGINT", ForceStop: true}, ""))
	r.eventually("a restart", func() bool {
		machine := r.get(app, id)
		return machine.State == "started" && machine.GetLatestEventOfType("restart") != nil
	})
	equal(t, "its version after the restart", r.get(app, id).InstanceID, version)

	ok(t, r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: id, Kill: true}, ""))
	r.wait(app, id, "destroyed")
	gone := r.get(app, id)
	equal(t, "the state of what remains readable", gone.State, fly.MachineStateDestroyed)
	holds(t, "its events remain", gone.GetLatestEventOfType("destroy") != nil && gone.GetLatestEventOfType("launch") != nil)
	equal(t, "whether it counts as active", gone.IsActive(), false)
	same(t, "the list", must(r.flaps.List(r.ctx, app, ""))(t), []*fly.Machine{})
}

func TestEventsComeNewestFirst(t *testing.T) {
	r := newRig(t)
	app := r.app()
	events := r.running(app, nginx()).Events
	seen := []string{}
	for _, event := range events {
		seen = append(seen, event.Type+" "+event.Status+" "+event.Source)
	}
	same(t, "what happened", seen, []string{"start started flyd", "start starting flyd", "launch created user", "launch pending user"})
	for i := 1; i < len(events); i++ {
		holds(t, "no event is newer than the one before", !events[i].Time().After(events[i-1].Time()))
	}
}

func TestAKilledProgramIsReportedAndRestarted(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, nginx()).ID
	ok(t, r.flaps.Kill(r.ctx, app, id))
	var exit *fly.MachineEvent
	r.eventually("an exit", func() bool {
		exit = r.get(app, id).GetLatestEventOfType("exit")
		return exit != nil
	})
	equal(t, "the exit code", must(exit.Request.GetExitCode())(t), 137)
	equal(t, "the signal", exit.Request.ExitEvent.Signal, 9)
	equal(t, "whether it was asked to stop", exit.Request.ExitEvent.RequestedStop, false)
	equal(t, "whether it restarts", exit.Request.ExitEvent.Restarting, true)
	r.wait(app, id, "started")
	equal(t, "the count of restarts", exit.Request.RestartCount, 1)
}

func TestAProgramThatRunsOutOfMemoryIsReported(t *testing.T) {
	r := newRig(t)
	app := r.app()
	r.rule(app, nil, map[string]any{"oom": true, "after_ms": 100})
	config := nginx()
	config.Restart = &fly.MachineRestart{Policy: fly.MachineRestartPolicyNo}
	id := r.launch(app, config).ID
	r.wait(app, id, "stopped")
	exit := r.get(app, id).GetLatestEventOfType("exit").Request.ExitEvent
	equal(t, "whether memory ran out", exit.OOMKilled, true)
	equal(t, "the exit code", exit.ExitCode, 137)
}

func TestAnUpdateReplacesTheWholeConfiguration(t *testing.T) {
	r := newRig(t)
	app := r.app()
	before := r.running(app, group("web", "1"))
	config := nginx()
	config.Image = "nginx:2"
	after := must(r.flaps.Update(r.ctx, app, fly.LaunchMachineInput{ID: before.ID, Name: before.Name, Region: before.Region, Config: config}, ""))(t)
	equal(t, "its id", after.ID, before.ID)
	holds(t, "its version is another", after.InstanceID != before.InstanceID && after.InstanceID > before.InstanceID)
	ok(t, r.flaps.Wait(r.ctx, app, before.ID, flaps.WithWaitVersion(after.InstanceID), flaps.WithWaitStates("started")))
	ok(t, r.flaps.Wait(r.ctx, app, before.ID, flaps.WithWaitVersion(before.InstanceID), flaps.WithWaitStates("stopped")))
	now := r.get(app, before.ID)
	same(t, "env", now.Config.Env, map[string]string(nil))
	equal(t, "the number of services", len(now.Config.Services), 0)
	equal(t, "its tag", now.ImageRef.Tag, "2")
	holds(t, "the update is an event", now.GetLatestEventOfType("update") != nil)

	_, err := r.flaps.Update(r.ctx, app, fly.LaunchMachineInput{ID: before.ID, Region: "ord", Config: config}, "")
	refused(t, err, 400, "region")
	ok(t, r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: before.ID}, ""))
	r.wait(app, before.ID, "stopped")
	config.Image = "nginx:3"
	must(r.flaps.Update(r.ctx, app, fly.LaunchMachineInput{ID: before.ID, Config: config, SkipLaunch: true}, ""))(t)
	r.wait(app, before.ID, "stopped")
	r.eventually("the end of the update", func() bool { return r.get(app, before.ID).State == "stopped" })
	equal(t, "its tag", r.get(app, before.ID).ImageRef.Tag, "3")
}

func TestListsLeaveOutWhatFlyctlLeavesOut(t *testing.T) {
	r := newRig(t)
	app := r.app()
	web, bare := r.launch(app, group("web", "1")), r.launch(app, nginx())
	command := r.launch(app, group(fly.MachineProcessGroupFlyAppReleaseCommand, "1"))
	console := r.launch(app, group(fly.MachineProcessGroupFlyAppConsole, "1"))
	ids := func(machines []*fly.Machine) []string {
		list := []string{}
		for _, machine := range machines {
			list = append(list, machine.ID)
		}
		slices.Sort(list)
		return list
	}
	sorted := func(ids ...string) []string {
		slices.Sort(ids)
		return ids
	}
	same(t, "the list", ids(must(r.flaps.List(r.ctx, app, ""))(t)), sorted(web.ID, bare.ID, command.ID, console.ID))
	same(t, "the active ones", ids(must(r.flaps.ListActive(r.ctx, app))(t)), sorted(web.ID, bare.ID))
	machines, release, err := r.flaps.ListFlyAppsMachines(r.ctx, app)
	ok(t, err)
	same(t, "those of Fly Launch", ids(machines), sorted(web.ID))
	equal(t, "the release command", release.ID, command.ID)
	many := must(r.flaps.GetMany(r.ctx, app, []string{bare.ID, web.ID}))(t)
	same(t, "those that were named", ids(many), sorted(web.ID, bare.ID))
	same(t, "those in Frankfurt", ids(must(r.flaps.List(r.ctx, app, "region=fra"))(t)), sorted(web.ID, bare.ID, command.ID, console.ID))
	same(t, "those in Chicago", ids(must(r.flaps.List(r.ctx, app, "region=ord"))(t)), []string{})
}

func TestMetadataChangesInPlace(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := r.running(app, group("web", "1"))
	ok(t, r.flaps.SetMetadata(r.ctx, app, machine.ID, "colour", "green"))
	metadata := must(r.flaps.GetMetadata(r.ctx, app, machine.ID))(t)
	equal(t, "the new key", metadata["colour"], "green")
	equal(t, "an old key", metadata[fly.MachineConfigMetadataKeyFlyProcessGroup], "web")
	ok(t, r.flaps.DeleteMetadata(r.ctx, app, machine.ID, "colour"))
	_, there := must(r.flaps.GetMetadata(r.ctx, app, machine.ID))(t)["colour"]
	equal(t, "whether the key is still there", there, false)
	now := r.get(app, machine.ID)
	equal(t, "its version", now.InstanceID, machine.InstanceID)
	equal(t, "its state", now.State, "started")
}

func TestExecAndProcessesNeedARunningMachine(t *testing.T) {
	r := newRig(t)
	app := r.app()
	config := group("web", "1")
	config.Init.Cmd = []string{"serve"}
	id := r.running(app, config).ID
	said := must(r.flaps.Exec(r.ctx, app, id, &fly.MachineExecRequest{Cmd: "echo two words", Timeout: 5}))(t)
	equal(t, "the output", said.StdOut, "two words\n")
	equal(t, "the exit code", said.ExitCode, 0)
	processes := must(r.flaps.GetProcesses(r.ctx, app, id))(t)
	equal(t, "the number of processes", len(processes), 1)
	equal(t, "its command", processes[0].Command, "serve")
	same(t, "where it listens", processes[0].ListenSockets, []fly.ListenSocket{{Proto: "tcp", Address: "0.0.0.0:8080"}})
	ok(t, r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: id}, ""))
	r.wait(app, id, "stopped")
	_, err := r.flaps.Exec(r.ctx, app, id, &fly.MachineExecRequest{Cmd: "ls"})
	refused(t, err, 412, "failed_precondition")
	_, err = r.flaps.GetProcesses(r.ctx, app, id)
	refused(t, err, 412, "failed_precondition")
}

func TestACordonIsShownAndTakenAway(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, group("web", "1")).ID
	equal(t, "whether it is cordoned", r.get(app, id).Cordoned, false)
	ok(t, r.flaps.Cordon(r.ctx, app, id, ""))
	equal(t, "whether it is cordoned", r.get(app, id).Cordoned, true)
	equal(t, "its state", r.get(app, id).State, "started")
	ok(t, r.flaps.Uncordon(r.ctx, app, id, ""))
	equal(t, "whether it is cordoned", r.get(app, id).Cordoned, false)
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := must(r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), Region: "fra", Name: "one"}))(t)
	_, err := r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), Region: "fra", Name: "one"})
	refused(t, err, 409, "unique machine name violation")
	_, err = r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), Region: "xyz"})
	refused(t, err, 400, "region")
	tiny := nginx()
	tiny.Guest.MemoryMB = 100
	_, err = r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: tiny, Region: "fra"})
	refused(t, err, 400, "memory")
	_, err = r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), MinSecretsVersion: fly.Pointer(uint64(9))})
	refused(t, err, 412, "failed_precondition")
	r.wait(app, machine.ID, "started")
	err = r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: machine.ID}, "")
	refused(t, err, 412, "failed_precondition")
	_, err = r.flaps.Get(r.ctx, app, "00000000000000")
	refused(t, err, 404, "not found")
	_, err = r.flaps.Start(r.ctx, app, "00000000000000", "")
	refused(t, err, 404, "not found")
	_, err = r.flaps.List(r.ctx, app+"-none", "")
	refused(t, err, 404, "not found")
}

func TestAScheduledMachineRunsEndsAndIsNotStartedByHand(t *testing.T) {
	r := newRig(t)
	app := r.app()
	config := nginx()
	config.Schedule = "daily"
	id := r.launch(app, config).ID
	r.wait(app, id, "stopped")
	equal(t, "its schedule", r.get(app, id).Config.Schedule, "daily")
	_, err := r.flaps.Start(r.ctx, app, id, "")
	refused(t, err, 412, "scheduled machines cannot be started manually")
}

func TestAnUnreachableHostHidesTheConfiguration(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, group("web", "1")).ID
	host := func(status string) {
		equal(t, "the answer", r.call("POST", "/_sandbox/hosts", map[string]any{"app": app, "status": status}, nil), 200)
	}
	host("unreachable")
	machine := r.get(app, id)
	equal(t, "its host", machine.HostStatus, fly.HostStatusUnreachable)
	holds(t, "its configuration is only what is known elsewhere", machine.Config == nil && machine.IncompleteConfig != nil)
	equal(t, "its process group is known", machine.ProcessGroup(), "web")
	host("ok")
	holds(t, "its configuration is back", r.get(app, id).Config != nil)
}
