package redisx

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
)

// Bounds of shared trips.
const (
	maxTrips   = 8         // under way at a time: with fewer a server that waits for its disk idles, with more there is less to share
	fewRiders  = 8         // go together even when others would have to go alone for it
	maxRiders  = 64        // in one trip
	maxWaiting = 4096      // for a trip
	tripTime   = ioTimeout // for one trip in all, whoever still waits for it
)

// What becomes of a command that has no answer of its own.
var (
	errLeft      = errors.New("redisx: the call was over while its command was under way")
	errWithdrawn = errors.New("redisx: the call was over before its command was sent")
	errCrowded   = errors.New("redisx: too many commands wait to be sent")
	errClosed    = errors.New("redisx: nothing is sent any more")
)

// Shared lets commands that wait at the same time share trips. A command that finds nobody under way goes at once and by itself. Others
// go with those that are about to come, and when maxTrips are under way they wait for the next that comes back. Every command has its
// own answer or error. Whoever waits leaves when its context ends; what is under way by then goes on, so that nothing a command is made
// of may be used again after an error. Safe for concurrent use.
type Shared struct{ groups []*group }

// NewShared returns what shares trips to the servers behind client. Commands of one partition meet; those of several only where
// all partitions are on one server: a node of a cluster that does not answer holds up nobody else's.
func NewShared(client redis.UniversalClient, partitions int) *Shared {
	if _, cluster := client.(*redis.ClusterClient); !cluster {
		partitions = 1
	}
	s := &Shared{groups: make([]*group, partitions)}
	for i := range s.groups {
		s.groups[i] = &group{client: client}
	}
	return s
}

// For returns where the scripts of a partition are run.
func (s *Shared) For(partition int) Processor { return s.groups[partition%len(s.groups)] }

// Drain refuses what comes from now on, and returns when everything that was under way is back or ctx ends.
func (s *Shared) Drain(ctx context.Context) error {
	for _, g := range s.groups {
		g.close()
	}
	for _, g := range s.groups {
		select {
		case <-g.close():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// group are commands that may share trips.
type group struct {
	client redis.UniversalClient

	mu        sync.Mutex
	trips     int           // under way, or about to be; fewer than may be only when nobody waits or one gathers
	gathering bool          // somebody is about to begin a trip with who waits then
	waiting   []*ride       // the longest first
	closed    chan struct{} // nil: open; closed when no trip is under way any more
}

// ride is a command on a trip with others. Whatever becomes of them, it is not sent a second time by itself: those that were
// answered must not run again because others were not.
type ride struct {
	redis.Cmder
	end chan error // has room for it
}

// NoRetry implements redis.Cmder.
func (*ride) NoRetry() bool { return true }

// rides keeps those that nobody is to tell anything.
var rides = sync.Pool{New: func() any { return &ride{end: make(chan error, 1)} }}

// free gives a ride back. It holds on to nothing.
func (r *ride) free() {
	r.Cmder = nil
	rides.Put(r)
}

// Process implements Processor.
func (g *group) Process(ctx context.Context, cmd redis.Cmder) error {
	r, first, err := g.enter(cmd)
	if err != nil {
		return err
	}
	if first {
		runtime.Gosched() // where processors are short, many are about to come: with them it is one trip instead of many
	}
	if r == nil || first && g.depart(r) { //nolint:contextcheck // a trip has a time of its own
		defer g.back() //nolint:contextcheck // as above
		return g.client.Process(ctx, cmd)
	}
	select {
	case err = <-r.end:
	case <-ctx.Done():
		if err = g.leave(r); errors.Is(err, errLeft) {
			return err // and r is left to the trip
		}
	}
	r.free()
	return err
}

// enter returns the place of a command among those who wait, nil when it is to go by itself; first means that those who wait need
// somebody to begin their trip.
func (g *group) enter(cmd redis.Cmder) (_ *ride, first bool, _ error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed != nil:
		return nil, false, errClosed
	case g.trips == 0:
		g.trips++
		return nil, false, nil
	case len(g.waiting) >= maxWaiting:
		return nil, false, errCrowded
	}
	if g.trips < maxTrips && !g.gathering {
		g.trips++
		g.gathering, first = true, true
	}
	r, ok := rides.Get().(*ride)
	if !ok {
		r = &ride{end: make(chan error, 1)} // not reached: the pool makes nothing else
	}
	r.Cmder = cmd
	g.waiting = append(g.waiting, r)
	return r, first, nil
}

// depart begins the trip that r gathered for, and as many more as are needed and may be. When nobody came r goes by itself.
func (g *group) depart(r *ride) (alone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gathering = false
	switch {
	case len(g.waiting) == 0: // somebody took them along
		g.ended()
		return false
	case len(g.waiting) == 1 && g.waiting[0] == r:
		g.waiting = slices.Delete(g.waiting, 0, 1)
		r.free()
		return true
	}
	go g.travel(g.board(nil))
	for len(g.waiting) > 0 && g.trips < maxTrips {
		g.trips++
		go g.travel(g.board(nil))
	}
	return false
}

// leave takes back a command whose call is over, if it is not aboard yet. Its end may have been told meanwhile.
func (g *group) leave(r *ride) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, r); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return errWithdrawn
	}
	select {
	case err := <-r.end:
		return err
	default:
		return errLeft
	}
}

// back ends the trip of a command that went by itself. Who waits goes next, on a goroutine that lasts as long as somebody does.
func (g *group) back() {
	if next := g.next(nil); len(next) > 0 {
		go g.travel(next)
	}
}

func (g *group) travel(riders []*ride) {
	for len(riders) > 0 {
		g.trip(riders)
		riders = g.next(riders[:0])
	}
}

// next puts who waits aboard, to take the place of a trip that is back. When nobody does there is one trip less.
func (g *group) next(riders []*ride) []*ride {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.ended()
		return nil
	}
	return g.board(riders)
}

// board puts an even share of who waits aboard: more trips will be back soon.
func (g *group) board(riders []*ride) []*ride {
	n := min(len(g.waiting), max(fewRiders, len(g.waiting)/maxTrips), maxRiders)
	riders = append(riders, g.waiting[:n]...)
	g.waiting = slices.Delete(g.waiting, 0, n)
	return riders
}

func (g *group) ended() {
	if g.trips--; g.trips == 0 && g.closed != nil {
		close(g.closed)
	}
}

// trip sends commands together and tells each its end. The time of a trip is its own: no rider's deadline is another's.
func (g *group) trip(riders []*ride) {
	ctx, cancel := context.WithTimeout(context.Background(), tripTime)
	defer cancel()
	err := errs.Guard(func() error {
		p := g.client.Pipeline()
		for _, r := range riders {
			_ = p.Process(ctx, r) // puts it into the pipeline, which cannot fail
		}
		_, err := p.Exec(ctx)
		return err
	})
	if slices.ContainsFunc(riders, func(r *ride) bool { return r.Err() != nil }) {
		err = nil // it was the first of their own
	}
	for _, r := range riders { // who was told is no longer this trip's
		own := r.Err()
		if own == nil {
			own = err // a panic, or that the server did not let go-redis in: the commands were not told
		}
		r.end <- own
	}
}

// close refuses what comes, and returns what is closed when nothing is under way.
func (g *group) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
		if g.trips == 0 {
			close(g.closed)
		}
	}
	return g.closed
}
