package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Names within the directory of an export that is being made.
const (
	lockName     = "lock"
	dataName     = "data"
	keptName     = "kept"
	markName     = "mark.json"
	manifestName = "manifest.json"
)

// workdir is the directory of one export that is being made. Whoever has it open holds its lock, which the kernel takes back from
// the dead: two processes never write to it.
type workdir struct {
	path string
	lock *os.File
}

// errTaken means that another process has the directory.
var errTaken = errors.New("export: another process makes it")

// workName is what a directory is called.
func workName(organizationUID, id string) string { return organizationUID + "_" + id }

// openWork opens the directory of an export, and makes it when there is none.
func openWork(root, organizationUID, id string) (*workdir, error) {
	w := &workdir{path: filepath.Join(root, workName(organizationUID, id))}
	if err := os.MkdirAll(w.path, 0o700); err != nil {
		return nil, err
	}
	var err error
	if w.lock, err = os.OpenFile(w.file(lockName), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(w.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = w.lock.Close() // nothing was written to it
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errTaken
		}
		return nil, err
	}
	if here, err := os.Stat(w.file(lockName)); err != nil || !same(here, w.lock) { // removed and made anew meanwhile
		_ = w.lock.Close()
		return nil, errTaken
	}
	return w, nil
}

func same(a os.FileInfo, f *os.File) bool {
	b, err := f.Stat()
	return err == nil && os.SameFile(a, b)
}

func (w *workdir) file(name string) string { return filepath.Join(w.path, name) }

// close gives the directory back.
func (w *workdir) close() error { return w.lock.Close() }

// remove takes the directory away, the lock last, and gives it back.
func (w *workdir) remove() error {
	entries, err := os.ReadDir(w.path)
	for _, e := range entries {
		if e.Name() != lockName {
			err = errors.Join(err, os.RemoveAll(w.file(e.Name())))
		}
	}
	if err == nil {
		err = os.RemoveAll(w.path)
	}
	return errors.Join(err, w.close())
}

// mark says up to where the files of a directory are whole: it is written after they are on the disk.
type mark struct {
	Schema   int  `json:"schema"`
	Complete bool `json:"complete"`
	Progress
	Kept int64  `json:"kept"`
	Hash []byte `json:"hash"` // state of the SHA-256 of the file so far
}

// readMark returns the mark, or a zero one when there is none or it is of other columns.
func (w *workdir) readMark(schema int) (mark, error) {
	b, err := os.ReadFile(w.file(markName))
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, err
	}
	var m mark
	if err := json.Unmarshal(b, &m); err != nil || m.Schema != schema {
		return mark{}, nil //nolint:nilerr // begun anew
	}
	return m, nil
}

// writeMark replaces the mark in one step.
func (w *workdir) writeMark(m *mark) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	f, err := os.OpenFile(w.file(markName+".new"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(w.file(markName+".new"), w.file(markName)); err != nil {
		return err
	}
	return syncDir(w.path)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cut opens a file for writing behind its first bytes; what follows them goes. A file that is shorter is an error.
func (w *workdir) cut(name string, at int64) (*os.File, error) {
	f, err := os.OpenFile(w.file(name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < at {
		err = errShort
	}
	if err == nil {
		err = f.Truncate(at)
	}
	if err == nil {
		_, err = f.Seek(at, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// errShort means that a file lost what its mark says it has.
var errShort = errors.New("export: a file is shorter than its mark says")

// works lists the exports that have a directory.
func works(root string) ([]Due, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []Due
	for _, e := range entries {
		if uid, id, ok := strings.Cut(e.Name(), "_"); ok && e.IsDir() {
			out = append(out, Due{uid, id})
		}
	}
	return out, err
}
