package idp_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/idp"
)

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func huge(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte(strings.Repeat(" ", 1<<16)))
	}
}

func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, " ")
		w.(http.Flusher).Flush()
		<-tick.C
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://127.0.0.1:1/else", http.StatusFound)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

func TestAProviderThatMisbehavesCostsABoundedTimeAndGivesOneReason(t *testing.T) {
	const discovery = "/.well-known/openid-configuration"
	for _, c := range []struct {
		name, path string
		h          http.HandlerFunc
		reason     string
	}{
		{"discovery hangs", discovery, hang, audit.ReasonIDPUnreachable},
		{"discovery drips", discovery, drip, audit.ReasonIDPUnreachable},
		{"discovery is huge", discovery, huge, audit.ReasonIDPError},
		{"discovery redirects", discovery, redirect, audit.ReasonIDPError},
		{"discovery fails", discovery, status(500), audit.ReasonIDPError},
		{"discovery is garbage", discovery, text("<html>"), audit.ReasonIDPError},
		{"discovery is two values", discovery, text("{} {}"), audit.ReasonIDPError},
		{"discovery is of nobody", discovery, text("{}"), audit.ReasonIssuerMismatch},
		{"discovery is of another", discovery, text(`{"issuer":"https://other.example"}`), audit.ReasonIssuerMismatch},
		{"keys hang", "/keys", hang, audit.ReasonIDPUnreachable},
		{"keys are garbage", "/keys", text("<html>"), audit.ReasonKeysUnavailable},
		{"keys fail", "/keys", status(500), audit.ReasonKeysUnavailable},
		{"tokens hang", "/token", hang, audit.ReasonCodeExchangeFailed},
		{"tokens drip", "/token", drip, audit.ReasonCodeExchangeFailed},
		{"tokens are huge", "/token", huge, audit.ReasonCodeExchangeFailed},
		{"tokens redirect", "/token", redirect, audit.ReasonCodeExchangeFailed},
		{"tokens fail", "/token", status(503), audit.ReasonCodeExchangeFailed},
		{"tokens are garbage", "/token", text("<html>"), audit.ReasonCodeExchangeFailed},
		{"tokens are none", "/token", text(`{"access_token":"x"}`), audit.ReasonCodeExchangeFailed},
		{"tokens are null", "/token", text(`null`), audit.ReasonCodeExchangeFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.on(c.path, c.h)
			client := p.client(t, func(cfg *idp.Config) {
				if strings.HasSuffix(c.name, "hang") || strings.HasSuffix(c.name, "hangs") || strings.HasSuffix(c.name, "drip") || strings.HasSuffix(c.name, "drips") {
					cfg.Timeout = time.Second // ends what would not end; long enough for what comes before
				}
			})
			_, err := client.Redeem(t.Context(), orgUID, p.connection(), code())
			wantReason(t, err, c.reason)
			for _, private := range []string{theCode, theVerifier, theNonce, clientSecret} {
				if strings.Contains(err.Error(), private) {
					t.Errorf("%v holds a secret", err)
				}
			}
			if n := p.count("/token"); n > 1 {
				t.Errorf("the code left %d times", n)
			}
		})
	}
}

func TestDiscoveryMayNotLeadInside(t *testing.T) {
	for _, endpoint := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
		for _, at := range []string{"https://169.254.169.254/x", "http://idp.example/x", "https://10.0.0.1/", "https://u:p@idp.example/", "file:///etc/passwd"} {
			p := newProvider(t)
			p.change = func(d map[string]any) { d[endpoint] = at }
			_, err := p.client(t, nil).Begin(t.Context(), orgUID, p.connection(), beginning())
			wantReason(t, err, audit.ReasonIDPUnreachable)
		}
		p := newProvider(t)
		p.change = func(d map[string]any) { delete(d, endpoint) }
		_, err := p.client(t, nil).Begin(t.Context(), orgUID, p.connection(), beginning())
		wantReason(t, err, audit.ReasonIDPError)
	}
}

func TestUnreachableMeansThatNothingWasSent(t *testing.T) {
	p := newProvider(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + l.Addr().String()
	_ = l.Close()
	p.change = func(d map[string]any) { d["token_endpoint"] = nobody + "/token" }
	_, err = p.client(t, nil).Redeem(t.Context(), orgUID, p.connection(), code())
	wantReason(t, err, audit.ReasonIDPUnreachable)
	q := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the code left") }))
	q.TLS, q.Config.ErrorLog = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	q.StartTLS()
	defer q.Close()
	p.change = func(d map[string]any) { d["token_endpoint"] = q.URL + "/token" }
	_, err = p.client(t, nil).Redeem(t.Context(), orgUID, p.connection(), code())
	wantReason(t, err, audit.ReasonIDPUnreachable)
}

func TestACallerWhoGivesUpEndsTheExchangeAndBreaksNothingForOthers(t *testing.T) {
	p := newProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.on("/.well-known/openid-configuration", func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	c := p.client(t, nil)
	_, err := c.Redeem(ctx, orgUID, p.connection(), code())
	wantReason(t, err, audit.ReasonIDPUnreachable)
	p.on("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.discovery()) })
	if _, err := c.Redeem(t.Context(), orgUID, p.connection(), code()); err != nil {
		t.Errorf("the next caller is refused: %v", err)
	}
}

func TestOneCallerFetchesWhileOthersWait(t *testing.T) {
	const path = "/.well-known/openid-configuration"
	p := newProvider(t)
	release := make(chan struct{})
	p.on(path, func(w http.ResponseWriter, _ *http.Request) { <-release; answer(w, p.discovery()) })
	c := p.client(t, nil)
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { _, err := c.Begin(t.Context(), orgUID, p.connection(), beginning()); errs <- err }()
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Begin(impatient, orgUID, p.connection(), beginning())
	wantReason(t, err, audit.ReasonIDPUnreachable)
	close(release)
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := p.count(path); n > 2 { // the impatient one may have been first
		t.Errorf("%d fetches", n)
	}
}

func TestACodeIsNotSentAgainWhenAConnectionBreaks(t *testing.T) {
	p := newProvider(t)
	c := p.client(t, nil)
	if _, err := c.Redeem(t.Context(), orgUID, p.connection(), code()); err != nil {
		t.Fatal(err) // from now on there is a connection to be used again
	}
	p.on("/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := c.Redeem(t.Context(), orgUID, p.connection(), code())
	wantReason(t, err, audit.ReasonCodeExchangeFailed)
	if n := p.count("/token"); n != 2 {
		t.Errorf("%d token requests for two codes", n)
	}
}

func TestADiscoveryDocumentIsKeptShort(t *testing.T) {
	p := newProvider(t)
	p.change = func(d map[string]any) { d["token_endpoint"] = p.URL + "/" + strings.Repeat("x", 3000) }
	_, err := p.client(t, nil).Begin(t.Context(), orgUID, p.connection(), beginning())
	wantReason(t, err, audit.ReasonIDPError)
}
