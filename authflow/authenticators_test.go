package authflow

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func (c *clinic) enrolIn(flow FlowID) EnrolInput {
	return EnrolInput{Organization: "acme", RequestID: c.request(), AccountID: alice, Flow: flow, Issuer: "Acme", Label: "alice"}
}

func (c *clinic) administrative() []audit.Event {
	var out []audit.Event
	for _, e := range c.store.outbox {
		if strings.HasPrefix(string(e.Type), "authenticator.") || e.Type == audit.TypeProofsRevoked {
			out = append(out, e)
		}
	}
	return out
}

func TestASecretIsHandedOutUntilItIsConfirmed(t *testing.T) {
	c := newClinic(t, strictMFA)
	flow := c.bound(alice)
	in := c.enrolIn(flow)
	first, err := c.auth.Enrol(t.Context(), caller, in)
	if err != nil || first.HandOut.Secret == "" || first.Authenticator.State != factor.Pending || first.Subject != c.key(alice) {
		t.Fatalf("%v", err)
	}
	again, err := c.auth.Enrol(t.Context(), caller, in)
	if err != nil || !reflect.DeepEqual(again.HandOut, first.HandOut) {
		t.Fatalf("a repeated call got another secret: %v", err)
	}
	if a, err := c.totp(flow, "early", codeAt(t, first.HandOut.Secret, c.clock())); err != nil || a.Reason != audit.ReasonWrongCode || c.rejected(flow) != audit.ReasonNotEnrolled {
		t.Fatalf("%+v %v", a, err)
	}
	confirm := ConfirmInput{Organization: "acme", RequestID: "c", Subject: first.Subject, Code: wrongAt(t, first.HandOut.Secret, c.clock())}
	_, err = c.auth.Confirm(t.Context(), caller, confirm)
	wantReason(t, err, ErrCodeWrong)
	confirm.Code = "12 345"
	_, err = c.auth.Confirm(t.Context(), caller, confirm)
	wantReason(t, err, ErrCodeForm)
	confirm.Code = codeAt(t, first.HandOut.Secret, c.clock().Add(-5*time.Minute))
	_, err = c.auth.Confirm(t.Context(), caller, confirm)
	if e := errs.As(err); e == nil || e.Meta["reason"] != audit.ReasonCodeExpired {
		t.Fatalf("%v", err)
	}
	confirm.Code = codeAt(t, first.HandOut.Secret, c.clock())
	got, err := c.auth.Confirm(t.Context(), caller, confirm)
	if err != nil || got.Authenticator.State != factor.Active {
		t.Fatalf("%+v %v", got, err)
	}
	if got, err = c.auth.Confirm(t.Context(), caller, confirm); err != nil || got.Authenticator.State != factor.Active {
		t.Fatalf("a repeated call got %v", err)
	}
	_, err = c.auth.Enrol(t.Context(), caller, in)
	wantReason(t, err, ErrSecretShown)
	if a, err := c.totp(flow, "spent", confirm.Code); err != nil || c.rejected(flow) != audit.ReasonCodeReplayed {
		t.Fatalf("the code that confirmed opens doors: %+v %v", a, err)
	}
	c.setNow(c.clock().Add(30 * time.Second))
	if a, err := c.totp(flow, "now", codeAt(t, first.HandOut.Secret, c.clock())); err != nil || a.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v %v", a, err)
	}
	if e := c.last(flow).Enrolment; e == nil || e.Flow != flow.String() || e.Method != audit.MethodPassword || e.Evidence != audit.EvidenceAsserted {
		t.Fatalf("%+v", e)
	}
	events := c.administrative()
	if len(events) != 2 || events[0].Type != audit.TypeAuthenticatorEnrolled || events[1].Type != audit.TypeAuthenticatorConfirmed {
		t.Fatalf("%+v", events)
	}
	for _, e := range events {
		if e.Step != 0 || e.Personal.AccountID != alice || e.Authenticator == "" || e.Target == nil || e.Caller != caller.Principal {
			t.Errorf("%+v", e)
		}
	}
	next, err := c.auth.Enrol(t.Context(), caller, c.enrolIn(flow)) // proven in this flow: it may be followed by another
	if err != nil || next.Authenticator.State != factor.Active || next.Authenticator.Pending.IsZero() {
		t.Fatalf("%v", err)
	}
	_, err = c.auth.Enrol(t.Context(), caller, c.enrolIn(c.bound(alice)))
	wantReason(t, err, "AUTHENTICATOR_ACTIVE")
}

