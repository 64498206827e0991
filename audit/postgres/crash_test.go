package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

const crashBatch = 20

// crashEntries is batch n: half of each organization, a flow of two steps for every two events. Batches are a day apart.
func crashEntries(t testing.TB, n int) []audit.Entry {
	t.Helper()
	var out []audit.Entry
	for i := range crashBatch {
		org := []string{"org-even", "org-odd"}[i%2]
		at := dayOf(n)
		e := audit.Event{ID: eventID(at, i, n), Type: audit.TypeSignInStarted, Time: at, Organization: org, OrganizationUID: org,
			Flow: eventID(at, 100+i%2+i/4*2, n), Step: i/2%2 + 1, Site: "portal", Indexes: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte{byte(i)}}},
			Sealed: &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 200), Digest: make([]byte, 32)}}
		if e.Step == 2 {
			e.Type = audit.TypePasswordVerified
		}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, audit.Entry{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: raw})
	}
	return out
}

func dayOf(n int) time.Time { return clock().AddDate(0, 0, n-170) }

// wantBatches fails unless exactly n batches are stored, each event once, in order, with its flow and its index.
func wantBatches(t *testing.T, a *postgres.Archive, n int) {
	t.Helper()
	for half, org := range []string{"org-even", "org-odd"} {
		events, err := a.Events(t.Context(), audit.Query{OrganizationUID: org, Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != n*crashBatch/2 {
			t.Fatalf("%s has %d events after %d batches", org, len(events), n)
		}
		for i := range events {
			batch, k := i/(crashBatch/2), i%(crashBatch/2)*2+half
			want := eventID(dayOf(batch), k, batch)
			if events[i].ID != want || events[i].Sequence != int64(i+1) || events[i].Forked {
				t.Fatalf("%s: event %d is %s with sequence %d, want %s", org, i+1, events[i].ID, events[i].Sequence, want)
			}
		}
		subject := []audit.Index{{Purpose: audit.IndexAccount, Value: []byte{byte(half)}}}
		found, err := a.Events(t.Context(), audit.Query{OrganizationUID: org, Limit: 1 << 20, Match: audit.Match{Subjects: subject}})
		if err != nil || len(found) != n {
			t.Errorf("%s: the index finds %d events in %d batches, %v", org, len(found), n, err)
		}
		flows, err := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: org, Limit: 1 << 20})
		if err != nil || len(flows) != len(events)/2 {
			t.Errorf("%s: %d flows for %d events, %v", org, len(flows), len(events), err)
		}
		for i := range flows {
			if flows[i].LastStep != 2 || flows[i].BindEventID == "" {
				t.Errorf("%s: flow %+v", org, flows[i])
			}
		}
	}
	shelves, err := a.Shelves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var rows, flows int64
	for _, s := range shelves {
		for _, c := range s.Content {
			rows, flows = rows+c.Events, flows+c.Flows
		}
	}
	if rows != int64(n*crashBatch) || flows != rows/2 {
		t.Errorf("shelves count %d events and %d flows, %d are there", rows, flows, n*crashBatch)
	}
}

// breaker calls do when it has been told of so many statements, at their beginning or their end.
type breaker struct {
	mu    sync.Mutex
	after int
	seen  int
	do    func(*pgx.Conn)
}

func (b *breaker) arm(after int, do func(*pgx.Conn)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.after, b.seen, b.do = after, 0, do
}

// fired disarms, and reports whether the moment came.
func (b *breaker) fired() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.do = nil
	return b.seen >= b.after
}

func (b *breaker) tell(c *pgx.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen++; b.seen == b.after && b.do != nil {
		b.do(c)
	}
}

func (b *breaker) TraceQueryStart(ctx context.Context, c *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	b.tell(c)
	return ctx
}
func (b *breaker) TraceQueryEnd(_ context.Context, c *pgx.Conn, _ pgx.TraceQueryEndData) { b.tell(c) }
func (b *breaker) TraceBatchStart(ctx context.Context, c *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	b.tell(c)
	return ctx
}
func (b *breaker) TraceBatchQuery(_ context.Context, c *pgx.Conn, _ pgx.TraceBatchQueryData) {
	b.tell(c)
}
func (b *breaker) TraceBatchEnd(_ context.Context, c *pgx.Conn, _ pgx.TraceBatchEndData) { b.tell(c) }

