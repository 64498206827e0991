package format_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit/export/format"
)

// table is the columns as docs/export.md has them.
func table() string {
	var b strings.Builder
	for _, c := range format.Columns() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, c.Type, c.Means)
	}
	return b.String()
}

func TestTheDocumentedColumnsAreTheOnesThereAre(t *testing.T) {
	b, err := os.ReadFile("../../../docs/export.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "| column | type | what |\n|---|---|---|\n")
	have, _, _ := strings.Cut(rest, "\n\n")
	if !ok || have+"\n" != table() {
		t.Errorf("docs/export.md is stale; its table should be\n%s", table())
	}
}
