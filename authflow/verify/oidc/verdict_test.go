package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

// in is the setting of all tests here.
var in = oidctest.Example()

// reasons are all a token can be refused for.
var reasons = []string{
	audit.ReasonSignatureInvalid, audit.ReasonAlgorithmNotAllowed, audit.ReasonIssuerMismatch, audit.ReasonAudienceMismatch,
	audit.ReasonNonceMismatch, audit.ReasonExpired, audit.ReasonNotYetValid, audit.ReasonMalformed, audit.ReasonAssuranceTooLow,
	audit.ReasonKeysUnavailable, audit.ReasonIDPUnreachable, audit.ReasonVerifierError,
}

func TestVerdicts(t *testing.T) {
	names := map[string]bool{}
	for _, c := range in.Cases() {
		if names[c.Name] {
			t.Errorf("two cases are named %s", c.Name)
		}
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			id, err := oidc.Verify(t.Context(), []byte(c.Token), c.Expect, parsed(t, c.Keys), in.Now)
			judged(t, c, id, err)
			if err == nil {
				if err := oidctest.Library(c.Token, c.Expect, c.Keys, in.Now); err != nil {
					t.Errorf("the library refuses what was accepted: %v", err)
				}
			}
		})
	}
	if len(names) < 250 {
		t.Errorf("%d cases: some are missing", len(names))
	}
}

func parsed(t testing.TB, set []byte) *oidc.StaticKeys {
	t.Helper()
	keys, err := oidc.ParseKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// yes is no demand on an identity.
func yes(federation.Identity) bool { return true }

// refused demands a refusal of a reason.
func refused(t *testing.T, token, reason string, err error) {
	t.Helper()
	judged(t, oidctest.Case{Token: token, Reason: reason}, federation.Identity{}, err)
}

// judged compares what came of an input with what was to.
func judged(t *testing.T, c oidctest.Case, id federation.Identity, err error) {
	t.Helper()
	if err == nil {
		if c.Reason != "" {
			t.Fatalf("accepted, want %s", c.Reason)
		}
		if id.Issuer != in.Issuer || id.ID == "" || len(id.Uses) == 0 || !slices.Contains(id.Checks, "signature") || !id.Until.After(in.Now) {
			t.Errorf("identity %+v lacks something", id)
		}
		if !c.Want(id) {
			t.Errorf("identity %+v is not what the token says", id)
		}
		return
	}
	var refusal *federation.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("%v is no refusal", err)
	}
	if refusal.Reason != c.Reason {
		t.Errorf("%s (%s), want %q", refusal.Reason, refusal.Detail, c.Reason)
	}
	if refusal.Detail == "" || len(refusal.Detail) > federation.MaxDetail {
		t.Errorf("detail of %d bytes", len(refusal.Detail))
	}
	secrets := append(strings.Split(c.Token, "."), in.Nonce, in.AccessToken)
	for _, s := range secrets {
		if len(s) > 14 && strings.Contains(refusal.Detail, s) {
			t.Errorf("the detail %q holds %q", refusal.Detail, s)
		}
	}
	if id.ID != "" || id.Issuer != "" || id.Email != "" || id.Uses != nil {
		t.Errorf("a refused token has an identity: %+v", id)
	}
}

func TestWhatCannotBeAskedIsADefect(t *testing.T) {
	keys := parsed(t, oidctest.JWKS())
	good := []byte(in.Sign(oidctest.Token{}))
	for name, change := range map[string]func(*oidc.Expect){
		"no issuer":         func(e *oidc.Expect) { e.Issuer = "" },
		"no client":         func(e *oidc.Expect) { e.ClientID = "" },
		"negative skew":     func(e *oidc.Expect) { e.Skew = -time.Second },
		"wide skew":         func(e *oidc.Expect) { e.Skew = 61 * time.Second },
		"negative age":      func(e *oidc.Expect) { e.MaxAge = -1 },
		"negative iat age":  func(e *oidc.Expect) { e.MaxTokenAge = -1 },
		"unbounded iat age": func(e *oidc.Expect) { e.MaxTokenAge = 25 * time.Hour },
	} {
		e := in.Expect()
		change(&e)
		if _, err := oidc.Verify(t.Context(), good, e, keys, in.Now); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			refused(t, string(good), audit.ReasonVerifierError, err)
		}
	}
	_, err := oidc.Verify(t.Context(), good, in.Expect(), nil, in.Now)
	refused(t, string(good), audit.ReasonVerifierError, err)
}

