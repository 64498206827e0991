package archivetest

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

var storeCases = []testCase{
	{"a new archive is empty", func(w *world) {
		if !must(w.Empty(w.Context()))(w) {
			w.Error("a new archive is not empty")
		}
		if i := must(w.Installation(w.Context()))(w); i != nil {
			w.Errorf("a new archive has installation %+v", i)
		}
		if last, recorded := w.position(orgA); last != 0 || !recorded.IsZero() {
			w.Errorf("position %d at %v", last, recorded)
		}
		if r := must(w.Revisions(w.Context()))(w); len(r) != 0 {
			w.Errorf("revisions %v", r)
		}
		if e := w.all(orgA); len(e) != 0 {
			w.Errorf("events %v", e)
		}
		w.add(w.event())
		if must(w.Empty(w.Context()))(w) {
			w.Error("an archive with an event is empty")
		}
	}},
	{"an event comes back as it was stored", func(w *world) {
		e := wholeEvent(w)
		w.add(e)
		got := must(w.Event(w.Context(), orgA, e.ID))(w)
		want := e
		want.Sequence, want.RecordedTime = 1, w.entry(e).RecordedTime
		if !equalIndexes(got.Indexes, want.Indexes) {
			w.Errorf("indexes %v, want %v", got.Indexes, want.Indexes)
		}
		got.Indexes, want.Indexes = nil, nil
		if !reflect.DeepEqual(got, want) {
			w.Errorf("got  %+v\nwant %+v", got, want)
		}
		listed := w.all(orgA)
		listed[0].Indexes = nil
		if !reflect.DeepEqual(listed, []audit.Event{want}) {
			w.Errorf("listed %+v\nwant   %+v", listed, want)
		}
	}},
	{"an event about nobody has no sealed part", func(w *world) {
		e := w.event(func(e *audit.Event) { e.Sealed = nil })
		w.add(e)
		if got := must(w.Event(w.Context(), orgA, e.ID))(w); got.Sealed != nil || got.Indexes != nil || got.PersonalState != "" {
			w.Errorf("got %+v", got)
		}
	}},
	{"what is not there is not found", func(w *world) {
		e := w.event()
		w.add(e)
		for _, c := range [][2]string{{orgA, id("event", 99)}, {orgB, e.ID}, {"", e.ID}, {orgA, ""}, {orgA, strings.ToUpper(e.ID)}} {
			_, err := w.Event(w.Context(), c[0], c[1])
			w.notFound(err, "EVENT_NOT_FOUND")
			_, _, err = w.Flow(w.Context(), c[0], c[1])
			w.notFound(err, "FLOW_NOT_FOUND")
		}
	}},
	{"organization keys are stored with the batch, once", func(w *world) {
		b := w.batch(0, w.event())
		b.Keys = []audit.OrganizationKey{{OrganizationUID: orgB, Wrapped: []byte("b")}, {OrganizationUID: orgA, Wrapped: []byte{0, 1, 2}}}
		must(w.Append(w.Context(), b))(w)
		b = w.batch(0, w.event())
		b.Keys = []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("another")}}
		must(w.Append(w.Context(), b))(w)
		want := []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte{0, 1, 2}}, {OrganizationUID: orgB, Wrapped: []byte("b")}}
		if got := must(w.Keys(w.Context(), "", 10))(w); !reflect.DeepEqual(got, want) {
			w.Errorf("keys %v, want %v", got, want)
		}
		if got := must(w.Keys(w.Context(), "", 1))(w); !reflect.DeepEqual(got, want[:1]) {
			w.Errorf("first page %v", got)
		}
		if got := must(w.Keys(w.Context(), orgA, 1))(w); !reflect.DeepEqual(got, want[1:]) {
			w.Errorf("second page %v", got)
		}
		if got := must(w.Keys(w.Context(), orgB, 1))(w); len(got) != 0 {
			w.Errorf("page after the end %v", got)
		}
	}},
	{"the installation is stored once", func(w *world) {
		i := audit.Installation{ID: id("installation", 1), Partitions: 64, StateFormat: 1, MasterFingerprint: "m", HashFingerprint: "h", Created: began}
		for range 2 {
			if err := w.SetInstallation(w.Context(), i); err != nil {
				w.Fatal(err)
			}
		}
		for _, change := range []func(*audit.Installation){
			func(i *audit.Installation) { i.ID = "other" }, func(i *audit.Installation) { i.Partitions++ },
			func(i *audit.Installation) { i.StateFormat++ }, func(i *audit.Installation) { i.MasterFingerprint = "" },
			func(i *audit.Installation) { i.HashFingerprint = "x" },
		} {
			other := i
			change(&other)
			if err := w.SetInstallation(w.Context(), other); errs.KindOf(err) != errs.FailedPrecondition || !errs.Is(err, "INSTALLATION_MISMATCH") {
				w.Errorf("storing %+v: %v", other, err)
			}
		}
		if got := must(w.Installation(w.Context()))(w); got == nil || *got != i {
			w.Errorf("installation %+v, want %+v", got, i)
		}
		for _, region := range []string{"eu", "eu", "us", ""} { // given once, when there was none
			next := i
			next.Region = region
			if err := w.SetInstallation(w.Context(), next); (err == nil) != (region == "eu") {
				w.Errorf("region %q: %v", region, err)
			}
			if got := must(w.Installation(w.Context()))(w); got.Region != "eu" {
				w.Errorf("region %q after %q was given", got.Region, region)
			}
		}
		if !must(w.Empty(w.Context()))(w) {
			w.Error("an installation is no event")
		}
	}},
	{"an empty batch does nothing", func(w *world) {
		if done := must(w.Append(w.Context(), w.batch(0)))(w); done != (audit.Appended{}) {
			w.Errorf("appended %+v", done)
		}
	}},
	{"the highest revision is kept per organization", func(w *world) {
		revision := func(n int64) func(*audit.Event) { return func(e *audit.Event) { e.Revision = n } }
		w.add(w.event(revision(3)), w.event(ofB, revision(9)), w.event(revision(7)), w.event(), w.event(revision(5)))
		w.add(w.event(revision(2)))
		if got, want := must(w.Revisions(w.Context()))(w), map[string]int64{orgA: 7, orgB: 9}; !reflect.DeepEqual(got, want) {
			w.Errorf("revisions %v, want %v", got, want)
		}
	}},
	{"times keep their nanoseconds and far ends do no harm", func(w *world) {
		w.retain(orgA, audit.Retention{SignIn: 1, Administration: 1, Activity: 1, Hold: true})
		var want []string
		for _, t := range []time.Time{{}, time.Unix(0, 1).UTC(), time.Date(1, 2, 3, 4, 5, 6, 7, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), began} {
			e := w.event(func(e *audit.Event) { e.Time = t })
			w.add(e)
			want = append(want, e.ID)
			if got := must(w.Event(w.Context(), orgA, e.ID))(w); !got.Time.Equal(t) || got.Time.IsZero() != t.IsZero() {
				w.Errorf("time %v came back as %v", t, got.Time)
			}
		}
		if got := ids(w.all(orgA)); !slices.Equal(got, want) {
			w.Errorf("listed %v, want %v", got, want)
		}
	}},
}

