package interceptor

import (
	"context"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// paused is a store that answers nothing until it is resumed: every write lasts as long as its caller lets it.
type paused struct {
	*desk
	resumed chan struct{}
	waits   chan time.Time // deadlines of writes
}

func (p *paused) Append(ctx context.Context, uid string, events ...audit.Event) error {
	select {
	case <-p.resumed:
		return p.desk.Append(ctx, uid, events...)
	default:
	}
	deadline, _ := ctx.Deadline()
	p.waits <- deadline
	<-ctx.Done()
	return ctx.Err()
}

func TestARefusalIsAnsweredByTheCallersDeadlineAndWrittenLater(t *testing.T) {
	d, r := newDesk(t)
	p := &paused{desk: d, resumed: make(chan struct{}), waits: make(chan time.Time, 8)}
	r.Recorder.outbox = p
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	own, _ := ctx.Deadline()
	if err := r.Record(ctx, refusal(nil)); err == nil {
		t.Error("a refusal that was not written is no error")
	}
	if waited := <-p.waits; !waited.Before(own) {
		t.Errorf("the write may last until %v after the caller has gone", waited.Sub(own))
	}
	<-ctx.Done()
	if err := r.Record(ctx, refusal(nil)); err == nil { // the caller has no time left at all
		t.Error("a refusal that was not written is no error")
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	close(p.resumed)
	if err := r.Record(gone, refusal(nil)); err != nil {
		t.Errorf("a caller that goes away ended the write: %v", err)
	}
	d.pass(foldWindow)
	r.Recorder.closeWindows(t.Context(), d.clock().Add(-foldWindow))
	if _, refusals := d.total(); refusals != 3 {
		t.Errorf("%d refusals are on the record, want 3", refusals)
	}
}
