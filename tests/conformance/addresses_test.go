package conformance

import (
	"net"
	"slices"
	"testing"

	"github.com/superfly/fly-go/flaps"
)

func TestAddressesAreSeenAlikeByBothInterfaces(t *testing.T) {
	r := newRig(t)
	app := r.app()
	equal(t, "the number of addresses", len(must(r.flaps.GetIPAssignments(r.ctx, app))(t).IPs), 0)
	v6 := must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "v6"}))(t)
	shared := must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "shared_v4"}))(t)
	private := must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "private_v6"}))(t)
	holds(t, "v6 is an address of version 6", net.ParseIP(v6.IP) != nil && net.ParseIP(v6.IP).To4() == nil)
	holds(t, "shared_v4 is an address of version 4", net.ParseIP(shared.IP).To4() != nil)
	equal(t, "whether v6 is shared", v6.Shared, false)
	equal(t, "whether shared_v4 is shared", shared.Shared, true)
	equal(t, "whether v6 is for the private network", v6.IsFlycast(), false)
	equal(t, "whether private_v6 is for the private network", private.IsFlycast(), true)
	holds(t, "they have times", !v6.CreatedAt.IsZero() && !shared.CreatedAt.IsZero())
	again := must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "shared_v4"}))(t)
	equal(t, "the shared address when asked again", again.IP, shared.IP)

	v4 := must(r.gql.AllocateIPAddress(r.ctx, app, "v4", "", "", ""))(t)
	equal(t, "its type", v4.Type, "v4")
	equal(t, "its region", v4.Region, "global")
	holds(t, "it has an id and a time", v4.ID != "" && !v4.CreatedAt.IsZero())
	have := []string{}
	for _, ip := range must(r.flaps.GetIPAssignments(r.ctx, app))(t).IPs {
		have = append(have, ip.IP)
	}
	same(t, "all addresses", have, []string{v6.IP, shared.IP, private.IP, v4.Address})
	seen := map[string]string{}
	for _, ip := range must(r.gql.GetIPAddresses(r.ctx, app))(t) {
		seen[ip.Type] = ip.Address
	}
	same(t, "all addresses in GraphQL", seen, map[string]string{"v4": v4.Address, "v6": v6.IP, "private_v6": private.IP, "shared_v4": shared.IP})
	sharedAgain := must(r.gql.AllocateSharedIPAddress(r.ctx, app))(t)
	equal(t, "the shared address in GraphQL", sharedAgain.String(), shared.IP)

	ok(t, r.gql.ReleaseIPAddress(r.ctx, app, v4.Address))
	ok(t, r.flaps.DeleteIPAssignment(r.ctx, app, v6.IP))
	left := must(r.flaps.GetIPAssignments(r.ctx, app))(t).IPs
	holds(t, "both are gone", !slices.ContainsFunc(left, func(ip flaps.IPAssignment) bool { return ip.IP == v4.Address || ip.IP == v6.IP }))
	err := r.flaps.DeleteIPAssignment(r.ctx, app, v6.IP)
	refused(t, err, 404, "not found")
	_, err = r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "v5"})
	refused(t, err, 400, "type")
}

func TestOutgoingAddressesComeInPairs(t *testing.T) {
	r := newRig(t)
	app := r.app()
	must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "egress_pair", Region: "fra"}))(t)
	regions := must(r.gql.GetAppScopedEgressIPAddresses(r.ctx, app))(t)
	versions := []int{}
	for _, ip := range regions["fra"] {
		versions = append(versions, ip.Version)
		holds(t, ip.IP+" is an address of its version", (net.ParseIP(ip.IP).To4() != nil) == (ip.Version == 4))
		holds(t, ip.IP+" has an id and a time", ip.ID != "" && !ip.UpdatedAt.IsZero())
	}
	slices.Sort(versions)
	same(t, "the versions in Frankfurt", versions, []int{4, 6})
	equal(t, "the number of regions", len(regions), 1)
	equal(t, "the number of addresses that take requests", len(must(r.gql.GetIPAddresses(r.ctx, app))(t)), 0)
}
