package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	loadOrganization = "organizations/load"
	loadSite         = loadOrganization + "/sites/door"
	loadDocument     = `
organization: load
display_name: Load
sites:
  - id: door
    display_name: Door
domains:
  - domain: managed-people.com
connections:
  - id: partner
    kind: SSO
    protocol: OIDC
  - id: google
    kind: SOCIAL
policy:
  rules:
    - id: partners
      match: {domains: [partner-firm.com]}
      demands: {sso: partner, evidence: asserted}
    - id: freemail
      match: {domains: [gmail.com]}
      demands: {mfa: {factors: [TOTP, WEBAUTHN], evidence: asserted}}
`
)

// promise is one acknowledged answer: what the record must hold.
type promise struct {
	flow     string // bare id
	step     int32
	typ      string // event type reported, "" for start and finish
	ending   posternv1.Ending
	recorded bool
	phase    posternv1.Phase
}

// load drives many flows against several processes and remembers every promise it was given.
type load struct {
	t        *testing.T
	targets  []*process
	patience time.Duration // how long one call is retried
	mu       sync.Mutex
	promises []promise
	started  map[string]bool // bare flow ids acknowledged
	calls    atomic.Int64
	repeats  atomic.Int64
	ended    atomic.Int64
}

func newLoad(t *testing.T, patience time.Duration, targets ...*process) *load {
	return &load{t: t, targets: targets, patience: patience, started: map[string]bool{}}
}

func bare(flow string) string { return flow[len(loadOrganization)+len("/flows/"):] }

func (l *load) keep(a *posternv1.FlowAnswer, typ string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started[bare(a.GetFlow())] = true
	l.promises = append(l.promises, promise{flow: bare(a.GetFlow()), step: a.GetStep(), typ: typ, ending: a.GetEnding(), recorded: a.GetRecorded(), phase: a.GetPhase()})
}

// reason is the machine-readable reason of an error.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// call makes one call as a careful login service does: the same request again, through any process, until it is answered.
func (l *load) call(rnd *rand.Rand, f func(ctx context.Context, c posternv1.SignInServiceClient) (*posternv1.FlowAnswer, error)) (*posternv1.FlowAnswer, error) {
	end := time.Now().Add(l.patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		a, err := f(ctx, l.targets[rnd.IntN(len(l.targets))].signIn())
		cancel()
		l.calls.Add(1)
		if err == nil {
			return a, nil
		}
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted, codes.Canceled:
		default:
			return nil, err
		}
		if time.Now().After(end) {
			return nil, err
		}
		<-time.After(time.Duration(5+rnd.IntN(50)) * time.Millisecond) // the client's back-off
	}
}

// twice sends one request in ten again: the answer must be the first one.
func (l *load) twice(rnd *rand.Rand, first *posternv1.FlowAnswer, f func(ctx context.Context, c posternv1.SignInServiceClient) (*posternv1.FlowAnswer, error)) {
	if rnd.IntN(10) != 0 {
		return
	}
	again, err := l.call(rnd, f)
	if err != nil {
		l.t.Errorf("a repeated call on %s: %v", first.GetFlow(), err)
		return
	}
	l.repeats.Add(1)
	want, got := proto.CloneOf(first), proto.CloneOf(again)
	want.RepeatedAnswer, got.RepeatedAnswer = false, false
	if !proto.Equal(want, got) {
		l.t.Errorf("a repeated call got another answer:\nfirst %v\nagain %v", first, again)
	}
}

