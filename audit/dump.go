package audit

import (
	"context"
	"time"
)

// Dumper is an archive that gives its rows as they are stored, whatever retention shows: what copies and verification read.
// Every answer is one state of the archive; answers of several calls need not be the same one. Implementations pass
// archivetest.
type Dumper interface {
	// Standings returns where organizations' records stand, after the given uid, in uid order, at most limit.
	Standings(ctx context.Context, after string, limit int) ([]Standing, error)
	// Dump returns an organization's stored events after a sequence number, in sequence order, at most limit.
	Dump(ctx context.Context, organizationUID string, after int64, limit int) ([]StoredEvent, error)
	// DumpFlows returns the stored rows of these flows of an organization, in no order; without those that have none.
	DumpFlows(ctx context.Context, organizationUID string, ids []string) ([]StoredFlow, error)
	// DumpFlow returns all stored events of a flow, in sequence order.
	DumpFlow(ctx context.Context, organizationUID, id string) ([]StoredEvent, error)
}

// Standing is where an organization's record stands.
type Standing struct {
	OrganizationUID string
	Organization    string // its id, as last archived
	Last            int64  // the last sequence number given
	Recorded        time.Time
	Revision        int64 // the highest archived
}

// StoredEvent is an event with what only its archive knows: its shelf, and the body that stays when a person is erased
// (package stored).
type StoredEvent struct {
	Event
	Shelf Shelf
	Body  []byte
}

// StoredFlow is a flow's row with what only its archive knows: its shelf and the moment it goes by, and the outbox partition of
// its organization.
type StoredFlow struct {
	FlowRow
	Shelf     Shelf
	Moment    time.Time
	Partition int
}
