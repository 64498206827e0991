package authflow

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// policies that properties are tried under; the second list differs from the first by report-only rules alone.
func policies() (plain, reported []policy.Policy) {
	mfa := &policy.MFADemand{Evidence: audit.EvidenceAsserted, MaxAge: 10 * time.Minute}
	for _, d := range []policy.Demands{
		{}, {MFA: mfa}, {Methods: []string{"password", "passkey"}}, {SSOConnection: "okta", SSOEvidence: audit.EvidenceAsserted},
		{SSOConnection: "okta"}, {Reverify: 5 * time.Minute}, {SessionLength: 30 * time.Minute, MFA: mfa}, {Block: true},
		{Methods: []string{"sso:okta", "social"}, SSOEvidence: audit.EvidenceAsserted, MFA: mfa},
	} {
		p := policy.Policy{Default: d}
		plain = append(plain, p)
		p.Rules = []policy.Rule{{ID: "trial", Mode: policy.ModeReportOnly, Demands: policy.Demands{MFA: mfa, Methods: []string{"sso"}}}}
		reported = append(reported, p)
	}
	return plain, reported
}

// walk is one thing a random walk does.
type walk struct {
	step    time.Duration
	in      Input
	marks   bool
	changes int // to which policy; -1: none
	stop    string
}

func drawWalk(t *rapid.T, tb testing.TB, now time.Time) walk {
	w := walk{changes: -1}
	w.step = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 7, 90, 400}).Draw(t, "seconds")) * time.Second
	w.marks = rapid.IntRange(0, 40).Draw(t, "marks") == 0
	if rapid.IntRange(0, 12).Draw(t, "policy moves") == 0 {
		w.changes = rapid.IntRange(0, 8).Draw(t, "policy")
	}
	if rapid.IntRange(0, 25).Draw(t, "stops") == 0 {
		w.stop = rapid.SampledFrom([]string{"site", "network", "connection", "external", "organization"}).Draw(t, "stop")
	}
	switch n := rapid.IntRange(0, 30).Draw(t, "kind"); {
	case n == 0:
		w.in = finishes(rapid.SampledFrom([]Action{ActionComplete, ActionRefuse, ActionCancel}).Draw(t, "action"))
	case n == 1:
		w.in = Input{Kind: KindTick}
	case n == 2:
		w.in = starts(tb, external(tb))
	default:
		w.in = drawStep(t, tb, now.Add(w.step))
	}
	return w
}

func drawStep(t *rapid.T, tb testing.TB, now time.Time) Input {
	typ := rapid.SampledFrom(stepTypes()).Draw(t, "type")
	in := reports(typ, rapid.SampledFrom([]string{alice, alice, alice, alice, mallory, ""}).Draw(t, "account"))
	if typ == audit.TypeSessionReused {
		in.Step.AuthenticatedAt = now.Add(-time.Duration(rapid.IntRange(0, 3600).Draw(t, "age")) * time.Second)
	}
	if rapid.IntRange(0, 6).Draw(t, "verified") == 0 {
		in.Step.Evidence = audit.EvidenceVerified
		if f, _ := family(typ); f == audit.FamilySSO && rapid.Bool().Draw(t, "identity") {
			in.Step.IdentityKey = []byte(rapid.SampledFrom([]string{"k1", "k1", "k2"}).Draw(t, "key"))
			in.Step.Issuer, in.Step.SubjectID = "https://idp.example", "s1"
		}
	}
	switch rapid.IntRange(0, 8).Draw(t, "time") {
	case 0:
		in.Step.OccurredAt = now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "ago")) * time.Second)
	case 1:
		in.Step.OccurredAt = now.Add(3 * time.Second)
	}
	if rapid.IntRange(0, 4).Draw(t, "managed") == 0 {
		yes := true
		in.Step.Subject.Address, in.Step.Subject.EmailVerified, in.Step.Records = address(tb, "alice@acme.example.net"), &yes, acmeDomain(tb)
	}
	return in
}

func TestWhateverComesInTheMachineHoldsItsPromises(t *testing.T) {
	plain, reported := policies()
	rapid.Check(t, func(rt *rapid.T) {
		claims := rapid.SampledFrom([]Claimed{external(t), managed(t), {}, {AccountID: alice}}).Draw(rt, "claimed")
		first := rapid.IntRange(0, len(plain)-1).Draw(rt, "first policy")
		d, twin := newDriver(t, acme(plain[first])), newDriver(t, acme(reported[first]))
		d.put(starts(t, claims))
		twin.put(starts(t, claims))
		for range rapid.IntRange(1, 90).Draw(rt, "inputs") {
			w := drawWalk(rt, t, d.now)
			advanceBoth(rt, w, d, twin, plain, reported)
		}
	})
}

