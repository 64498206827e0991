package postgres

import (
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
)

// need is a filter whose presence is known: a block that has none of these values has no event of the answer.
type need anyOf

// needs are those filters of the query, but for the one that is walked.
func (s *search) needs(r *reach, walked path) (out []need) {
	column := ""
	if len(walked) > 0 {
		column = walked[0].filter
	}
	for _, l := range lists(&s.q.Match) {
		if l.field != 0 && l.column != column {
			out = append(out, need{l.field: l.present})
		}
	}
	if len(s.q.Types) > 0 && column != "e.type" {
		out = append(out, need{audit.FieldType: keys(r.types)})
	}
	for _, w := range r.words {
		out = append(out, need(w))
	}
	return out
}

// skip cuts reaches into the pieces that have a value of every filter whose presence is known, where the path alone would meet many
// rows for few.
func (s *search) skip(group []reach) ([][]reach, error) {
	out, found := make([][]reach, len(group)), make([][]map[int64]bool, len(group))
	var b pgx.Batch
	for i := range group {
		r := &group[i]
		low, high := s.blocks(r)
		if r.from >= r.to || r.few || low > high {
			continue
		}
		for _, n := range s.needs(r, r.path) {
			blocks := map[int64]bool{}
			found[i] = append(found[i], blocks)
			for f, values := range n {
				b.Queue(presentText(&r.shelf), r.organization, int16(f), values, low, high).Query(func(rows pgx.Rows) error {
					var block int64
					_, err := pgx.ForEachRow(rows, []any{&block}, func() error { blocks[block] = true; return nil })
					return err
				})
			}
		}
	}
	if b.Len() > 0 {
		if err := s.tx.SendBatch(s.ctx, &b).Close(); err != nil {
			return nil, err
		}
	}
	for i := range group {
		switch r := group[i]; {
		case r.from >= r.to:
		case len(found[i]) == 0:
			out[i] = []reach{r}
		default:
			out[i] = s.pieces(r, found[i])
		}
	}
	return out, nil
}

// presentText asks for the blocks that have one of some values of a field.
func presentText(s *shelf) string {
	return `SELECT p.block FROM ` + s.table("presence") + ` p WHERE p.organization = $1 AND p.field = $2 AND p.value = ANY ($3) AND p.block BETWEEN $4 AND $5`
}

// blocks are the first and the last whole block of a reach.
func (s *search) blocks(r *reach) (low, high int64) {
	return (sequenceOf(r.from) + 1) >> blockBits, min(sequenceOf(r.to)>>blockBits, wholeBlocks(s.v.last)-1)
}

// pieces are the parts of a reach in blocks that are in every set, and what follows the last whole block. Neighbours are one piece.
func (s *search) pieces(r reach, sets []map[int64]bool) (out []reach) {
	var blocks []int64
	for block := range sets[0] {
		if !slices.ContainsFunc(sets, func(set map[int64]bool) bool { return !set[block] }) {
			blocks = append(blocks, block)
		}
	}
	slices.Sort(blocks)
	if tail := wholeBlocks(s.v.last); sequenceOf(r.to)>>blockBits >= tail {
		blocks = append(blocks, tail)
	}
	for _, block := range blocks {
		piece := r
		piece.from = max(r.from, position(r.organization, max(block<<blockBits-1, 0)))
		if block < wholeBlocks(s.v.last) {
			piece.to = min(r.to, position(r.organization, (block+1)<<blockBits-1))
		}
		if n := len(out); n > 0 && out[n-1].to == piece.from {
			out[n-1].to = piece.to
		} else if piece.from < piece.to {
			out = append(out, piece)
		}
	}
	return out
}

// valuesText lists the values an organization's whole blocks have on a shelf, of one field or of all: it hops through the index from
// value to value.
func valuesText(s *shelf, organization string, f audit.Field) string {
	only := ""
	if f != fieldAny {
		only = ` AND p.field = ` + strconv.Itoa(int(f))
	}
	return `WITH RECURSIVE t (field, value, exact) AS (
		(SELECT p.field, p.value, p.exact FROM ` + s.table("presence") + ` p WHERE p.organization = ` + organization + only + ` ORDER BY p.field, p.value LIMIT 1)
		UNION ALL SELECT n.* FROM t CROSS JOIN LATERAL (SELECT p.field, p.value, p.exact FROM ` + s.table("presence") + ` p
			WHERE p.organization = ` + organization + only + ` AND (p.field, p.value) > (t.field, t.value) ORDER BY p.field, p.value LIMIT 1) n)
		SELECT field, value, coalesce(exact, convert_to(value, 'UTF8')) FROM t`
}

// spellWords finds, for each word of the query, the values on each shelf that have it.
func (s *search) spellWords(group []reach) error {
	if len(s.q.Text) == 0 {
		return nil
	}
	var b pgx.Batch
	for i := range group {
		r := &group[i]
		seen := map[audit.Field]map[string]bool{}
		r.words = make([]anyOf, len(s.q.Text))
		for n := range r.words {
			r.words[n] = anyOf{}
		}
		use := func(f audit.Field, value, term string) {
			if !f.HasWords() || seen[f][value] {
				return
			}
			if seen[f] == nil {
				seen[f] = map[string]bool{}
			}
			seen[f][value] = true
			for n, word := range s.q.Text {
				if audit.HasWord(term, word) {
					r.words[n][f] = append(r.words[n][f], value)
				}
			}
		}
		b.Queue(valuesText(&r.shelf, `$1`, fieldAny), r.organization).Query(func(rows pgx.Rows) error {
			var f int16
			var value string
			var term []byte
			_, err := pgx.ForEachRow(rows, []any{&f, &value, &term}, func() error { use(audit.Field(f), value, string(term)); return nil }) //nolint:gosec // as stored
			return err
		})
		queueTermed(&b, &r.shelf, r.organization, wholeBlocks(s.v.last)<<blockBits, s.v.last, func(t termed) {
			for _, c := range termColumns() {
				if v := *t.values.of(c.field); v != "" {
					use(c.field, key(v), audit.TermValue(v))
				}
			}
		})
	}
	return s.tx.SendBatch(s.ctx, &b).Close()
}
