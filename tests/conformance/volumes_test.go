package conformance

import (
	"slices"
	"testing"

	fly "github.com/superfly/fly-go"
)

// volume is the request of `fly volumes create NAME --size 1 --region fra`.
func volume(name string) fly.CreateVolumeRequest {
	return fly.CreateVolumeRequest{
		Name: name, Region: "fra", SizeGb: fly.Pointer(1), Encrypted: fly.Pointer(true), RequireUniqueZone: fly.Pointer(true),
		SnapshotRetention: fly.Pointer(7), AutoBackupEnabled: fly.Pointer(true),
	}
}

func TestVolumesAreMadeGrownChangedAndDeleted(t *testing.T) {
	r := newRig(t)
	app := r.app()
	made := must(r.flaps.CreateVolume(r.ctx, app, volume("data")))(t)
	equal(t, "its id begins with", made.ID[:4], "vol_")
	equal(t, "its state", made.State, "created")
	equal(t, "its size", made.SizeGb, 1)
	equal(t, "its region", made.Region, "fra")
	equal(t, "its retention", made.SnapshotRetention, 7)
	equal(t, "whether it is saved daily", made.AutoBackupEnabled, true)
	equal(t, "whether it is encrypted", made.Encrypted, true)
	equal(t, "its host", made.HostStatus, "ok")
	equal(t, "whether it is attached", made.IsAttached(), false)
	holds(t, "it has a zone and a time", made.Zone != "" && !made.CreatedAt.IsZero())
	same(t, "the volume read again", must(r.flaps.GetVolume(r.ctx, app, made.ID))(t), made)
	same(t, "the list", must(r.flaps.GetVolumes(r.ctx, app))(t), []fly.Volume{*made})

	changed := must(r.flaps.UpdateVolume(r.ctx, app, made.ID, fly.UpdateVolumeRequest{SnapshotRetention: fly.Pointer(30)}))(t)
	equal(t, "its retention after the change", changed.SnapshotRetention, 30)
	equal(t, "what was not mentioned", changed.AutoBackupEnabled, true)
	changed = must(r.flaps.UpdateVolume(r.ctx, app, made.ID, fly.UpdateVolumeRequest{AutoBackupEnabled: fly.Pointer(false)}))(t)
	equal(t, "whether it is saved daily", changed.AutoBackupEnabled, false)
	grown, restart, err := r.flaps.ExtendVolume(r.ctx, app, made.ID, 5)
	ok(t, err)
	equal(t, "its size after the extension", grown.SizeGb, 5)
	equal(t, "whether anything must restart", restart, false)
	_, _, err = r.flaps.ExtendVolume(r.ctx, app, made.ID, 2)
	refused(t, err, 400, "size_gb")

	gone := must(r.flaps.DeleteVolume(r.ctx, app, made.ID))(t)
	equal(t, "its state after the deletion", gone.State, "pending_destroy")
	equal(t, "the number of volumes that flyctl shows", len(must(r.flaps.GetVolumes(r.ctx, app))(t)), 0)
	equal(t, "the number of volumes that linger", len(must(r.flaps.GetAllVolumes(r.ctx, app))(t)), 1)
	_, err = r.flaps.GetVolume(r.ctx, app, "vol_0000000000000000")
	refused(t, err, 404, "not found")
}

