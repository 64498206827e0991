// Package deploy_test holds what deployments are made of to what the program is: metrics, settings and commands that are named there
// exist.
package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/postern-audit/postern/internal/config"
)

// files returns the content of every file here, by its path.
func files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		out[filepath.ToSlash(path)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 6 {
		t.Fatalf("only %d files: this test looked in the wrong place", len(out))
	}
	return out
}

// described are the names that a page of the reference lists in the first column of its tables.
func described(t *testing.T, page string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../docs/reference/" + page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllSubmatch(b, -1) {
		out[string(m[1])] = true
	}
	if len(out) == 0 {
		t.Fatalf("%s lists nothing", page)
	}
	return out
}

var (
	metric   = regexp.MustCompile(`\bpostern_[a-z_]+`)
	suffix   = regexp.MustCompile(`_(bucket|sum|count)$`)
	variable = regexp.MustCompile(`\bPOSTERN_[A-Z_]+`)
)

func TestMetricsThatAreWatchedExist(t *testing.T) {
	known := described(t, "metrics.md")
	watched := map[string]bool{}
	for path, content := range files(t) {
		if !strings.HasPrefix(path, "prometheus/") && !strings.HasPrefix(path, "grafana/") {
			continue
		}
		for _, name := range metric.FindAllString(content, -1) {
			if watched[name] = true; !known[name] && !known[suffix.ReplaceAllString(name, "")] {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
	for name := range known {
		if !watched[name] && !watched[name+"_bucket"] && !slices.Contains([]string{
			"postern_build_info", "postern_swept_total", "postern_domain_changes_total"}, name) {
			t.Errorf("nothing watches %s: put it on the dashboard", name)
		}
	}
}

// What the program reads by itself, besides settings.
var ownVariables = []string{"POSTERN_ADDRESS", "POSTERN_CONFIG", "POSTERN_OUTPUT", "POSTERN_TIMEOUT"}

func TestSettingsThatAreMadeExist(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/config.md")
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range files(t) {
		for _, name := range variable.FindAllString(content, -1) {
			if !slices.Contains(ownVariables, name) && !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("%s: there is no setting %s", path, name)
			}
		}
	}
}

func TestSettingsInManifestsAreValid(t *testing.T) {
	for path, content := range files(t) {
		if !strings.HasPrefix(path, "kubernetes/") {
			continue
		}
		found := false
		for _, o := range documents(t, path, content) {
			data, _ := o["data"].(map[string]any)
			text, ok := data["postern.yaml"].(string)
			if !ok {
				continue
			}
			found = true
			file := filepath.Join(t.TempDir(), "postern.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Sources{File: file}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		if !found {
			t.Errorf("%s has no settings", path)
		}
	}
}

func TestEverythingIsWellFormed(t *testing.T) {
	for path, content := range files(t) {
		switch filepath.Ext(path) {
		case ".yaml":
			if !strings.Contains(path, "/templates/") {
				documents(t, path, content)
			}
		case ".json":
			var v any
			if err := json.Unmarshal([]byte(content), &v); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// documents reads the documents of a YAML file.
func documents(t *testing.T, path, content string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for dec := yaml.NewDecoder(strings.NewReader(content)); ; {
		var v map[string]any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", path, err))
		}
		out = append(out, v)
	}
}
