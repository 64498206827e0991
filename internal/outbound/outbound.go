// Package outbound is the HTTP client for addresses that customers type in: identity providers, their keys and metadata.
//
// Purpose: an administrator of one organization may name any URL, and this process must fetch it without becoming their way
// into the network it runs in. Invariants: a connection is made only to an address that was checked as it was dialled,
// whatever the name resolved to before; nothing follows a redirect, reads a proxy from the environment, speaks TLS below 1.2,
// waits longer than it was told or keeps a body longer than it was told.
//
// It must never be used for addresses of the operator (Redis, databases), and its errors never hold a path, a query or a body.
//
// Read this file first, address.go for what is refused.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Resolver turns names into addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options bound a client. The zero value is what a server on the internet wants.
type Options struct {
	// Allow lists networks that may be spoken to although they are private or reserved: closed installations, tests.
	Allow []netip.Prefix
	// AllowHTTP lets URLs be http: what goes over such a connection can be read and changed on the way.
	AllowHTTP bool
	Roots     *x509.CertPool // whom TLS trusts; nil: the system
	Resolver  Resolver       // nil: the system's

	Connect time.Duration // for name, connection; 0: 5 s
	TLS     time.Duration // for the handshake; 0: 5 s
	Header  time.Duration // from the request to the header of the answer; 0: 10 s
	Total   time.Duration // for everything, the body included; 0: 15 s

	MaxBody int64 // bytes of an answer; 0: 1 MiB. A longer one is an error.
}

const (
	defaultConnect = 5 * time.Second
	defaultHeader  = 10 * time.Second
	defaultTotal   = 15 * time.Second
	defaultBody    = 1 << 20

	maxHeader       = 32 << 10
	maxIdle         = 64
	maxIdlePerHost  = 2
	maxConnsPerHost = 32
	idleFor         = 30 * time.Second
	maxAddresses    = 4 // of one name that are tried
)

// New returns a client within o. Its errors hold an *Error; errors of reading a body are one.
func New(o Options) *http.Client {
	o = o.withDefaults()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // one request on one connection: a hung one holds up nobody else
	base := &http.Transport{
		Proxy:                  nil,
		DialContext:            (&dialer{o}).dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		TLSHandshakeTimeout:    o.TLS,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxConnsPerHost:        maxConnsPerHost,
		IdleConnTimeout:        idleFor,
		ResponseHeaderTimeout:  o.Header,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              protocols,
	}
	return &http.Client{
		Transport:     &transport{base: base, o: o},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Capped returns a client that works as c does, on the same connections, and takes at most limit bytes of a body.
func Capped(c *http.Client, limit int64) *http.Client {
	capped := *c
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	if t, ok := base.(*transport); ok {
		o := t.o
		o.MaxBody = min(limit, o.MaxBody)
		capped.Transport = &transport{base: t.base, o: o}
		return &capped
	}
	capped.Transport = capTransport{base, limit}
	return &capped
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.Connect, defaultConnect)
	set(&o.TLS, defaultConnect)
	set(&o.Header, defaultHeader)
	set(&o.Total, defaultTotal)
	if o.MaxBody <= 0 {
		o.MaxBody = defaultBody
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	return o
}
