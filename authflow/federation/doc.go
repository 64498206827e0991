// Package federation is what a sign-in elsewhere comes to, whatever protocol it spoke: an identity, or one reason why not.
//
// Purpose: the values verifiers hand to the use cases, and the rules that hold for OIDC and SAML alike: which text of others
// may be kept, and what a connection lets an identity be used for.
//
// Invariants: an Identity exists only when every check was passed; a Refusal has a reason of the catalogue and carries
// nothing that could be used to sign in.
//
// It must never do I/O, read a clock, parse a token or know a key.
//
// Read identity.go first.
package federation
