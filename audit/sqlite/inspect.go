package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/postern-audit/postern/audit"
)

// Inspection is what a look at an archive's file tells.
type Inspection struct {
	Schema, Wanted int64               // the file's version, and this binary's
	Installation   *audit.Installation // nil on a new archive, and when the versions differ
}

// Inspect looks at an archive without changing it: a schema that is not this binary's is told, not migrated.
func Inspect(ctx context.Context, path string) (Inspection, error) {
	var found Inspection
	abs, err := filepath.Abs(path)
	if err != nil {
		return found, wrap(err)
	}
	db, err := sql.Open("sqlite", dsn(abs, "query_only(1)")+"&mode=ro")
	if err != nil {
		return found, wrap(err)
	}
	defer func() { _ = db.Close() }()
	p, err := provider(db)
	if err != nil {
		return found, wrap(err)
	}
	for _, m := range p.ListSources() {
		found.Wanted = max(found.Wanted, m.Version)
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+goose.DefaultTablename+` WHERE is_applied`).Scan(&found.Schema); err != nil {
		return found, wrap(err)
	}
	if found.Schema == found.Wanted {
		found.Installation, err = installation(ctx, db)
	}
	return found, wrap(err)
}
