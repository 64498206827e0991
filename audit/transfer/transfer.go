// Package transfer copies a record from one archive to another, and holds the two against each other.
//
// Purpose: an installation outgrows its SQLite file and goes on in PostgreSQL, with the same sequence numbers, cursors and
// shelves. A copy may be made while the source is written to, stopped anywhere and begun again: it goes on where the target
// stands, and what came meanwhile follows.
// Invariant: the target is told which installation it belongs to only after everything was found equal, so that no process
// serves from half a copy.
// It must never write to the source, open a sealed part, or give a sequence number.
// First file to read: transfer.go, then compare.go.
package transfer

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// page is how many events one transaction of the target takes.
const page = 1000

// Source is the archive that is copied.
type Source interface {
	audit.FullDumper
	audit.SubjectDumper
	audit.Shelves
	Installation(ctx context.Context) (*audit.Installation, error)
	Keys(ctx context.Context, after string, limit int) ([]audit.OrganizationKey, error)
	Retention(ctx context.Context, organizationUID string) (audit.Retention, error)
	Untold(ctx context.Context, limit int) ([]audit.Pruned, error)
}

// Target is the archive that is copied to.
type Target interface {
	audit.Archive // of which the installation is read and set, and nothing appended
	audit.Dumper
	audit.HistoryDumper
	audit.SubjectDumper
	audit.Shelves
	SetRetention(ctx context.Context, organizationUID string, r audit.Retention) error
	audit.Importer
}

// Report says what a copy did and found.
type Report struct {
	Organizations int   `json:"organizations"`
	Events        int64 `json:"events"`  // copied this time
	Present       int64 `json:"present"` // there already
	Compared      int64 `json:"compared"`
	Commits       int64 `json:"commits"` // of directories, copied this time
	// Differences are what is not equal, in words for people; at most 100. Nothing but an empty list is a good copy.
	Differences []string `json:"differences,omitempty"`
}

// Progress is told now and then how many events of an organization are copied or compared, of how many.
type Progress func(phase, organization string, done, of int64)

// Copy copies everything that the target lacks. With compare it then holds all of the target against the source, which nobody
// may write to meanwhile, and if they are equal writes the installation.
func Copy(ctx context.Context, from Source, to Target, compare bool, tell Progress) (Report, error) {
	c := copying{from: from, to: to, tell: tell, there: map[string]audit.Standing{}}
	i, err := c.belongs(ctx)
	if err != nil {
		return c.report, err
	}
	if err := c.keys(ctx); err != nil {
		return c.report, err
	}
	standings, err := all(ctx, from)
	if err != nil {
		return c.report, err
	}
	untold, err := c.untold(ctx)
	if err != nil {
		return c.report, err
	}
	present, err := all(ctx, to)
	if err != nil {
		return c.report, err
	}
	for _, s := range present {
		c.there[s.OrganizationUID] = s
	}
	for k := range standings {
		if err := c.organization(ctx, &standings[k], untold); err != nil {
			return c.report, err
		}
	}
	c.report.Organizations = len(standings)
	if !compare {
		return c.report, nil
	}
	if err := c.compare(ctx, standings); err != nil || len(c.report.Differences) > 0 || i == nil {
		return c.report, err
	}
	return c.report, to.SetInstallation(ctx, *i)
}

// copying is one run of Copy.
type copying struct {
	from   Source
	to     Target
	tell   Progress
	there  map[string]audit.Standing // of the target, by organization
	report Report
}

// belongs refuses a target that belongs to another installation.
func (c *copying) belongs(ctx context.Context) (*audit.Installation, error) {
	source, err := c.from.Installation(ctx)
	if err != nil {
		return nil, err
	}
	target, err := c.to.Installation(ctx)
	if err != nil {
		return nil, err
	}
	if target != nil && (source == nil || target.ID != source.ID || target.Region != "" && target.Region != source.Region) {
		return nil, errs.New(errs.FailedPrecondition, "INSTALLATION_MISMATCH", "the target belongs to another installation, or to another region")
	}
	return source, nil
}

func (c *copying) keys(ctx context.Context) error {
	after := ""
	for {
		keys, err := c.from.Keys(ctx, after, page)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := c.to.ImportKeys(ctx, keys); err != nil {
			return err
		}
		after = keys[len(keys)-1].OrganizationUID
	}
}

// all reads every standing.
func all(ctx context.Context, d audit.Dumper) (out []audit.Standing, err error) {
	after := ""
	for {
		some, err := d.Standings(ctx, after, page)
		if err != nil || len(some) == 0 {
			return out, err
		}
		out = append(out, some...)
		after = some[len(some)-1].OrganizationUID
	}
}

func (c *copying) untold(ctx context.Context) (map[string]bool, error) {
	const enough = 1 << 30
	list, err := c.from.Untold(ctx, enough)
	out := make(map[string]bool, len(list))
	for i := range list {
		out[list[i].EventID] = true
	}
	return out, err
}

// organization copies one organization's record, from where the target stands.
func (c *copying) organization(ctx context.Context, s *audit.Standing, untold map[string]bool) error {
	r, err := c.from.Retention(ctx, s.OrganizationUID)
	if err != nil {
		return err
	}
	if err := c.to.SetRetention(ctx, s.OrganizationUID, r); err != nil {
		return err
	}
	at := c.there[s.OrganizationUID].Last
	if at > s.Last {
		return errs.Newf(errs.FailedPrecondition, "ARCHIVE_CONFLICT", "the target is ahead of the source: organization %s has sequence %d there, %d here", s.Organization, at, s.Last)
	}
	c.report.Present += at
	for {
		events, err := c.from.Dump(ctx, s.OrganizationUID, at, page)
		if err != nil {
			return err
		}
		flows, err := c.flowsOf(ctx, s.OrganizationUID, events)
		if err != nil {
			return err
		}
		if err := c.to.Import(ctx, *s, events, flows); err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		c.report.Events += int64(len(events))
		at = events[len(events)-1].Sequence
		c.tell("copy", s.Organization, at, max(s.Last, at))
	}
	if err := c.history(ctx, s); err != nil {
		return err
	}
	if err := c.people(ctx, s); err != nil {
		return err
	}
	pruned, err := c.from.Pruned(ctx, s.OrganizationUID)
	if err != nil || len(pruned) == 0 {
		return err
	}
	return c.to.ImportPruned(ctx, pruned, untold)
}

// flowsOf reads the rows of the events' flows.
func (c *copying) flowsOf(ctx context.Context, uid string, events []audit.StoredEvent) ([]audit.StoredFlow, error) {
	seen := map[string]bool{}
	var ids []string
	for i := range events {
		if id := events[i].Flow; id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return c.from.DumpFlows(ctx, uid, ids)
}
