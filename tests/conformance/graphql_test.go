package conformance

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	fly "github.com/superfly/fly-go"
)

func TestAnApplicationInAllItsForms(t *testing.T) {
	r := newRig(t)
	name := r.app()
	machine := r.running(name, group("web", "1"))
	rest := must(r.flaps.GetApp(r.ctx, name))(t)
	compact := must(r.gql.GetAppCompact(r.ctx, name))(t)
	equal(t, "its name", compact.Name, name)
	equal(t, "its number", compact.InternalNumericID, rest.InternalNumericID)
	equal(t, "its host name", compact.Hostname, name+".fly.dev")
	equal(t, "its status", compact.Status, rest.Status)
	equal(t, "whether it is deployed", compact.Deployed, true)
	equal(t, "its platform", compact.PlatformVersion, "machines")
	equal(t, "its organization", compact.Organization.Slug, org)
	equal(t, "its organization's number, which is text here", compact.Organization.InternalNumericID, strconv.Itoa(int(rest.Organization.InternalNumericID)))
	equal(t, "its network", compact.Network, rest.Network)
	equal(t, "whether it is a Postgres cluster", compact.IsPostgresApp(), false)
	basic := must(r.gql.GetAppBasic(r.ctx, name))(t)
	equal(t, "its id", basic.ID, compact.ID)
	equal(t, "its organization's raw slug", basic.Organization.RawSlug, org)
	whole := must(r.gql.GetApp(r.ctx, name))(t)
	equal(t, "the machine", whole.Machines.Nodes[0].ID, machine.ID)
	equal(t, "its state", whole.Machines.Nodes[0].State, "started")
	equal(t, "its address", whole.Machines.Nodes[0].IPs.Nodes[0].IP, machine.PrivateIP)
	equal(t, "its network alone", *must(r.gql.GetAppNetwork(r.ctx, name))(t), "default")
	equal(t, "its name for certificates", must(r.gql.GetAppCNAMETarget(r.ctx, name))(t), rest.CnameTarget)
	equal(t, "its organization by itself", must(r.gql.GetOrganizationByApp(r.ctx, name))(t).Slug, org)
	equal(t, "whether its name is free", must(r.gql.AppNameAvailable(r.ctx, name))(t), false)
	equal(t, "whether another name is free", must(r.gql.AppNameAvailable(r.ctx, name+"-other"))(t), true)
	equal(t, "whether it may be deployed blue-green", must(r.gql.CanPerformBluegreenDeployment(r.ctx, name))(t), true)
	equal(t, "the number of troubles of its hosts", len(must(r.gql.GetAppHostIssues(r.ctx, name))(t)), 0)
	one := must(r.gql.GetMachine(r.ctx, machine.ID))(t)
	equal(t, "the machine by itself", one.ID, machine.ID)
	equal(t, "the application of the machine", one.App.Name, name)
}

func TestAnApplicationThatIsNotThereIsReportedInTheWordsThatFlyctlLooksFor(t *testing.T) {
	r := newRig(t)
	_, err := r.gql.GetAppCompact(r.ctx, "conf-none")
	holds(t, "the error has the words", err != nil && strings.Contains(err.Error(), "Could not find App"))
	_, err = r.gql.GetIPAddresses(r.ctx, "conf-none")
	holds(t, "the error has the words", err != nil && strings.Contains(err.Error(), "Could not find App"))
	_, err = r.gql.GetOrganizationBySlug(r.ctx, "conf-none")
	holds(t, "the error has the words", err != nil && strings.Contains(err.Error(), "Could not find Organization"))
	_, err = r.gql.GetAppNameFromVolume(r.ctx, "vol_0000000000000000")
	holds(t, "the error has the words", err != nil && strings.Contains(err.Error(), "Could not find"))
}

