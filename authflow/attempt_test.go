package authflow

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
)

// tried is the input of a code that was looked at: on an active factor with so many failures behind it.
func tried(failures int, reason string, now time.Time) Input {
	a := factor.Authenticator{State: factor.Active, AccountID: alice, Failures: failures,
		Active: factor.Credential{UID: "cred", Sealed: []byte("x"), Algorithm: factor.SHA1, Digits: 6, Period: 30 * time.Second}}
	next, out := factor.Attempt(&a, func(int64) (int64, string) { return 7, reason }, now)
	return Input{Kind: KindStep, Step: looked(audit.FactorTOTP, next, out), Subject: &SubjectRecords{Authenticator: &a}}
}

func TestACodeLookedAtInEveryPhaseBehindEveryGate(t *testing.T) {
	kinds := map[string]struct {
		failures int
		reason   string
		steps    int
	}{
		"right":         {0, "", 1},
		"wrong":         {0, audit.ReasonWrongCode, 1},
		"malformed":     {0, audit.ReasonMalformed, 1},
		"begins a lock": {factor.FailuresToLock - 1, audit.ReasonWrongCode, 2},
		"disables":      {factor.FailuresToDisable - 1, audit.ReasonWrongCode, 2},
		"while locked":  {factor.FailuresToDisable, "", 1},
	}
	for _, p := range []Phase{PhaseNone, PhaseOpen, PhaseBound, PhaseGranted, PhaseEnded} {
		for gate := range 4 {
			for kind, k := range kinds {
				d := at(t, p)
				name := fmt.Sprintf("%v, gate %d, %s", p, gate, kind)
				switch gate {
				case 1:
					d.now = d.now.Add(DefaultLifetime)
				case 2:
					d.marked = true
				case 3:
					d.org = changed(d.org, stops["network"])
				}
				had := len(d.s.Steps)
				err := d.try(tried(k.failures, k.reason, d.now))
				refusal := map[Phase]string{PhaseNone: ErrFlowNotFound, PhaseOpen: ErrNotBound, PhaseEnded: ErrFlowEnded}[p]
				if refusal != "" && (p != PhaseOpen || gate == 0) {
					if !errs.Is(err, refusal) {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				steps := map[int]int{0: k.steps, 1: 1, 2: 1, 3: k.steps + 1}[gate]
				if p == PhaseOpen {
					steps = 1 // nothing but the ending
				}
				looked := p != PhaseOpen && (gate == 0 || gate == 3)
				counted := looked && kind != "malformed" && kind != "while locked"
				if got := len(d.s.Steps) - had; got != steps || (d.last.Authenticator != nil) != counted {
					t.Errorf("%s: %d steps, authenticator %v", name, got, d.last.Authenticator)
				}
				if r := d.last.Reason; r != "" && r != Told(r) {
					t.Errorf("%s: the caller is told %s", name, r)
				}
				checkFlow(t, d)
			}
		}
	}
}

func TestOnlyWhatACodeCameToMayBeSaidOfIt(t *testing.T) {
	for name, change := range map[string]func(*Reported){
		"verified though it was wrong": func(r *Reported) { r.Type, r.Reason = audit.TypeMFAVerified, "" },
		"for another reason":           func(r *Reported) { r.Reason = audit.ReasonLocked },
		"asserted":                     func(r *Reported) { r.Evidence = audit.EvidenceAsserted },
		"of another factor":            func(r *Reported) { r.Factor = audit.FactorSMS },
		"as a lock":                    func(r *Reported) { r.Type, r.Reason = audit.TypeMFALocked, audit.ReasonLocked },
	} {
		d := at(t, PhaseBound)
		in := tried(0, audit.ReasonWrongCode, d.now)
		change(in.Step)
		if err := d.try(in); !errs.Is(err, ErrEvidence) && !errs.Is(err, ErrReason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatACallerIsToldOfACode(t *testing.T) {
	for _, r := range audit.ReasonsFor(audit.TypeMFARejected, "") {
		want := r.Reason
		switch r.Reason {
		case audit.ReasonWrongCode, audit.ReasonCodeExpired, audit.ReasonCodeReplayed, audit.ReasonCodeFromFuture, audit.ReasonNotEnrolled,
			audit.ReasonLocked, audit.ReasonRecoveryCodeUsed:
			want = audit.ReasonWrongCode
		}
		if got := Told(r.Reason); got != want {
			t.Errorf("%s is told as %s", r.Reason, got)
		}
	}
	if Told("") != "" || Told(audit.ReasonSiteDisabled) != audit.ReasonSiteDisabled {
		t.Error("more is withheld than codes")
	}
}

func TestUsingUpAFactorIsNotBeingWithoutOne(t *testing.T) {
	both := []string{audit.FactorTOTP, audit.FactorRecoveryCode}
	credential := factor.Credential{UID: "c", Sealed: []byte("x")}
	for name, x := range map[string]struct {
		a    *factor.Authenticator
		want []string
	}{
		"none":          {nil, nil},
		"reset":         {&factor.Authenticator{}, nil},
		"not confirmed": {&factor.Authenticator{State: factor.Pending, Pending: credential}, nil},
		"in force":      {&factor.Authenticator{State: factor.Active, Active: credential}, both[:1]},
		"disabled":      {&factor.Authenticator{State: factor.Disabled, Active: credential}, both[:1]},
		"codes used up": {&factor.Authenticator{State: factor.Active, Active: credential, RecoveryIssued: 10}, both},
	} {
		if got := (&SubjectRecords{Authenticator: x.a}).enrolment(); !got.Known || !reflect.DeepEqual(got.Factors, x.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