func TestSnapshotsAreTakenAndMadeVolumesAgain(t *testing.T) {
	r := newRig(t)
	app := r.app()
	made := must(r.flaps.CreateVolume(r.ctx, app, volume("data")))(t)
	equal(t, "the number of snapshots", len(must(r.flaps.GetVolumeSnapshots(r.ctx, app, made.ID))(t)), 0)
	ok(t, r.flaps.CreateVolumeSnapshot(r.ctx, app, made.ID))
	snapshots := must(r.flaps.GetVolumeSnapshots(r.ctx, app, made.ID))(t)
	equal(t, "the number of snapshots", len(snapshots), 1)
	snapshot := snapshots[0]
	equal(t, "its id begins with", snapshot.ID[:3], "vs_")
	equal(t, "its retention", *snapshot.RetentionDays, 7)
	holds(t, "it has a size, a digest and a time", snapshot.Size > 0 && snapshot.Digest != "" && !snapshot.CreatedAt.IsZero())

	request := volume("restored")
	request.SnapshotID = &snapshot.ID
	restored := must(r.flaps.CreateVolume(r.ctx, app, request))(t)
	r.eventually("a restored volume", func() bool { return must(r.flaps.GetVolume(r.ctx, app, restored.ID))(t).State == "created" })
	fork := must(r.flaps.CreateVolume(r.ctx, app, fly.CreateVolumeRequest{SourceVolumeID: &made.ID, Name: "fork"}))(t)
	equal(t, "the region of a fork", fork.Region, "fra")
	equal(t, "the size of a fork", fork.SizeGb, must(r.flaps.GetVolume(r.ctx, app, made.ID))(t).SizeGb)
	none := "vs_0000000000"
	request.SnapshotID = &none
	_, err := r.flaps.CreateVolume(r.ctx, app, request)
	refused(t, err, 404, "not found")
}

func TestAVolumeBelongsToOneMachine(t *testing.T) {
	r := newRig(t)
	app := r.app()
	data := must(r.flaps.CreateVolume(r.ctx, app, volume("data")))(t)
	config := nginx()
	config.Mounts = []fly.MachineMount{{Volume: data.ID, Path: "/data"}}
	machine := r.running(app, config)
	attached := must(r.flaps.GetVolume(r.ctx, app, data.ID))(t)
	equal(t, "who has it", *attached.AttachedMachine, machine.ID)
	_, err := r.flaps.DeleteVolume(r.ctx, app, data.ID)
	refused(t, err, 412, "currently bound to machine: "+machine.ID)
	_, err = r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: config, Region: "fra"})
	refused(t, err, 412, "currently bound to machine: "+machine.ID)
	_, restart, err := r.flaps.ExtendVolume(r.ctx, app, data.ID, 4)
	ok(t, err)
	equal(t, "whether the machine must restart", restart, true)
	equal(t, "the size in the mount", r.get(app, machine.ID).Config.Mounts[0].SizeGb, 4)
	_, err = r.flaps.Update(r.ctx, app, fly.LaunchMachineInput{ID: machine.ID, Config: nginx()}, "")
	refused(t, err, 400, "volume")

	ok(t, r.flaps.Destroy(r.ctx, app, fly.RemoveMachineInput{ID: machine.ID, Kill: true}, ""))
	r.wait(app, machine.ID, "destroyed")
	equal(t, "whether it is attached", must(r.flaps.GetVolume(r.ctx, app, data.ID))(t).IsAttached(), false)
	config.Mounts = []fly.MachineMount{{Volume: data.ID, Path: "/data"}}
	_, err = r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: config, Region: "ord"})
	refused(t, err, 400, "region")
}

func TestRegionsWithoutRoomRefuse(t *testing.T) {
	r := newRig(t)
	app := r.app()
	// No other test uses Johannesburg: a full region is full for all of them.
	full := func(is bool) {
		equal(t, "the answer", r.call("POST", "/_sandbox/hosts", map[string]any{"region": "jnb", "full": is}, nil), 200)
	}
	full(true)
	t.Cleanup(func() { full(false) })
	_, err := r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), Region: "jnb"})
	refused(t, err, 409, "could not reserve resource for machine")
	request := volume("data")
	request.Region = "jnb"
	_, err = r.flaps.CreateVolume(r.ctx, app, request)
	refused(t, err, 400, "no capacity")
	machine := must(r.flaps.Launch(r.ctx, app, fly.LaunchMachineInput{Config: nginx(), Region: "jnb,fra"}))(t)
	equal(t, "the second choice", machine.Region, "fra")
	request.Region = "fra"
	request.Name = "Not A Name"
	_, err = r.flaps.CreateVolume(r.ctx, app, request)
	refused(t, err, 400, "name")
	holds(t, "no volume was made", !slices.ContainsFunc(must(r.flaps.GetAllVolumes(r.ctx, app))(t), func(fly.Volume) bool { return true }))
}
