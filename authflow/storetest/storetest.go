// Package storetest is the conformance suite of authflow.Store, authflow.SubjectStore, authflow.LinkStore, audit.Outbox and audit.Source: what every store must do.
//
// Purpose: Run proves a store against the contract in authflow/store.go: reads give back what was committed, a commit is all
// or nothing, races have one winner, a repeated request id gets the first answer, a lost reply is told from a refusal, marks,
// deadlines, expiry, tallies and the outbox are as said, and what is
// kept of subjects, sessions and identities elsewhere is compared, sealed and listed. Invariant: each case has a store of its own, and no case is skipped.
// It must never name a database or look at error texts. Read Run and Harness first.
package storetest

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// Harness is one fresh store with what the suite needs besides the contract.
type Harness struct {
	Store  authflow.Store
	Outbox audit.Outbox
	Source audit.Source
	Codec  audit.Codec
	// Second is another process on the same data: it shares no memory with Store.
	Second authflow.Store
	// Organization makes an organization exist, with a key, and returns it.
	Organization func(t *testing.T, id string) *policy.Organization
	// MovePolicy changes an organization's policy, so that its policy stamp moves.
	MovePolicy func(t *testing.T, o *policy.Organization) *policy.Organization
	// Domain and Claim make a directory record exist.
	Domain func(t *testing.T, o *policy.Organization, d policy.DomainRecord)
	Claim  func(t *testing.T, o *policy.Organization, c policy.ClaimRecord)
	// Partition is where an organization's flows are swept and archived from.
	Partition func(organizationUID string) int
	// Now is the store's clock.
	Now func() time.Time

	// Touched names every record that a commit would write or compare.
	Touched func(c *authflow.Commit) []string
	// Spoil puts something of the wrong type in the place of a record, until undo takes it away again.
	Spoil func(t *testing.T, name string) (undo func())
	// Dump is everything the store holds, comparable.
	Dump func(t *testing.T) string
	// Expires is when a flow's live state will be forgotten; zero when it stays.
	Expires func(t *testing.T, organizationUID string, id authflow.FlowID) time.Duration
	// PersonExpires is when what is remembered of a subject will be forgotten.
	PersonExpires func(t *testing.T, organizationUID string, key policy.AccountKey) time.Duration
	// CopySession stores the bytes of a session under another handle.
	CopySession func(t *testing.T, organizationUID string, from, to [32]byte)
	// Lossy is the same store over a connection whose replies are lost from when lose(true) is called until lose(false).
	Lossy func(t *testing.T) (s authflow.Store, lose func(bool))
	// Unreachable is a store that cannot be reached at all.
	Unreachable func(t *testing.T) authflow.Store
}

// Run runs every case, each on a fresh store.
func Run(t *testing.T, fresh func(t *testing.T) *Harness) {
	groups := []struct {
		name  string
		cases map[string]func(t *testing.T, h *Harness)
	}{
		{"read", readCases}, {"atomic", atomicCases}, {"contention", contentionCases}, {"request id", requestCases},
		{"policy", policyCases}, {"supersession", markCases}, {"expiry", expiryCases}, {"claims", claimCases},
		{"subjects", subjectCases}, {"sessions", sessionCases}, {"links", linkCases}, {"lists of links", linkListCases},
		{"sign-ins elsewhere", pendingCases}, {"tallies", tallyCases}, {"outbox", outboxCases}, {"faults", faultCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for name, run := range g.cases {
				t.Run(name, func(t *testing.T) { run(t, fresh(t)) })
			}
		})
	}
}
