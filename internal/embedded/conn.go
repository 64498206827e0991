package embedded

import (
	"net"
	"sync"
	"time"
)

// conn is the client's end of a connection to the store. The pipe beneath holds nothing: a client that writes a long pipeline
// and a server that answers its first commands would wait for each other for ever. So what is written is taken at once and
// carried over by a goroutine of the connection's own, which ends with Close.
type conn struct {
	net.Conn
	mu     sync.Mutex
	more   *sync.Cond // of mu: something was written, or the connection was closed
	queued []byte
	err    error
	closed bool
}

func buffered(pipe net.Conn) net.Conn {
	c := &conn{Conn: pipe}
	c.more = sync.NewCond(&c.mu)
	go c.carry()
	return c
}

// Write takes p and returns; an error is that of an earlier write.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.err != nil {
		return 0, c.err
	}
	c.queued = append(c.queued, p...)
	c.more.Signal()
	return len(p), nil
}

func (c *conn) carry() {
	for {
		c.mu.Lock()
		for len(c.queued) == 0 && !c.closed {
			c.more.Wait()
		}
		next, closed := c.queued, c.closed
		c.queued = nil
		c.mu.Unlock()
		if closed {
			return
		}
		if _, err := c.Conn.Write(next); err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
	}
}

// Close ends the connection; what was not carried over is dropped.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.more.Signal()
	c.mu.Unlock()
	return c.Conn.Close()
}

// SetDeadline bounds reads: writes never wait.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes never wait, and what they left behind is bounded by the read of its answer.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
