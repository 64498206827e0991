package rest_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postern-audit/postern/server/rest"
)

func TestTheKeyIsMintedOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.key")
	keys := make([]string, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			key, err := rest.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key.Reveal()
		})
	}
	all.Wait()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k != string(b) {
			t.Errorf("%q is not what the file holds", k)
		}
	}
	if raw, err := base64.RawURLEncoding.DecodeString(string(b)); err != nil || len(raw) != 32 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAKeyFileThatIsNotOneIsRefused(t *testing.T) {
	dir := t.TempDir()
	good := strings.Repeat("k", 43)
	for name, tt := range map[string]struct {
		content string
		mode    os.FileMode
		ok      bool
	}{
		"good": {good, 0o600, true}, "good with line end": {good + "\n", 0o400, true}, "empty": {"", 0o600, false}, "short": {"abc\n", 0o600, false},
		"readable by others": {good, 0o644, false}, "huge": {strings.Repeat("k", 5000), 0o600, false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
			t.Fatal(err)
		}
		key, err := rest.LoadOrCreateKey(path)
		if (err == nil) != tt.ok || tt.ok && key.Reveal() != good {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "kkk") {
			t.Errorf("%s: the key is in the error", name)
		}
	}
	if _, err := rest.LoadOrCreateKey(filepath.Join(dir, "no", "such", "directory")); err == nil {
		t.Error("a directory that is not there")
	}
	if _, err := rest.LoadOrCreateKey(dir); err == nil {
		t.Error("a directory")
	}
}

func TestTheServedOpenAPIDocumentIsTheGeneratedOne(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "openapi", "postern.swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("openapi.json")
	if err != nil || !bytes.Equal(have, want) {
		t.Errorf("server/rest/openapi.json is stale: run make docs (%v)", err)
	}
}
