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
// Invariants: an ended flow never moves again; steps are numbered 1..n without gaps, n ≤ 64, and the ending is the last one;
// a flow on the record stays on it and every step becomes exactly one event; nobody is allowed before somebody is bound.
//
// Advance must never do I/O, read a clock, mint an id or change the State it was given. Use cases (Flows) must never answer
// what was not committed. Neither ever puts a typed identifier that is no address, a session handle or a secret into a
// state, an event, an error or a log: only keyed hashes.
//
// Read state.go first, then transitions.go, advance.go and step.go; flows.go for the use cases; store.go for the contract.
package authflow
