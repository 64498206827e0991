package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/postern-audit/postern/audit"
)

// askedTimes is how often each question is asked, after once that does not count.
const askedTimes = 31

// question is one kind; n counts up, so that it is not about the same value each time.
type question struct {
	name string
	ask  func(ctx context.Context, n int) (found int64, err error)
}

// askBoth measures all questions, to the two records in turns, so that a drifting machine moves both. Without a small one, only the large.
func askBoth(ctx context.Context, small, large *record) (out []archiveRow, err error) {
	of := func(r *record) []question {
		if r.archive == nil {
			return nil
		}
		questions := r.made.pages(r.archive)
		if c, ok := r.archive.(audit.Counter); ok {
			questions = append(questions, counts(c)...)
		}
		return questions
	}
	few := of(small)
	for i, q := range of(large) {
		var a, b timing
		for n := range askedTimes + 1 {
			if i < len(few) {
				if err := a.ask(ctx, few[i], n); err != nil {
					return nil, err
				}
			}
			if err := b.ask(ctx, q, n); err != nil {
				return nil, err
			}
		}
		row := archiveRow{Case: q.name, P50: middle(b.spent), CPU: middle(b.used)}
		if len(a.spent) > 0 {
			row.SmallP50, row.SmallCPU = middle(a.spent), middle(a.used)
			row.Ratio, row.CPURatio = row.P50/row.SmallP50, row.CPU/row.SmallCPU
		}
		out = append(out, row)
	}
	return out, nil
}

// timing is how long one kind of question took, and how much of the processor this process needed for it.
type timing struct{ spent, used []time.Duration }

// ask asks once; the first time does not count.
func (t *timing) ask(ctx context.Context, q question, n int) error {
	began, before := time.Now(), processorTime()
	found, err := q.ask(ctx, n)
	if err != nil {
		return fmt.Errorf("%s: %w", q.name, err)
	}
	if found == 0 {
		return fmt.Errorf("%s: nothing was found", q.name)
	}
	if n > 0 {
		t.spent, t.used = append(t.spent, time.Since(began)), append(t.used, processorTime()-before)
	}
	return nil
}

// middle is the median in microseconds.
func middle(d []time.Duration) float64 {
	slices.Sort(d)
	return micro(d[len(d)/2])
}

// pages are lists of events, the newest 100, and a flow.
func (g *generator) pages(a recordArchive) []question {
	large := organizationUID(0)
	page := func(name string, match func(n int) audit.Match) question {
		return question{name, func(ctx context.Context, n int) (int64, error) {
			events, err := a.Events(ctx, audit.Query{OrganizationUID: large, Match: match(n), Descending: true, Limit: 100})
			return int64(len(events)), err
		}}
	}
	return []question{
		page("newest 100", func(int) audit.Match { return audit.Match{} }),
		page("100 by site", func(n int) audit.Match { return audit.Match{Sites: []string{fmt.Sprint("site-", n%10)}} }),
		page("100 by user", func(n int) audit.Match { return audit.Match{Subjects: ofUser(large, uint64(n%16))[:1]} }), //nolint:gosec // small
		page("100 by ip", func(n int) audit.Match { return audit.Match{Networks: ofIP(large, uint64(n%16))[:1]} }),     //nolint:gosec // small
		page("100 by common reason", func(int) audit.Match { return audit.Match{Reasons: []string{commonReason}} }),
		page("all by rare reason", func(int) audit.Match { return audit.Match{Reasons: []string{rareReason}} }),
		{"flow by id", func(ctx context.Context, n int) (int64, error) {
			if len(g.flows) == 0 {
				return 0, nil
			}
			_, events, err := a.Flow(ctx, large, g.flows[n*7%len(g.flows)])
			return int64(len(events)), err
		}},
	}
}

// counts are histograms of 180 days by day, and facets.
func counts(c audit.Counter) []question {
	bounds := []time.Time{recordEnd.Truncate(24 * time.Hour).Add(-179 * 24 * time.Hour)}
	for range 180 {
		bounds = append(bounds, bounds[len(bounds)-1].Add(24*time.Hour))
	}
	histogram := func(name string, m audit.Match) question {
		return question{name, func(ctx context.Context, _ int) (sum int64, err error) {
			h, err := c.Histogram(ctx, audit.Query{OrganizationUID: organizationUID(0), Match: m}, bounds)
			for _, n := range h.Counts {
				sum += n
			}
			return sum, err
		}}
	}
	return []question{
		histogram("histogram by day", audit.Match{}),
		histogram("histogram of a reason", audit.Match{Reasons: []string{commonReason}}),
		histogram("histogram of a site", audit.Match{Sites: []string{"site-3"}}),
		{"facets of five fields", func(ctx context.Context, _ int) (int64, error) {
			f, err := c.Facets(ctx, audit.Query{OrganizationUID: organizationUID(0)},
				[]audit.Field{audit.FieldType, audit.FieldOutcome, audit.FieldReason, audit.FieldMethod, audit.FieldSite}, 20)
			return f.Total, err
		}},
	}
}

// processorTime is what this process has used so far; 0 where nobody tells.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
