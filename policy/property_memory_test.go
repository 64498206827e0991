package policy_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func drawProof(t *rapid.T, label string) policy.Proof {
	s := drawShown(t, 0)
	p := policy.Proof{Method: s.Method, Factor: s.Factor, Connection: s.Connection, Evidence: s.Evidence, UserVerified: s.UserVerified,
		PartnerAMR: s.PartnerAMR, Flow: label, Step: 2, SiteUID: "s"}
	if p.Connection != "" && rapid.IntRange(0, 3).Draw(t, label+" uid") == 0 {
		p.ConnectionUID = "gone"
	}
	p.At = drawMoment(t, label+" at")
	p.Device[0] = rapid.Byte().Filter(func(b byte) bool { return b < 3 }).Draw(t, label+" device")
	return p
}

// drawMoment draws moments around the ages and bounds that drawInput uses, edges included.
func drawMoment(t *rapid.T, label string) time.Time {
	return rapid.SampledFrom([]time.Time{{}, now, now.Add(-time.Minute), now.Add(-time.Hour), now.Add(-time.Hour - 1), now.Add(-time.Hour + 1),
		now.Add(-2 * time.Hour), now.Add(2 * time.Minute), now.Add(time.Hour), now.Add(-time.Duration(rapid.IntRange(0, 7200).Draw(t, label+" seconds")) * time.Second)}).Draw(t, label)
}

// drawRemembering draws an input with proofs and bounds, and a session or token more often than drawInput does.
func drawRemembering(t *rapid.T) policy.Input {
	in := drawInput(t)
	in.Subject.Typed, in.Organization.Unreadable = false, false
	if rapid.Bool().Draw(t, "continues") {
		method := rapid.SampledFrom([]string{"session", "token"}).Draw(t, "by")
		in.Shown = []policy.Shown{{Step: 2, Method: method, Evidence: drawEvidence(t, "by evidence"), At: drawMoment(t, "by at")}}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "proofs") {
		in.Proofs = append(in.Proofs, drawProof(t, fmt.Sprintf("p%d", i)))
	}
	in.Device[0] = rapid.Byte().Filter(func(b byte) bool { return b < 3 }).Draw(t, "device")
	in.NotBefore = drawMoment(t, "not before")
	in.Organization.ProofsNotBefore = drawMoment(t, "organization not before")
	in.Site.ProofsNotBefore = drawMoment(t, "site not before")
	return in
}

func TestAnAgeIsNeverMetByAnOlderOrARevokedProofOrAnotherOrganizations(t *testing.T) {
	met := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawRemembering(t)
		r := policy.Decide(in)
		for _, d := range r.Decision.Demands {
			if d.MetByProof == nil {
				continue
			}
			met++
			if !d.Met || d.MetByStep != 0 || d.Reason != "" {
				t.Fatalf("met by a proof and otherwise: %+v", d)
			}
			var i int
			if _, err := fmt.Sscanf(d.MetByProof.Flow, "p%d", &i); err != nil {
				t.Fatal(err)
			}
			p := in.Proofs[i]
			most := d.MaxAge
			if d.Kind == policy.DemandSSO || d.Kind == policy.DemandEvidence {
				most = r.Frozen.Demands.Reverify
			}
			switch {
			case most <= 0 || p.At.IsZero() || now.Sub(p.At) > most:
				t.Fatalf("%s within %v was met by a proof of %v", d.Kind, most, p.At)
			case p.At.Before(in.NotBefore) || p.At.Before(in.Organization.ProofsNotBefore) || p.At.Before(in.Site.ProofsNotBefore):
				t.Fatalf("%s was met by a revoked proof of %v", d.Kind, p.At)
			case p.Device[0] != 0 && in.Device[0] != 0 && p.Device != in.Device:
				t.Fatalf("%s was met on another device", d.Kind)
			case p.ConnectionUID == "gone" || p.Connection == "adfs" && in.Organization.Connections[1].Disabled:
				t.Fatalf("%s was met through a connection that is gone", d.Kind)
			case d.Evidence > d.MetByProof.Evidence || d.MetByProof.Evidence != p.Evidence || !d.MetByProof.Time.Equal(p.At):
				t.Fatalf("%s wants %v and names %+v", d.Kind, d.Evidence, d.MetByProof)
			}
		}
		// What another organization remembers is not in the list: nothing of it can count.
		alone := in
		alone.Proofs = nil
		for _, d := range policy.Decide(alone).Decision.Demands {
			if d.MetByProof != nil {
				t.Fatalf("%s is met by a proof that nobody gave", d.Kind)
			}
		}
	})
	if met == 0 {
		t.Error("no demand was ever met by a proof: this test shows nothing")
	}
}

