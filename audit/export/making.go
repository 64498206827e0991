package export

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

const settleAfter = 3 * time.Second

// stage is how far a maker is, as others may ask.
type stage struct {
	mu sync.Mutex
	at Progress
}

func (s *stage) get() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *stage) set(p Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = p
}

// make makes the file, or goes on with it, and keeps it with its manifest.
func (m *maker) make(ctx context.Context, job *Job) (*made, error) {
	if err := reading(m.c.Jobs.Ready(ctx, job.OrganizationUID)); err != nil {
		return nil, err
	}
	asked, err := m.c.Jobs.Question(job)
	if err != nil {
		return nil, reading(err)
	}
	if m.c.Jobs.Region != nil {
		if err := m.c.Jobs.Region(ctx, job.OrganizationUID, asked.Filter); err != nil {
			return nil, regional(err)
		}
	}
	query, err := m.c.Query(asked.Filter, job.OrganizationUID)
	if err != nil {
		return nil, reading(err)
	}
	query.UpTo, query.Limit, query.Descending = job.Through, pageRows, false
	f, err := m.open(job)
	if err != nil {
		return nil, storing(err)
	}
	defer f.close()
	if !f.mark.Complete {
		if err := m.fill(ctx, f, query); err != nil {
			return nil, err
		}
	}
	done := &made{Progress: f.mark.Progress, sum: f.sum.Sum(nil)}
	job.Progress = done.Progress
	if done.manifestSum, err = m.manifest(ctx, job, asked, query, done.sum); err != nil {
		return nil, err
	}
	if err := m.c.Files.Put(ctx, job.stored(), m.dir.file(dataName)); err != nil {
		return nil, storing(err)
	}
	return done, storing(m.c.Files.Put(ctx, job.storedManifest(), m.dir.file(manifestName)))
}

// regional marks an error of the check where a record may go.
func regional(err error) error {
	if errs.Is(err, ReasonRegionMismatch) {
		return &trouble{reason: ReasonRegionMismatch, final: true, err: err}
	}
	return reading(err)
}

// file is a file that is being made.
type file struct {
	*maker
	data, kept *os.File
	sum        hash.Hash
	enc        Encoder
	mark       mark
	now        Progress
	settled    time.Time
}

// open opens the files of the export where its mark says that they are whole. What is behind goes; when that is not to be had, it is
// begun anew.
func (m *maker) open(job *Job) (*file, error) {
	at, err := m.dir.readMark(m.c.Schema)
	if err != nil {
		return nil, err
	}
	f, err := m.openAt(job, at)
	if errors.Is(err, errShort) {
		f, err = m.openAt(job, mark{})
	}
	return f, err
}

func (m *maker) openAt(job *Job, at mark) (_ *file, err error) {
	at.Schema = m.c.Schema
	f := &file{maker: m, mark: at, now: at.Progress, sum: sha256.New(), settled: m.c.Jobs.Now()}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.data, err = m.dir.cut(dataName, at.Bytes); err != nil {
		return nil, err
	}
	if f.kept, err = m.dir.cut(keptName, at.Kept); err != nil {
		return nil, err
	}
	m.stage.set(f.now)
	if state, ok := f.sum.(encoding.BinaryUnmarshaler); ok && len(at.Hash) > 0 {
		if err := state.UnmarshalBinary(at.Hash); err != nil {
			return nil, errShort // of another program: begun anew
		}
	}
	if at.Complete {
		return f, nil
	}
	kept, err := io.ReadAll(io.NewSectionReader(f.kept, 0, at.Kept))
	if err != nil {
		return nil, err
	}
	f.enc, err = m.c.Encoder(job.Format, f, at.Bytes, kept, f.keep)
	return f, err
}

func (f *file) close() {
	for _, x := range []*os.File{f.data, f.kept} {
		if x != nil {
			_ = x.Close() // what counts was synchronized
		}
	}
}

// Write implements io.Writer, for the encoder.
func (f *file) Write(b []byte) (int, error) {
	n, err := f.data.Write(b)
	f.sum.Write(b[:n])
	f.now.Bytes += int64(n)
	return n, storing(err)
}

// keep keeps what the encoder needs to go on.
func (f *file) keep(b []byte) error {
	n, err := f.kept.Write(b)
	f.mark.Kept += int64(n)
	return storing(err)
}

// settle makes sure of what was written so far, if the encoder can be gone on with from here.
func (f *file) settle() (done bool, err error) {
	if done, err = f.enc.Settle(); err != nil || !done {
		return false, err
	}
	return true, f.setMark()
}

func (f *file) setMark() error {
	state, ok := f.sum.(encoding.BinaryMarshaler)
	if !ok {
		return nil // not reached: the sum of the standard library is one
	}
	var err error
	if f.mark.Hash, err = state.MarshalBinary(); err != nil {
		return storing(err)
	}
	f.mark.Progress, f.settled = f.now, f.c.Jobs.Now()
	if err := errors.Join(f.data.Sync(), f.kept.Sync()); err != nil {
		return storing(err)
	}
	return storing(f.dir.writeMark(&f.mark))
}

// fill writes every event, reading one page while another is written.
func (m *maker) fill(ctx context.Context, f *file, q audit.Query) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pages := make(chan []audit.Event, 1)
	q.After = f.now.Sequence
	go func() { // ends when the pages do, or the context
		defer close(pages)
		if err := errs.Guard(func() error { return m.read(ctx, q, pages) }); err != nil {
			cancel(err)
		}
	}()
	for page := range pages {
		if err := m.add(f, page); err != nil {
			cancel(err)
			for range pages { // until the reader has ended
			}
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := f.enc.Close(); err != nil {
		return err
	}
	f.now.Sequence, f.mark.Complete = q.UpTo, true
	m.stage.set(f.now)
	return f.setMark()
}

// add writes a page, and makes sure of what was written when that is due: behind any of its rows, since some encoders can be gone on with
// from few places only.
func (m *maker) add(f *file, page []audit.Event) error {
	late := m.c.Jobs.Now().Sub(f.settled) >= settleAfter
	for i := range page {
		e := &page[i]
		if err := f.enc.Append(e); err != nil {
			return err
		}
		f.now.Rows++
		f.now.Sequence, f.now.Latest = e.Sequence, e.Sequence
		if f.now.First == 0 {
			f.now.First = e.Sequence
		}
		if !late && f.now.Bytes-f.mark.Bytes < m.c.SettleAt {
			continue
		}
		done, err := f.settle()
		if err != nil {
			return err
		}
		late = late && !done
	}
	m.stage.set(f.now)
	return nil
}

// finishedChanges say in an event what a file is.
func finishedChanges(j *Job) []audit.Change {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []audit.Change{
		{Field: "format", After: j.Format.String()}, {Field: "rows", After: n(j.Rows)}, {Field: "bytes", After: n(j.Bytes)},
		{Field: "first_sequence", After: n(j.First)}, {Field: "last_sequence", After: n(j.Latest)}, {Field: "sha256", After: hex.EncodeToString(j.SHA256)},
	}
}
