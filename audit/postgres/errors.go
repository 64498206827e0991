package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

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
	reasonURL          = "ARCHIVE_URL_INVALID"
	reasonCanceled     = "CANCELED"
	reasonDeadline     = "DEADLINE_EXCEEDED"
)

// SQLSTATE codes and classes that are told apart.
const (
	stateUnique       = "23505"
	stateSerialize    = "40001"
	stateDeadlock     = "40P01"
	stateNoTable      = "42P01"
	stateNoPrivilege  = "42501"
	stateLock         = "55P03"
	stateCanceled     = "57014"
	stateIndexRow     = "54000" // program_limit_exceeded: a row or index entry is too large
	classData         = "22"
	classConstraint   = "23"
	classSyntax       = "42"
	classCorrupt      = "XX"
	stateCorruptData  = "XX001"
	stateCorruptIndex = "XX002"
)

// wrap turns whatever the driver said into an errs.Error; nil and errs.Errors pass through. Trouble of the server or the way
// there is Unavailable: the same call may work later. Invalid means that PostgreSQL took exception to the values, so the same
// call never will.
func wrap(err error) error {
	if err == nil || errs.As(err) != nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return errs.Wrap(err, errs.Canceled, reasonCanceled, "the call was cancelled")
	}
	if errors.Is(err, context.DeadlineExceeded) || stateOf(err) == stateCanceled {
		return errs.Wrap(err, errs.DeadlineExceeded, reasonDeadline, "the archive did not answer in time")
	}
	switch state := stateOf(err); {
	case state == stateCorruptData || state == stateCorruptIndex:
		return errs.Wrap(err, errs.Internal, reasonDamaged, "the archive is damaged")
	case state == stateIndexRow || class(state) == classData || class(state) == classConstraint && state != stateUnique:
		return errs.Wrap(err, errs.Invalid, reasonRefused, "the archive cannot store this event")
	case class(state) == classSyntax && state != stateNoTable && state != stateNoPrivilege, class(state) == classCorrupt:
		return errs.Wrap(err, errs.Internal, reasonFailed, "the archive failed")
	default: // no connection, being shut down or restarted, no space, no memory, too many clients, a lost race …
		return errs.Wrap(err, errs.Unavailable, reasonUnavailable, "the archive cannot be used at the moment")
	}
}

// wrapIn is wrap for a call with this context: a driver whose call was given up may say so in other words.
func wrapIn(ctx context.Context, err error) error {
	if err != nil && errs.As(err) == nil && ctx.Err() != nil {
		return wrap(errors.Join(ctx.Err(), err))
	}
	return wrap(err)
}

// stateOf is the SQLSTATE the server gave, "" when it gave none.
func stateOf(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func class(state string) string {
	if len(state) < 2 {
		return ""
	}
	return state[:2]
}

// lostRace reports whether a transaction failed because of another one, and the same one over again may work now: a deadlock
// broken, the same id or shelf made by two, a shelf dropped after it was looked up.
func lostRace(err error) bool {
	switch stateOf(err) {
	case stateUnique, stateSerialize, stateDeadlock, stateNoTable:
		return true
	}
	return false
}
