package authflow

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// drawnPolicy is a policy that may ask for anything.
func drawnPolicy(t *rapid.T, tb testing.TB) policy.Policy {
	p := policy.Policy{Default: drawnDemands(t)}
	domain := address(tb, "x@partner.example.com").Domain()
	for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
		r := policy.Rule{ID: fmt.Sprint("rule-", i), Mode: policy.ModeEnforce, Demands: drawnDemands(t)}
		switch rapid.IntRange(0, 6).Draw(t, "match") {
		case 0:
			r.Match.Domains = []policy.DomainMatch{{Domain: domain}}
		case 1:
			r.Match.Accounts = []policy.AccountKey{hashNamer{}.AccountKey(orgUID, rapid.SampledFrom([]string{alice, mallory, "bob"}).Draw(t, "named"))}
		case 2:
			r.Match.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		case 3:
			r.Match.Connections = []string{rapid.SampledFrom([]string{"okta", "entra", "google"}).Draw(t, "through")}
		case 4:
			r.Match.Kinds = []audit.SubjectKind{audit.SubjectPerson}
		case 5:
			r.Match.Accounts = []policy.AccountKey{hashNamer{}.AddressKey(orgUID, address(tb, "alice@partner.example.com"))}
		}
		if rapid.IntRange(0, 3).Draw(t, "on trial") == 0 {
			r.Mode = policy.ModeReportOnly
		}
		if rapid.IntRange(0, 3).Draw(t, "begins") == 0 {
			r.EnforceFrom = noon.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "from")) * time.Hour)
			r.EnrolmentGrace = time.Duration(rapid.IntRange(0, 30).Draw(t, "grace")) * time.Hour
		}
		if rapid.IntRange(0, 5).Draw(t, "ends") == 0 {
			r.ExpiresAt = noon.Add(time.Duration(rapid.IntRange(-5, 30).Draw(t, "until")) * time.Hour)
		}
		p.Rules = append(p.Rules, r)
	}
	if rapid.IntRange(0, 3).Draw(t, "networks") == 0 {
		p.Stops.Networks = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	}
	if rapid.IntRange(0, 8).Draw(t, "domains") == 0 {
		p.Stops.Domains = []policy.DomainMatch{{Domain: domain}}
	}
	if rapid.IntRange(0, 20).Draw(t, "everybody") == 0 {
		p.Stops.External = true
	}
	return p
}

func drawnDemands(t *rapid.T) policy.Demands {
	var d policy.Demands
	age := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(1, 600).Draw(t, name)) * time.Minute
	}
	if rapid.IntRange(0, 3).Draw(t, "methods") == 0 {
		d.Methods = rapid.SampledFrom([][]string{{"password", "passkey"}, {"sso:okta", "social"}, {"sso", "session"}, {"session", "password", "token"}}).Draw(t, "of")
	}
	switch rapid.IntRange(0, 4).Draw(t, "sso") {
	case 0:
		d.SSOConnection, d.SSOEvidence = "okta", audit.EvidenceAsserted
	case 1:
		d.SSOConnection = rapid.SampledFrom([]string{"okta", "entra"}).Draw(t, "verified")
	}
	if rapid.IntRange(0, 2).Draw(t, "mfa") == 0 {
		d.MFA = &policy.MFADemand{Evidence: audit.EvidenceAsserted, AcceptPartner: rapid.Bool().Draw(t, "partner"), PartnerACR: []string{"mfa"}}
		if rapid.Bool().Draw(t, "aged") {
			d.MFA.MaxAge = age("mfa age")
		}
		if rapid.Bool().Draw(t, "some") {
			d.MFA.Factors = rapid.SampledFrom([][]string{{audit.FactorTOTP}, {audit.FactorSMS}, {audit.FactorWebAuthn, audit.FactorTOTP}}).Draw(t, "factors")
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "reverify") == 0 {
		d.Reverify = age("reverify")
	}
	if rapid.IntRange(0, 4).Draw(t, "length") == 0 {
		d.SessionLength = age("length")
	}
	d.Block = rapid.IntRange(0, 12).Draw(t, "block") == 0
	return d
}

// life is a random life at one site.
type life struct {
	*partners
	*filed
	rt   *rapid.T
	auth *Authenticators
	key  string // secret of alice's app; "" while she has none
	open []FlowID
}

func newLife(t *testing.T, rt *rapid.T) *life {
	p := newPartners(t, federated(drawnPolicy(rt, t)))
	l := &life{partners: p, filed: &filed{w: p.world}, rt: rt, auth: p.administration(p.flows)}
	p.idp.verified = true
	l.note()
	l.open = []FlowID{p.flow}
	return l
}

func (l *life) tick(most int) {
	l.setNow(l.clock().Add(time.Duration(rapid.IntRange(0, most).Draw(l.rt, "seconds")) * time.Second))
}

// call lets a call fail: only what comes of those that do not is on record.
func (l *life) call(err error) {
	_ = err
	l.note()
}

func (l *life) context() Context {
	return Context{IP: netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.7", "198.51.100.3", "198.51.100.4", "203.0.113.9"}).Draw(l.rt, "ip")),
		DeviceID: rapid.SampledFrom([]string{"", "laptop", "phone"}).Draw(l.rt, "device")}
}

