package directory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

// A document that changes a site leaves alone from when on proofs count there and in the organization.
func TestADocumentDoesNotBringRevokedProofsBack(t *testing.T) {
	w := newWorld(t)
	o := w.must(directory.ApplyInput{Document: []byte(acme)}).Organization
	at := time.Now().Add(-time.Minute)
	for i, site := range []string{o.Sites[0].UID, ""} {
		e := audit.Event{ID: uuid.Must(uuid.NewV7()).String(), Type: audit.TypeProofsRevoked, Time: at, Organization: o.ID, OrganizationUID: o.UID,
			Outcome: audit.OutcomeOf(audit.TypeProofsRevoked), Caller: "unix:0"}
		if _, _, err := w.directory.RevokeProofs(t.Context(), o.UID, site, at, e, policy.ApplyKey{Key: [32]byte{byte(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	after, err := w.directory.Organization(t.Context(), o.UID)
	if err != nil {
		t.Fatal(err)
	}
	renamed := w.must(directory.ApplyInput{Document: []byte(strings.Replace(acme, "display_name: Wiki", "display_name: The Wiki", 1)), Etag: policypb.Etag(after.Stamp)}).Organization
	if s := renamed.Sites[0]; s.DisplayName != "The Wiki" || !s.ProofsNotBefore.Equal(at) || !renamed.ProofsNotBefore.Equal(at) {
		t.Errorf("a document has changed the bounds: %+v", renamed)
	}
}
