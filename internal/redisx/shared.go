package redisx

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
)

// Lanes and sizes of shared trips.
const (
	lanes    = 4  // trips under way at the same time; a call that finds one free goes by itself, at once
	maxShare = 64 // calls in one trip
)

// Shared runs scripts for many callers. As long as few are under way each goes by itself; what arrives when all lanes are
// taken waits for the first that comes free, and all that wait then go together: the same commands in one write, the answers in
// one read. Every call is still a command of its own with an answer of its own, and nothing is sent twice.
//
// A call whose time is up leaves. When it was still waiting it was never sent; after that nobody can tell, and its arguments
// belong to the trip: whoever gets an error from Run must not use their memory again.
type Shared struct {
	client  *redis.Client
	mu      sync.Mutex
	under   int // lanes taken
	waiting []*sharing
}

// NewShared returns nil for clients that do not share: in a cluster each command finds its own way and may be sent on.
func NewShared(c redis.UniversalClient) *Shared {
	client, ok := c.(*redis.Client)
	if !ok {
		return nil
	}
	return &Shared{client: client}
}

// sharing is a call that waits, or is under way together with others.
type sharing struct {
	ctx  context.Context //nolint:containedctx // of the caller; only its deadline is used
	cmd  *redis.Cmd
	mark *mark
	done chan error // buffered: nobody waits for who has left
}

// process sends a command, alone or with others.
func (s *Shared) process(ctx context.Context, cmd *redis.Cmd, m *mark) error {
	s.mu.Lock()
	if s.under < lanes {
		s.under++
		s.mu.Unlock()
		defer s.leave() //nolint:contextcheck // what waits has contexts of its own
		return s.client.Process(ctx, cmd)
	}
	w := &sharing{ctx: ctx, cmd: cmd, mark: m, done: make(chan error, 1)}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	s.giveUp(w)
	select {
	case err := <-w.done: // the answer came in the same moment
		return err
	default:
		return ctx.Err() //nolint:wrapcheck // Run classifies it
	}
}

// giveUp takes w out of what waits. One that is under way counts as sent, whatever became of it.
func (s *Shared) giveUp(w *sharing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.waiting {
		if other == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return
		}
	}
	w.mark.written.Add(1)
}

// leave frees the lane of a call that went alone, or hands it to those who wait.
func (s *Shared) leave() {
	if batch := s.take(); batch != nil {
		go s.run(batch)
	}
}

// take returns who waits, or frees the lane when nobody does.
func (s *Shared) take() []*sharing {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.waiting), maxShare)
	if n == 0 {
		s.under--
		return nil
	}
	batch := s.waiting[:n:n]
	s.waiting = append(make([]*sharing, 0, maxShare), s.waiting[n:]...)
	return batch
}

// run makes trips until nobody waits.
func (s *Shared) run(batch []*sharing) {
	for ; batch != nil; batch = s.take() {
		if err := errs.Guard(func() error { return s.trip(batch) }); err != nil {
			broken(batch, err)
		}
	}
}

// broken tells those who have no answer yet that nobody knows what became of their commands.
func broken(batch []*sharing, err error) {
	for _, w := range batch {
		w.mark.written.Add(1)
		select {
		case w.done <- err:
		default:
		}
	}
}

// trip sends what waited together, and returns no error of a command: those go to their callers. It may take as long as the
// most patient caller would wait.
func (s *Shared) trip(batch []*sharing) error {
	ctx := context.Background()
	latest, bounded := batch[0].ctx.Deadline()
	for _, w := range batch[1:] {
		at, has := w.ctx.Deadline()
		bounded = bounded && has
		if at.After(latest) {
			latest = at
		}
	}
	if bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, latest)
		defer cancel()
	}
	together := s.client.Pipeline()
	for _, w := range batch {
		_ = together.Process(ctx, w.cmd) // only notes it
	}
	_, failed := together.Exec(ctx)
	for _, w := range batch {
		err := w.cmd.Err()
		if err == nil && failed != nil && w.cmd.Val() == nil {
			err = failed
		}
		w.done <- err
	}
	return nil
}
