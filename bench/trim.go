package main

import (
	"context"
	"sync/atomic"
	"time"
)

// trimming keeps streams short, as the archiver does: both sides are measured with a trimmed outbox.
type trimming struct {
	paused atomic.Bool
	cancel context.CancelFunc
	done   chan struct{}
}

func trim(ctx context.Context, addr string, streams ...string) (*trimming, error) {
	client, err := redisClient(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &trimming{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer func() { _ = client.Close() }()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for _, stream := range streams {
					if !t.paused.Load() {
						_ = client.XTrimMaxLen(ctx, stream, 1000).Err() // only keeps memory down
					}
				}
			}
		}
	}()
	return t, nil
}

// pause leaves the streams to an archiver.
func (t *trimming) pause(yes bool) { t.paused.Store(yes) }

func (t *trimming) stop() {
	t.cancel()
	<-t.done
}
