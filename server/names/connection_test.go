package names_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/names"
)

func TestNamesOfConnections(t *testing.T) {
	long := strings.Repeat("a", 63)
	name := names.FormatConnection(long, long)
	if o, c, err := names.Connection("name", name); err != nil || o != long || c != long || len(name) > names.Longest || names.OrganizationOf(name) != long {
		t.Errorf("%q %q, %v", o, c, err)
	}
	for _, s := range []string{
		"", "organizations/acme", "organizations/acme/connections/", "organizations/acme/connections/Okta", "organizations/acme/connections/okta/",
		"organizations/acme/sites/okta", "organizations//connections/okta", "organizations/acme/connections/" + long + "a", "organizations/acme/connections/okta\n",
	} {
		if _, _, err := names.Connection("name", s); !errs.Is(err, "NAME_INVALID") {
			t.Errorf("%q: %v", s, err)
		}
	}
}
