package redisx

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
)

// Reasons of a failed call to Redis.
const (
	NotRecorded    = "NOT_RECORDED"
	OutcomeUnknown = "OUTCOME_UNKNOWN"
)

// Classify says what a failed write means. NOT_RECORDED: nothing was sent (no connection, none free), or Redis answered
// with an error, and it answers with one before it changes anything (out of memory, read-only, loading, wrong type, cluster
// down …; scripts here check before they write). OUTCOME_UNKNOWN: the command may have left and no answer came.
// Errors that are classified already stay as they are.
func Classify(err error, sent bool) error {
	if err == nil {
		return nil
	}
	if e := errs.As(err); e != nil {
		return err
	}
	var answered redis.Error
	if !sent || errors.As(err, &answered) {
		return errs.Wrap(err, errs.Unavailable, NotRecorded, "the store did not take it: nothing was recorded; try again")
	}
	return errs.Wrap(err, errs.Unavailable, OutcomeUnknown,
		"the store did not answer in time: whether it was recorded is unknown; repeat the call with the same request id")
}

// ReadFailed wraps the error of a read: nothing was written, so nothing was recorded.
func ReadFailed(err error) error {
	if err == nil || errs.As(err) != nil {
		return err
	}
	return errs.Wrap(err, errs.Unavailable, NotRecorded, "the store cannot be read: nothing was recorded; try again")
}

// ReadAgain is ReadFailed for a script that only reads: a lost answer then is no unknown outcome.
func ReadAgain(err error) error {
	if errs.Is(err, OutcomeUnknown) {
		return ReadFailed(errs.As(err).Err)
	}
	return err
}

// isAnswer reports whether Redis itself answered with this error.
func isAnswer(err error) bool {
	var answered redis.Error
	return errors.As(err, &answered)
}
