package sqlite

import (
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
)

const (
	// maxBranches is how many values of one filter are walked one by one; a longer list is only checked.
	maxBranches = 64
	// probeRows is how far the paths are measured before one is chosen; firstProbe how far at first.
	probeRows  = 2000
	firstProbe = 50
)

// paths lists the candidates: for every filter with an index, one branch per value.
func (w *walk) paths() [][]branch {
	var out [][]branch
	add := func(branches []branch) {
		if len(branches) > 0 && len(branches) <= maxBranches {
			out = append(out, branches)
		}
	}
	for _, list := range w.q.Indexes() {
		add(indexBranches(list))
	}
	add(valueBranches("event_# e INDEXED BY event_flow_#", "e.flow", w.q.Flows))
	add(valueBranches("event_# e INDEXED BY event_flow_#", "e.flow", w.flows))
	add(valueBranches("event_# e INDEXED BY event_type_#", "e.type", w.kinds))
	add(valueBranches("event_# e INDEXED BY event_site_#", "e.site", w.q.Sites))
	return out
}

func valueBranches(from, column string, values []string) []branch {
	var out []branch
	for _, v := range distinctValues(values) {
		out = append(out, branch{from: from, where: column + " = ?", args: []any{v}})
	}
	return out
}

func indexBranches(indexes []audit.Index) []branch {
	var out []branch
	for _, x := range indexes {
		out = append(out, branch{indexed: true, from: "event_index_# i CROSS JOIN event_# e USING (position)",
			where: "i.purpose = ? AND i.value = ?", args: []any{int64(x.Purpose), x.Value}})
	}
	return out
}

// choose returns the path with the fewest rows in reach, measured up to probeRows; the whole shelf when no filter has an index.
// A path with few rows is found without measuring the others far.
func (w *walk) choose() ([]branch, error) {
	paths := w.paths()
	if len(paths) == 0 {
		return []branch{{from: "event_# e", where: "1"}}, nil
	}
	if len(paths) == 1 {
		return paths[0], nil
	}
	var best []branch
	for _, far := range []int64{firstProbe, probeRows} {
		fewest := int64(-1)
		for _, p := range paths {
			rows, err := w.probe(p, far)
			if err != nil {
				return nil, err
			}
			if fewest < 0 || rows < fewest {
				best, fewest = p, rows
			}
		}
		if fewest < far {
			break
		}
	}
	return best, nil
}

// probe counts a path's rows in reach, up to far for each branch, on the indexes alone.
func (w *walk) probe(path []branch, far int64) (rows int64, err error) {
	for _, b := range path {
		from, column := b.from, b.column()
		if b.indexed {
			from = "event_index_# i"
		}
		var n int64
		args := append(slices.Clone(b.args), w.from, w.to, far)
		if err := w.tx.QueryRowContext(w.ctx, w.shelf.text(`SELECT count(*) FROM (SELECT 1 FROM `+from+` WHERE `+b.where+
			` AND `+column+` > ? AND `+column+` <= ? LIMIT ?)`), args...).Scan(&n); err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// column is where the branch's order comes from.
func (b *branch) column() string {
	if b.indexed {
		return "i.position"
	}
	return "e.position"
}

// statement is the query for a branch's positions in a stretch, in order, as many as the limit needs.
func (w *walk) statement(b branch, run reach) (string, []any) {
	column, order := b.column(), "ASC"
	if w.q.Descending {
		order = "DESC"
	}
	args := append(slices.Clone(b.args), run.from, run.to)
	args = append(append(args, w.where.args...), w.q.Limit)
	return w.shelf.text(`SELECT ` + column + ` FROM ` + b.from + ` WHERE ` + b.where + ` AND ` + column + ` > ? AND ` + column + ` <= ?` +
		w.where.text + ` ORDER BY ` + column + ` ` + order + ` LIMIT ?`), args
}

// walk returns the positions a path leads to in a stretch: each branch's first ones, each once.
func (w *walk) walk(path []branch, run reach) ([]int64, error) {
	var all []int64
	for _, b := range path {
		query, args := w.statement(b, run)
		rows, err := w.tx.QueryContext(w.ctx, query, args...)
		if err != nil {
			return nil, err
		}
		found, err := collect(rows, func(r *sql.Rows) (n int64, err error) { return n, r.Scan(&n) })
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// fetch reads the events of these hits, in their order.
func (s *search) fetch(page []hit) ([]audit.Event, error) {
	at := map[int64]int{} // position → place on the page
	byShelf := map[*shelf][]int64{}
	for i, h := range page {
		at[h.position] = i
		byShelf[h.shelf] = append(byShelf[h.shelf], h.position)
	}
	out := make([]audit.Event, len(page))
	const atOnce = 200
	for on, positions := range byShelf {
		for chunk := range slices.Chunk(positions, atOnce) {
			var c clause
			in(&c, "e.position", chunk)
			rows, err := s.tx.QueryContext(s.ctx, on.text(`SELECT `+eventColumns+` FROM event_# e WHERE 1`+c.text), c.args...)
			if err != nil {
				return nil, err
			}
			events, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, s.q.OrganizationUID) })
			if err != nil {
				return nil, err
			}
			for i := range events {
				out[at[position(s.view.number, events[i].Sequence)]] = events[i]
			}
		}
	}
	return out, nil
}
