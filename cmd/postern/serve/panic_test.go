package serve

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// A part that panics in the background must not leave the rest of the process at work without it, nor end it without order.
func TestAPanicInTheBackgroundStopsTheProcessInOrder(t *testing.T) {
	for part, where := range map[string]string{
		"sweeper":        "authflow.(*Sweeper).loop",
		"archiver":       "archiver.(*Archiver).carry",
		"gRPC":           "interceptor.(*Recorder).run",
		"watch":          "serve.(*watch).run",
		"embedded store": "embedded.(*Store).tick",
	} {
		t.Run(part, func(t *testing.T) {
			c := settings(t)
			c.HTTP.Address = ""
			var armed atomic.Bool
			now := func() time.Time {
				if armed.Load() && strings.Contains(string(debug.Stack()), where) && armed.CompareAndSwap(true, false) {
					panic("alice@partner.example")
				}
				return time.Now()
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var log lines
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, c, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: now, Version: "test"})
			}()
			for !strings.Contains(log.String(), "msg=serving") {
				select {
				case err := <-ended:
					t.Fatalf("it ended: %v\n%s", err, log.String())
				case <-time.After(5 * time.Millisecond):
				}
			}
			armed.Store(true)
			err := <-ended
			var panicked *errs.Panic
			if !errors.As(err, &panicked) || !strings.HasPrefix(err.Error(), part+": ") || ctx.Err() != nil {
				t.Errorf("Run() = %v", err)
			}
			var config *ConfigError
			var dependency *DependencyError
			if errors.As(err, &config) || errors.As(err, &dependency) {
				t.Errorf("it would not exit with 1: %v", err)
			}
			said := log.String()
			if strings.Count(said, "stack=") != 1 || strings.Count(said, where) == 0 || !strings.Contains(said, "msg=stopped") {
				t.Errorf("it says:\n%s", said)
			}
			if strings.Contains(said, "alice") || strings.Contains(err.Error(), "alice") {
				t.Error("the panic's value is in the log")
			}
			if _, err := os.Stat(filepath.Join(c.DataDir, runningMark)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the store was not closed in order: %v", err)
			}
		})
	}
}
