package directory_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/examples"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/directory"
)

func TestApplyingAnExportDoesNothing(t *testing.T) {
	w := newWorld(t)
	r := w.must(directory.ApplyInput{Document: examples.Acme()})
	e, err := directory.Export(t.Context(), w.deps, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if e.Organization.Stamp != r.Organization.Stamp || len(e.LeftOut) != 1 || !strings.Contains(e.LeftOut[0], "2 claimed accounts") {
		t.Errorf("%v", e.LeftOut)
	}
	again := w.must(directory.ApplyInput{Document: []byte(e.Text), Etag: w.etag()})
	if got := kinds(again.Commits); len(got) != 1 || got[0] != "NOTHING 0" {
		t.Errorf("%v\n%s", got, e.Text)
	}
}

func TestAnExportGoesOnAfterTheFirstPageOfDomains(t *testing.T) {
	w := newWorld(t)
	var b strings.Builder
	b.WriteString("organization: acme\ndomains:\n")
	for i := range 2100 {
		b.WriteString("  - d" + strings.Repeat("x", i%7) + "-" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + ".com\n")
	}
	w.must(directory.ApplyInput{Document: []byte(b.String())})
	e, err := directory.Export(t.Context(), w.deps, "acme")
	if err != nil || len(e.LeftOut) != 0 || strings.Count(e.Text, ".com\n") != 2100 {
		t.Errorf("%v, %d domains, left out: %v", err, strings.Count(e.Text, ".com\n"), e.LeftOut)
	}
}

func TestThereIsNoExportOfNothing(t *testing.T) {
	if _, err := directory.Export(t.Context(), newWorld(t).deps, "acme"); errs.KindOf(err) != errs.NotFound {
		t.Errorf("%v", err)
	}
}