// untilStored does what an archiver does: the same batch again until it is stored. It returns how often that failed.
func untilStored(t *testing.T, a *postgres.Archive, b audit.Batch) (failed int) {
	t.Helper()
	pgtest.Within(t, 2*time.Minute, func() error {
		done, err := a.Append(t.Context(), b)
		if err == nil && done.Inserted+done.Duplicates != len(b.Entries) {
			t.Fatalf("appended %+v", done)
		}
		if err != nil {
			failed++
			if e := errs.As(err); e == nil || e.Kind != errs.Unavailable || e.Reason != "ARCHIVE_UNAVAILABLE" {
				t.Fatalf("a killed server answers %v", err)
			}
		}
		return err
	})
	return failed
}

// TestBrokenBetweenAnyTwoStatements breaks an append at every moment there is, each of them making the tables of its shelf: its
// connection is cut, or every fourth time the server killed. The archiver's retry stores what is missing, and only that.
func TestBrokenBetweenAnyTwoStatements(t *testing.T) {
	server := pgtest.Start(t)
	var at breaker
	a, err := postgres.OpenTraced(t.Context(), postgres.Options{URL: server.Database(), Now: clock}, &at)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, org := range []string{"org-even", "org-odd"} { // a shelf a day, and everything shown
		if err := a.SetRetention(t.Context(), org, audit.Retention{SignIn: 30, Administration: 30, Activity: 30, Hold: true}); err != nil {
			t.Fatal(err)
		}
	}
	epoch, err := a.Take(t.Context(), 0, "one")
	if err != nil {
		t.Fatal(err)
	}
	breaks, refused := 0, 0
	for n := 0; ; n++ {
		b := audit.Batch{Epoch: epoch, Entries: crashEntries(t, n)}
		killed := n%4 == 3
		at.arm(n+1, func(c *pgx.Conn) {
			breaks++
			if killed {
				server.Kill()
			} else {
				_ = c.PgConn().Conn().Close()
			}
		})
		_, err := a.Append(t.Context(), b)
		if !at.fired() {
			wantBatches(t, a, n+1)
			break
		}
		if err != nil {
			refused++
		}
		if killed {
			server.Restart()
		}
		untilStored(t, a, b)
		wantBatches(t, a, n+1)
	}
	if breaks < 20 || refused < breaks-3 { // behind the commit's answer nothing can go wrong any more
		t.Errorf("broken %d times, refused %d times", breaks, refused)
	}
}

// TestKilledUnderLoad kills the server again and again while two archivers append to partitions of their own and readers read.
func TestKilledUnderLoad(t *testing.T) {
	const batches = 150
	server := pgtest.Start(t)
	url := server.Database()
	a := open(t, postgres.Options{URL: url})
	other := open(t, postgres.Options{URL: url})
	stored := make(chan int, 2*batches)
	ctx, stop := context.WithCancel(t.Context())
	var wg, reading sync.WaitGroup
	for p, archive := range []backend{a, other} {
		wg.Go(func() {
			epoch, err := archive.Take(t.Context(), p, "x")
			if err != nil {
				t.Error(err)
				return
			}
			for n := range batches {
				untilStored(t, archive.Archive, audit.Batch{Partition: p, Epoch: epoch, Entries: partOf(crashEntries(t, n), p)})
				stored <- n
			}
		})
	}
	reading.Go(func() {
		for ctx.Err() == nil {
			events, err := other.Events(ctx, audit.Query{OrganizationUID: "org-even", Limit: 1000})
			for i := range events {
				if err == nil && events[i].Sequence != int64(i+1) {
					t.Errorf("a reader saw sequence %d at %d", events[i].Sequence, i+1)
				}
			}
		}
	})
	for range 5 {
		for range batches / 4 {
			<-stored
		}
		server.Kill()
		server.Restart()
	}
	wg.Wait()
	stop()
	reading.Wait()
	wantBatches(t, a.Archive, batches)
}

// partOf is one organization's part of a batch.
func partOf(entries []audit.Entry, organization int) (out []audit.Entry) {
	for i := range entries {
		if i%2 == organization {
			out = append(out, entries[i])
		}
	}
	return out
}

// TestAPausedServerKeepsNobodyForEver stops the server without closing its connections: a call gives up when its time is over,
// and the archive works again when the server does.
func TestAPausedServerKeepsNobodyForEver(t *testing.T) {
	server := pgtest.Start(t)
	a := open(t, postgres.Options{URL: server.Database()})
	fill(t, a, 10)
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_, err := a.Events(ctx, audit.Query{OrganizationUID: "org", Limit: 1})
	cancel()
	if errs.KindOf(err) != errs.DeadlineExceeded || !errs.Is(err, "DEADLINE_EXCEEDED") {
		t.Errorf("got %v", err)
	}
	server.Resume()
	pgtest.Within(t, time.Minute, func() error {
		events, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 100})
		if err == nil && len(events) != 10 {
			return fmt.Errorf("%d events", len(events))
		}
		return err
	})
}
