package verify

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// versionPage is how many records of an organization are held in memory at a time: they may be large.
const versionPage = 50

// history goes through the history of one organization's directory, side by side with its events.
type history struct {
	*record
	archive  Archive
	commits  run[audit.StoredCommit]
	versions run[audit.StoredVersion]
}

func newHistory(a Archive, r *record) *history {
	const before = -1 << 63 // so that rows with numbers that nobody gives are met as well
	h := &history{record: r, archive: a}
	last := max(r.Last, r.Commit)
	h.commits = run[audit.StoredCommit]{at: before, sequence: func(c *audit.StoredCommit) int64 { return c.Sequence },
		read: func(ctx context.Context, after int64) ([]audit.StoredCommit, error) {
			return a.DumpCommits(ctx, r.OrganizationUID, audit.HistoryPage{After: after, UpTo: last, Limit: page})
		}}
	h.versions = run[audit.StoredVersion]{at: before, sequence: func(v *audit.StoredVersion) int64 { return v.Sequence },
		read: func(ctx context.Context, after int64) ([]audit.StoredVersion, error) {
			return a.DumpVersions(ctx, r.OrganizationUID, audit.HistoryPage{After: after, UpTo: last, Limit: versionPage})
		}}
	return h
}

// run reads rows in sequence order, a page at a time.
type run[T any] struct {
	at       int64
	read     func(ctx context.Context, after int64) ([]T, error)
	sequence func(*T) int64
	some     []T
	ended    bool
}

// next returns the next row; nil when there is none, or when it is behind a number.
func (r *run[T]) next(ctx context.Context, upTo int64) (*T, error) {
	if len(r.some) == 0 && !r.ended {
		var err error
		if r.some, err = r.read(ctx, r.at); err != nil {
			return nil, err
		}
		if r.ended = len(r.some) == 0; !r.ended {
			r.at = r.sequence(&r.some[len(r.some)-1])
		}
	}
	if len(r.some) == 0 || r.sequence(&r.some[0]) > upTo {
		return nil, nil //nolint:nilnil // nil is the end
	}
	first := &r.some[0]
	r.some = r.some[1:]
	return first, nil
}

// upTo looks at the commits up to a number; events are those that are there, behind the number before.
func (h *history) upTo(ctx context.Context, number int64, events []audit.StoredEvent) error {
	for {
		c, err := h.commits.next(ctx, number)
		if err != nil {
			return err
		}
		if c == nil {
			return h.version(ctx, number, nil, nil)
		}
		h.Commits++
		var e *audit.StoredEvent
		if i, ok := slices.BinarySearchFunc(events, c.Sequence, func(e audit.StoredEvent, n int64) int { return cmp.Compare(e.Sequence, n) }); ok {
			e = &events[i]
		}
		switch {
		case e == nil && (c.Sequence > h.Last || !h.wasDropped(c.Sequence, c.Sequence)):
			h.find("history: the commit with sequence %d is that of no event", c.Sequence)
		case e != nil && e.PersonalState != codec.StateUnreadable && e.Revision != c.Revision || e != nil && !e.RecordedTime.Equal(c.RecordedTime):
			h.find("history: the commit with sequence %d is not the one of its event", c.Sequence)
		}
		if err := h.version(ctx, c.Sequence, c, e); err != nil {
			return err
		}
	}
}

// version looks at the versions up to a number: there is one at most, and it is the commit's.
func (h *history) version(ctx context.Context, number int64, c *audit.StoredCommit, e *audit.StoredEvent) error {
	for {
		v, err := h.versions.next(ctx, number)
		if err != nil || v == nil {
			return err
		}
		if c == nil || v.Sequence != c.Sequence || v.Revision != c.Revision || !v.RecordedTime.Equal(c.RecordedTime) {
			h.find("history: the version with sequence %d is that of no commit", v.Sequence)
			continue
		}
		if !digested(v.Sealed) {
			h.find("history: the sealed part of the version with sequence %d is not the one its digest was made of", v.Sequence)
		}
		decoded, err := codec.New(nil).Decode(v.Body)
		switch {
		case err != nil:
			h.find("history: the body of the version with sequence %d cannot be read", v.Sequence)
		case v.Policy != audit.ChangesPolicy(decoded.Type) || decoded.Revision != v.Revision || decoded.OrganizationUID != h.OrganizationUID,
			e != nil && (!bytes.Equal(v.Body, e.Body) || !bytes.Equal(digest(v.Sealed), digest(e.Sealed))):
			h.find("history: the version with sequence %d does not say what its event says", v.Sequence)
		}
	}
}

func digest(s *audit.Sealed) []byte {
	if s == nil {
		return nil
	}
	return s.Digest
}

// rest looks at what the events leave: the last commits, when retention took the youngest events, and what was written of domains and
// claims.
func (h *history) rest(ctx context.Context) error {
	if err := h.upTo(ctx, max(h.Last, h.Commit), nil); err != nil {
		return err
	}
	p := audit.HistoryPage{After: -1 << 63, UpTo: 1<<63 - 1, Limit: page}
	for {
		items, err := h.archive.DumpItems(ctx, h.OrganizationUID, p)
		if err != nil || len(items) == 0 {
			return err
		}
		for i := range items {
			if !items[i].Committed {
				h.find("history: a domain or claim with sequence %d is that of no commit", items[i].Sequence)
			}
		}
		p.Behind = &items[len(items)-1].DirectoryPlace
	}
}
