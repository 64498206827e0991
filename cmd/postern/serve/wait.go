package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// DependencyError says that something this process needs could not be reached or is not fit.
type DependencyError struct {
	What string // Redis, archive
	Err  error
}

// Error implements error.
func (e *DependencyError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }

// Unwrap returns the cause.
func (e *DependencyError) Unwrap() error { return e.Err }

// ConfigError says that what the process found does not go with its configuration.
type ConfigError struct{ Err error }

// Error implements error.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

const retryEvery = 250 * time.Millisecond

// await tries until it works, fails for good, or ctx ends. Only a dependency that does not answer is worth another try. It says
// in the log for what it waits, once.
func await(ctx context.Context, log *slog.Logger, what string, try func(context.Context) error) error {
	told := false
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if !temporary(err) {
			return &DependencyError{what, err}
		}
		if !told {
			log.WarnContext(ctx, "waiting for a dependency", "dependency", what, "error", err)
			told = true
		}
		t := time.NewTimer(retryEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return &DependencyError{what, fmt.Errorf("not reached in time: %w", err)}
		}
	}
}

// temporary reports whether trying again may help.
func temporary(err error) bool {
	kind := errs.KindOf(err)
	return kind == errs.Unavailable || kind == errs.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
}
