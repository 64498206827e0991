package serve

import (
	"context"
	"errors"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
)

// fixedStore answers every commit alike.
type fixedStore struct {
	authflow.Store
	done *authflow.Committed
	err  error
}

func (s fixedStore) Commit(context.Context, *authflow.Commit) (*authflow.Committed, error) {
	return s.done, s.err
}

func TestOnlyWhatWroteEventsWakesTheArchiver(t *testing.T) {
	written, repeated := &authflow.Committed{}, &authflow.Committed{Repeated: &authflow.Outcome{}}
	for name, c := range map[string]struct {
		store  fixedStore
		events int
		want   int
	}{
		"events":                  {fixedStore{done: written}, 2, 1},
		"a flow off the record":   {fixedStore{done: written}, 0, 0},
		"a request made again":    {fixedStore{done: repeated}, 1, 0},
		"a commit that failed":    {fixedStore{err: errors.New("away")}, 1, 0},
		"a commit that conflicts": {fixedStore{err: &authflow.Conflict{}}, 1, 0},
	} {
		woken := 0
		s := waking{c.store, func() { woken++ }}
		done, err := s.Commit(t.Context(), &authflow.Commit{Events: make([]audit.Event, c.events)})
		if woken != c.want || done != c.store.done || !errors.Is(err, c.store.err) {
			t.Errorf("%s: woken %d times, answered %v, %v", name, woken, done, err)
		}
	}
	(&work{}).wake() // no archiver here: nothing happens
}
