package audit

import "context"

// Erasure says whom to erase from an organization's record, and up to where.
type Erasure struct {
	OrganizationUID string
	Subjects        []Index // every live version of the account's index, of the address's, or of both
	UpTo            int64   // sequence, inclusive: what is archived later is not touched
	Limit           int     // events of one call
}

// Eraser is the side of an archive that forgets people. An event that is erased keeps its place, its type, its reason and
// whatever else is in the clear, and the digest of its personal part; salt, sealed part and blind indexes are gone, from the event,
// from the row of its flow, from the history of the directory and from the rows of people. Implementations pass archivetest.
type Eraser interface {
	// Erase forgets, in one durable transaction, the first e.Limit events that have one of the indexes; more says that there may be
	// others. Erased events are not found again by an index, so that calling again goes on, also after a crash; calling once more
	// than needed does nothing.
	Erase(ctx context.Context, e Erasure) (erased int, more bool, err error)
	// Forget takes an organization's key out of the archive: nothing that was sealed with it can be opened again. Events that come
	// later must not bring it back.
	Forget(ctx context.Context, organizationUID string) error
}
