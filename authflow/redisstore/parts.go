package redisstore

import (
	"sync"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// defaultParts is how many flows' encoded parts are kept.
const defaultParts = 10_000

// parts are the encoded parts of one state, so that the next state of the flow encodes only what is new in it.
type parts struct {
	stamp    policy.Stamp
	steps    []stepPart
	frozen   frozenPart
	personal personalPart
}

type stepPart struct {
	id       string
	released bool
	encoded  []byte
}

type frozenPart struct {
	of      *policy.Frozen // values behind it never change
	encoded []byte
}

type personalPart struct {
	person  person
	encoded []byte
}

// step returns the encoded form of step i if it is the one that was encoded before.
func (p *parts) step(i int, s *authflow.Step) stepPart {
	if p == nil || i >= len(p.steps) || p.steps[i].id != s.Event.ID || p.steps[i].released != s.Released {
		return stepPart{}
	}
	return p.steps[i]
}

func (p *parts) frozenPart(f *policy.Frozen) (frozenPart, error) {
	if f == nil {
		return frozenPart{}, nil
	}
	if p != nil && p.frozen.of == f {
		return p.frozen, nil
	}
	b, err := encodeFrozen(f)
	return frozenPart{of: f, encoded: b}, err
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

// get returns the parts of the state with this stamp, nil when they are not there.
func (c *partCache) get(id authflow.FlowID, stamp policy.Stamp) *parts {
	if stamp.IsZero() {
		return nil
	}
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.all[id]; p != nil && p.stamp == stamp {
		return p
	}
	return nil
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
