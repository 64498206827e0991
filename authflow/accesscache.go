package authflow

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// place is where and how a session or token is used: what an answer was given for.
type place struct {
	site   string
	kind   string
	device string
	ip     netip.Addr
	client audit.Client
}

// decided is an answer with what it rests on.
type decided struct {
	answer  Access
	checked time.Time
	policy  policy.Stamp
	keys    policy.LookupKeys // of the subject
	use     *use              // nil: uses are not recorded
}

// maxPlaces bounds the answers kept for one handle.
const maxPlaces = 16

// accessCache keeps answers by handle, those used last. It is bounded, and what it holds is only good for AccessRecheck.
type accessCache struct {
	mu       sync.Mutex
	limit    int
	order    *list.List // of *handleAnswers; front: touched last
	byHandle map[[32]byte]*list.Element
	forgot   uint64 // counts what was forgotten, so that an answer read before that is not kept after it
}

type handleAnswers struct {
	handle  [32]byte
	answers map[place]decided
}

func newAccessCache(limit int) *accessCache {
	return &accessCache{limit: limit, order: list.New(), byHandle: make(map[[32]byte]*list.Element)}
}

// get returns the answer for a handle at a place, and whether it is still good as it is. One that is not still says whose the
// handle is.
func (c *accessCache) get(handle [32]byte, p place, stamp policy.Stamp, now time.Time) (decided, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byHandle[handle]
	if !ok {
		return decided{}, false
	}
	c.order.MoveToFront(el)
	h := answersOf(el)
	e, ok := h.answers[p]
	if !ok {
		for _, other := range h.answers {
			return decided{keys: other.keys}, false
		}
		return decided{}, false
	}
	age := now.Sub(e.checked)
	return e, age >= 0 && age < AccessRecheck && now.Before(e.answer.ValidUntil) && e.policy == stamp
}

// mark is to be taken before an answer is read for.
func (c *accessCache) mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgot
}

// put keeps an answer, unless anything was forgotten since the mark.
func (c *accessCache) put(handle [32]byte, p place, mark uint64, e decided) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgot != mark {
		return
	}
	el, ok := c.byHandle[handle]
	if !ok {
		el = c.order.PushFront(&handleAnswers{handle: handle, answers: make(map[place]decided, 1)})
		c.byHandle[handle] = el
		if c.order.Len() > c.limit {
			c.remove(c.order.Back())
		}
	}
	h := answersOf(el)
	if _, known := h.answers[p]; !known && len(h.answers) >= maxPlaces {
		clear(h.answers)
	}
	h.answers[p] = e
}

// forgetHandle drops what is known of a handle.
func (c *accessCache) forgetHandle(handle [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgot++
	if el, ok := c.byHandle[handle]; ok {
		c.remove(el)
	}
}

// forgetAll drops everything: proofs were revoked.
func (c *accessCache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgot++
	c.order.Init()
	clear(c.byHandle)
}

func (c *accessCache) remove(el *list.Element) {
	delete(c.byHandle, answersOf(el).handle)
	c.order.Remove(el)
}

// answersOf is the value of an element; nothing else is ever put in.
func answersOf(el *list.Element) *handleAnswers {
	h, ok := el.Value.(*handleAnswers)
	if !ok {
		return &handleAnswers{}
	}
	return h
}
