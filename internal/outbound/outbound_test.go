package outbound_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-audit/postern/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// names is a resolver whose answers for a name may change with every question.
type names struct {
	answers map[string][][]netip.Addr
	asked   atomic.Int32
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	i := int(n.asked.Add(1)) - 1
	list := n.answers[host]
	if len(list) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return append([]netip.Addr(nil), list[min(i, len(list)-1)]...), nil
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// serve starts a TLS server and returns it with options that reach it. Its certificate is for example.com and 127.0.0.1.
func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, outbound.Options) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, outbound.Options{Allow: loopback(), Roots: pool}
}

func get(t *testing.T, c *http.Client, at string) ([]byte, error) {
	t.Helper()
	t.Cleanup(c.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func wantKind(t *testing.T, err error, kind outbound.Kind, sent bool) {
	t.Helper()
	if e := outbound.As(err); e == nil || e.Kind != kind || e.Sent != sent {
		t.Fatalf("error %v (%#v), want kind %v, sent %v", err, outbound.As(err), kind, sent)
	}
}

func TestAnAnswerWithinTheBoundsIsRead(t *testing.T) {
	s, o := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345678") })
	o.MaxBody = 8
	got, err := get(t, outbound.New(o), s.URL)
	if err != nil || string(got) != "12345678" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestATooLongAnswerIsAnErrorAndNotCut(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"announced": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "123456789") },
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = io.WriteString(w, "1")
				w.(http.Flusher).Flush()
			}
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := serve(t, h)
			_, err := get(t, outbound.Capped(outbound.New(o), 8), s.URL)
			wantKind(t, err, outbound.TooLarge, true)
			plain := outbound.Capped(s.Client(), 8)
			_, err = get(t, plain, s.URL)
			wantKind(t, err, outbound.TooLarge, true)
		})
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	var hits atomic.Int32
	s, o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "https://elsewhere.example/x?token=hush", http.StatusFound)
	})
	_, err := get(t, outbound.New(o), s.URL)
	wantKind(t, err, outbound.Redirected, true)
	if hits.Load() != 1 || !strings.Contains(err.Error(), "elsewhere.example") || strings.Contains(err.Error(), "hush") {
		t.Errorf("%d requests, %v", hits.Load(), err)
	}
}

func TestWhatTakesTooLongIsGivenUp(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	drip := func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			<-tick.C
		}
	}
	for name, c := range map[string]struct {
		h http.HandlerFunc
		o func(*outbound.Options)
	}{
		"no header":      {hang, func(o *outbound.Options) { o.Header = 50 * time.Millisecond }},
		"total":          {hang, func(o *outbound.Options) { o.Total = 50 * time.Millisecond }},
		"a dripped body": {drip, func(o *outbound.Options) { o.Total = 100 * time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := serve(t, c.h)
			o.Total = time.Minute
			c.o(&o)
			_, err := get(t, outbound.New(o), s.URL)
			wantKind(t, err, outbound.Timeout, true)
		})
	}
}

func TestATLSHandshakeThatHangsSendsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := outbound.Options{Allow: loopback(), TLS: 50 * time.Millisecond, Total: time.Minute}
	_, err = get(t, outbound.New(o), "https://"+l.Addr().String())
	wantKind(t, err, outbound.Timeout, false)
}

func TestAPortWhereNobodyListensIsUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	_, err = get(t, outbound.New(outbound.Options{Allow: loopback()}), "https://"+at)
	wantKind(t, err, outbound.Unreachable, false)
}

func TestTLSIsVerifiedAndNotBelow12(t *testing.T) {
	s, o := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, err := get(t, outbound.New(outbound.Options{Allow: loopback()}), s.URL)
	wantKind(t, err, outbound.Unreachable, false)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = nil
	old.StartTLS()
	defer old.Close()
	_, err = get(t, outbound.New(o), old.URL)
	wantKind(t, err, outbound.Unreachable, false)
}

func TestNamesThatLeadInsideAreRefusedWhateverElseTheyLeadTo(t *testing.T) {
	for _, answer := range [][]netip.Addr{
		addrs("127.0.0.1"), addrs("93.184.216.34", "10.0.0.1"), addrs("::1"), addrs("::ffff:169.254.169.254"), addrs("64:ff9b::a00:1"),
		addrs("fd00::1"), addrs("2002:7f00:1::"), {netip.Addr{}},
	} {
		r := &names{answers: map[string][][]netip.Addr{"idp.example": {answer}}}
		_, err := get(t, outbound.New(outbound.Options{Resolver: r}), "https://idp.example/keys")
		wantKind(t, err, outbound.Refused, false)
	}
}

func TestANameIsResolvedOnceForAConnectionSoThatItCannotChangeInBetween(t *testing.T) {
	s, o := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	r := &names{answers: map[string][][]netip.Addr{"example.com": {addrs("127.0.0.1"), addrs("10.0.0.1")}}}
	o.Resolver = r
	c := outbound.New(o)
	if got, err := get(t, c, "https://example.com:"+port); err != nil || string(got) != "ok" || r.asked.Load() != 1 {
		t.Fatalf("got %q, %v after %d questions", got, err, r.asked.Load())
	}
	c.CloseIdleConnections()
	_, err := get(t, c, "https://example.com:"+port)
	wantKind(t, err, outbound.Refused, false)
	if r.asked.Load() != 2 {
		t.Errorf("asked %d times", r.asked.Load())
	}
}

func TestNamesThatDoNotResolveAreUnreachable(t *testing.T) {
	r := &names{}
	_, err := get(t, outbound.New(outbound.Options{Resolver: r}), "https://idp.example/")
	wantKind(t, err, outbound.Unreachable, false)
	r = &names{answers: map[string][][]netip.Addr{"idp.example": {{}}}}
	_, err = get(t, outbound.New(outbound.Options{Resolver: r}), "https://idp.example/")
	wantKind(t, err, outbound.Unreachable, false)
}

func TestAnAnswerThatIsAnnouncedTooLongIsNotWaitedFor(t *testing.T) {
	s, o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1048576")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	o.MaxBody, o.Total = 1<<10, 2*time.Second
	_, err := get(t, outbound.New(o), s.URL)
	wantKind(t, err, outbound.TooLarge, true)
}

func TestABodyOfARefusedRequestIsClosedAndNotSent(t *testing.T) {
	closed := &closing{Reader: strings.NewReader("code=secret")}
	req := &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "127.0.0.1"}, Body: closed, Header: http.Header{}}
	_, err := outbound.New(outbound.Options{}).Do(req.WithContext(t.Context())) //nolint:bodyclose // there is no answer
	wantKind(t, err, outbound.Refused, false)
	if !closed.closed {
		t.Error("the body is open")
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestACallerWhoGivesUpGetsATimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, o := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	_, err := outbound.New(o).Do(req) //nolint:bodyclose // there is no answer
	wantKind(t, err, outbound.Timeout, true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v hides the cause", err)
	}
}
