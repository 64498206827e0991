package postgres

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

//go:embed shelf.sql
var shelfTables string

//go:embed counts.sql
var countTables string

// shelf is a row of table shelf.
type shelf struct {
	audit.Shelf
	number int32
	strays bool
}

// table names one of the shelf's tables.
func (s *shelf) table(name string) string { return tableOf(name, s.number) }

func tableOf(name string, number int32) string { return name + "_" + strconv.Itoa(int(number)) }

// tableNames are the tables of shelves, without their number, in the order in which they are locked.
func tableNames() []string {
	return []string{"event", "term", "span", "presence", "hour", "flow", "flow_term"}
}

// tables are all tables of a shelf.
func (s *shelf) tables() []string {
	out := tableNames()
	for i, name := range out {
		out[i] = s.table(name)
	}
	return out
}

// place is what tells shelves apart.
type place struct {
	keep   int
	starts int64
}

func placeOf(s audit.Shelf) place { return place{s.Keep, s.Start.UnixMilli()} }

// may reports whether an id can be on the shelf: when its own moment falls into the shelf's window, or when the shelf has ids
// whose moment is not their own.
func (s *shelf) may(id string, strays bool) bool {
	if at, ok := audit.IDMoment(id); ok && !at.Before(s.Start) && at.Before(s.End) {
		return true
	}
	return strays && s.strays
}

const shelfColumns = `s.shelf, s.keep, s.starts, s.ends, s.strays`

func scanShelf(row pgx.Row, into ...any) (shelf, error) {
	var s shelf
	var starts, ends int64
	err := row.Scan(append([]any{&s.number, &s.Keep, &starts, &ends, &s.strays}, into...)...)
	s.Start, s.End = fromMillis(starts), fromMillis(ends)
	return s, err
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// makeShelf makes a shelf with its tables, or waits for whoever is making it, and returns it.
func makeShelf(ctx context.Context, tx pgx.Tx, s audit.Shelf) (*shelf, error) {
	out := &shelf{Shelf: s}
	err := tx.QueryRow(ctx, `INSERT INTO shelf (keep, starts, ends) VALUES ($1, $2, $3) ON CONFLICT (keep, starts) DO NOTHING RETURNING shelf`,
		s.Keep, s.Start.UnixMilli(), s.End.UnixMilli()).Scan(&out.number)
	if errors.Is(err, pgx.ErrNoRows) {
		err = tx.QueryRow(ctx, `SELECT shelf, strays FROM shelf WHERE keep = $1 AND starts = $2`, s.Keep, s.Start.UnixMilli()).Scan(&out.number, &out.strays)
		return out, err
	}
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, numbered(shelfTables+countTables, out.number))
	return out, err
}

// numbered is the text of tables for the shelf of this number.
func numbered(tables string, number int32) string {
	n := "_" + strconv.Itoa(int(number))
	return regexp.MustCompile(`_N\b`).ReplaceAllString(strings.ReplaceAll(tables, "_N_", n+"_"), n)
}

// Ahead makes the shelves of now and of the window after it for every number of days in use, where they are missing.
func (a *Archive) Ahead(ctx context.Context, now time.Time) error {
	rows, err := a.pool.Query(ctx, `SELECT DISTINCT keep FROM organization_retention CROSS JOIN LATERAL (VALUES (sign_in), (administration), (activity)) AS v (keep)`)
	if err != nil {
		return wrapIn(ctx, err)
	}
	keeps, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return wrapIn(ctx, err)
	}
	keeps = append(keeps, audit.DefaultRetention)
	slices.Sort(keeps)
	var wanted []audit.Shelf
	for _, keep := range slices.Compact(keeps) {
		s := audit.ShelfOf(keep, now)
		wanted = append(wanted, s, audit.ShelfOf(keep, s.End))
	}
	for _, s := range wanted { // one by one: whoever appends meanwhile waits for one at most
		var there bool
		if err := a.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM shelf WHERE keep = $1 AND starts = $2)`, s.Keep, s.Start.UnixMilli()).Scan(&there); err != nil {
			return wrapIn(ctx, err)
		}
		if there {
			continue
		}
		if err := a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
			_, err := makeShelf(ctx, tx, s)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// byWindow orders shelves by their end, then start and days.
func byWindow(x, y audit.Shelf) int {
	return cmp.Or(x.End.Compare(y.End), x.Start.Compare(y.Start), cmp.Compare(x.Keep, y.Keep))
}
