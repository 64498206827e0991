package redisstore_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// canaries are values of a sign-in that each must not be found where they are not kept.
const (
	canaryLocal  = "canary.mia"
	canaryEmail  = canaryLocal + "@guest.example.org"
	canaryIP     = "198.51.100.77"
	canaryAgent  = "canary-agent/7"
	canaryDevice = "canary-device"
	canaryName   = "Canary Mia"
	canaryDetail = "canary-detail"
)

// keeping makes what the record of the clinic's organization keeps of people.
func (c *clinic) keeping(o audit.Privacy, change ...func(*policy.Organization)) {
	c.t.Helper()
	next := *c.rig.current(c.t, c.org)
	next.Privacy = o
	for _, f := range change {
		f(&next)
	}
	c.rig.change(c.t, policy.Change{Organization: &next, WritePolicy: true})
}

func canaryContext() *authflow.Context {
	return &authflow.Context{IP: netip.MustParseAddr(canaryIP), UserAgent: canaryAgent, DeviceID: canaryDevice, Client: audit.ClientWeb}
}

func (c *clinic) canary(account string) authflow.Subject {
	c.t.Helper()
	mail, err := policy.ParseAddress(canaryEmail)
	if err != nil {
		c.t.Fatal(err)
	}
	return authflow.Subject{AccountID: account, Address: mail, DisplayName: canaryName}
}

// wholeSignIn signs a person in with everything a login service says, in turns from both processes, and returns the flow.
func (c *clinic) wholeSignIn() authflow.FlowID {
	c.t.Helper()
	ctx, new := c.t.Context(), uuid.NewString
	must := func(a authflow.Answer, err error) authflow.Answer {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
		return a
	}
	first, second := &c.processes[0], &c.processes[1]
	a := must(first.flows.Start(ctx, loginService, authflow.StartInput{Organization: "acme", Site: "wiki", RequestID: new(), Context: *canaryContext(),
		Subject: c.canary("")}))
	step := func(p *clinicProcess, s authflow.StepReport) authflow.Answer {
		c.t.Helper()
		return must(p.flows.Step(ctx, loginService, authflow.StepInput{Organization: "acme", Flow: a.Flow, RequestID: new(), Step: s}))
	}
	step(second, authflow.StepReport{Type: audit.TypePasswordRejected, Reason: audit.ReasonOther, Detail: canaryDetail + " of " + canaryEmail, Subject: c.canary("acct-1")})
	step(first, authflow.StepReport{Type: audit.TypePasswordlessStarted, Method: audit.MethodMagicLink, Subject: c.canary("")})
	step(second, authflow.StepReport{Type: audit.TypePasswordVerified, Subject: c.canary("acct-1")})
	totp := func(p *clinicProcess, code string) authflow.Answer {
		c.t.Helper()
		return must(p.flows.VerifyTotp(ctx, loginService, authflow.TotpInput{Organization: "acme", Flow: a.Flow, RequestID: new(), Code: code, Context: canaryContext()}))
	}
	totp(first, c.wrongCode())
	if got := totp(second, c.code()); got.Verdict != audit.VerdictAllow || got.Decision.Rule != "from-outside" {
		c.t.Fatalf("%s by rule %q: what decides did not see what is not kept", got.Verdict, got.Decision.Rule)
	}
	must(first.flows.Finish(ctx, loginService, authflow.FinishInput{Organization: "acme", Flow: a.Flow, RequestID: new(),
		Finish: authflow.Finish{Action: authflow.ActionComplete, Detail: canaryDetail}}))
	handle := []byte("a handle")
	must(second.flows.RecordSession(ctx, loginService, authflow.SessionInput{Organization: "acme", Site: "wiki", RequestID: new(), Event: authflow.SessionStarted,
		Handle: handle, Flow: a.Flow, Context: *canaryContext()}))
	if used, err := first.flows.CheckAccess(ctx, loginService, authflow.AccessInput{Organization: "acme", Site: "wiki", Kind: authflow.KindOfSession, Handle: handle,
		Context: *canaryContext()}); err != nil || used.Verdict != audit.VerdictAllow {
		c.t.Fatalf("%+v, %v", used, err)
	}
	return a.Flow
}

