package export

import (
	"context"
	"errors"
	"syscall"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// trouble is why an export is paused or failed.
type trouble struct {
	reason string
	final  bool // time does not heal it
	err    error
}

// Error implements error.
func (t *trouble) Error() string { return t.reason + ": " + t.err.Error() }

// Unwrap returns the cause.
func (t *trouble) Unwrap() error { return t.err }

// storing marks an error of what files are written to.
func storing(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	reason := ReasonStorageUnavailable
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		reason = ReasonStorageFull
	}
	return &trouble{reason: reason, err: err}
}

// reading marks an error of what the record is read from.
func reading(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if errs.Is(err, audit.KeyDestroyed) {
		return &trouble{reason: ReasonOrganizationGone, final: true, err: err}
	}
	switch errs.KindOf(err) { //nolint:exhaustive // the rest passes
	case errs.NotFound:
		return &trouble{reason: ReasonOrganizationGone, final: true, err: err}
	case errs.Invalid:
		return &trouble{reason: ReasonCannotBeMade, final: true, err: err}
	}
	return &trouble{reason: ReasonArchiveUnavailable, err: err}
}

// troubleOf says what an error means for an export.
func troubleOf(err error) *trouble {
	var t *trouble
	if errors.As(err, &t) {
		return t
	}
	return &trouble{reason: ReasonCannotBeMade, err: err}
}
