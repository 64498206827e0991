package audit_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

func second(n int) time.Time { return time.Date(2026, 11, 20, 8, 0, n, 0, time.UTC) }

// did is an event of somebody, n seconds on.
func did(n int, t audit.Type, change ...func(*audit.Event)) *audit.Event {
	e := &audit.Event{ID: fmt.Sprint("event ", n), Type: t, Time: second(n), Sequence: int64(n), Class: audit.ClassExternal, Named: true,
		Indexes: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte("ann")}}, Sealed: &audit.Sealed{Data: []byte("sealed")}}
	for _, c := range change {
		c(e)
	}
	return e
}

func row(events ...*audit.Event) audit.SubjectRow {
	var r audit.SubjectRow
	for _, e := range events {
		r.Apply(e)
	}
	return r
}

func TestOnlyTheAccountAnEventNamesIsItsSubject(t *testing.T) {
	ann, bob := audit.Index{Purpose: audit.IndexAccount, Value: []byte("ann")}, audit.Index{Purpose: audit.IndexAccount, Value: []byte("bob")}
	mail := audit.Index{Purpose: audit.IndexEmail, Value: []byte("ann")}
	for name, c := range map[string]struct {
		e    audit.Event
		want *audit.Index
	}{
		"named":             {audit.Event{Named: true, Indexes: []audit.Index{mail, ann, bob}}, &ann},
		"claimed":           {audit.Event{Indexes: []audit.Index{ann}}, nil},
		"erased":            {audit.Event{Named: true}, nil},
		"without an index":  {audit.Event{Named: true, Indexes: []audit.Index{mail}}, nil},
		"about nobody else": {audit.Event{}, nil},
	} {
		got, ok := audit.SubjectOf(&c.e)
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
}

func TestEventsFromBeforeAreNamedAsWellAsCanBeTold(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*audit.Event)
		want   bool
	}{
		"bound":       {func(e *audit.Event) { e.Named = false }, true},
		"provisional": {func(e *audit.Event) { e.Named, e.Provisional = false, true }, false},
		"another":     {func(e *audit.Event) { e.Named, e.Reason = false, audit.ReasonSubjectMismatch }, false},
		"nobody":      {func(e *audit.Event) { e.Named, e.Indexes = false, nil }, false},
		"said":        {func(e *audit.Event) { e.Provisional = true }, true},
	} {
		e := did(1, audit.TypePasswordVerified, c.change)
		if audit.NameOld(e); e.Named != c.want {
			t.Errorf("%s: %v", name, e.Named)
		}
	}
}

func TestWhatTimeAndAdministratorsDoIsNotWhatThePersonDid(t *testing.T) {
	for _, quiet := range []*audit.Event{
		did(5, audit.TypeSignInAbandoned), did(5, audit.TypeSignInSuperseded), did(5, audit.TypeAuthenticatorReset), did(5, audit.TypeProofsRevoked),
		did(5, audit.TypeSessionEnded, func(e *audit.Event) { e.EndCause = "EXPIRED" }), did(5, audit.TypeTokenRevoked, func(e *audit.Event) { e.EndCause = "REVOKED" }),
		did(5, audit.TypeSignInSucceeded, func(e *audit.Event) { e.Forked = true }),
		did(5, audit.TypeSignInSucceeded, func(e *audit.Event) { e.Time = time.Time{} }),
	} {
		if r := row(quiet); !r.First.IsZero() || r.NewestEventID != "" {
			t.Errorf("%s makes a row: %+v", quiet.Type, r)
		}
		if r := row(did(1, audit.TypePasswordVerified), quiet); !r.Last.Equal(second(1)) || r.NewestEventID != "event 1" {
			t.Errorf("%s moves when a person was last seen: %+v", quiet.Type, r)
		}
	}
	if r := row(did(1, audit.TypePasswordVerified), did(5, audit.TypeSessionEnded, func(e *audit.Event) { e.EndCause = "LOGOUT" })); !r.Last.Equal(second(5)) {
		t.Errorf("signing out: %+v", r)
	}
}

func TestAClassHoldsSinceItWasFirstSaidWithoutAnotherInBetween(t *testing.T) {
	as := func(c audit.Class) func(*audit.Event) { return func(e *audit.Event) { e.Class = c } }
	late := func(n int) func(*audit.Event) { return func(e *audit.Event) { e.Time = second(n) } }
	provisional := func(e *audit.Event) { e.Class, e.Provisional = audit.ClassClaimed, true }
	r := row(did(1, audit.TypePasswordVerified), did(2, audit.TypePasswordVerified), did(3, audit.TypePasswordVerified, provisional),
		did(4, audit.TypePasswordVerified, as(audit.ClassUndetermined)), did(5, audit.TypePasswordVerified, as(audit.ClassUnspecified)))
	if r.Class != audit.ClassExternal || !r.ClassSince.Equal(second(1)) {
		t.Errorf("row %+v", r)
	}
	for _, e := range []*audit.Event{did(6, audit.TypePasswordVerified, as(audit.ClassManaged)), did(7, audit.TypePasswordVerified, as(audit.ClassClaimed), late(2))} {
		r.Apply(e)
	}
	if r.Class != audit.ClassManaged || !r.ClassSince.Equal(second(6)) {
		t.Errorf("what was reported late took it back: %+v", r)
	}
	r.Apply(did(8, audit.TypePasswordVerified))
	if r.Class != audit.ClassExternal || !r.ClassSince.Equal(second(8)) {
		t.Errorf("row %+v", r)
	}
}

