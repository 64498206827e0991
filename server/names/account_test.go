package names_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/names"
)

func TestNamesOfAccounts(t *testing.T) {
	long := strings.Repeat("a", 63)
	name := names.FormatAccount(long, [16]byte{1, 0xab})
	if o, c, err := names.Account("name", name); err != nil || o != long || c != (names.Claimed{Key: [16]byte{1, 0xab}}) || names.OrganizationOf(name) != long {
		t.Errorf("%q %+v, %v", o, c, err)
	}
	for tail, want := range map[string]names.Claimed{
		"id:4711": {ID: "4711"}, "id:a%2Fb%25": {ID: "a/b%"}, "id:a+b": {ID: "a+b"}, "id:id:x": {ID: "id:x"}, "id:b\u00fc": {ID: "b\u00fc"},
		"email:a@example.com": {Email: "a@example.com"}, "email:a%2Bb@example.com": {Email: "a+b@example.com"},
		"id:" + strings.Repeat("%2F", 128): {ID: strings.Repeat("/", 128)},
	} {
		if o, c, err := names.Account("name", "organizations/acme/accounts/"+tail); err != nil || o != "acme" || c != want {
			t.Errorf("%s: %q %+v, %v", tail, o, c, err)
		}
	}
	key := strings.Repeat("0a", 16)
	for _, bad := range []string{
		"", "organizations/acme", "organizations/acme/accounts/", "organizations/acme/accounts/x", "organizations/acme/accounts/" + strings.ToUpper(key),
		"organizations/acme/accounts/" + key + "0", "organizations/acme/accounts/" + key + "/", "organizations/acme/accounts/id:", "organizations/acme/accounts/email:",
		"organizations/acme/accounts/id:a/b", "organizations/acme/accounts/id:a%2", "organizations/acme/accounts/id:%zz", "organizations/ACME/accounts/" + key,
		"organizations//accounts/" + key, "organizations/acme/accounts/" + strings.Repeat("00", 16), "organizations/acme/accounts/id:" + strings.Repeat("x", 512),
		"organizations/acme/sites/" + key, " organizations/acme/accounts/" + key,
	} {
		if o, c, err := names.Account("name", bad); !errs.Is(err, "NAME_INVALID") || o != "" || c != (names.Claimed{}) {
			t.Errorf("%q: %q %+v, %v", bad, o, c, err)
		}
	}
}
