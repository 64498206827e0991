package serve

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/savedfilter"
)

// marker writes on events what their organization says of them: whether it is for trying things out, and what it keeps of people.
type marker interface {
	Mark(ctx context.Context, e *audit.Event) error
}

// markedExports marks what is written with exports.
type markedExports struct {
	export.Store
	marker marker
}

// Commit implements export.Store.
func (m markedExports) Commit(ctx context.Context, c export.Change) (string, error) {
	if c.Event != nil {
		if err := m.marker.Mark(ctx, c.Event); err != nil {
			return "", err
		}
	}
	return m.Store.Commit(ctx, c)
}

// markedFilters marks what is written with saved filters, and wakes the archiver after every change.
type markedFilters struct {
	savedfilter.Store
	marker marker
	wake   func()
}

// Commit implements savedfilter.Store.
func (m markedFilters) Commit(ctx context.Context, c savedfilter.Change) (bool, error) {
	defer m.wake()
	if err := m.marker.Mark(ctx, &c.Event); err != nil {
		return false, err
	}
	return m.Store.Commit(ctx, c)
}

// markedErasures marks what is written with erasures.
type markedErasures struct {
	erasure.Store
	marker marker
}

// Commit implements erasure.Store.
func (m markedErasures) Commit(ctx context.Context, c *erasure.Change) (string, error) {
	if c.Event != nil {
		if err := m.marker.Mark(ctx, c.Event); err != nil {
			return "", err
		}
	}
	return m.Store.Commit(ctx, c)
}
