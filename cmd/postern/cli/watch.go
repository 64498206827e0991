package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// watch follows the record of one organization.
type watch struct {
	request    *posternv1.WatchEventsRequest
	line       func(*posternv1.Event) error // hands one line to the reader
	stderr     io.Writer
	from       string
	cursorFile string
	max        int

	printed int
	synced  time.Time // when the cursor file last reached the disk
}

// The waits between attempts to reach a sidecar that went away, and how often a cursor is forced to disk while events stream.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
	syncEvery  = time.Second
)

// errEnough ends a watch that has printed what it was asked for.
var errEnough = errors.New("enough")

func (w *watch) run(ctx context.Context, c *client.Client) error {
	if err := w.begin(); err != nil {
		return err
	}
	pause, reached := firstPause, false
	for {
		got, err := w.stream(ctx, c)
		reached = reached || got
		f := client.Explain(err)
		switch {
		case ctx.Err() != nil, errors.Is(err, errEnough):
			return w.end()
		case err == nil, f != nil && f.Code == codes.Unavailable && reached:
			// The sidecar ended the stream or went away: it may be starting again.
		default:
			return err
		}
		if got {
			pause = firstPause
			fmt.Fprintln(w.stderr, "postern: the sidecar went away; waiting for it")
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longPause)
	}
}

// begin finds the place to start at.
func (w *watch) begin() error {
	switch {
	case w.from != "" && w.from != "oldest" && w.from != "now":
		return usagef("--from must be oldest or now")
	case w.max < 0:
		return usagef("--max-events must not be negative")
	case w.from == "" && w.cursorFile == "", w.from == "now":
		w.request.Cursor = "now"
	}
	if w.cursorFile == "" {
		return nil
	}
	b, err := os.ReadFile(w.cursorFile)
	switch cursor := strings.TrimSpace(string(b)); {
	case errors.Is(err, os.ErrNotExist):
		return w.save(w.request.GetCursor(), true) // the place cannot be remembered: better known now than after the first line
	case err != nil:
		return fmt.Errorf("cursor file: %w", err)
	case cursor == "oldest":
		w.request.Cursor = ""
	case cursor == "" || printable.Escape(cursor) != cursor || strings.ContainsAny(cursor, " "):
		return fmt.Errorf("cursor file %s holds no cursor; remove it to begin anew (--from), events then come again", w.cursorFile)
	default:
		w.request.Cursor = cursor
	}
	return nil
}

// stream follows one stream until it ends, and reports whether anything came.
func (w *watch) stream(ctx context.Context, c *client.Client) (got bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		takeLeave(ctx, c)
	}()
	s, err := c.Events.WatchEvents(ctx, w.request)
	if err != nil {
		return false, err
	}
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = true
		if err := w.take(r); err != nil {
			return got, err
		}
	}
}

// takeLeave makes sure that the sidecar has seen the end of the stream before that of the connection: what breaks off without
// having been ended goes on the record as a broken stream.
func takeLeave(ctx context.Context, c *client.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = c.Health.Check(ctx, &healthpb.HealthCheckRequest{}) // whatever it says: it comes after the end of the stream
}

// take prints an event and then remembers the place behind it. It is not interrupted in between.
func (w *watch) take(r *posternv1.WatchEventsResponse) error {
	if r.GetEvent() != nil {
		if err := w.line(r.GetEvent()); err != nil {
			return err
		}
		w.printed++
	}
	if r.GetCursor() != "" && r.GetCursor() != w.request.GetCursor() {
		w.request.Cursor = r.GetCursor()
		if err := w.save(r.GetCursor(), time.Since(w.synced) > syncEvery); err != nil {
			return err
		}
	}
	if w.max > 0 && w.printed >= w.max {
		return errEnough
	}
	return nil
}

// end forces the last place to disk.
func (w *watch) end() error { return w.save(w.request.GetCursor(), true) }

// save replaces the cursor file: whoever reads it finds the old place or the new one. An unsynced replacement survives the end
// of this process, and of the machine a second later.
func (w *watch) save(cursor string, sync bool) error {
	if w.cursorFile == "" {
		return nil
	}
	if cursor == "" {
		cursor = "oldest"
	}
	f, err := os.CreateTemp(filepath.Dir(w.cursorFile), "."+filepath.Base(w.cursorFile)+".*")
	if err != nil {
		return fmt.Errorf("cursor file: %w", err)
	}
	_, err = f.WriteString(cursor + "\n")
	if err == nil && sync {
		err = f.Sync()
		w.synced = time.Now()
	}
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(f.Name(), w.cursorFile)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is of no use to anybody
		return fmt.Errorf("cursor file: %w", err)
	}
	return nil
}