func TestWhatAnEnrolmentNeeds(t *testing.T) {
	sso := policy.Policy{Default: policy.Demands{SSOConnection: "okta", SSOEvidence: audit.EvidenceAsserted, MFA: strictMFA.Default.MFA}}
	for name, x := range map[string]struct {
		policy policy.Policy
		flow   func(c *clinic) FlowID
		change func(*EnrolInput)
		reason string
	}{
		"neither flow nor reason":     {strictMFA, func(*clinic) FlowID { return FlowID{} }, nil, ErrReasonRequired},
		"a flow that is not there":    {strictMFA, func(*clinic) FlowID { return flowID(t, 99) }, nil, ErrFlowNotFound},
		"a flow of nobody":            {strictMFA, func(c *clinic) FlowID { return c.start("n").Flow }, nil, ErrEnrolFlow},
		"a flow of somebody else":     {strictMFA, func(c *clinic) FlowID { return c.bound(mallory) }, nil, ErrEnrolFlow},
		"a flow that has ended":       {strictMFA, func(c *clinic) FlowID { f := c.bound(alice); _, _ = c.finish(f, "f", ActionCancel); return f }, nil, ErrEnrolFlow},
		"a flow whose time is up":     {strictMFA, func(c *clinic) FlowID { f := c.bound(alice); c.setNow(noon.Add(time.Hour)); return f }, nil, ErrEnrolFlow},
		"a flow short of its sign-on": {sso, func(c *clinic) FlowID { return c.bound(alice) }, nil, ErrEnrolFlow},
		"a flow that is stopped": {strictMFA, func(c *clinic) FlowID {
			f := c.bound(alice)
			c.store.org = changed(c.store.org, func(o *policy.Organization) { o.Policy.Stops.External = true; o.PolicyStamp = stampOf(9) })
			return f
		}, nil, ErrEnrolFlow},
		"an issuer with a colon": {strictMFA, func(c *clinic) FlowID { return c.bound(alice) }, func(in *EnrolInput) { in.Issuer = "a:b" }, "FIELD_INVALID"},
		"nine digits":            {strictMFA, func(c *clinic) FlowID { return c.bound(alice) }, func(in *EnrolInput) { in.Digits = 9 }, "FIELD_INVALID"},
	} {
		c := newClinic(t, x.policy)
		in := c.enrolIn(x.flow(c))
		if x.change != nil {
			x.change(&in)
		}
		if _, err := c.auth.Enrol(t.Context(), caller, in); !errs.Is(err, x.reason) {
			t.Errorf("%s: %v", name, err)
		}
		if len(c.administrative()) != 0 || c.store.subjects[c.key(alice)].Authenticator != nil {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestTheHelpDeskUnlocksAndResets(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	flow := c.bound(alice)
	for i := range factor.FailuresToLock {
		if _, err := c.totp(flow, fmt.Sprint(i), wrongAt(t, key, c.clock())); err != nil {
			t.Fatal(err)
		}
	}
	in := MendInput{Organization: "acme", RequestID: "u", Subject: c.key(alice)}
	_, err := c.auth.Unlock(t.Context(), caller, in)
	wantReason(t, err, ErrReasonRequired)
	in.Reason = "she called"
	got, err := c.auth.Unlock(t.Context(), caller, in)
	if err != nil || got.Authenticator.Failures != 0 || !got.Authenticator.LockUntil.IsZero() {
		t.Fatalf("%+v %v", got, err)
	}
	if a, err := c.totp(flow, "after", codeAt(t, key, c.clock())); err != nil || a.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v %v", a, err)
	}
	before := len(c.store.outbox)
	if _, err := c.auth.Unlock(t.Context(), caller, in); err != nil || len(c.store.outbox) != before {
		t.Fatalf("a repeated call did something: %v", err)
	}
	in.Reason = "another reason"
	_, err = c.auth.Unlock(t.Context(), caller, in)
	wantReason(t, err, ErrRequestIDReused)
	codes := func() (n int) {
		for _, p := range c.store.subjects[c.key(alice)].Person.Proofs {
			if p.Factor == audit.FactorTOTP {
				n++
			}
		}
		return n
	}
	remembered := len(c.store.subjects[c.key(alice)].Person.Proofs)
	if codes() == 0 || codes() == remembered {
		t.Fatalf("%d of %d proofs are by code: nothing to tell apart", codes(), remembered)
	}
	in.RequestID = "r"
	if got, err = c.auth.Reset(t.Context(), caller, in); err != nil || got.Authenticator.State != factor.None {
		t.Fatalf("%+v %v", got, err)
	}
	if left := len(c.store.subjects[c.key(alice)].Person.Proofs); codes() != 0 || left == 0 {
		t.Errorf("after the reset %d proofs by code and %d in all are remembered", codes(), left)
	}
	e := c.administrative()[len(c.administrative())-1]
	if e.Type != audit.TypeAuthenticatorReset || e.Personal.Detail != "another reason" || e.Personal.AccountID != alice || len(e.Changes) == 0 || e.Authenticator == "" {
		t.Fatalf("%+v", e)
	}
	in.RequestID, in.Subject = "x", c.key(mallory)
	_, err = c.auth.Reset(t.Context(), caller, in)
	wantReason(t, err, ErrAuthenticatorNotFound)
	if _, err = c.auth.Get(t.Context(), "acme", c.key(mallory)); !errs.Is(err, ErrAuthenticatorNotFound) {
		t.Fatal(err)
	}
	if got, err = c.auth.Get(t.Context(), "acme", c.key(alice)); err != nil || got.Authenticator.State != factor.None || got.Authenticator.AccountID != alice {
		t.Fatalf("%+v %v", got, err)
	}
	c.enrolled(alice)
}

const imported = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func TestSecretsAreTakenOverAndTheSameCallGoesOnWhereItWas(t *testing.T) {
	c := newClinic(t, strictMFA)
	c.enrolled(alice)
	in := ImportInput{Organization: "acme", RequestID: "i", Reason: "from the old system", Rows: []ImportRow{
		{AccountID: alice, Secret: imported}, {AccountID: "acct-bob", Secret: imported}, {AccountID: "acct-carol", Secret: "JBSWY3DP"},
		{AccountID: "acct-dave", Secret: "not base32!"}, {AccountID: "acct-erin", Secret: imported, Digits: 12},
		{AccountID: "acct-frank", Secret: imported, Algorithm: factor.SHA256, Digits: 8, Period: time.Minute},
	}}
	n := 0
	c.store.before = func(*Commit) error {
		if n++; n == 2 {
			return errs.New(errs.Unavailable, "NOT_RECORDED", "away")
		}
		return nil
	}
	if _, err := c.auth.Import(t.Context(), caller, in); errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("%v", err)
	}
	want := Imported{Imported: 2, Skipped: 1, Problems: []ImportProblem{{2, "SECRET_TOO_WEAK"}, {3, "SECRET_INVALID"}, {4, "FIELD_INVALID"}}}
	for range 2 {
		if got, err := c.auth.Import(t.Context(), caller, in); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v %v", got, err)
		}
	}
	count := 0
	for _, e := range c.administrative() {
		if e.Type == audit.TypeAuthenticatorImported {
			count++
			if e.Enrolment == nil || !e.Enrolment.Imported || e.Target.Count != 1 || e.Personal.Detail != in.Reason {
				t.Errorf("%+v", e)
			}
		}
	}
	if count != 2 {
		t.Fatalf("%d events", count)
	}
	flow := c.bound("acct-bob")
	if a, err := c.totp(flow, "t", codeAt(t, imported, c.clock())); err != nil || a.Verdict != audit.VerdictAllow || !c.last(flow).Enrolment.Imported {
		t.Fatalf("%+v %v", a, err)
	}
	in.RequestID, in.Replace = "again", true
	in.Rows = []ImportRow{{AccountID: alice, Secret: imported}, {AccountID: "acct-bob", Secret: imported}}
	if got, err := c.auth.Import(t.Context(), caller, in); err != nil || got.Imported != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	flow = c.bound("acct-bob")
	if _, err := c.totp(flow, "t", codeAt(t, imported, c.clock())); err != nil || c.rejected(flow) != audit.ReasonCodeReplayed {
		t.Fatalf("a spent code counts again once its secret was replaced by itself: %s %v", c.rejected(flow), err)
	}
	in.Reason = ""
	_, err := c.auth.Import(t.Context(), caller, in)
	wantReason(t, err, ErrReasonRequired)
	in.Reason, in.Rows = "x", make([]ImportRow, MaxImport+1)
	_, err = c.auth.Import(t.Context(), caller, in)
	wantReason(t, err, ErrRows)
}

