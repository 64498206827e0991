// Package oidc checks ID tokens of OpenID Connect providers and keeps the keys they are checked with.
//
// Purpose: turn a compact token into an identity or one reason why not, as a function of the token, what is expected of it, the
// keys and the time. How an issuer's keys get here is RemoteKeys; that a token counts once is kept by who calls Verify, under
// the Uses of the identity.
// Invariants: what is accepted was also accepted by go-oidc's verifier, which runs in every call with the signature check of
// this package in it, and passed checks go-oidc does not make; nothing in a token's body is believed, and no reason told from
// it, before its signature was checked; no input makes Verify panic.
// It must never fetch anything a token points to, read a clock, or let a token, code, nonce or hash of one into a Refusal.
// Read verify.go first, then checks.go.
package oidc
