package audit

import (
	"context"
	"time"
)

// RawEntry is one outbox entry as it stands in Redis.
type RawEntry struct {
	ID   string // stream id: milliseconds-number; its milliseconds are the recorded time
	Data []byte // format byte and encoded EventRecord
}

// EndedFlow names a flow whose ending is archived, so that its live state may expire.
type EndedFlow struct {
	OrganizationUID string
	Flow            string
}

// Source is the reading side of the outboxes, used by the archiver. Reads change nothing: an entry stays at the head of
// its outbox until Done removes it, so whoever reads next sees it again.
type Source interface {
	// Read returns entries from the head of each partition's outbox, in outbox order, in one pipelined trip: of each one at
	// least the first, then up to limit and as long as they have no more than size bytes together. A partition that cannot be
	// read is an error that comes together with what the others have.
	Read(ctx context.Context, partitions []int, limit, size int) (map[int][]RawEntry, error)
	// Done lets the live state of ended flows expire and then removes every entry up to and including upTo.
	// Call it only after those entries are durably archived. Calling it again is harmless.
	Done(ctx context.Context, partition int, upTo string, ended []EndedFlow) error
	// WrappedKey returns an organization's wrapped key from Redis.
	WrappedKey(ctx context.Context, organizationUID string) (OrganizationKey, error)
	// Backlog returns how many entries wait, and the recorded time of the oldest (zero when none waits), over the partitions.
	Backlog(ctx context.Context, partitions []int) (int64, time.Time, error)
	// ArchivedUntil returns the moment before which every event of the organization has left the outbox.
	ArchivedUntil(ctx context.Context, organizationUID string) (time.Time, error)
}
