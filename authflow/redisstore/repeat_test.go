package redisstore_test

import (
	"context"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
)

// twice runs every script two times and answers with the second: what go-redis does after a lost connection to a cluster.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "eval" || name == "evalsha" {
			_ = next(ctx, redis.NewCmd(ctx, cmd.Args()...)) // its answer is the lost one
		}
		return next(ctx, cmd)
	}
}

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestACommitThatRunsTwiceIsNoConflictAndIsWrittenOnce(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	l, next := boundFlow(t, r, o)
	c := r.server.client(t)
	c.AddHook(twice{})
	s, _, keyring := r.process(t, c)
	r.know(t, keyring)
	for i, keyed := range []bool{false, true} {
		step := next(l)
		if !keyed { // as the sweeper commits
			step.Key, step.Outcome = authflow.CommitKey{}, nil
		}
		done, err := s.Commit(t.Context(), step)
		if err != nil {
			t.Fatalf("keyed %t: %v", keyed, err)
		}
		if keyed != (done.Repeated != nil) || !keyed && done.Stamp.IsZero() {
			t.Errorf("keyed %t: %+v", keyed, done)
		}
		got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Flow: l.State.ID})
		if err != nil {
			t.Fatal(err)
		}
		if !keyed && got.Flow.Stamp != done.Stamp {
			t.Errorf("keyed %t: the stamp answered is not the one stored", keyed)
		}
		if n := r.client.XLen(t.Context(), "postern:{0"+string(rune('0'+r.store.Partition(o.UID)))+"}:outbox").Val(); n != int64(i+1) {
			t.Errorf("keyed %t: %d events", keyed, n)
		}
		l = got.Flow
	}
}
