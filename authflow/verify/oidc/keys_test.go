package oidc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

func TestWhatIsNoKeySet(t *testing.T) {
	var many struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for range 101 {
		many.Keys = append(many.Keys, json.RawMessage(`{}`))
	}
	tooMany, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "null", "[]", "{}", `"keys"`, `{"keys":null}`, `{"keys":{}}`, `{"keys":[]}{}`, `{"keys":[],"keys":[]}`, `{"keys":[],"Keys":[]}`,
		`{"Keys":[]}`, "{\"keys\":[],\"x\":\"\xff\"}", string(tooMany), `{"keys":[` + strings.Repeat(" ", oidc.MaxKeySet) + `]}`,
		string(oidctest.JWKS()[1:]),
	} {
		if _, err := oidc.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%.40q is taken for a key set", text)
		}
	}
}

func TestKeysOfASet(t *testing.T) {
	keys := parsed(t, oidctest.JWKS())
	for kid, want := range map[string]int{"": 8, "rsa": 1, "enc": 1, "ops": 0, "gone": 0} { // ops is not for verifying
		found, err := keys.Keys(t.Context(), kid)
		if err != nil || len(found) != want {
			t.Errorf("%q: %d keys and %v, want %d", kid, len(found), err, want)
		}
	}
	if empty := parsed(t, []byte(`{"keys":[null,1,"x",{},{"kty":"RSA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`)); empty.Fingerprint() != "" {
		t.Error("a set without keys has a fingerprint")
	}
}

// A token that names no key is not tried on more keys than any issuer has.
func TestTriesAreBounded(t *testing.T) {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(oidctest.JWKS("ec"), &set); err != nil {
		t.Fatal(err)
	}
	good := set.Keys[0]
	set.Keys = nil
	for i := range 32 {
		other := map[string]any{}
		if err := json.Unmarshal(oidctest.NewKey(fmt.Sprint(i)), &other); err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, other)
	}
	text, err := json.Marshal(map[string]any{"keys": append(set.Keys, good)})
	if err != nil {
		t.Fatal(err)
	}
	for kid, reason := range map[any]string{nil: "SIGNATURE_INVALID", "ec": ""} {
		token := in.Sign(oidctest.Token{Header: oidctest.M{"alg": "ES256", "kid": kid}, Key: "ec"})
		id, err := oidc.Verify(t.Context(), []byte(token), in.Expect(), parsed(t, text), in.Now)
		judged(t, oidctest.Case{Token: token, Reason: reason, Want: yes}, id, err)
	}
}
