package pruner_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit/pruner"
)

// people counts who is still to be forgotten.
type people struct {
	left   int
	asked  []time.Time
	refuse error
}

func (p *people) PruneSubjects(_ context.Context, now time.Time, limit int) (bool, error) {
	p.asked = append(p.asked, now)
	p.left = max(p.left-limit, 0)
	return p.left > 0, p.refuse
}

// Who is forgotten goes by the earlier of two rounds: a clock that is wrong at one of them forgets nobody.
func TestPeopleGoByTheRoundBefore(t *testing.T) {
	w, some := newWorld(t), &people{left: 1200}
	p, err := pruner.New(pruner.Config{Archive: w.Archive, Outbox: w.outbox, Metrics: w.counts, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Rest: 1, People: some})
	if err != nil {
		t.Fatal(err)
	}
	w.round(p)
	w.now = began.Add(1000 * 24 * time.Hour)
	w.round(p)
	w.now = began.Add(time.Hour)
	w.round(p)
	if want := []time.Time{began, began, began, began.Add(time.Hour)}; some.left != 0 || !slices.EqualFunc(some.asked, want, time.Time.Equal) {
		t.Errorf("left %d, asked at %v, want %v", some.left, some.asked, want)
	}
	some.refuse = errors.New("away")
	if err := p.Round(t.Context()); !errors.Is(err, some.refuse) || !slices.Contains(w.counts.failed, pruner.FailedPeople) {
		t.Errorf("got %v, counted %v", err, w.counts.failed)
	}
}
