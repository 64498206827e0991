package directory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

// policies are the use cases of a process.
func (w *world) policies() *directory.Policies {
	return &directory.Policies{Deps: w.deps, History: w.directory}
}

func asked(change func(*directory.PolicyInput)) directory.PolicyInput {
	in := directory.PolicyInput{Organization: "acme", RequestID: uuid.NewString(), Reason: "because", For: time.Hour}
	if change != nil {
		change(&in)
	}
	return in
}

func (w *world) update(document string, change func(*directory.PolicyInput)) (directory.PolicyResult, error) {
	in := asked(change)
	in.Document = []byte(document)
	if in.Etag == "" {
		in.Etag = w.etag()
	}
	return w.policies().Update(w.t.Context(), "unix:7", in)
}

func (w *world) updated(document string) directory.PolicyResult {
	w.t.Helper()
	r, err := w.update(document, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) last(uid string) audit.Event {
	w.t.Helper()
	all := w.events(uid)
	return all[len(all)-1]
}

func TestAPolicyIsReplacedAsAWholeWithOneEvent(t *testing.T) {
	w := newWorld(t)
	first := w.must(directory.ApplyInput{Document: []byte(open), Reason: "begin"}).Organization
	in := asked(func(in *directory.PolicyInput) {
		in.Document, in.Etag = []byte("rules: [{id: all, demands: {mfa: {}}}]\nrecord: [managed]"), w.etag()
	})
	before := len(w.events(first.UID))
	check := in
	check.ValidateOnly = true
	would, err := w.policies().Update(t.Context(), "unix:7", check)
	if err != nil || len(would.Changes) == 0 || len(would.Events) != 0 || len(w.events(first.UID)) != before {
		t.Fatalf("validate only: %+v, %v", would, err)
	}
	done, err := w.policies().Update(t.Context(), "unix:7", in)
	if err != nil {
		t.Fatal(err)
	}
	o := done.State.Organization
	if len(o.Policy.Rules) != 1 || o.Policy.Rules[0].ID != "all" || len(o.Sites) != 2 || o.PolicyStamp == first.PolicyStamp || done.State.Revision != first.Revision+1 {
		t.Errorf("%+v", done.State)
	}
	e := w.last(first.UID)
	if len(w.events(first.UID)) != before+1 || e.Type != audit.TypePolicyUpdated || e.Caller != "unix:7" || e.Origin != audit.OriginAPI || e.Personal.Detail != "because" ||
		cmp.Diff(would.Changes, e.Changes) != "" || e.ID != done.Events[0] {
		t.Errorf("%+v", e)
	}
	again, err := w.policies().Update(t.Context(), "unix:7", in)
	if err != nil || cmp.Diff(done.Events, again.Events) != "" || len(w.events(first.UID)) != before+1 {
		t.Errorf("the same call again: %+v, %v", again, err)
	}
	in.Document = []byte("rules: []")
	if _, err := w.policies().Update(t.Context(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another policy under the same request id: %v", err)
	}
	if r := w.updated("{}"); len(r.State.Organization.Policy.Rules) != 0 || len(r.State.Organization.Policy.RecordClasses) != 0 {
		t.Errorf("what is left out is still there: %+v", r.State.Organization.Policy)
	}
	if r := w.updated("policy: {}\norganization: acme"); len(r.Events) != 0 {
		t.Errorf("nothing changed, and there is an event: %v", r.Events)
	}
}

func TestAPolicyThatComesOutGoesInAgain(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(acme)})
	got, err := w.policies().Get(t.Context(), "acme", directory.AsOf{})
	if err != nil || !strings.HasPrefix(got.Document, "policy:\n") {
		t.Fatalf("%+v, %v", got, err)
	}
	if r := w.updated(got.Document); len(r.Events) != 0 {
		t.Errorf("writing what is there changed something: %+v", w.last(got.Organization.UID).Changes)
	}
}

