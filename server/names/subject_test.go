package names_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/names"
)

func TestNamesOfPeople(t *testing.T) {
	for _, index := range [][]byte{{0}, {0xfb, 0xff, 0xff}, bytes.Repeat([]byte{0xff}, 17), bytes.Repeat([]byte{1}, 48)} {
		name := names.FormatSubject("acme", index)
		if o, got, err := names.Subject("f", name); err != nil || o != "acme" || !bytes.Equal(got, index) {
			t.Errorf("%s: %s %x, %v", name, o, got, err)
		}
	}
	for _, bad := range []string{"", "organizations/acme", "organizations/acme/subjects/", "organizations/acme/subjects/A", "organizations/acme/subjects/AB",
		"organizations/acme/subjects/AA==", "organizations/acme/subjects/A+8A", "organizations/acme/subjects/AA\n", "organizations/acme/subjects/AAAA/x",
		"organizations/Acme/subjects/AAAA", "organizations/acme/flows/AAAA", "x/organizations/acme/subjects/AAAA", "organizations/acme/subjects/" + strings.Repeat("A", 68)} {
		if _, _, err := names.Subject("f", bad); !errs.Is(err, "NAME_INVALID") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
