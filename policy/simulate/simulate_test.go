package simulate

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

var (
	anyMFA = policy.Demands{MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted}}
	block  = policy.Demands{Block: true}
)

func TestWhatADraftWouldHaveDone(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{}))
	first := w.signIn(came{account: "pia", email: "pia@partner.com", steps: []did{password()}})
	w.signIn(came{account: "gus", email: "gus@guest.com", site: "hall", steps: []did{password(), sms()}})
	last := w.signIn(came{account: "pia", email: "pia@partner.com", steps: []did{password()}})
	w.signIn(came{steps: []did{{Type: audit.TypePasswordRejected, method: "password"}}})
	w.holdings[namer{}.AccountKey(uid, "gus")] = Holding{Proofs: []policy.Proof{{Factor: audit.FactorSMS}}}

	counts(t, w.try(Draft{}), 3, 1, 0)
	r := w.try(w.draft(policy.Policy{Rules: []policy.Rule{{ID: "all", Mode: policy.ModeEnforce, Demands: anyMFA}}}))
	counts(t, r, 1, 1, 0)
	c := only(t, r)
	want := Kind{Ending: audit.EndingSucceeded, WouldBe: audit.ReasonMFARequired}
	if c.Kind != want || c.Flows != 2 || c.People.Count != 1 || !slices.Equal(c.Samples, []string{last, first}) {
		t.Errorf("%+v", c)
	}
	one := People{Count: 1}
	if !slices.Equal(r.Domains, []Count{{"partner.com", 2, one}}) || !slices.Equal(r.Sites, []Count{{"wiki", 2, one}}) || !slices.Equal(r.Rules, []Count{{"all", 2, one}}) {
		t.Errorf("%+v %+v %+v", r.Domains, r.Sites, r.Rules)
	}
	if r.Flows != 4 || r.People != one || r.NeedsEnrolment != one || r.Revision != 7 {
		t.Errorf("%+v", r)
	}
	if w.asked != 2 {
		t.Errorf("%d accounts were asked about: each once is enough", w.asked)
	}
}

func TestWhatTheRecordDoesNotHoldIsNotGuessed(t *testing.T) {
	erase := func(step int) func(*audit.FlowRecord) {
		return func(f *audit.FlowRecord) {
			f.Events[step-1].Personal, f.Events[step-1].Sealed = audit.Personal{}, &audit.Sealed{Digest: []byte{1}}
		}
	}
	for name, change := range map[string]func(*audit.FlowRecord){
		"the person was erased":       erase(2),
		"a factor was erased":         erase(3),
		"a step is missing":           func(f *audit.FlowRecord) { f.Events = slices.Delete(f.Events, 2, 3) },
		"the start is missing":        func(f *audit.FlowRecord) { f.Events = f.Events[1:] },
		"the end is missing":          func(f *audit.FlowRecord) { f.Events = f.Events[:3] },
		"a step stands twice":         func(f *audit.FlowRecord) { f.Events = append(f.Events, f.Events[1]); f.Events[4].Forked = true },
		"nobody knows what bound":     func(f *audit.FlowRecord) { f.Events[1].Decision = nil },
		"nobody knows how it ended":   func(f *audit.FlowRecord) { f.Events[3].Decision = nil },
		"an event cannot be read":     func(f *audit.FlowRecord) { f.Events[2].PersonalState = "UNREADABLE" },
		"an event is of no kind":      func(f *audit.FlowRecord) { f.Events[2].Type, f.Events[2].Step = audit.TypeUnreadable, 0 },
		"the address is none":         func(f *audit.FlowRecord) { f.Events[1].Personal.Email = "pia@" },
		"its events are gone":         func(f *audit.FlowRecord) { f.Events = nil },
		"what binds is no proof":      func(f *audit.FlowRecord) { f.Events[1].Type = audit.TypePasswordRejected },
		"the steps begin with others": func(f *audit.FlowRecord) { f.Events[0].Step = 9 },
	} {
		w := newWorld(t, acme(policy.Policy{}))
		w.signIn(came{account: "pia", email: "pia@partner.com", steps: []did{password(), sms()}, change: change})
		r := w.try(w.draft(policy.Policy{Default: block}))
		t.Run(name, func(t *testing.T) { counts(t, r, 0, 0, 1) })
	}
}

func TestStepsOutOfOrderAreReadInTheirOwn(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{Default: anyMFA}))
	w.signIn(came{account: "pia", steps: []did{password(), sms()}, change: func(f *audit.FlowRecord) {
		slices.Reverse(f.Events)
		for i := range f.Events {
			f.Events[i].Sequence = int64(i + 1)
		}
	}})
	counts(t, w.try(Draft{}), 1, 0, 0)
	counts(t, w.try(w.draft(policy.Policy{Default: anyMFA})), 1, 0, 0)
}

