package simulate

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// rule is one that is enforced, for one e-mail domain or for all.
func rule(t *testing.T, id, domain string, d policy.Demands) policy.Rule {
	r := policy.Rule{ID: id, Mode: policy.ModeEnforce, Demands: d}
	if domain != "" {
		r.Match.Domains = []policy.DomainMatch{{Domain: domainOf(t, domain)}}
	}
	return r
}

func onTrial(r policy.Rule) policy.Rule {
	r.Mode = policy.ModeReportOnly
	return r
}

// revised puts a revision of the policy in front of those there are.
func (w *world) revised(number int64, at time.Time, t audit.Type, rules ...policy.Rule) {
	w.history = slices.Insert(w.history, 0, policy.Revision{Number: number, Policy: policy.Policy{Rules: rules}, Event: audit.Event{Type: t, Time: at}})
}

func (w *world) did(q Query, rules ...string) map[string]RuleImpact {
	w.t.Helper()
	if q.Samples == 0 {
		q.Samples = 2
	}
	list, err := w.scanner().Impact(w.t.Context(), w.org, rules, q, func(int64, int64) error { return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]RuleImpact{}
	for _, r := range list {
		out[r.Rule.ID] = r
	}
	return out
}

func TestWhatEachRuleDid(t *testing.T) {
	blocked, guests, strict := rule(t, "blocked", "blocked.com", block), rule(t, "guests", "", policy.Demands{}), onTrial(rule(t, "strict", "", anyMFA))
	w := newWorld(t, acme(policy.Policy{Rules: []policy.Rule{blocked, strict, guests}}))
	w.revised(1, noon.Add(-time.Hour), audit.TypeOrganizationCreated, blocked, strict, guests)
	first := w.signIn(came{account: "eve", email: "eve@blocked.com", steps: []did{password()}})
	second := w.signIn(came{account: "eve", email: "eve@blocked.com", steps: []did{password()}})
	w.signIn(came{account: "mal", email: "mal@blocked.com", steps: []did{password()}, ending: audit.EndingAbandoned})
	let := w.signIn(came{account: "pia", email: "pia@partner.com", steps: []did{password()}})
	w.signIn(came{account: "gus", email: "gus@partner.com", steps: []did{password(), sms()}})
	w.signIn(came{account: "pia", email: "pia@partner.com", steps: []did{password()}, ending: audit.EndingDenied, reason: audit.ReasonRiskBlocked})
	w.signIn(came{steps: []did{{Type: audit.TypePasswordRejected, method: "password"}}})
	w.holdings[namer{}.AccountKey(uid, "gus")] = Holding{Proofs: []policy.Proof{{Factor: audit.FactorSMS}}}

	got := w.did(Query{})
	if r := got["blocked"]; r.Decided != 3 || r.Denied != 2 || r.WouldDecide != 0 || r.People.Count != 2 || r.NeedsEnrolment.Count != 0 || !slices.Equal(r.Samples, []string{second, first}) {
		t.Errorf("%+v", r)
	}
	if r := got["strict"]; r.Decided != 0 || r.WouldDecide != 3 || r.WouldDeny != 1 || r.People.Count != 2 || r.NeedsEnrolment.Count != 1 || !slices.Equal(r.Samples, []string{let}) {
		t.Errorf("%+v", r)
	}
	if r := got["guests"]; r.Decided != 3 || r.Denied != 0 || r.People.Count != 2 || len(r.Samples) != 0 || !r.Since.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v", r)
	}
	if got = w.did(Query{}, "guests"); len(got) != 1 || got["guests"].Decided != 3 {
		t.Errorf("%+v", got)
	}
	if _, err := w.scanner().Impact(t.Context(), w.org, []string{"guests", "nobody"}, Query{}, nil); !errs.Is(err, "RULE_UNKNOWN") {
		t.Error(err)
	}
}

func TestARuleIsAsOldAsItsLastAddition(t *testing.T) {
	a, b, c := rule(t, "a", "", policy.Demands{}), rule(t, "b", "b.com", block), rule(t, "c", "c.com", block)
	at := func(hour int) time.Time { return noon.Add(time.Duration(hour) * time.Hour) }
	w := newWorld(t, acme(policy.Policy{Rules: []policy.Rule{b, c, a}}))
	w.revised(1, at(0), audit.TypeOrganizationCreated, a, b)
	w.revised(3, at(1), audit.TypePolicyUpdated, a)
	w.revised(4, at(2), audit.TypePolicyUpdated, b, a)
	w.revised(6, at(3), audit.TypePolicyUpdated, b, c, a)
	for hour := range 5 {
		for _, domain := range []string{"a.com", "b.com", "c.com"} {
			w.signIn(came{account: domain, email: "x@" + domain, at: at(hour), steps: []did{password()}})
		}
	}
	since := func(q Query, a, b, c int, hours ...int) {
		t.Helper()
		got := w.did(q)
		for i, id := range []string{"a", "b", "c"} {
			if r := got[id]; r.Decided != int64([]int{a, b, c}[i]) || hours[i] < 0 != r.Since.IsZero() || hours[i] >= 0 && !r.Since.Equal(at(hours[i])) {
				t.Errorf("%s since %v: %+v", id, r.Since, r)
			}
		}
	}
	since(Query{}, 5, 3, 2, 0, 2, 3)
	since(Query{Start: at(3)}, 2, 2, 2, 3, 3, 3)
	since(Query{Start: at(1), End: at(4)}, 3, 2, 1, 1, 2, 3)
	w.history = w.history[:2] // the oldest that is kept has a and b already
	since(Query{}, 5, 5, 2, -1, -1, 3)
	w.history = nil
	since(Query{}, 5, 5, 5, -1, -1, -1)
}

func TestStopsAndSuspensionsAreNotTheRulesDoing(t *testing.T) {
	guests := rule(t, "guests", "", block)
	w := newWorld(t, acme(policy.Policy{Rules: []policy.Rule{guests}}))
	w.revised(1, noon.Add(-time.Hour), audit.TypeOrganizationCreated, guests)
	w.org.Policy.Stops.External = true
	w.signIn(came{account: "pia", steps: []did{password()}})
	w.org.Policy.Stops.External, w.org.SuspendedUntil = false, noon.Add(time.Hour)
	w.signIn(came{account: "gus", steps: []did{password()}})
	w.org.SuspendedUntil = time.Time{}
	if r := w.did(Query{})["guests"]; r.Decided != 1 || r.Denied != 0 || r.WouldDecide != 1 || r.WouldDeny != 1 {
		t.Errorf("%+v", r)
	}
}

func TestWhomNobodyCanReadIsCountedAsAFlowAlone(t *testing.T) {
	guests := rule(t, "guests", "", anyMFA)
	w := newWorld(t, acme(policy.Policy{Rules: []policy.Rule{guests}}))
	w.signIn(came{account: "pia", steps: []did{password()}, change: func(f *audit.FlowRecord) {
		for i := range f.Events {
			f.Events[i].Sealed = &audit.Sealed{Digest: []byte{1}}
		}
	}})
	w.signIn(came{email: "gus@guest.com", steps: []did{password()}})
	if r := w.did(Query{})["guests"]; r.Decided != 2 || r.Denied != 2 || r.People.Count != 1 || r.NeedsEnrolment.Count != 0 || w.asked != 0 {
		t.Errorf("%+v", r)
	}
}
