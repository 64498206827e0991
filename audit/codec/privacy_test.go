package codec_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func signIn(p audit.Privacy) audit.Event {
	return audit.Event{ID: "01930000-0000-7000-8000-000000000001", Type: audit.TypePasswordVerified, OrganizationUID: organization, IdentifierHash: "feed",
		Privacy: p, Region: "eu", Personal: audit.Personal{AccountID: "acct-1", Email: "Ada@Guest.example", DisplayName: "Ada", IP: "198.51.100.77",
			UserAgent: "Mozilla", DeviceID: "dev", Detail: "of ada@guest.example"}}
}

// stored encodes an event and reads it back, opened.
func stored(t *testing.T, c *codec.Codec, e *audit.Event) audit.Event {
	t.Helper()
	b, err := c.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(b)
	if err == nil {
		err = c.Open(&got)
	}
	if err != nil || got.PersonalState != "" {
		t.Fatalf("%v, %s", err, got.PersonalState)
	}
	return got
}

func found(t *testing.T, s audit.Sealer, e *audit.Event, purpose audit.Purpose, value string) bool {
	t.Helper()
	want, err := s.Index(organization, purpose, value)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(e.Indexes, func(i audit.Index) bool { return i.Purpose == purpose && bytes.Equal(i.Value, want.Value) })
}

func TestAPseudonymStandsForAnAddressAndIsFoundByIt(t *testing.T) {
	c, r := newCodec(t)
	e := signIn(audit.Privacy{Email: audit.EmailPseudonym, IP: audit.IPTruncated})
	before := e
	got := stored(t, c, &e)
	if e.Sealed != before.Sealed || e.Personal.Email != before.Personal.Email || e.IdentifierHash == "" {
		t.Errorf("encoding changed the event: %+v", e)
	}
	p := got.Personal.Email
	if len(p) != 24 || !strings.HasPrefix(p, "p_") || p != r.Pseudonym(organization, "ada@guest.example") || got.Personal.Detail != "of "+p {
		t.Errorf("kept %+v", got.Personal)
	}
	if got.Privacy != before.Privacy || got.Region != "eu" || got.IdentifierHash != "feed" || got.Personal.IP != "198.51.100.0" {
		t.Errorf("kept %+v", got)
	}
	for _, search := range []struct {
		purpose audit.Purpose
		value   string
		found   bool
	}{
		{audit.IndexEmail, "ada@guest.example", true}, {audit.IndexEmailDomain, "guest.example", false}, {audit.IndexAccount, "acct-1", true}, {audit.IndexName, "ada", true},
		{audit.IndexNetwork32, "198.51.100.77/32", false}, {audit.IndexNetwork32, "198.51.100.0/32", false}, {audit.IndexNetwork24, "198.51.100.0/24", true},
		{audit.IndexNetwork16, "198.51.0.0/16", true}, {audit.IndexIdentifier, "feed", true},
	} {
		if found(t, r, &got, search.purpose, search.value) != search.found {
			t.Errorf("found by %v %s: %t", search.purpose, search.value, !search.found)
		}
	}
	if r.Pseudonym("01900000-0000-7000-8000-0000000000aa", "ada@guest.example") == p {
		t.Error("two organizations have one pseudonym")
	}
	again := got
	again.Sealed, again.Indexes = nil, nil
	if twice := stored(t, c, &again); twice.Personal.Email != p {
		t.Errorf("masked twice: %s", twice.Personal.Email)
	}
}

func TestWhatIsOmittedIsNowhereInTheRecord(t *testing.T) {
	c, r := newCodec(t)
	e := signIn(audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPOmitted, UserContent: audit.ContentOmitted})
	got := stored(t, c, &e)
	if got.Personal.AccountID != "acct-1" || got.IdentifierHash != "" || got.Sealed == nil {
		t.Errorf("kept %+v", got)
	}
	got.Personal.AccountID = ""
	if rest := got.Personal; rest.Email+rest.DisplayName+rest.IP+rest.UserAgent+rest.DeviceID+rest.Detail != "" || rest.EmailVerified != nil {
		t.Errorf("kept %+v", rest)
	}
	if len(got.Indexes) != 1 || !found(t, r, &got, audit.IndexAccount, "acct-1") {
		t.Errorf("found by %d terms", len(got.Indexes))
	}
}

func TestAFlowsStateKeepsWhatItsEventDoesNot(t *testing.T) {
	c, _ := newCodec(t)
	e := signIn(audit.Privacy{Email: audit.EmailOmitted})
	if err := c.SealWhole(&e); err != nil {
		t.Fatal(err)
	}
	state := e
	state.Personal = audit.Personal{}
	if err := c.Open(&state); err != nil || state.Personal.Email != "Ada@Guest.example" || state.Indexes != nil {
		t.Errorf("the state has %+v with %d indexes, %v", state.Personal, len(state.Indexes), err)
	}
	if err := c.SealEvent(&e); err != nil || e.Personal.Email == "" {
		t.Errorf("what is sealed is sealed again: %v", err)
	}
	e.Sealed = nil
	if err := c.SealEvent(&e); err != nil || e.Personal.Email != "" || e.IdentifierHash != "" {
		t.Errorf("the event has %+v, %v", e.Personal, err)
	}
}

// only is a sealer without pseudonyms.
type only struct{ audit.Sealer }

func TestWithoutPseudonymsNothingIsWritten(t *testing.T) {
	_, r := newCodec(t)
	e := signIn(audit.Privacy{Email: audit.EmailPseudonym})
	if b, err := codec.New(only{r}).Encode(&e); !errs.Is(err, "PRIVACY_UNAVAILABLE") || b != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestAPrivacyOfALaterVersionKeepsAsLittleAsIsKnown(t *testing.T) {
	got := codec.PrivacyFromProto(&posternv1.Privacy{Email: 9, Ip: 9, UserContent: -1})
	if want := (audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPOmitted, UserContent: audit.ContentOmitted}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
