package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
)

// transport keeps one request within the options.
type transport struct {
	base *http.Transport
	o    Options
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.o.check(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), t.o.Total)
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err == nil {
		resp.Body = &body{in: resp.Body, left: t.o.MaxBody, limit: t.o.MaxBody, done: cancel}
		if err = judge(resp, t.o.MaxBody); err == nil {
			return resp, nil
		}
		_ = resp.Body.Close()
	}
	if ctx.Err() != nil && As(err) == nil {
		err = errors.Join(ctx.Err(), err)
	}
	cancel()
	return nil, classify(err, connected.Load())
}

// CloseIdleConnections lets http.Client close what is idle.
func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// judge refuses an answer by its header.
func judge(resp *http.Response, limit int64) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return failed(Redirected, nil, "it answered %d and sends to %s; redirects are not followed", resp.StatusCode, target(resp))
	}
	if resp.ContentLength > limit {
		return failed(TooLarge, nil, "the answer has %d bytes, at most %d are taken", resp.ContentLength, limit)
	}
	return nil
}

// target is the host a redirect names.
func target(resp *http.Response) string {
	u, err := url.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return "nowhere"
	case u.Host == "":
		return "another path"
	default:
		return u.Host
	}
}

// body is an answer that ends in an error where it gets too long or too slow.
type body struct {
	in    io.ReadCloser
	left  int64
	limit int64
	done  context.CancelFunc // nil: somebody else's
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.in.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, &Error{Kind: TooLarge, Sent: true, Detail: failed(TooLarge, nil, "more than %d bytes", b.limit).Detail}
	}
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, classify(err, true)
	}
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (b *body) Close() error {
	err := b.in.Close()
	if b.done != nil {
		b.done()
	}
	return err
}

// capTransport caps the bodies of a transport that is not of this package.
type capTransport struct {
	base  http.RoundTripper
	limit int64
}

// RoundTrip implements http.RoundTripper.
func (t capTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &body{in: resp.Body, left: t.limit, limit: t.limit}
	if err := judge(resp, t.limit); err != nil {
		_ = resp.Body.Close()
		return nil, classify(err, true)
	}
	return resp, nil
}
