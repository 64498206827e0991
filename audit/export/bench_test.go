package export_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	"github.com/postern-audit/postern/internal/embedded"
)

const benchRows = 20_000

// read is every event of the record, a page at a time.
func (r *rig) read(b testing.TB, uid string, each func(e *audit.Event)) {
	b.Helper()
	q := audit.Query{OrganizationUID: uid, UpTo: benchRows, Limit: 1000}
	for {
		page, err := r.archive.Events(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		for i := range page {
			if each != nil {
				each(&page[i])
			}
		}
		if len(page) < q.Limit {
			return
		}
		q.After = page[len(page)-1].Sequence
	}
}

// BenchmarkRows is what a row costs: read alone, read and opened, and written in each form.
func BenchmarkRows(b *testing.B) {
	s, err := embedded.Open(b.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Kill)
	r := rigOn(b, s.Client(-1))
	uid := r.organization()
	r.record(uid, benchRows, nil)
	run := func(name string, each func(b *testing.B) func(e *audit.Event)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			f := each(b)
			for b.Loop() {
				r.read(b, uid, f)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
		})
	}
	run("read", func(*testing.B) func(e *audit.Event) { return nil })
	run("open", func(b *testing.B) func(e *audit.Event) {
		return func(e *audit.Event) {
			if err := r.codec.Open(e); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, f := range []export.Format{export.FormatCSV, export.FormatJSONL, export.FormatParquet} {
		run(f.String(), func(b *testing.B) func(e *audit.Event) {
			enc, err := format.New(f, io.Discard, 0, nil, func([]byte) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			return func(e *audit.Event) {
				if err := r.codec.Open(e); err != nil {
					b.Fatal(err)
				}
				if err := enc.Append(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
