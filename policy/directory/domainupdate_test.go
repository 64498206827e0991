package directory_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

// update changes a domain of acme through the first process.
func (w *domainWorld) update(in directory.DomainInput, subdomains *bool, lapse *time.Duration) (directory.Domain, error) {
	return w.first.Update(w.t.Context(), "unix:7", directory.DomainUpdate{DomainInput: in, Subdomains: subdomains, LapseAfter: lapse})
}

func TestWhatWasChosenAboutADomainIsChangedInOneCommitWithItsEvent(t *testing.T) {
	w := newDomainWorld(t)
	d := w.create("acme", name, nil)
	month, subdomains := 30*24*time.Hour, true
	pending, err := w.update(w.in("acme", name), nil, &month)
	if err != nil || pending.Challenge.LapseAfter != month || pending.Challenge.Subdomains || pending.Record != nil || pending.Etag() == d.Etag() {
		t.Fatalf("while pending: %+v, %v", pending, err)
	}
	w.show(d)
	if _, err := w.verify("acme", name); err != nil {
		t.Fatal(err)
	}
	stale := w.in("acme", name)
	stale.Etag = pending.Etag()
	if _, err := w.update(stale, &subdomains, nil); !errs.Is(err, "ETAG_MISMATCH") {
		t.Errorf("on an older version: %v", err)
	}
	in := w.in("acme", name)
	wide, err := w.update(in, &subdomains, nil)
	if err != nil || wide.Record == nil || !wide.Record.Subdomains || wide.Challenge.LapseAfter != month || wide.Challenge.State != policy.DomainVerified || wide.Record.Verified.IsZero() {
		t.Fatalf("while verified: %+v, %v", wide, err)
	}
	events := w.domainEvents("acme")
	again, err := w.update(in, &subdomains, nil)
	if err != nil || again.Etag() != wide.Etag() {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	same := w.in("acme", name)
	for range 2 { // nothing to change, remembered all the same
		if d, err := w.update(same, &subdomains, &month); err != nil || d.Etag() != wide.Etag() {
			t.Errorf("nothing to change: %+v, %v", d, err)
		}
	}
	if _, err := w.update(same, nil, &month); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("the same id with another request: %v", err)
	}
	if got := w.domainEvents("acme"); !slices.Equal(got, events) {
		t.Errorf("what changed nothing left %v", got)
	}
	never := time.Duration(0)
	if _, err := w.update(w.in("acme", name), nil, &never); err != nil {
		t.Fatal(err)
	}
	var said []audit.Change
	for _, e := range w.events(w.uids["acme"]) {
		if e.Type == audit.TypeDomainUpdated {
			said = append(said, e.Changes...)
		}
	}
	if want := []audit.Change{{Field: "lapse_after", After: "30d"}, {Field: "include_subdomains", Before: "false", After: "true"}, {Field: "lapse_after", Before: "30d"}}; !slices.Equal(said, want) {
		t.Errorf("the record says %+v, want %+v", said, want)
	}
}

func TestOnlyWhatWasCreatedHereIsUpdatedAndOnlyWithinBounds(t *testing.T) {
	w := newDomainWorld(t)
	yes, hour, ages := true, time.Hour, 400*24*time.Hour
	if _, err := w.update(w.in("acme", name), &yes, nil); !errs.Is(err, "DOMAIN_NOT_FOUND") {
		t.Errorf("nothing there: %v", err)
	}
	w.create("acme", name, nil)
	for _, d := range []time.Duration{hour, ages, -hour} {
		if _, err := w.update(w.in("acme", name), nil, &d); !errs.Is(err, "FIELD_INVALID") {
			t.Errorf("%v: %v", d, err)
		}
	}
	if _, err := w.update(w.in("globex", name), &yes, nil); !errs.Is(err, "DOMAIN_NOT_FOUND") {
		t.Errorf("another organization's: %v", err)
	}
}

// TestADomainThatLocksPeopleOutGoesOnlyByForce has a policy that lets only the organization's own people in.
func TestADomainThatLocksPeopleOutGoesOnlyByForce(t *testing.T) {
	w := newDomainWorld(t)
	d := w.create("acme", name, nil)
	w.show(d)
	if _, err := w.verify("acme", name); err != nil {
		t.Fatal(err)
	}
	o, err := w.directory.Organization(t.Context(), w.uids["acme"])
	if err != nil {
		t.Fatal(err)
	}
	w.must(directory.ApplyInput{Organization: "acme", Etag: policypb.Etag(o.Stamp), Force: true,
		Document: []byte("organization: acme\nsites: [{id: wiki}]\npolicy: {rules: [{id: shut, demands: {block: true}}]}\n")})
	in := w.in("acme", name)
	if err := w.first.Delete(t.Context(), "unix:7", in); !errs.Is(err, directory.ReasonLockOut) {
		t.Fatalf("everybody of the domain is locked out: %v", err)
	}
	if got := w.domainEvents("acme"); got[len(got)-1] != "domain.verified PENDING>VERIFIED" {
		t.Errorf("a refused removal left %v", got)
	}
	in.RequestID, in.Force = "forced", true
	if err := w.first.Delete(t.Context(), "unix:7", in); err != nil {
		t.Fatal(err)
	}
	events := w.events(w.uids["acme"])
	last := events[len(events)-1]
	if last.Type != audit.TypeDomainRemoved || !slices.ContainsFunc(last.Changes, func(c audit.Change) bool { return c.Field == "lock_out" && c.After != "" }) {
		t.Errorf("the record does not say that it was forced: %+v", last)
	}
}
