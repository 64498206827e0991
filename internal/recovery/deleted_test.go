package recovery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

func (w *world) deleted(o *policy.Organization) {
	w.t.Helper()
	deps := directory.Deps{Directory: w.directory, Writer: w.directory, Namer: naming.New(w.sets.Namer()), Keys: w.keyring, Owners: w.directory, Sealer: w.keyring,
		NewID: newID, Now: time.Now}
	r := &directory.Resources{Deps: deps, Deletions: w.directory,
		Accounts: &directory.Accounts{Directory: w.directory, Writer: w.directory, Claims: w.directory, Owners: w.directory, Sealer: w.keyring, Namer: deps.Namer, NewID: newID, Now: deps.Now},
		Domains:  &directory.Domains{Directory: w.directory, Writer: w.directory, Challenges: w.directory, Owners: w.directory, Namer: deps.Namer, NewID: newID, Now: deps.Now}}
	off, err := r.UpdateOrganization(w.t.Context(), "test", directory.OrganizationInput{Disabled: true, Fields: []string{directory.FieldDisabled},
		ResourceChange: directory.ResourceChange{Organization: o.ID, RequestID: newID()}})
	if err == nil {
		err = r.DeleteOrganization(w.t.Context(), "test", directory.DeletionInput{Organization: o.ID, Etag: policypb.Etag(off.Stamp), RequestID: newID(), Reason: "over"})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// An organization that was deleted is not missed: neither where its tombstone is left, nor where the store has never heard of it.
func TestADeletedOrganizationIsNotMissed(t *testing.T) {
	w := newWorld(t)
	o := w.apply(acme)
	w.open("a@guest-firm.com")
	w.deleted(o)
	w.flush()
	w.save()
	if r := w.killed(); !r.Empty() {
		t.Errorf("with its tombstone: %+v", r)
	}

	w = newWorld(t)
	o = w.apply(acme)
	flow := w.open("a@guest-firm.com")
	w.deleted(o)
	w.flush()
	if r := w.killed(); len(r.Organizations) != 0 || r.FlowsEnded != 1 {
		t.Errorf("without: %+v", r)
	}
	if events := w.record(o, flow); !lost(events[len(events)-1]) {
		t.Errorf("its flow ends with %s", events[len(events)-1].Type)
	}

	w = newWorld(t)
	o = w.apply(acme)
	w.save()
	w.deleted(o)
	w.flush()
	if r := w.killed(); !slices.Equal(r.Changed, []string{"acme"}) { // it is back: whoever runs the sidecar is told
		t.Errorf("set back to before: %+v", r)
	}
}
