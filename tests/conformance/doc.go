// Package conformance checks the sandbox against the client library of flyctl, and against flyctl itself where it is
// installed, and checks trimtab's plans with Terraform's own reader.
//
// It has only tests. They need a running sandbox: scripts/conformance starts one and sets the variables. A response
// that the official client cannot decode, or decodes to something else than was meant, is a defect of the sandbox,
// however plausible its JSON looks.
//
// The results with flyctl are in docs/flyctl.md, whose table the tests write and prove.
//
// Not covered are client calls that the sandbox does not implement (secret keys, WireGuard, remote builders, SSH
// certificates, invitations to organizations, egress addresses through GraphQL), and AppNameAvailable for a name that
// is taken, where this version of the client dereferences nil.
package conformance
