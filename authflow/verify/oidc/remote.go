package oidc

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// How RemoteKeys keeps keys. An issuer that withdraws a key is believed refreshAfter later if tokens keep coming, and before the
// next token is judged when the keys are older than waitAfter.
const (
	fetchEvery   = 30 * time.Second // between the starts of two fetches, whatever asks for them
	fetchTimeout = 5 * time.Second
	refreshAfter = 10 * time.Minute // from then on keys are fetched anew beside their use
	waitAfter    = time.Hour        // from then on, before their use
	keepFor      = 24 * time.Hour   // as long old keys are used while new ones cannot be had
	unknownFor   = time.Minute      // as long a kid that was not found is not fetched for again
	maxUnknown   = 256
)

// RemoteKeys is the key set an issuer publishes at a URL, kept here. All use of one issuer's keys goes through one RemoteKeys:
// whatever tokens say, it fetches at most once in 30 seconds, one fetch at a time, which all who need it wait for and none of them
// can end. Close it.
type RemoteKeys struct {
	url    string
	client *http.Client
	now    func() time.Time

	// OnChange, when set before first use, is told the fingerprints before and after whenever fetched keys are other keys; old is
	// "" the first time. It is called by the fetch, which is not over before it returns.
	OnChange func(old, new string)

	running context.Context // ends with Close
	stop    context.CancelFunc
	fetches sync.WaitGroup
	timeout time.Duration

	mu      sync.Mutex
	closed  bool
	set     *StaticKeys // nil until a fetch succeeded
	fetched time.Time
	tried   time.Time           // when the last fetch began; zero: never
	failure *federation.Refusal // of the last fetch that ended
	flight  chan struct{}       // closed when the fetch under way ends; nil: there is none
	unknown map[[32]byte]time.Time
}

// NewRemoteKeys makes an empty set; nothing is fetched before the first use. client decides where requests may go: addresses,
// redirects and TLS are its business, how much is read and how long a fetch takes is bounded here.
func NewRemoteKeys(url string, client *http.Client, now func() time.Time) *RemoteKeys {
	running, stop := context.WithCancel(context.Background())
	return &RemoteKeys{
		url: url, client: client, now: now, running: running, stop: stop, timeout: fetchTimeout, unknown: map[[32]byte]time.Time{},
	}
}

// Close ends a fetch under way and waits for it. Later calls find no keys.
func (r *RemoteKeys) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.fetches.Wait()
}

// Fingerprint tells the current keys from others; "" when there are none.
func (r *RemoteKeys) Fingerprint() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil {
		return ""
	}
	return r.set.Fingerprint()
}

// Keys implements Keys. It waits for a fetch when there is no such key, unless it was looked for just now, or when keys have
// grown old; ctx bounds the waiting, not the fetch.
func (r *RemoteKeys) Keys(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	r.mu.Lock()
	now := r.now()
	old := age(now, r.fetched)
	missing := r.set == nil || len(r.set.named(kid)) == 0 && !r.isUnknown(kid, now)
	var wait chan struct{}
	switch {
	case missing || old >= waitAfter:
		wait = r.fetch(ctx, now)
	case old >= refreshAfter:
		r.fetch(ctx, now)
	}
	r.mu.Unlock()
	if refusal := r.await(ctx, wait); refusal != nil {
		return nil, refusal
	}
	return r.answer(kid, missing, wait != nil)
}

// Refetch implements Refetcher.
func (r *RemoteKeys) Refetch(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	r.mu.Lock()
	wait := r.fetch(ctx, r.now())
	r.mu.Unlock()
	if refusal := r.await(ctx, wait); refusal != nil {
		return nil, refusal
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set == nil {
		return nil, nil
	}
	return r.set.named(kid), nil
}

// age is how long ago t was; a clock that was set back makes things old, not young for ever.
func age(now, t time.Time) time.Duration {
	if d := now.Sub(t); d >= 0 {
		return d
	}
	return keepFor - 1
}

func (r *RemoteKeys) isUnknown(kid string, now time.Time) bool {
	at, found := r.unknown[sha256.Sum256([]byte(kid))]
	return found && age(now, at) < unknownFor
}

// await waits for a fetch; for none when wait is nil.
func (r *RemoteKeys) await(ctx context.Context, wait chan struct{}) *federation.Refusal {
	if wait == nil {
		return nil
	}
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		return federation.Refuse(audit.ReasonIDPUnreachable, "the keys were not there when the call had to end")
	}
}

// answer is what is known of kid now. missing says that it was not found at first, fetched that a fetch was waited for.
func (r *RemoteKeys) answer(kid string, missing, fetched bool) ([]jose.JSONWebKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.closed || r.set == nil || age(now, r.fetched) >= keepFor {
		if r.failure != nil && !r.closed {
			return nil, r.failure
		}
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the issuer's keys were not fetched")
	}
	if len(r.set.keys) == 0 {
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the issuer publishes no key that can check a signature")
	}
	found := r.set.named(kid)
	if len(found) == 0 && missing && r.failure != nil {
		return nil, r.failure // the key may be new there
	}
	if len(found) == 0 && fetched {
		r.note(kid, now)
	}
	return found, nil
}

// note keeps in mind that a kid was not found. A full memory forgets what is over and else notes nothing: fetchEvery holds.
func (r *RemoteKeys) note(kid string, now time.Time) {
	if len(r.unknown) >= maxUnknown {
		for k, at := range r.unknown {
			if age(now, at) >= unknownFor {
				delete(r.unknown, k)
			}
		}
	}
	if len(r.unknown) < maxUnknown {
		r.unknown[sha256.Sum256([]byte(kid))] = now
	}
}
