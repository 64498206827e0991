package audit

import "time"

// Query chooses events of one organization: those that every non-empty list of its Match and every word of its Text fits, and no
// list of Exclude. Query.Fits says the same of one event; archives answer as it does.
type Query struct {
	OrganizationUID string
	After           int64 // sequence, exclusive; with Descending: events below it, 0 means from the newest
	UpTo            int64 // sequence, inclusive; 0: no bound
	Descending      bool
	Limit           int
	Start, End      time.Time // on Event.Time; zero is open; End is exclusive
	Match
	Exclude   Match
	Text      []string // words, at most MaxWords: each must be one of the event's (HasWord)
	NoSandbox bool     // none that were made while the organization was for trying things out
}

// MaxWords is how many words a query may look for.
const MaxWords = 5

// Match lists values by field. An event fits a list when it has one of its values; it fits an empty list as part of what is
// included, and never as part of what is excluded. What is absent, "" and 0, is no value: no event has it.
type Match struct {
	Sites        []string // site ids
	Flows        []string
	SupportCodes []string
	Types        []string // exact, or a family as "password.*"
	Outcomes     []Outcome
	Reasons      []string
	Methods      []string
	Factors      []string
	Connections  []string // connection ids
	Classes      []Class
	Evidences    []Evidence
	Rules        []string // the rule of the event's decision
	TargetTypes  []string
	TargetIDs    []string
	Callers      []string
	Subjects     []Index // account, e-mail and typed identifier
	Domains      []Index // domain of the e-mail
	Names        []Index // display name
	Networks     []Index
}

// Indexes returns the lists of blind indexes, each of which is a filter of its own.
func (m *Match) Indexes() [4][]Index { return [4][]Index{m.Subjects, m.Domains, m.Names, m.Networks} }

// Field is something of an event that is in the clear and has few values: what filters without an index of their own, counts
// and words go by. Stored: never renumber.
type Field uint8

// The fields.
const (
	FieldType       Field = 1
	FieldOutcome    Field = 2 // the value is its number
	FieldReason     Field = 3
	FieldMethod     Field = 4
	FieldFactor     Field = 5
	FieldConnection Field = 6 // its id
	FieldClass      Field = 7 // the value is its number
	FieldEvidence   Field = 8 // the value is its number
	FieldRule       Field = 9
	FieldTargetType Field = 10
	FieldTargetID   Field = 11
	FieldCaller     Field = 12
	FieldSite       Field = 13 // its id
)

// Term is a value of a field.
type Term struct {
	Field Field
	Value string
}

// MaxTerm is how many bytes of a value are a term; what follows is left out of counts and words. Longer values are found by
// their beginning and then compared whole.
const MaxTerm = 128
