package codec_test

import (
	"bytes"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

func TestIndexesFindWhatAPersonIsSearchedBy(t *testing.T) {
	_, r := newCodec(t)
	p := audit.Personal{
		AccountID: "acc", ClaimedAccountID: "claimed", PresentedAccountID: "acc",
		Email: "Ann@Example.com", TypedAddress: "bob@other.example", PreviousEmail: "Anna@third.example", DisplayName: " Ann ", IP: "::ffff:192.0.2.17",
		Issuer: "never indexed", SubjectID: "never indexed", Detail: "never indexed", DeviceID: "never indexed", Items: []string{"never indexed"},
	}
	got, err := codec.IndexesFor(r, organization, &p)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		purpose audit.Purpose
		value   string
	}{
		{audit.IndexAccount, "acc"}, {audit.IndexAccount, "claimed"},
		{audit.IndexEmail, "ann@example.com"}, {audit.IndexEmail, "bob@other.example"}, {audit.IndexEmail, "anna@third.example"},
		{audit.IndexEmailDomain, "example.com"}, {audit.IndexEmailDomain, "other.example"}, {audit.IndexEmailDomain, "third.example"},
		{audit.IndexName, "ann"},
		{audit.IndexNetwork32, "192.0.2.17/32"}, {audit.IndexNetwork24, "192.0.2.0/24"}, {audit.IndexNetwork16, "192.0.0.0/16"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d indexes, want %d", len(got), len(want))
	}
	for _, w := range want {
		i, err := r.Index(organization, w.purpose, w.value)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, g := range got {
			found = found || (g.Purpose == w.purpose && bytes.Equal(g.Value, i.Value))
		}
		if !found {
			t.Errorf("no index for %v %q", w.purpose, w.value)
		}
	}
}

func TestATypedIdentifierIsIndexedByItsHash(t *testing.T) {
	c, r := newCodec(t)
	e := audit.Event{ID: "x", Type: audit.TypeSignInStarted, OrganizationUID: organization, IdentifierHash: "0123456789abcdef"}
	if err := c.SealEvent(&e); err != nil {
		t.Fatal(err)
	}
	want, err := r.Index(organization, audit.IndexIdentifier, e.IdentifierHash)
	if err != nil {
		t.Fatal(err)
	}
	if e.Sealed != nil || len(e.Indexes) != 1 || !bytes.Equal(e.Indexes[0].Value, want.Value) {
		t.Errorf("sealed %v, indexes %v", e.Sealed, e.Indexes)
	}
}