func tooMuch() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for n := range 200 {
		fmt.Fprintf(&b, "- {id: r%d, message: %s, description: %s, match: {domains: [", n, strings.Repeat("x", 500), strings.Repeat("y", 500))
		for m := range 20 {
			fmt.Fprintf(&b, "a-name-of-some-length-%d-%d-x.com, ", n, m)
		}
		b.WriteString("]}}\n")
	}
	return b.String()
}

func TestAPolicyThatCannotBeWrittenChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(open)})
	before := w.dump()
	for name, c := range map[string]struct {
		document, want string
		change         func(*directory.PolicyInput)
	}{
		"no etag":           {"{}", "ETAG_MISMATCH", func(in *directory.PolicyInput) { in.Etag = strings.Repeat("1", 32) }},
		"not an etag":       {"{}", "ETAG_INVALID", func(in *directory.PolicyInput) { in.Etag = "x" }},
		"nobody's":          {"{}", "ORGANIZATION_NOT_FOUND", func(in *directory.PolicyInput) { in.Organization = "other" }},
		"the sidecar's":     {"{}", "ORGANIZATION_RESERVED", func(in *directory.PolicyInput) { in.Organization = audit.SystemID }},
		"another's":         {"{policy: {}, organization: other}", "DOCUMENT_INVALID", nil},
		"a whole document":  {"{policy: {}, sites: []}", "DOCUMENT_INVALID", nil},
		"an unknown key":    {"ruels: []", "DOCUMENT_INVALID", nil},
		"a list":            {"[]", "DOCUMENT_INVALID", nil},
		"no such provider":  {"rules: [{id: a, demands: {sso: nobody}}]", "DOCUMENT_INVALID", nil},
		"everybody refused": {"default: {block: true}", directory.ReasonLockOut, nil},
		"too much":          {tooMuch(), "POLICY_TOO_LARGE", nil},
	} {
		_, err := w.update(c.document, c.change)
		if !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.dump() != before {
		t.Error("something was written")
	}
	r, err := w.update("default: {block: true}", func(in *directory.PolicyInput) { in.Force = true })
	if err != nil || w.last(r.State.Organization.UID).Changes[0].Field != "lock_out" {
		t.Errorf("forced: %v", err)
	}
}

func TestEveryChangeOfThePolicyIsInItsHistory(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(open), Reason: "begin"})
	w.updated("rules: [{id: two, demands: {mfa: {}}}]")
	w.must(directory.ApplyInput{Document: []byte("organization: acme\ndisplay_name: Other"), Etag: w.etag()})
	w.must(directory.ApplyInput{Document: []byte("organization: acme\npolicy: {rules: []}"), Etag: w.etag(), Reason: "by document"})
	list, err := w.policies().Revisions(t.Context(), "acme", 0, 10)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d revisions, %v", len(list), err)
	}
	if e := list[0].Event; e.Personal.Detail != "by document" || e.Origin != audit.OriginDocument || e.Caller != "unix:0" || len(e.Changes) == 0 {
		t.Errorf("%+v", e)
	}
	if e := list[1].Event; e.Personal.Detail != "because" || e.Origin != audit.OriginAPI || e.Caller != "unix:7" {
		t.Errorf("%+v", e)
	}
	then, err := w.policies().Get(t.Context(), "acme", directory.AsOf{Revision: list[1].Number + 1}) // the revision that only renamed it
	if err != nil || then.Revision != list[1].Number || !then.Past || !strings.Contains(then.Document, "id: two") || then.Organization.DisplayName != "Other" {
		t.Errorf("%+v, %v", then, err)
	}
	if _, err := w.policies().Get(t.Context(), "acme", directory.AsOf{Revision: 99}); !errs.Is(err, policy.ReasonRevisionNotFound) {
		t.Errorf("%v", err)
	}
	if list, err := w.policies().Revisions(t.Context(), "acme", list[2].Number, 10); err != nil || len(list) != 1 || list[0].Event.Type != audit.TypeOrganizationCreated {
		t.Errorf("%v %v", list, err)
	}
}

