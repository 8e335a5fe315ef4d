// Package conformance holds the sandbox to the client library that flyctl itself is built on, to flyctl where it is
// installed, and trimtab's plans to the library that reads Terraform's.
//
// It has tests only, and they need a served sandbox: scripts/conformance starts one and sets the variables. What the
// official client cannot decode, or decodes to something else than was meant, is a defect of the sandbox, however
// plausible its JSON looks.
//
// What flyctl itself does on the sandbox is told by docs/flyctl.md, whose table the tests write and prove.
//
// Left out of the client's calls is what the sandbox does not imitate (secret keys, WireGuard, remote builders, SSH
// certificates, invitations to organizations, outgoing addresses through GraphQL), and AppNameAvailable for a name that
// is taken, where this version of the client dereferences nil.
package conformance
