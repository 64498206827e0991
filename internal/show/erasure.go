package show

import (
	"strconv"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// ErasureHeader names the columns of ErasureRow.
func ErasureHeader() []string {
	return []string{"ERASURE", "STATE", "REQUESTED", "GOES ON", "DONE", "EVENTS", "BY"}
}

// ErasureRow is an erasure in a list.
func ErasureRow(e *posternv1.Erasure) []string {
	return []string{last(e.GetName()), Enum("STATE", e.GetState()), Time(e.GetRequestTime()), Time(e.GetDueTime()), Time(e.GetFinishTime()),
		number(e.GetCounts().GetEvents()), e.GetCaller()}
}

// Erasure returns what there is to know of an erasure as rows of field and value. What only counted has no name and no state.
func Erasure(e *posternv1.Erasure) [][]string {
	r := &rows{}
	if e.GetName() == "" {
		r.add("erased", "nothing: this is what there is")
	} else {
		r.add("name", e.GetName())
		r.add("state", Enum("STATE", e.GetState()))
		r.add("subject", e.GetSubject())
		r.add("requested", Time(e.GetRequestTime()))
		r.add("by", e.GetCaller())
		r.add("goes on", Time(e.GetDueTime()))
		r.add("done", Time(e.GetFinishTime()))
	}
	c := e.GetCounts()
	r.add("events", number(c.GetEvents()))
	r.add("sessions", number(c.GetSessions()))
	r.add("identities", number(c.GetIdentities()))
	r.add("authenticators", number(c.GetAuthenticators()))
	r.add("proofs", number(c.GetProofs()))
	return r.all
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
