package names_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/names"
)

func TestNamesOfSavedFiltersRoundTrip(t *testing.T) {
	long := strings.Repeat("a", 63)
	if o, f, err := names.SavedFilter("f", names.FormatSavedFilter(long, long)); err != nil || o != long || f != long {
		t.Errorf("%q %q, %v", o, f, err)
	}
	for _, s := range []string{
		"", "refused", "organizations/acme", "organizations/acme/savedFilters", "organizations/acme/savedFilters/", "organizations/acme/savedFilters/Refused",
		"organizations/acme/savedFilters/-a", "organizations/acme/savedFilters/a_b", "organizations/acme/savedFilters/" + strings.Repeat("a", 64),
		"organizations/acme/savedFilters/a/b", "organizations/Acme/savedFilters/a", "organizations/acme/savedfilters/a", "organizations/acme/savedFilters/a\x00",
		"organizations/acme/keys/a", "/organizations/acme/savedFilters/a",
	} {
		if _, _, err := names.SavedFilter("f", s); !errs.Is(err, "NAME_INVALID") {
			t.Errorf("%q: %v", s, err)
		}
	}
}
