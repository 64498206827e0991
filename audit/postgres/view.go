package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// view is an organization's record as its present retention shows it: which shelves have something, and which of it is hidden.
type view struct {
	uid            string
	number         int32
	last, recorded int64
	retention      audit.Retention
	shelves        []shelfView
}

// shelfView is what an organization has on a shelf.
type shelfView struct {
	shelf
	organization int32
	content      [3]held  // by category
	edges        [3]int64 // moments before these are hidden
}

// held is a row of shelf_content.
type held struct {
	events, flows               int64
	firstSequence, lastSequence int64
	firstTime, lastTime         int64
	firstStarted, lastStarted   int64
}

// everything is an edge before every moment.
const everything = -1 << 62

// see reads an organization's view at a moment; nil when it has no record.
func see(ctx context.Context, tx pgx.Tx, uid string, now time.Time) (*view, error) {
	return seeBy(ctx, tx, uid, func(r *audit.Retention, c audit.Category) int64 {
		if at := r.Edge(c, now); !at.IsZero() {
			return at.UnixMilli() // in whole milliseconds
		}
		return everything
	})
}

// seeBy is see with edges of one's own.
func seeBy(ctx context.Context, tx pgx.Tx, uid string, edge func(*audit.Retention, audit.Category) int64) (*view, error) {
	v := view{uid: uid, retention: audit.StandardRetention()}
	var b pgx.Batch
	b.Queue(`SELECT organization, last_sequence, last_recorded FROM organization WHERE uid = $1`, key(uid)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&v.number, &v.last, &v.recorded)
	})
	b.Queue(`SELECT sign_in, administration, activity, hold FROM organization_retention WHERE uid = $1`, key(uid)).QueryRow(func(row pgx.Row) error {
		return scanRetention(row, &v.retention)
	})
	b.Queue(`SELECT `+shelfColumns+`, c.category, c.events, c.flows, c.first_sequence, c.last_sequence, c.first_time, c.last_time,
			c.first_started, c.last_started
		FROM organization o JOIN shelf_content c USING (organization) JOIN shelf s USING (shelf) WHERE o.uid = $1 ORDER BY s.shelf`, key(uid)).
		Query(v.collect)
	err := tx.SendBatch(ctx, &b).Close()
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // an organization without a record is no error
	}
	if err != nil {
		return nil, err
	}
	for i := range v.shelves {
		s := &v.shelves[i]
		s.organization = v.number
		for c, name := range categories() {
			s.edges[c] = edge(&v.retention, name)
		}
	}
	return &v, nil
}

// scanRetention leaves what is there when there is no row.
func scanRetention(row pgx.Row, r *audit.Retention) error {
	err := row.Scan(&r.SignIn, &r.Administration, &r.Activity, &r.Hold)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

func (v *view) collect(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		var c int16
		var h held
		s, err := scanShelf(rows, &c, &h.events, &h.flows, &h.firstSequence, &h.lastSequence, &h.firstTime, &h.lastTime, &h.firstStarted, &h.lastStarted)
		if err != nil {
			return err
		}
		if n := len(v.shelves); n == 0 || v.shelves[n-1].number != s.number {
			v.shelves = append(v.shelves, shelfView{shelf: s})
		}
		v.shelves[len(v.shelves)-1].content[c] = h
	}
	return rows.Err()
}

// shows reports whether any of a category can be seen, and whether all of it can.
func (s *shelfView) shows(c int) (anything, everything bool) {
	return s.End.UnixMilli() > s.edges[c], s.Start.UnixMilli() >= s.edges[c]
}

// seen is the range of what can be seen of the shelf's events; false when nothing can.
func (s *shelfView) seen() (h held, ok bool) {
	for c := range s.content {
		x := &s.content[c]
		if some, _ := s.shows(c); !some || x.events == 0 {
			continue
		}
		if !ok {
			h, ok = *x, true
			continue
		}
		h.firstSequence, h.lastSequence = min(h.firstSequence, x.firstSequence), max(h.lastSequence, x.lastSequence)
		h.firstTime, h.lastTime = min(h.firstTime, x.firstTime), max(h.lastTime, x.lastTime)
	}
	return h, ok
}

// text is a statement with its arguments.
type text struct {
	strings.Builder
	args []any
}

// add writes pieces of text.
func (t *text) add(pieces ...string) {
	for _, p := range pieces {
		t.WriteString(p)
	}
}

// arg adds an argument and returns its name in the statement.
func (t *text) arg(v any) string {
	t.args = append(t.args, v)
	return "$" + strconv.Itoa(len(t.args))
}

// visible adds the condition that an event on this shelf can be seen, where not all of them can.
func (s *shelfView) visible(t *text) {
	var hidden []string
	for c := range s.content {
		if _, all := s.shows(c); all || s.content[c].events == 0 {
			continue
		}
		hidden = append(hidden, " AND (e.category <> "+strconv.Itoa(c)+" OR e.moment >= "+t.arg(s.edges[c])+")")
	}
	t.add(hidden...)
}
