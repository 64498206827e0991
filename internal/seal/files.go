package seal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
)

// Where LoadOrCreate keeps keysets, below the data directory.
const (
	Directory  = "keysets"
	MasterFile = "master.json"
	HashFile   = "hash.json"
)

// maxKeysetFile bounds what is read of a key file.
const maxKeysetFile = 64 << 10

// Load reads both keysets from files in Tink's cleartext JSON or binary form. A file that others can read is
// refused (secret.Exposed).
func Load(masterPath, hashPath string) (*Keysets, error) {
	masterBytes, err := readPrivate(masterPath)
	if err != nil {
		return nil, err
	}
	hashBytes, err := readPrivate(hashPath)
	if err != nil {
		return nil, err
	}
	master, err := parse(masterBytes, masterPath)
	if err != nil {
		return nil, err
	}
	hash, err := parse(hashBytes, hashPath)
	if err != nil {
		return nil, err
	}
	return newKeysets(master, hash)
}

// LoadOrCreate reads the keysets in dataDir/keysets. When that directory does not exist it makes new ones there, both at
// once: the directory (0700) appears complete, on disk, with its files (0600), or not at all. One keyset without the other
// is an error, never a reason to make a new one.
func LoadOrCreate(dataDir string) (*Keysets, error) {
	dir := filepath.Join(dataDir, Directory)
	_, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(dataDir, dir)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, errs.Wrap(err, errs.Internal, "KEYSET_FAILED", "the keysets in "+dir+" cannot be made or read")
	}
	return Load(filepath.Join(dir, MasterFile), filepath.Join(dir, HashFile))
}

// create writes new keysets into a directory of another name and renames it. Losing a race to another process is
// fs.ErrExist.
func create(dataDir, dir string) error {
	k, err := mint()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	draft, err := os.MkdirTemp(dataDir, ".keysets-*") // 0700
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(draft) }() // nothing is left of it once it is renamed
	for name, h := range map[string]*keyset.Handle{MasterFile: k.master, HashFile: k.hash} {
		b, err := format(h)
		if err != nil {
			return err
		}
		if err := writeSynced(filepath.Join(draft, name), b); err != nil {
			return err
		}
	}
	if err := syncDirectory(draft); err != nil {
		return err
	}
	if err := os.Rename(draft, dir); err != nil {
		if _, statErr := os.Lstat(dir); statErr == nil {
			return fs.ErrExist
		}
		return err
	}
	return syncDirectory(dataDir)
}

// writeSynced writes a new file, 0600, and waits until it is on disk.
func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDirectory waits until a directory's entries are on disk.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readPrivate reads a file that nobody else may read. The mode is that of the opened file.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.Newf(errs.FailedPrecondition, "KEYSET_MISSING",
			"%s does not exist; without it sealed data is lost, so no new one is made in its place", path)
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.FailedPrecondition, "KEYSET_UNREADABLE", path+" cannot be opened")
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, errs.Wrap(err, errs.FailedPrecondition, "KEYSET_UNREADABLE", path+" cannot be read")
	}
	if !info.Mode().IsRegular() {
		return nil, errs.Newf(errs.FailedPrecondition, "KEYSET_UNREADABLE", "%s is no regular file", path)
	}
	if secret.Exposed(info) {
		return nil, errs.Newf(errs.FailedPrecondition, "KEYSET_EXPOSED",
			"%s has mode %04o: others can read the keys; chmod 0600 it (0640 when it is root's)", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeysetFile+1))
	if err != nil {
		return nil, errs.Wrap(err, errs.FailedPrecondition, "KEYSET_UNREADABLE", path+" cannot be read")
	}
	if len(b) > maxKeysetFile {
		return nil, errs.Newf(errs.FailedPrecondition, "KEYSET_UNREADABLE", "%s is larger than %d bytes", path, maxKeysetFile)
	}
	return b, nil
}
