package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/postern-audit/postern/internal/errs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to this binary's version. Two processes may do so at once: goose runs each migration in a
// transaction, the slower one finds its work done and looks again.
func migrate(ctx context.Context, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	const attempts = 5
	for n := 1; ; n++ {
		if err = step(ctx, p); err == nil || errs.As(err) != nil || n == attempts || ctx.Err() != nil {
			return err
		}
	}
}

// provider knows every migration.
func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
		goose.WithGoMigrations(goose.NewGoMigration(3, &goose.GoFunc{RunTx: toShelves}, nil),
			goose.NewGoMigration(4, &goose.GoFunc{RunTx: toTerms}, nil), goose.NewGoMigration(5, &goose.GoFunc{RunTx: toPeople}, nil)))
}

func step(ctx context.Context, p *goose.Provider) error {
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return errs.Newf(errs.FailedPrecondition, reasonNewer,
			"the archive has schema version %d, this binary knows %d: use the newer binary", have, want)
	}
	if have == want {
		return nil
	}
	_, err = p.Up(ctx)
	return err
}
