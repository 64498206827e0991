package authflow

import (
	"context"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

const handle = "a-session-handle-of-the-site"

func session(request string, event SessionEvent, flow FlowID) SessionInput {
	return SessionInput{Organization: "acme", Site: "portal", RequestID: request, Event: event, Handle: []byte(handle), Flow: flow}
}

func (w *world) record(in SessionInput) (Answer, error) {
	return w.flows.RecordSession(w.t.Context(), caller, in)
}

func TestASessionIsRecordedWithItsFlow(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	w.step(flow, "1", reports(audit.TypePasswordVerified, alice))
	started, err := w.record(session("a", SessionStarted, flow))
	if err != nil || started.AgainstVerdict || !started.Recorded || started.Flow != flow || len(started.Session) != 64 {
		t.Fatalf("%+v %v", started, err)
	}
	w.setNow(noon.Add(time.Hour))
	ended, err := w.record(session("b", SessionEnded, FlowID{}))
	if err != nil || ended.Session != started.Session || ended.Flow != flow {
		t.Fatalf("%+v %v", ended, err)
	}
	events := w.store.ordered(flow)[2:]
	if len(events) != 2 || events[0].Type != audit.TypeSessionStarted || events[1].Type != audit.TypeSessionEnded {
		t.Fatalf("%+v", events)
	}
	for _, e := range events {
		if e.Step != 0 || e.Session != started.Session || e.SiteUID != siteUID || e.Flow != flow.String() {
			t.Fatalf("%+v", e)
		}
	}
	if events[0].Personal.AccountID != alice || events[0].Class != audit.ClassExternal {
		t.Fatalf("%+v", events[0])
	}
	for _, e := range events {
		if strings.Contains(e.Session, hex.EncodeToString([]byte(handle))) {
			t.Fatal("the handle itself is in an event")
		}
	}
}

func TestASessionAgainstTheVerdictIsFlagged(t *testing.T) {
	for name, c := range map[string]struct {
		do      func(w *world, flow FlowID)
		against bool
	}{
		"nobody was proven":      {func(*world, FlowID) {}, true},
		"a factor was missing":   {func(w *world, f FlowID) { w.step(f, "1", reports(audit.TypePasswordVerified, alice)) }, true},
		"the flow was cancelled": {func(w *world, f FlowID) { _, _ = w.finish(f, "9", ActionCancel) }, true},
		"it was granted": {func(w *world, f FlowID) {
			w.step(f, "1", reports(audit.TypePasswordVerified, alice))
			w.step(f, "2", reports(audit.TypeMFAVerified, ""))
		}, false},
		"it succeeded": {func(w *world, f FlowID) {
			w.step(f, "1", reports(audit.TypePasswordVerified, alice))
			w.step(f, "2", reports(audit.TypeMFAVerified, ""))
			_, _ = w.finish(f, "3", ActionComplete)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, acme(demandsMFA))
			flow := w.start("s").Flow
			c.do(w, flow)
			a, err := w.record(session("a", SessionStarted, flow))
			if err != nil || a.AgainstVerdict != c.against {
				t.Fatalf("%+v %v", a, err)
			}
			if e := w.store.outbox[len(w.store.outbox)-1]; e.Type != audit.TypeSessionStarted || e.AgainstVerdict != c.against {
				t.Fatalf("%+v", e)
			}
		})
	}
}

func TestASessionOfAFlowOffTheRecordLeavesNoEvent(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	in := w.startInput("s")
	in.Subject.Address = address(t, "alice@acme.example.net")
	for _, k := range []string{"alice@acme.example.net"} {
		w.store.records[w.flows.keys(orgUID, "", address(t, k))] = acmeDomain(t)
	}
	flow, err := w.flows.Start(t.Context(), caller, in)
	if err != nil || flow.Recorded || flow.Decision.Class != audit.ClassManaged {
		t.Fatalf("%+v %v", flow, err)
	}
	a, err := w.record(session("a", SessionStarted, flow.Flow))
	if err != nil || a.Recorded || len(w.store.outbox) != 0 {
		t.Fatalf("%+v %v, %d events", a, err, len(w.store.outbox))
	}
}

func TestSessionsThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	if _, err := w.record(session("a", SessionStarted, flow)); err != nil {
		t.Fatal(err)
	}
	other := session("c", SessionStarted, flow)
	other.Handle = []byte("another-session-handle")
	change := func(f func(*SessionInput)) SessionInput { c := other; f(&c); return c }
	events := len(w.store.outbox)
	for name, c := range map[string]struct {
		in     SessionInput
		reason string
	}{
		"started twice":             {session("b", SessionStarted, flow), ErrSessionExists},
		"started on no flow":        {change(func(in *SessionInput) { in.Flow = FlowID{} }), ErrSessionFlow},
		"started on an unknown one": {change(func(in *SessionInput) { in.Flow = flowID(t, 77) }), ErrFlowNotFound},
		"over before it began":      {change(func(in *SessionInput) { in.ExpiresAt = noon.Add(-1) }), ErrExpiresAt},
		"lasting for years":         {change(func(in *SessionInput) { in.ExpiresAt = noon.Add(MaxSession + 1) }), ErrExpiresAt},
		"started tomorrow":          {change(func(in *SessionInput) { in.OccurredAt = noon.Add(MaxAhead + 1) }), ErrOccurredAtAhead},
		"started last month":        {change(func(in *SessionInput) { in.OccurredAt = noon.Add(-MaxPast - 1) }), ErrOccurredAtTooOld},
		"neither started nor ended": {change(func(in *SessionInput) { in.Event = 7 }), ErrSessionEvent},
		"an unknown one ended":      {change(func(in *SessionInput) { in.Event, in.Flow = SessionEnded, FlowID{} }), ErrSessionNotFound},
		"ended with a flow":         {change(func(in *SessionInput) { in.Event = SessionEnded }), ErrSessionFlow},
		"at an unknown site":        {change(func(in *SessionInput) { in.Site = "nowhere" }), ErrSiteNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.record(c.in)
			wantReason(t, err, c.reason)
		})
	}
	if len(w.store.outbox) != events {
		t.Fatal("a refused call left an event")
	}
}

func TestASessionEndsOnce(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	if _, err := w.record(session("a", SessionStarted, flow)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	ended := 0
	for _, request := range []string{"e1", "e2", "e3", "e4"} {
		wg.Go(func() {
			_, err := w.flows.RecordSession(context.WithoutCancel(t.Context()), caller, session(request, SessionEnded, FlowID{}))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				ended++
			} else if !errs.Is(err, ErrSessionEnded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ended != 1 || len(w.store.ordered(flow)) != 3 {
		t.Fatalf("ended %d times, %d events", ended, len(w.store.ordered(flow)))
	}
}

func TestARepeatedSessionCallGetsTheFirstAnswer(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	for range 2 {
		a, err := w.record(session("a", SessionStarted, flow))
		if err != nil || a.Session == "" || a.Flow != flow {
			t.Fatalf("%+v %v", a, err)
		}
	}
	if _, err := w.record(session("b", SessionEnded, FlowID{})); err != nil {
		t.Fatal(err)
	}
	if a, err := w.record(session("b", SessionEnded, FlowID{})); err != nil || !a.Repeated {
		t.Fatalf("%+v %v", a, err)
	}
	// The flow is gone, and the first answer still stands.
	delete(w.store.flows, flow)
	if a, err := w.record(session("a", SessionStarted, flow)); err != nil || !a.Repeated {
		t.Fatalf("%+v %v", a, err)
	}
	if n := len(w.store.ordered(flow)); n != 3 {
		t.Fatalf("%d events", n)
	}
}

// archived is an archive of one flow.
type archived audit.FlowRow

func (a archived) Flow(_ context.Context, _, id string) (audit.FlowRow, []audit.Event, error) {
	if id != a.ID {
		return audit.FlowRow{}, nil, errs.New(errs.NotFound, "FLOW_NOT_FOUND", "none")
	}
	return audit.FlowRow(a), nil, nil
}

func TestASessionMayStartOnAFlowThatIsArchived(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	id := flowID(t, 5)
	w.flows.c.Archive = archived{ID: id.String(), SiteUID: siteUID, Ending: audit.EndingSucceeded, SupportCode: "ABCDE-FGHJK", Class: audit.ClassExternal}
	a, err := w.record(session("a", SessionStarted, id))
	if err != nil || a.AgainstVerdict || !a.Recorded {
		t.Fatalf("%+v %v", a, err)
	}
	if e := w.store.outbox[0]; e.SupportCode != "ABCDE-FGHJK" || e.Flow != id.String() {
		t.Fatalf("%+v", e)
	}
	in := session("b", SessionStarted, flowID(t, 6))
	in.Handle = []byte("another-session-handle")
	_, err = w.record(in)
	wantReason(t, err, ErrFlowNotFound)
}
