package authflow

import (
	"bytes"
	"container/list"
	"sync"
)

// cache keeps the flows this process touched last. A stale entry costs a round trip and nothing else: the store compares
// stamps. States in it are shared and never changed.
type cache struct {
	mu    sync.Mutex
	limit int
	order *list.List // front: touched last
	byID  map[FlowID]*list.Element
}

func newCache(limit int) *cache {
	return &cache{limit: limit, order: list.New(), byID: make(map[FlowID]*list.Element)}
}

// get returns what is known of a flow of this organization, nil when nothing is.
func (c *cache) get(organizationUID string, id FlowID) *Loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok {
		return nil
	}
	l := entry(el)
	if l.State.OrganizationUID != organizationUID {
		return nil
	}
	c.order.MoveToFront(el)
	return l
}

// put remembers a flow unless a newer state of it is known. An ended flow is forgotten: whatever comes is refused, and that
// is checked in the store first.
func (c *cache) put(l *Loaded) {
	if l == nil || l.State == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[l.State.ID]
	switch {
	case l.State.Phase == PhaseEnded:
		if ok {
			c.remove(el)
		}
	case !ok:
		c.byID[l.State.ID] = c.order.PushFront(l)
		if c.order.Len() > c.limit {
			c.remove(c.order.Back())
		}
	default:
		if known := entry(el); bytes.Compare(known.Stamp[:8], l.Stamp[:8]) <= 0 {
			el.Value = l.with(known.Subject)
		}
		c.order.MoveToFront(el)
	}
}

// with returns l with records of the subject, if it came without.
func (l *Loaded) with(s *SubjectRecords) *Loaded {
	if l.Subject != nil || s == nil {
		return l
	}
	return l.about(s)
}

// about returns a copy of l with these records of a subject.
func (l *Loaded) about(s *SubjectRecords) *Loaded {
	c := *l
	c.Subject, c.subjectKnown = s, false
	return &c
}

// sameSubject reports whether l has records of the subject that the flow before was known to have.
func (l *Loaded) sameSubject(before *Loaded) bool {
	return before.subjectKnown && l.Subject != nil && l.Subject.Key == before.Subject.Key &&
		l.State.Bound != nil && l.State.Bound.AccountID == before.State.Bound.AccountID
}

// drop forgets a flow.
func (c *cache) drop(id FlowID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		c.remove(el)
	}
}

func (c *cache) remove(el *list.Element) {
	delete(c.byID, entry(el).State.ID)
	c.order.Remove(el)
}

// entry is the flow of an element; only flows are ever put in.
func entry(el *list.Element) *Loaded {
	l, ok := el.Value.(*Loaded)
	if !ok {
		return &Loaded{State: &State{}}
	}
	return l
}
