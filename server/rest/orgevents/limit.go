package orgevents

import (
	"sync"
	"time"

	"github.com/postern-audit/postern/apikey"
)

// limitKey is whose requests to what are counted together. Only keys that proved themselves are.
type limitKey struct {
	organizationUID string
	key             apikey.ID
	kind            kind
}

// limits counts the requests of the running minute of the clock, so that the moment it starts over can be said without seconds, as
// pollers read it. It counts in this process alone.
type limits struct {
	mu     sync.Mutex
	minute time.Time
	used   map[limitKey]int
	open   map[limitKey]int // requests whose answers are not written yet, of whatever kind
}

// enter counts a request of a key as open, or refuses it.
func (l *limits) enter(k *apikey.Key) bool {
	key := limitKey{organizationUID: k.OrganizationUID, key: k.ID}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[key] >= maxOfKey {
		return false
	}
	l.open[key]++
	return true
}

// leave is the end of a request that entered.
func (l *limits) leave(k *apikey.Key) {
	key := limitKey{organizationUID: k.OrganizationUID, key: k.ID}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[key]--; l.open[key] == 0 {
		delete(l.open, key)
	}
}

// take counts one request and returns how many are left, or false when there were none.
func (l *limits) take(key limitKey, limit int, now time.Time) (left int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute = minute
		clear(l.used)
	}
	if l.used[key] >= limit {
		return 0, false
	}
	l.used[key]++
	return limit - l.used[key], true
}
