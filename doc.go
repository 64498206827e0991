// Package postern is the root of the module and holds no code: the architecture test beside it (arch_test.go) keeps the
// promises that no single package can keep for itself.
//
// Postern is a gRPC sidecar that stands beside a login service. For every sign-in at a site it decides who the person is to the
// organization that owns the site and what they must prove, and it keeps a complete record of how an external user got in, or
// did not. The one binary is cmd/postern. A sign-in goes
//
//	server (one file per service) → authflow (the machine and its use cases) → policy (what is demanded) → one commit
//
// and its events go from the outbox through audit/archiver to the archive, where queries find them. Core packages are audit,
// policy and authflow, each importing only those before it; the rest are adapters, the server and what wires them.
//
// It must never export anything. First file to read: docs/architecture.md.
package postern
