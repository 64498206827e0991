package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Manifest is what a worker needs to say what a file is of. Every field is needed.
type Manifest struct {
	Version string // of this program
	History audit.HistoryReader
	// Policy shows the policy in an organization's archived record as JSON.
	Policy func(record []byte, revision int64) ([]byte, error)
	// Filter shows a filter as JSON, Event an event.
	Filter func(filter []byte) ([]byte, error)
	Event  func(e *audit.Event) ([]byte, error)
}

func (m *Manifest) complete() bool {
	return m.Version != "" && m.History != nil && m.Policy != nil && m.Filter != nil && m.Event != nil
}

// ManifestVersion is the form of manifests: it grows by one when a field changes its meaning or goes.
const ManifestVersion = 1

// versionsAtOnce is how many versions of an organization are read together.
const versionsAtOnce = 20

// head is the beginning of a manifest; its lists follow.
type head struct {
	Manifest        int             `json:"manifest"`
	Exporter        string          `json:"exporter"`
	Version         string          `json:"version"`
	Schema          int             `json:"schema"`
	Organization    string          `json:"organization"`
	OrganizationUID string          `json:"organization_uid"`
	Export          string          `json:"export"`
	Format          string          `json:"format"`
	File            string          `json:"file"`
	Creator         string          `json:"creator"`
	Reason          string          `json:"reason,omitempty"`
	Created         time.Time       `json:"create_time"`
	Filter          json.RawMessage `json:"filter"`
	Through         int64           `json:"through_sequence"`
	First           int64           `json:"first_sequence"`
	Last            int64           `json:"last_sequence"`
	Rows            int64           `json:"row_count"`
	Bytes           int64           `json:"size_bytes"`
	SHA256          string          `json:"sha256"`
}

// policyVersion is one version of the organization's policy.
type policyVersion struct {
	Revision     int64           `json:"revision"`
	Sequence     int64           `json:"sequence"`
	RecordedTime time.Time       `json:"recorded_time"`
	Event        string          `json:"event"`
	Type         audit.Type      `json:"type"`
	Caller       string          `json:"caller"`
	Policy       json.RawMessage `json:"policy"`
}

// tallied is how many sign-ins of a site and hour there were.
type tallied struct {
	Sequence int64            `json:"sequence"`
	Site     string           `json:"site"`
	SiteUID  string           `json:"site_uid"`
	Hour     time.Time        `json:"hour"`
	Tally    map[string]int64 `json:"tally"`
}

