// Package directorytest is the conformance suite of policy.Directory, policy.DirectoryWriter, policy.Challenges, policy.DomainOwners,
// policy.Claims, policy.AccountOwners, policy.History and authflow.ProofBounds.
//
// Purpose: Run proves a directory against the contract in policy/directory.go: what was committed is read, a commit is all or
// nothing with its events, versions decide races, the cached policy record is never older than a read that asks, progress is
// found again, pages are complete. Invariant: each case has a directory of its own, and no case is skipped.
// It must never name a database or look at error texts. Read Run and Harness first.
package directorytest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Both is a directory with its writing side, the one that revokes proofs and the one that keeps verifications. It implements policy.Deletions
// as well.
type Both interface {
	policy.Directory
	policy.DirectoryWriter
	Revoker
	policy.Challenges
	policy.Claims
	policy.Owners
	policy.History
}

// Harness is one fresh directory with what the suite needs besides the contract.
type Harness struct {
	Directory Both
	Second    Both // another process on the same data: it shares no memory with Directory
	Mint      func(t *testing.T, uid string) audit.OrganizationKey
	Events    func(t *testing.T, uid string) []audit.Event // of the organization's outbox, opened
	Now       func() time.Time
	Partition func(uid string) int

	// Touched names every record that a change would write or compare.
	Touched func(c policy.Change) []string
	// Spoil puts something of the wrong type in the place of a record, until undo takes it away again.
	Spoil func(t *testing.T, name string) (undo func())
	// Dump is everything that is stored, comparable.
	Dump func(t *testing.T) string
}

// Run runs every case, each on a fresh directory.
func Run(t *testing.T, fresh func(t *testing.T) *Harness) {
	for _, g := range []struct {
		name  string
		cases map[string]func(t *testing.T, h *Harness)
	}{{"read", readCases}, {"atomic", atomicCases}, {"progress", progressCases}, {"races", raceCases}, {"revocation", revokeCases}, {"challenges", challengeCases}, {"claims", claimCases}, {"history", historyCases}, {"brought", broughtCases}, {"deletion", deletionCases}} {
		t.Run(g.name, func(t *testing.T) {
			for name, run := range g.cases {
				t.Run(name, func(t *testing.T) { run(t, fresh(t)) })
			}
		})
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// created makes an organization and returns it as it is read.
func created(t *testing.T, h *Harness, id string) *policy.Organization {
	t.Helper()
	uid, err := h.Directory.Reserve(t.Context(), id, newID())
	if err != nil {
		t.Fatal(err)
	}
	o := &policy.Organization{ID: id, UID: uid, DisplayName: "The " + id, Key: h.Mint(t, uid)}
	must(t, h, policy.Change{Organization: o, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeOrganizationCreated)}})
	return current(t, h.Directory, uid)
}

func must(t *testing.T, h *Harness, c policy.Change) policy.Applied {
	t.Helper()
	a, stamp, err := h.Directory.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	if stamp.IsZero() || a.Revision != c.Organization.Revision+1 {
		t.Fatalf("commit: %+v, stamp %x", a, stamp)
	}
	return a
}

func current(t *testing.T, d policy.Directory, uid string) *policy.Organization {
	t.Helper()
	o, err := d.Organization(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func event(o *policy.Organization, typ audit.Type) audit.Event {
	return audit.Event{ID: newID(), Type: typ, Organization: o.ID, OrganizationUID: o.UID, Outcome: audit.OutcomeSuccess,
		Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
}

func domain(t *testing.T, s string) policy.Domain {
	t.Helper()
	d, err := policy.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func record(t *testing.T, s string) policy.DomainRecord {
	t.Helper()
	return policy.DomainRecord{Domain: domain(t, s), Subdomains: true, VerifiedBy: "OPERATOR", Origin: audit.OriginDocument}
}

func claim(n byte) policy.ClaimRecord {
	return policy.ClaimRecord{Key: policy.AccountKey{n, 1}, Kind: policy.ClaimAccount, Origin: audit.OriginDocument}
}
