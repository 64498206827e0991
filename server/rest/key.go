package rest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postern-audit/postern/internal/secret"
)

const (
	keyBytes = 32
	// maxKeyFile keeps a wrong path from being read whole.
	maxKeyFile = 4 << 10
	minKey     = 32 // characters
)

// LoadOrCreateKey reads the key file, or writes a new one (32 random bytes as base64url, mode 0600) when there is none. A file
// that others may read (secret.Exposed), or that holds less than 32 characters, is an error.
func LoadOrCreateKey(path string) (secret.String, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var b [keyBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	text := base64.RawURLEncoding.EncodeToString(b[:])
	err = writeKey(path, text)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return loadKey(path)
	}
	if err != nil {
		return secret.String{}, err
	}
	return secret.NewString(text), nil
}

func loadKey(path string) (secret.String, error) {
	info, err := os.Stat(path)
	if err != nil {
		return secret.String{}, fmt.Errorf("rest: key file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile || secret.Exposed(info) {
		return secret.String{}, fmt.Errorf("rest: key file %s must be a small file of mode 0600, or 0640 when it is root's", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return secret.String{}, fmt.Errorf("rest: key file: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if len(text) < minKey {
		return secret.String{}, fmt.Errorf("rest: key file %s holds less than %d characters", path, minKey)
	}
	return secret.NewString(text), nil
}

// writeKey writes a whole file under its name, or nothing: it is linked once it is complete.
func writeKey(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".http.key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("rest: key file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // the temporary name only
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("rest: key file: %w", err)
	}
	return nil
}
