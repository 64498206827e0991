package directory_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

func TestACallThatChangedNothingIsRememberedAsWell(t *testing.T) {
	w := newWorld(t)
	first := w.must(directory.ApplyInput{Document: []byte(acme)})
	in := directory.ApplyInput{Document: []byte(acme), Etag: policypb.Etag(first.Organization.Stamp), RequestID: "r-1"}
	same := w.must(in)
	if d := cmp.Diff([]string{"NOTHING 0"}, kinds(same.Commits)); d != "" {
		t.Error(d)
	}
	other := in
	other.Document = []byte(strings.Replace(acme, "display_name: Acme", "display_name: Other", 1))
	if _, err := w.apply(other); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another document under the same request id: %v", err)
	}
	other.RequestID = "r-2"
	w.must(other)
	if again := w.must(in); cmp.Diff(same.Commits, again.Commits) != "" {
		t.Errorf("repeated after a change: %v", again.Commits)
	}
}

// meanwhile lets another process create the organization just before the first commit.
type meanwhile struct {
	policy.DirectoryWriter
	other func()
}

func (m *meanwhile) Commit(ctx context.Context, c policy.Change) (policy.Applied, policy.Stamp, error) {
	if m.other != nil {
		other := m.other
		m.other = nil
		other()
	}
	return m.DirectoryWriter.Commit(ctx, c)
}

func TestTheReasonOfACreationIsOnTheRecordWhoeverWins(t *testing.T) {
	w := newWorld(t)
	small := []byte("organization: acme\ndisplay_name: Acme")
	second := *w
	second.process()
	w.deps.Writer = &meanwhile{w.deps.Writer, func() { second.must(directory.ApplyInput{Document: small, Reason: "won"}) }}
	if _, err := w.apply(directory.ApplyInput{Document: small, Reason: "lost"}); !errs.Is(err, "ETAG_MISMATCH") {
		t.Fatalf("%v", err)
	}
	uid, err := w.directory.Resolve(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.directory.Organization(t.Context(), uid) // the loser's process learns the winner's key
	if err != nil {
		t.Fatal(err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\ndisplay_name: Other"), Etag: policypb.Etag(o.Stamp), Reason: "later"})
	for name, process := range map[string]*world{"the loser": w, "the winner": &second} {
		events := process.events(uid)
		if len(events) != 2 || events[0].Personal.Detail != "won" || events[1].Personal.Detail != "later" {
			t.Errorf("%s reads %+v", name, events)
		}
	}
}
