package conformance

import (
	"slices"
	"testing"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
)

func TestRegionsAreSeenAlikeByBothInterfaces(t *testing.T) {
	r := newRig(t)
	rest := must(r.flaps.GetRegions(r.ctx))(t)
	equal(t, "the nearest", rest.Nearest, "iad")
	graph, nearest, err := r.gql.PlatformRegions(r.ctx)
	ok(t, err)
	equal(t, "the nearest in GraphQL", nearest.Code, "iad")
	codes := func(regions []fly.Region) []string {
		list := []string{}
		for _, region := range regions {
			list = append(list, region.Code)
			holds(t, region.Code+" has a name and a place", region.Name != "" && region.Latitude != 0 && region.Longitude != 0)
		}
		return list
	}
	same(t, "the codes", codes(rest.Regions), codes(graph))
	at := slices.IndexFunc(rest.Regions, func(region fly.Region) bool { return region.Code == "fra" })
	if at < 0 {
		t.Fatal("Frankfurt is missing")
	}
	equal(t, "its part of the world", rest.Regions[at].GeoRegion, fly.Europe)
	equal(t, "whether it has a gateway", rest.Regions[at].GatewayAvailable, true)
	equal(t, "whether it has Managed Postgres", rest.Regions[at].MPGAvailable, true)
	equal(t, "whether it is deprecated", rest.Regions[at].Deprecated, false)
}

func TestPlacementsSayWhereMachinesFit(t *testing.T) {
	r := newRig(t)
	guest := &fly.MachineGuest{CPUKind: "shared", CPUs: 1, MemoryMB: 256}
	placed := must(r.flaps.GetPlacements(r.ctx, &flaps.GetPlacementsRequest{ComputeRequirements: guest, Region: "fra,ord", Count: 3, Org: org}))(t)
	counts := map[string]int{}
	for _, placement := range placed {
		counts[placement.Region] = placement.Count
	}
	same(t, "the places", counts, map[string]int{"fra": 3, "ord": 3})
	_, err := r.flaps.GetPlacements(r.ctx, &flaps.GetPlacementsRequest{ComputeRequirements: guest, Region: "xyz", Org: org})
	refused(t, err, 400, "region")
	_, err = r.flaps.GetPlacements(r.ctx, &flaps.GetPlacementsRequest{ComputeRequirements: guest, Org: "no-such-organization"})
	refused(t, err, 403, "unauthorized")
}
