package sqlite

import (
	"database/sql"
	"strings"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
)

// wordColumn is the column of a field whose values have words.
func wordColumn(f audit.Field) string {
	switch f {
	case audit.FieldType:
		return "+e.type"
	case audit.FieldReason:
		return "e.reason"
	case audit.FieldMethod:
		return "e.method"
	case audit.FieldFactor:
		return "e.factor"
	case audit.FieldConnection:
		return "e.connection"
	case audit.FieldRule:
		return "e.rule"
	case audit.FieldTargetType:
		return "e.target_type"
	case audit.FieldTargetID:
		return "e.target_id"
	case audit.FieldCaller:
		return "e.caller"
	default:
		return "+e.site"
	}
}

// words turns each word of the query into the terms of the shelf that have it. False when a word is nowhere on it.
func (w *walk) words() (possible bool, err error) {
	if len(w.q.Text) == 0 {
		return true, nil
	}
	all, err := w.distinct()
	if err != nil {
		return false, err
	}
	for _, word := range w.q.Text {
		var terms choice
		for t := range all {
			if audit.HasWord(t.Value, word) {
				terms = append(terms, t)
			}
		}
		if len(terms) == 0 {
			return false, nil
		}
		w.choices = append(w.choices, terms)
		w.where.anyTerm(terms)
	}
	return true, nil
}

// distinct reads every term with words that the organization has on the shelf: those written, and those of the tail.
func (w *walk) distinct() (map[audit.Term]struct{}, error) {
	out := map[audit.Term]struct{}{}
	rows, err := w.tx.QueryContext(w.ctx, w.shelf.text(`SELECT DISTINCT field, value FROM term_count_# WHERE organization = ? AND site = ''`), w.view.number)
	if err != nil {
		return nil, err
	}
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
		var t audit.Term
		err := r.Scan(&t.Field, &t.Value)
		if t.Field.HasWords() {
			out[t] = struct{}{}
		}
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	rows, err = w.tx.QueryContext(w.ctx, w.shelf.text(`SELECT DISTINCT `+termColumns+` FROM event_# e WHERE e.position > ? AND e.position <= ?`),
		position(w.view.number, covered(w.view.last)), position(w.view.number, w.view.last))
	if err != nil {
		return nil, err
	}
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
		e, err := scanTerms(r.Scan)
		for _, t := range audit.Terms(&e) {
			if t.Field.HasWords() {
				out[t] = struct{}{}
			}
		}
		return struct{}{}, err
	})
	return out, err
}

// anyTerm adds "the event has one of the terms".
func (c *clause) anyTerm(terms choice) {
	short := map[audit.Field][]string{}
	var parts []string
	var args []any
	for _, t := range terms {
		if whole(t.Value) {
			short[t.Field] = append(short[t.Field], t.Value)
			continue
		}
		text, more := beginning(wordColumn(t.Field), t.Value)
		parts, args = append(parts, text), append(args, more...)
	}
	for field, values := range short {
		var one clause
		in(&one, wordColumn(field), values)
		parts, args = append(parts, strings.TrimPrefix(one.text, " AND ")), append(args, one.args...)
	}
	c.and("("+strings.Join(parts, " OR ")+")", args...)
}

// beginning says in SQL that audit.TermValue of a column is a value, which may be all that a term holds of a longer one: then the next
// character has no room in a term any more.
func beginning(column, value string) (text string, args []any) {
	characters := utf8.RuneCountInString(value)
	text = "(" + column + " = ? OR (substr(" + column + ", 1, ?) = ? AND unicode(substr(" + column + ", ?, 1)) >= ?))"
	least := [...]int{1, 0x80, 0x800, 0x10000} // by how many bytes are left
	return text, []any{value, characters, value, characters + 1, least[min(max(audit.MaxTerm-len(value), 0), len(least)-1)]}
}

// whole reports whether a value is all that a term of it can stand for.
func whole(value string) bool { return len(value) <= audit.MaxTerm-utf8.UTFMax }