func TestRejectionsCountFromTheLatestSuccess(t *testing.T) {
	r := row(did(1, audit.TypePasswordVerified), did(2, audit.TypeMFARejected), did(3, audit.TypeMFARejected), did(4, audit.TypeSignInFailed),
		did(5, audit.TypeSignInSucceeded), did(6, audit.TypeMFARejected), did(7, audit.TypeMFARejected, func(e *audit.Event) { e.Time = second(3) }))
	if r.Rejections != 1 || r.Refusals != 1 || r.SignIns != 1 || !r.LastSignIn.Equal(second(5)) {
		t.Errorf("row %+v", r)
	}
}

func TestASecondFactorIsWhatCounted(t *testing.T) {
	no, yes := false, true
	factor := func(f string) func(*audit.Event) {
		return func(e *audit.Event) { e.Factor, e.Evidence = f, audit.EvidenceAsserted }
	}
	passkey := func(verified *bool) func(*audit.Event) {
		return func(e *audit.Event) { e.Method, e.UserVerified = audit.MethodPasskey, verified }
	}
	trusted := func(met bool) func(*audit.Event) {
		return func(e *audit.Event) {
			e.Steps = []audit.StepSummary{{Step: 2, Type: audit.TypeSSOVerified, Method: audit.MethodSSO, Time: second(3), Evidence: audit.EvidenceVerified}}
			e.Decision = &audit.Decision{Demands: []audit.Demand{{Kind: "SSO", Met: true, MetByStep: 2}, {Kind: "MFA", Met: met, MetByStep: 2}}}
		}
	}
	for name, c := range map[string]struct {
		e      *audit.Event
		factor string
		at     int
	}{
		"a factor":                        {did(4, audit.TypeMFAVerified, factor("SMS")), "SMS", 4},
		"one that did not count":          {did(4, audit.TypeMFAVerified, factor("SMS"), func(e *audit.Event) { e.Counts = &no }), "", 0},
		"one that did":                    {did(4, audit.TypeMFAVerified, factor("SMS"), func(e *audit.Event) { e.Counts = &yes }), "SMS", 4},
		"a passkey that saw its user":     {did(4, audit.TypePasswordlessVerified, passkey(&yes)), audit.FactorWebAuthn, 4},
		"a passkey that did not":          {did(4, audit.TypePasswordlessVerified, passkey(&no)), "", 0},
		"a passkey that does not say":     {did(4, audit.TypePasswordlessVerified, passkey(nil)), "", 0},
		"a password":                      {did(4, audit.TypePasswordVerified), "", 0},
		"a partner's that met the demand": {did(4, audit.TypeSignInSucceeded, trusted(true)), audit.FactorPartner, 3},
		"a partner's that did not":        {did(4, audit.TypeSignInSucceeded, trusted(false)), "", 0},
	} {
		r := row(c.e)
		if r.LastMFAFactor != c.factor || c.at != 0 && !r.LastMFA.Equal(second(c.at)) || c.at == 0 && !r.LastMFA.IsZero() {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestAnAuthenticatorIsEnrolledLockedAndReset(t *testing.T) {
	used := did(6, audit.TypeMFAVerified, func(e *audit.Event) { e.Enrolment = &audit.Enrolment{Time: second(0)} })
	steps := []struct {
		e                *audit.Event
		enrolled, locked int // -1: not
	}{
		{did(1, audit.TypePasswordVerified), -1, -1}, {did(2, audit.TypeAuthenticatorConfirmed), 2, -1}, {did(3, audit.TypeMFALocked), 2, 3},
		{did(4, audit.TypeAuthenticatorUnlocked), 2, -1}, {did(5, audit.TypeMFALocked), 2, 5}, {used, 2, -1},
		{did(7, audit.TypeMFALocked), 2, 7}, {did(8, audit.TypeAuthenticatorReset), -1, -1}, {used, 0, -1},
	}
	is := func(got time.Time, want int) bool {
		return want < 0 && got.IsZero() || want >= 0 && got.Equal(second(want))
	}
	var whole audit.SubjectRow
	site := audit.SubjectRow{Site: "wiki"}
	for i, s := range steps {
		whole.Apply(s.e)
		site.Apply(s.e)
		if !is(whole.Enrolled, s.enrolled) || !is(whole.Locked, s.locked) {
			t.Errorf("step %d: enrolled %v, locked %v", i, whole.Enrolled, whole.Locked)
		}
	}
	if !site.Enrolled.IsZero() || !site.Locked.IsZero() {
		t.Errorf("a site has an authenticator: %+v", site)
	}
}

func TestMethodsAreListedOnceInOrderAndBounded(t *testing.T) {
	var r audit.SubjectRow
	for n := range 40 {
		r.Apply(did(n+1, audit.TypeSSOVerified, func(e *audit.Event) { e.Method, e.Connection = "sso", fmt.Sprint("c", (n*7)%20) }))
		r.Apply(did(n+1, audit.TypeSessionReused, func(e *audit.Event) { e.Method = audit.MethodSession }))
	}
	if len(r.Methods) != audit.MaxSubjectMethods || !slices.IsSorted(r.Methods) || len(slices.Compact(slices.Clone(r.Methods))) != len(r.Methods) || slices.Contains(r.Methods, "session") {
		t.Errorf("methods %v", r.Methods)
	}
}
