package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/token"
)

const (
	watchBatch = 200
	// watchRetry is how long a watcher waits after the archive failed.
	watchRetry = time.Second
	fromNow    = "now"
)

// WatchEvents follows the record: everything after the cursor in sequence order, then what comes.
func (s *eventService) WatchEvents(r *posternv1.WatchEventsRequest, stream grpc.ServerStreamingServer[posternv1.WatchEventsResponse]) error {
	ctx := stream.Context()
	organization, err := s.in.Parent(r)
	if err != nil {
		return err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return err
	}
	whole, err := s.whole(ctx, organization, uid, r.GetFilter())
	if err != nil {
		return err
	}
	w := &watcher{query: &s.query, stream: stream, organizationUID: uid}
	if w.filter, err = encode(whole); err != nil {
		return err
	}
	if w.place, err = w.start(ctx, whole, r.GetCursor()); err != nil {
		return err
	}
	if w.chosen, err = s.choose(whole, uid, w.place.begun); err != nil {
		return err
	}
	return w.run(ctx)
}

// watcher is one open WatchEvents.
type watcher struct {
	*query
	stream          grpc.ServerStreamingServer[posternv1.WatchEventsResponse]
	organizationUID string
	chosen          audit.Query
	filter          []byte
	place           place // everything up to there was sent or does not match
}

// start returns the place to begin behind.
func (w *watcher) start(ctx context.Context, f *posternv1.EventFilter, cursor string) (place, error) {
	p := w.begin(f)
	switch cursor {
	case "":
		return p, nil
	case fromNow:
		var err error
		p.sequence, _, err = w.Reader.Position(ctx, w.organizationUID)
		return p, err //nolint:wrapcheck // an errs.Error of the archive
	}
	position, err := w.tokens.Open("cursor", token.Cursor, cursor, []byte(w.organizationUID), w.filter)
	if err != nil {
		return place{}, err //nolint:wrapcheck // an errs.Error
	}
	p, ok := placeAt(position)
	if !ok || p.begun.IsZero() != (f.GetLast() == nil) {
		return place{}, badToken("cursor")
	}
	return p, nil
}

func (w *watcher) run(ctx context.Context) error {
	wake, end := w.subscribe()
	defer end()
	poll, beat := time.NewTicker(w.Poll), time.NewTicker(w.Heartbeat)
	defer poll.Stop()
	defer beat.Stop()
	if err := w.sign(); err != nil { // the first cursor, before anything happens
		return err
	}
	for {
		if err := w.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.stopping:
			return errs.New(errs.Unavailable, "SHUTTING_DOWN", "the server is stopping; go on from the last cursor")
		case <-wake:
		case <-poll.C:
		case <-beat.C:
			if err := w.sign(); err != nil {
				return err
			}
		}
	}
}

func (w *watcher) subscribe() (<-chan struct{}, func()) {
	if w.Wake == nil {
		return nil, func() {}
	}
	return w.Wake(w.organizationUID)
}

// catchUp sends everything archived that was not sent. An archive that is away is waited for: the stream lives on, and the
// position says from where.
func (w *watcher) catchUp(ctx context.Context) error {
	for {
		more, err := w.batch(ctx)
		var unsent brokenError
		switch {
		case errors.As(err, &unsent):
			return unsent.cause
		case err == nil && !more:
			return nil
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errs.KindOf(err) == errs.Internal || errs.KindOf(err) == errs.Unavailable:
			w.log.LogAttrs(ctx, slog.LevelWarn, "watch waits for the archive", slog.String("cause", err.Error()))
			return w.pause(ctx)
		default:
			return err
		}
	}
}

func (w *watcher) pause(ctx context.Context) error {
	t := time.NewTimer(watchRetry)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopping:
	case <-t.C:
	}
	return nil
}

// batch reads and sends the next events. The archive's last sequence is taken before the events are read: what is up to there
// and was not read does not match the filter.
func (w *watcher) batch(ctx context.Context) (more bool, err error) {
	last, _, err := w.Reader.Position(ctx, w.organizationUID)
	if err != nil || last <= w.place.sequence {
		return false, err //nolint:wrapcheck // an errs.Error of the archive
	}
	q := w.chosen
	q.After, q.Limit = w.place.sequence, watchBatch
	events, err := w.Reader.Events(ctx, q)
	if err != nil {
		return false, err //nolint:wrapcheck // an errs.Error of the archive
	}
	if err := w.opened(events); err != nil {
		return false, err
	}
	for i := range events {
		if err := w.send(&events[i]); err != nil {
			return false, brokenError{err}
		}
	}
	if len(events) == watchBatch {
		return true, nil
	}
	w.place.sequence = max(w.place.sequence, last)
	return false, nil
}

// brokenError marks a failure to send: the stream's, not the archive's.
type brokenError struct{ cause error }

// Error is the cause's.
func (e brokenError) Error() string { return e.cause.Error() }

func (w *watcher) send(e *audit.Event) error {
	next := place{e.Sequence, w.place.begun}
	m := &posternv1.WatchEventsResponse{Event: w.Event(e), Cursor: w.cursor(next)}
	if err := w.stream.Send(m); err != nil {
		return err //nolint:wrapcheck // for the chain to read
	}
	w.place = next
	return nil
}

// sign sends a sign of life with the cursor.
func (w *watcher) sign() error {
	return w.stream.Send(&posternv1.WatchEventsResponse{Cursor: w.cursor(w.place)}) //nolint:wrapcheck // for the chain to read
}

func (w *watcher) cursor(p place) string {
	return w.tokens.Seal(token.Cursor, p.position(), []byte(w.organizationUID), w.filter)
}

func badToken(field string) error {
	return errs.Field(field, "TOKEN_INVALID", "does not hold a position")
}
