// Package serve wires one process out of the parts that know nothing of each other, and runs it.
//
// Purpose: start in order, check what promises rest on, watch it while running, stop in order. Invariant: nothing is served
// before every check has passed; everything opened is closed, in reverse order, within a bound; an error in the set-up of
// anything ends the start. It must never hold rules of the product: those are in the parts. First file to read: serve.go;
// stores.go, work.go and front.go make the parts, watch.go decides readiness.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/telemetry"
)

// Options are what a process needs besides its settings.
type Options struct {
	Log     *slog.Logger
	Now     func() time.Time
	Version string
}

// process is a running sidecar.
type process struct {
	c       config.Config
	log     *slog.Logger
	now     func() time.Time
	version string
	holder  string // this process, unlike any other
	metrics *telemetry.Metrics
	clock   *redisx.Clock
	closers closers
	failed  chan error // from what runs in the background

	stores stores
	work   work
	front  front
	watch  watch
	unmark func() error // says that the embedded store was closed in order; nil without it
}

// Run runs a sidecar until ctx ends, and stops it. It returns nil when everything was closed in order and in time.
func Run(ctx context.Context, c config.Config, o Options) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	p := &process{
		c: c, log: o.Log, now: o.Now, version: o.Version, metrics: telemetry.NewMetrics(o.Now), clock: redisx.NewClock(o.Now),
		holder: host + "/" + strconv.Itoa(os.Getpid()) + "/" + newID()[24:], closers: closers{log: o.Log, each: c.Deadlines.Stop},
		failed: make(chan error, 8),
	}
	p.metrics.Build(o.Version, runtime.Version())
	defer lessCollecting()()
	err = p.start(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-p.failed:
			p.tell(ctx, err)
		}
	} else if ctx.Err() != nil {
		err = fmt.Errorf("interrupted while starting: %w", err)
	}
	p.log.InfoContext(ctx, "stopping")
	if errStop := p.closers.close(context.WithoutCancel(ctx)); errStop != nil {
		err = errors.Join(err, errStop)
	} else {
		p.log.InfoContext(ctx, "stopped")
	}
	return err
}

// collectAt is how much the heap may grow, in percent, before it is collected. What lives is small (known flows), what calls
// leave behind is much: collecting a quarter as often costs memory and saves a tenth of a call. softLimit is where memory
// counts for more: near it the collector works as often as it must.
const (
	collectAt = 400
	softLimit = 1 << 30
)

// lessCollecting sets the collector as far as GOGC and GOMEMLIMIT have not set it, and returns what sets it back.
func lessCollecting() func() {
	const standard = 100
	percent, limit := debug.SetGCPercent(collectAt), debug.SetMemoryLimit(-1)
	if percent != standard {
		debug.SetGCPercent(percent)
	}
	if limit == math.MaxInt64 {
		debug.SetMemoryLimit(softLimit)
	}
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// start opens everything, in the order in which one part needs another.
func (p *process) start(ctx context.Context) error {
	p.log.InfoContext(ctx, "starting", "version", p.version, "redis", p.c.Redis.Mode, "components", p.c.Components, "data_dir", p.c.DataDir)
	bounded, cancel := context.WithTimeout(ctx, p.c.Deadlines.Start)
	defer cancel()
	for _, step := range []func(context.Context) error{
		p.openData, p.openKeys, p.openRedis, p.openArchive, p.checkInstallation, p.openStores, p.makeWork, p.recoverLost, p.startWork, p.openFront,
	} {
		if err := step(bounded); err != nil {
			return err
		}
	}
	if err := p.startWatch(bounded); err != nil {
		return err
	}
	p.startFront()
	p.log.InfoContext(ctx, "serving", "socket", p.c.SocketPath(), "http", p.front.httpAddress(), "tcp", p.c.Listen.TCP)
	return nil
}

// has reports whether a component is switched on.
func (p *process) has(component string) bool {
	for _, c := range p.c.Components {
		if c == component {
			return true
		}
	}
	return false
}

// tell logs why the process stops by itself; of a panic also where it was.
func (p *process) tell(ctx context.Context, err error) {
	attrs := []any{"error", err}
	var panicked *errs.Panic
	if errors.As(err, &panicked) {
		attrs = append(attrs, "stack", string(panicked.Stack))
	}
	p.log.ErrorContext(ctx, "a part of the process failed; stopping", attrs...)
}

// fail stops the process. Only the first few failures count.
func (p *process) fail(name string, err error) {
	select {
	case p.failed <- fmt.Errorf("%s: %w", name, err):
	default:
	}
}

// background runs f until it returns; an error or a panic stops the process. wait returns when f has returned.
func (p *process) background(name string, f func() error) (wait func(context.Context) error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := errs.Guard(f); err != nil {
			p.fail(name, err)
		}
	}()
	return func(ctx context.Context) error {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("still running: %w", ctx.Err())
		}
	}
}

// poolRandomness reads the randomness of ids from the system for many at once. Ids are no secrets.
var poolRandomness = sync.OnceFunc(uuid.EnableRandPool)

// newID mints a UUIDv7. The random source of Go's crypto/rand does not fail: the process ends before it would.
func newID() string {
	poolRandomness()
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil.String() // not reached; a nil id is refused by every store
	}
	return id.String()
}

// unfit tells errors about the set-up, which another setting or another installation cures, from dependencies that are away.
func unfit(what string, err error) error {
	switch errs.KindOf(err) { //nolint:exhaustive // the rest is trouble with the dependency
	case errs.FailedPrecondition, errs.Invalid, errs.AlreadyExists:
		return &ConfigError{fmt.Errorf("%s: %w", what, err)}
	}
	return &DependencyError{what, err}
}
