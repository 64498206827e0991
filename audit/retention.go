package audit

import (
	"context"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// Bounds of a retention, in days, and what holds until an organization says something else.
const (
	MinRetention     = 1
	MaxRetention     = 3650
	DefaultRetention = 180
)

const day = 24 * time.Hour

// Retention says for how many days an organization's events are kept, by category. All days are 24 hours, in UTC.
type Retention struct {
	SignIn         int
	Administration int
	Activity       int
	// Hold keeps everything the archive still has, and shows it, whatever the days say.
	Hold bool
}

// StandardRetention is what an organization has that never said anything.
func StandardRetention() Retention {
	return Retention{SignIn: DefaultRetention, Administration: DefaultRetention, Activity: DefaultRetention}
}

// Days returns the days of a category. Whatever is neither administration nor activity is a sign-in.
func (r Retention) Days(c Category) int {
	switch c {
	case CategoryAdministration:
		return r.Administration
	case CategoryActivity:
		return r.Activity
	default:
		return r.SignIn
	}
}

// Validate returns RETENTION_OUT_OF_RANGE unless every number of days is one there may be.
func (r Retention) Validate() error {
	for _, days := range []int{r.SignIn, r.Administration, r.Activity} {
		if days < MinRetention || days > MaxRetention {
			return errs.Newf(errs.Invalid, "RETENTION_OUT_OF_RANGE", "a retention is %d to %d days", MinRetention, MaxRetention)
		}
	}
	return nil
}

// Edge returns the moment, a whole hour of UTC, before which events of the category are not shown any more; zero under Hold:
// everything is. It moves on once an hour, so that counts kept by the hour are exact at it, and an event is shown for up to an
// hour longer than its days.
func (r Retention) Edge(c Category, now time.Time) time.Time {
	if r.Hold {
		return time.Time{}
	}
	return now.UTC().Truncate(time.Hour).Add(-time.Duration(r.Days(c)) * day)
}

// CategoryOf returns the category of events of type t; of a type this process does not know, CategorySignIn.
func CategoryOf(t Type) Category {
	if i, ok := position[t]; ok {
		return catalogue[i].Category
	}
	return CategorySignIn
}

// Keeper is the side of an archive that lets the record end. What an archive keeps lies on shelves; a shelf goes whole or
// stays, nothing on it is ever deleted one by one. Implementations pass archivetest.
//
// An archive is opened with a clock. Its Reader shows no event whose Moment lies before the edge of its
// organization's present retention and its category, and no flow whose own Moment lies before the edge of sign-ins: a shorter
// retention binds readers at once, a longer one shows again what is still there. Appending asks no edge: what comes late is stored.
// Recovery is for machinery and shows whatever is there.
type Keeper interface {
	// SetRetention stores an organization's retention, in force when it returns; RETENTION_OUT_OF_RANGE when it cannot be one.
	// Events archived from then on go to the shelves of the new days; those stored stay where they are.
	SetRetention(ctx context.Context, organizationUID string, r Retention) error
	// Retention returns it; StandardRetention when nothing was stored.
	Retention(ctx context.Context, organizationUID string) (Retention, error)
	// Ahead makes the shelves of now and of the window after it for every number of days in use, where they are missing.
	// Append makes what it misses, so this only saves it the time.
	Ahead(ctx context.Context, now time.Time) error
	// Expired returns the shelves that may go at now, the one that ended first in front: those that are over and on which no
	// organization has anything that its present retention keeps (Shelf.Passed), empty ones included.
	Expired(ctx context.Context, now time.Time) ([]Shelf, error)
	// Drop takes the shelf away for good, in one durable transaction with what it says of it: one Pruned for each organization
	// that had anything on it, kept as untold. It looks again, within that transaction and so that no append and no SetRetention
	// can come between, whether the shelf may go at now; false, and nothing has happened, when it may not or is not there. Space
	// may be given back later (Reclaimer).
	Drop(ctx context.Context, s Shelf, now time.Time) (gone []Pruned, dropped bool, err error)
	// Untold returns what was dropped and not yet told, oldest drop first, at most limit.
	Untold(ctx context.Context, limit int) ([]Pruned, error)
	// Told notes that the events with these ids (Pruned.EventID) are on their way. Telling again is harmless.
	Told(ctx context.Context, eventIDs ...string) error
}

// Shelves is what status, copies and verification need to know of them.
type Shelves interface {
	// Shelves returns every shelf there is, by start, end and days.
	Shelves(ctx context.Context) ([]ShelfState, error)
	// Pruned returns what was ever dropped of an organization, told or not, in order of dropping: the ranges in which its
	// sequence numbers may be missing.
	Pruned(ctx context.Context, organizationUID string) ([]Pruned, error)
}

// Reclaimer is an archive that gives dropped space back in small pieces, so that appends never wait for long.
type Reclaimer interface {
	// Reclaim does one piece; more says that there is another. Interrupted anywhere, the next call goes on.
	Reclaim(ctx context.Context) (more bool, err error)
}

// ShelfState is a shelf with what lies on it.
type ShelfState struct {
	Shelf
	Content []Content
}

// Content is what one organization has on a shelf of one category. A flow's row counts as CategorySignIn.
type Content struct {
	OrganizationUID string
	PrunedPart
}

// Pruned says what went of one organization with one shelf.
type Pruned struct {
	EventID         string // of the event that tells it: PrunedID
	Shelf           Shelf
	OrganizationUID string
	Organization    string // its id, as last archived
	Dropped         time.Time
	Parts           []PrunedPart // by category, in the order sign-in, administration, activity; only those with something in them
}

// PrunedPart is the part of one category. Sequences and times are zero when Events is.
type PrunedPart struct {
	Category                    Category
	Events, Flows               int64
	FirstSequence, LastSequence int64
	FirstTime, LastTime         time.Time // earliest and latest Event.Time, as far as an archive can hold them
}
