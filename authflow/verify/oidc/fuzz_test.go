package oidc_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

// FuzzVerify signs header and payload with a key of the in.Issuer when sign says so, so that mutations reach all checks, and takes
// the text as it is when not. No input panics or is refused without a reason, and what is accepted the library accepts too.
func FuzzVerify(f *testing.F) {
	for _, c := range in.Cases() {
		if len(c.Token) > 2*oidc.MaxToken {
			continue
		}
		f.Add([]byte(c.Token), []byte{}, uint8(0))
		if p := strings.Split(c.Token, "."); len(p) == 3 {
			head, err1 := base64.RawURLEncoding.DecodeString(p[0])
			body, err2 := base64.RawURLEncoding.DecodeString(p[1])
			if err1 == nil && err2 == nil {
				f.Add(head, body, uint8(1))
			}
		}
	}
	set := oidctest.JWKS()
	keys := parsed(f, set)
	f.Fuzz(func(t *testing.T, one, two []byte, how uint8) {
		text := string(one)
		if how%4 != 0 {
			text = resign(one, two)
		}
		e := in.Expect()
		if how&4 != 0 {
			e.Nonce, e.AccessToken, e.Code, e.MaxAge = nil, in.AccessToken, in.AccessToken, 1
		}
		id, err := oidc.Verify(context.Background(), []byte(text), e, keys, in.Now)
		var refusal *federation.Refusal
		switch {
		case err == nil:
			if id.ID == "" || len(id.ID) > 255 || id.Issuer != in.Issuer || len(id.Uses) == 0 {
				t.Errorf("accepted without an identity: %+v", id)
			}
			if err := oidctest.Library(text, e, set, in.Now); err != nil {
				t.Errorf("the library refuses what was accepted: %v", err)
			}
		case !errors.As(err, &refusal):
			t.Errorf("%v is no refusal", err)
		case !slices.Contains(reasons, refusal.Reason) || len(refusal.Detail) > federation.MaxDetail:
			t.Errorf("%+v is not of the catalogue", refusal)
		case refusal.Reason == "VERIFIER_ERROR":
			t.Errorf("a defect: %s", refusal.Detail)
		}
	})
}

// resign signs with the key and algorithm the header names, if it names any.
func resign(head, body []byte) string {
	var h struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	_ = json.Unmarshal(head, &h) // what cannot be read is signed as by default
	how := map[string]string{"ec": "ES256", "ec384": "ES384", "ed": "EdDSA", "": "RS256"}[h.Kid]
	key := h.Kid
	if how == "" && h.Alg == "PS256" {
		how = "PS256"
	} else if how == "" {
		how = "RS256"
	}
	if !slices.Contains([]string{"rsa", "rsa2", "ps", "ec", "ec384", "ed"}, key) {
		key, how = "rsa", "RS256"
	}
	return in.Sign(oidctest.Token{Key: key, How: how, Head: string(head), Body: string(body)})
}

// FuzzStrictJSON: what the strict reader takes, encoding/json takes as an object with as many members.
func FuzzStrictJSON(f *testing.F) {
	for _, c := range in.Cases() {
		if p := strings.Split(c.Token, "."); len(p) == 3 {
			if body, err := base64.RawURLEncoding.DecodeString(p[1]); err == nil {
				f.Add(body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		names, values, err := oidc.Object(data)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(names) {
			t.Fatalf("%q: %d members, encoding/json has %d and %v", data, len(names), len(want), err)
		}
		for i, name := range names {
			if strings.TrimSpace(string(want[name])) != string(values[i]) {
				t.Errorf("%q: %q is %q, encoding/json has %q", data, name, values[i], want[name])
			}
		}
	})
}