func TestTheIdentityIsWhatTheTokenSays(t *testing.T) {
	k := oidctest.Token{Claims: oidctest.M{
		"jti": "one", "acr": "urn:mfa", "amr": []string{"pwd", "otp"}, "auth_time": in.Now.Add(-time.Minute).Unix(), "hd": "example.com",
		"at_hash": oidctest.Half(in.AccessToken), "azp": in.ClientID, "nbf": in.Now.Unix(),
	}}
	e := in.Expect()
	e.AccessToken, e.MaxAge, e.Tenant = in.AccessToken, time.Hour, "example.com"
	text := in.Sign(k)
	id, err := oidc.Verify(t.Context(), []byte(text), e, parsed(t, oidctest.JWKS()), in.Now)
	if err != nil {
		t.Fatal(err)
	}
	checks := []string{
		"compact_form", "algorithm", "signature", "token_type", "issuer", "tenant", "audience", "authorized_party", "expiry", "issued_at",
		"not_before", "nonce", "access_token_hash", "subject", "authentication_time",
	}
	uses := id.Uses
	id.Uses = nil
	want := federation.Identity{
		Issuer: in.Issuer, ID: "248289761001", Tenant: "example.com", Email: "jane@example.com", EmailVerified: true, Name: "Jane Doe",
		ACR: "urn:mfa", AMR: []string{"pwd", "otp"}, AuthTime: in.Now.Add(-time.Minute), Issued: in.Now.Add(-10 * time.Second),
		Until: in.Now.Add(6 * time.Minute), Checks: checks,
	}
	if got, want := fmt.Sprintf("%+v", id), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("identity\n%s, want\n%s", got, want)
	}
	if len(uses) != 2 || uses[0] == uses[1] {
		t.Errorf("uses %x", uses)
	}
}

func TestOnlyWhatWasCheckedIsListed(t *testing.T) {
	e := in.Expect()
	e.Nonce = nil
	id, err := oidc.Verify(t.Context(), []byte(in.Sign(oidctest.Token{})), e, parsed(t, oidctest.JWKS()), in.Now)
	want := []string{"compact_form", "algorithm", "signature", "token_type", "issuer", "audience", "expiry", "issued_at", "subject"}
	if err != nil || !slices.Equal(id.Checks, want) {
		t.Errorf("%v: checks %q, want %q", err, id.Checks, want)
	}
}

// A token counts once whatever is done to what its signature does not cover.
func TestUsesAreOfWhatIsSigned(t *testing.T) {
	keys := parsed(t, oidctest.JWKS())
	uses := func(text string) []federation.Use {
		t.Helper()
		id, err := oidc.Verify(t.Context(), []byte(text), in.Expect(), keys, in.Now)
		if err != nil {
			t.Fatal(err)
		}
		return id.Uses
	}
	ec := oidctest.Token{Header: map[string]any{"alg": "ES256", "kid": "ec"}}
	one, two := in.Sign(ec), in.Sign(ec) // the signature is another each time
	if one == two {
		t.Fatal("ECDSA signed twice in the same way")
	}
	if a, b := uses(one), uses(two); len(a) != 1 || !slices.Equal(a, b) {
		t.Errorf("uses %x and %x", a, b)
	}
	first := uses(in.Sign(oidctest.Token{Claims: map[string]any{"jti": "a"}}))
	again := uses(in.Sign(oidctest.Token{Claims: map[string]any{"jti": "a", "sub": "other"}}))
	other := uses(in.Sign(oidctest.Token{Claims: map[string]any{"jti": "b"}}))
	if len(first) != 2 || len(again) != 2 || first[0] == again[0] || first[1] != again[1] {
		t.Errorf("the same jti: %x and %x", first, again)
	}
	if first[0] == other[0] || first[1] == other[1] {
		t.Errorf("another jti: %x and %x", first, other)
	}
}

// broken is a key set that breaks or refuses.
type broken struct{ err error }

func (b broken) Keys(context.Context, string) ([]jose.JSONWebKey, error) {
	if b.err == nil {
		panic("canary")
	}
	return nil, b.err
}

func TestKeysThatCannotBeHad(t *testing.T) {
	text := in.Sign(oidctest.Token{})
	for _, c := range []struct {
		err    error
		reason string
	}{
		{nil, audit.ReasonVerifierError},
		{errors.New("canary"), audit.ReasonKeysUnavailable},
		{federation.Refuse(audit.ReasonIDPUnreachable, "no route"), audit.ReasonIDPUnreachable},
	} {
		_, err := oidc.Verify(t.Context(), []byte(text), in.Expect(), broken{c.err}, in.Now)
		refused(t, text, c.reason, err)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%v tells what broke", err)
		}
	}
}
