// Package idptest is a fake OpenID provider and a fake SAML identity provider, with one switch for everything a provider can get
// wrong.
//
// Invariant: without a switch both behave as a good provider does, and check what the relying party sends (client, redirect URI,
// PKCE, one use of a code; destination and signature of a request). A switch changes one thing. They live on 127.0.0.1 behind TLS
// with a certificate of their own and read the time from the clock they are given.
//
// It must never reach the binary, nor take a switch that means nothing to it: that fails the test. Providers that nobody here
// wrote are in package realidp. Read NewOIDC and NewSAML first, then fault.go for the switches.
package idptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

// RedirectURI is the relying party's callback, EntityID and ACSURL its names in SAML, unless options say otherwise.
const (
	RedirectURI = "https://app.example/callback"
	EntityID    = "https://postern.example/saml"
	ACSURL      = "https://app.example/acs"
)

// Option changes one thing about a provider before it starts.
type Option func(*config)

type config struct {
	now       func() time.Time
	plain     bool
	client    Client
	sp        SP
	ecdsa     bool
	algorithm string
	signsMeta bool
	notAfter  time.Time
}

// Clock makes the provider live at another time.
func Clock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// PlainHTTP serves http instead of https.
func PlainHTTP() Option { return func(c *config) { c.plain = true } }

// web is what both providers share: the server, its switches and its counters.
type web struct {
	t      testing.TB
	now    func() time.Time
	server *httptest.Server
	ended  chan struct{} // closed when the test ends, so that a hanging answer does too
	known  []Fault

	mu      sync.Mutex
	faults  map[Fault]bool
	manners map[Endpoint]Manner
	calls   map[Endpoint]int
	written map[Endpoint]int64
	seen    []string
}

// serve starts the server.
func serve(t testing.TB, c config, known []Fault, mux *http.ServeMux) *web {
	t.Helper()
	w := &web{
		t: t, now: c.now, ended: make(chan struct{}), known: known, server: httptest.NewUnstartedServer(mux),
		faults: map[Fault]bool{}, manners: map[Endpoint]Manner{}, calls: map[Endpoint]int{}, written: map[Endpoint]int64{},
	}
	if c.plain {
		w.server.Start()
	} else {
		w.server.StartTLS()
	}
	t.Cleanup(func() {
		close(w.ended)
		w.server.CloseClientConnections()
		w.server.Close()
	})
	mux.HandleFunc("/elsewhere", func(rw http.ResponseWriter, _ *http.Request) {
		w.count(Elsewhere)
		rw.WriteHeader(http.StatusNoContent)
	})
	return w
}

func settings(opts []Option) config {
	c := config{now: time.Now, algorithm: "RS256", client: Client{ID: "postern"}, sp: SP{EntityID: EntityID, ACSURL: ACSURL}}
	for _, o := range opts {
		o(&c)
	}
	return c
}

// URL is where the provider is, without a slash at the end.
func (w *web) URL() string { return w.server.URL }

// RootCAs trusts the provider's certificate.
func (w *web) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	if cert := w.server.Certificate(); cert != nil {
		pool.AddCert(cert)
	}
	return pool
}

// RootPEM is the same for a process that reads a file.
func (w *web) RootPEM() []byte {
	w.t.Helper()
	cert := w.server.Certificate()
	if cert == nil {
		w.t.Fatal("idptest: a provider on plain HTTP has no certificate")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// HTTPClient is a client that trusts the provider and follows no redirect.
func (w *web) HTTPClient() *http.Client {
	return &http.Client{
		Transport:     w.transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (w *web) transport() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: w.RootCAs(), MinVersion: tls.VersionTLS12}}
}

// Break turns switches on. They hold until Mend.
func (w *web) Break(faults ...Fault) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range faults {
		if !slices.Contains(w.known, f) {
			w.t.Fatalf("idptest: this provider has no switch %q", f)
		}
		w.faults[f] = true
	}
}

// Mend turns all switches off, those of Answer too.
func (w *web) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.faults)
	clear(w.manners)
}

// Answer makes an endpoint answer in a manner until Mend, or until it is told Properly.
func (w *web) Answer(e Endpoint, m Manner) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manners[e] = m
}

// Calls is how often an endpoint was called.
func (w *web) Calls(e Endpoint) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[e]
}

// Written is how many bytes of Huge answers an endpoint got rid of: what a client took in, plus what the network holds.
func (w *web) Written(e Endpoint) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written[e]
}

func (w *web) is(f Fault) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults[f]
}

func (w *web) count(e Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[e]++
}

// endpoint counts the calls of a handler and lets Answer come in between.
func (w *web) endpoint(e Endpoint, handle http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		w.count(e)
		w.mu.Lock()
		m := w.manners[e]
		w.mu.Unlock()
		if m == Properly {
			handle(rw, r)
			return
		}
		w.misbehave(rw, r, e, m)
	}
}

// visit runs a browser until the request that would leave for one of the relying party's URLs.
func (w *web) visit(start func(context.Context, *browser.Browser) (browser.Callback, error), callbacks ...string) browser.Callback {
	w.t.Helper()
	b, err := browser.New(w.transport())
	if err != nil {
		w.t.Fatal(err)
	}
	b.Callbacks = callbacks
	got, err := start(w.t.Context(), b)
	if err != nil {
		w.t.Fatalf("idptest: %v", err)
	}
	return got
}

func (w *web) open(address string, callbacks ...string) browser.Callback {
	w.t.Helper()
	return w.visit(func(ctx context.Context, b *browser.Browser) (browser.Callback, error) { return b.Open(ctx, address) }, callbacks...)
}

func (w *web) post(address string, form url.Values, callbacks ...string) browser.Callback {
	w.t.Helper()
	return w.visit(func(ctx context.Context, b *browser.Browser) (browser.Callback, error) {
		return b.Post(ctx, address, form)
	}, callbacks...)
}
