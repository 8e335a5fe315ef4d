package conformance

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/superfly/fly-go/flaps"
)

func TestApplicationsAreMadeFoundListedAndDeleted(t *testing.T) {
	r := newRig(t)
	name := r.app()
	ok(t, r.flaps.WaitForApp(r.ctx, name))
	app := must(r.flaps.GetApp(r.ctx, name))(t)
	equal(t, "its name", app.Name, name)
	equal(t, "its status", app.Status, "pending")
	equal(t, "whether it is deployed", app.Deployed(), false)
	equal(t, "its organization", app.Organization.Slug, org)
	equal(t, "its network", app.Network, "default")
	equal(t, "whether it is a Postgres cluster", app.IsPostgresApp(), false)
	holds(t, "it has an id", app.ID != "")
	holds(t, "its number and its organization's are numbers", app.InternalNumericID > 0 && app.Organization.InternalNumericID > 0)
	holds(t, "it has a name for certificates to point at", app.CnameTarget != "")

	r.running(name, nginx())
	must(r.flaps.CreateVolume(r.ctx, name, volume("data")))(t)
	app = must(r.flaps.GetApp(r.ctx, name))(t)
	equal(t, "its status with a machine", app.Status, "deployed")
	equal(t, "its number of machines", app.MachineCount, 1)
	equal(t, "its number of volumes", app.VolumeCount, 1)

	is := func(app flaps.App) bool { return app.Name == name }
	all := must(r.flaps.ListApps(r.ctx, flaps.ListAppsRequest{OrgSlug: org}))(t)
	holds(t, "the list has it", slices.ContainsFunc(all, is))
	clusters := must(r.flaps.ListApps(r.ctx, flaps.ListAppsRequest{OrgSlug: org, AppRole: "postgres_cluster"}))(t)
	holds(t, "the list of Postgres clusters lacks it", !slices.ContainsFunc(clusters, is))

	ok(t, r.flaps.DeleteApp(r.ctx, name))
	_, err := r.flaps.GetApp(r.ctx, name)
	refused(t, err, 404, "app not found")
	holds(t, "the client knows the refusal as its own", errors.Is(err, flaps.ErrFlapsNotFound))
	free := must(r.flaps.AppNameAvailable(r.ctx, name))(t)
	holds(t, "the name is free again", free)
}

func TestAPostgresClusterIsARole(t *testing.T) {
	r := newRig(t)
	name := r.app() + "-pg"
	must(r.flaps.CreateApp(r.ctx, flaps.CreateAppRequest{Name: name, Org: org, AppRoleID: "postgres_cluster", Network: "inner"}))(t)
	t.Cleanup(func() { _ = r.flaps.DeleteApp(r.ctx, name) })
	clusters := must(r.flaps.ListApps(r.ctx, flaps.ListAppsRequest{OrgSlug: org, AppRole: "postgres_cluster"}))(t)
	at := slices.IndexFunc(clusters, func(app flaps.App) bool { return app.Name == name })
	holds(t, "the list of clusters has it", at >= 0)
	cluster := must(r.flaps.GetApp(r.ctx, name))(t)
	equal(t, "whether it is a Postgres cluster", cluster.IsPostgresApp(), true)
	equal(t, "its network", cluster.Network, "inner")
}

func TestNamesThatAreTakenOrImpossibleAreRefused(t *testing.T) {
	r := newRig(t)
	name := r.app()
	_, err := r.flaps.CreateApp(r.ctx, flaps.CreateAppRequest{Name: name, Org: org})
	refusal := refused(t, err, 422, "Name has already been taken")
	if code := refusal.StatusCode(); code == nil || *code != "name_taken" {
		t.Errorf("the machine-readable status is %v, expected name_taken", code)
	}
	_, err = r.flaps.CreateApp(r.ctx, flaps.CreateAppRequest{Name: "Not A Name", Org: org})
	refused(t, err, 422, "Validation failed")
	_, err = r.flaps.CreateApp(r.ctx, flaps.CreateAppRequest{Name: name + "-2", Org: "no-such-organization"})
	// The API does not reveal whether it is missing or belongs to another organization.
	refused(t, err, 403, "unauthorized")
}

func TestATokenThatIsNoneIsRefusedEverywhere(t *testing.T) {
	r := newRig(t)
	name := r.app()
	stranger := rigWith(t, "fo1_0000000000000000000000000000000000000000")
	_, err := stranger.flaps.GetApp(r.ctx, name)
	refused(t, err, 401, "")
	_, err = stranger.flaps.List(r.ctx, name, "")
	refused(t, err, 401, "")
	_, err = stranger.gql.GetAppCompact(r.ctx, name)
	holds(t, "GraphQL refuses it too", err != nil)
	equal(t, "that the test's own token is another", os.Getenv("FLY_API_TOKEN") == "", false)
}
