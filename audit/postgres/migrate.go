package postgres

import (
	"context"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/postern-audit/postern/internal/errs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock of whoever looks at the schema's version and changes it.
const migrationLock = 0x706f737465726e // "postern"

// SchemaVersions returns the schema version of the database, 0 when it has none, and the one this binary brings. It changes nothing.
func (a *Archive) SchemaVersions(ctx context.Context) (have, want int64, err error) {
	have, err = version(ctx, a.pool)
	if err != nil {
		return 0, 0, wrapIn(ctx, err)
	}
	want, err = newest()
	return have, want, err
}

// Connect is Open without the migration: for commands that look at an archive, or bring it up to date one step at a time.
func Connect(ctx context.Context, o Options) (*Archive, error) { return connect(ctx, o) }

// Migrate brings the schema up to this binary's version.
func (a *Archive) Migrate(ctx context.Context) error { return wrapIn(ctx, migrate(ctx, a.pool)) }

// migrate brings the schema up to this binary's version. Processes that start at once take turns; a schema that is up to date
// is only looked at, which a role that may not change anything can do.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	if done, err := current(ctx, pool); done || err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock)) //nolint:errcheck // gone with the connection
	if done, err := current(ctx, pool); done || err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() //nolint:errcheck // the pool stays open
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
		goose.WithGoMigrations(goose.NewGoMigration(termsVersion, &goose.GoFunc{RunTx: toTerms}, nil),
			goose.NewGoMigration(peopleVersion, &goose.GoFunc{RunTx: toPeople}, nil)))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// current reports whether the schema is this binary's; a newer one is an error.
func current(ctx context.Context, q querier) (bool, error) {
	have, err := version(ctx, q)
	if err != nil {
		return false, err
	}
	want, err := newest()
	if err != nil {
		return false, err
	}
	if have > want {
		return false, errs.Newf(errs.FailedPrecondition, reasonNewer,
			"the archive has schema version %d, this binary knows %d: use the newer binary", have, want)
	}
	return have == want, nil
}

// version is the schema's version, 0 without one.
func version(ctx context.Context, q querier) (have int64, err error) {
	var there bool
	if err := q.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = q.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return have, err
}

// The migrations that are no files: they read events.
const (
	termsVersion  = 3
	peopleVersion = 4
)

// newest is the version of the last migration in this binary.
func newest() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0, errs.Wrap(err, errs.Internal, reasonFailed, "the archive failed")
	}
	last, err := goose.NumericComponent(names[len(names)-1])
	return max(last, peopleVersion), err
}