// kept are the opened events of one flow with everything they could be found by.
func (c *clinic) kept(flow authflow.FlowID) []audit.Event {
	c.t.Helper()
	var out []audit.Event
	for _, m := range c.rig.client.XRange(c.t.Context(), outboxOf(c.rig.store, c.org.UID), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := c.rig.codec.Decode([]byte(raw))
		if err == nil {
			err = c.rig.codec.Open(&e)
		}
		if err != nil || e.PersonalState != "" {
			c.t.Fatalf("%v, %s", err, e.PersonalState)
		}
		if e.Flow == flow.String() {
			out = append(out, e)
		}
	}
	return out
}

func textOf(p audit.Personal) string {
	return strings.Join(append(append(p.AMR, p.Items...), p.Email, p.TypedAddress, p.PreviousEmail, p.DisplayName, p.IP, p.UserAgent, p.DeviceID, p.Detail, p.ACR,
		p.SubjectID), "\n")
}

func (c *clinic) foundBy(e *audit.Event, purpose audit.Purpose, value string) bool {
	c.t.Helper()
	want, err := c.rig.keyring.Index(c.org.UID, purpose, value)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, i := range e.Indexes {
		if i.Purpose == purpose && string(i.Value) == string(want.Value) {
			return true
		}
	}
	return false
}

// fromOutside asks for a code of whoever comes from the canary's network: it decides by an address that may not be kept.
func fromOutside(o *policy.Organization) {
	o.Policy.Rules = []policy.Rule{{ID: "from-outside", Mode: policy.ModeEnforce, Match: policy.Match{Networks: []netip.Prefix{netip.MustParsePrefix(canaryIP + "/32")}},
		Demands: policy.Demands{MFA: &policy.MFADemand{Factors: []string{audit.FactorTOTP}, Evidence: audit.EvidenceVerified}}}}
}

func TestWhatARecordDoesNotKeepIsInNoEventOfASignInAndDecidesAllTheSame(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	everything := audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPOmitted, UserContent: audit.ContentOmitted}
	c.keeping(everything, fromOutside)
	events := c.kept(c.wholeSignIn())
	if len(events) != 9 {
		t.Errorf("%d events: %+v", len(events), events)
	}
	for i := range events {
		e := &events[i]
		if got := strings.Trim(textOf(e.Personal), "\n"); got != "" || e.Personal.EmailVerified != nil || e.Privacy != everything {
			t.Errorf("%s keeps %q under %+v", e.Type, got, e.Privacy)
		}
		for purpose, value := range map[audit.Purpose]string{audit.IndexEmail: canaryEmail, audit.IndexEmailDomain: "guest.example.org", audit.IndexName: strings.ToLower(canaryName),
			audit.IndexNetwork32: canaryIP + "/32", audit.IndexNetwork24: "198.51.100.0/24", audit.IndexNetwork16: "198.51.0.0/16"} {
			if c.foundBy(e, purpose, value) {
				t.Errorf("%s is found by %s", e.Type, value)
			}
		}
	}
	last := events[len(events)-1]
	if last.Personal.AccountID != "acct-1" || !c.foundBy(&last, audit.IndexAccount, "acct-1") {
		t.Errorf("whose it is, is not kept: %+v", last.Personal)
	}
}

func TestPseudonymsAndNetworksStandInTheirPlace(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	c.keeping(audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPTruncated}, fromOutside)
	pseudonym := c.rig.keyring.Pseudonym(c.org.UID, canaryEmail)
	shown := 0
	for _, e := range c.kept(c.wholeSignIn()) {
		text := textOf(e.Personal)
		if strings.Contains(text, canaryLocal) || strings.Contains(text, canaryIP) || e.Personal.IP != "198.51.100.0" {
			t.Errorf("%s keeps %q", e.Type, text)
		}
		if strings.Contains(text, pseudonym) {
			shown++
			if !c.foundBy(&e, audit.IndexEmail, canaryEmail) {
				t.Errorf("%s is not found by its address", e.Type)
			}
		}
		if c.foundBy(&e, audit.IndexNetwork32, canaryIP+"/32") || !c.foundBy(&e, audit.IndexNetwork24, "198.51.100.0/24") || c.foundBy(&e, audit.IndexEmailDomain, "guest.example.org") {
			t.Errorf("%s is found by the wrong things", e.Type)
		}
	}
	if shown != 9 {
		t.Errorf("%d events show the pseudonym", shown)
	}
}

