package interceptor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is everything around a recorder, by hand.
type desk struct {
	mu       sync.Mutex
	now      time.Time
	events   []audit.Event
	fail     error
	resolves int
	recorded map[string]bool
}

func (d *desk) Append(_ context.Context, _ string, events ...audit.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.events = append(d.events, events...)
	return nil
}

func (d *desk) Resolve(_ context.Context, id string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resolves++
	switch id {
	case "acme", "beta":
		return "u-" + id, nil
	case "away":
		return "", errs.New(errs.Unavailable, "NOT_RECORDED", "away")
	}
	return "", errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "none")
}

func (d *desk) Recorded(_ context.Context, uid, flow string) bool { return d.recorded[uid+" "+flow] }

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func (d *desk) total() (events int, refusals int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		refusals += e.Denial.Count
	}
	return len(d.events), refusals
}

func newDesk(t *testing.T) (*desk, *Refusals) {
	t.Helper()
	d := &desk{now: time.Unix(1_000_000, 0), recorded: map[string]bool{}}
	n := 0
	log := slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil))
	r := NewRecorder(d, d, d.clock, func() string { n++; return fmt.Sprint(n) }, log)
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return d, &Refusals{Recorder: r, Organizations: d, Flows: d, Log: log}
}

var operator = caller.Identity{Kind: caller.KindSocket, Principal: "unix:0", Operator: true}

func refusal(change func(*Refusal)) Refusal {
	r := Refusal{Identity: operator, Method: "/m", Code: codes.InvalidArgument, Reason: "FIELD_INVALID", CallID: "c", Organization: "acme"}
	if change != nil {
		change(&r)
	}
	return r
}

func TestAlikeRefusalsAreFoldedAfterTheTwentieth(t *testing.T) {
	d, r := newDesk(t)
	for i := range 1000 {
		if err := r.Record(t.Context(), refusal(func(r *Refusal) { r.CallID = fmt.Sprint(i) })); err != nil {
			t.Fatal(err)
		}
	}
	if events, _ := d.total(); events != 20 {
		t.Errorf("%d events before the window closes, want 20", events)
	}
	d.pass(foldWindow)
	r.Recorder.closeWindows(t.Context(), d.clock().Add(-foldWindow))
	events, refusals := d.total()
	if events != 21 || refusals != 1000 {
		t.Errorf("%d events for %d refusals, want 21 for 1000", events, refusals)
	}
	if last := d.events[20]; last.Denial.Count != 980 || last.Denial.CallID != "20" || last.OrganizationUID != "u-acme" {
		t.Errorf("folded as %+v", last.Denial)
	}
	// A new window begins: one by one again.
	if err := r.Record(t.Context(), refusal(nil)); err != nil {
		t.Fatal(err)
	}
	if events, _ := d.total(); events != 22 {
		t.Errorf("%d events, want 22", events)
	}
}

