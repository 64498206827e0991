package export_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
)

// blocked puts a file where exports are made: no directory can be made there, as on a full disk.
func (r *rig) blocked() {
	r.t.Helper()
	path := filepath.Join(r.dir, "making")
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)); err != nil {
		r.t.Fatal(err)
	}
}

func TestAnExportWaitsWhileItsDirectoryCannotBeMade(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 10, nil)
	r.blocked()
	job := r.ask(uid, export.FormatCSV, nil)
	r.worker(nil)
	r.await(job, func(j *export.Job) bool {
		return j.State == export.StatePaused && j.StateReason == export.ReasonStorageUnavailable
	})
	if err := os.Remove(filepath.Join(r.dir, "making")); err != nil {
		t.Fatal(err)
	}
	r.ahead.Add(int64(time.Hour))
	if done := r.over(job); done.State != export.StateSucceeded || done.Rows != 10 {
		t.Errorf("%+v", done)
	}
}

// What is full is often full of exports: those that go make room.
func TestAFileGoesAlsoWhereNoDirectoryCanBeMade(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 10, nil)
	job := r.ask(uid, export.FormatCSV, nil)
	w := r.worker(nil)
	r.over(job)
	w.Stop() // its own directory is gone by then
	r.blocked()
	r.ahead.Add(int64(r.jobs.Keep))
	r.worker(nil)
	until(t, func() bool {
		_, err := r.jobs.Store.Job(t.Context(), uid, job.ID)
		return errs.Is(err, "EXPORT_NOT_FOUND")
	}, func() string { return "it is forgotten\n" + r.log.String() })
	left, err := filepath.Glob(filepath.Join(r.dir, "files", uid, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// slow is storage that takes its time with a file, whatever becomes of who waits for it.
type slow struct {
	export.Files
	begun, open chan struct{}
}

func (s *slow) Put(ctx context.Context, name, path string) error {
	if strings.HasSuffix(name, ".manifest.json") {
		close(s.begun)
		<-s.open
	}
	return s.Files.Put(ctx, name, path)
}

func TestAFileThatComesAfterItsExportWasDeletedElsewhereIsTakenBack(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 10, nil)
	job := r.ask(uid, export.FormatCSV, nil)
	s := &slow{Files: r.files, begun: make(chan struct{}), open: make(chan struct{})}
	w := r.worker(func(c *export.WorkerConfig) { c.Files = s })
	<-s.begun
	if err := r.jobs.Delete(t.Context(), "unix:0", export.Ending{OrganizationUID: uid, ID: job.ID, RequestID: "d"}); err != nil {
		t.Fatal(err)
	}
	r.worker(func(c *export.WorkerConfig) { c.Directory = filepath.Join(r.dir, "elsewhere") }) // as with a bucket
	until(t, func() bool {
		_, err := r.jobs.Store.Job(t.Context(), uid, job.ID)
		return errs.Is(err, "EXPORT_NOT_FOUND")
	}, func() string { return "it is forgotten\n" + r.log.String() })
	close(s.open)
	w.Stop()
	left, err := filepath.Glob(filepath.Join(r.dir, "files", uid, "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
