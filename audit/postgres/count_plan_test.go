package postgres_test

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

// overheard keeps what a batch asked for.
type overheard struct {
	mu   sync.Mutex
	asks []pgx.TraceBatchQueryData
}

func (o *overheard) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (o *overheard) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (o *overheard) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (o *overheard) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
func (o *overheard) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asks = append(o.asks, d)
}

// since returns what was asked since the last time.
func (o *overheard) since() []pgx.TraceBatchQueryData {
	o.mu.Lock()
	defer o.mu.Unlock()
	asks := o.asks
	o.asks = nil
	return asks
}

var onShelf = regexp.MustCompile(`\b(event|hour|presence|span|term)_\d+\b`)

// TestCountsReadNoTableFromEndToEnd holds every statement behind the Counter to an index, and what is answered from counts to no events
// but those of the last block.
func TestCountsReadNoTableFromEndToEnd(t *testing.T) {
	o := postgres.Options{URL: pgtest.Start(t, "fsync=off", "autovacuum=off").Schema(), Now: clock}
	fill(t, open(t, o), 5000)
	var asked overheard
	a, err := postgres.OpenTraced(t.Context(), o, &asked)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	reader := open(t, o)
	hours := []time.Time{clock().Add(-48 * time.Hour), clock().Add(-24 * time.Hour), clock()}
	fields := []audit.Field{audit.FieldType, audit.FieldMethod, audit.FieldSite}
	site := audit.Match{Sites: []string{"site-1"}}
	for name, c := range map[string]struct {
		q     audit.Query
		total int64
		kept  bool // answered from what is kept
	}{
		"all": {audit.Query{}, 5000, true}, "a site": {audit.Query{Match: site}, 500, true},
		"no type":  {audit.Query{Match: audit.Match{Types: []string{"policy.*"}}}, 0, false},
		"excluded": {audit.Query{Exclude: site}, 4500, false}, "words": {audit.Query{Text: []string{"password"}}, 5000, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.OrganizationUID = "org"
			facets, err := a.Facets(t.Context(), c.q, fields, 10)
			if err != nil || facets.Total != c.total || !facets.Complete {
				t.Fatalf("%+v, %v", facets, err)
			}
			asked.indexed(t, reader, c.kept)
			if _, err := a.Histogram(t.Context(), c.q, hours); err != nil {
				t.Fatal(err)
			}
			asked.indexed(t, reader, c.kept)
			c.q.Limit = 10
			if _, err := a.Groups(t.Context(), c.q, audit.GroupBySubjectReason); err != nil {
				t.Fatal(err)
			}
			asked.indexed(t, reader, false)
		})
	}
}

var (
	endToEnd = regexp.MustCompile(`Seq Scan on (event|hour|presence|span|term)_`)
	beyond   = regexp.MustCompile(`event_\d+ e`)
)

// indexed explains what was asked. What is kept is asked of hour_N, and events only behind the last whole block.
func (o *overheard) indexed(t *testing.T, a backend, kept bool) {
	t.Helper()
	counts, events := 0, 0
	for _, ask := range o.since() {
		if !onShelf.MatchString(ask.SQL) {
			continue
		}
		plan, err := a.Explain(t.Context(), ask.SQL, ask.Args...)
		if err != nil || endToEnd.MatchString(plan) {
			t.Errorf("%s\n%s\n%v", ask.SQL, plan, err)
		}
		if regexp.MustCompile(`hour_\d+_pkey`).MatchString(plan) {
			counts++
		}
		if beyond.MatchString(ask.SQL) {
			events++
		}
	}
	if kept && (counts == 0 || events != 1) {
		t.Errorf("answered with %d looks at counts and %d at events", counts, events)
	}
}
