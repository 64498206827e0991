package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	organization = "organizations/bench"
	site         = organization + "/sites/door"
	openSite     = organization + "/sites/hall" // demands nothing
)

// document is the organization the benchmark signs in to: guests need a second factor, so a flow with a right password stays
// bound and live while steps are measured.
const document = `
organization: bench
display_name: Benchmark
sites:
  - id: door
    display_name: Door
  - id: hall
    display_name: Hall
policy:
  rules:
    - id: guests
      match: {sites: [door]}
      demands:
        mfa: {factors: [TOTP, WEBAUTHN], evidence: ASSERTED}
`

func startRequest(t *target, n uint64) *posternv1.StartFlowRequest {
	return &posternv1.StartFlowRequest{
		Parent: site, RequestId: t.requestID("start"),
		Subject: &posternv1.Subject{Email: fmt.Sprintf("guest%d@gmail.com", n%50000)},
		Context: &posternv1.Context{Ip: "203.0.113.9", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Client: posternv1.Client_CLIENT_WEB},
	}
}

func passwordVerified(account string) *posternv1.StepReport {
	yes := true
	return &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: account, Email: account + "@gmail.com", EmailVerified: &yes}}
}

// boundFlows opens flows whose subject is bound and whose second factor is still missing.
func boundFlows(ctx context.Context, t *target, callers, perCaller int) ([][]string, error) {
	return concurrently(callers, func(c int) ([]string, error) {
		var flows []string
		for range perCaller {
			n := t.ids.Add(1)
			r := startRequest(t, n)
			r.Steps = []*posternv1.StepReport{passwordVerified(fmt.Sprintf("account-%d", n%50000))}
			a, err := t.signIn(c).StartFlow(ctx, r)
			if err != nil {
				return nil, err
			}
			flows = append(flows, a.GetFlow())
		}
		return flows, nil
	})
}

// concurrently makes every caller's items at once.
func concurrently(callers int, make1 func(c int) ([]string, error)) ([][]string, error) {
	items, errs := make([][]string, callers), make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			items[c], errs[c] = make1(c)
		}()
	}
	wg.Wait()
	return items, errors.Join(errs...)
}

// challenge is one step of a bound flow.
func challenge(ctx context.Context, t *target, c int, flow string) (*posternv1.FlowAnswer, error) {
	return t.signIn(c).ReportStep(ctx, &posternv1.ReportStepRequest{Flow: flow, RequestId: t.requestID("step"),
		Step: &posternv1.StepReport{Type: "mfa.challenged", Factor: "TOTP"}})
}

func operations() []operation {
	step := func(ctx context.Context, t *target, c int, flow string) error {
		_, err := challenge(ctx, t, c, flow)
		return err
	}
	return []operation{
		{name: "ReportStep", calls: 1, each: 6, prepare: boundFlows, do: step},
		{name: "+archiver", calls: 1, each: 6, prepare: boundFlows, do: step, archiver: true},
		{name: "VerifyTotp", calls: 1, each: 1, prepare: enrolledFlows, do: verifyTotp},
		{name: "StartFlow", calls: 1, do: func(ctx context.Context, t *target, c int, _ string) error {
			_, err := t.signIn(c).StartFlow(ctx, startRequest(t, t.ids.Add(1)))
			return err
		}},
		{name: "WholeFlow", calls: 4, do: wholeFlow},
		{name: "CheckAccess", calls: 1, each: 1 << 30, prepare: sessions, do: checkAccess},
		{name: "Explain", calls: 1, do: func(ctx context.Context, t *target, c int, _ string) error {
			_, err := posternv1.NewPolicyServiceClient(t.conns[c%len(t.conns)]).Explain(ctx, &posternv1.ExplainRequest{Site: site, Email: "guest@gmail.com"})
			return err
		}},
	}
}

// wholeFlow is a sign-in in four calls: start, a wrong password, the right one, finish.
func wholeFlow(ctx context.Context, t *target, c int, _ string) error {
	n := t.ids.Add(1)
	s := t.signIn(c)
	a, err := s.StartFlow(ctx, startRequest(t, n))
	if err != nil {
		return err
	}
	step := &posternv1.StepReport{Type: "password.rejected", Reason: "BAD_CREDENTIALS"}
	if _, err = s.ReportStep(ctx, &posternv1.ReportStepRequest{Flow: a.GetFlow(), RequestId: t.requestID("step"), Step: step}); err != nil {
		return err
	}
	if _, err = s.ReportStep(ctx, &posternv1.ReportStepRequest{Flow: a.GetFlow(), RequestId: t.requestID("step"), Step: passwordVerified(fmt.Sprintf("account-%d", n%50000))}); err != nil {
		return err
	}
	_, err = s.FinishFlow(ctx, &posternv1.FinishFlowRequest{Flow: a.GetFlow(), RequestId: t.requestID("finish"),
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	return err
}
