package export_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// held stops before it takes a row.
type held struct {
	export.Encoder
	rows, at    int
	begun, open chan struct{}
}

func (h *held) Append(e *audit.Event) error {
	if h.rows++; h.rows == h.at {
		close(h.begun)
		<-h.open
	}
	return h.Encoder.Append(e)
}

// Where a filter leaves some events out, pages have any number of rows: groups end within them.
func TestParquetGoesOnAtItsGroupsWhateverTheFilterLeavesOut(t *testing.T) {
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 16_000, func(i int, e *audit.Event) {
		if e.Site = "door"; i%7 == 0 {
			e.Site = "wiki"
		}
	})
	job := r.ask(uid, export.FormatParquet, &posternv1.EventFilter{Exclude: &posternv1.EventMatch{Sites: []string{"wiki"}}})
	begun, open := make(chan struct{}), make(chan struct{})
	r.worker(func(c *export.WorkerConfig) {
		c.Encoder = func(f export.Format, w io.Writer, at int64, kept []byte, keep func([]byte) error) (export.Encoder, error) {
			e, err := format.New(f, w, at, kept, keep)
			return &held{Encoder: e, at: 12_000, begun: begun, open: open}, err
		}
	})
	<-begun
	b, err := os.ReadFile(filepath.Join(r.dir, "making", uid+"_"+job.ID, "mark.json"))
	var mark struct{ Rows int64 }
	if err == nil {
		err = json.Unmarshal(b, &mark)
	}
	close(open)
	if err != nil || mark.Rows != 10_000 {
		t.Errorf("after 12,000 rows it would go on at %d: %v", mark.Rows, err)
	}
	if done := r.over(job); done.State != export.StateSucceeded || done.Rows != 16_000-2286 {
		t.Errorf("%+v", done)
	}
}
