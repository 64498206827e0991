package blob_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/blob"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/internal/testkit/s3test"
)

// store is what both keep.
type store interface {
	Put(ctx context.Context, name, path string) error
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
	Remove(ctx context.Context, prefix string, except ...string) error
}

func options(s *s3test.Server) blob.S3Options {
	return blob.S3Options{Endpoint: s.Endpoint(), Bucket: s3test.Bucket, Prefix: "postern/", Region: s3test.Region, AccessKey: s3test.AccessKey, SecretKey: secret.NewString(s3test.SecretKey)}
}

func onS3(t *testing.T, o blob.S3Options) store {
	t.Helper()
	s, err := blob.NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stores(t *testing.T, run func(t *testing.T, s store, dir string)) {
	t.Helper()
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		s, err := blob.NewDisk(filepath.Join(dir, "files"))
		if err != nil {
			t.Fatal(err)
		}
		run(t, s, dir)
	})
	t.Run("S3", func(t *testing.T) { run(t, onS3(t, options(s3test.Start(t))), t.TempDir()) })
}

func write(t *testing.T, dir string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, "made")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, s store, name string) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAFileIsReadAsItWasPutFromAnyPlace(t *testing.T) {
	stores(t, func(t *testing.T, s store, dir string) {
		want := make([]byte, 33<<20+7) // more than two parts of an upload
		_, _ = rand.Read(want)
		path := write(t, dir, want)
		if err := s.Put(t.Context(), "org/a-1.csv", path); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, s, "org/a-1.csv"), want) {
			t.Error("it came back changed")
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, want) {
			t.Errorf("the file that was put is not there any more: %v", err)
		}
		f, err := s.Open(t.Context(), "org/a-1.csv")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if end, err := f.Seek(0, io.SeekEnd); err != nil || end != int64(len(want)) {
			t.Errorf("%d, %v", end, err)
		}
		if _, err := f.Seek(20<<20, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, want[20<<20:20<<20+100]) {
			t.Errorf("from the middle: %v", err)
		}
	})
}

func TestPuttingAgainReplacesAndAnEmptyFileIsOne(t *testing.T) {
	stores(t, func(t *testing.T, s store, dir string) {
		for _, text := range []string{"one", "two", ""} {
			if err := s.Put(t.Context(), "org/x", write(t, dir, []byte(text))); err != nil {
				t.Fatal(err)
			}
			if got := read(t, s, "org/x"); string(got) != text {
				t.Errorf("%q, want %q", got, text)
			}
			if err := os.Remove(filepath.Join(dir, "made")); err != nil {
				t.Fatal(err)
			}
			if got := read(t, s, "org/x"); string(got) != text {
				t.Errorf("without the file that was put: %q, want %q", got, text)
			}
		}
	})
}

func TestAFileThatIsNotThereIsSaidToBe(t *testing.T) {
	stores(t, func(t *testing.T, s store, dir string) {
		if _, err := s.Open(t.Context(), "org/none"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if err := s.Put(t.Context(), "org/none", filepath.Join(dir, "none")); err == nil {
			t.Error("what is not there was put")
		}
		if err := s.Remove(t.Context(), "org/none"); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestFilesGoByTheBeginningOfTheirNames(t *testing.T) {
	stores(t, func(t *testing.T, s store, dir string) {
		path := write(t, dir, []byte("x"))
		for _, name := range []string{"org/a-1.csv", "org/a-1.manifest.json", "org/a-2.csv", "org/b-1.csv", "other/a-1.csv"} {
			if err := s.Put(t.Context(), name, path); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Remove(t.Context(), "org/a", "org/a-2.csv"); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, name := range []string{"org/a-1.csv", "org/a-1.manifest.json", "org/a-2.csv", "org/b-1.csv", "other/a-1.csv"} {
			f, err := s.Open(t.Context(), name)
			if err == nil {
				left = append(left, name)
				_ = f.Close()
			}
		}
		if !slices.Equal(left, []string{"org/a-2.csv", "org/b-1.csv", "other/a-1.csv"}) {
			t.Errorf("left: %v", left)
		}
	})
}

func TestANameLeadsNowhereElse(t *testing.T) {
	dir := t.TempDir()
	s, err := blob.NewDisk(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, []byte("x"))
	for _, name := range []string{"", "a", "../made", "org/../../made", "/etc/passwd", "org/a/b", "org/", "/a", "./a", "org/.", "org/..", ".x/a", "org/.a"} {
		if err := s.Put(t.Context(), name, path); err == nil {
			t.Errorf("%q was put", name)
		}
		if _, err := s.Open(t.Context(), name); err == nil {
			t.Errorf("%q was opened", name)
		}
		if err := s.Remove(t.Context(), name); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestFilesOnDiskAreTheirOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	s, err := blob.NewDisk(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "org/a", write(t, dir, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(dir, "files"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAServerThatIsAwayOrRefusesIsAnErrorWithoutTheKey(t *testing.T) {
	server := s3test.Start(t)
	path := write(t, t.TempDir(), []byte("x"))
	wrong := options(server)
	wrong.SecretKey = secret.NewString("another-secret-canary")
	nobody := options(server)
	nobody.AccessKey = "nobody"
	missing := options(server)
	missing.Bucket = "missing"
	for name, s := range map[string]store{"wrong key": onS3(t, wrong), "unknown": onS3(t, nobody), "no bucket": onS3(t, missing)} {
		err := s.Put(t.Context(), "org/a", path)
		if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), s3test.SecretKey) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Open(t.Context(), "org/a"); err == nil || errors.Is(err, fs.ErrNotExist) && name == "wrong key" {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := onS3(t, options(server))
	server.Stop()
	if err := s.Put(t.Context(), "org/a", path); err == nil {
		t.Error("put at a server that is away")
	}
	server.Restart()
	if err := s.Put(t.Context(), "org/a", path); err != nil {
		t.Errorf("after it is back: %v", err)
	}
	if names := server.Names(); !slices.Equal(names, []string{"postern/org/a"}) {
		t.Errorf("%v", names)
	}
}

func TestAnEndpointThatIsNoneIsRefused(t *testing.T) {
	for _, e := range []string{"", "s3.example.com", "ftp://x", "https://x/path", "https://"} {
		if _, err := blob.NewS3(blob.S3Options{Endpoint: e, Bucket: "exports"}); err == nil {
			t.Errorf("%q was taken", e)
		}
	}
	if _, err := blob.NewS3(blob.S3Options{Endpoint: "https://x", Bucket: "exports", CAFile: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a missing file of authorities was taken")
	}
}
