package redisstore

import (
	"sync/atomic"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// parts are what was encoded of one state, so that the next state of the flow encodes only what is new in it. They are what
// authflow keeps with a flow it knows (Committed.Kept). One commit at a time has them, and may change them: what it then left there
// in vain, the next one finds and cuts off.
type parts struct {
	taken  atomic.Bool
	record []byte         // the FlowRecord up to its last step; behind it is room for the head
	begin  int            // where its steps begin
	steps  []stepPart     // where they end
	frozen *policy.Frozen // in record; values behind it never change
	person person         // in record, sealed
}

type stepPart struct {
	id       string
	released bool
	end      int
}

// take returns the parts that were kept with a flow if they begin as its next state does and nobody else has them, else nil.
func take(kept any, st *authflow.State, who *person) *parts {
	p, ok := kept.(*parts)
	if !ok || !p.taken.CompareAndSwap(false, true) {
		return nil
	}
	if p.frozen != st.Frozen || p.person != *who {
		p.taken.Store(false)
		return nil
	}
	return p
}

// keep cuts the record behind the steps that are as they were, and returns how many those are.
func (p *parts) keep(steps []authflow.Step) int {
	n := 0
	for n < min(len(steps), len(p.steps)) && p.steps[n].id == steps[n].Event.ID && p.steps[n].released == steps[n].Released {
		n++
	}
	if n < len(p.steps) {
		p.record = p.record[:p.start(n)]
		p.steps = p.steps[:n]
	}
	return n
}

// start is where step n begins, or would.
func (p *parts) start(n int) int {
	if n == 0 {
		return p.begin
	}
	return p.steps[n-1].end
}
