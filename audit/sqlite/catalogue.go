package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

//go:embed shelf.sql
var shelfText string

//go:embed terms.sql
var termsText string

// shelf is a row of table shelf that is part of the record.
type shelf struct {
	audit.Shelf
	number int64
	strays bool
}

// shelfName fills the number of a shelf into a statement: its tables are written with "_#".
func shelfName(number int64, text string) string {
	if number == 0 {
		return strings.ReplaceAll(text, "_#", "")
	}
	return strings.ReplaceAll(text, "_#", "_"+strconv.FormatInt(number, 10))
}

// text fills the shelf's number into a statement.
func (s *shelf) text(text string) string { return shelfName(s.number, text) }

// catalogue is table shelf at one version. It is never changed: whoever adds a shelf reads it again.
type catalogue struct {
	version int64
	shelves []*shelf
	number  map[int64]*shelf
	place   map[place]*shelf
}

// place names a shelf by what audit.ShelfOf makes.
type place struct{ keep, start, until int64 }

func placeOf(s audit.Shelf) place {
	return place{int64(s.Keep), s.Start.UnixMilli(), s.End.UnixMilli()}
}

// candidates are the shelves on which something with this id can lie: those of its moment, and those with things whose moment
// their ids do not tell.
func (c *catalogue) candidates(id string) []*shelf {
	at, own := audit.IDMoment(id)
	var out []*shelf
	for _, s := range c.shelves {
		if s.strays || (own && !at.Before(s.Start) && at.Before(s.End)) {
			out = append(out, s)
		}
	}
	return out
}

// catalogue returns the shelves as q sees them; read again only when their version is another than that of the last time. Not
// for a transaction that has changed them: it may be rolled back.
func (a *Archive) catalogue(ctx context.Context, q querier) (*catalogue, error) {
	var version int64
	if err := q.QueryRowContext(ctx, `SELECT version FROM shelf_version`).Scan(&version); err != nil {
		return nil, err
	}
	if known := a.known.Load(); known != nil && known.version == version {
		return known, nil
	}
	c, err := readCatalogue(ctx, q, version)
	if err == nil {
		a.known.Store(c)
	}
	return c, err
}

func readCatalogue(ctx context.Context, q querier, version int64) (*catalogue, error) {
	rows, err := q.QueryContext(ctx, `SELECT shelf, keep, start, until, strays FROM shelf WHERE dropped IS NULL ORDER BY start, until, keep`)
	if err != nil {
		return nil, err
	}
	shelves, err := collect(rows, func(r *sql.Rows) (*shelf, error) {
		var s shelf
		var start, until int64
		err := r.Scan(&s.number, &s.Keep, &start, &until, &s.strays)
		s.Start, s.End = time.UnixMilli(start).UTC(), time.UnixMilli(until).UTC()
		return &s, err
	})
	if err != nil {
		return nil, err
	}
	c := &catalogue{version: version, shelves: shelves, number: map[int64]*shelf{}, place: map[place]*shelf{}}
	for _, s := range shelves {
		c.number[s.number], c.place[placeOf(s.Shelf)] = s, s
	}
	return c, nil
}

// addShelf makes a shelf and returns the catalogue with it, inside the transaction alone.
func addShelf(ctx context.Context, tx querier, s audit.Shelf) (*catalogue, error) {
	p := placeOf(s)
	var number int64
	if err := tx.QueryRowContext(ctx, `INSERT INTO shelf (keep, start, until, strays) VALUES (?, ?, ?, 0) RETURNING shelf`,
		p.keep, p.start, p.until).Scan(&number); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, shelfName(number, shelfText+termsText)); err != nil {
		return nil, err
	}
	return changedCatalogue(ctx, tx)
}

// changedCatalogue raises the version after a change to table shelf and reads it.
func changedCatalogue(ctx context.Context, tx querier) (*catalogue, error) {
	var version int64
	if err := tx.QueryRowContext(ctx, `UPDATE shelf_version SET version = version + 1 RETURNING version`).Scan(&version); err != nil {
		return nil, err
	}
	return readCatalogue(ctx, tx, version)
}
