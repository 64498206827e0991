package redisx

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts; nothing rests on it
	"encoding/hex"
	"errors"
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

// Call collects the keys and arguments of one run, so that they are built once and in the form go-redis sends.
type Call struct {
	args []any
	keys int
	mark mark
}

// head is the place of command, script, number of keys: "EVALSHA sha n".
const head = 3

// NewCall returns an empty call with room for this many keys and arguments.
func NewCall(room int) *Call {
	return &Call{args: make([]any, head, head+room+1)}
}

// Key adds keys. All keys come before the first argument.
func (c *Call) Key(keys ...string) {
	for _, k := range keys {
		c.args = append(c.args, k)
	}
	c.keys += len(keys)
}

// Arg adds arguments: strings, byte slices or integers.
func (c *Call) Arg(args ...any) { c.args = append(c.args, args...) }

// Run runs the script; c is used up. Redis answers NOSCRIPT without running anything, so that the text is then sent and the
// script still runs once. The error, if any, is classified: it tells whether the script may have run.
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
	return cmd.Val(), nil
}

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
	return Classify(err, n > 0)
}
