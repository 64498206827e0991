package serve

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/postern-audit/postern/internal/redisx"
)

// Paces of the watch.
const (
	lookEvery  = time.Second      // whether Redis answers, and its clock
	checkEvery = 10 * time.Second // its persistence, eviction policy and version; the backlog where no archiver runs
	lookWithin = 2 * time.Second
)

// Status is what /readyz shows.
type Status struct {
	Ready      bool          `json:"ready"`
	Notice     string        `json:"notice,omitempty"`
	Version    string        `json:"version"`
	Components []string      `json:"components"`
	Problems   []string      `json:"problems,omitempty"` // why it is not ready
	Warnings   []string      `json:"warnings,omitempty"` // what settings waive, and trouble sign-ins do not feel
	Redis      RedisStatus   `json:"redis"`
	Archive    ArchiveStatus `json:"archive"`
}

// RedisStatus is the Redis part of Status.
type RedisStatus struct {
	Mode      string `json:"mode"`
	Reachable bool   `json:"reachable"`
	Skew      string `json:"clock_skew"`
}

// ArchiveStatus is the archive part of Status. Sign-ins go on while the archive is away.
type ArchiveStatus struct {
	Waiting int64  `json:"waiting"` // events in Redis that are not in the archive yet
	Lag     string `json:"lag"`     // age of the oldest of them
	Trouble string `json:"held_up_at,omitempty"`
}

const embeddedNotice = "EMBEDDED: for trying out; when this process is killed, what the last seconds brought is lost"

// watch looks at what readiness depends on, all the time.
type watch struct {
	p       *process
	mu      sync.Mutex
	last    Status
	checked time.Time
	found   []redisx.Problem // at the last check
	weak    []string         // what the archive's server does not keep
	waiting int64
	oldest  time.Time
}

// startWatch looks once and then goes on until the process stops. The server's health follows.
func (p *process) startWatch(ctx context.Context) error { //nolint:contextcheck // the watch outlives the start
	w := &p.watch
	w.p = p
	w.look(ctx)
	running, stop := context.WithCancel(context.Background())
	wait := p.background("watch", func() error {
		w.run(running)
		return nil
	})
	p.closers.add("watch", func(ctx context.Context) error {
		stop()
		return wait(ctx)
	})
	return nil
}

func (w *watch) run(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			w.look(ctx)
		}
	}
}

// status is what was seen last.
func (w *watch) status() (bool, Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Ready, w.last
}

// look asks everything once and tells everybody.
func (w *watch) look(ctx context.Context) {
	p := w.p
	bounded, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	s := Status{Version: p.version, Components: p.c.Components, Redis: RedisStatus{Mode: p.c.Redis.Mode}}
	errReach := p.clock.Measure(bounded, p.stores.reader)
	if ctx.Err() != nil {
		return // stopping
	}
	s.Redis.Reachable = errReach == nil
	s.Redis.Skew = p.clock.Skew().Round(time.Millisecond).String()
	if errReach != nil {
		s.Problems = append(s.Problems, "Redis does not answer")
	} else {
		p.metrics.Skew(-p.clock.Skew())
		if !p.clock.Ready() {
			s.Problems = append(s.Problems, "this machine's clock is "+s.Redis.Skew+" away from Redis'; at most "+redisx.MaxSkew.String()+" is bearable")
		}
		w.check(bounded)
	}
	w.judge(&s)
	w.archive(&s)
	if p.c.Embedded() {
		s.Notice = embeddedNotice
	}
	s.Ready = len(s.Problems) == 0
	w.tell(ctx, s)
}

// check looks at Redis' set-up now and then. Its answer holds until the next one.
func (w *watch) check(ctx context.Context) {
	p := w.p
	now := p.now()
	if !w.checked.IsZero() && now.Sub(w.checked) < checkEvery {
		return
	}
	if !p.c.Embedded() {
		found, err := redisx.Check(ctx, p.stores.reader)
		if err != nil {
			return // it did not answer; the next look says so
		}
		w.found = found
	}
	if p.work.archiver == nil {
		partitions := make([]int, p.c.Partitions)
		for i := range partitions {
			partitions[i] = i
		}
		if n, oldest, err := p.work.source.Backlog(ctx, partitions); err == nil {
			w.waiting, w.oldest = n, oldest
			p.metrics.Backlog(n, oldest)
		}
	}
	if found, err := p.archiveProblems(ctx); err == nil { // away is no trouble of a sign-in, and told elsewhere
		w.weak = nil
		for _, problem := range found {
			w.weak = append(w.weak, string(problem.Code)+" at the archive: "+problem.Detail)
		}
	}
	w.checked = now
}

// judge sorts what the last check found.
func (w *watch) judge(s *Status) {
	for _, problem := range w.found {
		text := string(problem.Code) + " at " + problem.Node + ": " + problem.Detail
		if _, waived := w.p.waiver(problem.Code); waived {
			s.Warnings = append(s.Warnings, text)
		} else {
			s.Problems = append(s.Problems, text)
		}
	}
}

// archive fills in how far the archive is behind, and what its server does not keep.
func (w *watch) archive(s *Status) {
	s.Warnings = append(s.Warnings, w.weak...)
	waiting, oldest := w.waiting, w.oldest
	if a := w.p.work.archiver; a != nil {
		state := a.State()
		waiting, oldest = state.Backlog, state.Oldest
		if state.Trouble != "" {
			s.Archive.Trouble = state.Trouble
			s.Warnings = append(s.Warnings, "archiving is held up at: "+state.Trouble+"; sign-ins go on and events wait in Redis")
		}
	}
	s.Archive.Waiting, s.Archive.Lag = waiting, "0s"
	if !oldest.IsZero() {
		s.Archive.Lag = max(0, w.p.clock.Now().Sub(oldest)).Round(time.Millisecond).String()
	}
}

// tell keeps the status and, when readiness changes, says so to health, metrics and log.
func (w *watch) tell(ctx context.Context, s Status) {
	w.mu.Lock()
	before := w.last
	w.last = s
	w.mu.Unlock()
	w.p.metrics.Ready(s.Ready)
	w.p.front.server.SetServing(s.Ready)
	switch {
	case before.Version == "" && s.Ready, before.Ready == s.Ready && strings.Join(before.Problems, "\n") == strings.Join(s.Problems, "\n"):
	case s.Ready:
		w.p.log.InfoContext(ctx, "ready again")
	default:
		w.p.log.WarnContext(ctx, "not ready", "problems", s.Problems)
	}
}
