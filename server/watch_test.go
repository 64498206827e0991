package server_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

type watch = grpc.ServerStreamingClient[posternv1.WatchEventsResponse]

func openWatch(ctx context.Context, t *testing.T, conn *grpc.ClientConn, r *posternv1.WatchEventsRequest) watch {
	t.Helper()
	r.Parent = acme
	stream, err := posternv1.NewEventServiceClient(conn).WatchEvents(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// next returns the next event of a stream and the cursor after it; signs of life are skipped.
func next(t *testing.T, stream watch) (int64, string) {
	t.Helper()
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetCursor() == "" {
			t.Fatal("a message without a cursor")
		}
		if m.GetEvent() != nil {
			return m.GetEvent().GetSequence(), m.GetCursor()
		}
	}
}

func TestAWatchGoesOnFromItsCursorWithoutGapOrRepeat(t *testing.T) {
	w := newWorld(t, nil)
	for range 500 { // more than two batches
		w.archive.add(audit.TypePasswordVerified)
	}
	conn, cursor, want := w.dial(t), "", int64(0)
	for _, n := range []int{1, 250, 249} {
		ctx, cancel := context.WithCancel(testContext(t))
		stream := openWatch(ctx, t, conn, &posternv1.WatchEventsRequest{Cursor: cursor})
		for range n {
			var got int64
			want++
			if got, cursor = next(t, stream); got != want {
				t.Fatalf("sequence %d, want %d", got, want)
			}
		}
		cancel()
	}
	stream := openWatch(testContext(t), t, conn, &posternv1.WatchEventsRequest{Cursor: cursor})
	w.archive.add(audit.TypePasswordRejected)
	if got, _ := next(t, stream); got != 501 {
		t.Errorf("sequence %d, want 501", got)
	}
}

func TestAWatchFromNowBeginsWithTheNextEvent(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified, audit.TypePasswordVerified)
	stream := openWatch(testContext(t), t, w.dial(t), &posternv1.WatchEventsRequest{Cursor: "now"})
	first, err := stream.Recv()
	if err != nil || first.GetEvent() != nil || first.GetCursor() == "" {
		t.Fatal(first, err)
	}
	w.archive.add(audit.TypePasswordRejected)
	if got, _ := next(t, stream); got != 3 {
		t.Errorf("sequence %d, want 3", got)
	}
}

func TestACursorMovesOverWhatDoesNotMatch(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Query.Heartbeat = time.Millisecond })
	filter := &posternv1.EventFilter{Include: &posternv1.EventMatch{Types: []string{"sso.verified"}}}
	stream := openWatch(testContext(t), t, w.dial(t), &posternv1.WatchEventsRequest{Filter: filter})
	start, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	w.archive.add(audit.TypePasswordVerified, audit.TypePasswordVerified)
	var last string
	for last = start.GetCursor(); last == start.GetCursor(); { // signs of life until one is further on
		m, err := stream.Recv()
		if err != nil || m.GetEvent() != nil {
			t.Fatal(m, err)
		}
		last = m.GetCursor()
	}
	again := openWatch(testContext(t), t, w.dial(t), &posternv1.WatchEventsRequest{Filter: filter, Cursor: last})
	w.archive.add(audit.TypeSSOVerified)
	if got, _ := next(t, again); got != 3 {
		t.Errorf("sequence %d, want 3", got)
	}
}

func TestACursorIsGoodForItsFilterAndOrganizationOnly(t *testing.T) {
	w := newWorld(t, nil)
	w.archive.add(audit.TypePasswordVerified)
	conn := w.dial(t)
	_, cursor := next(t, openWatch(testContext(t), t, conn, &posternv1.WatchEventsRequest{}))
	for name, r := range map[string]*posternv1.WatchEventsRequest{
		"other filter": {Cursor: cursor, Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{Sites: []string{"wiki"}}}},
		"cut short":    {Cursor: cursor[:len(cursor)-1]},
		"invented":     {Cursor: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
	} {
		_, err := openWatch(testContext(t), t, conn, r).Recv()
		if reason, _ := reasonOf(err); reason != "TOKEN_INVALID" {
			t.Errorf("%s: %v", name, err)
		}
	}
	stream, err := posternv1.NewEventServiceClient(conn).WatchEvents(testContext(t), &posternv1.WatchEventsRequest{Parent: "organizations/system", Cursor: cursor})
	if err == nil {
		_, err = stream.Recv()
	}
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
}

func TestAWatchOutlivesAnArchiveThatIsAway(t *testing.T) {
	w := newWorld(t, nil)
	stream := openWatch(testContext(t), t, w.dial(t), &posternv1.WatchEventsRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.archive.setAway(errors.New("disk I/O error"))
	w.archive.add(audit.TypePasswordVerified)
	w.archive.setAway(nil)
	if got, _ := next(t, stream); got != 1 {
		t.Errorf("sequence %d, want 1", got)
	}
	w.archive.setAway(errs.New(errs.Unavailable, "ARCHIVE_UNAVAILABLE", "away"))
	w.archive.add(audit.TypePasswordVerified)
	w.archive.setAway(nil)
	if got, _ := next(t, stream); got != 2 {
		t.Errorf("sequence %d, want 2", got)
	}
}

func TestAWatcherIsWokenByTheArchiver(t *testing.T) {
	wake := make(chan struct{}, 1)
	var ended sync.WaitGroup
	ended.Add(1)
	w := newWorld(t, func(c *server.Config) {
		c.Query.Poll = time.Hour
		c.Query.Wake = func(uid string) (<-chan struct{}, func()) {
			if uid != acmeUID {
				t.Errorf("subscribed to %s", uid)
			}
			return wake, ended.Done
		}
	})
	ctx, cancel := context.WithCancel(testContext(t))
	stream := openWatch(ctx, t, w.dial(t), &posternv1.WatchEventsRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.archive.add(audit.TypePasswordVerified)
	wake <- struct{}{}
	if got, _ := next(t, stream); got != 1 {
		t.Errorf("sequence %d, want 1", got)
	}
	cancel()
	ended.Wait() // the subscription was ended
}

func TestAStreamTheServerEndsSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	stream := openWatch(testContext(t), t, w.dial(t), &posternv1.WatchEventsRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	w.stop(t)
	_, err := stream.Recv()
	failed(t, err, "UNAVAILABLE", "SHUTTING_DOWN")
	if e := w.one(t); e.Denial.Reason != "SHUTTING_DOWN" {
		t.Errorf("recorded as %+v", e.Denial)
	}
}

func TestABrokenStreamIsRecordedAndACancelledOneIsNot(t *testing.T) {
	ended := make(chan struct{}, 2)
	w := newWorld(t, func(c *server.Config) {
		c.Query.Wake = func(string) (<-chan struct{}, func()) { return nil, func() { ended <- struct{}{} } }
	})
	ctx, cancel := context.WithCancel(testContext(t))
	kept := w.dial(t)
	stream := openWatch(ctx, t, kept, &posternv1.WatchEventsRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel() // the connection stays
	<-ended

	var raw net.Conn
	broken := w.dial(t, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		var err error
		raw, err = d.DialContext(ctx, "unix", w.socket)
		return raw, err
	}))
	stream = openWatch(testContext(t), t, broken, &posternv1.WatchEventsRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Fatal("a message through a closed connection")
	}
	<-ended
	w.stop(t)
	e := w.one(t)
	if e.Denial.Reason != "STREAM_BROKEN" || e.Denial.Code != "UNAVAILABLE" || e.OrganizationUID != acmeUID {
		t.Errorf("recorded as %+v", e)
	}
}
