package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What is exported is what was filled in, by a real server.
func TestEveryEventThatWasFilledInIsExported(t *testing.T) {
	t.Chdir("..") // it builds ./cmd/postern
	var out, said bytes.Buffer
	if code := run([]string{"export", "--rows", "1000", "--output", "json"}, &out, &said); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said.String())
	}
	var found []exported
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&found); err != nil || len(found) != 3 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, e := range found {
		if e.Rows < 900 || e.Rows != found[0].Rows || e.PerSec <= 0 || e.MB <= 0 {
			t.Errorf("%+v", e)
		}
	}
}

func TestAnExportThatCannotBeMeasuredIsSaidToBe(t *testing.T) {
	for _, args := range [][]string{{"--rows", "9"}, {"--rows", "many"}, {"--formats", "xml"}, {"--output", "xml"}} {
		var out, said bytes.Buffer
		if code := run(append([]string{"export"}, args...), &out, &said); code != 1 || out.Len() != 0 || said.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, said.String())
		}
	}
}
