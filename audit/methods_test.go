package audit_test

import (
	"slices"
	"testing"

	"github.com/postern-audit/postern/audit"
)

func TestMethodTokens(t *testing.T) {
	for _, s := range append(audit.Methods(), "sso:acme-idp", "social:google", "sso:0", "sso:a-b") {
		m, err := audit.ParseMethod(s)
		if err != nil || m.String() != s {
			t.Errorf("%q: %v, %v", s, m, err)
		}
	}
	for _, s := range []string{"", "Password", "passwordless", "mfa", "password:x", "sso:", "sso:-a", "sso:a-", "sso:A", "sso:a b",
		"sso:a:b", " sso", "sso\n", "sso:" + string(slices.Repeat([]byte("a"), 64)), "token:x", "TOTP"} {
		if m, err := audit.ParseMethod(s); err == nil || m != (audit.Method{}) {
			t.Errorf("%q was taken as %v", s, m)
		}
	}
	every, one := audit.Method{Token: "sso"}, audit.Method{Token: "sso", Connection: "acme"}
	if !every.Covers("sso", "acme") || !one.Covers("sso", "acme") || one.Covers("sso", "other") || one.Covers("social", "acme") || one.Covers("sso", "") {
		t.Error("a named connection covers only itself, an unnamed one covers all")
	}
}

func TestFactors(t *testing.T) {
	for _, f := range audit.Factors() {
		if got, err := audit.ParseFactor(f); err != nil || got != f {
			t.Errorf("%s: %s, %v", f, got, err)
		}
	}
	for _, s := range []string{"", "totp", "TOTP ", "password"} {
		if _, err := audit.ParseFactor(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestPasswordlessIsExpandedOnce(t *testing.T) {
	got := audit.ExpandMethods([]string{"passkey", "passwordless", "password", "passkey"})
	if want := []string{"passkey", "magic_link", "email_code", "password"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for _, m := range audit.PasswordlessMethods() {
		if !audit.IsPasswordless(m) || !audit.IsMethod(m) {
			t.Errorf("%s", m)
		}
	}
}

func FuzzParseMethod(f *testing.F) {
	for _, s := range []string{"password", "sso:acme", "sso:", ":", "social:a-b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := audit.ParseMethod(s); err == nil && m.String() != s {
			t.Errorf("%q reads back as %q", s, m.String())
		}
	})
}
