package audit

import (
	"context"
	"time"
)

// Codec turns events into the private record of the outbox and back. Encode seals Personal (or uses Sealed when set) and
// computes Indexes. Decode does not open: Personal stays empty, Sealed and Indexes are set.
type Codec interface {
	Encode(e *Event) ([]byte, error)
	Decode(b []byte) (Event, error)
	// Open fills e.Personal from e.Sealed. When it cannot, it sets PersonalState to ERASED or UNREADABLE and returns nil.
	Open(e *Event) error
}

// Outbox takes events that belong to no flow (refusals, administration) in one commit. A returned nil means recorded.
type Outbox interface {
	Append(ctx context.Context, organizationUID string, events ...Event) error
}

// Epoch is the fencing token of a partition's archiver; it only grows.
type Epoch int64

// Entry is one outbox entry on its way to the archive.
type Entry struct {
	OutboxID     string    // Redis stream id, for trimming
	RecordedTime time.Time // when Redis took it
	Event        Event     // decoded, not opened; Type Unreadable with Raw when it could not be decoded
	Raw          []byte    // encoded EventRecord, as it came
}

// Batch is what one archive transaction takes.
type Batch struct {
	Partition int
	Epoch     Epoch
	Entries   []Entry           // in outbox order
	Keys      []OrganizationKey // keys of organizations in Entries not known to be stored; stored before their events
}

// Appended says what a transaction did.
type Appended struct {
	Inserted   int
	Duplicates int
	Forked     int
	Fenced     bool // by AppendAll only: nothing of this batch was stored
}

// BatchArchive is an archive that can store the batches of several partitions in one durable transaction: one fsync instead
// of one per partition.
type BatchArchive interface {
	// AppendAll stores batches of distinct partitions as Append does, all or nothing, and answers for each in its place. A
	// batch whose epoch is not its partition's is left out and answered with Fenced; the others are stored.
	AppendAll(ctx context.Context, batches []Batch) ([]Appended, error)
}

// ErrFenced is returned by Append when another archiver has taken the partition.
var ErrFenced = fenced{}

type fenced struct{}

func (fenced) Error() string { return "audit: another archiver holds this partition" }

// Archive is the writing side of the record. Implementations pass archivetest.
type Archive interface {
	// Take raises the partition's epoch and returns it. Whoever held the partition before is fenced from then on.
	Take(ctx context.Context, partition int, holder string) (Epoch, error)
	// Append stores a batch in one durable transaction: all or nothing. It first locks the partition's epoch row and returns
	// ErrFenced when it is not b.Epoch. An event whose id is stored already is skipped. The others get the organization's next
	// sequence numbers in order, without gaps; a second event for the same flow and step (> 0) is stored with Forked set.
	// Flow rows follow in the same transaction. When Append returns nil the batch survives a power cut.
	Append(ctx context.Context, b Batch) (Appended, error)
	// Installation returns what belongs together, nil on a new archive.
	Installation(ctx context.Context) (*Installation, error)
	// SetInstallation stores it once; storing another one is an error, but that it may get a Region when it has none.
	SetInstallation(ctx context.Context, i Installation) error
	// Empty reports whether no event was ever archived.
	Empty(ctx context.Context) (bool, error)
	// Close ends the archive's use.
	Close() error
}

// Installation says what belongs together: recorded in Redis and archive, compared at every start.
type Installation struct {
	ID                string
	Partitions        int
	StateFormat       int
	MasterFingerprint string
	HashFingerprint   string
	Created           time.Time
	// Region is where the record is kept; empty: nowhere in particular. An installation without one may be given one, once.
	Region string
}

// Becomes reports whether an archive of this installation may be said to be of next: the same one, which may have no region yet.
func (i Installation) Becomes(next Installation) bool {
	next.Created = i.Created // when it was first said does not matter, what does
	if i.Region == "" {
		i.Region = next.Region
	}
	return i == next
}

// Reader is the reading side of the record. Rows come as stored: Personal sealed.
type Reader interface {
	// Event returns one event, or a NotFound error.
	Event(ctx context.Context, organizationUID, id string) (Event, error)
	// Events returns up to q.Limit events in sequence order (or reverse).
	Events(ctx context.Context, q Query) ([]Event, error)
	// Flow returns a flow's row, found by id or support code, with all its events in step order; NotFound when there is none.
	Flow(ctx context.Context, organizationUID, idOrCode string) (FlowRow, []Event, error)
	// Flows returns up to q.Limit flow rows, newest start first.
	Flows(ctx context.Context, q FlowQuery) ([]FlowRow, error)
	// Keys returns the stored organization keys after the given uid, in uid order, at most limit.
	Keys(ctx context.Context, after string, limit int) ([]OrganizationKey, error)
	// Position returns an organization's last sequence number and the recorded time of its last event.
	Position(ctx context.Context, organizationUID string) (int64, time.Time, error)
}

// Recovery is what a start on lost or old Redis data needs to know.
type Recovery interface {
	// OpenFlows returns recorded flows of a partition without an ending, after the given flow id, at most limit.
	OpenFlows(ctx context.Context, partition int, after string, limit int) ([]FlowRow, error)
	// Revisions returns the highest directory revision archived per organization uid.
	Revisions(ctx context.Context) (map[string]int64, error)
}

// FlowRow is a recorded flow as the archive's projection keeps it.
type FlowRow struct {
	ID              string
	OrganizationUID string
	Organization    string
	Site            string
	SiteUID         string
	SupportCode     string
	CorrelationID   string
	Class           Class
	Provisional     bool
	Started         time.Time
	Ended           time.Time // zero while open
	Ending          Ending
	Reason          string
	LastStep        int
	LastTime        time.Time
	EndEventID      string  // id of the ending event
	BindEventID     string  // id of the binding step's event, "" while unbound
	StartEventID    string  // id of the sign_in.started event, "" when the archive does not have it
	Terms           TermSet // methods, factors, connections, evidences and rules of its steps
}
