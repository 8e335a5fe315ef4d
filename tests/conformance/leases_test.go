package conformance

import (
	"strings"
	"testing"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
)

func TestALeaseIsTakenKeptShownAndGivenBack(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := r.running(app, nginx())
	ttl := fly.Pointer(3600)
	lease := must(r.flaps.AcquireLease(r.ctx, app, machine.ID, ttl))(t)
	equal(t, "its status", lease.Status, "success")
	holds(t, "it has a nonce and an owner", lease.Data.Nonce != "" && lease.Data.Owner != "")
	equal(t, "the version it is for", lease.Data.Version, machine.InstanceID)
	longer := must(r.flaps.RefreshLease(r.ctx, app, machine.ID, fly.Pointer(7200), lease.Data.Nonce))(t)
	equal(t, "the nonce after a refresh", longer.Data.Nonce, lease.Data.Nonce)
	holds(t, "a refresh lasts longer", longer.Data.ExpiresAt >= lease.Data.ExpiresAt+3600)
	shown := must(r.flaps.FindLease(r.ctx, app, machine.ID))(t)
	equal(t, "when it ends", shown.Data.ExpiresAt, longer.Data.ExpiresAt)
	ok(t, r.flaps.ReleaseLease(r.ctx, app, machine.ID, lease.Data.Nonce))
	_, err := r.flaps.FindLease(r.ctx, app, machine.ID)
	refused(t, err, 404, "lease not found")
}

func TestALeaseKeepsEverybodyElseAway(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := r.running(app, nginx())
	id := machine.ID
	nonce := must(r.flaps.AcquireLease(r.ctx, app, id, fly.Pointer(3600)))(t).Data.Nonce
	held := "machine ID " + id + " lease currently held by "
	// Sent without the library, which would retry for a minute.
	var conflict fly.MachineLease
	status := r.call("POST", "/v1/apps/"+app+"/machines/"+id+"/lease?ttl=10", nil, &conflict)
	equal(t, "the status of a second lease", status, 409)
	equal(t, "its outcome", conflict.Status, "error")
	equal(t, "the words begin as flyctl looks for them", strings.HasPrefix(conflict.Message, held), true)
	update := fly.LaunchMachineInput{ID: id, Config: nginx()}
	for what, attempt := range map[string]func(nonce string) error{
		"update": func(nonce string) error { _, err := r.flaps.Update(r.ctx, app, update, nonce); return err },
		"start":  func(nonce string) error { _, err := r.flaps.Start(r.ctx, app, id, nonce); return err },
		"stop":   func(nonce string) error { return r.flaps.Stop(r.ctx, app, fly.StopMachineInput{ID: id}, nonce) },
		"restart": func(nonce string) error {
			return r.flaps.Restart(r.ctx, app, fly.RestartMachineInput{ID: id}, nonce)
		},
		"suspend":  func(nonce string) error { return r.flaps.Suspend(r.ctx, app, id, nonce) },
		"cordon":   func(nonce string) error { return r.flaps.Cordon(r.ctx, app, id, nonce) },
		"uncordon": func(nonce string) error { return r.flaps.Uncordon(r.ctx, app, id, nonce) },
		"destroy": func(nonce string) error {
			return r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: id, Kill: true}, nonce)
		},
	} {
		t.Run(what, func(t *testing.T) {
			refused(t, attempt(""), 409, held)
			refused(t, attempt("ffffffffffff"), 409, held)
		})
	}
	err := r.flaps.ReleaseLease(r.ctx, app, id, "ffffffffffff")
	refused(t, err, 409, held)
	equal(t, "its version after all that", r.get(app, id).InstanceID, machine.InstanceID)
	ok(t, r.flaps.SetMetadata(r.ctx, app, id, "metadata", "is not guarded"))
	must(r.flaps.Update(r.ctx, app, update, nonce))(t)
	ok(t, r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("started")))
	ok(t, r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: id, Kill: true}, nonce))
}

func TestALeaseRunsOut(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, nginx()).ID
	first := must(r.flaps.AcquireLease(r.ctx, app, id, fly.Pointer(5)))(t).Data.Nonce
	// The library retries as long as the request is rejected.
	second := must(r.flaps.AcquireLease(r.ctx, app, id, fly.Pointer(3600)))(t).Data.Nonce
	holds(t, "the next lease has another nonce", first != second)
	_, err := r.flaps.RefreshLease(r.ctx, app, id, fly.Pointer(5), first)
	refused(t, err, 409, "lease currently held")
}

func TestALaunchCanTakeALease(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := must(r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), Region: "fra", LeaseTTL: 3600}))(t)
	holds(t, "the answer carries the nonce", machine.LeaseNonce != "")
	equal(t, "the nonce is shown to nobody afterwards", r.get(app, machine.ID).LeaseNonce, "")
	err := r.flaps.Cordon(r.ctx, app, machine.ID, "")
	refused(t, err, 409, "lease currently held")
	ok(t, r.flaps.ReleaseLease(r.ctx, app, machine.ID, machine.LeaseNonce))
	ok(t, r.flaps.Cordon(r.ctx, app, machine.ID, ""))
}
