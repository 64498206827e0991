package embedded_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// The pipe beneath a connection holds nothing: without a buffer, client and store wait for each other here until a timeout.
func TestALongPipelineWithLongAnswersGoesThrough(t *testing.T) {
	c := open(t, "").Client(-1)
	value := strings.Repeat("x", 100_000)
	cmds := make([]*redis.StatusCmd, 200)
	if _, err := c.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range cmds {
			p.Set(t.Context(), "k", value, 0)
			p.Get(t.Context(), "k")
			cmds[i] = p.Ping(t.Context())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range cmds {
		if cmd.Val() != "PONG" {
			t.Fatalf("answer %q", cmd.Val())
		}
	}
}
