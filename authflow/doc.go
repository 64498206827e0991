// Package authflow is the machine of a sign-in and the use cases that drive it.
//
// Purpose: take a sign-in from its first page to exactly one ending, say at every moment what comes next, and leave the
// events of what happened. The machine on one screen:
//
//	           start                  first verified step            every demand met
//	(none) ───────────▶ OPEN ─────────────────────────▶ BOUND ─────────────────────────▶ GRANTED
//	                     │ *.started, *.rejected         │ *.started, *.rejected,         │ the same; a rejection
//	                     │ mfa.* refused NOT_BOUND       │ mfa.*, *.verified              │ takes nothing back
//	                     ▼                               ▼                                ▼
//	                   ENDED  ◀────────────── deadline, mark, stop, finish, tenth rejection, too many steps
//
// Every input of a live flow passes the same gates, first match ends it: the deadline has come → ABANDONED; a newer flow took
// its place → SUPERSEDED; a stop bites → DENIED. Only then the input does what Transitions says. FinishFlow(COMPLETE)
// judges: nothing proven → FAILED, no account → DENIED NO_SUBJECT, an unmet demand → DENIED, else SUCCEEDED.
//
// What is kept of the subject (authenticator and person records, package factor and store.go) bears on a bound flow: codes are
// looked at against the one, demands with an age are measured with the other. Both are read with the step that binds, kept beside
// the flow in memory, and compared in every commit that rests on them, so that what is revoked or spent anywhere counts here at
// once. A code that begins a lock leaves two events, mfa.rejected and mfa.locked; its caller learns neither the reason nor the
// lock, see Told. Outside of sign-ins, Authenticators administers second factors and CheckAccess holds sessions and tokens to
// the policy; their events have step 0.
//
// Invariants: an ended flow never moves again; steps are numbered 1..n without gaps, n ≤ 64, and the ending is the last one;
// a flow on the record stays on it and every step becomes exactly one event; nobody is allowed before somebody is bound.
//
// Advance must never do I/O, read a clock, mint an id or change the State it was given. Use cases (Flows) must never answer
// what was not committed. Neither ever puts a typed identifier that is no address, a session handle or a secret into a
// state, an event, an error or a log: only keyed hashes.
//
// Read state.go first, then transitions.go, advance.go and step.go, attempt.go for codes; flows.go, code.go, access.go and
// authenticators.go for the use cases; store.go for the contract.
package authflow
