package seal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/seal"
)

func TestTheFirstStartMakesKeysetsAndTheNextOneReadsThem(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first, err := seal.LoadOrCreate(data)
	if err != nil {
		t.Fatal(err)
	}
	second, err := seal.LoadOrCreate(data)
	if err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() || first.MasterFingerprint() == "" || first.HashFingerprint() == "" ||
		first.MasterFingerprint() == first.HashFingerprint() {
		t.Errorf("fingerprints: %s, then %s", first, second)
	}
	if other := keysets(t); other.MasterFingerprint() == first.MasterFingerprint() || other.HashFingerprint() == first.HashFingerprint() {
		t.Error("two installations have the same fingerprint")
	}
	for path, want := range map[string]os.FileMode{
		data:                           0o700,
		filepath.Join(data, "keysets"): 0o700,
		master(data):                   0o600,
		hash(data):                     0o600,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	left, err := os.ReadDir(data)
	if err != nil || len(left) != 1 {
		t.Errorf("besides the keysets there is %v, %v", left, err)
	}
}

func TestFilesAreReadInBothTinkForms(t *testing.T) {
	data := t.TempDir()
	made, err := seal.LoadOrCreate(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(master(data))
	if err != nil {
		t.Fatal(err)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "master.bin")
	write(t, binary, binaryForm(t, h))
	read, err := seal.Load(binary, hash(data))
	if err != nil || read.MasterFingerprint() != made.MasterFingerprint() {
		t.Errorf("%v, %v", read, err)
	}
	// A rotated keyset still opens what the first key wrapped, and keeps its fingerprint.
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetPrimary(id); err != nil {
		t.Fatal(err)
	}
	if h, err = m.Handle(); err != nil {
		t.Fatal(err)
	}
	write(t, binary, binaryForm(t, h))
	rotated, err := seal.Load(binary, hash(data))
	if err != nil || rotated.MasterFingerprint() != made.MasterFingerprint() {
		t.Fatalf("%v, %v", rotated, err)
	}
	key, err := made.Keyring(0).Mint(orgA)
	if err != nil {
		t.Fatal(err)
	}
	if err := rotated.Keyring(0).Add(key); err != nil {
		t.Error(err)
	}
}

func TestKeyFilesThatCannotBeTrustedAreRefused(t *testing.T) {
	anotherCipher := func(t *testing.T) []byte {
		h, err := keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate())
		if err != nil {
			t.Fatal(err)
		}
		return binaryForm(t, h)
	}
	for name, try := range map[string]struct {
		spoil  func(t *testing.T, data string)
		reason string
	}{
		"master readable by the group": {func(t *testing.T, d string) { chmod(t, master(d), 0o640) }, "KEYSET_EXPOSED"},
		"hash readable by everybody":   {func(t *testing.T, d string) { chmod(t, hash(d), 0o604) }, "KEYSET_EXPOSED"},
		"master gone":                  {func(t *testing.T, d string) { remove(t, master(d)) }, "KEYSET_MISSING"},
		"hash gone":                    {func(t *testing.T, d string) { remove(t, hash(d)) }, "KEYSET_MISSING"},
		"master empty":                 {func(t *testing.T, d string) { write(t, master(d), nil) }, "KEYSET_UNREADABLE"},
		"master cut":                   {func(t *testing.T, d string) { write(t, master(d), []byte("{\"primaryKeyId\":1")) }, "KEYSET_UNREADABLE"},
		"master a directory": {func(t *testing.T, d string) {
			remove(t, master(d))
			if err := os.Mkdir(master(d), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "KEYSET_UNREADABLE"},
		"master too large":        {func(t *testing.T, d string) { write(t, master(d), make([]byte, 1<<20)) }, "KEYSET_UNREADABLE"},
		"master of another kind":  {func(t *testing.T, d string) { write(t, master(d), anotherCipher(t)) }, "KEYSET_UNFIT"},
		"master and hash swapped": {func(t *testing.T, d string) { write(t, master(d), read(t, hash(d))) }, "KEYSET_UNFIT"},
		"hash holds a master":     {func(t *testing.T, d string) { write(t, hash(d), read(t, master(d))) }, "KEYSET_UNFIT"},
		"hash with two keys": {func(t *testing.T, d string) {
			m := keyset.NewManager()
			for range 2 {
				id, err := m.Add(prf.HMACSHA256PRFKeyTemplate())
				if err != nil {
					t.Fatal(err)
				}
				if err := m.SetPrimary(id); err != nil {
					t.Fatal(err)
				}
			}
			h, err := m.Handle()
			if err != nil {
				t.Fatal(err)
			}
			write(t, hash(d), binaryForm(t, h))
		}, "KEYSET_UNFIT"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			if _, err := seal.LoadOrCreate(data); err != nil {
				t.Fatal(err)
			}
			secretText := keyText(t, read(t, master(data)))
			try.spoil(t, data)
			k, err := seal.LoadOrCreate(data)
			if !errs.Is(err, try.reason) || k != nil {
				t.Fatalf("got %v, %v", k, err)
			}
			if strings.Contains(err.Error(), secretText) {
				t.Error("the error shows key material")
			}
		})
	}
}

func TestNoVerbShowsAKey(t *testing.T) {
	data := t.TempDir()
	k, err := seal.LoadOrCreate(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if out := fmt.Sprintf(verb, k); !strings.Contains(out, k.MasterFingerprint()) || len(out) > 100 {
			t.Errorf("%s: %s", verb, out)
		}
	}
}

func TestManyFirstStartsAtOnceAgree(t *testing.T) {
	data := t.TempDir()
	var wait sync.WaitGroup
	got := make([]string, 16)
	for i := range got {
		wait.Go(func() {
			k, err := seal.LoadOrCreate(data)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = k.String()
		})
	}
	wait.Wait()
	for _, s := range got {
		if s != got[0] {
			t.Fatalf("%q and %q", s, got[0])
		}
	}
}

func master(data string) string { return filepath.Join(data, seal.Directory, seal.MasterFile) }
func hash(data string) string   { return filepath.Join(data, seal.Directory, seal.HashFile) }

func binaryForm(t *testing.T, h *keyset.Handle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewBinaryWriter(&out)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// keyText returns the key material as it stands in a JSON keyset.
func keyText(t *testing.T, b []byte) string {
	t.Helper()
	var set struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	if err := json.Unmarshal(b, &set); err != nil || len(set.Key) != 1 || len(set.Key[0].KeyData.Value) < 40 {
		t.Fatalf("this test cannot find the key in the file: %v", err)
	}
	return set.Key[0].KeyData.Value
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