func TestAuthenticatorsAreListedInPages(t *testing.T) {
	c := newClinic(t, strictMFA)
	for i := range 7 {
		c.enrolled(fmt.Sprint("acct-", i))
	}
	c.bound("acct-without")
	seen := map[string]bool{}
	in := ListInput{Organization: "acme", Limit: 3}
	for pages := 1; ; pages++ {
		page, next, err := c.auth.List(t.Context(), in)
		if err != nil || len(page) > 3 {
			t.Fatalf("%d %v", len(page), err)
		}
		for _, f := range page {
			seen[f.Authenticator.AccountID] = true
		}
		if in.After = next; next == (policy.AccountKey{}) {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if len(seen) != 7 {
		t.Fatalf("%v", seen)
	}
	for account, want := range map[string]int{"acct-3": 1, "acct-without": 0, "acct-nobody": 0} {
		if page, _, err := c.auth.List(t.Context(), ListInput{Organization: "acme", AccountID: account, Limit: 3}); err != nil || len(page) != want {
			t.Errorf("%s: %d %v", account, len(page), err)
		}
	}
}

func TestRecoveryCodesNeedAllDemandsOrAReason(t *testing.T) {
	c := newClinic(t, strictMFA)
	key := c.enrolled(alice)
	flow := c.bound(alice)
	in := RecoveryCodesInput{Organization: "acme", RequestID: "g", Subject: c.key(alice), Flow: flow}
	_, err := c.auth.GenerateRecoveryCodes(t.Context(), caller, in)
	wantReason(t, err, ErrEnrolFlow)
	if _, err := c.totp(flow, "t", codeAt(t, key, c.clock())); err != nil {
		t.Fatal(err)
	}
	got, err := c.auth.GenerateRecoveryCodes(t.Context(), caller, in)
	if err != nil || len(got.Codes) != factor.RecoveryCodes || len(got.Authenticator.Recovery) != factor.RecoveryCodes {
		t.Fatalf("%v", err)
	}
	in.RequestID, in.Flow = "h", FlowID{}
	_, err = c.auth.GenerateRecoveryCodes(t.Context(), caller, in)
	wantReason(t, err, ErrReasonRequired)
	in.Subject, in.Reason = c.key(mallory), "x"
	_, err = c.auth.GenerateRecoveryCodes(t.Context(), caller, in)
	wantReason(t, err, ErrAuthenticatorNotFound)
}

func TestARevocationSaysWhoseProofs(t *testing.T) {
	c := newClinic(t, strictMFA)
	for _, in := range []RevokeInput{{}, {AccountID: alice, Whole: true}, {AccountID: alice, Site: "portal"}} {
		in.Organization, in.RequestID, in.Reason = "acme", c.request(), "x"
		_, err := c.auth.RevokeProofs(t.Context(), caller, in)
		wantReason(t, err, ErrScope)
	}
	_, err := c.auth.RevokeProofs(t.Context(), caller, RevokeInput{Organization: "acme", RequestID: "r", AccountID: alice})
	wantReason(t, err, ErrReasonRequired)
	_, err = c.auth.RevokeProofs(t.Context(), caller, RevokeInput{Organization: "acme", RequestID: "r", Site: "nowhere", Reason: "x"})
	wantReason(t, err, ErrSiteNotFound)
}

func TestAdministratorsRacingLoseNothing(t *testing.T) {
	c := newClinic(t, strictMFA)
	c.enrolled(alice)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			in := MendInput{Organization: "acme", RequestID: fmt.Sprint("race-", i/2), Subject: c.key(alice), Reason: "x"}
			if _, err := c.auth.Unlock(t.Context(), caller, in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	unlocked := 0
	for _, e := range c.administrative() {
		if e.Type == audit.TypeAuthenticatorUnlocked {
			unlocked++
		}
	}
	if unlocked != 4 {
		t.Fatalf("%d events for 4 requests", unlocked)
	}
}

func TestAPartOfTheAdministrationThatIsMissingIsNamed(t *testing.T) {
	c := newClinic(t, strictMFA)
	full := c.auth.c
	for i := range reflect.TypeFor[AuthenticatorsConfig]().NumField() {
		part := full
		reflect.ValueOf(&part).Elem().Field(i).SetZero()
		name := reflect.TypeFor[AuthenticatorsConfig]().Field(i).Name
		if _, err := NewAuthenticators(part); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
