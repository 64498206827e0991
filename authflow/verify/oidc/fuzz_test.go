package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// FuzzVerify signs header and payload with a key of the issuer when sign says so, so that mutations reach all checks, and takes
// the text as it is when not. No input panics or is refused without a reason, and what is accepted the library accepts too.
func FuzzVerify(f *testing.F) {
	for _, v := range allVerdicts() {
		text, _, _ := v.make()
		if len(text) > 2*oidc.MaxToken {
			continue
		}
		f.Add([]byte(text), []byte{}, uint8(0))
		if p := strings.Split(text, "."); len(p) == 3 {
			head, err1 := decode(p[0])
			body, err2 := decode(p[1])
			if err1 == nil && err2 == nil {
				f.Add(head, body, uint8(1))
			}
		}
	}
	set := jwks()
	keys := parsed(f, set)
	f.Fuzz(func(t *testing.T, one, two []byte, how uint8) {
		text := string(one)
		if how%4 != 0 {
			text = resign(one, two)
		}
		e := expect()
		if how&4 != 0 {
			e.Nonce, e.AccessToken, e.Code, e.MaxAge = nil, access, access, 1
		}
		id, err := oidc.Verify(context.Background(), []byte(text), e, keys, now)
		var refusal *federation.Refusal
		switch {
		case err == nil:
			if id.ID == "" || len(id.ID) > 255 || id.Issuer != issuer || len(id.Uses) == 0 {
				t.Errorf("accepted without an identity: %+v", id)
			}
			if err := raw(text, e, set); err != nil {
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

func decode(s string) ([]byte, error) { return b64.DecodeString(s) }

// resign signs with the key and algorithm the header names, if it names any.
func resign(head, body []byte) string {
	input := encode(head) + "." + encode(body)
	var h struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	_ = json.Unmarshal(head, &h) // what cannot be read is signed as by default
	if secretKeys()[h.Kid] == nil {
		h.Kid = "rsa"
	}
	switch {
	case h.Kid == "ec", h.Kid == "ec384", h.Kid == "ed":
	case slices.Contains([]string{"RS256", "PS256"}, h.Alg):
	default:
		h.Alg = "RS256"
	}
	return input + "." + encode(signature(h.Alg, h.Kid, input))
}

// FuzzStrictJSON: what the strict reader takes, encoding/json takes as an object with as many members.
func FuzzStrictJSON(f *testing.F) {
	for _, v := range jsonVerdicts() {
		if v.token.rawBody != "" {
			f.Add([]byte(v.token.rawBody))
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