// flow plays one random sign-in. A flow may end under it (deadline, rejections): FLOW_ENDED is then the right answer.
func (l *load) flow(n int) {
	rnd := rand.New(rand.NewPCG(uint64(n), 42))
	domains := []string{"gmail.com", "partner-firm.com", "managed-people.com", "elsewhere.org"}
	address := fmt.Sprintf("person%d@%s", n, domains[rnd.IntN(len(domains))])
	yes := true
	subject := &posternv1.Subject{AccountId: fmt.Sprintf("acct-%d", n), Email: address, EmailVerified: &yes}
	start := &posternv1.StartFlowRequest{Parent: loadSite, RequestId: fmt.Sprintf("s-%d", n), Lifetime: durationpb.New(time.Minute),
		Context: &posternv1.Context{Ip: "203.0.113.7", UserAgent: "load", Client: posternv1.Client_CLIENT_WEB}}
	if rnd.IntN(4) != 0 {
		start.Subject = &posternv1.Subject{Email: address}
	}
	if rnd.IntN(8) == 0 {
		start.Lifetime = durationpb.New(time.Duration(1+rnd.IntN(3)) * time.Second)
	}
	left := rnd.IntN(6) == 0 // to its deadline, which need not be far: verify waits for it
	if left {
		start.Lifetime = durationpb.New(time.Duration(2+rnd.IntN(6)) * time.Second)
	}
	do := func(ctx context.Context, c posternv1.SignInServiceClient) (*posternv1.FlowAnswer, error) {
		return c.StartFlow(ctx, start)
	}
	a, err := l.call(rnd, do)
	if err != nil {
		l.t.Errorf("start %d: %v", n, err)
		return
	}
	l.keep(a, "")
	l.twice(rnd, a, do)
	name, bound := a.GetFlow(), false
	for i := range 2 + rnd.IntN(10) {
		step := l.step(rnd, subject, bound)
		r := &posternv1.ReportStepRequest{Flow: name, RequestId: fmt.Sprintf("r-%d-%d", n, i), Step: step}
		do := func(ctx context.Context, c posternv1.SignInServiceClient) (*posternv1.FlowAnswer, error) {
			return c.ReportStep(ctx, r)
		}
		a, err := l.call(rnd, do)
		if err != nil {
			if reason(err) != "FLOW_ENDED" {
				l.t.Errorf("step %s of %s: %v", step.GetType(), name, err)
			}
			return
		}
		l.keep(a, step.GetType())
		l.twice(rnd, a, do)
		if a.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
			l.ended.Add(1)
			return
		}
		bound = a.GetPhase() >= posternv1.Phase_PHASE_BOUND
	}
	if left {
		return
	}
	finish := &posternv1.FinishFlowRequest{Flow: name, RequestId: fmt.Sprintf("f-%d", n), Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}}
	if rnd.IntN(5) == 0 {
		finish.Finish = &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}
	}
	do = func(ctx context.Context, c posternv1.SignInServiceClient) (*posternv1.FlowAnswer, error) {
		return c.FinishFlow(ctx, finish)
	}
	if a, err = l.call(rnd, do); err != nil {
		if reason(err) != "FLOW_ENDED" {
			l.t.Errorf("finish %s: %v", name, err)
		}
		return
	}
	l.keep(a, "")
	l.ended.Add(1)
	l.twice(rnd, a, do)
}

func (l *load) step(rnd *rand.Rand, subject *posternv1.Subject, bound bool) *posternv1.StepReport {
	other := &posternv1.Subject{AccountId: "somebody-else"}
	kinds := []*posternv1.StepReport{
		{Type: "password.rejected", Reason: "BAD_CREDENTIALS"},
		{Type: "password.verified", Subject: subject},
		{Type: "passwordless.started", Method: "magic_link"},
		{Type: "passwordless.verified", Method: "magic_link", Subject: subject},
		{Type: "sso.started", Connection: "partner"},
		{Type: "sso.verified", Connection: "partner", Subject: subject},
		{Type: "sso.rejected", Connection: "partner", Reason: "IDP_ERROR"},
		{Type: "social.verified", Connection: "google", Subject: subject},
	}
	if bound {
		kinds = append(kinds, &posternv1.StepReport{Type: "mfa.challenged", Factor: "TOTP"}, &posternv1.StepReport{Type: "mfa.rejected", Factor: "TOTP", Reason: "WRONG_CODE"},
			&posternv1.StepReport{Type: "mfa.verified", Factor: "TOTP"}, &posternv1.StepReport{Type: "password.verified", Subject: other})
	}
	return kinds[rnd.IntN(len(kinds))]
}

// run plays flows from..to with so many at once.
func (l *load) run(from, to, atOnce int) {
	var wg sync.WaitGroup
	next := atomic.Int64{}
	next.Store(int64(from))
	for range atOnce {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				n := int(next.Add(1)) - 1
				if n >= to {
					return
				}
				l.flow(n)
			}
		}()
	}
	wg.Wait()
}