func TestDraftsOfDomainsAndClaims(t *testing.T) {
	partner := func(sub bool, name string) policy.DomainRecord {
		return policy.DomainRecord{Domain: domainOf(t, name), Subdomains: sub, VerifiedBy: policy.VerifiedByOperator}
	}
	managed := Kind{Ending: audit.EndingSucceeded, Allowed: true, ClassChanges: true}
	for name, c := range map[string]struct {
		has  []policy.DomainRecord
		add  []policy.DomainRecord
		drop []string
		want bool // the class changes
	}{
		"a domain more":                        {nil, []policy.DomainRecord{partner(false, "mail.partner.com")}, nil, true},
		"its parent with subdomains":           {nil, []policy.DomainRecord{partner(true, "partner.com")}, nil, true},
		"its parent without":                   {nil, []policy.DomainRecord{partner(false, "partner.com")}, nil, false},
		"another one":                          {nil, []policy.DomainRecord{partner(true, "other.com")}, nil, false},
		"it is dropped":                        {[]policy.DomainRecord{partner(false, "mail.partner.com")}, nil, []string{"mail.partner.com"}, true},
		"it is dropped, its parent stays":      {[]policy.DomainRecord{partner(false, "mail.partner.com"), partner(true, "partner.com")}, nil, []string{"mail.partner.com"}, false},
		"it is dropped, its parent is no help": {[]policy.DomainRecord{partner(false, "mail.partner.com"), partner(false, "partner.com")}, nil, []string{"mail.partner.com"}, true},
		"both are dropped":                     {[]policy.DomainRecord{partner(false, "mail.partner.com"), partner(true, "partner.com")}, nil, []string{"mail.partner.com", "partner.com"}, true},
		"dropped and added again":              {[]policy.DomainRecord{partner(false, "mail.partner.com")}, []policy.DomainRecord{partner(true, "partner.com")}, []string{"mail.partner.com"}, false},
		"subdomains are left out from now on":  {[]policy.DomainRecord{partner(true, "partner.com")}, []policy.DomainRecord{partner(false, "partner.com")}, nil, true},
		"the parent is dropped":                {[]policy.DomainRecord{partner(false, "mail.partner.com"), partner(true, "partner.com")}, nil, []string{"partner.com"}, false},
	} {
		w := newWorld(t, acme(policy.Policy{}))
		w.domains = c.has
		w.signIn(came{account: "pia", email: "pia@mail.partner.com", steps: []did{password()}})
		d := Draft{AddDomains: c.add}
		for _, name := range c.drop {
			d.DropDomains = append(d.DropDomains, domainOf(t, name))
		}
		r := w.try(d)
		if len(r.Changes) != 0 != c.want || c.want && only(t, r).Kind != managed {
			t.Errorf("%s: %+v", name, r.Changes)
		}
	}
	w := newWorld(t, acme(policy.Policy{Default: block}))
	w.signIn(came{account: "pia", email: "pia@partner.com", steps: []did{password()}})
	w.signIn(came{account: "gus", email: "gus@partner.com", steps: []did{password()}})
	for name, key := range map[string]policy.AccountKey{"account": namer{}.AccountKey(uid, "pia"), "address": hashed("address", uid, "pia@partner.com")} {
		r := w.try(Draft{AddClaims: []policy.ClaimRecord{{Key: key}}})
		counts(t, r, 1, 0, 0)
		want := Kind{Ending: audit.EndingDenied, Reason: audit.ReasonOrganizationBlocksExternal, Allowed: true, ClassChanges: true}
		if c := only(t, r); c.Kind != want || len(r.Rules) != 0 {
			t.Errorf("%s: %+v, rules %+v: no rule decides about who is claimed", name, c, r.Rules)
		}
	}
}

