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
	Commit          int64 // the sequence of the newest commit in the history of its directory; 0: it has none
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

// HistoryDumper is an archive that gives the rows of its history of directories as they are stored. Rows never change, and those
// of a commit are there all at once: what was read up to a Standing's Commit is whole. Implementations pass archivetest.
type HistoryDumper interface {
	// DumpCommits returns commits, in sequence order.
	DumpCommits(ctx context.Context, organizationUID string, p HistoryPage) ([]StoredCommit, error)
	// DumpVersions returns what commits wrote of the organization's record, in sequence order.
	DumpVersions(ctx context.Context, organizationUID string, p HistoryPage) ([]StoredVersion, error)
	// DumpItems returns what commits wrote of domains and claims, in the order of key and sequence.
	DumpItems(ctx context.Context, organizationUID string, p HistoryPage) ([]StoredItem, error)
}

// HistoryPage chooses rows of commits with sequences in a range, the first exclusive; of items those behind a place in it. It has at
// most Limit rows; the last of them begins the next page.
type HistoryPage struct {
	After, UpTo int64
	Behind      *DirectoryPlace // of items only; nil: from the first key on
	Limit       int
}

// DirectoryPlace is one key of one commit.
type DirectoryPlace struct {
	Key      DirectoryKey
	Sequence int64
}

// StoredCommit is a commit's row.
type StoredCommit struct {
	DirectoryCommit
	BackTo int64 // 0: the store was not set back
}

// StoredVersion is the row of an organization's record as one commit wrote it, with what is kept of its event.
type StoredVersion struct {
	DirectoryCommit
	Policy bool // ChangesPolicy said so of the event
	Sealed *Sealed
	Body   []byte // of the event, as in StoredEvent
	Record []byte
}

// StoredItem is the row of one domain or claim after one commit. A key that is too long for an index is the hash of itself (package
// stored).
type StoredItem struct {
	DirectoryPlace
	Record    []byte // nil: it is gone
	Committed bool   // the history has a commit with this sequence
}

// StoredHistory is some rows of one organization's history.
type StoredHistory struct {
	Commits  []StoredCommit
	Versions []StoredVersion
	Items    []StoredItem
}

// Importer is an archive that takes the record of another as it is, sequence numbers and all, as long as nobody has archived to it. Each
// call is one durable transaction, and may come again with what is there already.
type Importer interface {
	// Import stores events with the rows of their flows, and where the record stands.
	Import(ctx context.Context, standing Standing, events []StoredEvent, flows []StoredFlow) error
	// ImportHistory stores rows of a history. Commits come last and in order, since a Standing's Commit says how far it is whole.
	ImportHistory(ctx context.Context, organizationUID string, h StoredHistory) error
	// ImportSubjects stores rows of people of an organization in the place of those that are there; with first, all that are there go.
	ImportSubjects(ctx context.Context, organizationUID string, rows []SubjectRow, first bool) error
	// ImportKeys stores wrapped organization keys; those that are there stay.
	ImportKeys(ctx context.Context, wrapped []OrganizationKey) error
	// ImportPruned stores what was dropped of a record; untold are the ids of those that are still to be told.
	ImportPruned(ctx context.Context, pruned []Pruned, untold map[string]bool) error
}