func TestRollingBackWritesTheOldPolicyAsANewRevision(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(open)})
	first, err := w.policies().Get(t.Context(), "acme", directory.AsOf{})
	if err != nil {
		t.Fatal(err)
	}
	w.updated("rules: [{id: two, demands: {mfa: {}}}]")
	if _, err := w.policies().Suspend(t.Context(), "unix:7", asked(nil)); err != nil {
		t.Fatal(err)
	}
	in := asked(func(in *directory.PolicyInput) { in.Revision = first.Revision })
	done, err := w.policies().RollBack(t.Context(), "unix:8", in)
	if err != nil {
		t.Fatal(err)
	}
	o := done.State.Organization
	if done.State.Document != first.Document || done.State.Revision <= first.Revision || !o.Suspended(time.Now()) {
		t.Errorf("%+v", done.State)
	}
	e := w.last(o.UID)
	if e.Type != audit.TypePolicyUpdated || e.Caller != "unix:8" || e.Personal.Detail != "because" || e.Changes[0].Field != "rolled_back_to" || e.Changes[0].After != "2" {
		t.Errorf("%+v", e)
	}
	for name, in := range map[string]directory.PolicyInput{"the same call": in, "another, to what stands": asked(func(in *directory.PolicyInput) { in.Revision = first.Revision })} {
		again, err := w.policies().RollBack(t.Context(), "unix:8", in)
		if err != nil || again.State.Revision != done.State.Revision {
			t.Errorf("%s: %+v %v", name, again, err)
		}
	}
	if _, err := w.policies().RollBack(t.Context(), "unix:8", asked(func(in *directory.PolicyInput) { in.Revision = 99 })); !errs.Is(err, policy.ReasonRevisionNotFound) {
		t.Errorf("%v", err)
	}
}

func TestRollingBackToWhatIsGoneNamesTheRule(t *testing.T) {
	for name, gone := range map[string]string{
		"connection": "organization: acme\nconnections: []\npolicy: {rules: []}",
		"kind":       "organization: acme\nconnections: [{id: okta, kind: social}]\npolicy: {rules: []}",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.must(directory.ApplyInput{Document: []byte(open)}).Organization
			w.must(directory.ApplyInput{Document: []byte(gone), Etag: w.etag()})
			before := w.dump()
			_, err := w.policies().RollBack(t.Context(), "unix:7", asked(func(in *directory.PolicyInput) { in.Revision = o.Revision }))
			if !errs.Is(err, directory.ReasonRollBack) || errs.KindOf(err) != errs.FailedPrecondition || !strings.Contains(errs.As(err).Public, "policy.rules[guests]") {
				t.Errorf("%v", err)
			}
			if w.dump() != before {
				t.Error("something was written")
			}
		})
	}
}

func TestRollingBackToALockOutNeedsForce(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki}]\npolicy: {default: {block: true}}")})
	closed, err := w.policies().Get(t.Context(), "acme", directory.AsOf{})
	if err != nil {
		t.Fatal(err)
	}
	w.updated("{}")
	in := asked(func(in *directory.PolicyInput) { in.Revision = closed.Revision })
	if _, err := w.policies().RollBack(t.Context(), "unix:7", in); !errs.Is(err, directory.ReasonLockOut) {
		t.Errorf("%v", err)
	}
	in.Force = true
	if r, err := w.policies().RollBack(t.Context(), "unix:7", in); err != nil || w.last(r.State.Organization.UID).Changes[0].Field != "lock_out" {
		t.Errorf("%v", err)
	}
}

