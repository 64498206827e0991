// Package cases runs an organization's own cases against its document, without a sidecar: `postern policy test`.
//
// Purpose: tell a policy admin in CI whether a document decides as expected. Invariant: what decides is policy.Decide on what
// document.PlanOf makes, the code of a sign-in and of Explain; nothing is decided here. The same document, cases and time give the
// same outcome. It must never do I/O or read a clock, and the keys it makes of accounts are good for comparing alone.
// Read cases.go first.
package cases
