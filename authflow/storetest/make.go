package storetest

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func newFlowID(t *testing.T) authflow.FlowID {
	t.Helper()
	id, err := authflow.ParseFlowID(newID())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func random32() (b [32]byte) {
	_, _ = rand.Read(b[:]) // never fails
	return b
}

func address(t *testing.T, s string) policy.Address {
	t.Helper()
	a, err := policy.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func domain(t *testing.T, s string) policy.Domain {
	t.Helper()
	d, err := policy.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const siteID = "wiki"

var siteUID = "01940000-0000-7000-8000-00000000517e"

// opened is a commit that starts a flow, with everything a start writes.
func opened(t *testing.T, h *Harness, o *policy.Organization) *authflow.Commit {
	t.Helper()
	now := h.Now().UTC().Truncate(time.Millisecond)
	st := &authflow.State{
		ID: newFlowID(t), Organization: o.ID, OrganizationUID: o.UID, Site: siteID, SiteUID: siteUID, SupportCode: newID()[26:36],
		CorrelationID: "their-7", Caller: "unix:0", Phase: authflow.PhaseOpen, Started: now, Deadline: now.Add(15 * time.Minute),
		Hour: now.Truncate(time.Hour), Recorded: true, Class: audit.ClassExternal, DeviceID: "device-1", PolicyRevision: o.Revision,
		Claimed: authflow.Claimed{AccountID: "acct-1", Address: address(t, "ada@guest.example.org"), DisplayName: "Ada", Kind: audit.SubjectPerson},
	}
	e := event(st, audit.TypeSignInStarted, now)
	st.Steps = []authflow.Step{{Event: new(e), Released: true}}
	return &authflow.Commit{
		OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: random32(), Request: random32(), OwnKey: true,
		Outcome: outcome(st), Flow: &authflow.FlowWrite{State: st}, Events: []audit.Event{e},
		Claims:  []authflow.Claim{{Kind: "code", Name: st.SupportCode, Value: st.ID.String(), Until: st.Deadline}},
		Tallies: []authflow.Tally{{SiteUID: siteUID, Site: siteID, Hour: st.Hour, Field: "opened"}},
	}
}

// event is the next step's event of a flow.
func event(st *authflow.State, t audit.Type, at time.Time) audit.Event {
	verified := true
	return audit.Event{
		ID: newID(), Type: t, Time: at, Organization: st.Organization, OrganizationUID: st.OrganizationUID, Site: st.Site, SiteUID: st.SiteUID,
		Flow: st.ID.String(), Step: len(st.Steps) + 1, SupportCode: st.SupportCode, CorrelationID: st.CorrelationID, Caller: st.Caller,
		Class: st.Class, Outcome: audit.OutcomeInfo, Evidence: audit.EvidenceAsserted, Client: audit.ClientWeb,
		Personal: audit.Personal{
			Email: "ada@guest.example.org", EmailVerified: &verified, AccountID: "acct-1", IP: "192.0.2.7", UserAgent: "agent/1", DeviceID: "device-1",
		},
	}
}

func outcome(st *authflow.State) *authflow.Outcome {
	counts := true
	return &authflow.Outcome{
		Flow: st.ID, SupportCode: st.SupportCode, Step: len(st.Steps), Phase: st.Phase, Verdict: audit.VerdictContinue, Counts: &counts,
		Decision: audit.Decision{Class: st.Class, Source: "DEFAULT", Verdict: audit.VerdictContinue, PolicyRevision: st.PolicyRevision},
		Next:     []policy.Next{{Method: "password", StepType: audit.TypePasswordVerified}}, Deadline: st.Deadline, Recorded: st.Recorded,
		Reason: st.Reason, Ending: st.Ending,
	}
}

// stepped is a commit that binds l's flow, or adds a step when it is bound.
func stepped(h *Harness, o *policy.Organization, l *authflow.Loaded) *authflow.Commit {
	st := *l.State
	at := h.Now().UTC().Truncate(time.Millisecond)
	e := event(&st, audit.TypePasswordVerified, at)
	e.Method = "password"
	st.Steps = append(append([]authflow.Step(nil), st.Steps...), authflow.Step{Event: new(e), Released: true})
	if st.Bound == nil {
		st.Phase, st.Proven = authflow.PhaseBound, true
		st.Bound = &authflow.Bound{AccountID: "acct-1", Email: st.Claimed.Address, EmailVerified: true, Kind: audit.SubjectPerson, Step: len(st.Steps)}
		st.Frozen = &policy.Frozen{
			Decision: audit.Decision{Class: audit.ClassExternal, Source: "RULE", Rule: "guests", Verdict: audit.VerdictContinue,
				Conditions: []audit.Condition{{Name: "domain", Met: true, Detail: "guest.example.org"}}, PolicyRevision: o.Revision,
				Demands: []audit.Demand{{Kind: "MFA", Factors: []string{"TOTP"}, Reason: "MFA_REQUIRED"}}},
			Demands: policy.Demands{Methods: []string{"password"}, MFA: &policy.MFADemand{Factors: []string{"TOTP"}}}, PolicyStamp: o.PolicyStamp,
			HasWouldBe: true, WouldBeRule: "later", WouldBe: policy.Demands{Block: true}, SubjectClass: audit.ClassExternal,
		}
	}
	return &authflow.Commit{
		OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: random32(), Request: random32(), Outcome: outcome(&st),
		Flow: &authflow.FlowWrite{State: &st, From: l.Stamp, EndsMarked: !l.SupersededBy.IsZero()}, Events: []audit.Event{e},
	}
}

// ended is a commit that ends l's flow.
func ended(h *Harness, o *policy.Organization, l *authflow.Loaded, ending audit.Ending, t audit.Type) *authflow.Commit {
	c := stepped(h, o, l)
	st := c.Flow.State
	st.Phase, st.Ending, st.Ended = authflow.PhaseEnded, ending, h.Now().UTC().Truncate(time.Millisecond)
	last := st.Steps[len(st.Steps)-1].Event
	last.Type, last.Ending, last.Method = t, ending, ""
	for i := range st.Steps {
		e := st.Steps[i].Event
		last.Steps = append(last.Steps, audit.StepSummary{Step: e.Step, Event: e.ID, Type: e.Type, Time: e.Time, Evidence: e.Evidence})
	}
	c.Outcome, c.Events = outcome(st), []audit.Event{*last}
	c.Tallies = []authflow.Tally{{SiteUID: siteUID, Site: siteID, Hour: st.Hour, Field: fmt.Sprintf("EXTERNAL:%s:%t", ending, st.Recorded)}}
	return c
}

// must commits and returns the flow as it now is.
func must(t *testing.T, s authflow.Store, c *authflow.Commit) *authflow.Loaded {
	t.Helper()
	done, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	if done.Repeated != nil {
		t.Fatal("a new commit was taken for a repeated one")
	}
	if c.Flow == nil {
		return nil
	}
	return &authflow.Loaded{State: c.Flow.State, Stamp: done.Stamp}
}

func read(t *testing.T, s authflow.Store, r authflow.Read) *authflow.Reading {
	t.Helper()
	got, err := s.Read(t.Context(), r)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return got
}

func flow(t *testing.T, s authflow.Store, o *policy.Organization, id authflow.FlowID) *authflow.Loaded {
	t.Helper()
	l := read(t, s, authflow.Read{OrganizationUID: o.UID, Flow: id}).Flow
	if l == nil {
		t.Fatal("the flow is not there")
	}
	return l
}

// outboxIDs are the ids of the events in an organization's outbox, in order.
func outboxIDs(t *testing.T, h *Harness, o *policy.Organization) []string {
	t.Helper()
	var ids []string
	for _, e := range entries(t, h, o) {
		ids = append(ids, e.ID)
	}
	return ids
}

func entries(t *testing.T, h *Harness, o *policy.Organization) []audit.Event {
	t.Helper()
	p := h.Partition(o.UID)
	got, err := h.Source.Read(t.Context(), []int{p}, 10_000, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var out []audit.Event
	for _, raw := range got[p] {
		e, err := h.Codec.Decode(raw.Data)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Codec.Open(&e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}
