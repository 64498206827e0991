package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What is filled in is what a real server finds, whole.
func TestADraftIsTriedOnEveryFlowThatWasFilledIn(t *testing.T) {
	t.Chdir("..") // it builds ./cmd/postern
	var out, said bytes.Buffer
	if code := run([]string{"--output", "json", "--case", "Simulate", "--rows", "240"}, &out, &said); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said.String())
	}
	var found results
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&found); err != nil || len(found.Rows) != 0 || found.Scan == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	// Each person signs in three times, each fourth one with a second factor.
	if s := found.Scan; s.Flows != 240 || s.Changed != 180 || s.People != 60 || s.PerSec <= 0 || s.Messages < 1 {
		t.Errorf("%+v", s)
	}
}

func TestRowsAreANumberOfFlows(t *testing.T) {
	for _, rows := range []string{"-1", "many", "50000001"} {
		var out, said bytes.Buffer
		if code := run([]string{"--case", "Simulate", "--rows", rows}, &out, &said); code != 2 || out.Len() != 0 || said.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", rows, code, said.String())
		}
	}
}
