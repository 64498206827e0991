package audit

import (
	"context"
	"time"
)

// Budget is how many events one answer of a Counter looks at when it has to look at them one by one.
const Budget = 200_000

// Counter is the side of an archive that counts. What a query chooses and retention shows is what Events would return of it in
// all; After, Descending and Limit are not asked by Facets and Histogram. Implementations pass archivetest.
//
// A query for at most one value of one field with terms, besides sites, a range of time and NoSandbox, is answered from counts that
// are kept, however many events it chooses: a Histogram always, Facets without such a value, or of its own field and of sites. Every
// other one is counted event by event, the newest first, up to Budget of them: an answer that had to stop says so, and down to
// which sequence number it counted. No answer is a guess.
type Counter interface {
	// Facets counts, for each of the fields, the chosen events by value: at most limit values of each, the most frequent first, of
	// equals the smaller value first. Events without a value of the field are counted nowhere.
	Facets(ctx context.Context, q Query, fields []Field, limit int) (Facets, error)
	// Histogram counts the chosen events between each two neighbours of bounds, which rise strictly; what lies at a bound belongs to
	// what follows it. Start and End of q may narrow it further. 2 to MaxBounds bounds.
	Histogram(ctx context.Context, q Query, bounds []time.Time) (Histogram, error)
	// Groups folds the chosen events below q.After (0: from the newest), the newest first, by what they have in common, until
	// q.Limit groups are full and the next event would begin another, or Budget events were looked at. The groups come with the
	// newest event's first. Each page folds its own stretch of the record: a group may come again on the next one, with what is
	// older. Events that lack what groups go by are left out.
	Groups(ctx context.Context, q Query, by GroupBy) (Groups, error)
}

// MaxBounds is how many bounds a histogram may have.
const MaxBounds = 1001

// Counted says how far an answer went.
type Counted struct {
	Complete bool
	From     int64 // when not Complete: events with this sequence number and above were counted, those below were not
}

// Facets are counts by field and value.
type Facets struct {
	Counted
	Total  int64 // events chosen
	Fields []Facet
}

// Facet holds the counts of one field.
type Facet struct {
	Field  Field
	Values []ValueCount
	More   bool // there are other values
}

// ValueCount is how many events have a value.
type ValueCount struct {
	Value string
	Count int64
}

// Histogram holds one count for each two neighbouring bounds.
type Histogram struct {
	Counted
	Counts []int64
}

// GroupBy is what the events of a group have in common.
type GroupBy uint8

// The ways to fold.
const (
	GroupByFlow          GroupBy = iota + 1 // the flow
	GroupBySubjectReason                    // the reason, and the account (else the e-mail, else the typed identifier)
	GroupByIPReason                         // the reason, and the network of IndexNetwork32
)

// Groups is a page of groups.
type Groups struct {
	Groups []Group
	Next   int64 // After of the next page; 0: there is none
}

// Group is some events with something in common.
type Group struct {
	Flow        string // with GroupByFlow
	Key         Index  // with the others
	Reason      string // with the others
	Count       int64
	First, Last time.Time // earliest and latest Event.Time
	Newest      Event     // as stored: Personal sealed
}
