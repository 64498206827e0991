package idp

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// cache keeps a bounded number of values by name. The least recently used one goes first.
type cache[V any] struct {
	mu    sync.Mutex
	most  int
	order *list.List // of *cached[V], the last used first
	named map[string]*list.Element
}

type cached[V any] struct {
	name  string
	value V
}

func newCache[V any](most int) *cache[V] {
	return &cache[V]{most: most, order: list.New(), named: map[string]*list.Element{}}
}

// at returns the value under a name, made when there is none, and the one that had to go for it, nil for none.
func (c *cache[V]) at(name string, build func() V) (value V, gone *V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.named[name]; ok {
		c.order.MoveToFront(e)
		return c.entry(e).value, nil
	}
	entry := &cached[V]{name: name, value: build()}
	c.named[name] = c.order.PushFront(entry)
	if c.order.Len() > c.most {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.named, c.entry(last).name)
		gone = &c.entry(last).value
	}
	return entry.value, gone
}

// entry is what an element of the order holds.
func (*cache[V]) entry(e *list.Element) *cached[V] {
	return e.Value.(*cached[V]) //nolint:forcetypeassert // nothing else is put in
}

// drop empties the cache and returns what was in it.
func (c *cache[V]) drop() []V {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []V
	for e := c.order.Front(); e != nil; e = e.Next() {
		all = append(all, c.entry(e).value)
	}
	c.order.Init()
	clear(c.named)
	return all
}

// life says how long something fetched is fresh, and until when it may be used when it cannot be fetched again.
type life struct{ fresh, usable time.Time }

// retryAfter is how long a fetch that failed is not tried again: a provider that is down is not asked by every sign-in.
const retryAfter = 30 * time.Second

// document is something fetched, fetched again when it is old: by one caller at a time, while others use the old one.
type document[T any] struct {
	turn chan struct{} // whoever fetches has put one in

	mu     sync.Mutex
	value  *T
	life   life
	failed error
	retry  time.Time // no fetch before
}

func newDocument[T any]() *document[T] { return &document[T]{turn: make(chan struct{}, 1)} }

// get returns what is kept, or fetches it. What was fetched once serves as long as it is usable, whatever goes wrong since.
func (d *document[T]) get(ctx context.Context, now func() time.Time, fetch func(context.Context) (*T, life, error)) (*T, error) {
	if v, err, settled := d.look(now()); settled {
		return v, err
	}
	select {
	case d.turn <- struct{}{}:
	default:
		if v := d.old(now()); v != nil {
			return v, nil
		}
		select {
		case d.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, unreachable("another call is still waiting for its answer")
		}
	}
	defer func() { <-d.turn }()
	if v, err, settled := d.look(now()); settled {
		return v, err
	}
	v, l, err := fetch(ctx)
	if err != nil {
		return d.keep(ctx, now(), err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.value, d.life, d.failed = v, l, nil
	return v, nil
}

// look says whether a fetch is due; if not, what there is.
func (d *document[T]) look(now time.Time) (*T, error, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.value != nil && now.Before(d.life.fresh) {
		return d.value, nil, true
	}
	if d.failed == nil || !now.Before(d.retry) {
		return nil, nil, false
	}
	if d.value != nil && now.Before(d.life.usable) {
		return d.value, nil, true
	}
	return nil, d.failed, true
}

func (d *document[T]) old(now time.Time) *T {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.value != nil && now.Before(d.life.usable) {
		return d.value
	}
	return nil
}

// keep remembers a failure, unless it was the caller who gave up, and falls back on what there is.
func (d *document[T]) keep(ctx context.Context, now time.Time, err error) (*T, error) {
	if ctx.Err() == nil {
		d.mu.Lock()
		d.failed, d.retry = err, now.Add(retryAfter)
		d.mu.Unlock()
	}
	if v := d.old(now); v != nil {
		return v, nil
	}
	return nil, err
}
