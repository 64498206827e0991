package codec_test

import (
	"bytes"
	"errors"
	"reflect"
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

// What is found by the same terms shares its indexes; whatever else differs, an event is indexed as if it stood alone.
func TestIndexesAreSharedOnlyByTheSameTerms(t *testing.T) {
	c, _ := newCodec(t)
	yes := true
	event := func() audit.Event {
		return audit.Event{ID: "2", Type: audit.TypeMFAChallenged, OrganizationUID: organization, IdentifierHash: "0123", Personal: audit.Personal{
			Email: "ann@example.com", EmailVerified: &yes, AccountID: "acc", TypedAddress: "ann@other.example", ClaimedAccountID: "claimed",
			PresentedAccountID: "presented", DisplayName: "Ann", IP: "192.0.2.17", UserAgent: "agent", DeviceID: "device", Detail: "detail", ACR: "acr",
		}}
	}
	before := event()
	before.ID = "1"
	if err := c.SealEvent(&before); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(*audit.Event){
		"nothing": func(*audit.Event) {}, "IdentifierHash": func(e *audit.Event) { e.IdentifierHash = "4567" },
		"no terms": func(e *audit.Event) { e.Personal, e.IdentifierHash = audit.Personal{Detail: "detail"}, "" },
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[audit.Personal]()) {
		if f.Type.Kind() == reflect.String {
			changes[f.Name] = func(e *audit.Event) {
				v := reflect.ValueOf(&e.Personal).Elem().FieldByIndex(f.Index)
				v.SetString(map[bool]string{true: "198.51.100.1", false: "x" + v.String()}[f.Name == "IP"])
			}
		}
	}
	for name, change := range changes {
		got, want := event(), event()
		change(&got)
		change(&want)
		if err := errors.Join(c.SealAfter(&got, &before), c.SealEvent(&want)); err != nil {
			t.Fatal(err)
		}
		if got.Sealed == nil || !reflect.DeepEqual(got.Indexes, want.Indexes) {
			t.Errorf("%s: %d indexes, want %d, or others", name, len(got.Indexes), len(want.Indexes))
		}
	}
	alone := before
	if err := c.SealAfter(&alone, &alone); err != nil || alone.Sealed != before.Sealed {
		t.Errorf("what is sealed was sealed again, %v", err)
	}
}
