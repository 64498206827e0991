package interceptor

import "time"

// Auth says who may call a method.
type Auth uint8

// The kinds of entitlement. The zero value lets nobody in.
const (
	AuthNobody   Auth = iota
	AuthAnyone        // also callers that proved nothing
	AuthOperator      // operators
)

// Sizes of requests in bytes.
const (
	MaxRequest = 256 << 10  // what a method takes unless its rule says more
	MaxMessage = 1280 << 10 // what the transport takes at all
)

// Rule is what the chain must know of a method.
type Rule struct {
	Auth Auth
	// AuditRequired: a refusal that cannot be recorded is answered UNAVAILABLE NOT_RECORDED.
	AuditRequired bool
	// Reads: its answers show an organization's record. Who gets one goes on the record.
	Reads  bool
	Stream bool
	// AtLeast is how long a call may take even where others may take less, 0 when it needs no more than they do.
	AtLeast time.Duration
	// Limit is the largest request in bytes, MaxRequest when 0.
	Limit int
}

func (r Rule) limit() int {
	if r.Limit == 0 {
		return MaxRequest
	}
	return r.Limit
}
