// Package factor is the authenticator of one subject in one organization: enrolled, confirmed, tried, locked, reset.
//
// Purpose: say what an attempt at a second factor does to the authenticator, as values in and values out, so that the use
// cases can commit the change together with the flow's step and its event.
//
//	           Enrol                Confirm (right code)          20th failure
//	NONE ───────────────▶ PENDING ──────────────────────▶ ACTIVE ──────────────▶ DISABLED
//	  ▲                                                     │ ▲                      │
//	  │                                                     └─┘ Enrol + Confirm      │
//	  └─────────────────────────────── Reset ────────────────────────────────────────┘   (from every state)
//
// The budget: failures in a row count across flows, processes and kinds of code. The fifth locks for 30 seconds, each further
// one twice as long as the one before, up to an hour; the twentieth disables. A right code, or the help desk's Unlock, starts
// the count anew. While locked every code is LOCKED, right or wrong: it is not looked at and consumes nothing.
//
// Invariants: between two successes or unlocks at most FailuresToDisable guesses are ever looked at, whatever the clock does;
// a time step or recovery code is accepted at most once; an active secret stays until another one is confirmed or it is reset.
//
// It must never do I/O, read a clock, hold a secret in the clear (secrets are ciphertext, recovery codes keyed hashes) or
// change an Authenticator it was given.
//
// Read authenticator.go first, then attempt.go.
package factor
