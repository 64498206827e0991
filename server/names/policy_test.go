package names_test

import (
	"testing"

	"github.com/postern-audit/postern/server/names"
)

func TestAPolicyHasItsName(t *testing.T) {
	if o, err := names.Policy("name", names.FormatPolicy("acme")); err != nil || o != "acme" {
		t.Errorf("%q %v", o, err)
	}
	for _, name := range []string{"", "organizations/acme", "organizations//policy", "organizations/acme/policy/", "organizations/acme/sites/policy", "acme/policy", "organizations/ACME/policy", "/policy"} {
		if o, err := names.Policy("name", name); err == nil {
			t.Errorf("%q is taken for the policy of %q", name, o)
		}
	}
}