func TestOnlyAlikeRefusalsShareAWindow(t *testing.T) {
	d, r := newDesk(t)
	changes := []func(*Refusal){
		nil, func(r *Refusal) { r.Organization = "beta" }, func(r *Refusal) { r.Identity.Principal = "unix:1" }, func(r *Refusal) { r.Method = "/n" },
		func(r *Refusal) { r.Code = codes.NotFound }, func(r *Refusal) { r.Reason = "OTHER" },
	}
	for range 20 {
		for _, change := range changes {
			if err := r.Record(t.Context(), refusal(change)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if events, _ := d.total(); events != 20*len(changes) {
		t.Errorf("%d events, want %d", events, 20*len(changes))
	}
}

func TestAFloodOfKindsStaysBounded(t *testing.T) {
	d, r := newDesk(t)
	const kinds = foldKeys + 3000
	for i := range kinds {
		if err := r.Record(t.Context(), refusal(func(r *Refusal) { r.Reason = fmt.Sprint(i) })); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.Recorder.folds); n > foldKeys+20 {
		t.Errorf("%d windows remembered", n)
	}
	if err := r.Recorder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, refusals := d.total()
	if refusals != kinds || events > foldKeys+30 {
		t.Errorf("%d events for %d refusals, want %d refusals", events, refusals, kinds)
	}
}

func TestRefusalsWhileTheStoreIsAwayAreWrittenOnceItIsBack(t *testing.T) {
	d, r := newDesk(t)
	d.fail = errors.New("away")
	if err := r.Record(t.Context(), refusal(nil)); err == nil {
		t.Error("nobody said that the write failed")
	}
	unavailable := func(r *Refusal) { r.Code, r.Reason, r.Organization = codes.Unavailable, "NOT_RECORDED", "acme" }
	unknown := func(r *Refusal) {
		r.Code, r.Reason, r.Organization = codes.DeadlineExceeded, "DEADLINE_EXCEEDED", "nobody"
	}
	for _, change := range []func(*Refusal){unavailable, unknown} {
		before := d.resolves
		if err := r.Record(t.Context(), refusal(change)); err != nil {
			t.Error(err)
		}
		if d.resolves != before {
			t.Error("a store that is away was asked")
		}
	}
	d.pass(foldWindow)
	if n := r.Recorder.closeWindows(t.Context(), d.clock().Add(-foldWindow)); n != 3 {
		t.Errorf("%d refusals unwritten, want 3", n)
	}
	d.fail = nil
	if n := r.Recorder.closeWindows(t.Context(), d.clock().Add(-foldWindow)); n != 0 {
		t.Errorf("%d refusals unwritten, want 0", n)
	}
	where := map[string]string{}
	for _, e := range d.events {
		where[e.Denial.Reason] = e.OrganizationUID
	}
	if len(d.events) != 3 || where["FIELD_INVALID"] != "u-acme" || where["NOT_RECORDED"] != "u-acme" || where["DEADLINE_EXCEEDED"] != audit.SystemUID {
		t.Errorf("recorded %v", where)
	}
}

func TestClosingSaysWhatIsLost(t *testing.T) {
	d, r := newDesk(t)
	d.fail = errors.New("away")
	for range 3 {
		_ = r.Record(t.Context(), refusal(nil))
	}
	if err := r.Recorder.Close(t.Context()); err == nil {
		t.Error("three refusals are lost and nobody said so")
	}
	if err := r.Recorder.Close(t.Context()); err == nil { // twice is harmless
		t.Error("they are still lost")
	}
}

func TestRefusalsBelongToTheOrganizationOnlyWhenEverythingSaysSo(t *testing.T) {
	d, r := newDesk(t)
	flow := "organizations/acme/flows/019365a0-0000-7000-8000-000000000001"
	d.recorded["u-acme "+flow] = true
	for name, tt := range map[string]struct {
		change func(*Refusal)
		want   string
	}{
		"named and known":        {nil, "u-acme"},
		"named and unknown":      {func(r *Refusal) { r.Organization = "nobody" }, audit.SystemUID},
		"cannot be looked up":    {func(r *Refusal) { r.Organization = "away" }, audit.SystemUID},
		"not named":              {func(r *Refusal) { r.Organization = "" }, audit.SystemUID},
		"caller without rights":  {func(r *Refusal) { r.Identity.Operator = false }, audit.SystemUID},
		"nobody":                 {func(r *Refusal) { r.Identity = caller.Identity{} }, audit.SystemUID},
		"recorded flow":          {func(r *Refusal) { r.Flow = flow }, "u-acme"},
		"flow off the record":    {func(r *Refusal) { r.Flow = flow + "2" }, audit.SystemUID},
		"of another region":      {func(r *Refusal) { r.Reason = "REGION_MISMATCH" }, audit.SystemUID},
		"broken stream, at once": {func(r *Refusal) { r.Code, r.Reason = codes.Unavailable, "STREAM_BROKEN" }, "u-acme"},
	} {
		d.events = nil
		if err := r.Record(t.Context(), refusal(tt.change)); err != nil {
			t.Fatal(err)
		}
		if len(d.events) != 1 || d.events[0].OrganizationUID != tt.want || d.events[0].Caller == "" {
			t.Errorf("%s: %+v", name, d.events)
		}
	}
}

func TestAServiceWithAHoleInItsRulesIsNotServed(t *testing.T) {
	desc := &grpc.ServiceDesc{
		ServiceName: "s", Methods: []grpc.MethodDesc{{MethodName: "A"}, {MethodName: "B"}}, Streams: []grpc.StreamDesc{{StreamName: "W"}},
	}
	_, refusals := newDesk(t)
	chain := NewChain(Parts{Refusals: refusals, Errors: &Errors{}, Limits: &Limits{}})
	one, watch := Rule{Auth: AuthOperator}, Rule{Auth: AuthOperator, Stream: true}
	if _, err := chain.Wrap(desc, map[string]Rule{"A": one, "B": one, "W": watch}); err != nil {
		t.Errorf("complete rules: %v", err)
	}
	for name, rules := range map[string]map[string]Rule{
		"a method without a rule": {"A": one, "W": watch},
		"a rule without a method": {"A": one, "B": one, "W": watch, "C": one},
		"another spelling":        {"A": one, "b": one, "W": watch},
		"unary rule for a stream": {"A": one, "B": one, "W": one},
		"stream rule for a unary": {"A": one, "B": watch, "W": watch},
		"none":                    nil,
	} {
		if _, err := chain.Wrap(desc, rules); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
