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

// has reports whether step i is the one that was encoded before.
func (p *parts) has(i int, s *authflow.Step) bool {
	return i < len(p.steps) && p.steps[i].id == s.Event.ID && p.steps[i].released == s.Released
}

// freeze makes the encoded form of what binding froze.
func (p *parts) freeze(f *policy.Frozen) (err error) {
	if f == nil || p.frozen.of == f {
		return nil
	}
	p.frozen.of = f
	p.frozen.encoded, err = encodeFrozen(f)
	return err
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
