package authflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// hashNamer hashes without a key: names are all these tests need.
type hashNamer struct{}

func hashOf(parts ...string) [32]byte { return sha256.Sum256([]byte(fmt.Sprintf("%q", parts))) }

func (hashNamer) AccountKey(uid, id string) policy.AccountKey {
	h := hashOf("account", uid, id)
	return policy.AccountKey(h[:16])
}

func (hashNamer) AddressKey(uid string, a policy.Address) policy.AccountKey {
	h := hashOf("address", uid, a.Key())
	return policy.AccountKey(h[:16])
}

func (hashNamer) CommitKey(caller, method, parent, id string) CommitKey {
	return CommitKey(hashOf(caller, method, parent, id))
}

func (hashNamer) Digest(b []byte) Digest { return Digest(sha256.Sum256(b)) }

func (hashNamer) SessionHandle(uid string, handle []byte) [32]byte {
	return hashOf("session", uid, string(handle))
}

func (hashNamer) Identity(connectionUID, issuer, subjectID string) IdentityKey {
	return hashOf("identity", connectionUID, issuer, subjectID)
}

func (hashNamer) Identifier(uid, typed string) string {
	h := hashOf("identifier", uid, typed)
	return hex.EncodeToString(h[:])
}

// world is a store and one process on it.
type world struct {
	t     *testing.T
	store *memStore
	dir   *memDirectory
	flows *Flows
	now   atomic.Pointer[time.Time]
	ids   *atomic.Int64
}

func newWorld(t *testing.T, org *policy.Organization) *world {
	w := &world{t: t, ids: &atomic.Int64{}}
	w.setNow(noon)
	w.store = newMemStore(org, w.clock)
	w.flows, w.dir = w.process()
	return w
}

func (w *world) clock() time.Time     { return *w.now.Load() }
func (w *world) setNow(now time.Time) { w.now.Store(&now) }

