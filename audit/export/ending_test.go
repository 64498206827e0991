package export_test

import (
	"path/filepath"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
)

func TestAnExportGoesWithItsFileWhenItsTimeIsOverOrSomebodyDeletesIt(t *testing.T) {
	for name, deleted := range map[string]bool{"expired": false, "deleted": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			uid := r.organization()
			r.record(uid, 10, nil)
			job := r.ask(uid, export.FormatCSV, nil)
			w := r.worker(nil)
			done := r.over(job)
			links := r.jobs.Links("unix:0", done)
			if deleted {
				in := export.Ending{OrganizationUID: uid, ID: job.ID, RequestID: "d", Reason: "handed over"}
				for range 2 {
					if err := r.jobs.Delete(t.Context(), "unix:0", in); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				r.ahead.Add(int64(r.jobs.Keep))
				w.Wake()
			}
			if _, err := r.jobs.Get(t.Context(), uid, job.ID); !errs.Is(err, "EXPORT_NOT_FOUND") {
				t.Errorf("still shown: %v", err)
			}
			if _, _, err := r.jobs.Fetch(t.Context(), r.files, links.Data); err == nil {
				t.Error("still fetched")
			}
			until(t, func() bool {
				_, err := r.jobs.Store.Job(t.Context(), uid, job.ID)
				return errs.Is(err, "EXPORT_NOT_FOUND")
			}, func() string { return "it is forgotten\n" + r.log.String() })
			left, err := filepath.Glob(filepath.Join(r.dir, "files", uid, "*"))
			if err != nil || len(left) != 0 {
				t.Errorf("left: %v", left)
			}
			events := r.events(uid)
			last := events[len(events)-1]
			if last.Type != audit.TypeExportDeleted || deleted != (last.Reason == "") || deleted != (last.Personal.Detail == "handed over") || !deleted && last.Reason != audit.ReasonExpired {
				t.Errorf("%+v", last)
			}
		})
	}
}

func TestAProcessThatStopsPutsItsExportsDownForTheNext(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 3000, nil)
	g := &gate{open: make(chan struct{})}
	job := r.ask(uid, export.FormatCSV, nil)
	first := r.worker(func(c *export.WorkerConfig) { c.Encoder = g.encoder })
	until(t, func() bool { return g.at.Load() == 1 }, func() string { return "begun" })
	stopped := make(chan struct{})
	go func() {
		first.Stop()
		close(stopped)
	}()
	close(g.open)
	<-stopped
	got, err := r.jobs.Get(t.Context(), uid, job.ID)
	if err != nil || got.State != export.StateQueued && got.State != export.StateSucceeded || got.Holder != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	r.worker(nil)
	if done := r.over(job); done.State != export.StateSucceeded || done.Rows != 3000 {
		t.Errorf("%+v", done)
	}
}

func TestARepeatedCallIsAnsweredWithTheSameExport(t *testing.T) {
	r := newRig(t)
	in := export.NewJob{OrganizationUID: r.organization(), Organization: "acme", Format: export.FormatCSV, RequestID: "x", Reason: "a"}
	first, err := r.jobs.Create(t.Context(), "unix:0", in)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.jobs.Create(t.Context(), "unix:0", in); err != nil || again.ID != first.ID {
		t.Errorf("%v, %v", again, err)
	}
	in.Reason = "b"
	if _, err := r.jobs.Create(t.Context(), "unix:0", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("%v", err)
	}
	if n := len(r.events(in.OrganizationUID)); n != 1 {
		t.Errorf("%d events", n)
	}
}
