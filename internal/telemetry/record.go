package telemetry

import (
	"context"
	"errors"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
)

// Build notes what runs.
func (m *Metrics) Build(version, goVersion string) {
	m.build.WithLabelValues(version, goVersion).Set(1)
}

// Call notes an answered call. method is a full gRPC method that exists, code a status code's name; callers must not pass on
// names that clients made up.
func (m *Metrics) Call(method, code string, unary bool, took time.Duration) {
	a := m.answer(method, code, unary)
	a.calls.Inc()
	if a.seconds != nil {
		a.seconds.Observe(took.Seconds())
	}
	if code != "OK" {
		m.refusals.WithLabelValues(code).Inc()
	}
}

// answer finds what counts calls of a method with a code, without hashing labels for each of them.
func (m *Metrics) answer(method, code string, unary bool) answered {
	m.mu.RLock()
	a, ok := m.answers[[2]string{method, code}]
	m.mu.RUnlock()
	if ok {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.calls = m.calls.WithLabelValues(method, code); unary {
		a.seconds = m.callSeconds.WithLabelValues(method)
	}
	m.answers[[2]string{method, code}] = a
	return a
}

// Archived counts events newly stored. With Backlog and Failed it is what package archiver tells.
func (m *Metrics) Archived(n int) { m.archived.Add(float64(n)) }

// Backlog notes how many events wait for the archive and since when the oldest does (zero: none waits).
func (m *Metrics) Backlog(n int64, oldest time.Time) {
	m.outbox.Set(float64(n))
	lag := 0.0
	if !oldest.IsZero() {
		lag = max(0, m.now().Sub(oldest).Seconds())
	}
	m.lag.Set(lag)
}

// Unrecorded counts reads of the record that could not be put on the record.
func (m *Metrics) Unrecorded(reads int64) { m.unrecorded.Add(float64(reads)) }

// Failed counts trouble on the way to the archive, by a closed list of reasons.
func (m *Metrics) Failed(reason string) { m.archiveFailed.WithLabelValues(reason).Inc() }

// Swept counts flows the sweeper ended.
func (m *Metrics) Swept(n int) { m.swept.Add(float64(n)) }

// SweepFailed counts rounds of the sweeper that had trouble.
func (m *Metrics) SweepFailed() { m.sweepFailed.Inc() }

// Pruned counts what was dropped from the archive. With PruneFailed it is what package pruner tells.
func (m *Metrics) Pruned(events, flows int64) {
	m.pruned.WithLabelValues("events").Add(float64(events))
	m.pruned.WithLabelValues("flows").Add(float64(flows))
}

// PruneFailed counts trouble with that, by a closed list of steps.
func (m *Metrics) PruneFailed(step string) { m.pruneFailed.WithLabelValues(step).Inc() }

// RoundTrips returns what to call for every round trip of a client to Redis: signin or archiver.
func (m *Metrics) RoundTrips(client string) func() { return m.trips.WithLabelValues(client).Inc }

// Ready notes whether the process takes calls.
func (m *Metrics) Ready(ready bool) {
	m.ready.Set(0)
	if ready {
		m.ready.Set(1)
	}
}

// Skew notes how far this machine's clock is ahead of Redis'.
func (m *Metrics) Skew(d time.Duration) { m.skew.Set(d.Seconds()) }

// Store counts and times the commits of inner and changes nothing about them.
func (m *Metrics) Store(inner authflow.Store) authflow.Store {
	return &store{inner, m}
}

type store struct {
	authflow.Store
	m *Metrics
}

// Commit implements authflow.Store.
func (s *store) Commit(ctx context.Context, c *authflow.Commit) (*authflow.Committed, error) {
	began := s.m.now()
	done, err := s.Store.Commit(ctx, c)
	s.m.commitSeconds.Observe(s.m.now().Sub(began).Seconds())
	s.m.commits.WithLabelValues(result(done, err)).Inc()
	if err == nil && done.Repeated == nil && c.Flow != nil && c.Flow.State.Phase == authflow.PhaseEnded {
		s.m.ended.WithLabelValues(c.Flow.State.Ending.String()).Inc()
	}
	return done, err
}

func result(done *authflow.Committed, err error) string {
	if err == nil && done.Repeated == nil {
		return "committed"
	}
	var conflict *authflow.Conflict
	switch {
	case errors.As(err, &conflict):
		return "conflict"
	case errs.Is(err, "OUTCOME_UNKNOWN"):
		return "outcome_unknown"
	case errs.KindOf(err) == errs.Unavailable && err != nil:
		return "not_recorded"
	case err != nil:
		return "refused"
	}
	return "repeated"
}

// DomainChecked counts a look at a domain's zone: outcome and detail are words of package domaincheck, event the type of the event it
// led to, empty for none.
func (m *Metrics) DomainChecked(outcome, detail, event string) {
	m.domainChecks.WithLabelValues(outcome, detail).Inc()
	if event != "" {
		m.domainChanges.WithLabelValues(event).Inc()
	}
}
