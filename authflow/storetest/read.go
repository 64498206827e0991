package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// same compares what a store must give back. Indexes of a step are needed until its event is written, and may go then.
var same = cmp.Options{
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Indexes" }, cmp.Ignore()),
	cmp.AllowUnexported(authflow.FlowID{}), cmp.AllowUnexported(policy.Address{}), cmp.AllowUnexported(policy.Domain{}), cmpopts.EquateEmpty(),
}

var readCases = map[string]func(*testing.T, *Harness){
	"a flow comes back as it was committed, from this process and from another": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		started := must(t, h.Store, opened(t, h, o))
		bound := must(t, h.Store, stepped(h, o, started))
		last := must(t, h.Store, ended(h, o, must(t, h.Second, stepped(h, o, bound)), audit.EndingSucceeded, audit.TypeSignInSucceeded))
		for name, s := range map[string]authflow.Store{"same": h.Store, "other": h.Second} {
			got := flow(t, s, o, last.State.ID)
			if got.Stamp != last.Stamp || !got.SupersededBy.IsZero() {
				t.Errorf("%s process: stamp %x, want %x; mark %v", name, got.Stamp, last.Stamp, got.SupersededBy)
			}
			if d := cmp.Diff(last.State, got.State, same); d != "" {
				t.Errorf("%s process: state differs (-committed +read):\n%s", name, d)
			}
		}
	},
	"every field of a state survives": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := opened(t, h, o)
		st := c.Flow.State
		st.Late, st.Rejections, st.LastRejection, st.Reason = true, 3, "BAD_CREDENTIALS", "X"
		st.Claimed.IdentifierHash = "abcdef"
		st.Claimed.Kind = audit.SubjectService
		st.Claimed.Records = policy.Records{
			AccountClaim: &policy.ClaimRecord{Key: policy.AccountKey{1}, Kind: policy.ClaimAccount, Revision: 4, Origin: audit.OriginAPI},
			AddressClaim: &policy.ClaimRecord{Key: policy.AccountKey{2}, Kind: policy.ClaimAddress, Revision: 5, Origin: audit.OriginDocument},
			Domain:       &policy.DomainRecord{Domain: domain(t, "guest.example.org"), Subdomains: true, VerifiedBy: "OPERATOR", Revision: 6, Origin: audit.OriginDocument},
		}
		st.Bound = &authflow.Bound{IdentityKey: []byte{0, 255, 7}, Kind: audit.SubjectApp, Step: 1}
		st.Pending = begun(h)
		st.Frozen = &policy.Frozen{
			Decision:   audit.Decision{Class: audit.ClassManaged, Basis: audit.ClassBasis{By: "VERIFIED_DOMAIN", Domain: "guest.example.org", VerifiedBy: "OPERATOR", Revision: 6}},
			Demands:    policy.Demands{SSOConnection: "okta", SSOEvidence: audit.EvidenceVerified, Reverify: time.Hour, SessionLength: time.Minute},
			GraceUntil: st.Started, WouldGrace: st.Deadline, PolicyStamp: o.PolicyStamp, SubjectClass: audit.ClassManaged,
		}
		must(t, h.Store, c)
		if d := cmp.Diff(st, flow(t, h.Second, o, st.ID).State, same); d != "" {
			t.Errorf("state differs (-committed +read):\n%s", d)
		}
	},
	"a step is sealed once, and state and outbox hold the same bytes": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		started := must(t, h.Store, opened(t, h, o))
		first := flow(t, h.Second, o, started.State.ID).State.Steps[0].Event.Sealed
		must(t, h.Second, stepped(h, o, flow(t, h.Second, o, started.State.ID)))
		after := flow(t, h.Store, o, started.State.ID).State.Steps[0].Event.Sealed
		if first == nil || !cmp.Equal(first, after) {
			t.Error("the first step was sealed again by the second commit")
		}
		recorded := entries(t, h, o)
		if len(recorded) < 1 || !cmp.Equal(recorded[0].Sealed, first) {
			t.Error("the outbox holds other sealed bytes than the state")
		}
		if len(recorded) != 2 || recorded[0].Personal.Email != "ada@guest.example.org" || len(recorded[1].Indexes) == 0 {
			t.Errorf("the outbox holds %d events, or not what was written", len(recorded))
		}
	},
	"a held step keeps its indexes, so that its event can be written as it would have been": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		c := opened(t, h, o)
		c.Flow.State.Recorded, c.Flow.State.Steps[0].Released, c.Events = false, false, nil
		l := must(t, h.Store, c)
		held := flow(t, h.Second, o, l.State.ID)
		if n := len(held.State.Steps[0].Event.Indexes); n == 0 || n != len(l.State.Steps[0].Event.Indexes) {
			t.Fatalf("%d indexes came back, %d were made", n, len(l.State.Steps[0].Event.Indexes))
		}
		release := stepped(h, o, held)
		release.Flow.State.Recorded, release.Flow.State.Steps[0].Released = true, true
		release.Events = []audit.Event{*held.State.Steps[0].Event, release.Events[0]}
		must(t, h.Second, release)
		recorded := entries(t, h, o)
		if len(recorded) != 2 || !cmp.Equal(recorded[0].Indexes, l.State.Steps[0].Event.Indexes) || !cmp.Equal(recorded[0].Sealed, l.State.Steps[0].Event.Sealed) {
			t.Errorf("%d events, or the first is not what was held", len(recorded))
		}
	},
	"what is not there is absent": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		got := read(t, h.Store, authflow.Read{
			OrganizationUID: o.UID, Flow: newFlowID(t), SupportCode: "0123456789", Key: random32(), Session: random32(), Identity: random32(),
			Last:    &authflow.LastKey{SiteUID: siteUID, DeviceID: "d"},
			Lookups: []policy.LookupKeys{{Account: policy.AccountKey{1}, Address: policy.AccountKey{2}, Domain: domain(t, "a.b.example.org")}, {}},
		})
		want := &authflow.Reading{Records: make([]policy.Records, 2)}
		if d := cmp.Diff(want, got, same); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got := read(t, h.Store, authflow.Read{OrganizationUID: newID(), Organization: true}); got.Organization != nil {
			t.Error("an organization that does not exist was found")
		}
	},
	"a flow of another organization is not found": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		l := must(t, h.Store, opened(t, h, o))
		got, err := h.Store.Read(t.Context(), authflow.Read{OrganizationUID: other.UID, Flow: l.State.ID})
		if err == nil && got.Flow != nil {
			t.Error("a flow was read through another organization")
		}
	},
	"one read brings policy, records, index, code and first answer": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		account, mail := policy.AccountKey{7}, policy.AccountKey{8}
		h.Claim(t, o, policy.ClaimRecord{Key: mail, Kind: policy.ClaimAddress, Origin: audit.OriginDocument})
		h.Domain(t, o, policy.DomainRecord{Domain: domain(t, "example.org"), Subdomains: true, VerifiedBy: "OPERATOR", Origin: audit.OriginDocument})
		h.Domain(t, o, policy.DomainRecord{Domain: domain(t, "b.example.org"), VerifiedBy: "OPERATOR", Origin: audit.OriginDocument})
		c := opened(t, h, o)
		key := authflow.LastKey{SiteUID: siteUID, Subject: account, DeviceID: "device-1"}
		c.Last = &authflow.LastWrite{Key: key, Next: c.Flow.State.ID, Until: c.Flow.State.Deadline}
		must(t, h.Store, c)
		got := read(t, h.Second, authflow.Read{
			OrganizationUID: o.UID, SupportCode: c.Flow.State.SupportCode, Key: c.Key, Request: c.Request, Organization: true, Last: &key,
			Lookups: []policy.LookupKeys{
				{Account: account, Address: mail, Domain: domain(t, "a.b.example.org")}, {Domain: domain(t, "b.example.org")},
				{Domain: domain(t, "example.net")},
			},
		})
		if got.Organization == nil || got.Organization.PolicyStamp != o.PolicyStamp || got.Organization.Revision <= o.Revision {
			t.Errorf("organization: %+v", got.Organization)
		}
		if got.FlowID != c.Flow.State.ID || got.Last != c.Flow.State.ID || got.Outcome == nil || got.Outcome.Flow != c.Flow.State.ID {
			t.Errorf("code %v, last %v, outcome %v", got.FlowID, got.Last, got.Outcome)
		}
		if len(got.Records) != 3 {
			t.Fatalf("%d records", len(got.Records))
		}
		r := got.Records[0]
		if r.AccountClaim != nil || r.AddressClaim == nil || r.AddressClaim.Key != mail || r.Domain == nil || r.Domain.Domain.String() != "example.org" {
			t.Errorf("records of the subject: %+v", r)
		}
		if d := got.Records[1].Domain; d == nil || d.Domain.String() != "b.example.org" || got.Records[2].Domain != nil {
			t.Errorf("the most specific domain is %+v; of a stranger %+v", d, got.Records[2].Domain)
		}
	},
}