func TestASiteKeepsWhatItSaysWhereItsOrganizationSaysOtherwise(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	c.keeping(audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPOmitted}, fromOutside, func(o *policy.Organization) {
		o.Sites[0].Privacy = audit.Privacy{Email: audit.EmailFull}
	})
	for _, e := range c.kept(c.wholeSignIn()) {
		if e.Personal.Email != canaryEmail && e.Personal.TypedAddress != canaryEmail || e.Personal.IP != "" {
			t.Errorf("%s keeps %+v", e.Type, e.Personal)
		}
	}
}

func TestHeldStepsKeepNoMoreThanEitherThenOrWhenTheyAreWritten(t *testing.T) {
	for _, privacy := range [][2]audit.Privacy{{{}, {Email: audit.EmailOmitted}}, {{Email: audit.EmailOmitted}, {}}} {
		c := newClinic(t, time.Hour)
		domain, err := policy.ParseDomain("guest.example.org")
		if err != nil {
			t.Fatal(err)
		}
		c.rig.change(t, policy.Change{Organization: c.rig.current(t, c.org), AddDomains: []policy.DomainRecord{{Domain: domain, VerifiedBy: policy.VerifiedByOperator}}})
		c.keeping(privacy[0])
		ctx, flows := t.Context(), c.processes[0].flows
		a, err := flows.Start(ctx, loginService, authflow.StartInput{Organization: "acme", Site: "wiki", RequestID: uuid.NewString(), Subject: c.canary(""), Context: *canaryContext()})
		if err != nil || a.Recorded || len(c.kept(a.Flow)) != 0 {
			t.Fatalf("%+v, %v: a managed address is on the record", a, err)
		}
		c.keeping(privacy[1])
		// Somebody else's address proves to be nobody's here: the flow goes on the record with all it held.
		other, err := policy.ParseAddress("external@other.example.net")
		if err != nil {
			t.Fatal(err)
		}
		if a, err = c.processes[1].flows.Step(ctx, loginService, authflow.StepInput{Organization: "acme", Flow: a.Flow, RequestID: uuid.NewString(),
			Step: authflow.StepReport{Type: audit.TypePasswordVerified, Subject: authflow.Subject{AccountID: "acct-9", Address: other}}}); err != nil || !a.Recorded {
			t.Fatalf("%+v, %v", a, err)
		}
		events := c.kept(a.Flow)
		if len(events) != 2 {
			t.Fatalf("%d events", len(events))
		}
		for _, e := range events {
			if strings.Contains(textOf(e.Personal), "@") || e.Privacy.Email != audit.EmailOmitted || e.Personal.IP != canaryIP {
				t.Errorf("from %+v to %+v %s keeps %+v", privacy[0], privacy[1], e.Type, e.Personal)
			}
		}
	}
}

func TestAnEventOfNoFlowKeepsWhatItsOrganizationSaysWhoeverAppendsIt(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.keeping(audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPTruncated})
	store, _, _ := c.rig.process(t, c.rig.server.client(t))
	id := uuid.Must(uuid.NewV7()).String()
	e := audit.Event{ID: id, Type: audit.TypeLogTested, Time: time.Now(), Organization: "acme", OrganizationUID: c.org.UID, Flow: id,
		Personal: audit.Personal{Email: canaryEmail, IP: canaryIP, AccountID: "acct-1"}}
	if err := store.Outbox().Append(t.Context(), c.org.UID, e); err != nil {
		t.Fatal(err)
	}
	flow, err := authflow.ParseFlowID(id)
	if err != nil {
		t.Fatal(err)
	}
	got := c.kept(flow)
	if len(got) != 1 || got[0].Personal.Email != "" || got[0].Personal.IP != "198.51.100.0" || got[0].Personal.AccountID != "acct-1" {
		t.Errorf("%+v", got)
	}
}
