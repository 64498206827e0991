package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestTheSmallestInstallationsAreCompared(t *testing.T) {
	t.Chdir("..") // it builds ./cmd/postern
	var out, said bytes.Buffer
	if code := run([]string{"directory", "--organizations", "10", "--domains", "20", "--accounts", "1100", "--slice", "20ms", "--output", "json"}, &out, &said); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said.String())
	}
	var result struct {
		Small, Large map[string]float64
		Rows         []map[string]any
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	if result.Large["accounts"] != 1100 || result.Large["import_per_s"] <= 0 || result.Large["measured_mb"] <= 0 || len(result.Rows) != 4 {
		t.Errorf("%+v", result)
	}
	for _, r := range result.Rows {
		if r["p50_us"].(float64) <= 0 || r["small_p50_us"].(float64) <= 0 || r["p50_ratio"].(float64) <= 0 || r["round_trips"].(float64) <= 0 {
			t.Errorf("%v", r)
		}
	}
}
