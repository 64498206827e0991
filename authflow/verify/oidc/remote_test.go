package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

// publisher is an issuer's key endpoint, which counts, with a clock that tests move.
type publisher struct {
	keys    *oidc.RemoteKeys
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
	clock   atomic.Int64
}

// TestMain finds fetches nobody waits for.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func publish(t *testing.T, names ...string) *publisher {
	t.Helper()
	p := new(publisher)
	p.clock.Store(in.Now.UnixNano())
	p.serve(oidctest.JWKS(names...))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		(*p.answer.Load())(w, r)
	}))
	p.keys = oidc.NewRemoteKeys(server.URL, server.Client(), p.now)
	t.Cleanup(func() {
		p.keys.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

func (p *publisher) now() time.Time { return time.Unix(0, p.clock.Load()).UTC() }

func (p *publisher) pass(d time.Duration) { p.clock.Add(int64(d)) }

func (p *publisher) with(h http.HandlerFunc) { p.answer.Store(&h) }

func (p *publisher) serve(set []byte) {
	p.with(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
}

func (p *publisher) fetched(t *testing.T, want int64) {
	t.Helper()
	if got := p.fetches.Load(); got != want {
		t.Errorf("%d fetches, want %d", got, want)
	}
}

// named asks for the keys of a kid; reason is that of the refusal.
func (p *publisher) named(t *testing.T, kid string) (count int, reason string) {
	t.Helper()
	keys, err := p.keys.Keys(t.Context(), kid)
	var refusal *federation.Refusal
	if errors.As(err, &refusal) {
		return len(keys), refusal.Reason
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(keys), ""
}

func (p *publisher) wants(t *testing.T, kid string, count int, reason string) {
	t.Helper()
	if n, got := p.named(t, kid); n != count || got != reason {
		t.Errorf("%q: %d keys and %q, want %d and %q", kid, n, got, count, reason)
	}
}

func TestOIDC12ManyUseOneFetch(t *testing.T) {
	p := publish(t, "rsa", "ec")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { p.wants(t, "rsa", 1, "") })
	}
	all.Wait()
	p.wants(t, "ec", 1, "")
	p.wants(t, "", 2, "")
	p.fetched(t, 1)
}

func TestOIDC12AThousandBadTokensCauseOneFetchInThirtySeconds(t *testing.T) {
	p := publish(t, "rsa")
	forged := []string{
		in.Sign(oidctest.Token{Key: "forger"}), in.Sign(oidctest.Token{Header: oidctest.M{"kid": nil}, Key: "forger"}),
	}
	for i := range 20 {
		forged = append(forged, in.Sign(oidctest.Token{Header: oidctest.M{"kid": fmt.Sprint("unknown-", i)}, Key: "forger"}))
	}
	good := []byte(in.Sign(oidctest.Token{}))
	attack := func() {
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for i := range 250 {
					raw := forged[(i+worker)%len(forged)]
					_, err := oidc.Verify(t.Context(), []byte(raw), in.Expect(), p.keys, in.Now)
					var refusal *federation.Refusal
					if !errors.As(err, &refusal) || refusal.Reason != audit.ReasonSignatureInvalid {
						t.Errorf("forged: %v", err)
					}
				}
			})
		}
		all.Wait()
	}
	if _, err := oidc.Verify(t.Context(), good, in.Expect(), p.keys, in.Now); err != nil {
		t.Fatal(err)
	}
	attack()
	p.fetched(t, 1)
	p.pass(30 * time.Second)
	attack()
	p.fetched(t, 2)
	p.pass(29 * time.Second)
	attack()
	p.fetched(t, 2)
	p.pass(time.Second)
	attack()
	p.fetched(t, 3)
	if _, err := oidc.Verify(t.Context(), good, in.Expect(), p.keys, in.Now); err != nil {
		t.Errorf("a good token after the attack: %v", err)
	}
}

func TestOIDC12AnUnknownKidIsRememberedForAMinute(t *testing.T) {
	p := publish(t, "rsa")
	p.wants(t, "gone", 0, "")
	p.fetched(t, 1)
	p.pass(31 * time.Second)
	p.wants(t, "gone", 0, "")
	p.fetched(t, 1)
	p.pass(30 * time.Second)
	p.serve(oidctest.JWKS("rsa", "ec"))
	p.wants(t, "ec", 1, "")
	p.fetched(t, 2)
	// What was not fetched for is not remembered: it may be newer than the last fetch.
	p.wants(t, "newer", 0, "")
	p.pass(30 * time.Second)
	p.wants(t, "newer", 0, "")
	p.fetched(t, 3)
	for i := range 1000 { // a full memory is no reason to fetch
		p.wants(t, fmt.Sprint("kid-", i), 0, "")
	}
	p.fetched(t, 3)
}

