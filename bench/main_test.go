package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
)

// TestMain lets the benchmark start this test binary as its floor.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// The shape of the output is what scripts rest on; what it measures is not asserted.
func TestTheSmallestRunPrintsOneJSONObject(t *testing.T) {
	got := measured(t, "Explain")
	if len(got) != 18 {
		t.Errorf("a row has %d fields", len(got))
	}
}

func TestEvidenceIsMeasuredBesideTheBareLibrary(t *testing.T) {
	got := measured(t, "CompleteFederation/ES256")
	for _, name := range []string{"verify_cpu_us", "library_cpu_us", "verify_ratio"} {
		if v, ok := got[name].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if len(got) != 21 {
		t.Errorf("a row has %d fields", len(got))
	}
}

// Every kind of evidence that is minted here is good evidence, to us and to the library.
func TestWhatIsMintedIsTaken(t *testing.T) {
	p, err := startProviders()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, kind := range kinds {
		evidence, err := p.byKind[kind].mint("guest-1")
		if err != nil {
			t.Fatal(err)
		}
		d, err := p.byKind[kind].duel(t.Context(), evidence)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.ours(), d.library()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// measured runs the smallest benchmark of one case and returns its one row.
func measured(t *testing.T, name string) map[string]any {
	t.Helper()
	t.Chdir("..") // it builds ./cmd/postern
	var out, said bytes.Buffer
	if code := run([]string{"--quick", "--output", "json", "--case", name, "--callers", "1", "--aof", "everysec", "--slice", "50ms"}, &out, &said); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said.String())
	}
	var result struct {
		Rows []map[string]any `json:"rows"`
	}
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&result); err != nil || len(result.Rows) != 1 {
		t.Fatalf("%d rows, %v", len(result.Rows), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("something follows the object: %v", err)
	}
	got := result.Rows[0]
	if got["case"] != name || got["aof"] != "everysec" || got["callers"] != 1.0 {
		t.Errorf("the row is about %v, %v, %v", got["case"], got["aof"], got["callers"])
	}
	for _, name := range []string{"per_s", "floor_per_s", "ratio", "p50_us", "floor_p50_us", "p50_ratio", "p99_us", "floor_p99_us", "allocs", "floor_allocs"} {
		if v, ok := got[name].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for _, name := range []string{"round_trips", "cpu_us", "floor_cpu_us", "redis_cpu_us", "floor_redis_cpu_us"} {
		if v, ok := got[name].(float64); !ok || v < 0 { // processor time is counted in ticks: so short a run may have none
			t.Errorf("%s is %v", name, got[name])
		}
	}
	return got
}

func TestWrongArgumentsAreRefusedBeforeAnythingStarts(t *testing.T) {
	for _, args := range [][]string{{"--callers", "0"}, {"--callers", "many"}, {"--output", "xml"}, {"--nonsense"}} {
		var out, said bytes.Buffer
		if code := run(args, &out, &said); code != 2 || out.Len() != 0 || said.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, said.String())
		}
	}
}
