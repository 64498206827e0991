package serve

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/pruner"
)

// startPruner lets the record end where retention says.
func (p *process) startPruner() error {
	c := pruner.Config{Archive: p.work.keeping.Keeper(), Outbox: wakingOutbox{p.stores.flows.Outbox(), p.work.wake}, Metrics: p.metrics, Log: p.log, Now: p.clock.Now,
		People: p.stores.archive}
	if !p.c.Embedded() {
		c.Lease = func(ctx context.Context) (bool, error) {
			held, err := p.stores.flows.Lease(ctx, []int{0}, "pruner", p.holder)
			return len(held) == 1 && held[0], err
		}
	}
	pr, err := pruner.New(c)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	wait := p.background("pruner", func() error { return pr.Run(running) })
	p.closers.add("pruner", func(ctx context.Context) error {
		stop()
		return wait(ctx)
	})
	return nil
}

// startKeeping lets the archive know for how long records are to be kept.
func (p *process) startKeeping() {
	running, stop := context.WithCancel(context.Background())
	wait := p.background("keeping", func() error { return p.work.keeping.Run(running) })
	p.closers.add("keeping", func(ctx context.Context) error {
		stop()
		return wait(ctx)
	})
}

// wakingOutbox says when events wait for the archiver.
type wakingOutbox struct {
	audit.Outbox
	wake func()
}

// Append implements audit.Outbox.
func (o wakingOutbox) Append(ctx context.Context, organizationUID string, events ...audit.Event) error {
	err := o.Outbox.Append(ctx, organizationUID, events...)
	if err == nil {
		o.wake()
	}
	return err
}
