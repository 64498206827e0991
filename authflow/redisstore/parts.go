package redisstore

import (
	"sync"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// defaultParts is how many flows' encoded parts are kept.
const defaultParts = 10_000

// parts are what was encoded of one state, so that the next state of the flow encodes only what is new in it.
type parts struct {
	stamp  policy.Stamp
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

// fits reports whether the record begins as the one of st does.
func (p *parts) fits(st *authflow.State, who *person) bool {
	return len(p.record) > 0 && p.frozen == st.Frozen && p.person == *who
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

// partCache keeps parts by flow, in as many shards as make waiting rare. When a shard is full, one flow of it goes.
type partCache struct {
	shards [16]partShard
	limit  int // per shard
}

type partShard struct {
	mu  sync.Mutex
	all map[authflow.FlowID]*parts
}

func newPartCache(size int) *partCache {
	if size <= 0 {
		size = defaultParts
	}
	c := &partCache{limit: max(size/len(partCache{}.shards), 1)}
	for i := range c.shards {
		c.shards[i].all = map[authflow.FlowID]*parts{}
	}
	return c
}

// shard takes the last digit of the flow id, which is random.
func (c *partCache) shard(id authflow.FlowID) *partShard {
	s := id.String()
	if s == "" {
		return &c.shards[0]
	}
	return &c.shards[s[len(s)-1]%16]
}

// take returns the parts of the state with this stamp, nil when they are not there. They are the taker's until put, who may
// change them: of two commits that build on one state the second finds none, and one of them is in vain anyway.
func (c *partCache) take(id authflow.FlowID, stamp policy.Stamp) *parts {
	if stamp.IsZero() {
		return nil
	}
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.all[id]
	if p == nil || p.stamp != stamp {
		return nil
	}
	delete(s.all, id)
	return p
}

func (c *partCache) put(id authflow.FlowID, p *parts) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[id]; !known && len(s.all) >= c.limit {
		for other := range s.all {
			delete(s.all, other)
			break
		}
	}
	s.all[id] = p
}

func (c *partCache) drop(id authflow.FlowID) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}