func TestRevokingNeverLetsMoreInAndAddingAProofNeverLess(t *testing.T) {
	worse := func(a, b *audit.Decision) bool { // b lets fewer in than a
		return severity(b.Verdict) > severity(a.Verdict) || a.WouldBe != nil && severity(b.WouldBe.Verdict) > severity(a.WouldBe.Verdict)
	}
	rapid.Check(t, func(t *rapid.T) {
		in := drawRemembering(t)
		before := policy.Decide(in).Decision
		org, site := *in.Organization, *in.Site
		revoked := in
		revoked.Organization, revoked.Site = &org, &site
		bound := []*time.Time{&revoked.NotBefore, &org.ProofsNotBefore, &site.ProofsNotBefore}[rapid.IntRange(0, 2).Draw(t, "which")]
		*bound = bound.Add(time.Duration(rapid.Int64Range(1, int64(4*time.Hour)).Draw(t, "by")))
		if bound.Year() < 2000 {
			*bound = drawMoment(t, "bound")
		}
		if after := policy.Decide(revoked).Decision; worse(&after, &before) {
			t.Fatalf("revoking made %v of %v", after.Verdict, before.Verdict)
		}
		more := in
		more.Proofs = append([]policy.Proof{drawProof(t, "p9")}, in.Proofs...)
		if after := policy.Decide(more).Decision; worse(&before, &after) {
			t.Fatalf("a proof made %v of %v", after.Verdict, before.Verdict)
		}
	})
}

func TestValidUntilIsTheFirstMomentAtWhichTheDecisionChanges(t *testing.T) {
	type view struct {
		verdict      audit.Verdict
		reason, rule string
		would        string
		met          string
	}
	look := func(in policy.Input, at time.Time) view {
		in.Now = at
		d := policy.Bind(in).Decision
		v := view{verdict: d.Verdict, reason: d.Reason, rule: d.Rule, met: fmt.Sprint(d.GraceUntil)}
		for _, demand := range d.Demands { // which proof met it is no matter
			v.met += fmt.Sprint(" ", demand.Kind, demand.Met, demand.Reason)
		}
		if d.WouldBe != nil {
			v.would = fmt.Sprint(*d.WouldBe)
		}
		return v
	}
	changes := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawRemembering(t)
		until := policy.ValidUntil(policy.Bind(in), in)
		present := look(in, now)
		far := now.Add(1000 * time.Hour)
		if !until.IsZero() {
			changes++
			if !until.After(now) {
				t.Fatalf("it ended at %v already", until)
			}
			far = until
		}
		for range 5 {
			at := now.Add(time.Duration(rapid.Int64Range(0, int64(far.Sub(now))-1).Draw(t, "later")))
			if got := look(in, at); got != present {
				t.Fatalf("good until %v, and at %v\n%+v became\n%+v", until, at, present, got)
			}
		}
		if got := look(in, far.Add(-1)); got != present {
			t.Fatalf("just before %v\n%+v became\n%+v", until, present, got)
		}
		if got := look(in, far); !until.IsZero() && got == present && in.Organization.Policy.Rules == nil {
			t.Fatalf("at %v nothing changes: %+v", until, got)
		}
	})
	if changes == 0 {
		t.Error("no decision ever changed: this test shows nothing")
	}
}

func TestWhatIsRememberedCoversWhatWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawRemembering(t)
		kept := []policy.Proof(nil)
		for i := range in.Proofs {
			before := append([]policy.Proof(nil), kept...)
			kept = policy.Remember(kept, in.Proofs[i])
			if again := policy.Remember(kept, in.Proofs[i]); !reflect.DeepEqual(again, kept) {
				t.Fatalf("remembered twice: %+v, then %+v", kept, again)
			}
			for j := 1; j < len(kept); j++ {
				if kept[j].At.After(kept[j-1].At) {
					t.Fatalf("not newest first: %+v", kept)
				}
			}
			if len(kept) > len(before)+1 {
				t.Fatalf("%d of %d", len(kept), len(before))
			}
		}
		// Forgetting what newer proofs cover changes no verdict.
		all, short := in, in
		short.Proofs = kept
		if a, b := policy.Decide(all).Decision, policy.Decide(short).Decision; a.Verdict != b.Verdict || a.Reason != b.Reason {
			t.Fatalf("%v %s became %v %s\nall %+v\nkept %+v", a.Verdict, a.Reason, b.Verdict, b.Reason, in.Proofs, kept)
		}
	})
}

func TestAnAssertedTimeNeverMakesAProofYounger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		recorded, asserted := now.Add(time.Duration(rapid.Int64().Draw(t, "recorded")%int64(time.Hour))), drawMoment(t, "asserted")
		at := policy.ProvenAt(recorded, asserted)
		if at.After(recorded) || !asserted.IsZero() && at.After(asserted) || asserted.IsZero() && !at.Equal(recorded) {
			t.Fatalf("recorded %v, asserted %v: %v", recorded, asserted, at)
		}
		// And once something newer is known, an older time changes nothing.
		known := policy.Proof{Method: "password", At: at, Evidence: audit.EvidenceAsserted, Flow: "known"}
		older := known
		older.Flow, older.At = "older", at.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "older by")))
		if got := policy.Remember([]policy.Proof{known}, older); len(got) != 1 || got[0].Flow != "known" {
			t.Fatalf("%+v", got)
		}
	})
}
