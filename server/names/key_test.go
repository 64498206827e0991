package names_test

import (
	"testing"

	"github.com/postern-audit/postern/server/names"
)

func TestANameOfAKeyIsReadAsItWasWritten(t *testing.T) {
	key := [8]byte{0xab, 1, 2, 3, 4, 5, 6, 7}
	name := names.FormatKey("acme", key)
	if name != "organizations/acme/keys/ab01020304050607" {
		t.Fatal(name)
	}
	organization, got, err := names.Key("name", name)
	if err != nil || organization != "acme" || got != key {
		t.Fatalf("%q %x %v", organization, got, err)
	}
	for _, bad := range []string{
		"", "organizations/acme", "organizations/acme/keys/", "organizations/acme/keys/AB01020304050607", "organizations/acme/keys/ab0102030405060",
		"organizations/acme/keys/ab0102030405060708", "organizations/-acme/keys/ab01020304050607", "organizations/acme/keys/zz01020304050607",
	} {
		if _, _, err := names.Key("name", bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
