package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// verdict is one input and what is to come of it.
type verdict struct {
	name   string
	token  token
	text   func(good string) string       // makes the text from a signed token; nil: leaves it
	expect func(*oidc.Expect)             // changes what is expected; nil: nothing
	keys   []string                       // published; nil: all
	set    []byte                         // published instead
	reason string                         // "" accepted
	want   func(federation.Identity) bool // of an accepted one; nil: nothing more
}

// reasons are all a token can be refused for.
var reasons = []string{
	audit.ReasonSignatureInvalid, audit.ReasonAlgorithmNotAllowed, audit.ReasonIssuerMismatch, audit.ReasonAudienceMismatch,
	audit.ReasonNonceMismatch, audit.ReasonExpired, audit.ReasonNotYetValid, audit.ReasonMalformed, audit.ReasonAssuranceTooLow,
	audit.ReasonKeysUnavailable, audit.ReasonIDPUnreachable, audit.ReasonVerifierError,
}

func allVerdicts() []verdict {
	return slices.Concat(formVerdicts(), keyVerdicts(), jsonVerdicts(), partyVerdicts(), timeVerdicts(), personVerdicts())
}

func (v verdict) make() (text string, e oidc.Expect, set []byte) {
	text, e, set = v.token.signed(), expect(), v.set
	if v.text != nil {
		text = v.text(text)
	}
	if v.expect != nil {
		v.expect(&e)
	}
	if set == nil {
		set = jwks(v.keys...)
	}
	return text, e, set
}

func TestVerdicts(t *testing.T) {
	names := map[string]bool{}
	for _, v := range allVerdicts() {
		if names[v.name] {
			t.Errorf("two cases are named %s", v.name)
		}
		names[v.name] = true
		t.Run(v.name, func(t *testing.T) {
			text, e, set := v.make()
			id, err := oidc.Verify(t.Context(), []byte(text), e, parsed(t, set), now)
			judged(t, v, text, id, err)
			if err == nil {
				if err := raw(text, e, set); err != nil {
					t.Errorf("the library refuses what was accepted: %v", err)
				}
			}
		})
	}
	if len(names) < 150 {
		t.Errorf("%d cases: some are missing", len(names))
	}
}

// judged compares what came of an input with what was to.
func judged(t *testing.T, v verdict, text string, id federation.Identity, err error) {
	t.Helper()
	if err == nil {
		if v.reason != "" {
			t.Fatalf("accepted, want %s", v.reason)
		}
		if id.Issuer != issuer || id.ID == "" || len(id.Uses) == 0 || !slices.Contains(id.Checks, "signature") || !id.Until.After(now) {
			t.Errorf("identity %+v lacks something", id)
		}
		if v.want != nil && !v.want(id) {
			t.Errorf("identity %+v is not what the token says", id)
		}
		return
	}
	var refusal *federation.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("%v is no refusal", err)
	}
	if refusal.Reason != v.reason {
		t.Errorf("%s (%s), want %q", refusal.Reason, refusal.Detail, v.reason)
	}
	if refusal.Detail == "" || len(refusal.Detail) > federation.MaxDetail {
		t.Errorf("detail of %d bytes", len(refusal.Detail))
	}
	if text != "" && strings.Contains(refusal.Detail, text) {
		t.Errorf("the detail holds the token")
	}
	secrets := append(strings.Split(text, "."), nonce, access)
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
	keys := parsed(t, jwks())
	good := []byte(token{}.signed())
	for name, change := range map[string]func(*oidc.Expect){
		"no issuer":         func(e *oidc.Expect) { e.Issuer = "" },
		"no client":         func(e *oidc.Expect) { e.ClientID = "" },
		"negative skew":     func(e *oidc.Expect) { e.Skew = -time.Second },
		"wide skew":         func(e *oidc.Expect) { e.Skew = 61 * time.Second },
		"negative age":      func(e *oidc.Expect) { e.MaxAge = -1 },
		"negative iat age":  func(e *oidc.Expect) { e.MaxTokenAge = -1 },
		"unbounded iat age": func(e *oidc.Expect) { e.MaxTokenAge = 25 * time.Hour },
	} {
		e := expect()
		change(&e)
		_, err := oidc.Verify(t.Context(), good, e, keys, now)
		judged(t, verdict{name: name, reason: audit.ReasonVerifierError}, string(good), federation.Identity{}, err)
	}
	_, err := oidc.Verify(t.Context(), good, expect(), nil, now)
	judged(t, verdict{reason: audit.ReasonVerifierError}, string(good), federation.Identity{}, err)
}

