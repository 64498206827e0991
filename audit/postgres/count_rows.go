package postgres

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// hashedValue is a count of a value of which the column has but the hash, and an event that has it.
type hashedValue struct {
	shelf    *shelfView
	field    audit.Field
	position int64
	count    int64
}

// edges lists the bounds of segments: what lies in one of them has an odd number of bounds before it or at it.
func edges(segments []segment) []int64 {
	out := make([]int64, 0, 2*len(segments))
	for _, x := range segments {
		out = append(out, x.from, x.to)
	}
	return out
}

// queueRows counts rows of events in segments, by value or by segment. from names them, more are further conditions.
func (c *counting) queueRows(b *pgx.Batch, sv *shelfView, segments []segment, hashed *[]hashedValue, from, more func(*text)) {
	var t text
	if c.counts != nil {
		t.add(`SELECT width_bucket(e.time, `, t.arg(edges(segments)), `::bigint[]), count(*)`)
		from(&t)
		t.add(` WHERE true`)
		more(&t)
		t.add(` GROUP BY 1`)
		b.Queue(t.String(), t.args...).Query(func(rows pgx.Rows) error { return c.collect(rows, segments) })
		return
	}
	t.add(`SELECT v.field, v.value, count(*), min(e.position)`)
	from(&t)
	t.add(` CROSS JOIN LATERAL (VALUES `, strings.Join(c.valued(), ", "), `) AS v (field, value) WHERE v.value IS NOT NULL AND width_bucket(e.time, `,
		t.arg(edges(segments)), `::bigint[]) % 2 = 1`)
	more(&t)
	t.add(` GROUP BY 1, 2`)
	b.Queue(t.String(), t.args...).Query(func(rows pgx.Rows) error {
		var f int16
		var value string
		var n, position int64
		_, err := pgx.ForEachRow(rows, []any{&f, &value, &n, &position}, func() error {
			if strings.HasPrefix(value, escape) {
				*hashed = append(*hashed, hashedValue{sv, audit.Field(f), position, n}) //nolint:gosec // as asked
			} else {
				c.add(audit.Field(f), audit.TermValue(value), n) //nolint:gosec // as asked
			}
			return nil
		})
		return err
	})
}

// collect adds counts by the number of bounds at or before them.
func (c *counting) collect(rows pgx.Rows, segments []segment) error {
	var before int
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&before, &n}, func() error {
		if before%2 == 1 {
			c.counts[segments[before/2].bucket] += n
		}
		return nil
	})
	return err
}

// valued lists the fields that are counted, and the events themselves, as rows of field and value.
func (c *counting) valued() []string {
	out := []string{`(0::smallint, '' COLLATE "C")`}
	for _, x := range termColumns() {
		for _, f := range c.fields {
			if f == x.field {
				out = append(out, `(`+strconv.Itoa(int(f))+`::smallint, `+x.text()+`)`)
				break
			}
		}
	}
	return out
}

// unhash reads the values of which columns have but hashes.
func (c *counting) unhash(hashed []hashedValue) error {
	var b pgx.Batch
	for _, h := range hashed {
		b.Queue(`SELECT `+termedColumns()+` FROM `+h.shelf.table("event")+` e WHERE e.position = $1`, h.position).Query(func(rows pgx.Rows) error {
			found, err := pgx.CollectRows(rows, scanTermed)
			for i := range found {
				c.add(h.field, audit.TermValue(*found[i].values.of(h.field)), h.count)
			}
			return err
		})
	}
	if b.Len() == 0 {
		return nil
	}
	return c.tx.SendBatch(c.ctx, &b).Close()
}
