package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// macs computes HMAC-SHA-256 with one key over length-prefixed fields. It equals Tink's HMAC PRF over the same bytes and
// keeps the keyed state, so that a MAC costs two block functions less and no allocation.
type macs struct{ pool sync.Pool }

// mac is one reusable computation.
type mac struct {
	state hash.Hash
	in    []byte
	out   [sha256.Size]byte
}

func newMACs(key []byte) *macs {
	key = append([]byte(nil), key...)
	return &macs{sync.Pool{New: func() any { return &mac{state: hmac.New(sha256.New, key), in: make([]byte, 0, 256)} }}}
}

// take returns a computation with no fields yet.
func (m *macs) take() *mac {
	c, ok := m.pool.Get().(*mac)
	if !ok {
		return nil // not reached: the pool makes nothing else
	}
	c.in = c.in[:0]
	return c
}

// sum ends a computation and gives it back.
func (m *macs) sum(c *mac) [sha256.Size]byte {
	c.state.Reset()
	c.state.Write(c.in)
	c.state.Sum(c.out[:0])
	out := c.out
	clear(c.in) // values may be personal
	m.pool.Put(c)
	return out
}

// field adds one length-prefixed field.
func field[T string | []byte](c *mac, value T) {
	c.in = binary.BigEndian.AppendUint32(c.in, uint32(len(value))) //nolint:gosec // values are far below 4 GiB
	c.in = append(c.in, value...)
}