// process is another process on the same store.
func (w *world) process() (*Flows, *memDirectory) {
	dir := &memDirectory{store: w.store, known: w.store.org}
	f, err := New(Config{Store: w.store, Directory: dir, Namer: hashNamer{}, Now: w.clock, Verifier: safe{},
		NewID:   func() string { return fmt.Sprintf("01890000-0000-7000-8000-%012x", w.ids.Add(1)) },
		NewCode: func() string { return codeOf(w.ids.Add(1)) },
		Log:     slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	return f, dir
}

func codeOf(n int64) string {
	var b [10]byte
	for i := range b {
		b[9-i] = byte(n >> (5 * i))
	}
	return FormatSupportCode(b)
}

var caller = Caller{Principal: "unix:1000"}

func (w *world) startInput(request string) StartInput {
	return StartInput{Organization: "acme", Site: "portal", RequestID: request, Subject: Subject{Address: address(w.t, "alice@partner.example.com")}}
}

func (w *world) start(request string) Answer {
	w.t.Helper()
	a, err := w.flows.Start(w.t.Context(), caller, w.startInput(request))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func stepInput(flow FlowID, request string, in Input) StepInput {
	return StepInput{Organization: "acme", Flow: flow, RequestID: request, Step: in.Step.StepReport}
}

func (w *world) step(flow FlowID, request string, in Input) Answer {
	w.t.Helper()
	a, err := w.flows.Step(w.t.Context(), caller, stepInput(flow, request, in))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) finish(flow FlowID, request string, action Action) (Answer, error) {
	return w.flows.Finish(w.t.Context(), caller, FinishInput{Organization: "acme", Flow: flow, RequestID: request, Finish: Finish{Action: action}})
}

// tripsOf counts the round trips of do.
func (w *world) tripsOf(do func()) int {
	before := w.store.trips
	do()
	return w.store.trips - before
}

func TestRoundTrips(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	var flow FlowID
	for _, c := range []struct {
		name  string
		trips int
		do    func()
	}{
		{"a start takes two", 2, func() { flow = w.start("s").Flow }},
		{"a step on a known open flow takes one", 1, func() { w.step(flow, "1", reports(audit.TypePasswordRejected, "")) }},
		{"the step that binds takes two", 2, func() { w.step(flow, "2", reports(audit.TypePasswordVerified, alice)) }},
		{"a step on a known bound flow takes one", 1, func() { w.step(flow, "3", reports(audit.TypeMFARejected, "")) }},
		{"a proof on a known bound flow takes one", 1, func() { w.step(flow, "4", reports(audit.TypePasswordVerified, alice)) }},
		{"what grants takes one", 1, func() { w.step(flow, "5", reports(audit.TypeMFAVerified, "")) }},
		{"a finish takes one", 1, func() { _, _ = w.finish(flow, "6", ActionComplete) }},
		{"a whole sign-in in one call takes two", 2, func() {
			in := w.startInput("whole")
			in.Steps = []StepReport{reports(audit.TypePasswordVerified, alice).Step.StepReport, reports(audit.TypeMFAVerified, "").Step.StepReport}
			in.Finish = &Finish{Action: ActionComplete}
			if a, err := w.flows.Start(t.Context(), caller, in); err != nil || a.Ending != audit.EndingSucceeded || a.Step != 4 {
				t.Fatalf("%+v %v", a, err)
			}
		}},
	} {
		if trips := w.tripsOf(c.do); trips != c.trips {
			t.Errorf("%s: %d", c.name, trips)
		}
	}
	if events := w.store.ordered(flow); len(events) != 7 || events[6].Type != audit.TypeSignInSucceeded {
		t.Fatalf("%d events", len(events))
	}
	if problem := w.store.recordProblem(); problem != "" {
		t.Fatal(problem)
	}
}

func TestARepeatedRequestGetsTheFirstAnswerWheneverItComes(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	first := w.start("s")
	flow := first.Flow
	bound := w.step(flow, "1", reports(audit.TypePasswordVerified, alice))
	end, err := w.finish(flow, "2", ActionComplete)
	if err != nil {
		t.Fatal(err)
	}
	events := len(w.store.outbox)
	other, _ := w.process()
	for _, f := range []*Flows{w.flows, other} {
		w.flows = f
		again := w.start("s")
		if !again.Repeated || again.Flow != flow || again.SupportCode != first.SupportCode || again.Phase != PhaseOpen || again.Message != first.Message {
			t.Fatalf("start: %+v", again)
		}
		if a := w.step(flow, "1", reports(audit.TypePasswordVerified, alice)); !a.Repeated || a.Verdict != audit.VerdictAllow || a.Step != bound.Step || a.Message != bound.Message {
			t.Fatalf("step: %+v", a)
		}
		if a, err := w.finish(flow, "2", ActionComplete); err != nil || !a.Repeated || a.Ending != end.Ending || a.Phase != PhaseEnded {
			t.Fatalf("finish: %+v %v", a, err)
		}
		_, err := w.finish(flow, "3", ActionComplete)
		wantReason(t, err, ErrFlowEnded)
	}
	if len(w.store.outbox) != events {
		t.Fatalf("repeating made %d events", len(w.store.outbox)-events)
	}
}

func TestARequestIDForAnotherRequestIsRefused(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	w.step(flow, "1", reports(audit.TypePasswordRejected, ""))
	_, err := w.flows.Step(t.Context(), caller, stepInput(flow, "1", reports(audit.TypePasswordVerified, alice)))
	wantReason(t, err, ErrRequestIDReused)
	other := w.startInput("s")
	other.CorrelationID = "x"
	_, err = w.flows.Start(t.Context(), caller, other)
	wantReason(t, err, ErrRequestIDReused)
	// Another caller's request ids are its own.
	if a, err := w.flows.Start(t.Context(), Caller{"key:local"}, other); err != nil || a.Repeated {
		t.Fatalf("%+v %v", a, err)
	}
}

func TestALostReplyIsAnsweredByARetry(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	lost := errs.New(errs.Unavailable, "OUTCOME_UNKNOWN", "lost")
	for _, cold := range []bool{false, true} {
		id := fmt.Sprint(cold)
		lose := func() { w.store.after = func(*Commit) error { w.store.after = nil; return lost } }
		lose()
		_, err := w.flows.Start(t.Context(), caller, w.startInput("s"+id))
		wantReason(t, err, "OUTCOME_UNKNOWN")
		flow := w.start("s" + id).Flow
		lose()
		_, err = w.flows.Step(t.Context(), caller, stepInput(flow, "1", reports(audit.TypePasswordVerified, alice)))
		wantReason(t, err, "OUTCOME_UNKNOWN")
		if cold {
			w.flows, _ = w.process()
		}
		if a := w.step(flow, "1", reports(audit.TypePasswordVerified, alice)); !a.Repeated || a.Verdict != audit.VerdictAllow {
			t.Fatalf("%+v", a)
		}
		lose()
		_, err = w.finish(flow, "2", ActionComplete)
		wantReason(t, err, "OUTCOME_UNKNOWN")
		if a, err := w.finish(flow, "2", ActionComplete); err != nil || !a.Repeated || a.Ending != audit.EndingSucceeded {
			t.Fatalf("%+v %v", a, err)
		}
	}
	if problem := w.store.recordProblem(); problem != "" || len(w.store.outbox) != 6 {
		t.Fatalf("%s, %d events", problem, len(w.store.outbox))
	}
}

func TestNothingIsRefusedOnWhatAProcessOnlyRemembers(t *testing.T) {
	w := newWorld(t, acme(demandsMFA))
	flow := w.start("s").Flow
	other, _ := w.process()
	// The other process binds; this one still thinks nobody is.
	if _, err := other.Step(t.Context(), caller, stepInput(flow, "1", reports(audit.TypePasswordVerified, alice))); err != nil {
		t.Fatal(err)
	}
	if a := w.step(flow, "2", reports(audit.TypeMFAVerified, "")); a.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v", a)
	}
}

func TestALostRaceIsRunAgainAndThreeEndTheCall(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	other, _ := w.process()
	races := 2
	w.store.before = func(c *Commit) error {
		if races == 0 || c.Flow == nil {
			return nil
		}
		races--
		l := w.store.flows[flow].l
		return &Conflict{Flow: &l}
	}
	if a := w.step(flow, "1", reports(audit.TypePasswordRejected, "")); a.Step != 2 {
		t.Fatalf("%+v", a)
	}
	races = 3
	_, err := other.Step(t.Context(), caller, stepInput(flow, "2", reports(audit.TypePasswordRejected, "")))
	wantReason(t, err, ErrConflict)
	if errs.KindOf(err) != errs.Conflict {
		t.Fatalf("kind %v", errs.KindOf(err))
	}
	if a := w.step(flow, "2", reports(audit.TypePasswordRejected, "")); a.Repeated || a.Step != 3 {
		t.Fatalf("an aborted call left a trace: %+v", a)
	}
}

func TestAPolicyThatMovedBindsTheNextCallOfEveryProcess(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	w.store.org = changed(acme(demandsMFA), func(o *policy.Organization) { o.PolicyStamp = stampOf(2) })
	if a := w.step(flow, "1", reports(audit.TypePasswordVerified, alice)); a.Verdict != audit.VerdictContinue || a.Message.Key != messageMFA {
		t.Fatalf("%+v", a)
	}
	w.store.org = changed(w.store.org, func(o *policy.Organization) { o.PolicyStamp, o.Sites[0].Disabled = stampOf(3), true })
	if a := w.step(flow, "2", reports(audit.TypeMFAVerified, "")); a.Ending != audit.EndingDenied || a.Reason != audit.ReasonSiteDisabled {
		t.Fatalf("%+v", a)
	}
}

func TestASupportCodeThatIsTakenIsReplaced(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	first := w.start("1")
	codes := []string{first.SupportCode, first.SupportCode, "ZZZZZ-ZZZZZ"}
	w.flows.c.NewCode = func() string { c := codes[0]; codes = codes[1:]; return c }
	if a := w.start("2"); a.SupportCode != "ZZZZZ-ZZZZZ" {
		t.Fatal(a.SupportCode)
	}
	w.flows.c.NewCode = func() string { return first.SupportCode }
	_, err := w.flows.Start(t.Context(), caller, w.startInput("3"))
	if errs.KindOf(err) != errs.Internal {
		t.Fatal(err)
	}
}

func TestUnknownPlacesAreNotFound(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	in := w.startInput("x")
	in.Site = "nowhere"
	_, err := w.flows.Start(t.Context(), caller, in)
	wantReason(t, err, ErrSiteNotFound)
	in.Organization = "nobody"
	_, err = w.flows.Start(t.Context(), caller, in)
	wantReason(t, err, "ORGANIZATION_NOT_FOUND")
	step := stepInput(flow, "1", reports(audit.TypePasswordRejected, ""))
	step.Organization = "other"
	_, err = w.flows.Step(t.Context(), caller, step)
	wantReason(t, err, ErrFlowNotFound)
	step = stepInput(flowID(t, 99), "1", reports(audit.TypePasswordRejected, ""))
	_, err = w.flows.Step(t.Context(), caller, step)
	wantReason(t, err, ErrFlowNotFound)
	_, err = w.flows.Get(t.Context(), w.store.org.UID, "01234-56789")
	wantReason(t, err, ErrFlowNotFound)
}

func TestACommitOutlivesItsCallerOnceBegun(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	flow := w.start("s").Flow
	ctx, cancel := context.WithCancel(t.Context())
	w.store.before = func(*Commit) error { cancel(); return nil }
	if _, err := w.flows.Step(ctx, caller, stepInput(flow, "1", reports(audit.TypePasswordRejected, ""))); err != nil {
		t.Fatal(err)
	}
	w.store.before = nil
	_, err := w.flows.Step(ctx, caller, stepInput(flow, "2", reports(audit.TypePasswordRejected, "")))
	wantReason(t, err, "NOT_RECORDED")
	if n := len(w.store.ordered(flow)); n != 2 {
		t.Fatalf("%d events", n)
	}
}
