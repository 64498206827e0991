package docgen_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/docgen"
)

func TestNoCommittedPageIsStale(t *testing.T) {
	for _, p := range docgen.Pages() {
		have, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(p.Path)))
		if err != nil {
			t.Errorf("%v: run `make docs`", err)
			continue
		}
		if !bytes.Equal(have, p.Render()) {
			t.Errorf("%s is stale: run `make docs`", p.Path)
		}
	}
}

func TestTheEventsPageNamesEveryTypeAndReason(t *testing.T) {
	for _, p := range docgen.Pages() {
		if p.Name != "events" {
			continue
		}
		page := string(p.Render())
		for _, info := range audit.Types() {
			if strings.Count(page, "| `"+string(info.Type)+"` |") != 1 {
				t.Errorf("%s does not stand in the list once", info.Type)
			}
			for _, r := range info.Reasons {
				if !strings.Contains(page, "| `"+r.Reason+"` |") {
					t.Errorf("%s is missing", r.Reason)
				}
			}
		}
	}
}