// verify compares every promise with the archived record, once every recorded flow has its ending there.
func (l *load) verify(reader *process) {
	l.t.Helper()
	var events []*posternv1.Event
	err := eventually(120*time.Second, func(context.Context) error {
		var err error
		if events, err = reader.record(loadOrganization); err != nil {
			return err
		}
		return l.allEnded(events)
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.checkSequence(events)
	byFlow := l.checkFlows(events)
	missing := 0
	for _, p := range l.promises {
		if msg := kept(p, byFlow[p.flow]); msg != "" {
			if missing++; missing <= 10 {
				l.t.Errorf("flow %s: %s (promise %+v)", p.flow, msg, p)
			}
		}
	}
	l.t.Logf("%d calls, %d repeated, %d flows, %d promises, %d events, %d promises broken", l.calls.Load(), l.repeats.Load(), len(l.started), len(l.promises), len(events), missing)
}

// allEnded reports the first recorded flow without an ending.
func (l *load) allEnded(events []*posternv1.Event) error {
	ended := map[string]bool{}
	for _, e := range events {
		if e.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
			ended[e.GetFlow()] = true
		}
	}
	for _, p := range l.promises {
		if p.recorded && !ended[p.flow] {
			return fmt.Errorf("flow %s has no archived ending", p.flow)
		}
	}
	for _, e := range events {
		if e.GetFlow() != "" && !ended[e.GetFlow()] {
			return fmt.Errorf("flow %s is archived without an ending", e.GetFlow())
		}
	}
	return nil
}

func (l *load) checkSequence(events []*posternv1.Event) {
	l.t.Helper()
	ids := map[string]bool{}
	var last time.Time
	for i, e := range events {
		if e.GetSequence() != int64(i)+1 {
			l.t.Fatalf("event %d has sequence %d", i+1, e.GetSequence())
		}
		if ids[e.GetId()] {
			l.t.Errorf("event %s is in the record twice", e.GetId())
		}
		ids[e.GetId()] = true
		if e.GetForked() {
			l.t.Errorf("event %s is forked", e.GetId())
		}
		if at := e.GetRecordedTime().AsTime(); at.Before(last) {
			l.t.Errorf("recorded time runs backwards at sequence %d", e.GetSequence())
		} else {
			last = at
		}
	}
}

// checkFlows proves steps gapless and endings single, and returns each flow's events by step.
func (l *load) checkFlows(events []*posternv1.Event) map[string][]*posternv1.Event {
	l.t.Helper()
	byFlow := map[string][]*posternv1.Event{}
	for _, e := range events {
		if e.GetFlow() != "" && e.GetStep() > 0 {
			byFlow[e.GetFlow()] = append(byFlow[e.GetFlow()], e)
		}
	}
	for id, steps := range byFlow {
		if !slices.IsSortedFunc(steps, func(a, b *posternv1.Event) int { return int(a.GetStep() - b.GetStep()) }) {
			l.t.Errorf("flow %s: steps are out of order", id)
		}
		for i, e := range steps {
			if int(e.GetStep()) != i+1 {
				l.t.Errorf("flow %s: step %d stands at place %d", id, e.GetStep(), i+1)
			}
			if ending := e.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED; ending != (i == len(steps)-1) {
				l.t.Errorf("flow %s: step %d of %d: ending is %s", id, i+1, len(steps), e.GetEnding())
			}
		}
		if last := steps[len(steps)-1]; len(last.GetSteps()) != len(steps)-1 && len(last.GetSteps()) != len(steps) {
			l.t.Errorf("flow %s: the ending lists %d of %d steps", id, len(last.GetSteps()), len(steps))
		}
	}
	return byFlow
}

// kept says what is wrong with the record of a promise, or nothing.
func kept(p promise, steps []*posternv1.Event) string {
	if !p.recorded && steps == nil {
		return ""
	}
	if int(p.step) > len(steps) {
		return fmt.Sprintf("step %d was acknowledged, %d are archived", p.step, len(steps))
	}
	e := steps[p.step-1]
	if e.GetEnding() != p.ending {
		return fmt.Sprintf("step %d is archived as %s", p.step, e.GetType())
	}
	if p.ending == posternv1.Ending_ENDING_UNSPECIFIED && p.typ != "" && family(e.GetType()) != family(p.typ) {
		return fmt.Sprintf("step %d is archived as %s", p.step, e.GetType())
	}
	return ""
}

func family(t string) string {
	for i := range len(t) {
		if t[i] == '.' {
			return t[:i]
		}
	}
	return t
}
