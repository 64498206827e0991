package redisx

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts; nothing rests on it
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script. The first use on a server sends its text, later ones its name.
type Script struct{ text, sha string }

// NewScript returns a script.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // see the import
	return &Script{text: text, sha: hex.EncodeToString(sum[:])}
}

// Processor is the part of a client that scripts need.
type Processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Call collects the keys and arguments of one run, so that they are built once and in the form go-redis sends. What go-redis gets
// are pointers into the call: a text or bytes as an interface value of its own would be an allocation each.
type Call struct {
	args  []any
	keys  int
	texts []string
	bytes []octets
	mark  mark
}

// octets are bytes that go-redis asks for when it writes them.
type octets []byte

// MarshalBinary implements encoding.BinaryMarshaler.
func (o *octets) MarshalBinary() ([]byte, error) { return *o, nil }

// head is the place of command, script, number of keys: "EVALSHA sha n".
const head = 3

// calls keeps calls that were used up.
var calls = sync.Pool{New: func() any { return &Call{args: make([]any, head, 32)} }}

// NewCall returns an empty call with room for this many keys and arguments.
func NewCall(room int) *Call {
	c, ok := calls.Get().(*Call)
	if !ok {
		c = &Call{args: make([]any, head)} // not reached: the pool makes nothing else
	}
	c.args = slices.Grow(c.args, room+1)
	return c
}

// free gives a call back. It holds on to nothing.
func (c *Call) free() {
	clear(c.args)
	clear(c.texts)
	clear(c.bytes)
	*c = Call{args: c.args[:head], texts: c.texts[:0], bytes: c.bytes[:0]}
	calls.Put(c)
}

// Key adds keys. All keys come before the first argument.
func (c *Call) Key(keys ...string) {
	c.Text(keys...)
	c.keys += len(keys)
}

// Arg adds arguments: strings, byte slices or integers.
func (c *Call) Arg(args ...any) { c.args = append(c.args, args...) }

// Text adds arguments.
func (c *Call) Text(args ...string) {
	for _, a := range args {
		c.texts = append(c.texts, a)
		c.args = append(c.args, &c.texts[len(c.texts)-1])
	}
}

// Bytes adds arguments, which stay as they are until the script has run.
func (c *Call) Bytes(args ...[]byte) {
	for _, a := range args {
		c.bytes = append(c.bytes, a)
		c.args = append(c.args, &c.bytes[len(c.bytes)-1])
	}
}

// Run runs the script; c is used up and must not be touched again. Redis answers NOSCRIPT without running anything, so that the text is then sent and the
// script still runs once. The error, if any, is classified: it tells whether the script may have run. What the call's bytes lie in may
// be used again when there was none: after an error they may still be on their way.
func (s *Script) Run(ctx context.Context, p Processor, c *Call) (any, error) {
	c.args[0], c.args[1], c.args[2] = "evalsha", s.sha, c.keys
	c.args = append(c.args, &c.mark) // the last argument: see mark
	reply, err := c.process(ctx, p)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		c.mark.written.CompareAndSwap(1, 0)
		c.args[0], c.args[1] = "eval", s.text
		reply, err = c.process(ctx, p)
	}
	if err != nil {
		return nil, c.mark.classify(err)
	}
	c.free()
	return reply, nil
}

func (c *Call) process(ctx context.Context, p Processor) (any, error) {
	cmd := redis.NewCmd(ctx, c.args...)
	err := p.Process(ctx, cmd)
	if errors.Is(err, redis.Nil) {
		return nil, nil //nolint:nilnil // the script answered with nothing
	}
	if err != nil {
		return nil, err
	}
	if cmd.Val() == nil {
		return nil, errNoAnswer
	}
	return cmd.Val(), nil
}

var errNoAnswer = errors.New("redisx: a script ended without answer or error")

// mark is the last argument of every call: go-redis asks for its bytes when it writes the command to a connection. As long
// as it was not asked, no complete command can have left this process.
type mark struct{ written atomic.Int32 }

// MarshalBinary implements encoding.BinaryMarshaler.
func (m *mark) MarshalBinary() ([]byte, error) {
	m.written.Add(1)
	return nil, nil
}

// classify is Classify for a command that a cluster client may have sent again after it lost a connection: the error answered
// last then says nothing about the copies before.
func (m *mark) classify(err error) error {
	n := m.written.Load()
	if n > 1 && isAnswer(err) {
		err = errors.New("sent more than once, and in the end: " + err.Error())
	}
	return Classify(err, n > 0 || errors.Is(err, errLeft)) // whoever left does not know what is written after that
}
