package oidc

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// fetch returns what to wait for: the end of the fetch under way, or of one begun now, or nil when the last one began too short
// a time ago. A fetch is everybody's: of ctx only the values count. The lock is held.
func (r *RemoteKeys) fetch(ctx context.Context, now time.Time) chan struct{} {
	if r.flight != nil {
		return r.flight
	}
	if since := now.Sub(r.tried); r.closed || !r.tried.IsZero() && since >= 0 && since < fetchEvery {
		return nil
	}
	r.tried = now
	done := make(chan struct{})
	r.flight = done
	ctx = context.WithoutCancel(ctx)
	r.fetches.Go(func() {
		defer close(done)
		set, failure := r.get(ctx)
		r.take(set, failure)
	})
	return done
}

// take keeps what a fetch brought; keys of before stay when it failed.
func (r *RemoteKeys) take(set *StaticKeys, failure *federation.Refusal) {
	r.mu.Lock()
	r.flight, r.failure = nil, failure
	before, after := "", ""
	if r.set != nil {
		before = r.set.Fingerprint()
	}
	if failure == nil {
		r.set, r.fetched = set, r.now()
		after = set.Fingerprint()
	}
	r.mu.Unlock()
	if failure == nil && before != after && r.OnChange != nil {
		r.OnChange(before, after)
	}
}

// get fetches the set once.
func (r *RemoteKeys) get(ctx context.Context) (set *StaticKeys, failure *federation.Refusal) {
	defer func() {
		if recover() != nil {
			set, failure = nil, federation.Refuse(audit.ReasonKeysUnavailable, "fetching the keys broke")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	defer context.AfterFunc(r.running, cancel)() //nolint:contextcheck // Close ends it, too
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, http.NoBody)
	if err != nil {
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the address of the keys is none: %v", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, federation.Refuse(audit.ReasonIDPUnreachable, "the keys: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the keys: HTTP status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxKeySet+1))
	if err != nil {
		return nil, federation.Refuse(audit.ReasonIDPUnreachable, "the keys: %v", err)
	}
	if set, err = ParseKeys(body); err != nil {
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "%v", err)
	}
	return set, nil
}
