// Package policy decides who a subject is to the organization that owns a site and what that subject must prove.
//
// Purpose: organizations, domains, addresses, classes and the external-user rule language, parsed once and decided by pure
// functions: the same input gives the same decision, and the decision says which rule, condition and step made it.
// Invariant: no ALLOW without every demand of the deciding rule met; what is missing or unreadable denies; report-only
// rules never change a verdict; a remembered proof counts only for a demand with an age, never when it is older, revoked or of
// another device. It must never do I/O, read a clock, or hold a raw account id in a stored value.
// Read organization.go first, then decision.go, evaluate.go and proof.go.
package policy
