package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postern-audit/postern/internal/config"
)

func TestGeneratedFilesAreFresh(t *testing.T) {
	const root = "../../.."
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale: run `make docs`", name)
		}
	}
}

func TestTheSampleHoldsTheDefaults(t *testing.T) {
	got, err := config.Load(config.Sources{File: "../../../examples/postern.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if g, w := config.YAML(got, nil), config.YAML(config.Default(), nil); g != w {
		t.Errorf("the sample loads as\n%s\nwant\n%s", g, w)
	}
}
