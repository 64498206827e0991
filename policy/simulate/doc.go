// Package simulate decides flows on record anew, by a draft of an organization, and counts what would have changed; and it counts
// what each rule of a policy did.
//
// Purpose: read from the archived events of a flow what a decision looks at (facts.go), go through the flow step by step as the
// machine of sign-ins did, but under the draft (replay.go, with policy.Bind, Evaluate and Stopped), and count (tally.go, people.go)
// while a scan goes through any number of flows in constant memory (run.go, impact.go).
// Invariant: whatever is decided is decided by package policy; a flow that was decided under the very policy that is tried comes
// out as it did; what the record cannot tell is counted as unreadable and never guessed.
// It must never write anything, read a clock, or keep an address or an account of anybody beyond the flow it looks at.
// Read draft.go first, then facts.go and replay.go. What the model leaves out is said in docs/policy-admin.md.
package simulate