// advanceBoth puts one input into a flow and into its twin, whose policy has report-only rules besides, and holds every
// promise against what came of it.
func advanceBoth(rt *rapid.T, w walk, d, twin *driver, plain, reported []policy.Policy) {
	before := d.s
	had := append([]Step(nil), d.s.Steps...)
	events := len(d.events)
	for _, x := range []*driver{d, twin} {
		x.now = x.now.Add(w.step)
		x.marked = x.marked || w.marks
	}
	if w.changes >= 0 {
		d.org, twin.org = acme(plain[w.changes]), acme(reported[w.changes])
	}
	d.org, twin.org = changed(d.org, stops[w.stop]), changed(twin.org, stops[w.stop])
	err, twinErr := d.try(w.in), twin.try(w.in)

	if !reflect.DeepEqual(before.Steps, had) {
		rt.Fatal("the state that was put in has changed")
	}
	if (err == nil) != (twinErr == nil) || d.s.Phase != twin.s.Phase || d.s.Ending != twin.s.Ending || d.s.Reason != twin.s.Reason ||
		err == nil && d.last.Verdict != twin.last.Verdict {
		rt.Fatalf("a report-only rule changed a verdict: %v/%v %v/%v %v/%v", d.s.Phase, twin.s.Phase, d.s.Ending, twin.s.Ending, err, twinErr)
	}
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			rt.Fatalf("an input was met by an internal error: %v", err)
		}
		if before.Phase == PhaseEnded && !errs.Is(err, ErrFlowEnded) {
			rt.Fatalf("an ended flow answered %v", err)
		}
		return
	}
	switch {
	case before.Phase == PhaseEnded:
		rt.Fatal("an ended flow moved")
	case before.Recorded && !d.s.Recorded:
		rt.Fatal("a flow left the record")
	case before.Recorded && len(d.events)-events != len(d.s.Steps)-len(had):
		rt.Fatalf("%d events for %d steps", len(d.events)-events, len(d.s.Steps)-len(had))
	case d.last.Changed != (len(d.s.Steps) > len(had)):
		rt.Fatal("a change without a step")
	case d.s.Phase < before.Phase:
		rt.Fatalf("from %v back to %v", before.Phase, d.s.Phase)
	case before.Bound != nil && before.Bound.AccountID != "" && d.s.Bound.AccountID != before.Bound.AccountID:
		rt.Fatal("the flow was bound again")
	case before.Frozen != nil && d.s.Frozen != before.Frozen && (before.Bound.AccountID != "" || d.s.Bound.AccountID == ""):
		rt.Fatal("what was frozen has changed, and not by the bound identity's being given its account")
	case before.Bound != nil && d.s.Class != before.Class:
		rt.Fatal("a bound class has changed")
	}
	if problem := d.wrong(); problem != "" {
		rt.Fatal(problem)
	}
}

func TestOpenedFlowsAndEndedFlowsTallyUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plain, _ := policies()
		tallies := map[string]int{}
		ended := 0
		n := rapid.IntRange(1, 10).Draw(rt, "flows")
		for range n {
			d := newDriver(t, acme(rapid.SampledFrom(plain).Draw(rt, "policy")))
			count := func() {
				for _, tally := range d.last.Tallies {
					tallies[tally.Field]++
				}
			}
			d.put(starts(t, rapid.SampledFrom([]Claimed{external(t), managed(t), {}}).Draw(rt, "claimed")))
			count()
			for range rapid.IntRange(0, 20).Draw(rt, "inputs") {
				if d.try(drawStep(rt, t, d.now)) == nil {
					count()
				}
			}
			if d.s.Phase != PhaseEnded {
				d.now = d.s.Deadline
				d.put(Input{Kind: KindTick})
				count()
			}
			ended++
		}
		sum := 0
		for field, count := range tallies {
			if field != TallyOpened {
				sum += count
			}
		}
		if tallies[TallyOpened] != n || sum != n || ended != n {
			rt.Fatalf("%d flows, tallies %v", n, tallies)
		}
	})
}

func BenchmarkAdvanceStep(b *testing.B) {
	d := newDriver(b, acme(demandsMFA))
	d.put(starts(b, external(b)))
	d.put(reports(audit.TypePasswordVerified, alice))
	in := reports(audit.TypeMFARejected, "")
	in.Organization, in.Site, in.IDs = d.org, &d.org.Sites[0], IDs{Step: "a", Ending: "b", Lock: "c", Link: "d"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Advance(d.s, in, d.now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdvanceWholeFlow(b *testing.B) {
	org := acme(demandsMFA)
	inputs := []Input{starts(b, external(b)), reports(audit.TypePasswordVerified, alice), reports(audit.TypeMFAVerified, ""), finishes(ActionComplete)}
	for i := range inputs {
		inputs[i].Organization, inputs[i].Site, inputs[i].IDs = org, &org.Sites[0], IDs{Step: "a", Ending: "b", Lock: "c", Link: "d"}
	}
	b.ReportAllocs()
	for b.Loop() {
		var s State
		for _, in := range inputs {
			m, err := Advance(s, in, noon)
			if err != nil {
				b.Fatal(err)
			}
			s = m.State
		}
		if s.Ending != audit.EndingSucceeded {
			b.Fatal(s.Ending)
		}
	}
}