func TestTheIdentityIsWhatTheTokenSays(t *testing.T) {
	k := token{claims: map[string]any{
		"jti": "one", "acr": "urn:mfa", "amr": []string{"pwd", "otp"}, "auth_time": unix(-time.Minute), "hd": "example.com",
		"at_hash": half(access), "azp": clientID, "nbf": unix(0),
	}}
	e := expect()
	e.AccessToken, e.MaxAge, e.Tenant = access, time.Hour, "example.com"
	text := k.signed()
	id, err := oidc.Verify(t.Context(), []byte(text), e, parsed(t, jwks()), now)
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
		Issuer: issuer, ID: "248289761001", Tenant: "example.com", Email: "jane@example.com", EmailVerified: true, Name: "Jane Doe",
		ACR: "urn:mfa", AMR: []string{"pwd", "otp"}, AuthTime: now.Add(-time.Minute), Issued: now.Add(-10 * time.Second),
		Until: now.Add(6 * time.Minute), Checks: checks,
	}
	if got, want := string(must(json.Marshal(id))), string(must(json.Marshal(want))); got != want {
		t.Errorf("identity\n%s, want\n%s", got, want)
	}
	if len(uses) != 2 || uses[0] == uses[1] {
		t.Errorf("uses %x", uses)
	}
}

func TestOnlyWhatWasCheckedIsListed(t *testing.T) {
	e := expect()
	e.Nonce = nil
	id, err := oidc.Verify(t.Context(), []byte(token{}.signed()), e, parsed(t, jwks()), now)
	want := []string{"compact_form", "algorithm", "signature", "token_type", "issuer", "audience", "expiry", "issued_at", "subject"}
	if err != nil || !slices.Equal(id.Checks, want) {
		t.Errorf("%v: checks %q, want %q", err, id.Checks, want)
	}
}

// A token counts once whatever is done to what its signature does not cover.
func TestUsesAreOfWhatIsSigned(t *testing.T) {
	keys := parsed(t, jwks())
	uses := func(text string) []federation.Use {
		t.Helper()
		id, err := oidc.Verify(t.Context(), []byte(text), expect(), keys, now)
		if err != nil {
			t.Fatal(err)
		}
		return id.Uses
	}
	ec := token{header: map[string]any{"alg": "ES256", "kid": "ec"}}
	one, two := ec.signed(), ec.signed() // the signature is another each time
	if one == two {
		t.Fatal("ECDSA signed twice in the same way")
	}
	if a, b := uses(one), uses(two); len(a) != 1 || !slices.Equal(a, b) {
		t.Errorf("uses %x and %x", a, b)
	}
	first := uses(token{claims: map[string]any{"jti": "a"}}.signed())
	again := uses(token{claims: map[string]any{"jti": "a", "sub": "other"}}.signed())
	other := uses(token{claims: map[string]any{"jti": "b"}}.signed())
	if len(first) != 2 || len(again) != 2 || first[0] == again[0] || first[1] != again[1] {
		t.Errorf("the same jti: %x and %x", first, again)
	}
	if first[0] == other[0] || first[1] == other[1] {
		t.Errorf("another jti: %x and %x", first, other)
	}
}

// broken is a key set that breaks or refuses.
type broken struct{ err error }

func (b broken) Keys(context.Context, string) ([]jsonWebKey, error) {
	if b.err == nil {
		panic("canary")
	}
	return nil, b.err
}

func TestKeysThatCannotBeHad(t *testing.T) {
	text := token{}.signed()
	for _, c := range []struct {
		err    error
		reason string
	}{
		{nil, audit.ReasonVerifierError},
		{errors.New("canary"), audit.ReasonKeysUnavailable},
		{federation.Refuse(audit.ReasonIDPUnreachable, "no route"), audit.ReasonIDPUnreachable},
	} {
		_, err := oidc.Verify(t.Context(), []byte(text), expect(), broken{c.err}, now)
		judged(t, verdict{reason: c.reason}, text, federation.Identity{}, err)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%v tells what broke", err)
		}
	}
}
