package transfer

import (
	"bytes"
	"context"
	"reflect"

	"github.com/postern-audit/postern/audit"
)

// versionPage is how many records of an organization are held in memory at a time: they may be large.
const versionPage = 50

// history copies what the target lacks of an organization's history, whose events it has by now. Commits come last and in order, so that
// the target's newest one says up to where everything is there: when a copy ends in the middle, the next one begins behind that.
func (c *copying) history(ctx context.Context, s *audit.Standing) error {
	missing := audit.HistoryPage{After: c.there[s.OrganizationUID].Commit, UpTo: s.Commit}
	if missing.After >= missing.UpTo {
		return nil
	}
	into := func(h audit.StoredHistory) error { return c.to.ImportHistory(ctx, s.OrganizationUID, h) }
	items := itemsOf(c.from, s.OrganizationUID, missing)
	if err := items.each(ctx, func(some []audit.StoredItem) error {
		c.tell("copy history", s.Organization, 0, s.Commit)
		return into(audit.StoredHistory{Items: some})
	}); err != nil {
		return err
	}
	versions := versionsOf(c.from, s.OrganizationUID, missing)
	if err := versions.each(ctx, func(some []audit.StoredVersion) error {
		c.tell("copy history", s.Organization, 0, s.Commit)
		return into(audit.StoredHistory{Versions: some})
	}); err != nil {
		return err
	}
	commits := commitsOf(c.from, s.OrganizationUID, missing)
	return commits.each(ctx, func(some []audit.StoredCommit) error {
		c.report.Commits += int64(len(some))
		c.tell("copy history", s.Organization, some[len(some)-1].Sequence, s.Commit)
		return into(audit.StoredHistory{Commits: some})
	})
}

// pages reads rows of one kind, page by page.
type pages[T any] struct {
	next func(ctx context.Context, last *T) ([]T, error) // the page behind a row
}

func (p *pages[T]) each(ctx context.Context, fn func([]T) error) error {
	var last *T
	for {
		some, err := p.next(ctx, last)
		if err != nil || len(some) == 0 {
			return err
		}
		if err := fn(some); err != nil {
			return err
		}
		last = &some[len(some)-1]
	}
}

func commitsOf(d audit.HistoryDumper, uid string, of audit.HistoryPage) pages[audit.StoredCommit] {
	return pages[audit.StoredCommit]{func(ctx context.Context, last *audit.StoredCommit) ([]audit.StoredCommit, error) {
		p := of
		if p.Limit = page; last != nil {
			p.After = last.Sequence
		}
		return d.DumpCommits(ctx, uid, p)
	}}
}

func versionsOf(d audit.HistoryDumper, uid string, of audit.HistoryPage) pages[audit.StoredVersion] {
	return pages[audit.StoredVersion]{func(ctx context.Context, last *audit.StoredVersion) ([]audit.StoredVersion, error) {
		p := of
		if p.Limit = versionPage; last != nil {
			p.After = last.Sequence
		}
		return d.DumpVersions(ctx, uid, p)
	}}
}

func itemsOf(d audit.HistoryDumper, uid string, of audit.HistoryPage) pages[audit.StoredItem] {
	return pages[audit.StoredItem]{func(ctx context.Context, last *audit.StoredItem) ([]audit.StoredItem, error) {
		p := of
		if p.Limit = page; last != nil {
			p.Behind = &last.DirectoryPlace
		}
		return d.DumpItems(ctx, uid, p)
	}}
}

// compareHistory holds one organization's history in both archives against each other, row by row.
func (c *copying) compareHistory(ctx context.Context, s *audit.Standing) error {
	const everything = 1<<63 - 1
	whole := audit.HistoryPage{After: -everything, UpTo: everything}
	a, b := commitsOf(c.from, s.OrganizationUID, whole), commitsOf(c.to, s.OrganizationUID, whole)
	if err := hold(ctx, c, s, "commit of the directory", a, b, func(x, y *audit.StoredCommit) bool {
		return sameCommit(x.DirectoryCommit, y.DirectoryCommit) && x.BackTo == y.BackTo
	}); err != nil {
		return err
	}
	v, w := versionsOf(c.from, s.OrganizationUID, whole), versionsOf(c.to, s.OrganizationUID, whole)
	if err := hold(ctx, c, s, "version of the organization", v, w, func(x, y *audit.StoredVersion) bool {
		return sameCommit(x.DirectoryCommit, y.DirectoryCommit) && x.Policy == y.Policy && reflect.DeepEqual(x.Sealed, y.Sealed) &&
			bytes.Equal(x.Body, y.Body) && bytes.Equal(x.Record, y.Record)
	}); err != nil {
		return err
	}
	i, j := itemsOf(c.from, s.OrganizationUID, whole), itemsOf(c.to, s.OrganizationUID, whole)
	return hold(ctx, c, s, "domain or claim", i, j, func(x, y *audit.StoredItem) bool { return reflect.DeepEqual(x, y) })
}

func sameCommit(x, y audit.DirectoryCommit) bool {
	return x.Sequence == y.Sequence && x.Revision == y.Revision && x.RecordedTime.Equal(y.RecordedTime)
}

// hold compares two runs of rows until they part.
func hold[T any](ctx context.Context, c *copying, s *audit.Standing, what string, a, b pages[T], same func(x, y *T) bool) error {
	var inA, inB *T
	for done := int64(0); ; {
		x, err := a.next(ctx, inA)
		if err != nil {
			return err
		}
		y, err := b.next(ctx, inB)
		if err != nil {
			return err
		}
		for i := range min(len(x), len(y)) {
			if done++; !same(&x[i], &y[i]) {
				c.differ("%s: history: another %s, no. %d", s.Organization, what, done)
				return nil
			}
		}
		if len(x) != len(y) {
			c.differ("%s: history: the source has %s no. %d and the target has not, or the other way round", s.Organization, what, done+1)
			return nil
		}
		if len(x) == 0 {
			return nil
		}
		c.tell("compare history", s.Organization, min(done, s.Commit), s.Commit)
		inA, inB = &x[len(x)-1], &y[len(y)-1]
	}
}
