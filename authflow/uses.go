package authflow

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Bounds of folding.
const (
	foldEvery   = 30 * time.Second // how often it is looked whether an hour is over
	maxUses     = 20_000           // different ones held at a time; then they are written before their hour is over
	foldBatch   = 64               // events in one commit
	foldTimeout = 10 * time.Second // for what is written when the folder stops
)

// useKey is what makes two uses alike.
type useKey struct {
	organization string
	site         string
	handle       [32]byte
	typ          audit.Type
	reason       string
	ip           netip.Addr
	client       audit.Client
}

// use is what a kind of use is recorded as.
type use struct {
	key   useKey
	event audit.Event // as the first of them; never changed
}

// folded counts the uses of one kind in one hour.
type folded struct {
	event audit.Event
	count int64
	hour  time.Time
	last  time.Time
}

// uses holds counts until they are written.
type uses struct {
	mu   sync.Mutex
	held map[useKey]*folded
	full chan struct{} // asks the folder to write now
	over []*folded     // of hours that were over when the next use came
}

func newUses() *uses { return &uses{held: make(map[useKey]*folded), full: make(chan struct{}, 1)} }

// add counts one more use; nil is one that is not recorded.
func (u *uses) add(one *use, now time.Time) {
	if one == nil {
		return
	}
	hour := now.UTC().Truncate(time.Hour)
	u.mu.Lock()
	f, ok := u.held[one.key]
	if ok && !f.hour.Equal(hour) {
		u.over, ok = append(u.over, f), false
	}
	if !ok {
		f = &folded{event: one.event, hour: hour}
		u.held[one.key] = f
	}
	f.count++
	f.last = later(f.last, now)
	full := len(u.held)+len(u.over) >= maxUses
	u.mu.Unlock()
	if full {
		select {
		case u.full <- struct{}{}:
		default:
		}
	}
}

// take removes what is due: hours that are over, or everything.
func (u *uses) take(now time.Time, everything bool) []*folded {
	hour := now.UTC().Truncate(time.Hour)
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.over
	u.over = nil
	for key, f := range u.held {
		if everything || f.hour.Before(hour) {
			out = append(out, f)
			delete(u.held, key)
		}
	}
	return out
}

// back holds what could not be written.
func (u *uses) back(list []*folded) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = append(u.over, list...)
}

// UseFolder writes folded uses of sessions and tokens: one event for each of them, answer, address and hour, with its count. It
// is started once and stopped before the process ends; what it holds is written when it stops. A process that is killed loses
// the counts of at most an hour, never a first use, a change of address or verdict, or a refusal's first event.
type UseFolder struct {
	f      *Flows
	cancel context.CancelFunc
	done   chan struct{}
}

// NewUseFolder returns a folder that is not running yet.
func NewUseFolder(f *Flows) *UseFolder { return &UseFolder{f: f} }

// Start begins folding in a goroutine of the folder's own. Call it once.
func (u *UseFolder) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel, u.done = cancel, make(chan struct{})
	go u.loop(ctx)
}

// Stop writes what is held and waits until that is done or has failed. Stopping a folder that was not started does nothing.
func (u *UseFolder) Stop() {
	if u.cancel == nil {
		return
	}
	u.cancel()
	<-u.done
}

func (u *UseFolder) loop(ctx context.Context) {
	defer close(u.done)
	ticker := time.NewTicker(foldEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), foldTimeout)
			defer cancel()
			u.write(last, true)
			return
		case <-u.f.uses.full:
			u.write(ctx, true)
		case <-ticker.C:
			u.write(ctx, false)
		}
	}
}

// write commits what is due, in commits of one organization each. What fails is held for the next time.
func (u *UseFolder) write(ctx context.Context, everything bool) {
	batches := map[string][]*folded{}
	for _, f := range u.f.uses.take(u.f.c.Now(), everything) {
		batches[f.event.OrganizationUID] = append(batches[f.event.OrganizationUID], f)
	}
	for organization, list := range batches {
		for len(list) > 0 {
			n := min(len(list), foldBatch)
			if err := u.commit(ctx, organization, list[:n]); err != nil {
				u.f.uses.back(list)
				u.f.c.Log.WarnContext(ctx, "folded uses could not be written", slog.Int("events", len(list)), slog.Any("error", err))
				break
			}
			list = list[n:]
		}
	}
}

func (u *UseFolder) commit(ctx context.Context, organization string, list []*folded) error {
	events := make([]audit.Event, len(list))
	for i, f := range list {
		e := f.event
		e.ID, e.Time, e.Uses = u.f.c.NewID(), f.last, f.count
		events[i] = e
	}
	_, err := u.f.commit(ctx, &Commit{OrganizationUID: organization, Events: events})
	return err
}