// manifest writes what the file is of beside it, and returns the SHA-256 of that.
func (m *maker) manifest(ctx context.Context, job *Job, asked Question, q audit.Query, sum []byte) ([]byte, error) {
	f, err := os.OpenFile(m.dir.file(manifestName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, storing(err)
	}
	hashed := sha256.New()
	w := &manifestWriter{b: bufio.NewWriter(io.MultiWriter(f, hashed))}
	err = m.manifestTo(ctx, w, job, asked, q, sum)
	if err == nil {
		err = storing(w.b.Flush())
	}
	if errFile := errors.Join(f.Sync(), f.Close()); err == nil {
		err = storing(errFile)
	}
	return hashed.Sum(nil), err
}

func (m *maker) manifestTo(ctx context.Context, w *manifestWriter, job *Job, asked Question, q audit.Query, sum []byte) error {
	filter, err := m.c.Manifest.Filter(asked.Filter)
	if err != nil {
		return err
	}
	w.head(&head{
		Manifest: ManifestVersion, Exporter: "postern", Version: m.c.Manifest.Version, Schema: m.c.Schema, Organization: job.Organization,
		OrganizationUID: job.OrganizationUID, Export: job.ID, Format: job.Format.String(), File: job.FileName(), Creator: job.Creator, Reason: asked.Reason,
		Created: job.Created.UTC(), Filter: filter, Through: job.Through, First: job.First, Last: job.Latest, Rows: job.Rows, Bytes: job.Bytes,
		SHA256: hex.EncodeToString(sum),
	})
	w.list("tallies")
	err = m.each(ctx, job, audit.Query{Match: audit.Match{Types: []string{string(audit.TypeSiteTallied)}, Sites: q.Sites}, After: max(0, job.First-1)}, func(e *audit.Event) error {
		w.item(&tallied{Sequence: e.Sequence, Site: e.Site, SiteUID: e.SiteUID, Hour: e.TallyHour.UTC(), Tally: e.Tally})
		return nil
	})
	if err != nil {
		return err
	}
	w.list("policy_history")
	if err := m.policies(ctx, w, job); err != nil {
		return err
	}
	w.list("domain_history")
	err = m.each(ctx, job, audit.Query{Match: audit.Match{Types: []string{"domain.*"}}}, func(e *audit.Event) error {
		b, err := m.c.Manifest.Event(e)
		w.item(json.RawMessage(b))
		return err
	})
	w.end()
	return err
}

// each goes through events of the record up to what the export holds.
func (m *maker) each(ctx context.Context, job *Job, q audit.Query, f func(e *audit.Event) error) error {
	q.OrganizationUID, q.UpTo, q.Limit = job.OrganizationUID, job.Through, pageRows
	for {
		events, err := m.c.Jobs.Reader.Events(ctx, q)
		if err != nil {
			return reading(err)
		}
		for i := range events {
			e := &events[i]
			if q.After = e.Sequence; e.Sequence > q.UpTo {
				return nil
			}
			if err := m.c.Open(e); err != nil {
				return reading(err)
			}
			if err := f(e); err != nil {
				return err
			}
		}
		if len(events) < q.Limit {
			return nil
		}
	}
}

// policies writes the versions of the policy that were in force while what the file holds happened, the newest first.
func (m *maker) policies(ctx context.Context, w *manifestWriter, job *Job) error {
	q := audit.VersionQuery{OrganizationUID: job.OrganizationUID, PolicyOnly: true, WithRecords: true, Limit: versionsAtOnce}
	for {
		list, err := m.c.Manifest.History.Versions(ctx, q)
		if err != nil {
			return reading(err)
		}
		for i := range list {
			v := &list[i]
			q.Before = v.Revision
			if v.Sequence > job.Through {
				continue
			}
			shown, err := m.c.Manifest.Policy(v.Record, v.Revision)
			if err != nil {
				return err
			}
			w.item(&policyVersion{v.Revision, v.Sequence, v.RecordedTime.UTC(), v.Event.ID, v.Event.Type, v.Event.Caller, shown})
			if v.Sequence <= job.First {
				return nil // what was in force at the first event
			}
		}
		if len(list) < q.Limit {
			return nil
		}
	}
}

// manifestWriter writes one JSON object: the fields of its head, then lists, an item a line. Its buffer remembers the first error.
type manifestWriter struct {
	b     *bufio.Writer
	lists int
	items int
}

func (w *manifestWriter) json(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte("null") // not reached: everything in it is plain
	}
	_, _ = w.b.Write(b)
}

func (w *manifestWriter) head(h *head) {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		b = []byte("{}") // not reached, as above
	}
	_, _ = w.b.Write(b[:len(b)-2]) // without the last line
}

// list begins a list.
func (w *manifestWriter) list(name string) {
	w.close()
	_, _ = w.b.WriteString(",\n  \"" + name + "\": [")
	w.lists, w.items = w.lists+1, 0
}

// item adds an item to the list.
func (w *manifestWriter) item(v any) {
	if w.items++; w.items > 1 {
		_, _ = w.b.WriteString(",")
	}
	_, _ = w.b.WriteString("\n    ")
	w.json(v)
}

func (w *manifestWriter) close() {
	if w.lists > 0 {
		_, _ = w.b.WriteString("\n  ]")
	}
}

func (w *manifestWriter) end() {
	w.close()
	_, _ = w.b.WriteString("\n}\n")
}
