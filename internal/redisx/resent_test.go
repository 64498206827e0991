package redisx_test

import (
	"context"
	"encoding"
	"errors"
	"io"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// redisError is an error that a server answered.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// resending is a cluster client that sends a command again after it lost a connection, as go-redis does: each error is what
// one round of Process ended with, after so many writes.
type resending struct {
	writes []int
	ends   []error
}

func (r *resending) Process(_ context.Context, cmd redis.Cmder) error {
	for range r.writes[0] {
		for _, a := range cmd.Args() {
			if m, ok := a.(encoding.BinaryMarshaler); ok {
				if _, err := m.MarshalBinary(); err != nil {
					return err
				}
			}
		}
	}
	err := r.ends[0]
	r.writes, r.ends = r.writes[1:], r.ends[1:]
	return err
}

// TestAnErrorAfterALostReplyIsAnUnknownOutcome: the first copy of the command may have run, whatever the second one met.
func TestAnErrorAfterALostReplyIsAnUnknownOutcome(t *testing.T) {
	const noScript, down = redisError("NOSCRIPT No matching script."), redisError("CLUSTERDOWN The cluster is down")
	for name, c := range map[string]struct {
		resending
		want string
	}{
		"answered":                           {resending{[]int{1}, []error{down}}, redisx.NotRecorded},
		"not sent":                           {resending{[]int{0}, []error{io.EOF}}, redisx.NotRecorded},
		"lost":                               {resending{[]int{1}, []error{io.EOF}}, redisx.OutcomeUnknown},
		"sent twice, then answered":          {resending{[]int{2}, []error{down}}, redisx.OutcomeUnknown},
		"unknown script, then answered":      {resending{[]int{1, 1}, []error{noScript, down}}, redisx.NotRecorded},
		"unknown script, then not sent":      {resending{[]int{1, 0}, []error{noScript, errors.New("no connection")}}, redisx.NotRecorded},
		"sent twice, unknown then not sent":  {resending{[]int{2, 0}, []error{noScript, errors.New("no connection")}}, redisx.OutcomeUnknown},
		"sent twice, unknown, then answered": {resending{[]int{2, 1}, []error{noScript, down}}, redisx.OutcomeUnknown},
	} {
		call := redisx.NewCall(1)
		call.Key("k")
		_, err := redisx.NewScript("return 1").Run(t.Context(), &c.resending, call)
		if e := errs.As(err); e == nil || e.Kind != errs.Unavailable || e.Reason != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