func (l *life) begin1() {
	in := l.startInput(l.request())
	in.Context = l.context()
	if rapid.IntRange(0, 4).Draw(l.rt, "typed") == 0 {
		in.Subject.Address = address(l.t, "alice@acme.example.net")
	}
	if rapid.IntRange(0, 5).Draw(l.rt, "late") == 0 {
		in.OccurredAt = l.clock().Add(-time.Duration(rapid.IntRange(2, 600).Draw(l.rt, "ago")) * time.Minute)
		for range rapid.IntRange(0, 3).Draw(l.rt, "steps") {
			s := drawStep(l.rt, l.t, in.OccurredAt).Step.StepReport
			s.OccurredAt = in.OccurredAt
			in.Steps = append(in.Steps, s)
		}
	}
	a, err := l.flows.Start(l.t.Context(), caller, in)
	if l.call(err); err == nil {
		l.flow = a.Flow
		l.open = append(l.open, a.Flow)
	}
}

func (l *life) report() {
	in := drawStep(l.rt, l.t, l.clock())
	r := &in.Step.StepReport
	if rapid.IntRange(0, 2).Draw(l.rt, "moves") == 0 {
		c := l.context()
		r.Context = &c
	}
	if r.Subject.AccountID != "" && r.Subject.Address.IsZero() && rapid.Bool().Draw(l.rt, "mailed") {
		yes := rapid.Bool().Draw(l.rt, "proven")
		r.Subject.Address, r.Subject.EmailVerified = address(l.t, "alice@partner.example.com"), &yes
	}
	if r.Type == audit.TypePasswordlessVerified {
		yes := rapid.Bool().Draw(l.rt, "knows")
		r.UserVerified = &yes
	}
	if r.Type == audit.TypeSSOVerified && rapid.Bool().Draw(l.rt, "said") {
		r.AMR = []string{rapid.SampledFrom([]string{"mfa", "pwd"}).Draw(l.rt, "amr")}
	}
	_, err := l.flows.Step(l.t.Context(), caller, StepInput{Organization: "acme", Flow: l.flow, RequestID: l.request(), Step: *r})
	l.call(err)
}

// prove binds whom it can, so that lives do not run out in notes.
func (l *life) prove() {
	in := reports(rapid.SampledFrom([]audit.Type{audit.TypePasswordVerified, audit.TypeSSOVerified, audit.TypePasswordlessVerified, audit.TypeMFAVerified}).Draw(l.rt, "proof"), alice)
	yes := true
	in.Step.Subject.Address, in.Step.Subject.EmailVerified, in.Step.UserVerified = address(l.t, "alice@partner.example.com"), &yes, nil
	_, err := l.flows.Step(l.t.Context(), caller, StepInput{Organization: "acme", Flow: l.flow, RequestID: l.request(), Step: in.Step.StepReport})
	l.call(err)
}

func (l *life) federate() {
	in := BeginInput{Organization: "acme", Flow: l.flow, RequestID: l.request(), Connection: rapid.SampledFrom([]string{"okta", "okta", "entra"}).Draw(l.rt, "at"),
		Links: rapid.Bool().Draw(l.rt, "links")}
	b, err := l.flows.BeginFederation(l.t.Context(), caller, in)
	if l.call(err); err != nil {
		return
	}
	l.tick(20)
	subject := rapid.SampledFrom([]string{"s1", "s2"}).Draw(l.rt, "subject")
	_, err = l.flows.CompleteFederation(l.t.Context(), caller, l.came(b, subject, subject+"@partner.example.com"))
	l.call(err)
}

func (l *life) name() {
	_, err := l.link(rapid.SampledFrom([]string{"bob", alice, "carol"}).Draw(l.rt, "account"))
	l.call(err)
}

func (l *life) enrol() {
	if l.key != "" {
		return
	}
	c := &clinic{world: l.world, auth: l.auth, n: 1000}
	l.key = c.enrolled(alice)
	l.note()
}

func (l *life) totp() {
	if l.key == "" {
		return
	}
	l.tick(60)
	_, err := l.flows.VerifyTotp(l.t.Context(), caller,
		TotpInput{Organization: "acme", Flow: l.flow, RequestID: l.request(), Code: codeAt(l.t, l.key, l.clock())})
	l.call(err)
}

func (l *life) end() {
	_, err := l.finish(l.flow, l.request(), rapid.SampledFrom([]Action{ActionComplete, ActionComplete, ActionComplete, ActionCancel}).Draw(l.rt, "action"))
	l.call(err)
}

// over lets time end what is left.
func (l *life) over() []audit.FlowRecord {
	l.setNow(l.clock().Add(2 * time.Hour))
	for _, id := range l.open {
		_, err := l.flows.lapse(l.t.Context(), DueFlow{orgUID, id})
		l.call(err)
	}
	return l.records()
}

func (l *life) live(n int) {
	for range n {
		l.tick(rapid.SampledFrom([]int{1, 30, 400, 20_000}).Draw(l.rt, "pace"))
		rapid.SampledFrom([]func(){l.begin1, l.begin1, l.prove, l.prove, l.prove, l.report, l.report, l.federate, l.name, l.enrol, l.totp, l.totp, l.end, l.end}).Draw(l.rt, "call")()
	}
}
