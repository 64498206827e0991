package audit

import "context"

// Erasure says whom to erase from an organization's record, and up to where.
type Erasure struct {
	OrganizationUID string
	Subjects        []Index // every live version of the account's index, of the address's, or of both
	UpTo            int64   // sequence, inclusive: what is archived later is not touched
	Limit           int     // events with one of the indexes, of one call; those that go with them are not counted
}

// Eraser is the side of an archive that forgets people. An event that is erased keeps its place, its type, its reason and
// whatever else is in the clear, and the digest of its personal part; salt, sealed part and blind indexes are gone, from the event,
// from the row of its flow and from the history of the directory. The person's rows go. What names several people is erased for all
// of them. Implementations pass archivetest.
//
// With an event go the others of its flow, when it is the one that bound the flow, or when nothing bound it: what was recorded
// before anybody was known tells of the person as well. A flow that somebody else bound keeps its other events.
type Eraser interface {
	// Erase forgets, in one durable transaction, the first e.Limit events that have one of the indexes; more says that there may be
	// others. Erased events are not found again by an index, so that calling again goes on, also after a crash; calling once more
	// than needed does nothing. Erased counts all events that lost something. More may also be true while what was erased still
	// stands in a journal of the archive.
	Erase(ctx context.Context, e Erasure) (erased int, more bool, err error)
	// Forget puts DestroyedKey in the place of an organization's key: nothing that was sealed with it can be opened again. Batches
	// that come later do not bring it back; one that has DestroyedKey among its keys does the same as Forget.
	Forget(ctx context.Context, organizationUID string) error
}
