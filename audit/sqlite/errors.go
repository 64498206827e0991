package sqlite

import (
	"context"
	"errors"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/postern-audit/postern/internal/errs"
)

// Reasons of this package's errors.
const (
	reasonUnavailable  = "ARCHIVE_UNAVAILABLE"
	reasonDamaged      = "ARCHIVE_DAMAGED"
	reasonFailed       = "ARCHIVE_FAILED"
	reasonNewer        = "ARCHIVE_NEWER"
	reasonRefused      = "EVENT_NOT_STORABLE"
	reasonNoEvent      = "EVENT_NOT_FOUND"
	reasonNoFlow       = "FLOW_NOT_FOUND"
	reasonInstallation = "INSTALLATION_MISMATCH"
	reasonCanceled     = "CANCELED"
	reasonDeadline     = "DEADLINE_EXCEEDED"
)

// wrap turns whatever the driver or database/sql said into an errs.Error; nil and errs.Errors pass through. Trouble of the
// machine (no space, no descriptor, a lock held too long) is Unavailable: the same call may work later. Invalid means that
// SQLite took exception to the values, so the same call never will.
func wrap(err error) error {
	if err == nil || errs.As(err) != nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return errs.Wrap(err, errs.Canceled, reasonCanceled, "the call was cancelled")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errs.Wrap(err, errs.DeadlineExceeded, reasonDeadline, "the archive did not answer in time")
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return errs.Wrap(err, errs.Unavailable, reasonUnavailable, "the archive cannot be used at the moment")
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_FORMAT:
		return errs.Wrap(err, errs.Internal, reasonDamaged, "the archive file is damaged")
	case lib.SQLITE_TOOBIG, lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_RANGE:
		return errs.Wrap(err, errs.Invalid, reasonRefused, "the archive cannot store this event")
	case lib.SQLITE_ERROR, lib.SQLITE_MISUSE, lib.SQLITE_INTERNAL, lib.SQLITE_SCHEMA, lib.SQLITE_AUTH:
		return errs.Wrap(err, errs.Internal, reasonFailed, "the archive failed")
	default: // FULL, IOERR, CANTOPEN, READONLY, BUSY, LOCKED, NOMEM, PROTOCOL, INTERRUPT …
		return errs.Wrap(err, errs.Unavailable, reasonUnavailable, "the archive cannot be used at the moment")
	}
}
