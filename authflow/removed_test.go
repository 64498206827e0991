package authflow

import (
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// A request id keeps its first answer, also when the site has been removed since: on the process that has seen so, on one that
// has not, and on one that sees it in the very read.
func TestTheFirstAnswerOutlivesItsSite(t *testing.T) {
	w := newWorld(t, acme(noDemands))
	stale, _ := w.process()
	started := w.start("s")
	w.step(started.Flow, "1", reports(audit.TypePasswordVerified, alice))
	begun, err := w.record(session("a", SessionStarted, started.Flow))
	if err != nil {
		t.Fatal(err)
	}
	w.store.mu.Lock()
	w.store.org = changed(w.store.org, func(o *policy.Organization) { o.Sites = nil })
	w.store.mu.Unlock()
	fresh, _ := w.process()
	for name, f := range map[string]*Flows{"that knew the site": stale, "that answered": w.flows, "that never knew it": fresh} {
		again, err := f.Start(t.Context(), caller, w.startInput("s"))
		if err != nil || !again.Repeated || again.Flow != started.Flow || again.SupportCode != started.SupportCode {
			t.Errorf("StartFlow on a process %s: %+v, %v", name, again, err)
		}
		over, err := f.RecordSession(t.Context(), caller, session("a", SessionStarted, started.Flow))
		if err != nil || !over.Repeated || over.Session != begun.Session {
			t.Errorf("RecordSession on a process %s: %+v, %v", name, over, err)
		}
		_, err = f.Start(t.Context(), caller, w.startInput("new"))
		wantReason(t, err, ErrSiteNotFound)
		other := w.startInput("s")
		other.Subject.Address = address(t, "bob@partner.example.com")
		_, err = f.Start(t.Context(), caller, other)
		wantReason(t, err, ErrRequestIDReused)
	}
	_, err = fresh.RecordSession(t.Context(), caller, session("new", SessionStarted, started.Flow))
	wantReason(t, err, ErrSiteNotFound)
}
