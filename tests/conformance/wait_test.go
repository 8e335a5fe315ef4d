package conformance

import (
	"testing"
	"time"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
)

func TestAWaitInVainTimesOutAndSaysWhatIs(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, nginx()).ID
	err := r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("stopped"), flaps.WithWaitTimeout(time.Second))
	refused(t, err, 408, "machine failed to reach desired state, stopped, currently started")
	err = r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("suspended", "destroyed"), flaps.WithWaitTimeout(time.Second))
	refused(t, err, 408, "suspended,destroyed")
}

func TestAWaitForOneOfSeveralStatesEndsWithTheFirst(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.launch(app, nginx()).ID
	ok(t, r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("stopped", "started", "failed")))
	ok(t, r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("settled")))
	equal(t, "its state", r.get(app, id).State, "started")
}

func TestAWaitForTheEndFindsTheEndOrNothing(t *testing.T) {
	r := newRig(t)
	app := r.app()
	id := r.running(app, nginx()).ID
	ok(t, r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: id, Kill: true}, ""))
	ok(t, r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("destroyed")))
	err := r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("started"), flaps.WithWaitTimeout(time.Second))
	refused(t, err, 404, "not found")
	err = r.flaps.Wait(r.ctx, app, "00000000000000", flaps.WithWaitStates("destroyed"))
	refused(t, err, 404, "not found")
	err = r.flaps.Wait(r.ctx, app, id, flaps.WithWaitStates("asleep"))
	refused(t, err, 400, "invalid state")
}

func TestAWaitBlocksUntilItsStateComes(t *testing.T) {
	r := newRig(t)
	app := r.app()
	r.rule(app, nil, map[string]any{"boot_ms": 10_000})
	id := r.launch(app, nginx()).ID
	begun := time.Now()
	r.wait(app, id, "started")
	holds(t, "the wait lasted about as long as the boot", time.Since(begun) > 100*time.Millisecond)
	equal(t, "its state", r.get(app, id).State, "started")
}
