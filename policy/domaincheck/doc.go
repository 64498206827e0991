// Package domaincheck decides whether a domain's zone shows what an organization was asked to put there, and what follows.
//
// Purpose: the challenge (which TXT record, under which name), what several resolvers' answers come to (Judge), and how the
// verification of a domain moves on (Advance). It is pure: answers, records and moments in, values out.
//
// Invariant: only what the zone itself denies counts against a domain (a name that is not there, no TXT record, records without
// the token); trouble on the way there never does. A domain that fails goes on counting until somebody, or a setting that the
// organization chose, ends it after warnings. It must never ask a name server or read a clock: package resolve asks.
// First file to read: advance.go; answer.go judges answers, challenge.go says what the record looks like.
package domaincheck
