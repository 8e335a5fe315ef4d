package conformance

import (
	"testing"

	fly "github.com/superfly/fly-go"
)

func TestSecretsAreCountedByVersionAndShownByDigest(t *testing.T) {
	r := newRig(t)
	app := r.app()
	equal(t, "the number of secrets", len(must(r.flaps.ListAppSecrets(r.ctx, app, nil, false))(t)), 0)
	first := must(r.flaps.UpdateAppSecrets(r.ctx, app, map[string]*string{"A": fly.Pointer("one"), "B": fly.Pointer("two")}))(t)
	equal(t, "the number of secrets", len(first.Secrets), 2)
	second := must(r.flaps.UpdateAppSecrets(r.ctx, app, map[string]*string{"A": fly.Pointer("other"), "B": nil}))(t)
	equal(t, "the versions count up by batches", second.Version, first.Version+1)
	equal(t, "the number of secrets", len(second.Secrets), 1)

	listed := must(r.flaps.ListAppSecrets(r.ctx, app, &second.Version, false))(t)
	equal(t, "the name", listed[0].Name, "A")
	holds(t, "the value is not shown", listed[0].Value == nil)
	holds(t, "the digest is another", listed[0].Digest != "" && listed[0].Digest != first.Secrets[0].Digest)
	holds(t, "it has times", listed[0].CreatedAt != nil && listed[0].UpdatedAt != nil)

	set := must(r.flaps.SetAppSecret(r.ctx, app, "C", "three"))(t)
	equal(t, "the version", set.Version, second.Version+1)
	equal(t, "the name", set.Name, "C")
	one := must(r.flaps.GetAppSecrets(r.ctx, app, "C", nil, false))(t)
	equal(t, "the digest", one.Digest, set.Digest)
	again := must(r.flaps.SetAppSecret(r.ctx, app, "C", "three"))(t)
	equal(t, "the digest of the same value", again.Digest, set.Digest)
	equal(t, "the value, to whoever may ask for it", *must(r.flaps.GetAppSecrets(r.ctx, app, "C", nil, true))(t).Value, "three")
	gone := must(r.flaps.DeleteAppSecret(r.ctx, app, "C"))(t)
	equal(t, "the version", gone.Version, again.Version+1)
	_, err := r.flaps.GetAppSecrets(r.ctx, app, "C", nil, false)
	refused(t, err, 404, "not found")
	_, err = r.flaps.ListAppSecrets(r.ctx, app, fly.Pointer(gone.Version+1), false)
	refused(t, err, 412, "failed_precondition")
	_, err = r.flaps.SetAppSecret(r.ctx, app, "NOT-A-NAME", "x")
	refused(t, err, 400, "invalid secret name")
}

func TestAMachineStartsWithSecretsNewEnough(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := r.running(app, nginx())
	version := must(r.flaps.UpdateAppSecrets(r.ctx, app, map[string]*string{"A": fly.Pointer("one")}))(t).Version
	input := fly.LaunchMachineInput{ID: machine.ID, Config: nginx(), MinSecretsVersion: fly.Pointer(version + 1)}
	_, err := r.flaps.Update(r.ctx, app, input, "")
	refused(t, err, 412, "failed_precondition")
	input.MinSecretsVersion = &version
	updated := must(r.flaps.Update(r.ctx, app, input, ""))(t)
	holds(t, "the version is another", updated.InstanceID != machine.InstanceID)
}
