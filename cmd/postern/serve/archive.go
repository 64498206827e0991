package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/errs"
)

// Archive is what a process keeps its record in: a SQLite file or a PostgreSQL database.
type Archive interface {
	audit.BatchingArchive
	audit.Reader
	audit.DeepReader
	audit.Overview
	audit.Keeper
	audit.FullDumper
	audit.People
}

// OpenArchive opens the archive that the settings name, and brings its schema up to date.
func OpenArchive(ctx context.Context, c config.Config, now func() time.Time) (Archive, error) {
	if c.Archive.URL == "" {
		return opened(sqlite.Open(ctx, c.ArchivePath(), now))
	}
	o, err := PostgresOptions(c.Archive, now)
	if err != nil {
		return nil, err
	}
	return opened(postgres.Open(ctx, o))
}

// opened keeps a nil pointer from becoming an archive.
func opened[A Archive](a A, err error) (Archive, error) {
	if err != nil {
		return nil, err
	}
	return a, nil
}

// PostgresOptions reads what the settings name a file for.
func PostgresOptions(c config.Archive, now func() time.Time) (postgres.Options, error) {
	o := postgres.Options{URL: c.URL, Connections: c.MaxConnections, Now: now}
	if c.PasswordFile == "" {
		return o, nil
	}
	password, err := firstLine(c.PasswordFile)
	if err != nil {
		return o, &ConfigError{fmt.Errorf("archive.password_file: %w", err)}
	}
	o.Password = password
	return o, nil
}

func (p *process) openArchive(ctx context.Context) error {
	err := await(ctx, p.log, "archive", func(ctx context.Context) (err error) {
		p.stores.archive, err = OpenArchive(ctx, p.c, p.clock.Now)
		return err
	})
	var d *DependencyError
	var wrong *ConfigError
	if errors.As(err, &wrong) {
		return wrong
	}
	if errors.As(err, &d) && errs.KindOf(d.Err) == errs.FailedPrecondition || errors.Is(err, postgres.ErrOptions) {
		return &ConfigError{err}
	}
	if err != nil {
		return err
	}
	p.closers.add("archive", func(context.Context) error { return p.stores.archive.Close() })
	return p.checkArchive(ctx)
}

// checkArchive refuses a PostgreSQL that does not keep what it takes, unless the settings say that it may be so.
func (p *process) checkArchive(ctx context.Context) error {
	var problems []postgres.Problem
	if err := await(ctx, p.log, "archive", func(ctx context.Context) (err error) {
		problems, err = p.archiveProblems(ctx)
		return err
	}); err != nil {
		return err
	}
	var refused []error
	for _, problem := range problems {
		const setting = "archive.insecure_no_durability"
		if problem.Durability() && p.c.Archive.InsecureNoDurability {
			p.log.WarnContext(ctx, "PostgreSQL cannot keep every promise; started because a setting says so",
				"problem", string(problem.Code), "found", problem.Detail, "setting", setting)
			continue
		}
		err := fmt.Errorf("%s: %s", problem.Code, problem.Detail)
		if problem.Durability() {
			err = fmt.Errorf("%w (or set %s to start without that promise)", err, setting)
		}
		refused = append(refused, err)
	}
	if len(refused) > 0 {
		return &DependencyError{"PostgreSQL is not fit", errors.Join(refused...)}
	}
	return nil
}

// archiveProblems asks a PostgreSQL server how it is set up. A SQLite archive sets itself up.
func (p *process) archiveProblems(ctx context.Context) ([]postgres.Problem, error) {
	if a, ok := p.stores.archive.(*postgres.Archive); ok {
		return a.Check(ctx)
	}
	return nil, nil
}