func TestASuspensionBindsEveryProcessAndEndsByItself(t *testing.T) {
	w := newWorld(t)
	o := w.must(directory.ApplyInput{Document: []byte(open)}).Organization
	second := *w
	second.process()
	if _, err := second.directory.Organization(t.Context(), o.UID); err != nil { // it has the policy of before in its cache
		t.Fatal(err)
	}
	in := asked(nil)
	done, err := w.policies().Suspend(t.Context(), "unix:7", in)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := second.directory.Organization(t.Context(), o.UID)
	if err != nil || !seen.Suspended(time.Now()) || seen.Suspended(time.Now().Add(time.Hour)) || seen.PolicyStamp == o.PolicyStamp {
		t.Errorf("another process: %+v %v", seen, err)
	}
	e := w.last(o.UID)
	if e.Type != audit.TypePolicySuspended || e.Personal.Detail != "because" || e.Changes[0].Field != "suspended_until" || e.Changes[0].After != seen.SuspendedUntil.Format(time.RFC3339) || e.Target.Type != "policy" {
		t.Errorf("%+v", e)
	}
	n := len(w.events(o.UID))
	if again, err := second.policies().Suspend(t.Context(), "unix:7", in); err != nil || cmp.Diff(done.Events, again.Events) != "" || len(w.events(o.UID)) != n {
		t.Errorf("the same call again: %v", err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\npolicy: {rules: []}"), Etag: w.etag()})
	if now, err := w.policies().Get(t.Context(), "acme", directory.AsOf{}); err != nil || !now.Organization.SuspendedUntil.Equal(seen.SuspendedUntil) {
		t.Errorf("a document ended it: %v", err)
	}
	resumed, err := second.policies().Resume(t.Context(), "unix:8", asked(nil))
	if err != nil || resumed.State.Organization.Suspended(time.Now()) || !resumed.State.Organization.SuspendedUntil.IsZero() {
		t.Errorf("%+v %v", resumed, err)
	}
	if e := w.last(o.UID); e.Type != audit.TypePolicyResumed || e.Caller != "unix:8" || e.Changes[0].After != "" {
		t.Errorf("%+v", e)
	}
	if r, err := w.policies().Resume(t.Context(), "unix:8", asked(nil)); err != nil || len(r.Events) != 0 {
		t.Errorf("resumed twice: %+v %v", r, err)
	}
	list, err := w.policies().Revisions(t.Context(), "acme", 0, 2)
	if err != nil || len(list) != 2 || list[0].Event.Type != audit.TypePolicyResumed {
		t.Errorf("%v %v", list, err)
	}
}

func TestASuspensionThatEndedIsNotResumed(t *testing.T) {
	w := newWorld(t)
	o := w.must(directory.ApplyInput{Document: []byte(open)}).Organization
	if _, err := w.policies().Suspend(t.Context(), "unix:7", asked(nil)); err != nil {
		t.Fatal(err)
	}
	later := w.policies()
	later.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	n := len(w.events(o.UID))
	if r, err := later.Resume(t.Context(), "unix:7", asked(nil)); err != nil || len(r.Events) != 0 || len(w.events(o.UID)) != n {
		t.Errorf("%+v %v", r, err)
	}
}

func TestSuspensionsHaveBoundsAndRetry(t *testing.T) {
	w := newWorld(t)
	o := w.must(directory.ApplyInput{Document: []byte(open)}).Organization
	for _, d := range []time.Duration{0, -time.Hour, 59 * time.Second, 24*time.Hour + 1} {
		if _, err := w.policies().Suspend(t.Context(), "unix:7", asked(func(in *directory.PolicyInput) { in.For = d })); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", d, err)
		}
	}
	if _, err := w.policies().Suspend(t.Context(), "unix:7", asked(func(in *directory.PolicyInput) { in.Etag = strings.Repeat("1", 32) })); !errs.Is(err, "ETAG_MISMATCH") {
		t.Errorf("on another version: %v", err)
	}
	p := w.policies()
	raced := 0
	p.Writer = &meanwhile{w.deps.Writer, func() {
		raced++
		second := *w
		second.process()
		second.must(directory.ApplyInput{Document: []byte("organization: acme\ndisplay_name: Other"), Etag: policypb.Etag(o.Stamp)})
	}}
	r, err := p.Suspend(context.WithoutCancel(t.Context()), "unix:7", asked(func(in *directory.PolicyInput) { in.For = time.Minute }))
	if err != nil || raced != 1 || r.State.Organization.DisplayName != "Other" || !r.State.Organization.Suspended(time.Now()) {
		t.Errorf("raced %d: %+v %v", raced, r, err)
	}
}
