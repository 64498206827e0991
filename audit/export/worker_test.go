package export_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestAnExportHoldsWhatTheFilterChoosesUpToWhereTheRecordWas(t *testing.T) {
	r := newRig(t)
	uid, other := r.organization(), r.organization()
	r.record(uid, 2503, func(i int, e *audit.Event) {
		switch {
		case i%3 == 0:
			e.Type, e.Outcome, e.Reason = audit.TypePasswordRejected, audit.OutcomeFailure, "BAD_CREDENTIALS"
		case i == 2500:
			e.Type, e.TallyHour, e.Tally = audit.TypeSiteTallied, r.now().Truncate(time.Hour), map[string]int64{"opened": 7}
		}
	})
	r.record(other, 10, nil)
	job := r.ask(uid, export.FormatCSV, &posternv1.EventFilter{Include: &posternv1.EventMatch{Types: []string{"password.rejected"}}})
	r.record(uid, 100, func(_ int, e *audit.Event) { e.Type, e.Outcome = audit.TypePasswordRejected, audit.OutcomeFailure })
	r.worker(nil)
	done := r.over(job)
	if done.State != export.StateSucceeded || done.Rows != 835 || done.First != 1 || done.Latest != 2503 || done.Through != 2503 || done.Percent() != 100 {
		t.Fatalf("%+v", done)
	}
	links := r.jobs.Links("unix:0", done)
	data := r.content(links.Data)
	got := sha256.Sum256(data)
	if !bytes.Equal(got[:], done.SHA256) || int64(len(data)) != done.Bytes {
		t.Error("the file is not what the export says it is")
	}
	all, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(all) != 836 || all[1][0] != "1" || all[835][0] != "2503" {
		t.Errorf("%d lines, %v", len(all), err)
	}
	if email := slices.Index(all[0], "email"); all[2][email] != "guest3@example.com" {
		t.Errorf("the personal part is not open: %v", all[2])
	}
	r.checkManifest(done, r.content(links.Manifest))
	want := []audit.Type{audit.TypeExportCreated, audit.TypeExportFinished, audit.TypeExportDownloaded, audit.TypeExportDownloaded}
	if got := r.types(uid); !slices.Equal(got, want) {
		t.Errorf("events %v", got)
	}
	if e := r.events(uid)[1]; e.Target.ID != job.ID || e.Target.Count != 835 || e.Caller != "unix:0" {
		t.Errorf("%+v", e)
	}
	if left, err := os.ReadDir(filepath.Join(r.dir, "making")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func (r *rig) checkManifest(done *export.Job, b []byte) {
	r.t.Helper()
	var m struct {
		Manifest, Schema         int
		Version, SHA256, Format  string
		Reason, Export, Exporter string
		RowCount                 int64 `json:"row_count"`
		First                    int64 `json:"first_sequence"`
		Last                     int64 `json:"last_sequence"`
		Through                  int64 `json:"through_sequence"`
		Size                     int64 `json:"size_bytes"`
		Filter                   map[string]any
		Tallies                  []struct{ Tally map[string]int64 }
		Policies, Domains        []any
	}
	if err := json.Unmarshal(b, &m); err != nil {
		r.t.Fatalf("%v: %s", err, b)
	}
	if m.Manifest != 1 || m.Schema != format.Schema || m.Exporter != "postern" || m.Version != "test" || m.SHA256 != sum(done.SHA256) || m.RowCount != done.Rows || m.First != done.First ||
		m.Last != done.Latest || m.Through != done.Through || m.Size != done.Bytes || m.Format != "csv" || m.Export != done.ID || m.Reason != "a canary in the reason" ||
		m.Filter["include"] == nil || len(m.Tallies) != 1 || m.Tallies[0].Tally["opened"] != 7 {
		r.t.Errorf("%s", b)
	}
	got := sha256.Sum256(b)
	if !bytes.Equal(got[:], done.ManifestSHA256) {
		r.t.Error("the manifest has another sum")
	}
}

func TestWhatAnExportAsksForIsNowhereInClear(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 5, nil)
	filter := &posternv1.EventFilter{Include: &posternv1.EventMatch{Emails: []string{"canary@example.org"}}}
	job := r.ask(uid, export.FormatJSONL, filter)
	r.worker(nil)
	if done := r.over(job); done.Rows != 0 {
		t.Errorf("%+v", done)
	}
	for _, key := range r.client.Keys(t.Context(), "*").Val() {
		kind := r.client.Type(t.Context(), key).Val()
		var text string
		switch kind {
		case "hash":
			for k, v := range r.client.HGetAll(t.Context(), key).Val() {
				text += k + v
			}
		case "string":
			text = r.client.Get(t.Context(), key).Val()
		case "stream":
			for _, m := range r.client.XRange(t.Context(), key, "-", "+").Val() {
				raw, _ := m.Values["e"].(string)
				text += raw
			}
		}
		if strings.Contains(text, "canary") {
			t.Errorf("%s holds it", key)
		}
	}
	if strings.Contains(r.log.String(), "canary") {
		t.Error("the log holds it")
	}
}

// gate lets an encoder go on when it is opened.
type gate struct {
	open chan struct{}
	at   atomic.Int64 // how many encoders have come to it
}

func (g *gate) encoder(f export.Format, w io.Writer, at int64, kept []byte, keep func([]byte) error) (export.Encoder, error) {
	e, err := format.New(f, w, at, kept, keep)
	return &gated{Encoder: e, g: g}, err
}

type gated struct {
	export.Encoder
	g    *gate
	once bool
}

func (e *gated) Append(x *audit.Event) error {
	if !e.once {
		e.once = true
		e.g.at.Add(1)
		<-e.g.open
	}
	return e.Encoder.Append(x)
}

func TestTwoOfAnOrganizationAndFourOfAProcessAreMadeAtOnce(t *testing.T) {
	r := newRig(t)
	g := &gate{open: make(chan struct{})}
	var jobs []*export.Job
	for range 3 {
		uid := r.organization()
		r.record(uid, 3, nil)
		for range 3 {
			jobs = append(jobs, r.ask(uid, export.FormatCSV, nil))
		}
	}
	w := r.worker(func(c *export.WorkerConfig) { c.Encoder = g.encoder })
	until(t, func() bool { return g.at.Load() == export.MaxAtOnce }, func() string { return "four at once" })
	if err := w.Round(t.Context()); err != nil {
		t.Error(err)
	}
	running, of := 0, map[string]int{}
	for _, j := range jobs {
		got, err := r.jobs.Get(t.Context(), j.OrganizationUID, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.State == export.StateRunning {
			running++
			of[j.OrganizationUID]++
		}
	}
	for uid, n := range of {
		if n > export.MaxRunning {
			t.Errorf("%d of %s", n, uid)
		}
	}
	if running != export.MaxAtOnce || g.at.Load() != export.MaxAtOnce {
		t.Errorf("%d are made, %d began", running, g.at.Load())
	}
	close(g.open)
	for _, j := range jobs {
		if done := r.over(j); done.State != export.StateSucceeded {
			t.Errorf("%+v", done)
		}
	}
}

func TestTheQueueOfAnOrganizationIsBounded(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	for range export.MaxUnmade {
		r.ask(uid, export.FormatCSV, nil)
	}
	_, err := r.jobs.Create(t.Context(), "unix:0", export.NewJob{OrganizationUID: uid, Organization: "acme", Format: export.FormatCSV, RequestID: "x"})
	if !errs.Is(err, "EXPORT_LIMIT") {
		t.Errorf("%v", err)
	}
	r.ask(r.organization(), export.FormatCSV, nil) // somebody else is not in the way
}

// broken are files that cannot be kept while it says so.
type broken struct {
	export.Files
	err atomic.Pointer[error]
}

func (b *broken) Put(ctx context.Context, name, path string) error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return b.Files.Put(ctx, name, path)
}

func TestAnExportWaitsWhileItsFilesCannotBeKeptAndGoesOnByItself(t *testing.T) {
	for reason, cause := range map[string]error{
		export.ReasonStorageFull:        &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC},
		export.ReasonStorageUnavailable: errors.New("the S3 server cannot be reached"),
	} {
		t.Run(reason, func(t *testing.T) {
			r := newRig(t)
			uid := r.organization()
			r.record(uid, 100, nil)
			files := &broken{Files: r.files}
			files.err.Store(&cause)
			job := r.ask(uid, export.FormatCSV, nil)
			r.worker(func(c *export.WorkerConfig) { c.Files = files })
			r.await(job, func(j *export.Job) bool { return j.State == export.StatePaused && j.StateReason == reason })
			files.err.Store(nil)
			r.ahead.Add(int64(time.Hour))
			done := r.over(job)
			if done.State != export.StateSucceeded || done.Rows != 100 || done.StateReason != "" {
				t.Errorf("%+v", done)
			}
		})
	}
}

