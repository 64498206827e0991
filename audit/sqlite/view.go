package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// view is what a reader may see of one organization, on one state of the file.
type view struct {
	number, last int64 // of organization_sequence
	known        bool  // it has a record
	catalogue    *catalogue
	edges        [len(categories)]time.Time // by category; zero: no edge
	parts        []*part                    // what it has on each shelf, as far as anything of it may be seen
}

// part is what an organization has on one shelf.
type part struct {
	*shelf
	content [len(categories)]content
	events  content // of the categories that may be seen
}

// view reads what there is of an organization.
func (a *Archive) view(ctx context.Context, tx querier, organizationUID string) (*view, error) {
	var v view
	var err error
	if v.catalogue, err = a.catalogue(ctx, tx); err != nil {
		return nil, err
	}
	r, err := retentionOf(ctx, tx, organizationUID)
	if err != nil {
		return nil, err
	}
	now := a.now()
	for i, c := range categories {
		v.edges[i] = r.Edge(c, now)
	}
	err = tx.QueryRowContext(ctx, `SELECT organization, last_sequence FROM organization_sequence WHERE organization_uid = ?`, organizationUID).Scan(&v.number, &v.last)
	if errors.Is(err, sql.ErrNoRows) {
		return &v, nil
	}
	v.known = err == nil
	return &v, err
}

// load reads the parts.
func (v *view) load(ctx context.Context, tx querier) error {
	rows, err := tx.QueryContext(ctx, `SELECT `+contentColumns+` FROM shelf_content c WHERE c.organization = ? ORDER BY c.shelf`, v.number)
	if err != nil {
		return err
	}
	var last *part
	_, err = collect(rows, func(r *sql.Rows) (struct{}, error) {
		key, c, err := scanContent(r.Scan)
		if err != nil {
			return struct{}{}, err
		}
		s := v.catalogue.number[key.shelf]
		if s == nil || v.hides(s, int(key.category)-1) {
			return struct{}{}, nil
		}
		if last == nil || last.number != s.number {
			last = &part{shelf: s}
			v.parts = append(v.parts, last)
		}
		last.add(int(key.category)-1, c)
		return struct{}{}, nil
	})
	return err
}

func (p *part) add(category int, c content) {
	p.content[category] = c
	p.events.events += c.events
	for _, x := range []struct{ to, from *extent }{{&p.events.sequence, &c.sequence}, {&p.events.time, &c.time}} {
		if x.from.present {
			x.to.add(x.from.low)
			x.to.add(x.from.high)
		}
	}
}

// flowParts lists the parts with flows, the one with the latest start in front.
func (v *view) flowParts() []*part {
	var out []*part
	for _, p := range v.parts {
		if p.flows().flows > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *part) int { return cmp.Compare(b.flows().started.high, a.flows().started.high) })
	return out
}

// flows is what the part has of flows.
func (p *part) flows() *content { return &p.content[0] }

// hides reports whether everything of a category on the shelf lies before its edge.
func (v *view) hides(s *shelf, category int) bool { return !s.End.After(v.edges[category]) }

// cuts reports whether the category's edge goes through the shelf.
func (v *view) cuts(s *shelf, category int) bool { return s.Start.Before(v.edges[category]) }

// shows reports whether an event may be seen.
func (v *view) shows(e *audit.Event) bool {
	moment, _ := audit.Moment(e.ID, e.RecordedTime)
	return !moment.Before(v.edges[categoryNumber(audit.CategoryOf(e.Type))-1])
}

// onlyShown adds the condition that keeps what lies before the edges out of a part; nothing where no edge cuts it.
func (v *view) onlyShown(c *clause, p *part) {
	const after = "(CASE WHEN e.flags & 4 THEN e.recorded_time >= ? ELSE e.id >= ? END)"
	var text strings.Builder
	var args []any
	cut := false
	for i := len(categories) - 1; i >= 0; i-- {
		if i > 0 { // the first category is whatever is none of the others
			types := typesOf(categories[i])
			text.WriteString("WHEN e.type IN (?" + strings.Repeat(", ?", len(types)-1) + ") THEN ")
			args = append(args, types...)
		} else {
			text.WriteString("ELSE ")
		}
		switch {
		case v.hides(p.shelf, i):
			cut = true
			text.WriteString("0 ")
		case v.cuts(p.shelf, i):
			cut = true
			text.WriteString(after + " ")
			args = append(args, stored.Nanos(v.edges[i]), audit.FirstID(v.edges[i]))
		default:
			text.WriteString("1 ")
		}
	}
	if cut {
		c.and("(CASE "+text.String()+"END)", args...)
	}
}

// onlyShownFlows is onlyShown for flows.
func (v *view) onlyShownFlows(c *clause, s *shelf) {
	if v.cuts(s, 0) {
		c.and("(CASE WHEN f.stray IS NULL THEN f.id >= ? ELSE f.stray >= ? END)", audit.FirstID(v.edges[0]), v.edges[0].UnixMilli())
	}
}

// typesOf lists the types of a category.
func typesOf(c audit.Category) []any {
	var out []any
	for _, t := range audit.Types() {
		if t.Category == c {
			out = append(out, string(t.Type))
		}
	}
	return out
}
