package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// closers is the stack of what a process has opened: closed in reverse order, each once and within its own time, whatever
// fails in between.
type closers struct {
	log   *slog.Logger
	each  time.Duration // how long one may take
	stack []closer
}

type closer struct {
	name  string
	close func(context.Context) error
}

// add puts something on top.
func (c *closers) add(name string, closeIt func(context.Context) error) {
	c.stack = append(c.stack, closer{name, closeIt})
}

// close closes everything and returns what went wrong.
func (c *closers) close(ctx context.Context) error {
	var problems []error
	for i := len(c.stack) - 1; i >= 0; i-- {
		top := c.stack[i]
		c.log.DebugContext(ctx, "closing", "part", top.name)
		bounded, cancel := context.WithTimeout(ctx, c.each)
		if err := errs.Guard(func() error { return top.close(bounded) }); err != nil { // what broke a part may break its end as well
			problems = append(problems, fmt.Errorf("close %s: %w", top.name, err))
		}
		cancel()
	}
	c.stack = nil
	return errors.Join(problems...)
}
