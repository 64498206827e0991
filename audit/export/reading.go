package export

import (
	"context"
	"sync"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

const (
	pageRows = 500
	readers  = 2 // pages that are read at once
)

// read sends pages of opened events, in order, until there are no more. Where the filter chooses most events, the record is cut into
// pages by sequence numbers, which do not depend on each other and are read together; where it chooses few, page follows page.
func (m *maker) read(ctx context.Context, q audit.Query, pages chan<- []audit.Event) error {
	dense := true
	for q.After < q.UpTo {
		var got [][]audit.Event
		var err error
		from := q.After
		if dense {
			got, q.After, err = m.windows(ctx, q)
		} else {
			got, q.After, err = m.next(ctx, q)
		}
		if err != nil {
			return err
		}
		rows := 0
		for _, page := range got {
			if rows += len(page); len(page) == 0 {
				continue
			}
			select {
			case pages <- page:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		dense = int64(rows) >= (q.After-from)/2
	}
	return nil
}

// windows reads the next sequence numbers, several pages of them at once.
func (m *maker) windows(ctx context.Context, q audit.Query) ([][]audit.Event, int64, error) {
	got, failed := make([][]audit.Event, readers), make([]error, readers)
	var wait sync.WaitGroup
	end := q.UpTo
	for i := range readers {
		if q.After >= end {
			break
		}
		w := q
		w.UpTo = min(q.After+pageRows, end)
		wait.Go(func() {
			failed[i] = errs.Guard(func() (err error) {
				got[i], err = m.page(ctx, w)
				return err
			})
		})
		q.After = w.UpTo
	}
	wait.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, 0, err
		}
	}
	return got, q.After, nil
}

// next reads the next page of what the filter chooses.
func (m *maker) next(ctx context.Context, q audit.Query) ([][]audit.Event, int64, error) {
	page, err := m.page(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	at := q.UpTo
	if len(page) == q.Limit {
		at = page[len(page)-1].Sequence
	}
	return [][]audit.Event{page}, at, nil
}

// page reads and opens one page.
func (m *maker) page(ctx context.Context, q audit.Query) ([]audit.Event, error) {
	events, err := m.c.Jobs.Reader.Events(ctx, q)
	if err != nil {
		return nil, reading(err)
	}
	for i := range events {
		if err := m.c.Open(&events[i]); err != nil {
			return nil, reading(err)
		}
	}
	return events, nil
}
