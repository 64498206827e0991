package directory_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

func revocation(o *policy.Organization) audit.Event {
	return audit.Event{ID: uuid.Must(uuid.NewV7()).String(), Type: audit.TypeProofsRevoked, Time: time.Now(), Organization: o.ID, OrganizationUID: o.UID,
		Outcome: audit.OutcomeOf(audit.TypeProofsRevoked), Caller: "unix:0"}
}

func TestARevocationMovesTheBoundWithItsEventAndThePolicyStamp(t *testing.T) {
	w := newWorld(t)
	before := w.must(directory.ApplyInput{Document: []byte(acme)}).Organization
	b := directory.NewBounds(w.directory, w.directory)
	ctx, now := t.Context(), time.Now()
	wiki := before.Sites[0].UID
	e, key := revocation(before), policy.ApplyKey{Key: [32]byte{1}, Digest: [32]byte{1}}
	at, id, err := b.RevokeProofs(ctx, before.UID, wiki, now, e, key)
	if err != nil || !at.Equal(now) || id != e.ID {
		t.Fatal(at, id, err)
	}
	after, err := w.directory.Organization(ctx, before.UID)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Sites[0].ProofsNotBefore.Equal(now) || !after.ProofsNotBefore.IsZero() || after.PolicyStamp == before.PolicyStamp || after.Revision != before.Revision+1 {
		t.Errorf("the organization is %+v", after)
	}
	events := w.events(before.UID)
	last := events[len(events)-1]
	if last.ID != e.ID || last.Type != audit.TypeProofsRevoked || len(last.Changes) != 1 || last.Changes[0].Field != "proofs_not_before" || last.Changes[0].After == "" {
		t.Errorf("the event is %+v", last)
	}

	// The same call again, later: the first answer, and nothing more.
	again, same, err := b.RevokeProofs(ctx, before.UID, wiki, now.Add(time.Hour), revocation(before), key)
	if err != nil || !again.Equal(now) || same != e.ID || len(w.events(before.UID)) != len(events) {
		t.Errorf("again: %v %v %v", again, same, err)
	}
	// The request id of another request.
	if _, _, err := b.RevokeProofs(ctx, before.UID, "", now, revocation(before), policy.ApplyKey{Key: key.Key, Digest: [32]byte{2}}); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another request: %v", err)
	}
	// An earlier moment moves nothing back; the whole organization has a bound of its own.
	if at, _, err = b.RevokeProofs(ctx, before.UID, wiki, now.Add(-time.Hour), revocation(before), policy.ApplyKey{Key: [32]byte{3}}); err != nil || !at.Equal(now) {
		t.Errorf("an earlier moment: %v %v", at, err)
	}
	if at, _, err = b.RevokeProofs(ctx, before.UID, "", now.Add(time.Second), revocation(before), policy.ApplyKey{Key: [32]byte{4}}); err != nil || !at.Equal(now.Add(time.Second)) {
		t.Errorf("the organization: %v %v", at, err)
	}
	if _, _, err := b.RevokeProofs(ctx, before.UID, "nowhere", now, revocation(before), policy.ApplyKey{Key: [32]byte{5}}); !errs.Is(err, "SITE_NOT_FOUND") {
		t.Errorf("no site: %v", err)
	}

	// A document that says nothing of it leaves it alone.
	if after, err = w.directory.Organization(ctx, before.UID); err != nil {
		t.Fatal(err)
	}
	renamed := w.must(directory.ApplyInput{Document: []byte(strings.Replace(acme, "display_name: Wiki", "display_name: The Wiki", 1)), Etag: policypb.Etag(after.Stamp)}).Organization
	if renamed.Sites[0].DisplayName != "The Wiki" || !renamed.Sites[0].ProofsNotBefore.Equal(now) || !renamed.ProofsNotBefore.Equal(now.Add(time.Second)) {
		t.Errorf("a document has changed the bounds: %+v", renamed)
	}
}

// Eight revocations at once: those that lose a race are tried again, and none moves the bound back.
func TestRevocationsAtOnceAllCount(t *testing.T) {
	w := newWorld(t)
	o := w.must(directory.ApplyInput{Document: []byte(acme)}).Organization
	b := directory.NewBounds(w.directory, w.directory)
	start := time.Now()
	var wg sync.WaitGroup
	done := make([]bool, 8)
	for i := range done {
		wg.Go(func() {
			_, _, err := b.RevokeProofs(t.Context(), o.UID, "", start.Add(time.Duration(i)*time.Second), revocation(o), policy.ApplyKey{Key: [32]byte{9, byte(i)}})
			if done[i] = err == nil; err != nil && !errs.Is(err, "CONFLICT") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var latest time.Time
	for i, ok := range done {
		if ok {
			latest = start.Add(time.Duration(i) * time.Second)
		}
	}
	after, err := w.directory.Organization(t.Context(), o.UID)
	if err != nil || latest.IsZero() || !after.ProofsNotBefore.Equal(latest) {
		t.Errorf("the bound is %v, want %v (%v)", after.ProofsNotBefore, latest, err)
	}
}
