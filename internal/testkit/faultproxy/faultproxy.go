// Package faultproxy stands between a client and a server and loses replies.
//
// Invariant: while replies are lost, requests still reach the server: the server does what it was asked and nobody hears of it.
// It must never listen beyond this machine or reach the binary. Read New first.
package faultproxy

import (
	"net"
	"sync"
	"testing"
)

// Proxy is a TCP proxy on a free loopback port.
type Proxy struct {
	t        testing.TB
	listener net.Listener
	dial     func() (net.Conn, error)
	wait     sync.WaitGroup

	mu    sync.Mutex
	lose  bool
	lost  int
	conns map[net.Conn]bool
}

// New starts a proxy to whatever dial reaches. It ends with the test.
func New(t testing.TB, dial func() (net.Conn, error)) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("faultproxy: %v", err)
	}
	p := &Proxy{t: t, listener: l, dial: dial, conns: map[net.Conn]bool{}}
	p.wait.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// LoseReplies makes the proxy close a connection instead of passing a reply on, until it is switched off.
func (p *Proxy) LoseReplies(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = on
}

// Lost is how many replies were lost.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Close ends the proxy: nothing accepts connections any more, and those that stand are closed.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := p.dial()
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.wait.Go(func() { p.pass(server, client, false) })
		p.wait.Go(func() { p.pass(client, server, true) })
	}
}

// pass copies until either side ends.
func (p *Proxy) pass(to, from net.Conn, replies bool) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range []net.Conn{to, from} {
			_ = c.Close()
			delete(p.conns, c)
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if replies && p.losing() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) losing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose {
		p.lost++
	}
	return p.lose
}
