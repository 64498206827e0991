package test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// monitor listens to every command Redis is sent.
type monitor struct {
	t     *testing.T
	rig   *rig
	lines *bufio.Scanner
	marks int
}

func newMonitor(t *testing.T, r *rig) *monitor {
	t.Helper()
	c, err := net.Dial("tcp", r.redis.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprint(c, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(c)
	s.Buffer(nil, 1<<24)
	if !s.Scan() || s.Text() != "+OK" {
		t.Fatalf("MONITOR: %q, %v", s.Text(), s.Err())
	}
	return &monitor{t: t, rig: r, lines: s}
}

// sent returns the commands since the last look that name an organization: those of calls, since sweeping and archiving name
// none. What a script does inside is no trip.
func (m *monitor) sent() (commands []string) {
	m.t.Helper()
	m.marks++
	mark := fmt.Sprintf("mark-%d", m.marks)
	if err := m.rig.redis.Client().Echo(context.Background(), mark).Err(); err != nil {
		m.t.Fatal(err)
	}
	for m.lines.Scan() {
		l := m.lines.Text()
		if strings.Contains(l, mark) {
			return commands
		}
		if _, command, ok := strings.Cut(l, "] "); ok && !strings.Contains(l, " lua] ") && strings.Contains(command, ":org:") {
			commands = append(commands, command[:min(60, len(command))])
		}
	}
	m.t.Fatalf("MONITOR ended: %v", m.lines.Err())
	return nil
}

// TestRoundTripsOfASignIn counts what Redis is sent for each call of a sign-in: one trip for a step of a flow that is bound,
// two for the start and for the step that binds.
func TestRoundTripsOfASignIn(t *testing.T) {
	r := newRig(t, "POSTERN_PARTITIONS=1")
	p := r.start("all", "signin", "api") // an archiver looks at organizations by itself
	p.apply(loadOrganization, loadDocument)
	m := newMonitor(t, r)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	subject := &posternv1.Subject{AccountId: "guest", Email: "guest@gmail.com", EmailVerified: new(true)}
	flow := ""
	start := func(id string) (*posternv1.FlowAnswer, error) {
		// Each start has a device of its own: ending the flow whose place another one takes is no part of the call.
		a, err := p.signIn().StartFlow(ctx, &posternv1.StartFlowRequest{Parent: loadSite, RequestId: id, Subject: subject, Context: &posternv1.Context{DeviceId: id}})
		flow = a.GetFlow()
		return a, err
	}
	step := func(id, typ, reason, factor string) func() (*posternv1.FlowAnswer, error) {
		return func() (*posternv1.FlowAnswer, error) {
			return p.signIn().ReportStep(ctx, &posternv1.ReportStepRequest{Flow: flow, RequestId: id, Step: &posternv1.StepReport{
				Type: typ, Reason: reason, Factor: factor, Subject: subject}})
		}
	}
	// The first sign-in of a process learns what every later one knows: the organization and its key.
	if _, err := start("warm-up"); err != nil {
		t.Fatal(err)
	}
	m.sent()
	for _, c := range []struct {
		what string
		most int
		call func() (*posternv1.FlowAnswer, error)
	}{
		{"StartFlow", 2, func() (*posternv1.FlowAnswer, error) { return start("t-1") }},
		{"a step that binds nobody", 1, step("t-2", "password.rejected", "BAD_CREDENTIALS", "")},
		{"the step that binds", 2, step("t-3", "password.verified", "", "")},
		{"a step", 1, step("t-4", "mfa.rejected", "WRONG_CODE", "TOTP")},
		{"another step", 1, step("t-5", "mfa.verified", "", "TOTP")},
		{"the same step again", 1, step("t-5", "mfa.verified", "", "TOTP")},
		{"FinishFlow", 1, func() (*posternv1.FlowAnswer, error) {
			return p.signIn().FinishFlow(ctx, &posternv1.FinishFlowRequest{Flow: flow, RequestId: "t-6", Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
		}},
	} {
		a, err := c.call()
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if sent := m.sent(); len(sent) == 0 || len(sent) > c.most {
			t.Errorf("%s takes %d trips, want at most %d: %q (%v)", c.what, len(sent), c.most, sent, a.GetVerdict())
		}
	}
}