func TestOIDC12RolloverUnderANewAndUnderTheSameKid(t *testing.T) {
	p := publish(t, "rsa")
	check := func(k oidctest.Token, reason string) {
		t.Helper()
		_, err := oidc.Verify(t.Context(), []byte(in.Sign(k)), in.Expect(), p.keys, in.Now)
		var refusal *federation.Refusal
		if errors.As(err, &refusal) != (reason != "") || refusal != nil && refusal.Reason != reason {
			t.Errorf("%v, want %q", err, reason)
		}
	}
	check(oidctest.Token{}, "")
	p.pass(30 * time.Second)
	p.serve(oidctest.JWKS("rsa", "rsa2"))
	check(oidctest.Token{Header: oidctest.M{"kid": "rsa2"}}, "")
	p.fetched(t, 2)
	p.serve([]byte(strings.ReplaceAll(string(oidctest.JWKS("rsa2")), `"rsa2"`, `"rsa"`)))
	check(oidctest.Token{Key: "rsa2"}, audit.ReasonSignatureInvalid) // 30 seconds are not over
	p.pass(30 * time.Second)
	check(oidctest.Token{Key: "rsa2"}, "")
	check(oidctest.Token{}, audit.ReasonSignatureInvalid) // the key that is gone
	p.fetched(t, 3)
}

func TestOIDC12OldKeysStayForADayWhenNewOnesCannotBeHad(t *testing.T) {
	p := publish(t, "rsa")
	p.wants(t, "rsa", 1, "")
	p.with(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	p.pass(2 * time.Hour)
	p.wants(t, "rsa", 1, "")
	p.fetched(t, 2)
	p.wants(t, "gone", 0, audit.ReasonKeysUnavailable) // it may be new
	p.fetched(t, 2)
	p.pass(22*time.Hour - time.Second)
	p.wants(t, "rsa", 1, "")
	p.pass(time.Second)
	p.wants(t, "rsa", 0, audit.ReasonKeysUnavailable)
	p.serve(oidctest.JWKS("rsa"))
	p.wants(t, "rsa", 0, audit.ReasonKeysUnavailable)
	p.pass(30 * time.Second)
	p.wants(t, "rsa", 1, "")
}

func TestOIDC12AWithdrawnKeyGoes(t *testing.T) {
	p := publish(t, "rsa", "ec")
	p.wants(t, "ec", 1, "")
	p.serve(oidctest.JWKS("rsa"))
	p.pass(10*time.Minute - time.Second)
	p.wants(t, "ec", 1, "")
	p.fetched(t, 1)
	p.pass(time.Second)
	p.wants(t, "ec", 1, "") // used once more while new ones come
	eventually(t, func() bool { n, _ := p.named(t, "ec"); return n == 0 })
	p.fetched(t, 2)
	p.serve(oidctest.JWKS("enc"))
	p.pass(time.Hour)
	p.wants(t, "rsa", 0, "") // before use, after an hour
	p.serve([]byte(`{"keys":[]}`))
	p.pass(time.Hour)
	p.wants(t, "rsa", 0, audit.ReasonKeysUnavailable)
}

func TestOIDC12ChangesAreTold(t *testing.T) {
	p := publish(t, "rsa", "ec")
	var told []string
	p.keys.OnChange = func(before, after string) { told = append(told, before+" "+after) }
	p.wants(t, "rsa", 1, "")
	first := p.keys.Fingerprint()
	for i, names := range [][]string{{"ec", "rsa"}, {"ec"}, {"ec"}, {"ec", "ed"}} {
		p.serve(oidctest.JWKS(names...))
		p.pass(time.Hour)
		if n, _ := p.named(t, "ec"); n != 1 {
			t.Errorf("fetch %d: %d keys", i, n)
		}
	}
	p.fetched(t, 5)
	if len(told) != 3 || told[0] != " "+first || !strings.HasPrefix(told[1], first+" ") || !strings.HasSuffix(told[2], " "+p.keys.Fingerprint()) {
		t.Errorf("told %q", told)
	}
	if parsed(t, oidctest.JWKS("rsa", "ec")).Fingerprint() != first || len(first) != 64 {
		t.Errorf("fingerprint %q", first)
	}
}

func TestOIDC12AClockSetBackStopsNothing(t *testing.T) {
	p := publish(t, "rsa")
	p.wants(t, "rsa", 1, "")
	p.pass(-48 * time.Hour)
	p.serve(oidctest.JWKS("ec"))
	p.wants(t, "rsa", 0, "")
	p.wants(t, "ec", 1, "")
	p.fetched(t, 2)
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it never came")
		}
	}
}
