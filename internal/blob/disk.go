// Package blob keeps finished files by name: in a directory, or at a server that speaks the S3 protocol.
//
// Purpose: put a file that was made on this machine under a name, read it from any place on, take files away. Invariant: a name leads
// to a whole file or to none, whoever is killed when; who else has an account here cannot read it. It must never make up names, look
// into a file, or put a credential into an error. First file to read: this one, then s3.go.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Disk keeps files in a directory. Several processes may share it. Safe for concurrent use.
type Disk struct{ root string }

// NewDisk returns files in a directory, which is made with mode 0700 when it is missing.
func NewDisk(root string) (*Disk, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Disk{root}, nil
}

// Put keeps the file at path, which must lie on the same file system, under a name. Both names lead to it from then on.
func (d *Disk) Put(_ context.Context, name, path string) error {
	target, err := d.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	if err := os.Link(path, target); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return syncDirs(dir, d.root)
}

// syncDirs makes sure of names.
func syncDirs(paths ...string) error {
	var problems []error
	for _, path := range paths {
		f, err := os.Open(path)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Open reads a file. The error of one that is not there wraps fs.ErrNotExist.
func (d *Disk) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	path, err := d.path(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return f, nil
}

// Remove takes away every file whose name begins with prefix, which has a directory and a part of a name, except those named.
func (d *Disk) Remove(_ context.Context, prefix string, except ...string) error {
	path, err := d.path(prefix)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		name := filepath.Dir(prefix) + "/" + e.Name()
		if strings.HasPrefix(e.Name(), filepath.Base(path)) && !slices.Contains(except, name) {
			err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(path), e.Name())))
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// path is where a name leads: two parts, none of which leads out of the directory.
func (d *Disk) path(name string) (string, error) {
	dir, base, ok := strings.Cut(name, "/")
	if !ok || dir == "" || base == "" || strings.Contains(base, "/") || !filepath.IsLocal(name) || strings.HasPrefix(dir, ".") || strings.HasPrefix(base, ".") {
		return "", errors.New("blob: a name has two parts, a directory and a file")
	}
	return filepath.Join(d.root, dir, base), nil
}
