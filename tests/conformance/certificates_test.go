package conformance

import (
	"testing"

	fly "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"
)

const pem = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"

func TestCertificatesWaitForTheNamesAndBecomeActive(t *testing.T) {
	r := newRig(t)
	app := r.app()
	v6 := must(r.flaps.AssignIP(r.ctx, app, flaps.AssignIPRequest{Type: "v6"}))(t)
	name := app + ".example.com"
	made := must(r.flaps.CreateACMECertificate(r.ctx, app, fly.CreateCertificateRequest{Hostname: name}))(t)
	equal(t, "its name", made.Hostname, name)
	equal(t, "whether it is configured", made.Configured, false)
	equal(t, "its status", made.Status, "pending_validation")
	equal(t, "whether it was asked for", made.AcmeRequested, true)
	same(t, "where AAAA must point", made.DNSRequirements.AAAA, []string{v6.IP})
	equal(t, "the name of the challenge", made.DNSRequirements.ACMEChallenge.Name, "_acme-challenge."+name)
	holds(t, "there is a CNAME", made.DNSRequirements.CNAME != "")
	_, err := r.flaps.CreateACMECertificate(r.ctx, app, fly.CreateCertificateRequest{Hostname: name})
	refused(t, err, 422, "already been taken")
	_, err = r.flaps.CreateACMECertificate(r.ctx, app, fly.CreateCertificateRequest{Hostname: "nonsense"})
	refused(t, err, 422, "invalid")

	var checked *fly.CertificateDetailResponse
	r.eventually("an active certificate", func() bool {
		checked = must(r.flaps.CheckCertificate(r.ctx, app, name))(t)
		return checked.Status == "active"
	})
	equal(t, "whether it is configured", checked.Configured && checked.Validation.DNSConfigured, true)
	same(t, "where AAAA points", checked.DNSRecords.AAAA, []string{v6.IP})
	read := must(r.flaps.GetCertificate(r.ctx, app, name))(t)
	equal(t, "the number of its kinds", len(read.Certificates[0].Issued), 2)
	holds(t, "it expires", read.Certificates[0].ExpiresAt != nil && !read.Certificates[0].Issued[0].ExpiresAt.IsZero())
	ok(t, r.flaps.DeleteCertificate(r.ctx, app, name))
	_, err = r.flaps.GetCertificate(r.ctx, app, name)
	refused(t, err, 404, "not found")
}

func TestCertificatesAreListedInPages(t *testing.T) {
	r := newRig(t)
	app := r.app()
	for _, host := range []string{"a", "b", "c"} {
		must(r.flaps.CreateACMECertificate(r.ctx, app, fly.CreateCertificateRequest{Hostname: host + ".example.com"}))(t)
	}
	seen, cursor, pages := []string{}, "", 0
	for {
		page := must(r.flaps.ListCertificates(r.ctx, app, &flaps.ListCertificatesOpts{Limit: 2, Cursor: cursor}))(t)
		equal(t, "the number of all", page.TotalCount, 3)
		pages++
		for _, certificate := range page.Certificates {
			seen = append(seen, certificate.Hostname)
			holds(t, "it has a time", !certificate.CreatedAt.IsZero())
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	same(t, "the names", seen, []string{"a.example.com", "b.example.com", "c.example.com"})
	equal(t, "the number of pages", pages, 2)
	filtered := must(r.flaps.ListCertificates(r.ctx, app, &flaps.ListCertificatesOpts{Filter: "b.ex"}))(t)
	equal(t, "the number that the filter lets through", len(filtered.Certificates), 1)
}

func TestACustomCertificateStandsBesideTheOther(t *testing.T) {
	r := newRig(t)
	app := r.app()
	const name = "own.example.com"
	custom := must(r.flaps.CreateCustomCertificate(r.ctx, app, fly.ImportCertificateRequest{Hostname: name, Fullchain: pem, PrivateKey: pem}))(t)
	equal(t, "its source", custom.Certificates[0].Source, "custom")
	_, err := r.flaps.CreateCustomCertificate(r.ctx, app, fly.ImportCertificateRequest{Hostname: "other.example.com", Fullchain: "x", PrivateKey: "y"})
	refused(t, err, 422, "PEM")
	must(r.flaps.CreateACMECertificate(r.ctx, app, fly.CreateCertificateRequest{Hostname: name}))(t)
	both := must(r.flaps.ListCertificates(r.ctx, app, nil))(t).Certificates[0]
	holds(t, "both are there", both.HasCustomCertificate && both.AcmeRequested)
	ok(t, r.flaps.DeleteACMECertificate(r.ctx, app, name))
	one := must(r.flaps.GetCertificate(r.ctx, app, name))(t)
	equal(t, "whether the other is still asked for", one.AcmeRequested, false)
	equal(t, "the number left", len(one.Certificates), 1)
	ok(t, r.flaps.DeleteCustomCertificate(r.ctx, app, name))
	err = r.flaps.DeleteCustomCertificate(r.ctx, app, name)
	refused(t, err, 404, "not found")
}
