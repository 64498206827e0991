package apikey

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

const (
	noteEvery   = time.Minute // of one key, in one process
	noteTimeout = 2 * time.Second
	maxWaiting  = 1024 // keys whose use waits to be written; uses of more are forgotten until they come again
)

// Uses writes last uses of keys, off the way of the calls that use them: the first use and then one a minute of each key. Its
// goroutine runs from NewUses to Stop. A process that is killed loses what waits.
type Uses struct {
	store Store
	log   *slog.Logger

	mu      sync.Mutex
	noted   map[named]time.Time // of the last minute
	waiting map[named]time.Time
	wake    chan struct{}
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
	broken  func(error)
}

// named is one key of one organization.
type named struct {
	organizationUID string
	id              ID
}

// NewUses starts writing to a store. broken hears of a panic, after which nothing is written.
func NewUses(store Store, log *slog.Logger, broken func(error)) *Uses {
	u := &Uses{
		store: store, log: log, noted: map[named]time.Time{}, waiting: map[named]time.Time{}, wake: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}), broken: broken,
	}
	go func() {
		defer close(u.done)
		if err := errs.Guard(u.run); err != nil {
			u.broken(err)
		}
	}()
	return u
}

// Note hears of a use. It never waits.
func (u *Uses) Note(organizationUID string, id ID, at time.Time) {
	key := named{organizationUID, id}
	u.mu.Lock()
	last, known := u.noted[key]
	due := !known || at.Sub(last) >= noteEvery || at.Before(last)
	if due && len(u.waiting) < maxWaiting {
		u.noted[key], u.waiting[key] = at, at
		for k, t := range u.noted {
			if at.Sub(t) > noteEvery {
				delete(u.noted, k)
			}
		}
	}
	u.mu.Unlock()
	if due {
		select {
		case u.wake <- struct{}{}:
		default:
		}
	}
}

func (u *Uses) run() error {
	for {
		select {
		case <-u.stop:
			u.write()
			return nil
		case <-u.wake:
			u.write()
		}
	}
}

// write writes what waits. What cannot be written is said and left: the next use tells the same.
func (u *Uses) write() {
	u.mu.Lock()
	waiting := u.waiting
	u.waiting = map[named]time.Time{}
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), noteTimeout)
	defer cancel()
	for key, at := range waiting {
		if err := u.store.Used(ctx, key.organizationUID, key.id, at); err != nil {
			u.log.LogAttrs(ctx, slog.LevelWarn, "use of an API key not noted", slog.String("key", key.id.String()), slog.String("cause", err.Error()))
			u.mu.Lock()
			delete(u.noted, key)
			u.mu.Unlock()
		}
	}
}

// Stop writes what waits and ends the goroutine.
func (u *Uses) Stop() {
	u.once.Do(func() { close(u.stop) })
	<-u.done
}