func TestStopsOfADraft(t *testing.T) {
	for name, c := range map[string]struct {
		sign   came
		change func(*policy.Organization)
		want   string // "": nothing changes
	}{
		"a network": {came{steps: []did{password()}}, func(o *policy.Organization) {
			o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}, audit.ReasonNetworkBlocked},
		"a network in the middle": {came{ip: "198.51.100.1", steps: []did{password(), {Type: audit.TypeMFAChallenged, ip: "192.0.2.1"}, {Type: audit.TypeMFAChallenged}}},
			func(o *policy.Organization) {
				o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			}, audit.ReasonNetworkBlocked},
		"a network of others": {came{steps: []did{password()}}, func(o *policy.Organization) {
			o.Policy.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		}, ""},
		"everybody":       {came{steps: []did{password()}}, func(o *policy.Organization) { o.Policy.Stops.External = true }, audit.ReasonOrganizationBlocksExternal},
		"a site":          {came{steps: []did{password()}}, func(o *policy.Organization) { o.Sites[0].Disabled = true }, audit.ReasonSiteDisabled},
		"another site":    {came{steps: []did{password()}}, func(o *policy.Organization) { o.Sites[1].Disabled = true }, ""},
		"a site is gone":  {came{steps: []did{password()}}, func(o *policy.Organization) { o.Sites = o.Sites[1:] }, audit.ReasonSiteDisabled},
		"the whole":       {came{steps: []did{password()}}, func(o *policy.Organization) { o.Disabled = true }, audit.ReasonSiteDisabled},
		"a connection":    {came{steps: []did{sso()}}, func(o *policy.Organization) { o.Connections[0].Disabled = true }, audit.ReasonConnectionDisabled},
		"it is gone":      {came{steps: []did{sso()}}, func(o *policy.Organization) { o.Connections = o.Connections[1:] }, audit.ReasonConnectionDisabled},
		"another by name": {came{steps: []did{sso()}}, func(o *policy.Organization) { o.Connections[0].UID = "uid-2" }, audit.ReasonConnectionDisabled},
		"not what bound":  {came{steps: []did{password(), sso()}}, func(o *policy.Organization) { o.Connections[0].Disabled = true }, audit.ReasonConnectionDisabled},
		"gone, not needed": {came{steps: []did{password(), sso()}}, func(o *policy.Organization) { o.Connections = o.Connections[1:] },
			""},
		"another connection": {came{steps: []did{sso()}}, func(o *policy.Organization) { o.Connections[1].Disabled = true }, ""},
		"refused anyway":     {came{steps: []did{password()}, ending: audit.EndingDenied, reason: audit.ReasonRiskBlocked}, func(o *policy.Organization) { o.Disabled = true }, ""},
		"failed anyway":      {came{steps: []did{password()}, ending: audit.EndingFailed, reason: audit.ReasonWrongCode, change: unmet}, func(o *policy.Organization) { o.Disabled = true }, ""},
	} {
		w := newWorld(t, acme(policy.Policy{}))
		c.sign.account, c.sign.email = "pia", "pia@partner.com"
		w.signIn(c.sign)
		r := w.try(w.draft(policy.Policy{}, c.change))
		switch {
		case c.want == "" && (len(r.Changes) > 0 || r.Unchanged != 1):
			t.Errorf("%s: %+v", name, r)
		case c.want != "":
			if k := only(t, r); k.WouldBe != c.want || k.Allowed || len(r.Rules) > 0 || r.NeedsEnrolment.Count > 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

// unmet makes the end of a flow one that some demand was not met at.
func unmet(f *audit.FlowRecord) {
	for i := range f.Events {
		if d := f.Events[i].Decision; d != nil {
			d.Verdict, d.Reason = audit.VerdictContinue, audit.ReasonMFARequired
		}
	}
}

func TestWhoGaveUpMayHaveGotIn(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{Default: anyMFA}))
	for _, e := range []audit.Ending{audit.EndingAbandoned, audit.EndingCancelled, audit.EndingSuperseded, audit.EndingFailed} {
		w.signIn(came{account: "pia", steps: []did{password()}, ending: e})
	}
	r := w.try(w.draft(policy.Policy{}))
	if len(r.Changes) != 4 || r.Unchanged != 0 {
		t.Errorf("%+v", r)
	}
	for _, c := range r.Changes {
		if !c.Allowed || c.WouldBe != "" {
			t.Errorf("%+v", c)
		}
	}
	counts(t, w.try(w.draft(policy.Policy{Default: block})), 4, 0, 0) // they did not get in, and would not
}

func TestASuspensionOfThenHoldsAndOneOfNowDoesNot(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{Default: block}, func(o *policy.Organization) { o.SuspendedUntil = noon.Add(10 * time.Second) }))
	w.signIn(came{account: "pia", at: noon, steps: []did{password()}})
	w.org.SuspendedUntil = time.Time{}
	w.signIn(came{account: "pia", at: noon.Add(time.Minute), steps: []did{password()}})
	w.org.SuspendedUntil = noon.Add(time.Hour)
	for name, d := range map[string]Draft{"the same": {}, "the same text": w.draft(policy.Policy{Default: block})} {
		r := w.try(d)
		t.Run(name, func(t *testing.T) { counts(t, r, 2, 0, 0) })
	}
	if c := only(t, w.try(w.draft(policy.Policy{}))); c.Ending != audit.EndingDenied || !c.Allowed {
		t.Errorf("%+v", c)
	}
}

func TestRulesCountAsTheyDidAtTheMomentOfTheSignIn(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{}))
	w.signIn(came{account: "pia", at: noon, steps: []did{password()}})
	rule := func(r policy.Rule) Draft {
		r.ID, r.Mode, r.Demands = "r", max(r.Mode, policy.ModeEnforce), block
		return w.draft(policy.Policy{Rules: []policy.Rule{r}})
	}
	for name, c := range map[string]struct {
		rule policy.Rule
		bite bool
	}{
		"enforced":       {policy.Rule{}, true},
		"before its day": {policy.Rule{EnforceFrom: noon.Add(time.Minute)}, false},
		"after it":       {policy.Rule{EnforceFrom: noon.Add(-time.Minute)}, true},
		"expired":        {policy.Rule{ExpiresAt: noon.Add(-time.Minute)}, false},
		"not yet":        {policy.Rule{ExpiresAt: noon.Add(time.Minute)}, true},
		"on trial":       {policy.Rule{Mode: policy.ModeReportOnly}, false},
	} {
		if r := w.try(rule(c.rule)); len(r.Changes) == 1 != c.bite {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
