package vault_test

import (
	"bytes"
	"testing"

	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/seal"
)

func TestASecretOfAConnectionOpensForThatConnectionAlone(t *testing.T) {
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	keyring := sets.Keyring(0)
	for _, uid := range []string{"acme", "other"} {
		key, err := keyring.Mint(uid)
		if err == nil {
			err = keyring.Add(key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v := vault.NewConnections(keyring)
	plain := []byte("canary secret")
	sealed, err := v.Seal(t.Context(), "acme", "okta", plain)
	if err != nil || bytes.Contains(sealed, plain) {
		t.Fatalf("%x, %v", sealed, err)
	}
	if got, err := v.Open(t.Context(), "acme", "okta", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	for _, to := range [][2]string{{"acme", "google"}, {"other", "okta"}, {"unknown", "okta"}} {
		if got, err := v.Open(t.Context(), to[0], to[1], sealed); err == nil || got != nil {
			t.Errorf("%v: opened", to)
		}
	}
	if totp, err := keyring.DecryptSecret("acme", "totp\x00okta", sealed); err == nil {
		t.Errorf("it opens as a second factor: %q", totp)
	}
	for _, c := range [][3]string{{"", "okta", "x"}, {"acme", "", "x"}, {"acme", "okta", ""}} {
		if _, err := v.Seal(t.Context(), c[0], c[1], []byte(c[2])); err == nil {
			t.Errorf("%q: sealed", c)
		}
	}
}
