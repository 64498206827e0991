package show_test

import (
	"testing"

	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestARowOfAnIdentityHasACellForEachColumn(t *testing.T) {
	row := show.Identity(&posternv1.Identity{Name: "organizations/acme/identities/00ff", Flow: "organizations/acme/flows/f-1", AccountId: "a", LinkedBy: "PROOF"})
	if len(row) != len(show.IdentityHeader()) || row[0] != "00ff" || row[1] != "a" || row[7] != "PROOF" || row[8] != "f-1" {
		t.Errorf("%q", row)
	}
	if empty := show.Identity(&posternv1.Identity{}); len(empty) != len(row) || empty[0] != "" || empty[6] != "" {
		t.Errorf("%q", empty)
	}
}

func TestAStepSaysWhoBeganASignInElsewhereAndWhoExpectedWhat(t *testing.T) {
	if note := show.Note(&posternv1.Event{InitiatedBy: "IDP", Expectations: "CALLER"}); note != "begun by the identity provider, held against what the login service expected" {
		t.Error(note)
	}
	if note := show.Note(&posternv1.Event{}); note != "" {
		t.Error(note)
	}
}