func (w *world) notFound(err error, reason string) {
	w.Helper()
	if errs.KindOf(err) != errs.NotFound || !errs.Is(err, reason) {
		w.Errorf("got %v, want %s", err, reason)
	}
	if e := errs.As(err); e != nil && errors.Unwrap(e) != nil {
		w.Errorf("not found carries a cause: %v", err)
	}
}

// wholeEvent sets every field an encoded event can carry.
func wholeEvent(w *world) audit.Event {
	yes := true
	return w.event(func(e *audit.Event) {
		e.Type, e.Site, e.SiteUID, e.Flow, e.Step = audit.TypeSignInDenied, "portal", id("site", 1), id("flow", 1), 7
		e.SupportCode, e.CorrelationID, e.Caller = "ABCDE-FGH12", "their-id", "unix:1000"
		e.Class, e.Provisional, e.Outcome, e.Evidence = audit.ClassExternal, true, audit.OutcomeFailure, audit.EvidenceVerified
		e.Checks, e.Method, e.Connection, e.ConnectionUID = []string{"signature", "nonce"}, "sso", "partner", id("connection", 1)
		e.Factor, e.Reason, e.Counts, e.Late, e.Client = audit.FactorTOTP, "SSO_REQUIRED", &yes, true, audit.ClientCLI
		e.AuthenticatedAt, e.Ending, e.Session, e.AgainstVerdict = at(-60), audit.EndingDenied, "hash", true
		e.Decision = &audit.Decision{Class: audit.ClassExternal, Rule: "guests", Source: "RULE", Verdict: audit.VerdictDeny, Reason: "SSO_REQUIRED", PolicyRevision: 4}
		e.Steps = []audit.StepSummary{{Step: 1, Event: id("event", 500), Type: audit.TypeSignInStarted, Time: at(0)}}
		e.Target = &audit.Target{Type: "policy", ID: "p", UID: id("policy", 1), Count: 3}
		e.Changes = []audit.Change{{Field: "rules[2]", Before: "a", After: "b"}}
		e.Revision, e.Tally, e.TallyHour = 12, map[string]int64{"opened": 2}, at(0).Truncate(time.Hour)
		e.Denial = &audit.Denial{Method: "/m", Code: "INTERNAL", Reason: "R", Count: 2, CallID: "c"}
		e.SubjectKind, e.Origin, e.IdentifierHash = audit.SubjectService, audit.OriginAPI, "ih"
		e.Indexes = []audit.Index{index(audit.IndexAccount, "a"), index(audit.IndexEmail, "e"), index(audit.IndexNetwork24, "n")}
	})
}
