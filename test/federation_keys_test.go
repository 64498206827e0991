package test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// own hands in a token that the login service got by itself, on a flow.
func (a *abroad) own(flow, connection, nonce, token string) *posternv1.CompleteFederationRequest {
	return &posternv1.CompleteFederationRequest{Flow: flow, RequestId: a.id(), Connection: connection, Expectations: &posternv1.Expectations{Nonce: nonce},
		Evidence: &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: token}}}
}

// known signs somebody in at an OpenID provider with a token, through a process.
func (a *abroad) known(p *process, o *idptest.OIDC, connection string) error {
	nonce := "nonce-of-" + a.id() + "-and-more"
	c, err := a.complete(p, a.own(a.flow(p, ""), connection, nonce, o.IDToken(idptest.Claims{"nonce": nonce})))
	if err == nil && c.GetIdentity() == nil {
		err = fmt.Errorf("answered %v", c)
	}
	return err
}

// asked signs somebody in at a SAML provider, through a process.
func (a *abroad) asked(p *process, s *idptest.SAML, connection string) error {
	b := a.begin(p, a.flow(p, ""), connection)
	c, err := a.complete(p, a.back(b, s.SignIn(b.GetRedirectUrl())))
	if err == nil && c.GetIdentity() == nil {
		err = fmt.Errorf("answered %v", c)
	}
	return err
}

const forgeries = 1000

// forge hands in many tokens whose signatures do not fit: with a key that has the right name, and with one of an unknown name.
func (a *abroad) forge(o *idptest.OIDC, connection string) {
	a.t.Helper()
	const workers = 8
	nonce := "nonce-of-all-the-forgeries"
	a.hide(nonce)
	var tokens []string
	for _, fault := range []idptest.Fault{idptest.OtherKey, idptest.UnknownKid, idptest.BrokenSignature} {
		o.Break(fault)
		for range 20 {
			tokens = append(tokens, o.IDToken(idptest.Claims{"nonce": nonce}))
		}
		o.Mend()
	}
	processes := append([]*process{a.p}, a.rest...)
	var wg sync.WaitGroup
	for w := range workers {
		p := processes[w%len(processes)]
		wg.Go(func() {
			for n := 0; n < forgeries/workers; {
				flow := a.flow(p, "")
				for over := false; !over && n < forgeries/workers; n++ { // a flow takes so many rejections only
					c, err := a.complete(p, a.own(flow, connection, nonce, tokens[(w*forgeries+n)%len(tokens)]))
					if err != nil || c.GetAnswer().GetReason() != "SIGNATURE_INVALID" {
						a.t.Errorf("a forgery is answered %v, %v", c, err)
						return
					}
					over = c.GetAnswer().GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED
				}
			}
		})
	}
	wg.Wait()
}

// Whatever forgeries come, a provider is asked for its keys once in thirty seconds by each process; then it may have new keys, and
// sign-ins go on with those. New keys and certificates near their end are on the record once, however many processes saw them.
func TestKeysOfProvidersAreFetchedSeldomAndRecordedOnce(t *testing.T) {
	t.Parallel()
	const every = 30 * time.Second // the promise
	ec := idptest.Algorithm("ES256")
	o, first, second := idptest.NewOIDC(t, ec), idptest.NewOIDC(t, ec), idptest.NewOIDC(t, ec)
	s := idptest.NewSAML(t, idptest.ECDSA(), idptest.CertificateUntil(time.Now().AddDate(0, 0, 10)))
	a := goAbroad(t, o.RootPEM(), 2)
	a.oidc("corp", o)
	a.oidc("first", first)
	a.oidc("second", second)
	a.saml("agency", s)
	a.apply()
	for _, p := range []interface{ SetPerson(idptest.Person) }{o, first, second, s} {
		p.SetPerson(person("ida"))
	}
	other := a.rest[0]
	began := time.Now()
	for _, p := range []*process{a.p, other} {
		a.p.must2(a.known(p, o, "corp"))
		a.p.must2(a.asked(p, s, "agency"))
	}
	a.forge(o, "corp")
	for _, p := range []*process{a.p, other} {
		a.p.must2(a.known(p, o, "corp"))
	}
	if n, most := o.Calls(idptest.JWKS), 2*(2+int(time.Since(began)/every)); n > most {
		t.Errorf("the keys were fetched %d times by two processes, at most %d is right", n, most)
	}

	o.RotateKey()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	bound, cancel := context.WithTimeout(t.Context(), 3*every)
	defer cancel()
	for _, p := range []*process{a.p, other} {
		for err := a.known(p, o, "corp"); err != nil; err = a.known(p, o, "corp") {
			select {
			case <-bound.Done():
				t.Fatalf("the new key is not taken: %v", err)
			case <-tick.C:
			}
		}
	}
	if n, most := o.Calls(idptest.JWKS), 2*(2+int(time.Since(began)/every)); n > most {
		t.Errorf("the keys were fetched %d times by two processes, at most %d is right", n, most)
	}

	// What a process has to tell of keys it tells in order: when these are there, all before are.
	a.p.must2(a.known(a.p, first, "first"))
	a.p.must2(a.known(other, second, "second"))
	seen := map[string]map[string]int{}
	a.recorded("the keys of all", func(events []*posternv1.Event) bool {
		clear(seen)
		for _, e := range events {
			if e.GetType() != "connection.keys_changed" && e.GetType() != "connection.certificate_expiring" {
				continue
			}
			kind := e.GetConnection() + " " + e.GetType()
			if seen[kind] == nil {
				seen[kind] = map[string]int{}
			}
			for _, c := range e.GetChanges() {
				if c.GetField() != "not_after" {
					seen[kind][c.GetAfter()]++
				}
			}
		}
		return seen["first connection.keys_changed"] != nil && seen["second connection.keys_changed"] != nil
	})
	for kind, want := range map[string]int{"corp connection.keys_changed": 2, "agency connection.keys_changed": 1, "agency connection.certificate_expiring": 1,
		"first connection.keys_changed": 1, "second connection.keys_changed": 1} {
		if len(seen[kind]) != want {
			t.Errorf("%s: %v, want %d", kind, seen[kind], want)
		}
		for fingerprint, n := range seen[kind] {
			if n != 1 {
				t.Errorf("%s of %s is recorded %d times", kind, fingerprint, n)
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("recorded %v", seen)
	}
	a.sealed()
}
