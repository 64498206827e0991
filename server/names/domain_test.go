package names_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/names"
)

func TestNamesOfDomainsAreReadAndWrittenBack(t *testing.T) {
	long, domain := strings.Repeat("a", 63), strings.Repeat(strings.Repeat("b", 62)+".", 4)[:250]+"xyz"
	for _, d := range []string{"example.org", "xn--bcher-kva.example", domain} {
		name := names.FormatDomain(long, d)
		if o, got, err := names.Domain("name", name); err != nil || o != long || got != d || len(name) > names.LongestDomain || names.OrganizationOf(name) != long {
			t.Errorf("%s: %q, %q, %v", name, o, got, err)
		}
	}
	for _, bad := range []string{
		"", "organizations/acme/domains/", "organizations/acme/domains/Example.org", "organizations/acme/domains/.example.org", "organizations/acme/domains/example.org.",
		"organizations/acme/domains/a..b", "organizations/acme/domains/b\u00fccher.example", "organizations/acme/domains/a/b", "organizations/acme/domains/*.example.org",
		"organizations/ACME/domains/example.org", "organizations/acme/sites/example.org", "organizations/acme/domains/" + domain + "x",
	} {
		if o, d, err := names.Domain("name", bad); !errs.Is(err, "NAME_INVALID") || o != "" || d != "" {
			t.Errorf("%q: %q, %q, %v", bad, o, d, err)
		}
	}
}