func TestApplicationsAndOrganizationsAreListed(t *testing.T) {
	r := newRig(t)
	name := r.app()
	is := func(app fly.App) bool { return app.Name == name }
	holds(t, "the list of all has it", slices.ContainsFunc(must(r.gql.GetApps(r.ctx, nil))(t), is))
	organizations := must(r.gql.GetOrganizations(r.ctx))(t)
	equal(t, "the number of organizations", len(organizations), 1)
	own := organizations[0]
	equal(t, "its slug", own.Slug, org)
	equal(t, "its type", own.Type, "SHARED")
	holds(t, "its number is a number", must(strconv.Atoi(own.InternalNumericID))(t) > 0)
	holds(t, "its list has it", slices.ContainsFunc(must(r.gql.GetAppsForOrganization(r.ctx, own.ID))(t), is))
	equal(t, "the organization by itself", must(r.gql.GetOrganizationBySlug(r.ctx, org))(t).ID, own.ID)
	role := "postgres_cluster"
	holds(t, "the list of clusters lacks it", !slices.ContainsFunc(must(r.gql.GetApps(r.ctx, &role))(t), is))
	details := must(r.gql.GetDetailedOrganizationBySlug(r.ctx, org))(t)
	equal(t, "the role of the viewer", details.ViewerRole, "admin")
	user := must(r.gql.GetCurrentUser(r.ctx))(t)
	holds(t, "the viewer has an address", strings.Contains(user.Email, "@"))
	region := must(r.gql.GetNearestRegion(r.ctx))(t)
	equal(t, "the nearest region", region.Code, "iad")
}

func TestManyApplicationsComeInPages(t *testing.T) {
	r := newRig(t)
	// A page has 200 entries, and the client must follow the cursor for the rest.
	own := must(r.gql.GetOrganizationBySlug(r.ctx, org))(t)
	prefix := r.app() + "-"
	for i := range 201 {
		name := prefix + strconv.Itoa(i)
		must(r.gql.CreateApp(r.ctx, fly.CreateAppInput{OrganizationID: own.ID, Name: name, Machines: true}))(t)
		t.Cleanup(func() { _ = r.gql.DeleteApp(t.Context(), name) })
	}
	seen := map[string]bool{}
	for _, app := range must(r.gql.GetAppsForOrganization(r.ctx, own.ID))(t) {
		if strings.HasPrefix(app.Name, prefix) {
			holds(t, app.Name+" is listed once", !seen[app.Name])
			seen[app.Name] = true
		}
	}
	equal(t, "the number of applications", len(seen), 201)
}

func TestImagesResolveToWhatMachinesThenRun(t *testing.T) {
	r := newRig(t)
	app := r.app()
	image := must(r.gql.ResolveImageForApp(r.ctx, app, "nginx:1"))(t)
	equal(t, "its reference", image.Ref, "docker-hub-mirror.fly.io/library/nginx:1")
	holds(t, "it has an id and a digest", image.ID != "" && strings.HasPrefix(image.Digest, "sha256:"))
	holds(t, "its size is a number in text", must(strconv.ParseUint(image.CompressedSize, 10, 64))(t) > 0)
	// `fly machine run` sends reference and digest, `fly deploy` the reference alone, a person the short name; all mean
	// the same image.
	for _, reference := range []string{image.Ref + "@" + image.Digest, image.Ref, "nginx:1"} {
		config := nginx()
		config.Image = reference
		machine := r.launch(app, config)
		equal(t, "the digest of "+reference, machine.ImageRef.Digest, image.Digest)
		equal(t, "the full reference of "+reference, machine.FullImageRef(), image.Ref+"@"+image.Digest)
		equal(t, "the configured image", machine.Config.Image, reference)
	}
	byDigest := must(r.gql.ResolveImageForApp(r.ctx, app, "ghcr.io/acme/web@"+image.Digest))(t)
	equal(t, "the reference by digest", byDigest.Ref, "ghcr.io/acme/web@"+image.Digest)

	_, err := r.gql.GetLatestImageDetails(r.ctx, "library/nginx:1", "")
	holds(t, "about other images it says what flyctl tolerates", err != nil && strings.Contains(err.Error(), "Unknown repository"))
	latest := must(r.gql.GetLatestImageDetails(r.ctx, "flyio/postgres-flex:17", "v0.0.1"))(t)
	equal(t, "the repository", latest.Repository, "flyio/postgres-flex")
	holds(t, "the rest is there", latest.Digest != "" && latest.Tag != "" && latest.Version != "" && latest.Registry != "")
	tag := must(r.gql.GetLatestImageTag(r.ctx, "flyio/postgres-flex", nil))(t)
	holds(t, "the tag belongs to the repository", strings.HasPrefix(tag, "flyio/postgres-flex:"))
}

