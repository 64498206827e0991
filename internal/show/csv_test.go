package show_test

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/show"
)

func TestCellsOfCSVAreTextAndComeBack(t *testing.T) {
	var b strings.Builder
	c, err := show.NewCSV(&b, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string]string{"plain": "plain", "": "", "=1+1": "'=1+1", "+4": "'+4", "-4": "'-4", "@x": "'@x", "\tx": "'\tx", "＝1": "'＝1",
		"a,b": "a,b", `a"b`: `a"b`, "a\nb": "a\nb", "x\x00y": "x\uFFFDy", "x\xffy": "x\uFFFDy", "a=1": "a=1", "'=1": "'=1"}
	var want []string
	for cell, safe := range cells {
		if err := c.Row([]string{cell, "end"}); err != nil {
			t.Fatal(err)
		}
		want = append(want, safe)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "a,b\r\n") || !strings.HasSuffix(b.String(), "end\r\n") {
		t.Errorf("lines do not end as RFC 4180 has it: %q", b.String())
	}
	got, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(got) != len(want)+1 {
		t.Fatal(got, err)
	}
	for i, w := range want {
		if got[i+1][0] != w || got[i+1][1] != "end" {
			t.Errorf("row %d: %q, want %q", i, got[i+1], w)
		}
	}
}