// away is a record that cannot be read while it says so.
type away struct {
	audit.Reader
	is   atomic.Bool
	from int64 // sequence
}

func (a *away) Events(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	if a.is.Load() && q.After >= max(a.from, 1000) {
		return nil, errs.New(errs.Unavailable, "ARCHIVE_UNAVAILABLE", "away")
	}
	return a.Reader.Events(ctx, q)
}

func TestAnExportWaitsWhileTheRecordCannotBeReadAndGoesOnWhereItWas(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 3000, nil)
	a := &away{Reader: r.archive}
	a.is.Store(true)
	r.jobs.Reader = a
	job := r.ask(uid, export.FormatJSONL, nil)
	r.worker(nil)
	r.await(job, func(j *export.Job) bool {
		return j.State == export.StatePaused && j.StateReason == export.ReasonArchiveUnavailable
	})
	a.is.Store(false)
	r.ahead.Add(int64(time.Hour))
	done := r.over(job)
	lines := bytes.Count(r.content(r.jobs.Links("x", done).Data), []byte("\n"))
	if done.State != export.StateSucceeded || done.Rows != 3000 || lines != 3000 {
		t.Errorf("%+v, %d lines", done, lines)
	}
}

func TestAnExportOfAnOrganizationThatIsGoneFails(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	job := r.ask(uid, export.FormatCSV, nil)
	r.jobs.Ready = func(context.Context, string) error { return errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "gone") }
	r.worker(nil)
	done := r.over(job)
	last := r.events(uid)[1]
	if done.State != export.StateFailed || done.StateReason != export.ReasonOrganizationGone || last.Type != audit.TypeExportFailed || last.Reason != export.ReasonOrganizationGone {
		t.Errorf("%+v, %+v", done, last)
	}
}