func TestReleasesThroughGraphQL(t *testing.T) {
	r := newRig(t)
	app := r.app()
	_, err := r.gql.LatestImage(r.ctx, app)
	holds(t, "there is no image before the first release", err != nil)
	made := must(r.gql.CreateRelease(r.ctx, fly.CreateReleaseInput{
		AppId: app, Image: "nginx:1", PlatformVersion: "machines", Strategy: fly.DeploymentStrategyRolling, Definition: map[string]any{"app": app},
	}))(t)
	equal(t, "the first version", made.CreateRelease.Release.Version, 1)
	must(r.gql.UpdateRelease(r.ctx, fly.UpdateReleaseInput{ReleaseId: made.CreateRelease.Release.Id, Status: "complete"}))(t)
	equal(t, "the image", must(r.gql.LatestImage(r.ctx, app))(t), "nginx:1")
	releases := must(r.gql.GetAppReleasesMachines(r.ctx, app, "", 25))(t)
	equal(t, "the number of releases", len(releases), 1)
	equal(t, "its status", releases[0].Status, "complete")
	equal(t, "whether it is stable", releases[0].Stable, true)
	holds(t, "it has a user and a time", releases[0].User.Email != "" && !releases[0].CreatedAt.IsZero())
	current := must(r.gql.GetAppCurrentReleaseMachines(r.ctx, app))(t)
	equal(t, "the current version", current.Version, 1)
}

func TestSecretsVolumesAndPostgresThroughGraphQL(t *testing.T) {
	r := newRig(t)
	app := r.app()
	must(r.gql.SetSecrets(r.ctx, app, map[string]string{"A": "one", "B": "two"}))(t)
	secrets := must(r.gql.GetAppSecrets(r.ctx, app))(t)
	equal(t, "the number of secrets", len(secrets), 2)
	rest := must(r.flaps.ListAppSecrets(r.ctx, app, nil, false))(t)
	equal(t, "the digest", secrets[0].Digest, rest[0].Digest)
	must(r.gql.UnsetSecrets(r.ctx, app, []string{"A"}))(t)
	equal(t, "the number of secrets", len(must(r.gql.GetAppSecrets(r.ctx, app))(t)), 1)

	data := must(r.flaps.CreateVolume(r.ctx, app, volume("data")))(t)
	equal(t, "the application of a volume", *must(r.gql.GetAppNameFromVolume(r.ctx, data.ID))(t), app)
	name, state, err := r.gql.GetAppNameStateFromVolume(r.ctx, data.ID)
	ok(t, err)
	equal(t, "the application of a volume", *name, app)
	equal(t, "the state of a volume", *state, "created")
	ok(t, r.flaps.CreateVolumeSnapshot(r.ctx, app, data.ID))
	snapshots := must(r.gql.GetSnapshotsFromVolume(r.ctx, data.ID))(t)
	equal(t, "the number of snapshots", len(snapshots), 1)
	equal(t, "the number of attachments", len(must(r.gql.ListPostgresClusterAttachments(r.ctx, app, app))(t)), 0)
	consul := must(r.gql.EnablePostgresConsul(r.ctx, app))(t)
	holds(t, "there is an address of consul", consul.ConsulURL != "")
}

func TestAttachingPostgresSetsTheSecret(t *testing.T) {
	r := newRig(t)
	app, cluster := r.app(), r.app()
	variable := "DATABASE_URL"
	database, user := "web", "web"
	attached := must(r.gql.AttachPostgresCluster(r.ctx, fly.AttachPostgresClusterInput{
		AppID: app, PostgresClusterAppID: cluster, DatabaseName: &database, DatabaseUser: &user, VariableName: &variable, ManualEntry: true,
	}))(t)
	equal(t, "the application", attached.App.Name, app)
	equal(t, "the cluster", attached.PostgresClusterApp.Name, cluster)
	equal(t, "the variable", attached.EnvironmentVariableName, variable)
	holds(t, "the address names the database", strings.HasPrefix(attached.ConnectionString, "postgres://web:") && strings.HasSuffix(strings.Split(attached.ConnectionString, "?")[0], "/web"))
}

func TestLogsTellWhatHappened(t *testing.T) {
	r := newRig(t)
	app := r.app()
	machine := r.running(app, nginx())
	entries, token, err := r.gql.GetAppLogs(r.ctx, app, "", "", machine.ID)
	ok(t, err)
	holds(t, "there are entries, and a token to go on from", len(entries) > 0 && token != "")
	for _, entry := range entries {
		equal(t, "the machine of an entry", entry.Instance, machine.ID)
		holds(t, "it has a time, a level and words", entry.Timestamp != "" && entry.Level != "" && entry.Message != "")
	}
	more, _, err := r.gql.GetAppLogs(r.ctx, app, token, "", machine.ID)
	ok(t, err)
	equal(t, "the number of entries after the last", len(more), 0)
}
