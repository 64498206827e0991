package postgres

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// ProblemCode names something about a server that keeps it from doing what Postern promises.
type ProblemCode string

// The problems. Those of durability may be waived by whoever can bear to lose what was acknowledged; the others may not.
const (
	NoFsync       ProblemCode = "FSYNC_OFF"
	NoPageWrites  ProblemCode = "FULL_PAGE_WRITES_OFF"
	NoSyncCommit  ProblemCode = "SYNCHRONOUS_COMMIT_OFF"
	OldVersion    ProblemCode = "VERSION_TOO_OLD"
	WrongEncoding ProblemCode = "ENCODING_NOT_UTF8"
)

// oldest is the first server version this package is tested with.
const oldest = 150000

// Problem is one of them, with what was found.
type Problem struct {
	Code   ProblemCode
	Detail string
}

// Durability reports whether the problem is one of losing what was acknowledged.
func (p Problem) Durability() bool {
	switch p.Code {
	case NoFsync, NoPageWrites, NoSyncCommit:
		return true
	default:
		return false
	}
}

// Check asks the server how it is set up, for sessions of this archive's role in its database.
func (a *Archive) Check(ctx context.Context) ([]Problem, error) {
	settings := map[string]string{}
	rows, err := a.pool.Query(ctx, `SELECT name, current_setting(name) FROM unnest($1::text[]) AS name`,
		[]string{"fsync", "full_page_writes", "synchronous_commit", "server_version_num", "server_encoding"})
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { settings[name] = value; return nil }); err != nil {
		return nil, wrapIn(ctx, err)
	}
	var found []Problem
	add := func(bad bool, code ProblemCode, format string, args ...any) {
		if bad {
			found = append(found, Problem{code, fmt.Sprintf(format, args...)})
		}
	}
	add(old(settings["server_version_num"]), OldVersion, "the server has version %s; 15 or newer is needed", settings["server_version_num"])
	add(settings["server_encoding"] != "UTF8", WrongEncoding, "the database's encoding is %s; it must be UTF8", settings["server_encoding"])
	add(settings["fsync"] != "on", NoFsync, "fsync is %s: what was committed is lost with the machine", settings["fsync"])
	add(settings["full_page_writes"] != "on", NoPageWrites, "full_page_writes is %s: a crash in the middle of a write can damage the archive", settings["full_page_writes"])
	add(settings["synchronous_commit"] == "off", NoSyncCommit, "synchronous_commit is off: the last commits are lost with the server")
	return found, nil
}

// old reports whether a version, as server_version_num writes it, is before the oldest that will do, or cannot be read.
func old(version string) bool {
	n, err := strconv.Atoi(version)
	return err != nil || n < oldest
}
