package test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	clinic         = "organizations/clinic"
	clinicSite     = clinic + "/sites/ward"
	clinicDocument = `
organization: clinic
sites: [{id: ward}, {id: desk}]
policy:
  rules:
    - id: code
      match: {domains: [clinic-postern-demo.com]}
      demands: {mfa: {factors: [TOTP, RECOVERY_CODE], evidence: verified, max_age: 12h}}
      mode: ENFORCE
`
)

// ward plays a login service whose organization demands a code.
type ward struct {
	t   *testing.T
	ids atomic.Int64
}

func (w *ward) id() string { return fmt.Sprintf("w-%d", w.ids.Add(1)) }

func (w *ward) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	w.t.Cleanup(cancel)
	return ctx
}

func authenticators(p *process) posternv1.AuthenticatorServiceClient {
	return posternv1.NewAuthenticatorServiceClient(p.conn)
}

// bound opens a flow of an account and proves its password, on a device of its own.
func (w *ward) bound(p *process, account, device string) *posternv1.FlowAnswer {
	w.t.Helper()
	email := account + "@clinic-postern-demo.com"
	a, err := p.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{
		Parent: clinicSite, RequestId: w.id(), Subject: &posternv1.Subject{Email: email}, Context: &posternv1.Context{DeviceId: device},
		Steps: []*posternv1.StepReport{{Type: "password.verified", Subject: &posternv1.Subject{AccountId: account, Email: email, EmailVerified: proto.Bool(true)}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// enrolled enrols an account and returns its secret; the code of the present step has confirmed it.
func (w *ward) enrolled(p *process, account string) (name, secret string, step int64) {
	w.t.Helper()
	e, err := authenticators(p).EnrollTotp(w.ctx(), &posternv1.EnrollTotpRequest{
		Parent: clinic, RequestId: w.id(), AccountId: account, Reason: "story", Issuer: "Clinic", Label: account})
	if err != nil {
		w.t.Fatal(err)
	}
	step = time.Now().Unix() / 30
	name, secret = e.GetAuthenticator().GetName(), e.GetSecret()
	if _, err := authenticators(p).ConfirmTotp(w.ctx(), &posternv1.ConfirmTotpRequest{Name: name, RequestId: w.id(), Code: oathtool(w.t, secret, step)}); err != nil {
		w.t.Fatal(err)
	}
	return name, secret, step
}

func (w *ward) verify(p *process, flow, code string) (*posternv1.FlowAnswer, error) {
	return p.signIn().VerifyTotp(w.ctx(), &posternv1.VerifyTotpRequest{Flow: flow, RequestId: w.id(), Code: code})
}

// oathtool has an independent generator make the code of a time step.
func oathtool(t *testing.T, secret string, step int64) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "oathtool", "--totp", "--base32", "--now", time.Unix(step*30, 0).UTC().Format("2006-01-02 15:04:05 UTC"), "-")
	cmd.Stdin = strings.NewReader(secret + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s (make oathtool installs it)", err, out)
	}
	return strings.TrimSpace(string(out))
}

// nowhere is a code of no step nearby.
func nowhere(t *testing.T, secret string, step int64) string {
	t.Helper()
	near := map[string]bool{}
	for n := step - 15; n <= step+15; n++ {
		near[oathtool(t, secret, n)] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !near[code] {
			return code
		}
	}
}

func TestCodesOfAnIndependentGeneratorLetPeopleIn(t *testing.T) {
	w := &ward{t: t}
	p := newRig(t).start("all", "signin", "archiver", "api")
	p.apply(clinic, clinicDocument)
	_, secret, step := w.enrolled(p, "ann")
	flow := w.bound(p, "ann", "d-1").GetFlow()
	code := oathtool(t, secret, step+1)
	request := &posternv1.VerifyTotpRequest{Flow: flow, RequestId: w.id(), Code: code}
	first, err := p.signIn().VerifyTotp(w.ctx(), request)
	if err != nil || first.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := p.signIn().VerifyTotp(w.ctx(), request)
	if err != nil || !again.GetRepeatedAnswer() || again.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW || again.GetStep() != first.GetStep() {
		t.Errorf("a retry is answered %v, %v", again, err)
	}
	other := w.bound(p, "ann", "d-2").GetFlow()
	used, err := w.verify(p, other, code)
	if err != nil || used.GetReason() != "WRONG_CODE" || used.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW {
		t.Errorf("a used code is answered %v, %v", used, err)
	}
}

// Fifty flows in two processes show one code at the same moment: one of them gets in.
func TestOneCodeLetsOneOfFiftyIn(t *testing.T) {
	w := &ward{t: t}
	r := newRig(t)
	a, b := r.start("a", "signin", "archiver", "api"), r.start("b", "signin", "api")
	a.apply(clinic, clinicDocument)
	_, secret, step := w.enrolled(a, "ben")
	code := oathtool(t, secret, step+1)
	flows := make([]string, 50)
	for i := range flows {
		flows[i] = w.bound([]*process{a, b}[i%2], "ben", fmt.Sprintf("d-%d", i)).GetFlow()
	}
	let := w.race(flows, []*process{a, b}, code)
	if let != 1 {
		t.Errorf("one code let %d in", let)
	}
}

// race has every flow show a code at once, each through a process in turn, and counts those let in.
func (w *ward) race(flows []string, through []*process, code string) int {
	w.t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	var let atomic.Int64
	for i, flow := range flows {
		wg.Go(func() {
			<-start
			r := &posternv1.VerifyTotpRequest{Flow: flow, RequestId: w.id(), Code: code}
			err := eventually(20*time.Second, func(context.Context) error { // a lost race is retried as the API says: with the same request id
				answer, err := through[i%len(through)].signIn().VerifyTotp(w.ctx(), r)
				switch {
				case err == nil && answer.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW:
					let.Add(1)
				case err == nil && answer.GetReason() != "WRONG_CODE":
					w.t.Errorf("answered %v", answer)
				}
				return err
			})
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(let.Load())
}

// Fifty flows in two processes guess at the same moment: one budget, locked once, and the right code is refused then.
func TestFiftyGuessersShareOneBudget(t *testing.T) {
	w := &ward{t: t}
	r := newRig(t)
	a, b := r.start("a", "signin", "archiver", "api"), r.start("b", "signin", "api")
	a.apply(clinic, clinicDocument)
	name, secret, step := w.enrolled(a, "cleo")
	flows := make([]string, 50)
	for i := range flows {
		flows[i] = w.bound([]*process{a, b}[i%2], "cleo", fmt.Sprintf("d-%d", i)).GetFlow()
	}
	if let := w.race(flows, []*process{a, b}, nowhere(t, secret, step)); let != 0 {
		t.Errorf("%d were let in by a wrong code", let)
	}
	got, err := authenticators(b).GetAuthenticator(w.ctx(), &posternv1.GetAuthenticatorRequest{Name: name})
	if err != nil || got.GetFailures() != 5 || got.GetLockUntil() == nil {
		t.Errorf("after fifty guesses: %v, %v", got, err)
	}
	right, err := w.verify(b, flows[1], oathtool(t, secret, step+1))
	if err != nil || right.GetReason() != "WRONG_CODE" {
		t.Errorf("the right code while locked: %v, %v", right, err)
	}
	if _, err := authenticators(b).UnlockAuthenticator(w.ctx(), &posternv1.UnlockAuthenticatorRequest{Name: name, RequestId: w.id(), Reason: "story"}); err != nil {
		t.Fatal(err)
	}
	if right, err = w.verify(a, flows[0], oathtool(t, secret, step+1)); err != nil || right.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		t.Errorf("the right code once unlocked: %v, %v", right, err)
	}
	counts := map[string]int{}
	err = eventually(30*time.Second, func(context.Context) error {
		events, err := a.record(clinic)
		if err != nil {
			return err
		}
		clear(counts)
		for _, e := range events {
			if strings.HasPrefix(e.GetType(), "mfa.") {
				counts[e.GetType()+" "+e.GetReason()]++
			}
		}
		if counts["mfa.verified "] == 0 {
			return errors.New("the last step is not archived")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if counts["mfa.locked LOCKED"] != 1 || counts["mfa.rejected WRONG_CODE"] != 5 || counts["mfa.rejected LOCKED"] != 46 || counts["mfa.verified "] != 1 {
		t.Errorf("recorded %v", counts)
	}
}

// A token that two processes let in is revoked through one of them: the other one denies it within the bound it promises, and
// no answer before was good for longer than a minute.
func TestARevocationReachesTheOtherProcess(t *testing.T) {
	const bound = 2 * time.Second // AccessRecheck; the time between two polls and a loaded machine come on top
	w := &ward{t: t}
	r := newRig(t)
	a, b := r.start("a", "signin", "archiver", "api"), r.start("b", "signin", "api")
	a.apply(clinic, clinicDocument)
	_, secret, step := w.enrolled(a, "dana")
	flow := w.bound(a, "dana", "d-1").GetFlow()
	if answer, err := w.verify(a, flow, oathtool(t, secret, step+1)); err != nil || answer.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		t.Fatal(answer, err)
	}
	handles := map[string]func() error{
		"a-token-that-is-revoked": func() error {
			_, err := a.signIn().RecordSession(w.ctx(), &posternv1.RecordSessionRequest{Parent: clinicSite, RequestId: w.id(),
				Event: posternv1.RecordSessionRequest_EVENT_ENDED, EndCause: posternv1.RecordSessionRequest_END_CAUSE_REVOKED, SessionHandle: []byte("a-token-that-is-revoked")})
			return err
		},
		"a-token-whose-proofs-are": func() error {
			_, err := authenticators(a).RevokeProofs(w.ctx(), &posternv1.RevokeProofsRequest{Parent: clinic, RequestId: w.id(), Reason: "story",
				Scope: &posternv1.RevokeProofsRequest_AccountId{AccountId: "dana"}})
			return err
		},
	}
	check := func(p *process, handle string) *posternv1.CheckAccessResponse {
		t.Helper()
		got, err := p.signIn().CheckAccess(w.ctx(), &posternv1.CheckAccessRequest{Site: clinicSite, Context: &posternv1.Context{DeviceId: "d-1"},
			Credential: &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: []byte(handle)}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, handle := range []string{"a-token-that-is-revoked", "a-token-whose-proofs-are"} { // in this order: the second ends everything
		if _, err := a.signIn().RecordSession(w.ctx(), &posternv1.RecordSessionRequest{Parent: clinicSite, RequestId: w.id(), Flow: flow,
			Event: posternv1.RecordSessionRequest_EVENT_STARTED, Kind: posternv1.RecordSessionRequest_KIND_TOKEN, SessionHandle: []byte(handle)}); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*process{a, b} {
			got := check(p, handle)
			if got.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW || got.GetValidUntil().AsTime().After(time.Now().Add(time.Minute+5*time.Second)) {
				t.Fatalf("%s through %s: %v", handle, p.name, got)
			}
		}
		if err := handles[handle](); err != nil {
			t.Fatal(err)
		}
		if got := check(a, handle); got.GetVerdict() != posternv1.Verdict_VERDICT_DENY {
			t.Errorf("%s through the process that was told: %v", handle, got)
		}
		if err := eventually(bound+8*time.Second, func(context.Context) error {
			if got := check(b, handle); got.GetVerdict() != posternv1.Verdict_VERDICT_DENY {
				return fmt.Errorf("%s is still allowed through the other process", handle)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}
