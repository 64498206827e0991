package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	downloadTries = 5
	downloadPause = 500 * time.Millisecond
	maxRefusal    = 64 << 10
)

// vacant refuses a file that is there: nothing is written over.
func vacant(path string) error {
	if path == "" {
		return nil
	}
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return usagef("%s is there already: choose another name", path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	}
	return inputError{err}
}

// download fetches what was asked for and compares it.
func (f *exportFollow) download(ctx context.Context, e *posternv1.Export) error {
	if f.data == "" && f.manifest == "" {
		return nil
	}
	if e.GetDownloadUri() == "" {
		return errors.New("there is no link to the file: the sidecar that answered serves no HTTP")
	}
	if f.data != "" {
		if err := fetchFile(ctx, e.GetDownloadUri(), f.data, e.GetSizeBytes(), e.GetSha256()); err != nil {
			return err
		}
	}
	if f.manifest == "" {
		return nil
	}
	return fetchFile(ctx, e.GetManifestUri(), f.manifest, -1, "")
}

// fetchFile fetches a link into a new file, going on where a connection broke. The file has its name once it is whole and has the sum.
func fetchFile(ctx context.Context, link, path string, size int64, sum string) error {
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return inputError{err}
	}
	got := &fetching{file: file, sum: sha256.New()}
	for try := 1; ; try++ {
		err = got.once(ctx, link)
		var broken *brokenError
		if err == nil || try == downloadTries || !errors.As(err, &broken) || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(downloadPause):
		}
	}
	found := hex.EncodeToString(got.sum.Sum(nil))
	switch {
	case err != nil:
	case size >= 0 && got.size != size:
		err = fmt.Errorf("the file has %d bytes, and the export %d: it was changed on its way or at rest", got.size, size)
	case sum != "" && found != sum:
		err = fmt.Errorf("the file has SHA-256 %s, and the export %s: it was changed on its way or at rest", found, sum)
	}
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}

// fetching is a file that is being fetched.
type fetching struct {
	file *os.File
	sum  hash.Hash
	size int64
	etag string
}

// brokenError is a connection that broke: another one may get further.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

func (d *fetching) once(ctx context.Context, link string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return errors.New("the link cannot be read")
	}
	if d.size > 0 {
		r.Header.Set("Range", "bytes="+strconv.FormatInt(d.size, 10)+"-")
		r.Header.Set("If-Range", d.etag)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return &brokenError{withoutLink(err)}
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	want := http.StatusOK
	if d.size > 0 {
		want = http.StatusPartialContent
	}
	if answer.StatusCode != want {
		return refused(answer)
	}
	d.etag = answer.Header.Get("ETag")
	n, err := io.Copy(io.MultiWriter(d.file, d.sum), answer.Body)
	d.size += n
	if err != nil {
		var disk *os.PathError
		if errors.As(err, &disk) {
			return err
		}
		return &brokenError{withoutLink(err)}
	}
	return nil
}

// withoutLink keeps the link, which is a secret, out of an error.
func withoutLink(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("the file cannot be fetched: %w", u.Err)
	}
	return fmt.Errorf("the file cannot be fetched: %w", err)
}

// refused says what a sidecar answered instead of a file.
func refused(answer *http.Response) error {
	var status struct {
		Message string `json:"message"`
	}
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	if err == nil && json.Unmarshal(b, &status) == nil && status.Message != "" {
		return fmt.Errorf("the file cannot be fetched: %s (HTTP %d)", status.Message, answer.StatusCode)
	}
	return fmt.Errorf("the file cannot be fetched: HTTP %d", answer.StatusCode)
}
