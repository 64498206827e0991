package sqlite

import (
	"database/sql"
	"slices"

	"github.com/postern-audit/postern/audit"
)

const (
	// maxBranches is how many values of one filter are walked one by one; a longer list is only checked.
	maxBranches = 64
	// probeRows is how far the paths are measured before one is chosen.
	probeRows = 2000
)

// paths lists the candidates: for every filter with an index, one branch per value.
func (s *search) paths() ([][]branch, error) {
	var out [][]branch
	add := func(branches []branch) {
		if len(branches) > 0 && len(branches) <= maxBranches {
			out = append(out, branches)
		}
	}
	add(indexBranches(s.q.Subjects))
	add(indexBranches(s.q.Networks))
	add(valueBranches("event e INDEXED BY event_flow", "e.flow", s.q.Flows))
	if len(s.q.Types) > 0 {
		types, err := s.types()
		if err != nil {
			return nil, err
		}
		add(valueBranches("event e INDEXED BY event_type", "e.type", types))
	}
	add(valueBranches("event e INDEXED BY event_site", "e.site", s.q.Sites))
	return out, nil
}

func valueBranches(from, column string, values []string) []branch {
	var out []branch
	for _, v := range values {
		out = append(out, branch{from: from, where: column + " = ?", args: []any{v}})
	}
	return out
}

func indexBranches(indexes []audit.Index) []branch {
	var out []branch
	for _, x := range indexes {
		out = append(out, branch{indexed: true, from: "event_index i CROSS JOIN event e USING (position)",
			where: "i.purpose = ? AND i.value = ?", args: []any{int64(x.Purpose), x.Value}})
	}
	return out
}

// choose returns the path with the fewest rows in reach, measured up to probeRows; the whole record when no filter has an
// index.
func (s *search) choose() ([]branch, error) {
	paths, err := s.paths()
	if err != nil || len(paths) == 0 {
		return []branch{{from: "event e", where: "1"}}, err
	}
	if len(paths) == 1 {
		return paths[0], nil
	}
	best, fewest := paths[0], int64(-1)
	for _, p := range paths {
		var rows int64
		for _, b := range p {
			n, err := s.probe(b)
			if err != nil {
				return nil, err
			}
			rows += n
		}
		if fewest < 0 || rows < fewest {
			best, fewest = p, rows
		}
	}
	return best, nil
}

// probe counts a branch's rows in reach, up to probeRows, on the index alone.
func (s *search) probe(b branch) (n int64, err error) {
	from, column := b.from, b.column()
	if b.indexed {
		from = "event_index i"
	}
	args := append(slices.Clone(b.args), s.from, s.to, probeRows)
	err = s.tx.QueryRowContext(s.ctx, `SELECT count(*) FROM (SELECT 1 FROM `+from+` WHERE `+b.where+
		` AND `+column+` > ? AND `+column+` <= ? LIMIT ?)`, args...).Scan(&n)
	return n, err
}

// column is where the branch's order comes from.
func (b *branch) column() string {
	if b.indexed {
		return "i.position"
	}
	return "e.position"
}

// text is the query for a branch's positions, in order, as many as the limit needs.
func (s *search) text(b branch) (string, []any) {
	column, order := b.column(), "ASC"
	if s.q.Descending {
		order = "DESC"
	}
	args := append(slices.Clone(b.args), s.from, s.to)
	args = append(append(args, s.where.args...), s.q.Limit)
	return `SELECT ` + column + ` FROM ` + b.from + ` WHERE ` + b.where + ` AND ` + column + ` > ? AND ` + column + ` <= ?` +
		s.where.text + ` ORDER BY ` + column + ` ` + order + ` LIMIT ?`, args
}

// walk returns the positions of the answer: each branch's first ones, merged.
func (s *search) walk(path []branch) ([]int64, error) {
	var all []int64
	for _, b := range path {
		query, args := s.text(b)
		rows, err := s.tx.QueryContext(s.ctx, query, args...)
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
	all = slices.Compact(all)
	if s.q.Descending {
		slices.Reverse(all)
	}
	return all[:min(len(all), s.q.Limit)], nil
}

// fetch reads the events at these positions, in this order.
func (s *search) fetch(positions []int64) ([]audit.Event, error) {
	const atOnce = 200
	out := make([]audit.Event, 0, len(positions))
	for chunk := range slices.Chunk(positions, atOnce) {
		var c clause
		in(&c, "e.position", chunk)
		order := " ORDER BY e.position"
		if s.q.Descending {
			order += " DESC"
		}
		rows, err := s.tx.QueryContext(s.ctx, `SELECT `+eventColumns+` FROM event e WHERE 1`+c.text+order, c.args...)
		if err != nil {
			return nil, err
		}
		events, err := collect(rows, func(r *sql.Rows) (audit.Event, error) { return scanEvent(r, s.q.OrganizationUID) })
		if err != nil {
			return nil, err
		}
		out = append(out, events...)
	}
	return out, nil
}
