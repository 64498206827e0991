package oidc_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

func TestOIDC12ServersThatDoNotDoTheirPart(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", oidc.MaxKeySet) + `]}`))
		}, audit.ReasonKeysUnavailable},
		"page":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, audit.ReasonKeysUnavailable},
		"empty":     {func(http.ResponseWriter, *http.Request) {}, audit.ReasonKeysUnavailable},
		"no set":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"key":1}`)) }, audit.ReasonKeysUnavailable},
		"not found": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, audit.ReasonKeysUnavailable},
		"no body":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, audit.ReasonKeysUnavailable},
		"cut":       {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, audit.ReasonIDPUnreachable},
		"cut later": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":[`))
			panic(http.ErrAbortHandler)
		}, audit.ReasonIDPUnreachable},
		"hung":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, audit.ReasonIDPUnreachable},
		"hung later": {func(w http.ResponseWriter, r *http.Request) { hangAfter(w, r) }, audit.ReasonIDPUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			p := publish(t)
			p.with(c.answer)
			p.keys.SetTimeout(time.Minute)
			if strings.HasPrefix(name, "hung") {
				p.keys.SetTimeout(100 * time.Millisecond)
			}
			for range 20 {
				p.wants(t, "rsa", 0, c.reason)
			}
			p.fetched(t, 1)
			if p.keys.Fingerprint() != "" {
				t.Error("there is a fingerprint of nothing")
			}
			p.serve(oidctest.JWKS())
			p.pass(30 * time.Second)
			p.keys.SetTimeout(time.Minute)
			p.wants(t, "rsa", 1, "")
		})
	}
}

func hangAfter(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(`{"keys":[`))
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func TestOIDC12NobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	for url, reason := range map[string]string{server.URL: audit.ReasonIDPUnreachable, "http://\x7f": audit.ReasonKeysUnavailable} {
		keys := oidc.NewRemoteKeys(url, server.Client(), func() time.Time { return in.Now })
		_, err := oidc.Verify(t.Context(), []byte(in.Sign(oidctest.Token{})), in.Expect(), keys, in.Now)
		refused(t, "", reason, err)
		keys.Close()
	}
	keys := oidc.NewRemoteKeys(server.URL, nil, func() time.Time { return in.Now })
	defer keys.Close()
	_, err := keys.Keys(t.Context(), "")
	refused(t, "", audit.ReasonKeysUnavailable, err)
}

// roundTrip is a way to an issuer without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endless is a body that never ends, and counts.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return len(b), nil
}

func (e *endless) Close() error { return nil }

func TestOIDC12NoMoreIsReadThanAKeySetHas(t *testing.T) {
	body := new(endless)
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: body}, nil
	})}
	keys := oidc.NewRemoteKeys("https://id.example.com/keys", client, func() time.Time { return in.Now })
	defer keys.Close()
	_, err := keys.Keys(t.Context(), "rsa")
	refused(t, "", audit.ReasonKeysUnavailable, err)
	if body.read == 0 || body.read > oidc.MaxKeySet+1 {
		t.Errorf("%d bytes were read", body.read)
	}
}

func TestOIDC12OneWaiterDoesNotEndTheFetchOfAll(t *testing.T) {
	arrived, release := make(chan context.Context, 1), make(chan struct{})
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		arrived <- r.Context()
		<-release
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(oidctest.JWKS()))}, r.Context().Err()
	})}
	keys := oidc.NewRemoteKeys("https://id.example.com/keys", client, func() time.Time { return in.Now })
	defer keys.Close()
	keys.SetTimeout(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := keys.Keys(ctx, "rsa")
		gone <- err
	}()
	fetch := <-arrived
	stayed := make(chan int)
	go func() {
		found, _ := keys.Keys(context.Background(), "rsa")
		stayed <- len(found)
	}()
	cancel()
	refused(t, "", audit.ReasonIDPUnreachable, <-gone)
	if fetch.Err() != nil {
		t.Error("who left has ended the fetch")
	}
	close(release)
	if n := <-stayed; n != 1 {
		t.Errorf("who stayed has %d keys", n)
	}
}

func TestOIDC12CloseEndsAFetch(t *testing.T) {
	p := publish(t)
	arrived := make(chan struct{})
	p.with(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	p.keys.SetTimeout(time.Hour)
	ended := make(chan string)
	go func() {
		_, reason := p.named(t, "rsa")
		ended <- reason
	}()
	<-arrived
	p.keys.Close()
	if reason := <-ended; reason != audit.ReasonKeysUnavailable {
		t.Errorf("%q", reason)
	}
	p.pass(time.Hour)
	p.wants(t, "rsa", 0, audit.ReasonKeysUnavailable)
	p.fetched(t, 1)
}
