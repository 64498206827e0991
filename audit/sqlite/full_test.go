//go:build unix

package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/errs"
)

const limitedFile = "POSTERN_LIMITED_FILE" // set in the child: the archive to fill under a file size limit

// TestAFullDiskIsUnavailableAndHarmless runs a child whose kernel refuses to let files grow, so that the test process itself
// can go on writing.
func TestAFullDiskIsUnavailableAndHarmless(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), limitedFile+"="+filepath.Join(t.TempDir(), "postern.db"))
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Run(); err != nil || !strings.Contains(out.String(), "child: <nil>") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// fillAndRecover appends until the limit bites, checks what is there, lifts the limit and goes on.
func fillAndRecover(ctx context.Context, path string) error {
	signal.Ignore(syscall.SIGXFSZ) // the write fails instead
	a, err := sqlite.Open(ctx, path, someday)
	if err != nil {
		return err
	}
	defer a.Close()
	epoch, err := a.Take(ctx, 0, "child")
	if err != nil {
		return err
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	small := old
	small.Cur = 2 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		return err
	}
	n, err := appendUntilRefused(ctx, a, epoch)
	if err != nil {
		return err
	}
	for range 3 { // still full: the same answer, nothing half written, and reading works
		entries, err := crashEvents(n)
		if err != nil {
			return err
		}
		if _, err := a.Append(ctx, audit.Batch{Epoch: epoch, Entries: entries}); errs.KindOf(err) != errs.Unavailable {
			return fmt.Errorf("while full: %w", err)
		}
		if err := expectBatches(ctx, a, n); err != nil {
			return err
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	for end := n + 200; n < end; n++ {
		entries, err := crashEvents(n)
		if err != nil {
			return err
		}
		if _, err := a.Append(ctx, audit.Batch{Epoch: epoch, Entries: entries}); err != nil {
			return fmt.Errorf("after the space came back: %w", err)
		}
	}
	return expectBatches(ctx, a, n)
}

// appendUntilRefused returns the number of batches that went in before the first failure.
func appendUntilRefused(ctx context.Context, a *sqlite.Archive, epoch audit.Epoch) (int, error) {
	for n := range 100_000 {
		entries, err := crashEvents(n)
		if err != nil {
			return 0, err
		}
		_, err = a.Append(ctx, audit.Batch{Epoch: epoch, Entries: entries})
		if err == nil {
			continue
		}
		e := errs.As(err)
		if e == nil || e.Kind != errs.Unavailable || e.Reason != "ARCHIVE_UNAVAILABLE" || strings.Contains(strings.ToLower(e.Public), "sqlite") {
			return 0, fmt.Errorf("refused with %w", err)
		}
		if n == 0 {
			return 0, fmt.Errorf("nothing fits: %w", err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("the limit never bit")
}

func expectBatches(ctx context.Context, a *sqlite.Archive, n int) error {
	for _, org := range []string{"org-even", "org-odd"} {
		events, err := a.Events(ctx, audit.Query{OrganizationUID: org, Limit: 1 << 20})
		if err != nil {
			return err
		}
		if len(events) != n*crashBatch/2 || events[len(events)-1].Sequence != int64(len(events)) {
			return fmt.Errorf("%s has %d events after %d batches", org, len(events), n)
		}
	}
	return nil
}
