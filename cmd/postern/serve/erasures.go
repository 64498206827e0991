package serve

import (
	"context"

	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/erasure/rediserasures"
	"github.com/postern-audit/postern/internal/config"
)

// openErasures makes the use cases around erasures, and what carries them out where events are archived.
func (p *process) openErasures() error {
	s := &p.stores
	store, err := rediserasures.New(rediserasures.Config{Client: s.scripts, Reader: s.reader, Partitions: p.c.Partitions, Codec: s.codec})
	if err != nil {
		return err
	}
	p.work.erased = store
	marked := markedErasures{store, s.flows.Outbox()}
	p.work.erasures = &erasure.Erasures{Store: marked, Live: store, Events: s.archive, Directory: s.directory, Namer: s.namer, Sealer: s.keyring,
		NewID: newID, Now: p.clock.Now, Wake: func() {
			p.work.wake()
			if p.work.eraser != nil {
				p.work.eraser.Wake()
			}
		}}
	if !p.has(config.ComponentArchiver) {
		return nil
	}
	c := erasure.WorkerConfig{Store: marked, Live: store, Archive: s.archive, Archived: p.work.source, Directory: s.directory,
		Partitions: p.c.Partitions, NewID: newID, Now: p.clock.Now, Log: p.log, Broken: func(err error) { p.fail("erasures", err) }, Done: p.work.wake}
	if !p.c.Embedded() {
		c.Lease = func(ctx context.Context, partitions []int) ([]int, error) {
			mine, err := s.flows.Lease(ctx, partitions, "eraser", p.holder)
			var held []int
			for i, ok := range mine {
				if ok {
					held = append(held, partitions[i])
				}
			}
			return held, err
		}
	}
	p.work.eraser, err = erasure.NewWorker(c)
	return err
}

// startEraser lets erasures be carried out.
func (p *process) startEraser() {
	e := p.work.eraser
	e.Start()
	p.closers.add("erasures", func(context.Context) error {
		e.Stop()
		return nil
	})
}