func TestAnExportThatIsCalledOffLeavesNothing(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 10, nil)
	g := &gate{open: make(chan struct{})}
	job := r.ask(uid, export.FormatCSV, nil)
	r.worker(func(c *export.WorkerConfig) { c.Encoder = g.encoder })
	until(t, func() bool { return g.at.Load() == 1 }, func() string { return "begun" })
	in := export.Ending{OrganizationUID: uid, ID: job.ID, RequestID: "c", Reason: "wrong filter"}
	for range 2 { // the same call again says the same
		got, err := r.jobs.Cancel(t.Context(), "unix:0", in)
		if err != nil || got.State != export.StateCancelled {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	close(g.open)
	until(t, func() bool {
		_, err := os.Stat(filepath.Join(r.dir, "making", uid+"_"+job.ID))
		return errors.Is(err, fs.ErrNotExist)
	}, func() string { return "its directory goes" })
	if got := r.over(job); got.State != export.StateCancelled {
		t.Errorf("%+v", got)
	}
	events := r.events(uid)
	if len(events) != 2 || events[1].Type != audit.TypeExportFailed || events[1].Reason != audit.ReasonCancelled || events[1].Personal.Detail != "wrong filter" {
		t.Errorf("%+v", events)
	}
	in.RequestID = "d"
	if _, err := r.jobs.Cancel(t.Context(), "unix:0", in); err != nil {
		t.Errorf("once more: %v", err)
	}
}
