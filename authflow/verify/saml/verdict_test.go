package saml_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

// moment is when everything happens. The library's own clock is years away from it, and must not matter.
var moment = time.Date(2031, 5, 14, 9, 30, 0, 0, time.UTC)

// refusal returns what an error must always be.
func refusal(t testing.TB, err error) *federation.Refusal {
	t.Helper()
	var r *federation.Refusal
	if !errors.As(err, &r) || r == nil {
		t.Fatalf("the error is %T %v, want a refusal", err, err)
	}
	if !audit.ValidReason("sso.rejected", "SAML", r.Reason, audit.EvidenceVerified) {
		t.Fatalf("%q is no reason of the catalogue", r.Reason)
	}
	if len(r.Detail) > federation.MaxDetail || !utf8.ValidString(r.Detail) || strings.ContainsAny(r.Detail, "\n\r\t\x00") {
		t.Fatalf("the detail is not fit for a record: %q", r.Detail)
	}
	return r
}

func TestEveryResponseGetsItsVerdict(t *testing.T) {
	w := samltest.New(t, moment)
	cases := w.Cases()
	if len(cases) < 115 {
		t.Fatalf("there are %d cases", len(cases))
	}
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		seen[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			id, err := saml.Verify([]byte(c.Response), c.Expect, c.Now)
			if c.Want != "" {
				r := refusal(t, err)
				if r.Reason != c.Want {
					t.Fatalf("refused for %s (%s), want %s", r.Reason, r.Detail, c.Want)
				}
				if r.Detail == "" {
					t.Error("the refusal has no detail")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.Issuer != samltest.IDP || id.ID == "" || len(id.Uses) != 2 || id.EmailVerified {
				t.Errorf("identity %+v", id)
			}
		})
	}
}

func TestHonestCasesAreNamedSoAndNoOthers(t *testing.T) {
	for _, c := range samltest.New(t, moment).Cases() {
		name := strings.TrimPrefix(c.Name, "enc-")
		if honest := strings.HasPrefix(name, "ok-"); honest != (c.Want == "") {
			t.Errorf("%s wants %q", c.Name, c.Want)
		}
	}
}

func TestEveryReasonOfTheVerifierHasACase(t *testing.T) {
	var got []string
	for _, c := range samltest.New(t, moment).Cases() {
		got = append(got, c.Want)
	}
	for _, want := range []string{
		audit.ReasonSignatureInvalid, audit.ReasonAlgorithmNotAllowed, audit.ReasonIssuerMismatch, audit.ReasonAudienceMismatch,
		audit.ReasonExpired, audit.ReasonNotYetValid, audit.ReasonRequestMismatch, audit.ReasonRecipientMismatch,
		audit.ReasonEncryptionNotAllowed, audit.ReasonMalformed, audit.ReasonCertificateExpired, audit.ReasonIDPError, audit.ReasonKeysUnavailable,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no case is refused for %s", want)
		}
	}
}
